//! Promises of timers: their order, never early, no delay too long; and the timeout of a connection.

use std::time::Duration;

use crate::loop_core::{check, millis, note};
use crate::recorder::On;
use crate::world::{calm, calmly};

#[test]
fn timers_fire_in_when_order_not_insertion_order() {
    check(
        |event_loop| {
            for (delay, what) in [(30, "d"), (10, "b"), (20, "c"), (0, "a"), (30, "e")] {
                event_loop.call_later(millis(delay), note(what));
            }
        },
        "a b c d e",
    );
}

#[test]
fn past_and_negative_delays_fire_next_iteration() {
    check(
        |event_loop| {
            let past = event_loop.now() - millis(1);
            event_loop.call_soon(move |event_loop, journal| {
                journal.note("call", "a");
                event_loop.call_at(past, note("c"));
                event_loop.call_later(Duration::ZERO, note("d"));
            });
            event_loop.call_soon(note("b"));
        },
        "a b c d",
    );
}

#[test]
fn timer_due_runs_after_already_ready_callbacks() {
    check(
        |event_loop| {
            event_loop.call_later(Duration::ZERO, note("timer"));
            event_loop.call_soon(note("a"));
            event_loop.call_soon(note("b"));
        },
        "a b timer",
    );
}

#[test]
fn timer_never_early() {
    calmly(|world| {
        world.enter(|event_loop, _| {
            for index in 0..100 {
                let when = event_loop.now() + Duration::from_nanos(1_500_001 * index);
                event_loop.call_at(when, move |event_loop, journal| {
                    journal.note("call", if event_loop.now() < when { "early" } else { "in time" });
                });
            }
        });
        world.until("all timers", |world| world.journal().of("call").len() == 100);
        assert_eq!(world.journal().of("call"), ["in time"; 100]);
    });
}

#[test]
fn timer_late_by_less_than_a_turn() {
    calm(|world| {
        world.enter(|event_loop, _| {
            let when = event_loop.now() + Duration::from_nanos(1_500_001);
            event_loop.call_at(when, move |event_loop, journal| {
                journal.note("call", format!("{:?}", event_loop.now() - when));
            });
        });
        world.sim().run_for(millis(2));
        assert_eq!(world.journal().of("call"), ["0ns"]);
    });
}

#[test]
fn huge_delay_is_capped_not_overflowing() {
    check(
        |event_loop| {
            event_loop.call_later(Duration::MAX, note("never"));
            event_loop.call_later(millis(1), note("soon"));
        },
        "soon",
    );
}

#[test]
fn a_timeout_fires_once_and_can_be_moved_and_taken_back() {
    calm(|world| {
        world.serve(|on, transport, _| match on {
            On::Made => transport.set_timeout(Some(millis(100))),
            On::Data(b"more") => transport.set_timeout(Some(millis(100))),
            On::Data(b"sooner") => transport.set_timeout(Some(millis(10))),
            On::Data(b"never") => transport.set_timeout(None),
            _ => {}
        });
        let client = world.connect();
        for _ in 0..50 {
            world.send(client, b"more");
            world.sim().run_for(millis(90));
        }
        assert_eq!(world.journal().times("s1", "timed out"), 0, "it was moved in time");
        world.sim().run_for(millis(20));
        assert_eq!(world.journal().times("s1", "timed out"), 1);
        world.sim().run_for(millis(3000));
        world.send(client, b"sooner");
        world.sim().run_for(millis(11));
        world.send(client, b"never");
        world.sim().run_for(millis(3000));
        assert_eq!(world.journal().times("s1", "timed out"), 2, "{:?}", world.journal().of("s1"));
    });
}
