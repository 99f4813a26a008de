//! Promises about tasks and time: nobody is early, who is dropped is forgotten, and a timeout takes nothing that was in time.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use proxy_herd::event_loop::EventLoop;
use proxy_herd::streams::{Elapsed, Event, Handle, Queue, join, join_all, race};

use crate::diary::{Bell, Diary, counted, give_way, says, settle_in, with_tasks};
use crate::loop_core::millis;
use crate::recorder::Journal;
use crate::world::{LONG, World, calm};

/// Spawns a task, and lets the world go on until it is done.
fn play<T: 'static>(world: &mut dyn World, handle: &Handle<Journal>, future: impl Future<Output = T> + 'static) -> T {
    let mut task = handle.spawn(future);
    world.until("the end of the task", |_| task.is_finished());
    (&mut task).now_or_never().expect("it has ended").expect("it was not cancelled")
}

#[test]
fn a_sleep_is_never_early() {
    with_tasks(|world, handle, _| {
        let tasks = handle.clone();
        play(world, handle, async move {
            join_all((0..100).map(async |index| {
                let time = Duration::from_nanos(1_500_001 * index);
                let begun = tasks.now();
                tasks.sleep(time).await;
                assert!(tasks.now() >= begun + time);
                // Once more, until a time.
                let until = tasks.now() + time;
                tasks.sleep_until(until).await;
                assert!(tasks.now() >= until);
            }))
            .await;
        });
    });
}

#[test]
fn a_sleep_is_late_by_less_than_a_turn() {
    calm(|world| {
        let (handle, _) = settle_in(world);
        let tasks = handle.clone();
        let late = play(world, &handle, async move {
            let begun = tasks.now();
            tasks.sleep(Duration::from_nanos(1_500_001)).await;
            tasks.now() - begun
        });
        assert_eq!(late, Duration::from_nanos(1_500_001));
    });
}

#[test]
fn a_sleep_counts_from_its_first_poll() {
    calm(|world| {
        let (handle, _) = settle_in(world);
        let tasks = handle.clone();
        let slept = play(world, &handle, async move {
            let sleep = tasks.sleep(millis(10));
            tasks.sleep(millis(20)).await;
            let begun = tasks.now();
            sleep.await;
            tasks.now() - begun
        });
        assert_eq!(slept, millis(10));
    });
}

#[test]
fn sleepers_wake_in_the_order_of_their_times_and_equals_in_the_order_of_falling_asleep() {
    with_tasks(|world, handle, diary| {
        let end = handle.now() + millis(20);
        for (name, before) in [("d", 0), ("b", 2), ("e", 0), ("a", 5), ("c", 2), ("f", 0)] {
            let (tasks, notes) = (handle.clone(), diary.clone());
            let task = async move {
                tasks.sleep_until(end - millis(before)).await;
                notes.note(name);
            };
            handle.spawn(task).detach();
        }
        world.until("all", |_| diary.times("f") == 1);
        assert_eq!(diary.text().replace("| ", ""), "a b c d e f");
    });
}

#[test]
fn no_time_at_all_and_all_the_time_there_is() {
    with_tasks(|world, handle, diary| {
        let tasks = handle.clone();
        let (task, polls) = counted(async move {
            tasks.sleep(Duration::ZERO).await;
            tasks.sleep_until(tasks.now()).await;
            tasks.sleep_until(tasks.now() - millis(5)).await;
        });
        play(world, handle, task);
        assert_eq!(polls.get(), 1, "what is over is not waited for");
        let (tasks, notes) = (handle.clone(), diary.clone());
        handle
            .spawn(async move {
                let never = tasks.timeout(Duration::MAX, tasks.sleep(Duration::MAX));
                let first = race(never, tasks.sleep(millis(1))).await;
                notes.note(format!("{first:?}"));
            })
            .detach();
        world.until("the shorter one", |_| diary.times("Right(())") == 1);
    });
}

/// A loop by hand, whose clock is the test's.
struct Clock {
    event_loop: EventLoop<()>,
    handle: Handle<()>,
    now: Instant,
}

impl Clock {
    fn new() -> Self {
        let now = Instant::now();
        let mut event_loop = EventLoop::new((), now, SystemTime::UNIX_EPOCH);
        let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
        Self { event_loop, handle, now }
    }

    /// A turn after so many milliseconds; when the next one is due, in the same way.
    fn turn(&mut self, after: u64) -> Option<u128> {
        self.now += millis(after);
        self.event_loop.advance(self.now, SystemTime::UNIX_EPOCH);
        self.event_loop.end_turn();
        self.event_loop.next_deadline().map(|next| (next - self.now).as_millis())
    }
}

#[test]
fn the_loop_wakes_up_for_the_next_sleeper_and_at_most_once_for_one_that_is_gone() {
    let mut clock = Clock::new();
    let mut sleepers: Vec<_> =
        [100, 300, 50, 200].into_iter().map(|time| clock.handle.spawn(clock.handle.sleep(millis(time)))).collect();
    assert_eq!(clock.turn(0), Some(50));
    assert_eq!(clock.turn(20), Some(30));
    // Two are gone: that which the loop will wake up for, and the next.
    drop(sleepers.remove(2));
    drop(sleepers.remove(0));
    assert_eq!(clock.turn(0), Some(30));
    assert_eq!(clock.turn(30), Some(150), "for nobody, and then for the next");
    assert_eq!(clock.turn(150), Some(100));
    assert_eq!(sleepers.remove(1).now_or_never(), Some(Ok(())));
    drop(sleepers);
    assert_eq!(clock.turn(0), Some(100));
    assert_eq!(clock.turn(100), None, "nobody sleeps");
}

#[test]
fn timeouts_that_are_never_used_up_leave_nothing() {
    let mut clock = Clock::new();
    let bell = Bell::default();
    let (tasks, hears) = (clock.handle.clone(), bell.clone());
    let task = async move {
        loop {
            tasks.timeout(LONG, hears.heard()).await.expect("it is in time");
        }
    };
    clock.handle.spawn(task).detach();
    // Tables grow, and stay.
    for _ in 0..10_000 {
        clock.turn(1);
        bell.ring();
    }
    let memory = allocation_counter::measure(|| {
        for _ in 0..10_000 {
            clock.turn(1);
            bell.ring();
        }
    });
    assert_eq!(memory.count_total, 0, "{memory:?}");
}

#[test]
fn ten_thousand_sleepers() {
    const MANY: u64 = 10_000;
    let mut clock = Clock::new();
    let woken = Rc::<Cell<u64>>::default();
    let mut tasks = Vec::new();
    for index in 0..MANY {
        let (handle, count) = (clock.handle.clone(), Rc::clone(&woken));
        let task = async move {
            handle.sleep(millis(1 + index * 7919 % MANY)).await;
            count.set(count.get() + 1);
        };
        tasks.push(clock.handle.spawn(task));
    }
    assert_eq!(clock.turn(0), Some(1));
    for time in 1..=MANY / 2 {
        clock.turn(1);
        assert_eq!(woken.get(), time);
    }
    drop(tasks);
    clock.turn(0);
    assert_eq!(clock.turn(MANY), None);
    assert_eq!(woken.get(), MANY / 2);
}

#[test]
fn what_is_ready_at_the_end_of_its_time_is_in_time() {
    calm(|world| {
        let (handle, _) = settle_in(world);
        let (tasks, queue) = (handle.clone(), Queue::unbounded());
        let gives = queue.clone();
        world.enter(|event_loop, _| {
            event_loop.call_later(millis(10), move |_, _| gives.try_put("in time").expect("there is room"));
        });
        let heard = play(world, &handle, async move { tasks.timeout(millis(10), queue.get()).await });
        assert_eq!(heard, Ok(Some("in time")));
        let tasks = handle.clone();
        let both = play(world, &handle, async move {
            let at = tasks.now() + millis(10);
            (tasks.timeout_at(at, tasks.sleep_until(at)).await, tasks.timeout_at(at, give_way()).await)
        });
        assert_eq!(both, (Ok(()), Err(Elapsed)), "what has to wait after its time is not");
    });
}

#[test]
fn a_timeout_of_nothing_lets_through_what_is_ready() {
    with_tasks(|world, handle, _| {
        let tasks = handle.clone();
        let ends = play(world, handle, async move {
            (
                tasks.timeout(Duration::ZERO, async { 1 }).await,
                tasks.timeout(Duration::ZERO, pending::<u8>()).await,
                tasks.timeout_at(tasks.now() - millis(1), async { 2 }).await,
            )
        });
        assert_eq!(ends, (Ok(1), Err(Elapsed), Ok(2)));
    });
}

#[test]
fn what_took_too_long_is_dropped_with_the_timeout() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes, owned) = (handle.clone(), diary.clone(), diary.owned("it"));
        play(world, handle, async move {
            let late = async move {
                let _owned = owned;
                pending::<()>().await
            };
            let end = tasks.timeout(millis(1), late).await;
            notes.note(format!("{end:?}"));
        });
        let error = std::io::Error::from(Elapsed);
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        assert_eq!(diary.text().replace("| ", ""), "it dropped Err(Elapsed)");
    });
}

#[test]
fn a_sleep_wakes_who_has_polled_it_last() {
    with_tasks(|world, handle, diary| {
        let sleep = Rc::new(std::cell::RefCell::new(Box::pin(handle.sleep(millis(5)))));
        let polls = [0, 1].map(|who| {
            let (sleep, notes) = (Rc::clone(&sleep), diary.clone());
            let (task, polls) = counted(async move {
                std::future::poll_fn(|context| sleep.borrow_mut().as_mut().poll(context)).await;
                notes.note(format!("{who} wakes"));
            });
            handle.spawn(task).detach();
            polls
        });
        world.until("the second", |_| diary.times("1 wakes") == 1);
        world.quiet();
        assert_eq!(polls.map(|polls| polls.get()), [1, 2]);
    });
}

#[test]
fn sleeps_can_be_waited_for_together_by_whichever_combinator() {
    with_tasks(|world, handle, _| {
        let tasks = handle.clone();
        let order = play(world, handle, async move {
            let sleeps: FuturesUnordered<_> =
                [3, 1, 2].map(|index| tasks.sleep(5 * millis(index)).map(move |()| index)).into_iter().collect();
            sleeps.collect::<Vec<_>>().await
        });
        assert_eq!(order, [1, 2, 3]);
        let tasks = handle.clone();
        play(world, handle, async move {
            let (long, short) = (tasks.sleep(LONG), tasks.sleep(millis(1)));
            let Either::Right(((), long)) = select(long, short).await else { panic!("the shorter one is first") };
            drop(long);
        });
    });
}

#[test]
fn a_clock_that_ticks_until_it_is_stopped() {
    calm(|world| {
        let (handle, _) = settle_in(world);
        let tasks = handle.clone();
        let ticks = play(world, &handle, async move {
            let mut ticks = 0;
            let mut end = tasks.sleep(millis(12)).fuse();
            loop {
                let mut tick = tasks.sleep(millis(5)).fuse();
                futures_util::select! {
                    () = tick => ticks += 1,
                    () = end => return ticks,
                }
            }
        });
        assert_eq!(ticks, 2);
    });
}

#[test]
fn who_sleeps_by_another_executor_of_the_same_loop_wakes_up() {
    // If the second's clock is the first's: when that has set its alarm, the second's hook is still to come.
    for [here, there] in [[0, 1], [1, 0]] {
        with_tasks(|world, first, diary| {
            let executors = [first.clone(), settle_in(world).0];
            let (clock, notes) = (executors[there].clone(), diary.clone());
            let task = async move {
                for _ in 0..3 {
                    clock.sleep(millis(1)).await;
                }
                notes.note("awake");
            };
            executors[here].spawn(task).detach();
            world.until("the end of its sleep", |_| diary.times("awake") == 1);
        });
    }
}

#[test]
fn who_waits_for_an_event_with_a_timeout_loses_no_event() {
    with_tasks(|world, handle, diary| {
        let event = Event::new();
        let (tasks, waits, notes) = (handle.clone(), event.clone(), diary.clone());
        handle
            .spawn(async move {
                let (first, second) =
                    join(tasks.timeout(millis(1), waits.wait()), tasks.timeout(LONG, waits.wait())).await;
                notes.note(format!("{first:?} {second:?}"));
            })
            .detach();
        let (tasks, notes) = (handle.clone(), Diary::clone(diary));
        handle
            .spawn(async move {
                tasks.sleep(millis(5)).await;
                notes.note("sets");
                event.set();
            })
            .detach();
        world.until("both", |_| diary.text().contains("Err"));
        says(world, diary, "sets Err(Elapsed) Ok(())");
    });
}
