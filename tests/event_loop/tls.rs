//! Promises about TLS: the handshake, whom it lets through, and that a protocol cannot tell it from TCP.

use std::time::Duration;

use proxy_herd::driver::sim::{HostId, Sim};
use proxy_herd::event_loop::{Security, Transport};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::stage::{LONG, address, bytes, calm, dial, in_every_weather, serve, serve_with, told};

const NAME: &str = "goloman.example";

type React = fn(On<'_>, &mut Transport<'_, Journal>, &mut Journal);

/// A server `s1` and a client `c` that trust each other.
pub(crate) fn pair(sim: &mut Sim<Journal>, server: React, client: React) -> (HostId, HostId) {
    let authority = Authority::new();
    let server = serve_with(sim, authority.server(NAME), move |name| Recorder::new(name, server));
    let host = sim.add_host("Client", Journal::default());
    dial(sim, host, authority.client(NAME), Recorder::new("c", client));
    (server, host)
}

#[test]
fn handshake_then_connection_made_with_tls_info() {
    in_every_weather(|mut sim| {
        let show: React = |on, transport, journal| {
            if on == On::Made {
                let info = transport.tls_info().expect("it is TLS");
                let shown = format!("{:?} {:?} {}", info.version, info.server_name, info.peer_certificates.is_some());
                let who = if info.server_name.is_some() { "s1" } else { "c" };
                journal.note(who, shown);
            }
        };
        let (server, client) = pair(&mut sim, show, show);
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "Some(TLSv1_3) Some(\"goloman.example\") false"]);
        told(&sim, client, "c", &["made", "Some(TLSv1_3) None true"]);
    });
}

#[test]
fn a_conversation_is_the_same_as_on_tcp() {
    in_every_weather(|mut sim| {
        let (server, client) = pair(&mut sim, echo, |on, transport, journal| match on {
            On::Made => transport.write(&bytes(60_000)),
            On::Data(_) if journal.bytes_of("c").len() == 60_000 => transport.write_eof(),
            _ => {}
        });
        sim.run_for(Duration::from_secs(30));
        assert!(sim.state(server).bytes_of("s1") == bytes(60_000));
        assert!(sim.state(client).bytes_of("c") == bytes(60_000));
        told(&sim, server, "s1", &["made", "data 60000 bytes", "eof", "lost"]);
        told(&sim, client, "c", &["made", "data 60000 bytes", "eof", "lost"]);
    });
}

#[test]
fn data_in_the_same_flight_as_finished_is_delivered() {
    in_every_weather(|mut sim| {
        let (server, _) = pair(&mut sim, listen_only, |on, transport, _| {
            if on == On::Made {
                transport.write(b"first");
            }
        });
        sim.run_for(LONG);
        told(&sim, server, "s1", &["made", "data first"]);
    });
}

#[test]
fn what_is_written_before_the_handshake_is_sent_after_it() {
    for (data, end) in [(200_000, false), (200_000, true), (0, true)] {
        in_every_weather(|mut sim| {
            let authority = Authority::new();
            let server = serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, listen_only));
            let host = sim.add_host("Client", Journal::default());
            let id = dial(&mut sim, host, authority.client(NAME), Recorder::new("c", listen_only));
            sim.enter(host, |event_loop, _| {
                let mut transport = event_loop.transport(id).expect("it is on its way");
                transport.write(&bytes(data));
                assert!(transport.write_buffer_size() >= data, "what waits is counted");
                assert_eq!(transport.is_writing_paused(), data > 0);
                if end {
                    transport.write_eof();
                }
            });
            sim.run_for(Duration::from_secs(30));
            let told = sim.state(server).of("s1");
            assert!(sim.state(server).bytes_of("s1") == bytes(data), "{data} {end}: {told:?}");
            assert_eq!(told.contains(&"eof".to_owned()), end, "{told:?}");
        });
    }
}

/// A client that trusts `trusted` and expects `expected`, a server of another kind: both learn why it fails.
fn check_refusal(client: &Authority, server: &Authority, expected: &str, reason: &str) {
    in_every_weather(|mut sim| {
        let serving = serve_with(&mut sim, server.server(NAME), |name| Recorder::new(name, listen_only));
        let host = sim.add_host("Client", Journal::default());
        dial(&mut sim, host, client.client(expected), Recorder::new("c", listen_only));
        sim.run_for(LONG);
        told(&sim, host, "c", &["lost InvalidData"]);
        assert!(sim.state(host).of("c").concat().contains(reason), "{:?}", sim.state(host).of("c"));
        told(&sim, serving, "s1", &["lost InvalidData"]);
    });
}

#[test]
fn bad_certificate_no_connection_made() {
    let (one, other) = (Authority::new(), Authority::new());
    check_refusal(&one, &other, NAME, "BadSignature");
    check_refusal(&one, &one, "hands.example", "not valid for name");
}

#[test]
fn garbage_instead_of_hello_sends_alert() {
    in_every_weather(|mut sim| {
        let server = serve_with(&mut sim, Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = sim.connect(address());
        sim.send(client, b"GET / HTTP/1.0\r\n\r\n");
        sim.run_for(LONG);
        told(&sim, server, "s1", &["lost InvalidData"]);
        assert_eq!(sim.received(client).first(), Some(&0x15), "an alert record");
        // A reset, if the rest of the request came later.
        assert!(sim.ending(client).is_some());
    });
}

#[test]
fn plain_tcp_at_either_end_fails_with_a_reason() {
    in_every_weather(|mut sim| {
        serve(&mut sim, |on, transport, _| {
            if on == On::Made {
                transport.write(b"220 welcome to plain text\r\n");
            }
        });
        let host = sim.add_host("Client", Journal::default());
        dial(&mut sim, host, Authority::new().client(NAME), Recorder::new("c", listen_only));
        sim.run_for(LONG);
        told(&sim, host, "c", &["lost InvalidData"]);
    });
}

#[test]
fn peer_eof_in_handshake() {
    in_every_weather(|mut sim| {
        let server = serve_with(&mut sim, Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = sim.connect(address());
        sim.half_close(client);
        sim.run_for(LONG);
        told(&sim, server, "s1", &["lost UnexpectedEof"]);
    });
}

#[test]
fn handshake_timeout_aborts_and_reports() {
    // A client that is silent, and one that keeps the handshake alive by dripping a hello of 512 bytes.
    for drips in [false, true] {
        let mut sim = calm();
        let server = serve_with(&mut sim, Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = sim.connect(address());
        let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], [0; 20].as_slice()].concat();
        for second in 0..10 {
            told(&sim, server, "s1", &[]);
            if drips {
                sim.send(client, &hello[second..=second]);
            }
            sim.run_for(Duration::from_secs(1));
        }
        sim.run_for(Duration::from_millis(10));
        told(&sim, server, "s1", &["lost TimedOut"]);
        assert!(sim.ending(client).is_some());
    }
    // A server that is silent.
    let mut sim = calm();
    serve(&mut sim, listen_only);
    let host = sim.add_host("Client", Journal::default());
    dial(&mut sim, host, Authority::new().client(NAME), Recorder::new("c", listen_only));
    sim.run_for(Duration::from_millis(9_990));
    told(&sim, host, "c", &[]);
    sim.run_for(Duration::from_millis(20));
    told(&sim, host, "c", &["lost TimedOut"]);
}

#[test]
fn close_during_handshake_does_not_leak() {
    for micros in (0..600).step_by(50) {
        let mut sim = calm();
        let authority = Authority::new();
        let server = serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, listen_only));
        let host = sim.add_host("Client", Journal::default());
        let id = dial(&mut sim, host, authority.client(NAME), Recorder::new("c", listen_only));
        sim.run_for(Duration::from_micros(micros));
        sim.enter(host, |event_loop, _| event_loop.transport(id).expect("nothing has ended it").close());
        sim.run_for(LONG);
        let told = sim.state(host).of("c");
        assert_eq!(told.last().map(String::as_str), Some("lost"), "{micros} µs: {told:?}");
        let server = sim.state(server);
        assert!(server.of("s1").is_empty() || server.is_lost("s1"), "{micros} µs: {:?}", server.of("s1"));
    }
}

#[test]
fn reset_in_handshake_is_reported_at_both_ends() {
    let mut sim = calm();
    let authority = Authority::new();
    let server = serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, listen_only));
    let host = sim.add_host("Client", Journal::default());
    dial(&mut sim, host, authority.client(NAME), Recorder::new("c", listen_only));
    sim.run_for(Duration::from_micros(250));
    sim.cut(host, server);
    sim.run_for(LONG);
    told(&sim, host, "c", &["lost ConnectionReset"]);
    told(&sim, server, "s1", &["lost ConnectionReset"]);
}

#[test]
fn plain_security_has_no_tls_info() {
    let mut sim = calm();
    let server = serve(&mut sim, |_, transport, journal| {
        journal.note("s1", format!("{}", transport.tls_info().is_none()));
    });
    let host = sim.add_host("Client", Journal::default());
    dial(&mut sim, host, Security::Plain, Recorder::new("c", listen_only));
    sim.run_for(LONG);
    told(&sim, server, "s1", &["made", "true"]);
}
