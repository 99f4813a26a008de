//! Promises about the ends of TLS connections, about data held back, and about the cost of encryption in the marks.

use std::time::Duration;

use proxy_herd::driver::sim::{Sim, Weather};

use crate::recorder::{On, echo, listen_only};
use crate::stage::{LONG, bytes, calm, in_every_weather, told, with};
use crate::tls::pair;

#[test]
fn close_says_close_notify() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(
            &mut sim,
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
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "data hello", "lost"]);
        told(&sim, client, "c", &["made", "data bye", "eof", "lost"]);
    });
}

#[test]
fn truncation_is_distinguishable() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(&mut sim, listen_only, |on, transport, _| {
            if on == On::Made {
                transport.write(b"half of a sen");
            }
        });
        sim.run_for(LONG);
        // A process that ends without closing: its system sends a FIN, but nobody says close_notify.
        sim.enter(client, |event_loop, _| event_loop.stop());
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "data half of a sen", "lost UnexpectedEof"]);
    });
}

#[test]
fn data_after_close_is_discarded_and_lost_none() {
    in_every_weather(|mut sim| {
        let (server, _) = pair(
            &mut sim,
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
        sim.run_for(LONG);
        let told = sim.state(server).of("s1");
        assert_eq!((told.len(), told[0].as_str(), told[2].as_str()), (3, "made", "lost"), "{told:?}");
        let got = sim.state(server).bytes_of("s1").len();
        assert!(got < 100_000, "{got} bytes: one call, and no more after close");
    });
}

#[test]
fn flush_before_shutdown() {
    const SIZE: usize = 4 * 1024 * 1024;
    for seed in 0..3 {
        let weather = Weather { latency: Duration::from_micros(10)..=Duration::from_micros(500), ..Weather::rough() };
        let mut sim = Sim::new(seed, weather);
        let (server, client) = pair(
            &mut sim,
            |on, transport, _| {
                if on == On::Made {
                    transport.set_close_timeout(Duration::from_secs(60));
                    transport.write(&bytes(SIZE));
                    transport.close();
                }
            },
            // A slow reader: after each piece a pause.
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
        sim.run_for(Duration::from_secs(60));
        assert!(sim.state(client).bytes_of("c") == bytes(SIZE), "{} bytes", sim.state(client).bytes_of("c").len());
        told(&sim, client, "c", &["made", "data 4194304 bytes", "eof", "lost"]);
        told(&sim, server, "s1", &["made", "lost"]);
    }
}

#[test]
fn remote_close_notify_still_lets_backlog_flush() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(
            &mut sim,
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
        sim.run_for(Duration::from_secs(30));
        told(&sim, client, "c", &["made", "data 300000 bytes", "eof", "lost"]);
        assert!(sim.state(client).bytes_of("c") == bytes(300_000));
        let said = sim.state(server).of("s1");
        assert_eq!(said.last().map(String::as_str), Some("lost"), "{said:?}");
        assert!(said.contains(&"eof".to_owned()), "{said:?}");
    });
}

#[test]
fn half_close_works_as_on_tcp() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(&mut sim, listen_only, |on, transport, _| match on {
            On::Made => transport.write_eof(),
            On::Data(_) => transport.close(),
            _ => {}
        });
        // This server's protocols close after the end: what they wrote before arrives all the same.
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "eof", "lost"]);
        told(&sim, client, "c", &["made", "eof", "lost"]);
    });
}

/// A server that pauses whenever it gets something, a client that sends `count` bytes and its end at once: nothing may be
/// lost, and nothing may come while paused.
fn check_pauses(count: usize) {
    in_every_weather(|mut sim| {
        let (server, client) = pair(
            &mut sim,
            |on, transport, journal| {
                if let On::Data(data) = on {
                    journal.note("pieces", data.len().to_string());
                    transport.pause_reading();
                }
            },
            listen_only,
        );
        sim.run_for(LONG);
        with(&mut sim, client, "c", |transport| {
            transport.write(&bytes(count));
            transport.close();
        });
        for round in 0..10_000 {
            sim.run_for(Duration::from_millis(50));
            if sim.state(server).is_lost("s1") {
                break;
            }
            assert!(sim.state(server).of("pieces").len() <= round + 1, "data came while reading was paused");
            with(&mut sim, server, "s1", |transport| transport.resume_reading());
        }
        let expected =
            if count <= 64 { format!("data {}", bytes(count).escape_ascii()) } else { format!("data {count} bytes") };
        told(&sim, server, "s1", &["made", &expected, "eof", "lost"]);
        assert!(sim.state(server).bytes_of("s1") == bytes(count));
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
    let mut sim = calm();
    let (server, client) = pair(&mut sim, listen_only, listen_only);
    sim.run_for(LONG);
    with(&mut sim, client, "c", |transport| transport.pause_reading());
    // One window and more: what the system has taken does not count, all the rest does.
    with(&mut sim, server, "s1", |transport| {
        transport.write(&bytes(20_000_000));
        let waiting = transport.write_buffer_size();
        assert!((20_000_000..20_100_000).contains(&waiting), "{waiting} bytes with the cost of encryption");
        assert!(transport.is_writing_paused());
    });
    sim.run_for(LONG);
    told(&sim, server, "s1", &["made", "paused"]);
    with(&mut sim, client, "c", |transport| transport.resume_reading());
    sim.run_for(LONG);
    told(&sim, server, "s1", &["made", "paused", "resumed"]);
    assert!(sim.state(client).bytes_of("c") == bytes(20_000_000));
}

#[test]
fn limits_zero_on_idle_does_not_pause() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(&mut sim, echo, listen_only);
        sim.run_for(LONG);
        with(&mut sim, client, "c", |transport| transport.set_write_buffer_limits(0, 0));
        sim.run_for(LONG);
        told(&sim, client, "c", &["made"]);
        told(&sim, server, "s1", &["made"]);
    });
}

#[test]
fn shutdown_timeout_fires_if_the_peer_takes_nothing() {
    let mut sim = calm();
    let (server, client) = pair(
        &mut sim,
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
    sim.run_for(Duration::from_millis(4_990));
    told(&sim, server, "s1", &["made", "data x"]);
    sim.run_for(Duration::from_millis(100));
    told(&sim, server, "s1", &["made", "data x", "lost TimedOut"]);
    with(&mut sim, client, "c", |transport| transport.resume_reading());
    sim.run_for(LONG);
    assert!(sim.state(client).of("c").last().is_some_and(|line| line.starts_with("lost")), "cut short");
    assert!(!sim.state(client).of("c").contains(&"eof".to_owned()), "and not taken for a clean end");
}

#[test]
fn shutdown_while_reading_paused() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(
            &mut sim,
            |on, transport, _| {
                if on == On::Made {
                    transport.pause_reading();
                    transport.close();
                }
            },
            listen_only,
        );
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "lost"]);
        told(&sim, client, "c", &["made", "eof", "lost"]);
    });
}
