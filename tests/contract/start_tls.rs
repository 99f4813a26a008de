//! Promises about a connection that begins plain and goes on with TLS: in which order what is written leaves, what the
//! protocol is told meanwhile, and that nothing of the plain part is taken for encrypted.
//!
//! How it may fail, or be given up, is in `start_tls_failures`.

use std::time::Duration;

use proxy_herd::event_loop::{Protocol, Security, ServerSecurity, StartTls, Transport};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::tls_records::Forger;
use crate::world::{FAR_TOO_MUCH, LONG, World, bytes, calm, calmly, everywhere};

/// What a client asks.
pub(crate) const PLEASE: &[u8] = b"STARTTLS\n";

/// What it is answered.
pub(crate) const GO: &[u8] = b"go\n";

/// Waits for some words, answers, and begins with TLS, all that came behind the words being TLS. Another protocol takes
/// over at once: it is told all but what was said before.
pub(crate) struct Upgrade {
    words: Vec<u8>,
    answer: &'static [u8],
    start: StartTls,
    then: Option<Recorder>,
    heard: Vec<u8>,
}

impl Upgrade {
    /// The end that is asked.
    pub(crate) fn when_asked(start: StartTls, then: Recorder) -> Self {
        Self { words: PLEASE.to_vec(), answer: GO, start, then: Some(then), heard: Vec::new() }
    }

    /// The end that has asked.
    pub(crate) fn when_answered(start: StartTls, then: Recorder) -> Self {
        Self { words: GO.to_vec(), answer: b"", ..Self::when_asked(start, then) }
    }
}

impl Protocol<Journal> for Upgrade {
    fn connection_made(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.then.as_mut().expect("it waits").connection_made(transport, journal);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal, data: &[u8]) {
        self.heard.extend_from_slice(data);
        if let Some(leftover) = self.heard.strip_prefix(self.words.as_slice()) {
            transport.set_protocol(self.then.take().expect("nothing is told to who was replaced"));
            transport.write(self.answer);
            transport.start_tls(self.start.clone(), leftover);
        }
    }
}

/// A server `s1` that is asked to begin, and takes it from there with `react`.
pub(crate) fn serve<R>(world: &mut dyn World, start: StartTls, react: R)
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    world.serve_with(ServerSecurity::Plain, move |name| {
        Upgrade::when_asked(start.clone(), Recorder::new(name, react.clone()))
    });
}

/// Asks, and has the first word when it was answered.
fn ask<R>(start: StartTls, mut react: R) -> Upgrade
where
    R: FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + Clone + 'static,
{
    let recorder = Recorder::new("c", move |on, transport, journal| match on {
        On::Made => transport.write(PLEASE),
        on => react(on, transport, journal),
    });
    Upgrade::when_answered(start, recorder)
}

/// A client that was answered, and plays the rest by hand.
pub(crate) fn forger(world: &mut dyn World, authority: &Authority) -> Forger {
    let client = world.connect();
    world.send(client, PLEASE);
    world.quiet();
    assert_eq!(world.take_received(client), GO);
    Forger::on(client, authority.client(NAME))
}

fn is_encrypted(transport: &Transport<'_, Journal>) -> bool {
    transport.tls_info().is_some_and(|info| info.version.is_some())
}

#[test]
fn start_tls_client_server() {
    // Who has connected may be the server of TLS as well.
    for is_flipped in [false, true] {
        everywhere(|world| {
            let mut ends = Authority::new().ends(NAME);
            if is_flipped {
                ends.reverse();
            }
            let [ours, theirs] = ends;
            let note = |who: &'static str, transport: &Transport<'_, Journal>, journal: &mut Journal| {
                let info = transport.tls_info().expect("it is TLS");
                let is_server = info.server_name == Some(NAME) && info.peer_certificates.is_none();
                let is_client = info.server_name.is_none() && info.peer_certificates.is_some();
                journal.note(who, format!("{:?} {is_server} {is_client}", info.version));
            };
            serve(world, ours, move |on, transport, journal| match on {
                On::Made => assert!(transport.tls_info().is_none()),
                On::TlsStarted => note("s1", transport, journal),
                on => echo(on, transport, journal),
            });
            let client = ask(theirs, move |on, transport, journal| match on {
                On::TlsStarted => {
                    note("c", transport, journal);
                    transport.write(&bytes(60_000));
                }
                On::Data(_) if journal.count_of("c") == 60_000 => transport.close(),
                _ => {}
            });
            world.dial(Security::Plain, client);
            world.quiet();
            let tls_server = "Some(TLSv1_3) true false";
            let tls_client = "Some(TLSv1_3) false true";
            let [ours, theirs] = if is_flipped { [tls_client, tls_server] } else { [tls_server, tls_client] };
            world.told("s1", &["made", "tls started", ours, "data 60000 bytes", "eof", "lost"]);
            world.told("c", &["made", "tls started", theirs, "data 60000 bytes", "lost"]);
            assert!(world.journal().bytes_of("c") == bytes(60_000));
        });
    }
}

#[test]
fn start_tls_keeps_the_protocol_unless_told_otherwise() {
    everywhere(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        world.serve(move |on, transport, _| {
            if on == On::Made {
                transport.start_tls(ours.clone(), b"");
            }
        });
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        forger.shake_hands(world);
        forger.send(world, &[b"hello"], &[]);
        world.told("s1", &["made", "tls started", "data hello"]);
    });
}

#[test]
fn start_tls_with_buffered_client_hello() {
    calmly(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        serve(world, ours, echo);
        let mut count = 0;
        // After so many bytes a pause: among the words, behind them, in the record's header, in the hello, never.
        for cut in [0, 3, 9, 10, 13, 14, 15, 100] {
            let client = world.connect();
            let mut forger = Forger::on(client, authority.client(NAME));
            let words = [PLEASE, &forger.records()].concat();
            let (now, later) = words.split_at(cut);
            world.send(client, now);
            world.quiet();
            world.send(client, later);
            world.quiet();
            let answer = world.take_received(client);
            forger.hear(answer.strip_prefix(GO).expect("it was answered in plain words"));
            forger.shake_hands(world);
            forger.send(world, &[b"hello"], &[]);
            assert_eq!(forger.hear_all(world), b"hello", "cut after {cut}");
            count += 1;
            world.told(&format!("s{count}"), &["made", "tls started", "data hello"]);
        }
    });
}

#[test]
fn start_tls_while_write_paused() {
    everywhere(|world| {
        let authority = Authority::new();
        let [ours, theirs] = authority.ends(NAME);
        world.serve(move |on, transport, _| match on {
            On::Made => transport.write(&bytes(1_000_000)),
            On::Paused if !is_encrypted(transport) => {
                transport.write(GO);
                transport.start_tls(ours.clone(), b"");
                assert!(transport.is_writing_paused());
            }
            On::Resumed => transport.write(&bytes(1_000_000)),
            _ => {}
        });
        let mut client = Upgrade::when_answered(theirs, Recorder::new("c", listen_only));
        client.words.splice(..0, bytes(1_000_000));
        world.dial(Security::Plain, client);
        world.until("all of it", |world| world.journal().count_of("c") >= 1_000_000);
        let told = world.journal().of("s1");
        assert_eq!(told[..5], ["made", "paused", "tls started", "resumed", "paused"], "{told:?}");
        assert!(world.journal().bytes_of("c").starts_with(&bytes(1_000_000)), "it was encrypted after it");
    });
}

#[test]
fn what_is_written_before_leaves_plain_and_what_is_written_after_it_encrypted() {
    everywhere(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        world.serve(move |on, transport, _| match on {
            On::Made => {
                transport.write(GO);
                transport.start_tls(ours.clone(), b"");
                transport.write(b"early ");
                assert_eq!(transport.write_buffer_size(), GO.len() + 6, "what waits is counted");
            }
            On::TlsStarted => transport.write(b"late "),
            On::Woken => transport.write(b"middle "),
            _ => {}
        });
        let client = world.connect();
        world.quiet();
        assert_eq!(world.take_received(client), GO, "and nothing else before the handshake");
        let id = world.journal().id("s1");
        world.enter(|event_loop, _| event_loop.wake(id));
        world.quiet();
        assert_eq!(world.received(client), b"");
        world.told("s1", &["made", "woken"]);
        let mut forger = Forger::on(client, authority.client(NAME));
        let hello = forger.records();
        world.send(client, &hello);
        world.quiet();
        let flight = world.take_received(client);
        assert_eq!(flight[0], 22, "a handshake record");
        forger.hear(&flight);
        forger.shake_hands(world);
        assert_eq!(forger.hear_all(world), b"early middle late ");
        world.told("s1", &["made", "woken", "tls started"]);
    });
}

#[test]
fn reading_that_was_paused_before_start_tls_does_not_hold_the_handshake() {
    everywhere(|world| {
        let authority = Authority::new();
        world.serve(|on, transport, _| {
            if on == On::Made {
                transport.pause_reading();
            }
        });
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        let hello = forger.records();
        world.send(forger.client, &hello);
        // It is there already when TLS begins: the system reports it once.
        world.quiet();
        let [ours, _] = authority.ends(NAME);
        world.with("s1", |transport| transport.start_tls(ours, b""));
        world.quiet();
        forger.shake_hands(world);
        forger.send(world, &[b"hello"], &[]);
        world.told("s1", &["made", "tls started"]);
        world.with("s1", |transport| transport.resume_reading());
        world.quiet();
        world.told("s1", &["made", "tls started", "data hello"]);
    });
}

#[test]
fn pause_reading_during_start_tls_holds_what_comes_after_it() {
    // At once, while the handshake is under way, and when it is done.
    for when in 0..3 {
        calmly(|world| {
            let authority = Authority::new();
            let [ours, _] = authority.ends(NAME);
            serve(world, ours, move |on, transport, _| {
                if on == On::TlsStarted && when == 2 {
                    transport.pause_reading();
                }
            });
            let mut forger = forger(world, &authority);
            if when == 0 {
                world.with("s1", |transport| transport.pause_reading());
            }
            forger.shake_hands_but_for_the_last_word(world);
            if when == 1 {
                world.with("s1", |transport| transport.pause_reading());
            }
            let flight = [forger.records(), forger.record(b"hello"), forger.close_notify()].concat();
            world.send(forger.client, &flight);
            world.half_close(forger.client);
            world.quiet();
            world.told("s1", &["made", "tls started"]);
            world.with("s1", |transport| transport.resume_reading());
            world.quiet();
            world.told("s1", &["made", "tls started", "data hello", "eof", "lost"]);
        });
    }
}

#[test]
fn write_eof_during_start_tls_follows_what_was_written() {
    everywhere(|world| {
        let [ours, theirs] = Authority::new().ends(NAME);
        serve(world, ours, |on, transport, _| {
            if on == On::TlsStarted {
                transport.write(b"too late");
            }
        });
        world.dial(Security::Plain, ask(theirs, listen_only));
        world.until("c is told", |world| world.journal().times("c", "tls started") == 1);
        world.with("c", |transport| {
            transport.write(b"last words");
            transport.write_eof();
        });
        world.quiet();
        world.told("s1", &["made", "tls started", "data last words", "eof", "lost"]);
    });
    calmly(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        serve(world, ours, |on, transport, _| {
            if on == On::TlsStarted {
                transport.write(b"too late");
            }
        });
        let mut forger = forger(world, &authority);
        world.with("s1", |transport| {
            transport.write(b"last words");
            transport.write_eof();
            transport.write_eof();
        });
        forger.shake_hands(world);
        assert_eq!(forger.hear_all(world), b"last words");
        assert!(forger.has_heard_the_end());
        // Its half only.
        forger.send(world, &[b"hello"], &[]);
        world.told("s1", &["made", "tls started", "data hello"]);
    });
}

#[test]
fn a_timeout_is_taken_back_by_start_tls() {
    calm(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        world.serve(move |on, transport, _| match on {
            On::Made => {
                transport.set_timeout(Some(Duration::from_secs(1)));
                transport.start_tls(ours.clone(), b"");
            }
            On::TlsStarted => transport.write(b"hello"),
            _ => {}
        });
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        world.sim().run_for(Duration::from_secs(5));
        world.told("s1", &["made"]);
        forger.shake_hands(world);
        // Neither that one nor the handshake's: it is idle for as long as it likes.
        world.sim().run_for(Duration::from_secs(60));
        world.told("s1", &["made", "tls started"]);
    });
}

#[test]
fn a_timeout_set_after_start_tls_is_the_protocols_again() {
    calm(|world| {
        let authority = Authority::new();
        let [ours, _] = authority.ends(NAME);
        serve(world, ours, |on, transport, _| {
            if on == On::TlsStarted {
                transport.set_timeout(Some(LONG));
            }
        });
        let mut forger = forger(world, &authority);
        forger.shake_hands(world);
        world.sim().run_for(LONG);
        world.told("s1", &["made", "tls started", "timed out"]);
    });
}

#[test]
fn start_tls_means_nothing_after_the_end_and_the_second_time() {
    everywhere(|world| {
        let [ours, _] = Authority::new().ends(NAME);
        world.serve(move |on, transport, _| {
            if on == On::Made {
                transport.start_tls(ours.clone(), b"");
                transport.start_tls(ours.clone(), b"no hello");
                transport.close();
                transport.start_tls(ours.clone(), b"");
            }
        });
        let client = world.connect();
        world.quiet();
        world.told("s1", &["made", "lost"]);
        assert!(world.ending(client).is_some());
    });
}

/// So much is said in plain text by who is asked, then so much by both. Who is asked lets the hello wait, perhaps; and who
/// writes early does not wait for the handshake.
fn check_bytes(plain: usize, sealed: usize, waits: bool, early: bool) {
    let speak = move |transport: &mut Transport<'_, Journal>| {
        transport.write(&bytes(sealed));
        transport.write_eof();
    };
    let begin = move |transport: &mut Transport<'_, Journal>, start: &StartTls| {
        transport.start_tls(start.clone(), b"");
        if early {
            speak(transport);
        }
    };
    everywhere(|world| {
        let [ours, theirs] = Authority::new().ends(NAME);
        let server = ours.clone();
        world.serve(move |on, transport, _| match on {
            On::Made => transport.set_write_buffer_limits(FAR_TOO_MUCH, 0),
            On::Data(b"?") => {
                transport.write(&bytes(plain));
                if waits { transport.pause_reading() } else { begin(transport, &server) }
            }
            On::TlsStarted if !early => speak(transport),
            _ => {}
        });
        let client = Recorder::new("c", move |on, transport, journal| match on {
            On::Made => {
                transport.set_write_buffer_limits(FAR_TOO_MUCH, 0);
                transport.write(b"?");
            }
            On::Data(_) if journal.count_of("c") == plain => begin(transport, &theirs),
            On::TlsStarted if !early => speak(transport),
            _ => {}
        });
        world.dial(Security::Plain, client);
        world.quiet();
        if waits {
            world.with("s1", |transport| {
                begin(transport, &ours);
                transport.resume_reading();
            });
            world.quiet();
        }
        for (who, heard) in [("s1", "data ?"), ("c", &format!("data {plain} bytes"))] {
            world.told(who, &["made", heard, "tls started", &format!("data {sealed} bytes"), "eof", "lost"]);
        }
        assert!(world.journal().bytes_of("c") == [bytes(plain), bytes(sealed)].concat());
        assert!(world.journal().bytes_of("s1") == [b"?".to_vec(), bytes(sealed)].concat());
    });
}

#[test]
fn start_tls_keeps_every_byte_in_its_place() {
    for (plain, sealed) in [(100, 100), (100, 100_000), (200_000, 100), (200_000, 100_000)] {
        for (waits, early) in [(false, false), (false, true), (true, false), (true, true)] {
            check_bytes(plain, sealed, waits, early);
        }
    }
}
