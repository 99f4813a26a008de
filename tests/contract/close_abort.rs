//! Promises about `close`, `abort` and their kin: what still arrives, and `connection_lost` exactly once.

use std::io::ErrorKind;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Endpoints, EventLoop, Request, Security, Transport};

use crate::recorder::{Journal, On, Recorder, listen_only};
use crate::world::{Client, FAR_TOO_MUCH, LONG, World, bytes, calm, calmly, check, everywhere, on_sockets, simulated};

#[test]
fn close_flushes_then_lost_none_once() {
    everywhere(|world| {
        world.serve(|on, transport, journal| {
            if on == On::Made {
                transport.write(&bytes(30_000));
                transport.close();
                transport.close();
                assert!(transport.is_closing());
                transport.write(b"dropped");
                journal.note("s1", "returned");
            }
        });
        let client = world.connect();
        world.quiet();
        assert!(world.received(client) == bytes(30_000));
        assert_eq!(world.ending(client), Some(Ending::Fin));
        world.told("s1", &["made", "returned", "lost"]);
    });
}

#[test]
fn close_twice_once() {
    check(
        |_, transport, _| {
            transport.close();
            transport.close();
        },
        |_, _| {},
        &["made", "lost"],
    );
}

#[test]
fn close_in_connection_made_and_in_data_received() {
    let play = |world: &mut dyn World, client| {
        world.send(client, b"x");
        world.quiet();
        world.send(client, b"more");
    };
    check(|_, transport, _| transport.close(), play, &["made", "lost"]);
    let close = |on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal| {
        if let On::Data(_) = on {
            transport.close();
        }
    };
    check(close, play, &["made", "data x", "lost"]);
}

#[test]
fn close_is_not_synchronous() {
    everywhere(|world| {
        world.serve(listen_only);
        world.connect();
        world.quiet();
        world.with("s1", |transport| {
            transport.close();
            let id = transport.id();
            transport.event_loop().call_soon(move |event_loop, journal| {
                assert!(event_loop.transport(id).is_none());
                journal.note("s1", "called later");
            });
        });
        world.quiet();
        world.told("s1", &["made", "lost", "called later"]);
    });
}

#[test]
fn abort_drops_buffer_and_gives_lost_none() {
    everywhere(|world| {
        world.serve(|on, transport, _| match on {
            On::Made => transport.write(&bytes(FAR_TOO_MUCH)),
            On::Data(_) => {
                transport.abort();
                transport.abort();
                transport.close();
                transport.write(b"dropped");
            }
            _ => {}
        });
        let client = world.connect();
        world.stop_reading(client);
        world.quiet();
        world.send(client, b"x");
        world.quiet();
        world.go_on_reading(client);
        world.quiet();
        assert!(world.ending(client).is_some());
        assert!(world.received(client).len() < FAR_TOO_MUCH, "what waited was dropped");
        world.told("s1", &["made", "paused", "data x", "lost"]);
    });
}

#[test]
fn abort_in_connection_made() {
    check(|_, transport, _| transport.abort(), |world, client| world.send(client, b"x"), &["made", "lost"]);
}

/// A client that reads nothing, and a loop that has begun to close with far too much to send.
fn stuck(world: &mut dyn World) -> Client {
    world.serve(|on, transport, _| match on {
        On::Made => {
            transport.write(&bytes(FAR_TOO_MUCH));
            transport.close();
        }
        _ => unreachable!("nothing is told while closing: {on:?}"),
    });
    let client = world.connect();
    world.stop_reading(client);
    world.quiet();
    world.told("s1", &["made"]);
    client
}

#[test]
fn abort_after_close_cuts_stuck_flush() {
    everywhere(|world| {
        let client = stuck(world);
        world.with("s1", |transport| transport.abort());
        world.told("s1", &["made", "lost"]);
        world.go_on_reading(client);
        world.quiet();
        assert!(world.received(client).len() < FAR_TOO_MUCH);
        assert!(world.ending(client).is_some());
    });
}

#[test]
fn lost_with_error_if_peer_resets_during_flush() {
    everywhere(|world| {
        let client = stuck(world);
        world.reset(client);
        world.quiet();
        world.told("s1", &["made", "lost ConnectionReset"]);
    });
}

/// A client that stops reading, a loop that closes with a lot to send: what is it told after so long?
#[track_caller]
fn check_stuck(close_timeout: Option<Duration>, wait: Duration, expected: &[&str]) {
    simulated(|world| {
        world.serve(move |on, transport, _| {
            if on == On::Made {
                if let Some(timeout) = close_timeout {
                    transport.set_close_timeout(timeout);
                }
                transport.set_timeout(Some(Duration::from_millis(1)));
                transport.write(&bytes(1_000_000));
                transport.close();
            }
        });
        let client = world.connect();
        world.stop_reading(client);
        world.sim().run_for(wait);
        world.told("s1", expected);
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
fn any_method_after_lost_is_harmless() {
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
        transport.set_write_buffer_cap(0);
        transport.abort();
        transport.set_protocol(Recorder::new("nobody", |_, _, _| unreachable!("it is over")));
        transport.fail(ErrorKind::Other.into());
        transport.reset();
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
            |world, client| world.send(client, b"x"),
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
    everywhere(|world| {
        world.serve(listen_only);
        let first = world.connect();
        world.quiet();
        let stale = world.journal().id("s1");
        world.half_close(first);
        world.quiet();
        world.connect();
        world.quiet();
        let newcomer = world.journal().id("s2");
        assert_eq!(stale.index(), newcomer.index(), "the slot is used again");
        world.enter(|event_loop, _| {
            assert!(event_loop.transport(stale).is_none());
            event_loop.wake(stale);
            assert!(event_loop.transport(newcomer).is_some());
        });
        world.quiet();
        world.told("s2", &["made"]);
    });
}

#[test]
fn token_reuse_never_delivers_old_event() {
    calmly(|world| {
        // Of the first two connections, whoever is read from first ends the other.
        world.serve(|on, transport, journal| {
            if on == On::Data(b"kill") {
                for id in ["s1", "s2"].map(|name| journal.id(name)) {
                    if id != transport.id() {
                        transport.event_loop().transport(id).expect("it lives").abort();
                    }
                }
            }
        });
        let pair = [world.connect(), world.connect()];
        world.quiet();
        // In one batch: data for both, and a newcomer.
        for client in pair {
            world.send(client, b"kill");
        }
        let newcomer = world.connect();
        world.send(newcomer, b"mine");
        world.quiet();
        let mut fates = ["s1", "s2"].map(|name| world.journal().of(name));
        fates.sort();
        assert_eq!(fates, [vec!["made", "data kill"], vec!["made", "lost"]]);
        let mut endings = pair.map(|client| world.ending(client));
        endings.sort_by_key(Option::is_some);
        assert_eq!(endings, [None, Some(Ending::Reset)], "something was left unread");
        world.told("s3", &["made", "data mine"]);
        // And the slot's next user.
        let next = world.connect();
        world.send(next, b"mine, too");
        world.quiet();
        world.told("s3", &["made", "data mine"]);
        world.told("s4", &["made", "data mine, too"]);
    });
}

/// A server that says goodbye to a client that is still sending, with or without patience: what is it told, and does the
/// client hear it?
fn goodbye(world: &mut dyn World, patience: Option<Duration>, more: usize) -> (Vec<String>, bool, Option<Ending>) {
    world.serve(move |on, transport, _| {
        if let On::Data(_) = on {
            transport.write(b"goodbye");
            match patience {
                Some(patience) => transport.close_slowly(patience),
                None => transport.close(),
            }
        }
    });
    let client = world.connect();
    world.quiet();
    world.stop_reading(client);
    world.send(client, b"x");
    world.quiet();
    world.send(client, &bytes(more));
    world.quiet();
    world.go_on_reading(client);
    world.quiet();
    (world.journal().of("s1"), world.received(client) == b"goodbye", world.ending(client))
}

#[test]
fn close_slowly_lets_the_last_words_arrive() {
    // On a real system it depends on who is faster.
    simulated(|world| {
        let (_, heard, ending) = goodbye(world, None, 10_000);
        assert!(!heard, "without patience the reset takes them");
        assert_eq!(ending, Some(Ending::Reset));
    });
    everywhere(|world| {
        let (told, heard, ending) = goodbye(world, Some(Duration::from_secs(60)), 10_000);
        assert!(heard, "{}", world.trace());
        assert_eq!(ending, Some(Ending::Fin));
        assert_eq!(told, ["made", "data x"], "it waits for the client's end");
    });
}

#[test]
fn close_slowly_ends_with_the_peer_its_patience_or_256_kib() {
    calm(|world| {
        goodbye(world, Some(LONG), 10);
        world.sim().run_for(LONG);
        world.told("s1", &["made", "data x", "lost"]);
    });
    for (more, expected) in [(256 * 1024, false), (256 * 1024 + 1, true)] {
        everywhere(|world| {
            let (told, ..) = goodbye(world, Some(Duration::from_secs(60)), more);
            assert_eq!(told.contains(&"lost".to_owned()), expected, "{more} bytes");
        });
    }
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.close_slowly(Duration::from_secs(60));
            }
        });
        let client = world.connect();
        world.send(client, b"x");
        world.quiet();
        world.told("s1", &["made", "data x"]);
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "data x", "lost"]);
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[cfg(target_os = "linux")]
#[test]
fn fd_count_returns_to_baseline_after_1000_mixed_endings() {
    on_sockets(|world| {
        let refused = world.another_address();
        world.serve(move |on, transport, _| {
            let (id, ours) = (transport.id(), transport.id().generation() % 4);
            match (on, ours) {
                (On::Made, 0) => transport.abort(),
                (On::Made, 1) => {
                    transport.write(b"bye");
                    transport.close();
                }
                (On::Made, 2) => transport.close_slowly(Duration::from_secs(1)),
                (On::Made, _) => {
                    // Itself, and once more a connection of its own that is not let in.
                    let recorder = Recorder::new("refused", listen_only);
                    transport.event_loop().connect(refused, Security::Plain, recorder);
                    transport.event_loop().wake(id);
                }
                _ => {}
            }
        });
        world.quiet();
        let open = || std::fs::read_dir("/proc/self/fd").expect("Linux has it").count();
        let before = open();
        for round in 0..1000 {
            let client = world.connect();
            match round % 3 {
                0 => world.reset(client),
                1 => world.half_close(client),
                _ => {
                    world.send(client, b"hello");
                    world.half_close(client);
                }
            }
            if round % 100 == 99 {
                world.quiet();
            }
        }
        let ends = |world: &dyn World| {
            let all = world.journal().all();
            let count = |end: &str| all.iter().filter(|line| line.contains(end)).count();
            (count(" made"), count(" lost") - count("refused lost"))
        };
        world.until("the end of all", |world| ends(world) == (1000, 1000));
        world.quiet();
        let after = open();
        assert!(after <= before, "{before} descriptors became {after}");
    });
}

#[test]
fn what_a_driver_tells_late_of_a_connection_that_is_over_is_ignored() {
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], 7));
    let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
    let id = event_loop.enter(|event_loop, _| {
        event_loop.connect(address, Security::Plain, Recorder::new("c", |_, transport, _| transport.write(b"hello")))
    });
    assert!(matches!(event_loop.poll_request(), Some(Request::Connect { .. })));
    assert!(event_loop.connected(id, Endpoints::new(address, address)));
    let count = event_loop.pending(id).len();
    assert_eq!(count, 5);
    event_loop.enter(|event_loop, _| event_loop.transport(id).expect("it stands").abort());
    // Before the driver has been asked to drop the socket, and after.
    for _ in 0..2 {
        event_loop.sent(id, count);
        event_loop.received(id, b"hello");
        event_loop.received_eof(id);
        event_loop.lost(id, ErrorKind::ConnectionReset.into());
        assert!(event_loop.pending(id).is_empty() && !event_loop.wants_read(id));
        while event_loop.poll_request().is_some() {}
    }
    assert_eq!(event_loop.state().of("c"), ["made", "lost"]);
}
