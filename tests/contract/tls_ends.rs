//! Promises about the ends of TLS connections, about data held back, and about the cost of encryption in the marks.

use std::time::Duration;

use proxy_herd::driver::sim::Weather;

use crate::certificates::Authority;
use crate::recorder::{On, Recorder, echo, listen_only};
use crate::simulated::Simulated;
use crate::tls::{NAME, pair};
use crate::tls_records::Forger;
use crate::world::{World, bytes, calm, calmly, everywhere, on_sockets};

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
