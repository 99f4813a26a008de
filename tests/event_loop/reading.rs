//! Promises about `connection_made`, `data_received`, `eof_received`, and reading that is paused.

use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::ServerSecurity;

use crate::recorder::{On, Recorder, echo, listen_only};
use crate::stage::{LONG, address, bytes, calm, check, in_every_weather, serve, serve_with, told, with};

#[test]
fn connection_made_before_any_data_even_if_data_already_queued() {
    check(
        listen_only,
        |sim, client| {
            sim.send(client, b"hello");
            sim.half_close(client);
        },
        &["made", "data hello", "eof", "lost"],
    );
}

#[test]
fn everything_comes_in_order_and_once() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, listen_only);
        let client = sim.connect(address());
        sim.send(client, &bytes(300_000));
        sim.half_close(client);
        assert!(sim.run_until(Duration::from_secs(60), |sim| sim.state(host).is_lost("s1")));
        assert!(sim.state(host).bytes_of("s1") == bytes(300_000));
        assert_eq!(sim.ending(client), None, "the FIN is still on its way");
        sim.run_for(LONG);
        assert_eq!(sim.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn one_read_per_connection_per_iteration() {
    let mut sim = calm();
    let host = serve(&mut sim, |on, transport, journal| {
        if let On::Data(data) = on {
            let who = if transport.id() == journal.id("s1") { 1 } else { 2 };
            assert!(data.len() <= 64 * 1024);
            journal.note("reads", format!("{who} at {:?}", transport.event_loop().now()));
        }
    });
    for client in [sim.connect(address()), sim.connect(address())] {
        sim.send(client, &bytes(1024 * 1024));
    }
    sim.run_for(LONG);
    let reads = sim.state(host).of("reads");
    assert!(reads.len() >= 32, "at most 64 KiB at once");
    let mut unique = reads.clone();
    unique.dedup();
    assert_eq!(unique.len(), reads.len(), "two reads of one connection in one turn");
    let alternate = reads.windows(2).filter(|pair| pair[0][..1] != pair[1][..1]).count();
    assert!(alternate >= 30, "they take turns: {reads:#?}");
}

#[test]
fn pause_in_connection_made_holds() {
    check(
        |on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        },
        |sim, client| {
            sim.send(client, b"hello");
            sim.half_close(client);
        },
        &["made"],
    );
}

#[test]
fn resume_delivers_backlog_then_eof_then_lost_in_order() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, _| {
            if let On::Data(_) = on {
                transport.pause_reading();
            }
        });
        let client = sim.connect(address());
        sim.send(client, b"x");
        sim.run_for(LONG);
        sim.send(client, b"yz");
        sim.half_close(client);
        sim.run_for(LONG);
        told(&sim, host, "s1", &["made", "data x"]);
        for _ in 0..10 {
            if !sim.state(host).is_lost("s1") {
                with(&mut sim, host, "s1", |transport| transport.resume_reading());
                sim.run_for(LONG);
            }
        }
        told(&sim, host, "s1", &["made", "data xyz", "eof", "lost"]);
    });
}

#[test]
fn pause_other_transport_in_same_batch_holds() {
    let mut sim = calm();
    // Whoever is first to get data silences the other.
    let host = serve(&mut sim, |on, transport, journal| {
        if let On::Data(_) = on {
            for other in ["s1", "s2"].map(|name| journal.id(name)) {
                if other != transport.id() {
                    transport.event_loop().transport(other).expect("both live").pause_reading();
                }
            }
        }
    });
    let clients = [sim.connect(address()), sim.connect(address())];
    sim.run_for(LONG);
    for client in clients {
        sim.send(client, b"hello");
    }
    sim.run_for(LONG);
    assert_eq!(sim.state(host).all(), ["s1 made", "s2 made", "s1 data hello"]);
    with(&mut sim, host, "s2", |transport| transport.resume_reading());
    sim.run_for(LONG);
    told(&sim, host, "s2", &["made", "data hello"]);
}

#[test]
fn pause_resume_idempotent_and_noop_when_closing() {
    check(
        |on, transport, _| match on {
            On::Made => {
                transport.pause_reading();
                transport.pause_reading();
                transport.resume_reading();
                transport.resume_reading();
            }
            On::Data(_) => {
                transport.close();
                transport.pause_reading();
                transport.resume_reading();
            }
            _ => {}
        },
        |sim, client| {
            sim.send(client, b"x");
            sim.run_for(LONG);
            sim.send(client, b"lost in the post");
        },
        &["made", "data x", "lost"],
    );
}

#[test]
fn rst_gives_lost_with_reset_error_and_no_eof() {
    check(
        listen_only,
        |sim, client| {
            sim.send(client, b"x");
            sim.run_for(LONG);
            sim.reset(client);
        },
        &["made", "data x", "lost ConnectionReset"],
    );
}

#[test]
fn a_reset_is_told_though_reading_is_paused() {
    check(
        |on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        },
        |sim, client| {
            sim.run_for(LONG);
            sim.reset(client);
        },
        &["made", "lost ConnectionReset"],
    );
}

#[test]
fn eof_close_sends_what_waits_first() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, _| {
            if on == On::Eof {
                transport.write(&bytes(200_000));
            }
        });
        let client = sim.connect(address());
        sim.half_close(client);
        sim.run_for(Duration::from_secs(30));
        assert!(sim.received(client) == bytes(200_000), "{} bytes came", sim.received(client).len());
        assert_eq!(sim.ending(client), Some(Ending::Fin));
        assert!(sim.state(host).is_lost("s1"));
    });
}

#[test]
fn eof_keep_open_leaves_writing_open() {
    in_every_weather(|mut sim| {
        let host = serve_with(&mut sim, ServerSecurity::Plain, |name| Recorder::new(name, echo).that_stays());
        let client = sim.connect(address());
        sim.send(client, b"question");
        sim.half_close(client);
        sim.run_for(LONG);
        told(&sim, host, "s1", &["made", "data question", "eof"]);
        with(&mut sim, host, "s1", |transport| transport.write(b", answered later"));
        sim.run_for(LONG);
        assert_eq!((sim.received(client), sim.ending(client)), (b"question, answered later".as_slice(), None));
        with(&mut sim, host, "s1", |transport| transport.close());
        sim.run_for(LONG);
        assert_eq!(sim.ending(client), Some(Ending::Fin));
        told(&sim, host, "s1", &["made", "data question", "eof", "lost"]);
    });
}

#[test]
fn a_client_that_reads_nothing_is_held_by_pause_reading() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, |on, transport, journal| match on {
            On::Data(_) => {
                echo(on, transport, journal);
                let waiting = transport.write_buffer_size();
                assert!(waiting <= 64 * 1024 + 64 * 1024, "{waiting} bytes wait for a client that does not read");
            }
            On::Paused => transport.pause_reading(),
            On::Resumed => transport.resume_reading(),
            _ => {}
        });
        let client = sim.connect(address());
        sim.stop_reading(client);
        sim.send(client, &bytes(1_000_000));
        sim.half_close(client);
        sim.run_for(Duration::from_secs(20));
        assert!(sim.state(host).bytes_of("s1").len() < 400_000, "the windows and the buffers are full");
        sim.go_on_reading(client);
        sim.run_for(Duration::from_secs(120));
        assert!(sim.received(client) == bytes(1_000_000), "{} bytes came", sim.received(client).len());
        assert_eq!(sim.ending(client), Some(Ending::Fin));
    });
}
