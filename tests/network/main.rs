//! Promises of the simulated network itself: it repeats, time is its own, and faults do what they say.

#[path = "../contract/certificates.rs"]
#[expect(dead_code, reason = "shared with the contract suite")]
mod certificates;
#[path = "../contract/recorder.rs"]
#[expect(dead_code, reason = "shared with the contract suite")]
mod recorder;
mod stage;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use proxy_herd::driver::sim::{Crash, Ending, HostId, Sim, Weather};
use proxy_herd::event_loop::{Security, ServerSecurity};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::stage::{LONG, address, bytes, calm, dial, in_every_weather, serve, serve_with, told, with};

/// A little of everything: TLS between hosts, clients on TCP, names, timers, faults.
fn busy(seed: u64, weather: Weather, server: &ServerSecurity, client: &Security) -> String {
    let mut sim = Sim::new(seed, weather);
    let host = serve_with(&mut sim, server.clone(), |name| Recorder::new(name, echo));
    let plain: std::net::SocketAddr = ([127, 0, 0, 1], 7).into();
    sim.enter(host, |event_loop, _| {
        event_loop
            .listen(plain, ServerSecurity::Plain, |journal: &mut Journal| Recorder::new(&journal.next_name(), echo));
    });
    let others = ["one", "two", "three"].map(|name| sim.add_host(name, Journal::default()));
    for other in others {
        let hello = |on: On<'_>, transport: &mut proxy_herd::event_loop::Transport<'_, Journal>, _: &mut Journal| {
            if matches!(on, On::Made | On::Resumed) {
                transport.write(&bytes(50_000));
            }
        };
        dial(&mut sim, other, client.clone(), Recorder::new("c", hello));
    }
    let clients = [0, 1, 2, 3].map(|_| sim.connect(plain));
    for (index, client) in clients.into_iter().enumerate() {
        sim.send(client, &bytes(1000 * (index + 1)));
    }
    sim.run_for(Duration::from_millis(200));
    sim.cut(host, others[0]);
    sim.stall(others[1], host);
    sim.reset(clients[0]);
    sim.half_close(clients[1]);
    sim.run_for(LONG);
    sim.heal(host, others[1]);
    sim.crash(others[2], Crash::Killed);
    sim.run_for(LONG);
    sim.trace().to_string()
}

#[test]
fn equal_seeds_give_equal_traces_and_others_do_not() {
    let authority = Authority::new();
    let (server, client) = (authority.server("herd.example"), authority.client("herd.example"));
    for seed in 0..5 {
        let first = busy(seed, Weather::rough(), &server, &client);
        assert!(first.lines().count() > 100, "something happens");
        assert!(first == busy(seed, Weather::rough(), &server, &client), "seed {seed} does not repeat");
        assert!(first != busy(seed + 5, Weather::rough(), &server, &client), "seed {seed} makes no difference");
    }
    assert!(busy(1, Weather::default(), &server, &client) == busy(2, Weather::default(), &server, &client));
}

#[test]
fn a_trace_tells_who_did_what_when_and_keeps_secrets() {
    let mut sim = calm();
    let host = serve(&mut sim, echo);
    let client = sim.connect(address());
    sim.send(client, b"hello\n");
    sim.half_close(client);
    sim.run_for(LONG);
    let expected = [
        "  0.000000 Server listens on 127.0.0.1:11645",
        "  0.000000 client 0 connects to 127.0.0.1:11645",
        "  0.000100 Server#2 accepts client 0",
        "  0.000200 client 0 -> Server#2 6 bytes \"hello\\n\"",
        "  0.000200 client 0 -> Server#2 FIN",
        "  0.000300 Server#2 -> client 0 6 bytes \"hello\\n\"",
        "  0.000310 Server#2 -> client 0 FIN",
    ];
    assert!(sim.trace().as_str().lines().eq(expected), "{:?}", sim.trace());
    told(&sim, host, "s1", &["made", "data hello\\n", "eof", "lost"]);

    let authority = Authority::new();
    let trace = busy(3, Weather::default(), &authority.server("herd.example"), &authority.client("herd.example"));
    let shown = |line: &&str| line.contains('"') && !line.contains("client ");
    assert_eq!(trace.lines().find(shown), None, "no content of TLS");
    assert!(trace.lines().any(|line| line.contains("one#1 -> Server#") && line.contains(" bytes")));
}

#[test]
fn time_passes_only_when_told_to_and_clocks_may_differ() {
    let mut sim = calm();
    let (one, other) = (sim.add_host("one", Journal::default()), sim.add_host("other", Journal::default()));
    let (start, wall) = (sim.now(), sim.wall_clock(one));
    assert_eq!(wall, SystemTime::UNIX_EPOCH + Duration::from_secs(1_520_023_934));
    sim.set_wall_clock(other, wall - Duration::from_secs(3600));
    sim.run_for(Duration::from_secs(100));
    assert_eq!(sim.now() - start, Duration::from_secs(100));
    for (host, behind) in [(one, 0), (other, 3600)] {
        let seen = sim.enter(host, |event_loop, _| event_loop.wall_clock());
        assert_eq!(seen, wall + Duration::from_secs(100) - Duration::from_secs(behind));
    }
}

#[test]
fn run_until_stops_where_the_condition_holds_and_quiet_where_nothing_is_left() {
    let mut sim = calm();
    let host = serve(&mut sim, echo);
    let start = sim.now();
    let client = sim.connect(address());
    sim.send(client, b"x");
    assert!(sim.run_until(LONG, |sim| sim.received(client) == b"x"));
    assert_eq!(sim.now() - start, Duration::from_micros(400), "four ways");
    assert!(sim.run_until_quiet(LONG));
    assert!(sim.now() - start < Duration::from_millis(1));
    assert!(!sim.run_until(LONG, |sim| sim.state(host).is_lost("s1")));
    assert!(sim.now() - start > LONG);
    sim.send(client, b"x");
    assert!(!sim.run_until_quiet(Duration::from_micros(50)), "it is on its way");
}

/// Two hosts, `s1` and `c`, that are connected.
fn connected(sim: &mut Sim<Journal>) -> (HostId, HostId) {
    let server = serve(sim, listen_only);
    let host = sim.add_host("Client", Journal::default());
    dial(sim, host, Security::Plain, Recorder::new("c", listen_only));
    sim.run_for(LONG);
    (server, host)
}

#[test]
fn cut_resets_both_ends_and_loses_what_is_on_its_way() {
    in_every_weather(|mut sim| {
        let (server, host) = connected(&mut sim);
        with(&mut sim, host, "c", |transport| transport.write(b"lost"));
        sim.cut(host, server);
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "lost ConnectionReset"]);
        told(&sim, host, "c", &["made", "lost ConnectionReset"]);
        dial(&mut sim, host, Security::Plain, Recorder::new("d", listen_only));
        dial(&mut sim, host, Security::Plain, Recorder::new("e", listen_only));
        sim.run_for(Duration::from_secs(9));
        told(&sim, host, "d", &[]);
        sim.run_for(Duration::from_secs(2));
        told(&sim, host, "d", &["lost TimedOut"]);
        dial(&mut sim, host, Security::Plain, Recorder::new("f", listen_only));
        sim.run_for(LONG);
        sim.heal(server, host);
        sim.run_for(LONG);
        told(&sim, host, "f", &["made"]);
        told(&sim, server, "s2", &["made"]);
        told(&sim, server, "s3", &[]);
    });
}

#[test]
fn stall_is_silent_and_one_way_and_loses_nothing() {
    in_every_weather(|mut sim| {
        let (server, host) = connected(&mut sim);
        sim.stall(host, server);
        with(&mut sim, host, "c", |transport| transport.write(&bytes(200_000)));
        with(&mut sim, server, "s1", |transport| transport.write(b"hello"));
        sim.run_for(Duration::from_secs(60));
        told(&sim, server, "s1", &["made"]);
        assert_eq!(sim.state(host).bytes_of("c"), b"hello");
        let waiting = with(&mut sim, host, "c", |transport| transport.write_buffer_size());
        assert!(waiting >= 200_000 - 64 * 1024, "the window is full");
        sim.heal(host, server);
        sim.run_for(Duration::from_secs(10));
        assert!(sim.state(server).bytes_of("s1") == bytes(200_000));
    });
}

#[test]
fn a_killed_host_resets_its_connections_and_starts_from_nothing() {
    in_every_weather(|mut sim| {
        let (server, host) = connected(&mut sim);
        let client = sim.connect(address());
        sim.run_for(LONG);
        sim.crash(server, Crash::Killed);
        assert!(!sim.is_running(server));
        sim.run_for(LONG);
        told(&sim, host, "c", &["made", "lost ConnectionReset"]);
        assert_eq!(sim.ending(client), Some(Ending::Reset));
        let refused = sim.connect(address());
        sim.run_for(LONG);
        assert_eq!(sim.ending(refused), Some(Ending::Refused));
        sim.restart(server, Journal::default());
        sim.enter(server, |event_loop, journal| {
            assert!(journal.all().is_empty());
            event_loop.listen(address(), ServerSecurity::Plain, |journal: &mut Journal| {
                Recorder::new(&journal.next_name(), listen_only)
            });
        });
        dial(&mut sim, host, Security::Plain, Recorder::new("d", listen_only));
        sim.run_for(LONG);
        told(&sim, host, "d", &["made"]);
        told(&sim, server, "s1", &["made"]);
    });
}

#[test]
fn a_silent_host_says_nothing_until_it_is_back() {
    in_every_weather(|mut sim| {
        let (server, host) = connected(&mut sim);
        sim.crash(server, Crash::Silent);
        with(&mut sim, host, "c", |transport| transport.write(b"anybody?"));
        dial(&mut sim, host, Security::Plain, Recorder::new("d", listen_only));
        sim.run_for(Duration::from_secs(11));
        told(&sim, host, "c", &["made"]);
        told(&sim, host, "d", &["lost TimedOut"]);
        sim.restart(server, Journal::default());
        sim.run_for(LONG);
        told(&sim, host, "c", &["made", "lost ConnectionReset"]);
    });
}

#[test]
fn a_restarted_host_gets_no_answer_to_what_was_asked_before() {
    let mut sim = calm();
    serve(&mut sim, listen_only);
    sim.name("old.example", [IpAddr::from([10, 0, 0, 1])]);
    sim.name("new.example", [address().ip()]);
    let host = sim.add_host("Client", Journal::default());
    let dial_name = |sim: &mut Sim<Journal>, name| {
        sim.enter(host, |event_loop, _| {
            event_loop.connect((name, address().port()), Security::Plain, Recorder::new("c", listen_only))
        })
    };
    let before = dial_name(&mut sim, "old.example");
    sim.crash(host, Crash::Killed);
    sim.restart(host, Journal::default());
    assert_eq!(dial_name(&mut sim, "new.example"), before, "it goes by the same name");
    sim.run_for(LONG);
    told(&sim, host, "c", &["made"]);
    assert!(!sim.trace().as_str().contains("connects to 10.0.0.1"), "{:?}", sim.trace());
}
