//! Promises about writing with streams: what leaves, who waits for room and how long, and how a connection is ended.

use std::future::poll_fn;
use std::time::Duration;

use proxy_herd::driver::sim::{Ending, Weather};
use proxy_herd::event_loop::{Loop, ServerSecurity};

use crate::recorder::Journal;
use crate::simulated::Simulated;
use crate::streams_stage::{Stage, check, converse};
use crate::world::{Client, FAR_TOO_MUCH, LONG, World, bytes, calm, everywhere, on_sockets, simulated};

#[test]
fn what_is_written_leaves_in_order_and_together() {
    check(&[
        ("write one", ""),
        ("write  two", ""),
        ("<", "one two"),
        ("drain", "ok"),
        ("write three", ""),
        ("write_eof", ""),
        ("<", "three, Fin"),
    ]);
    // What a task writes before it waits is one system call.
    calm(|world| {
        let stage = Stage::new(world);
        stage.serve_with(world, ServerSecurity::Plain, |_, writer| async move {
            writer.write(b"one ");
            writer.writelines([b"two ".as_slice(), b"three"]);
            writer.wait_closed().await
        });
        let client = world.connect();
        world.quiet();
        assert_eq!(world.received(client), b"one two three");
        assert_eq!(world.trace().matches("-> client 0").count(), 1, "{}", world.trace());
    });
}

#[test]
fn half_close_both_ways() {
    // The peer ends first, and is answered.
    check(&[
        ("> hello", ""),
        ("FIN", ""),
        ("read_to_end", "hello"),
        ("is_closing", "false"),
        ("write goodbye", ""),
        ("<", "goodbye"),
        ("drain", "ok"),
        ("return", ""),
        ("<", "nothing, Fin"),
    ]);
    // We do, and are.
    check(&[
        ("write hello", ""),
        ("write_eof", ""),
        ("write_eof", ""),
        ("<", "hello, Fin"),
        ("write dropped", ""),
        ("is_closing", "false"),
        ("drain", "ok"),
        ("read_to_end", ""),
        ("> goodbye", ""),
        ("FIN", "goodbye"),
        ("<", "nothing, Fin"),
        ("close", ""),
        ("wait_closed", "ok"),
    ]);
}

#[test]
fn write_after_close_is_dropped() {
    check(&[
        ("write hello", ""),
        ("close", ""),
        ("write dropped", ""),
        ("<", "hello, Fin"),
        ("is_closing", "true"),
        ("write dropped", ""),
        ("write_eof", ""),
        ("close", ""),
        ("abort", ""),
        ("wait_closed", "ok"),
        ("drain", "failed ConnectionReset"),
    ]);
}

#[test]
fn eof_fed_when_closing_writer() {
    check(&[("read_line", ""), ("FIN", "nothing"), ("close", ""), ("read_line", "nothing")]);
    // Whose end it is makes no difference to who reads: asyncio's test.
    for end in ["close", "abort"] {
        check(&[("> one\ntw", ""), ("read_line", "one\\n"), (end, ""), ("read_line", "tw"), ("at_eof", "true")]);
        check(&[(end, ""), ("read_exact 1", "incomplete: nothing of 1"), ("wait_closed", "ok")]);
    }
}

/// A task with marks at 100 and 50 that has filled the window of a client that reads nothing.
fn narrow(steps: &[(&str, &str)]) {
    let world: &mut dyn World = &mut Simulated::new(0, Weather { window: 1000, ..Weather::default() });
    let (stage, client) = converse(world, &[("deaf", ""), ("marks 100 50", ""), ("bytes 1000", ""), ("drain", "ok")]);
    stage.play(world, client, "s1", steps);
}

#[test]
fn drain_waits_for_low_water() {
    // Up to the high mark it does not wait.
    narrow(&[
        ("bytes 100", ""),
        ("try drain", "ok"),
        ("bytes 1", ""),
        ("try drain", "not yet"),
        ("try drain", "not yet"),
    ]);
    // 50 bytes are left when the client has read for once, or 51.
    narrow(&[("bytes 1050", ""), ("drain", ""), ("gulp", "ok")]);
    narrow(&[("bytes 1051", ""), ("drain", ""), ("gulp", ""), ("gulp", "ok")]);
    // Between the marks it depends on where it comes from.
    narrow(&[("bytes 1051", ""), ("gulp", ""), ("drain", ""), ("gulp", "ok"), ("bytes 51", ""), ("try drain", "ok")]);
    // The marks change while it waits.
    narrow(&[("bytes 200", ""), ("also drain", ""), ("marks 300 199", ""), ("marks 300 200", "also ok")]);
    narrow(&[("bytes 50", ""), ("marks 49 0", ""), ("drain", ""), ("gulp", "ok")]);
    narrow(&[("bytes 1", ""), ("marks 0 0", ""), ("drain", ""), ("gulp", "ok")]);
}

#[test]
fn many_drains_wake() {
    narrow(&[
        ("bytes 200", ""),
        ("also drain", ""),
        ("also drain", ""),
        ("try drain", "not yet"),
        ("also drain", ""),
        ("drain", ""),
        ("gulp", "also ok; also ok; also ok; ok"),
    ]);
}

#[test]
fn drain_on_a_fine_connection_does_not_wait() {
    check(&[("try drain", "ok"), ("write hello", ""), ("try drain", "ok"), ("FIN", ""), ("try drain", "ok")]);
}

#[test]
fn drain_on_closing_yields_then_errors() {
    // There is nothing left to send: it takes no time.
    check(&[("close", ""), ("drain", "failed ConnectionReset"), ("drain", "failed ConnectionReset")]);
    check(&[("abort", ""), ("drain", "failed ConnectionReset"), ("also drain", "also failed ConnectionReset")]);
    check(&[("RST", ""), ("drain", "failed ConnectionReset"), ("wait_closed", "failed ConnectionReset")]);
    // There is: whoever waits for room gets none any more, whether all of it still arrives or not.
    narrow(&[
        ("bytes 1500", ""),
        ("also drain", ""),
        ("close", ""),
        ("drain", ""),
        ("listen", "also failed ConnectionReset; failed ConnectionReset"),
        ("wait_closed", "ok"),
        ("<", "2500 bytes, Fin"),
    ]);
    narrow(&[("bytes 1500", ""), ("also drain", ""), ("abort", "also failed ConnectionReset"), ("wait_closed", "ok")]);
    narrow(&[("bytes 1500", ""), ("also drain", ""), ("RST", "also failed ConnectionReset")]);
}

#[test]
fn a_writer_is_closing_as_soon_as_it_was_told_to() {
    for end in ["close", "abort", "close_slowly"] {
        everywhere(|world| {
            let (stage, _) = converse(world, &[]);
            // In one poll: nothing was given to the loop yet.
            for order in [end, "is_closing", "try drain"] {
                stage.tell("s1", order);
            }
            world.quiet();
            world.told("s1", &["true", "not yet"]);
        });
    }
}

#[test]
fn who_drains_while_closing_sleeps_until_the_end() {
    calm(|world| {
        let stage = Stage::new(world);
        let notes = stage.clone();
        stage.serve_with(world, ServerSecurity::Plain, move |_, writer| {
            let stage = notes.clone();
            async move {
                // There is room for all of it.
                writer.set_write_buffer_limits(FAR_TOO_MUCH, 0);
                writer.write(&[b'x'; 1_000_000]);
                writer.close();
                let mut drain = Box::pin(writer.drain());
                let mut polls = 0;
                let end = poll_fn(|context| {
                    polls += 1;
                    drain.as_mut().poll(context)
                });
                let end = end.await.expect_err("nobody reads what is left").kind();
                stage.note("s1", format!("{end:?} after {polls} polls")).await;
                Ok(())
            }
        });
        let client = world.connect();
        world.stop_reading(client);
        world.sim().run_for(2 * LONG);
        world.told("s1", &["TimedOut after 2 polls"]);
    });
}

#[test]
fn a_task_that_writes_and_drains_without_end_ends_with_its_connection() {
    let ends: [fn(&mut dyn World, Client); 3] = [
        |world, client| world.reset(client),
        |world, _| world.with("s1", |transport| transport.close()),
        |world, _| world.with("s1", |transport| transport.abort()),
    ];
    for end in ends {
        everywhere(|world| {
            let stage = Stage::new(world);
            let notes = stage.clone();
            stage.serve_with(world, ServerSecurity::Plain, move |_reader, writer| {
                let stage = notes.clone();
                async move {
                    let id = writer.id();
                    stage.handle.call(move |_, journal| journal.introduce("s1", id)).await;
                    loop {
                        writer.write(&[b'x'; 1000]);
                        if let Err(error) = writer.drain().await {
                            stage.note("s1", format!("{:?}", error.kind())).await;
                            return Err(error);
                        }
                    }
                }
            });
            let client = world.connect();
            world.until("some", |world| world.received(client).len() > 100_000);
            world.stop_reading(client);
            world.quiet();
            end(world, client);
            world.go_on_reading(client);
            world.until("the end", |world| !world.journal().of("s1").is_empty());
            world.told("s1", &["ConnectionReset"]);
        });
    }
}

#[test]
fn drain_sees_marks_that_were_set_in_another_way() {
    // Before the pause was told, and after it.
    for late in [false, true] {
        calm(|world| {
            let stage = Stage::new(world);
            let notes = stage.clone();
            stage.serve_with(world, ServerSecurity::Plain, move |_reader, writer| {
                let stage = notes.clone();
                async move {
                    writer.write(&[b'x'; 200_000]);
                    if late {
                        stage.handle.sleep(LONG / 2).await;
                    }
                    let id = writer.id();
                    let raise = move |event_loop: &mut Loop<'_, Journal>, _: &mut Journal| {
                        let mut transport = event_loop.transport(id).expect("it lives");
                        transport.set_write_buffer_limits(300_000, 200_000);
                    };
                    stage.handle.call(raise).await;
                    writer.drain().await?;
                    stage.note("s1", "goes on").await;
                    writer.wait_closed().await
                }
            });
            let client = world.connect();
            world.stop_reading(client);
            world.sim().run_for(LONG);
            world.told("s1", &["goes on"]);
        });
    }
}

#[test]
fn wait_closed_ok_and_error() {
    // As often as one likes, by as many as like.
    check(&[
        ("also wait_closed", ""),
        ("also wait_closed", ""),
        ("try wait_closed", "not yet"),
        ("close", "also ok; also ok"),
        ("wait_closed", "ok"),
        ("wait_closed", "ok"),
        ("also wait_closed", "also ok"),
    ]);
    check(&[
        ("also wait_closed", ""),
        ("wait_closed", ""),
        ("RST", "also failed ConnectionReset; failed ConnectionReset"),
        ("wait_closed", "failed ConnectionReset"),
    ]);
    // The peer's end is not the connection's.
    check(&[("also wait_closed", ""), ("FIN", ""), ("abort", "also ok")]);
    // The close timeout: nobody reads what is left.
    calm(|world| {
        let (stage, client) =
            converse(world, &[("deaf", ""), ("bytes 1000000", ""), ("close", ""), ("wait_closed", "")]);
        world.sim().run_for(Duration::from_millis(4_990));
        world.told("s1", &[]);
        world.sim().run_for(Duration::from_millis(20));
        world.told("s1", &["failed TimedOut"]);
        stage.play(world, client, "s1", &[("drain", "failed TimedOut"), ("read 1", "failed TimedOut")]);
    });
}

#[test]
fn close_slowly_lets_the_last_words_of_a_task_arrive() {
    let flood = format!("> {}", "x".repeat(200_000));
    check(&[
        ("set_limit 1", ""),
        (&flood, ""),
        ("write enough", ""),
        ("close_slowly", ""),
        ("FIN", ""),
        ("<", "enough, Fin"),
    ]);
}

#[test]
fn a_task_is_woken_by_the_callbacks_world() {
    let wake = |world: &mut dyn World| {
        let id = world.journal().id("s1");
        world.enter(|event_loop, _| event_loop.wake(id));
    };
    everywhere(|world| {
        let (stage, client) = converse(world, &[("woken", "")]);
        wake(world);
        world.quiet();
        world.told("s1", &["woken"]);
        // A call before counts, once however often.
        wake(world);
        wake(world);
        world.quiet();
        wake(world);
        world.quiet();
        stage.play(world, client, "s1", &[("woken", "woken"), ("try woken", "not yet")]);
        // Who reads is not disturbed.
        stage.play(world, client, "s1", &[("also woken", ""), ("read_line", ""), ("> one", "")]);
        wake(world);
        world.quiet();
        stage.play(world, client, "s1", &[("> \n", "one\\n"), ("also woken", ""), ("RST", "also woken")]);
    });
}

#[test]
fn who_drops_a_writer_closes() {
    // Alone, before and after the reader, and what was written arrives.
    check(&[
        ("> one\ntwo", ""),
        ("write hello", ""),
        ("drop writer", ""),
        ("<", "hello, Fin"),
        ("read_line", "one\\n"),
    ]);
    check(&[("write hello", ""), ("drop writer", ""), ("drop reader", ""), ("<", "hello, Fin")]);
    check(&[("write hello", ""), ("drop reader", ""), ("<", "hello"), ("drop writer", ""), ("<", "nothing, Fin")]);
    check(&[("write hello", ""), ("close", ""), ("drop writer", ""), ("<", "hello, Fin")]);
    // Whoever has it last.
    check(&[("write hello", ""), ("also woken", ""), ("drop writer", ""), ("<", "hello")]);
    let check = |world: &mut dyn World, size: usize| {
        let written = format!("bytes {size}");
        let (_, client) = converse(world, &[("deaf", ""), (&written, ""), ("return", "")]);
        world.go_on_reading(client);
        world.until("the end", |world| world.ending(client) == Some(Ending::Fin));
        assert!(world.received(client) == bytes(size));
    };
    simulated(|world| check(world, 500_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH));
}
