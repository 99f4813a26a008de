//! Promises of timers: their order, never early, no delay too long; and the timeout of a connection.

use std::time::{Duration, Instant, SystemTime};

use proxy_herd::event_loop::EventLoop;

use crate::loop_core::{check, millis, note};
use crate::recorder::{Journal, On};
use crate::world::{LONG, World, calm, calmly, on_sockets};

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

/// Of so many timers, one for each millisecond, so many are cancelled, from the first on: when would the loop wake up for
/// the first that it still keeps?
fn first_kept(event_loop: &mut EventLoop<Journal>, scheduled: u32, cancelled: usize) -> Option<Duration> {
    let now = event_loop.enter(|event_loop, _| {
        let calls: Vec<_> =
            (1..=scheduled).map(|index| event_loop.call_later(index * millis(1), note("timer"))).collect();
        for call in &calls[..cancelled] {
            event_loop.cancel(*call);
        }
        event_loop.now()
    });
    event_loop.next_deadline().map(|when| when - now)
}

#[test]
fn many_cancelled_timers_are_purged() {
    let start = Instant::now();
    let check = |rounds: &[(u32, usize, Option<u64>)]| {
        let mut event_loop = EventLoop::new(Journal::default(), start, SystemTime::now());
        let mut now = start;
        for (scheduled, cancelled, expected) in rounds {
            let kept = first_kept(&mut event_loop, *scheduled, *cancelled);
            assert_eq!(kept, expected.map(millis), "{cancelled} of {scheduled} cancelled");
            let before = event_loop.state().length();
            now += LONG;
            event_loop.advance(now, SystemTime::now());
            event_loop.end_turn();
            assert_eq!(event_loop.state().length() - before, *scheduled as usize - cancelled, "the others are called");
            assert_eq!(event_loop.next_deadline(), None);
        }
    };
    check(&[(100, 99, Some(1))]);
    check(&[(100, 100, Some(1))]);
    check(&[(101, 50, Some(1))]);
    check(&[(101, 51, Some(52))]);
    check(&[(200, 100, Some(1))]);
    check(&[(200, 101, Some(102))]);
    check(&[(200, 200, Some(102))]);
    // Those that came up by themselves count no more.
    check(&[(100, 100, Some(1)), (101, 50, Some(1)), (101, 51, Some(52))]);
}

#[test]
fn timers_that_are_always_cancelled_take_no_room() {
    let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
    let memory = allocation_counter::measure(|| {
        event_loop.enter(|event_loop, _| {
            for _ in 0..100_000 {
                let call = event_loop.call_later(LONG, note("never"));
                event_loop.cancel(call);
            }
        });
    });
    assert!(memory.bytes_max < 32 * 1024, "{memory:?}");
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

/// Everything is there or due when a turn begins late: in which order is it told? `hold_up` lets a client's words arrive
/// while the loop does nothing.
fn late_turn(world: &mut dyn World, hold_up: fn(&mut dyn World)) -> Vec<String> {
    world.serve(|on, transport, _| match on {
        On::Made => transport.set_write_buffer_limits(0, 0),
        On::Data(_) => {
            transport.set_timeout(None);
            transport.write(b"thank you");
        }
        _ => {}
    });
    let [heard, _silent] = [(); 2].map(|()| {
        let client = world.connect();
        world.quiet();
        client
    });
    let before = world.journal().all().len();
    world.send(heard, b"in time");
    world.connect();
    hold_up(world);
    world.enter(|event_loop, journal| {
        for who in ["s1", "s2"] {
            let id = journal.id(who);
            event_loop.transport(id).expect("it lives").set_timeout(Some(Duration::ZERO));
        }
        event_loop.call_later(Duration::ZERO, note("due"));
        event_loop.call_soon(note("soon"));
    });
    world.quiet();
    world.journal().all().split_off(before)
}

#[test]
fn who_has_answered_in_time_is_heard_before_what_is_due_in_a_late_turn() {
    let order =
        ["call soon", "s1 data in time", "s1 paused", "s3 made", "s2 timed out", "call due", "call hook", "s1 resumed"];
    on_sockets(|world| {
        world.enter(|event_loop, _| {
            event_loop.before_sleep(|_, journal| {
                if journal.times("call", "due") > journal.times("call", "hook") {
                    journal.note("call", "hook");
                }
            });
        });
        assert_eq!(late_turn(world, |_| {}), order);
    });
    calm(|world| {
        // Just before they arrive: the turn in which this is set takes longer.
        let order = order.into_iter().filter(|line| *line != "call hook");
        assert!(late_turn(world, |world| world.sim().run_for(Duration::from_micros(95))).into_iter().eq(order));
    });
}
