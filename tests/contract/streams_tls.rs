//! Promises about streams over TLS: from the first byte, or from a word on; and that a cut shows.

use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Security, ServerSecurity, StartTls};
use proxy_herd::streams::join;

use crate::certificates::Authority;
use crate::start_tls::PLEASE;
use crate::streams_stage::{Stage, WHY};
use crate::tls::NAME;
use crate::tls_records::Forger;
use crate::world::{FAR_TOO_MUCH, World, calm, calmly, everywhere};

/// A server of actors, and the actor `c`, who has connected to it.
fn pair(world: &mut dyn World) -> Stage {
    let (stage, authority) = (Stage::new(world), Authority::new());
    stage.serve(world, authority.server(NAME), None);
    stage.dial(world, "c", authority.client(NAME), None);
    stage
}

/// A server of actors, and one who plays TLS by hand.
fn forged(world: &mut dyn World) -> (Stage, Forger) {
    let (stage, authority) = (Stage::new(world), Authority::new());
    stage.serve(world, authority.server(NAME), None);
    let forger = Forger::connect(world, &authority);
    (stage, forger)
}

/// The same, but TLS is still to be started.
fn plain(world: &mut dyn World) -> (Stage, Authority) {
    let (stage, authority) = (Stage::new(world), Authority::new());
    let [ours, _] = authority.ends(NAME);
    stage.serve(world, ServerSecurity::Plain, Some(ours));
    (stage, authority)
}

#[test]
fn tasks_talk_over_tls() {
    everywhere(|world| {
        let stage = pair(world);
        stage.direct(
            world,
            &[
                ("c: read_exact 200000", ""),
                ("s1: bytes 200000", "c 200000 bytes"),
                ("s1: drain", "s1 ok"),
                ("c: write one\ntwo", ""),
                ("s1: read_line", "s1 one\\n"),
                // Its half only: TLS can do that.
                ("c: write_eof", ""),
                ("s1: read_line", "s1 two"),
                ("s1: read_line", "s1 nothing"),
                ("c: read_to_end", ""),
                ("s1: write goodbye", ""),
                ("s1: return", "c goodbye"),
                ("c: close", ""),
                ("c: wait_closed", "c ok"),
            ],
        );
    });
}

#[test]
fn a_handshake_that_fails_is_told_to_who_connects_and_makes_no_task() {
    everywhere(|world| {
        let stage = Stage::new(world);
        stage.serve(world, Authority::new().server(NAME), None);
        stage.dial(world, "c", Authority::new().client(NAME), None);
        world.quiet();
        world.told("c", &["failed InvalidData"]);
        world.told("s1", &[]);
    });
    everywhere(|world| {
        let stage = Stage::new(world);
        stage.serve(world, ServerSecurity::Plain, None);
        stage.dial(world, "c", Authority::new().client(NAME), None);
        stage.direct(world, &[("s1: write nonsense, no TLS at all\n", "c failed InvalidData")]);
    });
}

#[test]
fn what_came_before_a_cut_is_read_and_the_cut_is_an_error() {
    calmly(|world| {
        let (stage, mut forger) = forged(world);
        forger.send(world, &[b"one\ntw"], &[]);
        world.half_close(forger.client);
        world.quiet();
        stage.direct(
            world,
            &[
                ("s1: read_line", "s1 one\\n"),
                ("s1: at_eof", "s1 false"),
                ("s1: read_line", "s1 failed UnexpectedEof"),
                ("s1: read_exact 3", "s1 failed UnexpectedEof"),
                ("s1: read 9", "s1 tw"),
                ("s1: read 9", "s1 failed UnexpectedEof"),
                ("s1: drain", "s1 failed UnexpectedEof"),
                ("s1: wait_closed", "s1 failed UnexpectedEof"),
            ],
        );
    });
    calmly(|world| {
        let (stage, mut forger) = forged(world);
        let end = forger.close_notify();
        forger.send(world, &[], &end);
        world.half_close(forger.client);
        world.quiet();
        stage.direct(world, &[("s1: read_line", "s1 nothing"), ("s1: write bye", ""), ("s1: drain", "s1 ok")]);
    });
}

#[test]
fn abort_on_panic_is_visible_on_tls() {
    for (end, seen) in [("return", "c part"), ("panic", "c failed UnexpectedEof"), ("abort", "c failed UnexpectedEof")]
    {
        everywhere(|world| {
            world.enter(|event_loop, _| {
                event_loop.set_exception_handler(|_, _, panicked| {
                    assert!(panicked.message == WHY, "{panicked}");
                })
            });
            let stage = pair(world);
            stage.direct(world, &[("s1: write part", ""), ("c: read_line", ""), (&format!("s1: {end}"), seen)]);
        });
    }
}

#[test]
fn start_tls_both_ways() {
    for is_flipped in [false, true] {
        everywhere(|world| {
            let stage = Stage::new(world);
            let mut ends = Authority::new().ends(NAME);
            if is_flipped {
                ends.reverse();
            }
            let [ours, theirs] = ends;
            stage.serve(world, ServerSecurity::Plain, Some(ours));
            stage.dial(world, "c", Security::Plain, Some(theirs));
            stage.direct(
                world,
                &[
                    ("c: write STARTTLS\n", ""),
                    ("s1: read_line", "s1 STARTTLS\\n"),
                    ("s1: write go\n", ""),
                    ("s1: start_tls", ""),
                    ("c: read_line", "c go\\n"),
                ],
            );
            stage.tell("c", "start_tls");
            world.until("both", |world| ["s1", "c"].iter().all(|who| world.journal().times(who, "ok") == 1));
            stage.direct(
                world,
                &[
                    ("c: write my password\n", ""),
                    ("s1: read_line", "s1 my password\\n"),
                    ("s1: write welcome\n", ""),
                    ("c: read_line", "c welcome\\n"),
                    ("c: return", ""),
                    ("s1: read_line", "s1 nothing"),
                ],
            );
            assert!(!world.trace().contains("password"), "it was sent as it is");
        });
    }
}

#[test]
fn start_tls_takes_what_the_reader_has() {
    // The hello has come, whole or in part, before anybody wants it; some of it was looked at.
    for parts in [1, 2] {
        calmly(|world| {
            let (stage, authority) = plain(world);
            let mut forger = Forger::on(world.connect(), authority.client(NAME));
            world.quiet();
            let hello = forger.records();
            let (now, later) = hello.split_at(hello.len() / parts);
            world.send(forger.client, &[PLEASE, now].concat());
            world.quiet();
            stage.direct(
                world,
                &[("s1: read_line", "s1 STARTTLS\\n"), ("s1: read_exact 0", "s1 nothing"), ("s1: start_tls", "")],
            );
            world.send(forger.client, later);
            world.quiet();
            forger.shake_hands(world);
            forger.send(world, &[b"hello\n"], &[]);
            world.told("s1", &["STARTTLS\\n", "nothing", "ok"]);
            stage.direct(world, &[("s1: read_line", "s1 hello\\n")]);
        });
    }
}

#[test]
fn plaintext_behind_the_request_for_tls_ends_the_connection() {
    everywhere(|world| {
        let (stage, _) = plain(world);
        let client = world.connect();
        stage.play(
            world,
            client,
            "s1",
            &[
                ("> STARTTLS\nIAMAT evil +34-118 1\n", ""),
                ("read_line", "STARTTLS\\n"),
                ("start_tls", "failed InvalidData"),
                ("buffered", "nothing"),
                ("read_line", "failed InvalidData"),
            ],
        );
        assert!(world.ending(client).is_some());
    });
    // Before the first byte of TLS, the rest of a line that was too long is no part of it.
    calmly(|world| {
        let (stage, authority) = plain(world);
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        stage.play(
            world,
            forger.client,
            "s1",
            &[("set_limit 10", ""), ("> 12345678901", ""), ("read_line", "overrun: 11")],
        );
        stage.direct(world, &[("s1: start_tls", "")]);
        forger.shake_hands(world);
        forger.send(world, &[b"one\ntwo\n"], &[]);
        stage.direct(world, &[("s1: read_line", "s1 one\\n")]);
    });
}

#[test]
fn what_is_written_around_start_tls_in_one_poll_is_on_the_right_side() {
    calmly(|world| {
        let (stage, authority) = (Stage::new(world), Authority::new());
        let [ours, _] = authority.ends(NAME);
        let notes = stage.clone();
        stage.serve_with(world, ServerSecurity::Plain, move |mut reader, writer| {
            let (stage, ours) = (notes.clone(), ours.clone());
            async move {
                writer.write(b"before");
                let write = async { writer.write(b"after") };
                let (begun, ()) = join(writer.start_tls(&mut reader, ours), write).await;
                stage.note("s1", format!("{begun:?}")).await;
                writer.write(b" all");
                writer.wait_closed().await
            }
        });
        let client = world.connect();
        world.quiet();
        assert_eq!(world.take_received(client), b"before");
        let mut forger = Forger::on(client, authority.client(NAME));
        forger.shake_hands(world);
        assert_eq!(forger.hear_all(world), b"after all");
        world.told("s1", &["Ok(())"]);
    });
}

#[test]
fn who_waits_for_room_while_tls_starts_gets_it() {
    calmly(|world| {
        let (stage, authority) = plain(world);
        let client = world.connect();
        world.quiet();
        stage.tell("s1", "bytes 200000");
        stage.tell("s1", "also drain");
        stage.tell("s1", "start_tls");
        world.quiet();
        world.until("all of it", |world| world.received(client).len() == 200_000);
        world.take_received(client);
        let mut forger = Forger::on(client, authority.client(NAME));
        forger.shake_hands(world);
        let mut told = world.journal().of("s1");
        told.sort();
        assert_eq!(told, ["also ok", "ok"]);
        stage.direct(world, &[("s1: drain", "s1 ok"), ("s1: write hello", "")]);
        assert_eq!(forger.hear_all(world), b"hello");
    });
}

#[test]
fn start_tls_that_fails_is_told_and_loses_the_connection() {
    let steps: [(&[(&str, &str)], &str); 5] = [
        (&[("start_tls", ""), ("RST", "failed ConnectionReset")], "failed ConnectionReset"),
        (&[("start_tls", ""), ("FIN", "failed UnexpectedEof")], "failed UnexpectedEof"),
        (&[("FIN", ""), ("start_tls", "failed UnexpectedEof")], "failed UnexpectedEof"),
        (&[("write_eof", ""), ("start_tls", "failed InvalidInput")], "failed InvalidInput"),
        (&[("close", ""), ("start_tls", "failed ConnectionReset")], "ok"),
    ];
    for (steps, end) in steps {
        everywhere(|world| {
            let (stage, _) = plain(world);
            let client = world.connect();
            world.quiet();
            stage.play(world, client, "s1", steps);
            stage.play(world, client, "s1", &[("wait_closed", end), ("is_closing", "true")]);
        });
    }
    calm(|world| {
        let (stage, _) = plain(world);
        let client = world.connect();
        world.quiet();
        stage.play(world, client, "s1", &[("start_tls", "")]);
        world.sim().run_for(Duration::from_secs(11));
        world.told("s1", &["failed TimedOut"]);
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn start_tls_that_nobody_waits_for_any_more_goes_on() {
    calmly(|world| {
        let (stage, authority) = plain(world);
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        world.quiet();
        stage.direct(world, &[("s1: try start_tls", "s1 not yet"), ("s1: write hello", ""), ("s1: read_line", "")]);
        forger.shake_hands(world);
        assert_eq!(forger.hear_all(world), b"hello");
        forger.send(world, &[b"one\n"], &[]);
        world.told("s1", &["not yet", "one\\n"]);
    });
}

#[test]
fn a_peer_that_sends_without_end_over_tls_costs_no_more() {
    const LIMIT: usize = 100_000;
    calmly(|world| {
        let stage = pair(world);
        stage.direct(world, &[(&format!("s1: set_limit {LIMIT}"), ""), (&format!("c: bytes {FAR_TOO_MUCH}"), "")]);
        stage.tell("s1", "buffered");
        world.quiet();
        let said = world.journal().of("s1").concat();
        let waiting = said.strip_suffix(" bytes").and_then(|count| count.parse::<usize>().ok()).expect("many bytes");
        // What is decrypted at once is a read, and a record's rest.
        assert!((2 * LIMIT + 1..=2 * LIMIT + (64 + 16) * 1024).contains(&waiting), "{waiting} bytes wait");
    });
}

#[test]
#[should_panic(expected = "the reader is another connection's")]
fn start_tls_wants_the_reader_of_its_connection() {
    calm(|world| {
        let (stage, authority) = (Stage::new(world), Authority::new());
        let [ours, _] = authority.ends(NAME);
        let task = stage.clone();
        stage.serve(world, ServerSecurity::Plain, None);
        let address = world.address();
        world.enter(|event_loop, _| {
            event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
        });
        stage.spawn(async move {
            let start = StartTls::clone(&ours);
            let open = || task.handle.open_connection(address, Security::Plain);
            let ((mut reader, _one), (_, writer)) = (open().await.expect("it"), open().await.expect("stands"));
            drop(writer.start_tls(&mut reader, start).await);
        });
        world.quiet();
        panic!("{}", world.journal().of("handler").concat());
    });
}
