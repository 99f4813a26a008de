//! Promises about a connection that cannot go on with TLS, or is ended before it does: why is told, once, and nothing plain
//! slips through.

use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Connect, Listen, Security, ServerSecurity, Transport};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, listen_only};
use crate::start_tls::{GO, PLEASE, Upgrade, forger, serve};
use crate::tls::{NAME, pair};
use crate::tls_records::Forger;
use crate::world::{Client, FAR_TOO_MUCH, World, bytes, calm, calmly, everywhere};

/// A client that has asked and was answered does this instead of a handshake: what is the server told?
#[track_caller]
fn check_failure(play: impl Fn(&mut dyn World, Client), reason: &str) {
    everywhere(|world| {
        let [ours, _] = Authority::new().ends(NAME);
        serve(world, ours, listen_only);
        let client = world.connect();
        world.send(client, PLEASE);
        world.quiet();
        play(world, client);
        world.quiet();
        world.told("s1", &["made", reason]);
    });
}

#[test]
fn start_tls_failure_gives_connection_lost() {
    check_failure(|world, client| world.send(client, b"GET / HTTP/1.0\r\n\r\n"), "lost InvalidData");
    check_failure(|world, client| world.half_close(client), "lost UnexpectedEof");
    check_failure(|world, client| world.reset(client), "lost ConnectionReset");
    let cut = |world: &mut dyn World, client| {
        let hello = Forger::on(client, Authority::new().client(NAME)).records();
        world.send(client, &hello[..hello.len() - 1]);
        world.half_close(client);
    };
    check_failure(cut, "lost UnexpectedEof");
}

#[test]
fn start_tls_tells_both_ends_of_a_bad_certificate() {
    everywhere(|world| {
        let [ours, _] = Authority::new().ends(NAME);
        let [_, theirs] = Authority::new().ends(NAME);
        serve(world, ours, listen_only);
        let recorder = Recorder::new("c", |on, transport, _| match on {
            On::Made => transport.write(PLEASE),
            On::Woken | On::TlsStarted => transport.write(b"secret"),
            _ => {}
        });
        world.dial(Security::Plain, Upgrade::when_answered(theirs, recorder));
        world.quiet();
        world.told("s1", &["made", "lost InvalidData"]);
        world.told("c", &["made", "lost InvalidData"]);
        assert!(world.journal().of("c").concat().contains("BadSignature"), "{:?}", world.journal().of("c"));
        assert!(world.journal().of("s1").concat().contains("DecryptError"), "{:?}", world.journal().of("s1"));
    });
}

#[test]
fn start_tls_gives_the_handshake_ten_seconds_in_all() {
    // The peer is silent; it says a byte of its hello each second; the protocol sets timeouts of its own.
    for (drips, sets) in [(false, false), (true, false), (false, true)] {
        calm(|world| {
            let authority = Authority::new();
            let [ours, _] = authority.ends(NAME);
            serve(world, ours, listen_only);
            let client = world.connect();
            world.send(client, PLEASE);
            world.until("it is asked", |world| world.received(client) == GO);
            let hello = Forger::on(client, authority.client(NAME)).records();
            for second in 0..10 {
                world.told("s1", &["made"]);
                if drips {
                    world.send(client, &hello[second..=second]);
                }
                if sets {
                    world.with("s1", |transport| transport.set_timeout(Some(Duration::from_secs(60))));
                }
                world.sim().run_for(Duration::from_millis(999));
            }
            world.sim().run_for(Duration::from_millis(20));
            world.told("s1", &["made", "lost TimedOut"]);
            assert!(world.ending(client).is_some());
        });
    }
}

#[test]
fn start_tls_has_the_time_that_its_connection_gives_a_handshake() {
    // One of the two starts it, and the other never says a word.
    for (who, time) in [("s1", 3_000), ("c", 1_000)] {
        calm(|world| {
            let address = world.address();
            let [ours, _] = Authority::new().ends(NAME);
            let recorder = move |name: &str| {
                let (starts, ours) = (name == who, ours.clone());
                Recorder::new(name, move |on, transport, _| {
                    if on == On::Made && starts {
                        transport.start_tls(ours.clone(), b"");
                    }
                })
            };
            let dialling = recorder("c");
            world.enter(|event_loop, _| {
                let listen = Listen::on(address).handshake_timeout(Duration::from_secs(3));
                event_loop.listen_with(listen, move |_: &mut Journal| recorder("s1"));
                let connect = Connect::to(address).handshake_timeout(Duration::from_secs(1));
                event_loop.connect_with(connect, dialling);
            });
            world.until("connection", |world| world.journal().of(who) == ["made"]);
            world.sim().run_for(Duration::from_millis(time - 1));
            world.told(who, &["made"]);
            world.sim().run_for(Duration::from_millis(2));
            world.told(who, &["made", "lost TimedOut"]);
        });
    }
}

#[test]
fn plaintext_after_starttls_rejected() {
    let evil = b"MAIL FROM:<evil@example.com>\r\n".as_slice();
    let quit = b"QUIT".as_slice();
    for commands in [evil, quit] {
        // In one segment with the words, in the next, byte by byte; and a good hello behind them changes nothing.
        for cuts in [&[][..], &[PLEASE.len()][..], &[PLEASE.len() + 1], &[9, 10, 11, 12, 13]] {
            calmly(|world| {
                let authority = Authority::new();
                let [ours, _] = authority.ends(NAME);
                serve(world, ours, listen_only);
                let mut forger = Forger::on(world.connect(), authority.client(NAME));
                let words = [PLEASE, commands, &forger.records()].concat();
                let mut sent = 0;
                for cut in cuts.iter().chain([&words.len()]) {
                    world.send(forger.client, &words[sent..*cut]);
                    world.quiet();
                    sent = *cut;
                }
                world.told("s1", &["made", "lost InvalidData"]);
                let answer = world.received(forger.client).strip_prefix(GO).expect("it was answered");
                assert_eq!(answer.first(), Some(&21), "an alert tells the client");
            });
        }
    }
}

#[test]
fn plaintext_after_the_answer_is_rejected_by_the_client() {
    for evil in [b"250-AUTH PLAIN\r\n".as_slice(), b"\r\n"] {
        everywhere(|world| {
            // A server that somebody else puts words into the mouth of.
            world.serve(move |on, transport, journal| {
                if let On::Data(_) = on
                    && journal.bytes_of("s1") == PLEASE
                {
                    transport.writelines([GO, evil, b"and what a server of TLS says"]);
                }
            });
            let [_, theirs] = Authority::new().ends(NAME);
            let recorder = Recorder::new("c", |on, transport, _| {
                if on == On::Made {
                    transport.write(PLEASE);
                }
            });
            world.dial(Security::Plain, Upgrade::when_answered(theirs, recorder));
            world.quiet();
            world.told("c", &["made", "lost InvalidData"]);
        });
    }
}

#[test]
fn start_tls_is_refused_where_it_cannot_work() {
    let [ours, _] = Authority::new().ends(NAME);
    // After our end.
    everywhere(|world| {
        let ours = ours.clone();
        world.serve(move |on, transport, _| {
            if on == On::Made {
                transport.write_eof();
                transport.start_tls(ours.clone(), b"");
            }
        });
        world.connect();
        world.quiet();
        world.told("s1", &["made", "lost InvalidInput"]);
    });
    // After the peer's.
    everywhere(|world| {
        let ours = ours.clone();
        world.serve_with(ServerSecurity::Plain, move |name| {
            let ours = ours.clone();
            let recorder = Recorder::new(name, move |on, transport, _| {
                if on == On::Eof {
                    transport.start_tls(ours.clone(), b"");
                }
            });
            recorder.that_stays()
        });
        let client = world.connect();
        world.half_close(client);
        world.quiet();
        world.told("s1", &["made", "eof", "lost UnexpectedEof"]);
    });
    // On what is TLS already, from the start or by `start_tls`.
    everywhere(|world| {
        let again = ours.clone();
        pair(world, listen_only, listen_only);
        world.quiet();
        world.with("s1", |transport| transport.start_tls(again, b""));
        world.quiet();
        world.told("s1", &["made", "lost Unsupported"]);
    });
    everywhere(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        let again = ours.clone();
        serve(world, ours, move |on, transport, _| {
            if on == On::TlsStarted {
                transport.start_tls(again.clone(), b"");
            }
        });
        forger(world, &authority).shake_hands(world);
        world.told("s1", &["made", "tls started", "lost Unsupported"]);
    });
}

#[test]
fn a_cut_after_start_tls_is_told() {
    everywhere(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        serve(world, ours, listen_only);
        let mut forger = forger(world, &authority);
        forger.shake_hands(world);
        forger.send(world, &[b"half of a sen"], &[]);
        world.half_close(forger.client);
        world.quiet();
        world.told("s1", &["made", "tls started", "data half of a sen", "lost UnexpectedEof"]);
    });
}

#[test]
fn ends_in_the_middle_of_start_tls() {
    type End = fn(&mut Transport<'_, Journal>);
    let ends: [(End, bool); 3] = [
        (|transport| transport.close(), false),
        (|transport| transport.abort(), false),
        (|transport| transport.reset(), true),
    ];
    for (end, is_reset) in ends {
        everywhere(|world| {
            let authority = Authority::new();
            let [ours, _] = authority.ends(NAME);
            serve(world, ours, listen_only);
            let forger = forger(world, &authority);
            world.with("s1", |transport| {
                transport.write(b"secret");
                end(transport);
                assert!(transport.is_closing());
                assert_eq!(transport.write_buffer_size(), 0, "what cannot be encrypted is not sent");
            });
            world.quiet();
            world.told("s1", &["made", "lost"]);
            assert_eq!(world.received(forger.client), b"");
            let ending = if is_reset { Ending::Reset } else { Ending::Fin };
            assert_eq!(world.ending(forger.client), Some(ending));
        });
    }
}

#[test]
fn close_in_the_middle_of_start_tls_waits_for_nobody() {
    calmly(|world| {
        let [ours, _] = Authority::new().ends(NAME);
        world.serve(listen_only);
        let client = world.connect();
        world.stop_reading(client);
        world.quiet();
        world.with("s1", |transport| {
            transport.write(&bytes(FAR_TOO_MUCH));
            transport.start_tls(ours, b"");
        });
        world.quiet();
        world.with("s1", |transport| transport.close());
        world.quiet();
        world.told("s1", &["made", "lost"]);
    });
}
