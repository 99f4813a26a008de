//! Promises about `close`, `abort` and their kin: what still arrives, and `connection_lost` exactly once.

use std::time::Duration;

use proxy_herd::driver::sim::{Ending, HostId, Sim};
use proxy_herd::event_loop::Transport;

use crate::recorder::{Journal, On, listen_only};
use crate::stage::{LONG, address, bytes, calm, check, in_every_weather, serve, told, with};

#[test]
fn close_flushes_then_lost_none_once() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, journal| {
            if on == On::Made {
                transport.write(&bytes(30_000));
                transport.close();
                transport.close();
                assert!(transport.is_closing());
                transport.write(b"dropped");
                journal.note("s1", "returned");
            }
        });
        let client = sim.connect(address());
        sim.run_for(LONG);
        assert!(sim.received(client) == bytes(30_000));
        assert_eq!(sim.ending(client), Some(Ending::Fin));
        told(&sim, host, "s1", &["made", "returned", "lost"]);
    });
}

#[test]
fn close_in_data_received_stops_data() {
    check(
        |on, transport, _| {
            if let On::Data(_) = on {
                transport.close();
            }
        },
        |sim, client| {
            sim.send(client, b"x");
            sim.run_for(LONG);
            sim.send(client, b"more");
            sim.half_close(client);
        },
        &["made", "data x", "lost"],
    );
}

#[test]
fn close_is_not_synchronous() {
    let mut sim = calm();
    let host = serve(&mut sim, listen_only);
    sim.connect(address());
    sim.run_for(LONG);
    with(&mut sim, host, "s1", |transport| {
        transport.close();
        let id = transport.id();
        transport.event_loop().call_soon(move |event_loop, journal| {
            assert!(event_loop.transport(id).is_none());
            journal.note("s1", "called later");
        });
    });
    sim.run_for(LONG);
    told(&sim, host, "s1", &["made", "lost", "called later"]);
}

#[test]
fn abort_drops_buffer_and_gives_lost_none() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, _| match on {
            On::Made => transport.write(&bytes(1_000_000)),
            On::Data(_) => {
                transport.abort();
                transport.abort();
                transport.close();
                transport.write(b"dropped");
            }
            _ => {}
        });
        let client = sim.connect(address());
        sim.stop_reading(client);
        sim.run_for(LONG);
        sim.send(client, b"x");
        sim.run_for(LONG);
        sim.go_on_reading(client);
        sim.run_for(LONG);
        assert!(sim.received(client).len() < 200_000, "what waited was dropped");
        told(&sim, host, "s1", &["made", "paused", "data x", "lost"]);
    });
}

#[test]
fn abort_in_connection_made() {
    check(|_, transport, _| transport.abort(), |sim, client| sim.send(client, b"x"), &["made", "lost"]);
}

#[test]
fn abort_after_close_cuts_stuck_flush() {
    check(
        |on, transport, _| match on {
            On::Made => {
                transport.write(&bytes(1_000_000));
                transport.close();
                let id = transport.id();
                transport.event_loop().call_later(Duration::from_secs(1), move |event_loop, _| {
                    event_loop.transport(id).expect("it is still being sent").abort();
                });
            }
            _ => unreachable!("nothing is told while closing: {on:?}"),
        },
        |sim, client| sim.stop_reading(client),
        &["made", "lost"],
    );
}

/// A client that stops reading, a server that closes with a lot to send: what then?
fn check_stuck(close_timeout: Option<Duration>, wait: Duration, expected: &[&str]) {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, move |on, transport, _| {
            if on == On::Made {
                if let Some(timeout) = close_timeout {
                    transport.set_close_timeout(timeout);
                }
                transport.set_timeout(Some(Duration::from_millis(1)));
                transport.write(&bytes(1_000_000));
                transport.close();
            }
        });
        let client = sim.connect(address());
        sim.stop_reading(client);
        sim.run_for(wait);
        told(&sim, host, "s1", expected);
    });
}

#[test]
fn close_timeout_ends_a_stuck_flush() {
    check_stuck(None, Duration::from_millis(4990), &["made"]);
    check_stuck(None, Duration::from_millis(5100), &["made", "lost TimedOut"]);
    check_stuck(Some(Duration::from_secs(20)), Duration::from_secs(19), &["made"]);
    check_stuck(Some(Duration::MAX), Duration::from_secs(3600), &["made"]);
    check_stuck(Some(Duration::ZERO), Duration::from_millis(100), &["made", "lost TimedOut"]);
}

#[test]
fn lost_with_error_if_peer_resets_during_flush() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, _| {
            if on == On::Made {
                transport.write(&bytes(1_000_000));
                transport.close();
            }
        });
        let client = sim.connect(address());
        sim.stop_reading(client);
        sim.run_for(LONG);
        sim.reset(client);
        sim.run_for(LONG);
        told(&sim, host, "s1", &["made", "lost ConnectionReset"]);
    });
}

#[test]
fn any_method_after_close_is_harmless() {
    fn everything(transport: &mut Transport<'_, Journal>) {
        transport.write(b"x");
        transport.writelines([b"x".as_slice()]);
        transport.write_eof();
        transport.pause_reading();
        transport.resume_reading();
        transport.set_write_buffer_limits(0, 0);
        transport.set_timeout(Some(Duration::ZERO));
        transport.set_close_timeout(Duration::ZERO);
        transport.close();
        transport.close_slowly(LONG);
        transport.abort();
        let _ = (transport.peer_addr(), transport.local_addr(), transport.write_buffer_size());
        assert!(transport.is_closing() && transport.tls_info().is_none());
    }
    let check = |end: fn(&mut Transport<'_, Journal>)| {
        check(
            move |_, transport, _| {
                end(transport);
                everything(transport);
                everything(transport);
            },
            |sim, client| sim.send(client, b"x"),
            &["made", "lost"],
        );
    };
    check(|transport| transport.close());
    check(|transport| transport.abort());
    check(|transport| {
        transport.write(&bytes(10));
        transport.close_slowly(LONG);
    });
}

#[test]
fn stale_ids_find_nothing() {
    let mut sim = calm();
    let host = serve(&mut sim, listen_only);
    let first = sim.connect(address());
    sim.run_for(LONG);
    let stale = sim.state(host).id("s1");
    sim.half_close(first);
    sim.run_for(LONG);
    sim.connect(address());
    sim.run_for(LONG);
    let newcomer = sim.state(host).id("s2");
    assert_eq!(stale.index(), newcomer.index(), "the slot is used again");
    sim.enter(host, |event_loop, _| {
        assert!(event_loop.transport(stale).is_none());
        event_loop.wake(stale);
        assert!(event_loop.transport(newcomer).is_some());
    });
    sim.run_for(LONG);
    told(&sim, host, "s2", &["made"]);
}

#[test]
fn a_slot_that_is_used_again_in_the_same_turn_gets_no_old_event() {
    // s1 gets data and is aborted by s2's data in one turn; s3 connects in that turn, too.
    let mut sim = calm();
    let host = serve(&mut sim, |on, transport, journal| {
        if on == On::Data(b"kill") {
            let victim = journal.id("s2");
            transport.event_loop().transport(victim).expect("it lives").abort();
        }
    });
    let (killer, victim) = (sim.connect(address()), sim.connect(address()));
    sim.run_for(LONG);
    sim.send(killer, b"kill");
    sim.send(victim, b"too late");
    let newcomer = sim.connect(address());
    sim.run_for(LONG);
    told(&sim, host, "s2", &["made", "lost"]);
    told(&sim, host, "s3", &["made"]);
    sim.send(newcomer, b"mine");
    sim.run_for(LONG);
    told(&sim, host, "s3", &["made", "data mine"]);
    assert_eq!(sim.ending(victim), Some(Ending::Reset), "something was left unread");
}

/// A server that says goodbye to a client that is still sending: with or without patience.
fn goodbye(sim: &mut Sim<Journal>, patience: Option<Duration>, more: usize) -> (Vec<String>, bool, Option<Ending>) {
    let host = serve(sim, move |on, transport, _| {
        if let On::Data(_) = on {
            transport.write(b"goodbye");
            match patience {
                Some(patience) => transport.close_slowly(patience),
                None => transport.close(),
            }
        }
    });
    let client = sim.connect(address());
    sim.run_for(LONG);
    sim.stop_reading(client);
    sim.send(client, b"x");
    sim.run_for(Duration::from_millis(60));
    sim.send(client, &bytes(more));
    sim.run_for(LONG);
    sim.go_on_reading(client);
    sim.run_for(LONG);
    (sim.state(host).of("s1"), sim.received(client) == b"goodbye", sim.ending(client))
}

#[test]
fn close_slowly_lets_the_last_words_arrive() {
    in_every_weather(|mut sim| {
        let (_, heard, ending) = goodbye(&mut sim, None, 10_000);
        assert!(!heard, "without patience the reset takes them");
        assert_eq!(ending, Some(Ending::Reset));
    });
    in_every_weather(|mut sim| {
        let (told, heard, ending) = goodbye(&mut sim, Some(Duration::from_secs(60)), 10_000);
        assert!(heard, "{:?}", sim.trace());
        assert_eq!(ending, Some(Ending::Fin));
        assert!(!told.iter().any(|line| line.starts_with("lost")), "it waits for the client's end");
    });
}

#[test]
fn close_slowly_ends_with_the_peer_its_patience_or_256_kib() {
    let mut sim = calm();
    let (told, ..) = goodbye(&mut sim, Some(LONG * 3 / 2), 10);
    assert_eq!(told, ["made", "data x", "lost"], "patience");

    for (more, expected) in [(256 * 1024, false), (256 * 1024 + 1, true)] {
        let (told, ..) = goodbye(&mut calm(), Some(Duration::from_secs(60)), more);
        assert_eq!(told.contains(&"lost".to_owned()), expected, "{more} bytes");
    }

    let mut sim = calm();
    let host = serve(&mut sim, |on, transport, _| {
        if let On::Data(_) = on {
            transport.close_slowly(Duration::from_secs(60));
        }
    });
    let client = sim.connect(address());
    sim.send(client, b"x");
    sim.run_for(LONG);
    told_lost(&sim, host, false);
    sim.half_close(client);
    sim.run_for(LONG);
    told_lost(&sim, host, true);
    assert_eq!(sim.ending(client), Some(Ending::Fin));
}

fn told_lost(sim: &Sim<Journal>, host: HostId, lost: bool) {
    assert_eq!(sim.state(host).is_lost("s1"), lost, "{:?}", sim.trace());
}
