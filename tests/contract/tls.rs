//! Promises about TLS: the handshake, whom it lets through, and that a protocol cannot tell it from TCP.

use std::time::Duration;

use proxy_herd::event_loop::{Security, ServerSecurity, Transport};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::world::{LONG, World, bytes, calm, everywhere};

/// Whom certificates are for.
pub(crate) const NAME: &str = "goloman.example";

type React = fn(On<'_>, &mut Transport<'_, Journal>, &mut Journal);

/// A server `s1` and a client `c` that trust each other, both on this loop.
pub(crate) fn pair(world: &mut dyn World, server: React, client: React) {
    let authority = Authority::new();
    world.serve_with(authority.server(NAME), move |name| Recorder::new(name, server));
    world.dial(authority.client(NAME), Recorder::new("c", client));
}

#[test]
fn handshake_then_connection_made_with_tls_info() {
    everywhere(|world| {
        let show: React = |on, transport, journal| {
            if on == On::Made {
                let info = transport.tls_info().expect("it is TLS");
                let shown = format!("{:?} {:?} {}", info.version, info.server_name, info.peer_certificates.is_some());
                let who = if info.server_name.is_some() { "s1" } else { "c" };
                journal.note(who, shown);
            }
        };
        pair(world, show, show);
        world.quiet();
        world.told("s1", &["made", "Some(TLSv1_3) Some(\"goloman.example\") false"]);
        world.told("c", &["made", "Some(TLSv1_3) None true"]);
    });
}

#[test]
fn a_session_that_both_remember_is_resumed() {
    everywhere(|world| {
        let show: React = |on, transport, journal| {
            if on == On::Made {
                let info = transport.tls_info().expect("it is TLS");
                let who = if info.server_name.is_some() { "server" } else { "client" };
                journal.note("all", format!("{who} {}", info.is_resumed));
            }
        };
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), move |name| Recorder::new(name, show));
        let security = authority.client_that_remembers(NAME);
        for name in ["c1", "c2"] {
            world.dial(security.clone(), Recorder::new(name, show));
            // The tickets come after the handshake.
            world.quiet();
        }
        world.told("all", &["client false", "server false", "client true", "server true"]);
    });
}

#[test]
fn a_conversation_is_the_same_as_on_tcp() {
    everywhere(|world| {
        pair(world, echo, |on, transport, journal| match on {
            On::Made => transport.write(&bytes(60_000)),
            On::Data(_) if journal.bytes_of("c").len() == 60_000 => transport.write_eof(),
            _ => {}
        });
        world.quiet();
        assert!(world.journal().bytes_of("s1") == bytes(60_000));
        assert!(world.journal().bytes_of("c") == bytes(60_000));
        world.told("s1", &["made", "data 60000 bytes", "eof", "lost"]);
        world.told("c", &["made", "data 60000 bytes", "eof", "lost"]);
    });
}

#[test]
fn data_in_the_same_flight_as_finished_is_delivered() {
    everywhere(|world| {
        pair(world, listen_only, |on, transport, _| {
            if on == On::Made {
                transport.write(b"first");
            }
        });
        world.quiet();
        world.told("s1", &["made", "data first"]);
    });
}

#[test]
fn what_is_written_before_the_handshake_is_sent_after_it() {
    for (data, end) in [(200_000, false), (200_000, true), (0, true)] {
        everywhere(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
            let id = world.dial(authority.client(NAME), Recorder::new("c", listen_only));
            world.enter(|event_loop, _| {
                let mut transport = event_loop.transport(id).expect("it is on its way");
                transport.write(&bytes(data));
                assert!(transport.write_buffer_size() >= data, "what waits is counted");
                assert_eq!(transport.is_writing_paused(), data > 0);
                if end {
                    transport.write_eof();
                }
            });
            world.quiet();
            let told = world.journal().of("s1");
            assert!(world.journal().bytes_of("s1") == bytes(data), "{data} {end}: {told:?}");
            assert_eq!(told.contains(&"eof".to_owned()), end, "{told:?}");
        });
    }
}

/// A client that trusts `trusted` and expects `expected`, a server of another kind: both learn why it fails.
fn check_refusal(client: &Authority, server: &Authority, expected: &str, reason: &str) {
    everywhere(|world| {
        world.serve_with(server.server(NAME), |name| Recorder::new(name, listen_only));
        world.dial(client.client(expected), Recorder::new("c", listen_only));
        world.quiet();
        world.told("c", &["lost InvalidData"]);
        assert!(world.journal().of("c").concat().contains(reason), "{:?}", world.journal().of("c"));
        world.told("s1", &["lost InvalidData"]);
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
    everywhere(|world| {
        world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = world.connect();
        world.send(client, b"GET / HTTP/1.0\r\n\r\n");
        world.quiet();
        world.told("s1", &["lost InvalidData"]);
        assert_eq!(world.received(client).first(), Some(&0x15), "an alert record");
        // A reset, if the rest of the request came later.
        assert!(world.ending(client).is_some());
    });
}

#[test]
fn plain_tcp_at_either_end_fails_with_a_reason() {
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if on == On::Made {
                transport.write(b"220 welcome to plain text\r\n");
            }
        });
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.quiet();
        world.told("c", &["lost InvalidData"]);
    });
}

#[test]
fn peer_eof_in_handshake() {
    everywhere(|world| {
        world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = world.connect();
        world.half_close(client);
        world.quiet();
        world.told("s1", &["lost UnexpectedEof"]);
    });
}

#[test]
fn handshake_timeout_aborts_and_reports() {
    // A client that is silent, and one that keeps the handshake alive by dripping a hello of 512 bytes.
    for drips in [false, true] {
        calm(|world| {
            world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
            let client = world.connect();
            let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], [0; 20].as_slice()].concat();
            for second in 0..10 {
                world.told("s1", &[]);
                if drips {
                    world.send(client, &hello[second..=second]);
                }
                world.sim().run_for(Duration::from_secs(1));
            }
            world.sim().run_for(Duration::from_millis(10));
            world.told("s1", &["lost TimedOut"]);
            assert!(world.ending(client).is_some());
        });
    }
    // A server that is silent.
    calm(|world| {
        world.serve(listen_only);
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.sim().run_for(Duration::from_millis(9_990));
        world.told("c", &[]);
        world.sim().run_for(Duration::from_millis(20));
        world.told("c", &["lost TimedOut"]);
    });
}

#[test]
fn close_during_handshake_does_not_leak() {
    for micros in (0..600).step_by(50) {
        calm(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
            let id = world.dial(authority.client(NAME), Recorder::new("c", listen_only));
            world.sim().run_for(Duration::from_micros(micros));
            world.enter(|event_loop, _| event_loop.transport(id).expect("nothing has ended it").close());
            world.sim().run_for(LONG);
            let told = world.journal().of("c");
            assert_eq!(told.last().map(String::as_str), Some("lost"), "{micros} µs: {told:?}");
            let accepted = world.journal().of("s1");
            assert!(accepted.is_empty() || world.journal().is_lost("s1"), "{micros} µs: {accepted:?}");
        });
    }
}

#[test]
fn reset_in_handshake_is_reported_at_both_ends() {
    everywhere(|world| {
        world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = world.connect();
        world.send(client, &[0x16, 3, 1]);
        world.quiet();
        world.told("s1", &[]);
        world.reset(client);
        world.quiet();
        world.told("s1", &["lost ConnectionReset"]);
    });
    everywhere(|world| {
        world.serve(|_, transport, _| transport.pause_reading());
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.quiet();
        world.told("c", &[]);
        // The hello was not read: closing makes that a reset.
        world.with("s1", |transport| transport.abort());
        world.quiet();
        world.told("c", &["lost ConnectionReset"]);
    });
}

#[test]
fn new_certificates_are_for_those_accepted_from_now_on() {
    everywhere(|world| {
        let [old, new] = [Authority::new(), Authority::new()];
        let listener = world.serve_with(old.server(NAME), |name| Recorder::new(name, echo));
        let dial = |world: &mut dyn World, authority: &Authority, name: &str| {
            let id = world.dial(authority.client(NAME), Recorder::new(name, listen_only));
            world.quiet();
            id
        };
        let stays = dial(world, &old, "stays");
        let late = world.connect();
        world.quiet();
        world.enter(|event_loop, _| event_loop.set_security(listener, new.server(NAME)));
        dial(world, &new, "new");
        dial(world, &old, "old");
        assert_eq!(world.journal().of("new"), ["made"]);
        world.told("old", &["lost InvalidData"]);
        // Who was accepted before goes on with the old one, in the handshake or past it.
        world.enter(|event_loop, _| event_loop.transport(stays).expect("it lives").write(b"still"));
        world.quiet();
        world.told("stays", &["made", "data still"]);
        assert_eq!(world.ending(late), None);
        world.enter(|event_loop, _| event_loop.set_security(listener, ServerSecurity::Plain));
        let plain = world.connect();
        world.send(plain, b"hello");
        world.quiet();
        assert_eq!(world.received(plain), b"hello");
        // One that is closed has nobody to protect.
        world.enter(|event_loop, _| {
            event_loop.close_listener(listener);
            event_loop.set_security(listener, old.server(NAME));
        });
    });
}

#[test]
fn plain_security_has_no_tls_info() {
    everywhere(|world| {
        world.serve(|_, transport, journal| {
            journal.note("s1", format!("{}", transport.tls_info().is_none()));
        });
        world.dial(Security::Plain, Recorder::new("c", listen_only));
        world.quiet();
        world.told("s1", &["made", "true"]);
    });
}
