//! Promises about the ends of TLS connections, about data held back, and about the cost of encryption in the marks.

use std::time::Duration;

use proxy_herd::driver::sim::{Ending, Weather};
use proxy_herd::event_loop::Transport;

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::simulated::Simulated;
use crate::tls::{NAME, pair};
use crate::tls_records::Forger;
use crate::world::{FAR_TOO_MUCH, World, bytes, calm, calmly, everywhere, on_sockets};

#[test]
fn close_says_close_notify() {
    everywhere(|world| {
        pair(
            world,
            |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(b"bye");
                    transport.close();
                }
            },
            |on, transport, _| {
                if on == On::Made {
                    transport.write(b"hello");
                }
            },
        );
        world.quiet();
        world.told("s1", &["made", "data hello", "lost"]);
        world.told("c", &["made", "data bye", "eof", "lost"]);
    });
}

#[test]
fn truncation_is_distinguishable() {
    everywhere(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let mut forger = Forger::connect(world, &authority);
        forger.send(world, &[b"half of a sen"], &[]);
        // A process that ends without closing: its system sends a FIN, but nobody says close_notify.
        world.half_close(forger.client);
        world.quiet();
        world.told("s1", &["made", "data half of a sen", "lost UnexpectedEof"]);
    });
}

#[test]
fn data_after_close_is_discarded_and_lost_none() {
    everywhere(|world| {
        pair(
            world,
            |on, transport, _| {
                if let On::Data(_) = on {
                    transport.close();
                }
            },
            |on, transport, _| {
                if matches!(on, On::Made | On::Resumed) {
                    transport.write(&bytes(100_000));
                }
            },
        );
        world.quiet();
        let told = world.journal().of("s1");
        assert_eq!((told.len(), told[0].as_str(), told[2].as_str()), (3, "made", "lost"), "{told:?}");
        let got = world.journal().bytes_of("s1").len();
        assert!(got < 100_000, "{got} bytes: one call, and no more after close");
    });
}

/// A server that closes with 4 MiB to send, and a slow reader: after each piece a pause.
fn flush_slowly(world: &mut dyn World) {
    const SIZE: usize = 4 * 1024 * 1024;
    pair(
        world,
        |on, transport, _| {
            if on == On::Made {
                transport.set_close_timeout(Duration::from_secs(60));
                transport.write(&bytes(SIZE));
                transport.close();
            }
        },
        |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
                transport.event_loop().call_later(Duration::from_millis(1), |event_loop, journal| {
                    if let Some(mut transport) = event_loop.transport(journal.id("c")) {
                        transport.resume_reading();
                    }
                });
            }
        },
    );
    world.until_lost("c");
    assert!(world.journal().bytes_of("c") == bytes(SIZE), "{} bytes", world.journal().count_of("c"));
    world.told("c", &["made", "data 4194304 bytes", "eof", "lost"]);
    world.told("s1", &["made", "lost"]);
}

#[test]
fn flush_before_shutdown() {
    for seed in 0..3 {
        let latency = Duration::from_micros(10)..=Duration::from_micros(500);
        flush_slowly(&mut Simulated::new(seed, Weather { latency, ..Weather::rough() }));
    }
    on_sockets(flush_slowly);
}

#[test]
fn remote_close_notify_still_lets_backlog_flush() {
    everywhere(|world| {
        pair(
            world,
            |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(&bytes(300_000));
                }
            },
            |on, transport, _| {
                if on == On::Made {
                    transport.write(b"all, please");
                    transport.write_eof();
                }
            },
        );
        world.quiet();
        world.told("c", &["made", "data 300000 bytes", "eof", "lost"]);
        assert!(world.journal().bytes_of("c") == bytes(300_000));
        let said = world.journal().of("s1");
        assert_eq!(said.last().map(String::as_str), Some("lost"), "{said:?}");
        assert!(said.contains(&"eof".to_owned()), "{said:?}");
    });
}

#[test]
fn half_close_works_as_on_tcp() {
    everywhere(|world| {
        pair(world, listen_only, |on, transport, _| match on {
            On::Made => transport.write_eof(),
            On::Data(_) => transport.close(),
            _ => {}
        });
        // This server's protocols close after the end: what they wrote before arrives all the same.
        world.quiet();
        world.told("s1", &["made", "eof", "lost"]);
        world.told("c", &["made", "eof", "lost"]);
    });
}

/// A server that pauses whenever it gets something, a client that sends `count` bytes and its end at once: nothing may be
/// lost, and nothing may come while paused.
fn check_pauses(count: usize) {
    everywhere(|world| {
        pair(
            world,
            |on, transport, journal| {
                if let On::Data(data) = on {
                    journal.note("pieces", data.len().to_string());
                    transport.pause_reading();
                }
            },
            listen_only,
        );
        world.quiet();
        world.with("c", |transport| {
            transport.write(&bytes(count));
            transport.close();
        });
        for round in 0..10_000 {
            world.quiet();
            if world.journal().is_lost("s1") {
                break;
            }
            assert!(world.journal().of("pieces").len() <= round + 1, "data came while reading was paused");
            world.with("s1", |transport| transport.resume_reading());
        }
        let expected =
            if count <= 64 { format!("data {}", bytes(count).escape_ascii()) } else { format!("data {count} bytes") };
        world.told("s1", &["made", &expected, "eof", "lost"]);
        assert!(world.journal().bytes_of("s1") == bytes(count));
    });
}

#[test]
fn pause_while_tls_data_is_buffered_loses_nothing() {
    check_pauses(1);
    check_pauses(20_000);
    check_pauses(200_000);
}

#[test]
fn pause_in_connection_made_loses_nothing_of_the_same_flight() {
    // With the client's last word of the handshake come data, and perhaps its end.
    for (ends, expected) in [(false, &["made", "data hello"][..]), (true, &["made", "data hello", "eof", "lost"])] {
        calmly(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| {
                Recorder::new(name, |on, transport, _| {
                    if on == On::Made {
                        transport.pause_reading();
                    }
                })
            });
            let mut forger = Forger::on(world.connect(), authority.client(NAME));
            forger.shake_hands_but_for_the_last_word(world);
            let mut flight = forger.records();
            flight.extend(forger.record(b"hello"));
            if ends {
                flight.extend(forger.close_notify());
            }
            world.send(forger.client, &flight);
            if ends {
                world.half_close(forger.client);
            }
            world.quiet();
            world.told("s1", &["made"]);
            world.with("s1", |transport| transport.resume_reading());
            world.quiet();
            world.told("s1", expected);
        });
    }
}

/// Callbacks do not nest, nor does what leads to them: a loop of 10,000 connections has one stack.
#[test]
fn those_who_resume_at_once_are_called_at_the_same_depth() {
    calm(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, journal| match on {
                On::Made => transport.pause_reading(),
                On::Data(_) => journal.note("depths", format!("{:p}", &on)),
                _ => {}
            })
        });
        for _ in 0..20 {
            let id = world.dial(authority.client(NAME), Recorder::new("c", listen_only));
            // It comes with the last word of the handshake, and is decrypted with that.
            world.enter(|event_loop, _| event_loop.transport(id).expect("it is on its way").write(b"early"));
        }
        world.quiet();
        world.told("depths", &[]);
        world.enter(|event_loop, journal| {
            for number in 1..=20 {
                let id = journal.id(&format!("s{number}"));
                event_loop.transport(id).expect("it lives").resume_reading();
            }
        });
        let depths = world.journal().of("depths");
        assert_eq!(depths, vec![depths[0].clone(); 20]);
    });
}

#[test]
fn tls_watermark_counts_all_layers() {
    calmly(|world| {
        pair(world, listen_only, listen_only);
        world.quiet();
        world.with("c", |transport| transport.pause_reading());
        // One window and more: what the system has taken does not count, all the rest does.
        world.with("s1", |transport| {
            transport.write(&bytes(20_000_000));
            let waiting = transport.write_buffer_size();
            assert!((20_000_000..20_100_000).contains(&waiting), "{waiting} bytes with the cost of encryption");
            assert!(transport.is_writing_paused());
        });
        world.quiet();
        world.told("s1", &["made", "paused"]);
        world.with("c", |transport| transport.resume_reading());
        world.until("all of it", |world| world.journal().count_of("c") == 20_000_000);
        world.quiet();
        world.told("s1", &["made", "paused", "resumed"]);
        assert!(world.journal().bytes_of("c") == bytes(20_000_000));
    });
}

#[test]
fn limits_zero_on_idle_does_not_pause() {
    everywhere(|world| {
        pair(world, echo, listen_only);
        world.quiet();
        world.with("c", |transport| transport.set_write_buffer_limits(0, 0));
        world.quiet();
        world.told("c", &["made"]);
        world.told("s1", &["made"]);
    });
}

#[test]
fn shutdown_timeout_fires_if_the_peer_takes_nothing() {
    calm(|world| {
        pair(
            world,
            |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(&bytes(1_000_000));
                    transport.close();
                }
            },
            |on, transport, _| {
                if on == On::Made {
                    transport.write(b"x");
                    transport.pause_reading();
                }
            },
        );
        world.sim().run_for(Duration::from_millis(4_990));
        world.told("s1", &["made", "data x"]);
        world.sim().run_for(Duration::from_millis(100));
        world.told("s1", &["made", "data x", "lost TimedOut"]);
        world.with("c", |transport| transport.resume_reading());
        world.quiet();
        assert!(world.journal().is_lost("c"), "cut short");
        assert_eq!(world.journal().times("c", "eof"), 0, "and not taken for a clean end");
    });
}

#[test]
fn shutdown_while_reading_paused() {
    everywhere(|world| {
        pair(
            world,
            |on, transport, _| {
                if on == On::Made {
                    transport.pause_reading();
                    transport.close();
                }
            },
            listen_only,
        );
        world.quiet();
        world.told("s1", &["made", "lost"]);
        world.told("c", &["made", "eof", "lost"]);
    });
}

#[test]
fn shutdown_timeout_fires_and_timer_is_cancelled_otherwise() {
    // A peer that takes what was left to send, late but in time; then somebody else has its place in the tables.
    calm(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, _| match on {
                On::Made => transport.set_timeout(Some(Duration::from_secs(30))),
                On::Data(_) => {
                    transport.set_close_timeout(Duration::from_secs(2));
                    transport.write(&bytes(1_000_000));
                    transport.close();
                }
                _ => {}
            })
        });
        for (waits, who, end, next) in [(1_900, "s1", "lost", "s2"), (2_100, "s3", "lost TimedOut", "s4")] {
            let mut forger = Forger::connect(world, &authority);
            world.stop_reading(forger.client);
            forger.send(world, &[b"bye"], &[]);
            world.sim().run_for(Duration::from_millis(waits));
            world.go_on_reading(forger.client);
            world.quiet();
            world.told(who, &["made", "data bye", end]);
            Forger::connect(world, &authority);
            world.sim().run_for(Duration::from_secs(29));
            world.told(next, &["made"]);
            world.sim().run_for(Duration::from_secs(2));
            world.told(next, &["made", "timed out"]);
        }
    });
}

#[test]
fn close_tells_nobody_what_had_come_already() {
    // Data and the peer's end in one piece, and in the middle of them a close: asyncio calls from inside of it.
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, journal| {
                if let On::Data(_) = on {
                    journal.note("s1", "closes");
                    transport.close();
                    journal.note("s1", "has closed");
                }
            })
        });
        let mut forger = Forger::connect(world, &authority);
        let end = [forger.record(b"x"), forger.close_notify()].concat();
        forger.send(world, &[], &end);
        world.told("s1", &["made", "data x", "closes", "has closed", "lost"]);
    });
}

#[test]
fn the_peers_end_is_not_told_after_close() {
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(&bytes(FAR_TOO_MUCH));
                    transport.close();
                }
            })
        });
        let mut forger = Forger::connect(world, &authority);
        forger.hear_all(world);
        world.stop_reading(forger.client);
        forger.send(world, &[b"x"], &[]);
        // It is not done with sending yet, and now the peer has more to say, and ends.
        let end = [forger.record(b"one more"), forger.close_notify()].concat();
        forger.send(world, &[], &end);
        world.half_close(forger.client);
        world.go_on_reading(forger.client);
        world.until_lost("s1");
        world.told("s1", &["made", "data x", "lost"]);
    });
}

#[test]
fn close_slowly_throws_away_what_still_comes() {
    everywhere(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(b"bye");
                    transport.close_slowly(Duration::from_secs(5));
                }
            })
        });
        let mut forger = Forger::connect(world, &authority);
        forger.hear_all(world);
        forger.send(world, &[b"x"], &[]);
        world.told("s1", &["made", "data x"]);
        forger.send(world, &[&bytes(10_000), b"and so on"], &[]);
        let end = forger.close_notify();
        forger.send(world, &[], &end);
        world.half_close(forger.client);
        world.quiet();
        world.told("s1", &["made", "data x", "lost"]);
        assert_eq!(forger.hear_all(world), b"bye");
        assert!(forger.has_heard_the_end());
        assert_eq!(world.ending(forger.client), Some(Ending::Fin), "no reset has overtaken it");
    });
}

#[test]
fn any_method_after_the_end_is_harmless_on_tls() {
    type Call = fn(&mut Transport<'_, Journal>);
    let calls: [Call; 11] = [
        |transport| transport.close(),
        |transport| transport.abort(),
        |transport| transport.reset(),
        |transport| transport.write(b"too late"),
        |transport| transport.write_eof(),
        |transport| transport.pause_reading(),
        |transport| transport.resume_reading(),
        |transport| transport.set_write_buffer_limits(0, 0),
        |transport| transport.set_timeout(Some(Duration::ZERO)),
        |transport| assert!(transport.tls_info().is_some(), "it can still be asked"),
        |transport| assert!(transport.is_closing()),
    ];
    for end in &calls[..3] {
        let end = *end;
        everywhere(|world| {
            pair(world, listen_only, listen_only);
            world.quiet();
            world.with("s1", |transport| {
                transport.write(b"last words");
                end(transport);
                for call in calls.iter().skip(3).chain(&calls[..2]).chain(&calls[3..]) {
                    call(transport);
                }
            });
            world.quiet();
            world.told("s1", &["made", "lost"]);
            let id = world.journal().id("s1");
            world.enter(|event_loop, _| assert!(event_loop.transport(id).is_none()));
        });
    }
}
