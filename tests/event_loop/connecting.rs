//! Promises about `connect`: addresses, names, Happy Eyeballs, and `connection_lost` once for every failure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use proxy_herd::driver::sim::{HostId, Sim};
use proxy_herd::event_loop::{ConnId, Loop, Lost, Protocol, Security, ServerSecurity, Target, Transport};

use crate::recorder::{Journal, On, Recorder, ends, listen_only};
use crate::stage::{LONG, address, calm, dial, in_every_weather, serve, told};

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn at(ip: IpAddr) -> SocketAddr {
    SocketAddr::new(ip, address().port())
}

/// Serves on these addresses.
fn serve_on(sim: &mut Sim<Journal>, ips: &[IpAddr]) -> HostId {
    let host = sim.add_host("Server", Journal::default());
    for ip in ips {
        sim.enter(host, |event_loop, _| {
            event_loop.listen(at(*ip), ServerSecurity::Plain, |journal: &mut Journal| {
                Recorder::new(&journal.next_name(), listen_only)
            });
        });
    }
    host
}

fn dial_name(sim: &mut Sim<Journal>, name: &str) -> (HostId, ConnId) {
    let host = sim.add_host("Client", Journal::default());
    let target = Target::Name(name.to_owned(), address().port());
    let id = sim.enter(host, |event_loop, _| {
        event_loop.connect(
            target,
            Security::Plain,
            Recorder::new("c", |on, transport, journal| {
                if on == On::Made {
                    journal.note("c", format!("to {}", ends(transport)[0]));
                }
            }),
        )
    });
    (host, id)
}

#[test]
fn a_connection_has_two_ends() {
    in_every_weather(|mut sim| {
        let server = serve(&mut sim, |on, transport, journal| {
            if on == On::Made {
                let [peer, local] = ends(transport);
                journal.note("s1", format!("{local} {peer}"));
                transport.write(b"welcome");
                transport.close();
            }
        });
        let host = sim.add_host("Client", Journal::default());
        let client = Recorder::new("c", |on, transport, journal| {
            if on == On::Made {
                let [peer, local] = ends(transport);
                journal.note("c", format!("{peer} {local}"));
                transport.write(b"hello");
            }
        });
        dial(&mut sim, host, Security::Plain, client);
        sim.run_for(LONG);
        assert_eq!(sim.state(host).of("c")[1], sim.state(server).of("s1")[1], "each other's addresses");
        assert!(sim.state(host).of("c")[1].starts_with("127.0.0.1:11645 127.0.0.1:"));
        assert!(sim.state(host).is_lost("c") && sim.state(server).is_lost("s1"));
    });
}

#[test]
fn what_is_written_before_the_connection_stands_is_sent_then() {
    in_every_weather(|mut sim| {
        let server = serve(&mut sim, listen_only);
        let host = sim.add_host("Client", Journal::default());
        let id = dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
        sim.enter(host, |event_loop, _| {
            let mut transport = event_loop.transport(id).expect("it is on its way");
            transport.write(b"early");
            assert_eq!(transport.write_buffer_size(), 5);
        });
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "data early"]);
    });
}

#[test]
fn write_eof_before_the_connection_stands_is_sent_then() {
    for early in ["", "early"] {
        let mut sim = calm();
        let server = serve(&mut sim, listen_only);
        let host = sim.add_host("Client", Journal::default());
        let id = dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
        sim.enter(host, |event_loop, _| {
            let mut transport = event_loop.transport(id).expect("it is on its way");
            transport.write(early.as_bytes());
            transport.write_eof();
        });
        sim.run_for(LONG);
        assert!(sim.state(server).bytes_of("s1") == early.as_bytes());
        assert_eq!(sim.state(server).of("s1").last().map(String::as_str), Some("lost"), "{early:?}: {:?}", sim.trace());
    }
}

/// A client asks for `name`, which has these addresses, and servers listen on these: where does it get, and how soon?
fn check_name(
    addresses: &[IpAddr],
    listening: &[IpAddr],
    prepare: impl Fn(&mut Sim<Journal>),
    within: Duration,
    expected: &[&str],
) {
    let mut sim = calm();
    let server = serve_on(&mut sim, listening);
    sim.name("herd.example", addresses.iter().copied());
    prepare(&mut sim);
    let (host, _) = dial_name(&mut sim, "herd.example");
    sim.run_for(within - Duration::from_millis(2));
    told(&sim, host, "c", &[]);
    sim.run_for(Duration::from_millis(4));
    told(&sim, host, "c", expected);
    sim.run_for(LONG);
    let made = sim.state(server).all().iter().filter(|line| line.ends_with("made")).count();
    let lost = sim.state(server).all().iter().filter(|line| line.ends_with("lost")).count();
    assert_eq!(made - lost, usize::from(expected[0] == "made"), "one winner: {:?}", sim.trace());
}

const SOON: Duration = Duration::from_millis(2);

#[test]
fn happy_eyeballs() {
    let nothing = |_: &mut Sim<Journal>| {};
    check_name(&[V6, V4], &[V6, V4], nothing, SOON, &["made", "to [::1]:11645"]);
    // The first address fails: the second is tried at once.
    check_name(&[V6, V4], &[V4], nothing, SOON, &["made", "to 127.0.0.1:11645"]);
    // The first address is silent: the second is tried after 250 ms.
    let silent = |sim: &mut Sim<Journal>| sim.ignore(at(V6));
    check_name(&[V6, V4], &[V6, V4], silent, Duration::from_millis(250), &["made", "to 127.0.0.1:11645"]);
    // All are silent: 10 s in all.
    let all_silent = |sim: &mut Sim<Journal>| {
        sim.ignore(at(V6));
        sim.ignore(at(V4));
    };
    check_name(&[V6, V4], &[V6, V4], all_silent, Duration::from_secs(10), &["lost TimedOut"]);
    // All refuse.
    check_name(&[V6, V4], &[], nothing, SOON, &["lost ConnectionRefused"]);
    // There is no address.
    check_name(&[], &[V4], nothing, SOON, &["lost NotFound"]);
}

#[test]
fn each_attempt_is_alone_for_250_ms() {
    let mut sim = calm();
    let third = IpAddr::from([127, 0, 0, 3]);
    serve_on(&mut sim, &[third]);
    sim.name("herd.example", [V4, V6, third]);
    sim.ignore(at(V4));
    sim.ignore(at(V6));
    let (host, _) = dial_name(&mut sim, "herd.example");
    // The first address refuses just before its time alone is over; the second is silent.
    sim.run_for(Duration::from_millis(240));
    sim.readmit(at(V4));
    sim.run_for(Duration::from_millis(245));
    told(&sim, host, "c", &[]);
    sim.run_for(Duration::from_millis(10));
    told(&sim, host, "c", &["made", "to 127.0.0.3:11645"]);
}

#[test]
fn the_loser_of_happy_eyeballs_is_closed_when_it_wakes_up() {
    let mut sim = calm();
    let server = serve_on(&mut sim, &[V4, V6]);
    sim.name("herd.example", [V6, V4]);
    sim.ignore(at(V6));
    let (host, _) = dial_name(&mut sim, "herd.example");
    // Both attempts are on their way, then both get through.
    sim.run_for(Duration::from_millis(250));
    sim.readmit(at(V6));
    sim.run_for(LONG);
    told(&sim, host, "c", &["made", &sim.state(host).of("c")[1].clone()]);
    let all = sim.state(server).all();
    let open = all.iter().filter(|line| line.ends_with("made")).count() - lost(&sim, server);
    assert_eq!(open, 1, "{all:?} {:?}", sim.trace());
}

fn lost(sim: &Sim<Journal>, host: HostId) -> usize {
    sim.state(host).all().iter().filter(|line| line.contains(" lost")).count()
}

#[test]
fn a_failure_names_every_address() {
    let mut sim = calm();
    sim.name("herd.example", [V6, V4]);
    let (host, _) = dial_name(&mut sim, "herd.example");
    sim.run_for(LONG);
    let reason = sim.state(host).of("c").concat();
    assert!(reason.contains("[::1]:11645") && reason.contains("127.0.0.1:11645"), "{reason}");
}

#[test]
fn an_unknown_name_gives_lost_once_and_a_literal_address_needs_no_table() {
    in_every_weather(|mut sim| {
        serve_on(&mut sim, &[V4]);
        let (host, _) = dial_name(&mut sim, "nowhere.example");
        let (literal, _) = dial_name(&mut sim, "127.0.0.1");
        sim.run_for(LONG);
        told(&sim, host, "c", &["lost NotFound"]);
        assert!(sim.state(host).of("c").concat().contains("nowhere.example"), "the reason says which");
        told(&sim, literal, "c", &["made", "to 127.0.0.1:11645"]);
    });
}

#[test]
fn connect_refused_gives_lost_once() {
    in_every_weather(|mut sim| {
        let host = sim.add_host("Client", Journal::default());
        dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
        sim.run_for(LONG);
        told(&sim, host, "c", &["lost ConnectionRefused"]);
        sim.run_for(Duration::from_secs(20));
        told(&sim, host, "c", &["lost ConnectionRefused"]);
    });
}

#[test]
fn refused_while_somebody_listens_and_admitted_again() {
    let mut sim = calm();
    serve(&mut sim, listen_only);
    sim.refuse(address());
    let host = sim.add_host("Client", Journal::default());
    dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
    sim.run_for(LONG);
    sim.readmit(address());
    dial(&mut sim, host, Security::Plain, Recorder::new("d", listen_only));
    sim.run_for(LONG);
    told(&sim, host, "c", &["lost ConnectionRefused"]);
    told(&sim, host, "d", &["made"]);
}

#[test]
fn cancel_connect_closes_socket() {
    // At every moment of connecting, from the question to the resolver to the handshake's end.
    for micros in (0..400).step_by(20) {
        for abort in [false, true] {
            let mut sim = calm();
            let server = serve_on(&mut sim, &[V4]);
            sim.name("herd.example", [V4]);
            let (host, id) = dial_name(&mut sim, "herd.example");
            sim.run_for(Duration::from_micros(micros));
            sim.enter(host, |event_loop, _| {
                let mut transport = event_loop.transport(id).expect("nothing has ended it");
                if abort { transport.abort() } else { transport.close() }
            });
            sim.run_for(LONG);
            assert_eq!(lost(&sim, host), 1, "{micros} µs, {:?}", sim.state(host).all());
            let all = sim.state(server).all();
            assert_eq!(all.iter().filter(|line| line.ends_with("made")).count(), lost(&sim, server), "{micros} µs");
        }
    }
}

#[test]
fn out_of_descriptors_gives_lost_with_the_systems_reason() {
    let mut sim = calm();
    serve(&mut sim, listen_only);
    let host = sim.add_host("Client", Journal::default());
    sim.out_of_descriptors(host);
    dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
    sim.run_for(LONG);
    assert!(sim.state(host).of("c").concat().contains("Too many open files"), "{:?}", sim.state(host).of("c"));
}

/// Connects again whenever it is lost, and counts how often.
struct Insistent;

impl Protocol<Journal> for Insistent {
    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: Lost) {
        journal.note("c", "lost");
        event_loop.connect(address(), Security::Plain, Insistent);
    }
}

#[test]
fn who_connects_again_as_soon_as_it_is_lost_does_not_stop_the_time() {
    let mut sim = calm();
    let host = sim.add_host("Client", Journal::default());
    sim.out_of_descriptors(host);
    dial(&mut sim, host, Security::Plain, Insistent);
    sim.run_for(Duration::from_millis(1));
    assert!((2..=200).contains(&sim.state(host).of("c").len()), "once a turn");
}
