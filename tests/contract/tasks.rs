//! Promises about tasks: where they can be spawned from, the order in which they run, and that they keep nobody from running.

use std::cell::Cell;
use std::future::pending;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use futures_util::FutureExt;
use proxy_herd::event_loop::EventLoop;
use proxy_herd::streams::{Event, Handle, TaskError};

use crate::diary::{Bell, Diary, OnDrop, counted, give_way, says, with_tasks};
use crate::loop_core::millis;
use crate::recorder::{Journal, On, Recorder, echo};
use crate::world::{World, on_sockets};

/// Spawns a task that notes its name.
fn spawn(handle: &Handle<Journal>, diary: &Diary, name: &'static str) {
    let diary = diary.clone();
    handle.spawn(async move { diary.note(name) }).detach();
}

#[test]
fn a_task_can_be_spawned_from_everywhere() {
    type Spawn = fn(&mut dyn World, &Handle<Journal>, &Diary);
    let places: [Spawn; 10] = [
        // Outside of the loop.
        |_, handle, diary| spawn(handle, diary, "runs"),
        // While it is visited.
        |world, handle, diary| world.enter(|_, _| spawn(handle, diary, "runs")),
        // In a callback of the loop.
        |world, handle, diary| {
            let (handle, diary) = (handle.clone(), diary.clone());
            world.enter(|event_loop, _| event_loop.call_soon(move |_, _| spawn(&handle, &diary, "runs")));
        },
        |world, handle, diary| {
            let (handle, diary) = (handle.clone(), diary.clone());
            world.enter(|event_loop, _| event_loop.call_later(millis(1), move |_, _| spawn(&handle, &diary, "runs")));
            world.until("the timer", |world| world.journal().length() == 0);
        },
        // In a protocol's callbacks.
        |world, handle, diary| {
            let (handle, diary) = (handle.clone(), diary.clone());
            world.serve(move |on, _, _| {
                if on == On::Made {
                    spawn(&handle, &diary, "runs");
                }
            });
            world.connect();
        },
        |world, handle, diary| {
            let (handle, diary) = (handle.clone(), diary.clone());
            let owned = OnDrop::new(move || spawn(&handle, &diary, "runs"));
            let id = world.dial(
                proxy_herd::event_loop::Security::Plain,
                Recorder::new("c", move |_, _, _| {
                    let _ = &owned;
                }),
            );
            world.enter(|event_loop, _| event_loop.transport(id).expect("it begins").abort());
        },
        // In a task.
        |_, handle, diary| {
            let (tasks, diary) = (handle.clone(), diary.clone());
            handle.spawn(async move { spawn(&tasks, &diary, "runs") }).detach();
        },
        // In a destructor of a task that has ended.
        |_, handle, diary| {
            let (tasks, diary) = (handle.clone(), diary.clone());
            let owned = OnDrop::new(move || spawn(&tasks, &diary, "runs"));
            handle.spawn(async move { drop(owned) }).detach();
        },
        // In one of a task that is cancelled.
        |world, handle, diary| {
            let (tasks, diary) = (handle.clone(), diary.clone());
            let owned = OnDrop::new(move || spawn(&tasks, &diary, "runs"));
            let task = handle.spawn(async move {
                let _owned = owned;
                pending::<()>().await
            });
            world.quiet();
            drop(task);
        },
        // In what is called for a task.
        |_, handle, diary| {
            let (tasks, diary) = (handle.clone(), diary.clone());
            handle.call_soon(move |_, _| spawn(&tasks, &diary, "runs"));
        },
    ];
    for spawn in places {
        with_tasks(|world, handle, diary| {
            spawn(world, handle, diary);
            world.until("it runs", |_| diary.times("runs") == 1);
            says(world, diary, "runs");
            // Once more, when the loop has gone to sleep.
            spawn_again(world, handle, diary);
        });
    }
}

fn spawn_again(world: &mut dyn World, handle: &Handle<Journal>, diary: &Diary) {
    spawn(handle, diary, "again");
    says(world, diary, "runs | again");
}

#[test]
fn a_task_can_be_spawned_between_two_runs() {
    on_sockets(|world| {
        let (handle, diary) = crate::diary::settle_in(world);
        for round in 0..3 {
            let (tasks, diary) = (handle.clone(), diary.clone());
            let task = async move {
                diary.note(format!("round {round}"));
                tasks.call(|event_loop, _| event_loop.stop()).await;
            };
            handle.spawn(task).detach();
            world.loopback().run();
        }
        assert_eq!(diary.text(), "round 0 | round 1 | round 2");
    });
}

#[test]
fn who_spawns_after_the_end_of_the_loop_has_its_future_back_as_cancelled() {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    drop(event_loop);
    let diary = Diary::default();
    let owned = diary.owned("the future");
    let task = handle.spawn(async move { drop(owned) });
    assert_eq!(diary.text(), "the future dropped", "at once");
    assert!(task.is_finished());
    assert_eq!(task.now_or_never(), Some(Err(TaskError::Cancelled)));
}

#[test]
fn first_woken_first_polled_and_who_is_spawned_counts_as_woken() {
    with_tasks(|world, handle, diary| {
        let bells = [(); 4].map(|()| Bell::default());
        for (bell, name) in bells.iter().zip(["a", "b", "c", "d"]) {
            let (bell, diary) = (bell.clone(), diary.clone());
            let task = async move {
                loop {
                    bell.heard().await;
                    diary.note(name);
                }
            };
            handle.spawn(task).detach();
        }
        world.quiet();
        let [a, b, c, d] = bells;
        let (tasks, notes) = (handle.clone(), diary.clone());
        let conductor = async move {
            c.ring();
            spawn(&tasks, &notes, "newborn");
            a.ring();
            d.ring();
            c.ring();
            give_way().await;
            notes.note("conductor");
            b.ring();
            spawn(&tasks, &notes, "another");
            a.ring();
        };
        handle.spawn(conductor).detach();
        says(world, diary, "c newborn a d conductor b another a");
    });
}

#[test]
fn tasks_run_after_all_callbacks_of_their_turn_and_what_they_write_leaves_with_it() {
    with_tasks(|world, handle, diary| {
        let event = Event::new();
        let (tasks, waits, notes) = (handle.clone(), event.clone(), diary.clone());
        handle
            .spawn(async move {
                waits.wait().await;
                notes.note("task");
                tasks.call(move |_, _| notes.note("call")).await;
            })
            .detach();
        world.quiet();
        let notes = [(); 3].map(|()| diary.clone());
        world.enter(|event_loop, _| {
            let [first, second, third] = notes;
            event_loop.call_soon(move |event_loop, _| {
                event.set();
                first.note("first");
                event_loop.call_soon(move |_, _| third.note("next turn"));
            });
            event_loop.call_soon(move |_, _| second.note("second"));
        });
        says(world, diary, "first second task call | next turn");
    });
}

#[test]
fn a_task_is_polled_only_when_it_was_woken_and_once_for_any_number_of_wakes() {
    with_tasks(|world, handle, _| {
        let bell = Bell::default();
        let waits = bell.clone();
        let (task, polls) = counted(async move {
            loop {
                waits.heard().await;
            }
        });
        handle.spawn(task).detach();
        let (bystander, others) = counted(pending::<()>());
        handle.spawn(bystander).detach();
        world.quiet();
        assert_eq!((polls.get(), others.get()), (1, 1));
        for round in 2..5 {
            for _ in 0..1000 {
                bell.waker().wake();
                bell.waker().wake_by_ref();
            }
            world.quiet();
            assert_eq!((polls.get(), others.get()), (round, 1));
        }
    });
}

#[test]
fn a_task_that_is_woken_by_its_own_call_is_polled_once() {
    with_tasks(|world, handle, diary| {
        let (tasks, diary) = (handle.clone(), diary.clone());
        let (task, polls) = counted(async move {
            let event = Event::new();
            let set = event.clone();
            let both = proxy_herd::streams::join(event.wait(), tasks.call(move |_, _| set.set()));
            both.await;
            diary.note("both");
            pending::<()>().await
        });
        handle.spawn(task).detach();
        world.quiet();
        assert_eq!(polls.get(), 2, "to ask, and when it was both called and woken");
    });
}

#[test]
fn a_wake_during_its_own_poll_is_not_lost() {
    with_tasks(|world, handle, diary| {
        let (task, polls) = counted(async {
            for _ in 0..100 {
                give_way().await;
            }
        });
        let notes = diary.clone();
        handle
            .spawn(async move {
                task.await;
                notes.note("done");
            })
            .detach();
        world.until("the end", |_| diary.times("done") == 1);
        assert_eq!(polls.get(), 101);
    });
}

/// Counts its loop's turns.
fn turns(world: &mut dyn World) -> Rc<Cell<usize>> {
    let turns = Rc::<Cell<usize>>::default();
    let count = Rc::clone(&turns);
    world.enter(|event_loop, _| event_loop.before_sleep(move |_, _| count.set(count.get() + 1)));
    turns
}

/// A restless task in a world with a socket and a timer: both are served, and it is polled so often in a turn.
#[track_caller]
fn check_restless(begin: impl Fn(&Handle<Journal>) -> Rc<Cell<usize>>, most: usize) {
    with_tasks(|world, handle, diary| {
        world.serve(echo);
        let client = world.connect();
        world.until("it is accepted", |world| !world.journal().of("s1").is_empty());
        let turns = turns(world);
        let polls = begin(handle);
        let (tasks, notes) = (handle.clone(), diary.clone());
        handle
            .spawn(async move {
                tasks.sleep(millis(2)).await;
                notes.note("slept");
            })
            .detach();
        for _ in 0..10 {
            world.send(client, b"hello");
            world.until("the answer", |world| world.received(client) == b"hello");
            world.take_received(client);
        }
        world.until("the sleeper", |_| diary.times("slept") == 1);
        let (turns, polls) = (turns.get(), polls.get());
        assert!(polls >= turns / 2 && polls <= (turns + 1) * most, "{polls} polls in {turns} turns");
    });
}

#[test]
fn a_task_that_wakes_itself_for_ever_keeps_nobody_from_running() {
    check_restless(
        |handle| {
            let (task, polls) = counted(async {
                loop {
                    give_way().await;
                }
            });
            handle.spawn(task).detach();
            polls
        },
        17,
    );
}

#[test]
fn tasks_that_wake_each_other_for_ever_keep_nobody_from_running() {
    check_restless(
        |handle| {
            let (ping, pong) = (Event::new(), Event::new());
            let (here, there) = (ping.clone(), pong.clone());
            let (task, polls) = counted(async move {
                loop {
                    there.set();
                    here.wait().await;
                    here.clear();
                }
            });
            handle.spawn(task).detach();
            handle
                .spawn(async move {
                    loop {
                        pong.wait().await;
                        pong.clear();
                        ping.set();
                    }
                })
                .detach();
            polls
        },
        17,
    );
}

#[test]
fn a_task_that_spawns_its_successor_for_ever_keeps_nobody_from_running() {
    fn generation(handle: &Handle<Journal>, polls: &Rc<Cell<usize>>) {
        let (tasks, count) = (handle.clone(), Rc::clone(polls));
        let task = async move {
            count.set(count.get() + 1);
            generation(&tasks, &count);
        };
        handle.spawn(task).detach();
    }
    check_restless(
        |handle| {
            let polls = Rc::default();
            generation(handle, &polls);
            polls
        },
        17,
    );
}

#[test]
fn a_task_that_calls_for_ever_keeps_nobody_from_running() {
    check_restless(
        |handle| {
            let tasks = handle.clone();
            let (task, polls) = counted(async move {
                loop {
                    tasks.call(|_, _| ()).await;
                }
            });
            handle.spawn(task).detach();
            polls
        },
        17 * 65,
    );
}

#[test]
fn calls_that_call_for_ever_keep_nobody_from_running() {
    fn again(handle: &Handle<Journal>, calls: &Rc<Cell<usize>>) {
        let (tasks, count) = (handle.clone(), Rc::clone(calls));
        handle.call_soon(move |_, _| {
            count.set(count.get() + 1);
            again(&tasks, &count);
        });
    }
    check_restless(
        |handle| {
            let calls = Rc::default();
            again(handle, &calls);
            calls
        },
        17 * 65,
    );
}

#[test]
fn who_calls_for_ever_lets_other_tasks_go_first_now_and_then() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes) = (handle.clone(), diary.clone());
        let (task, polls) = counted(async move {
            loop {
                tasks.call(|_, _| ()).await;
            }
        });
        let task = handle.spawn(task);
        let seen = Rc::clone(&polls);
        handle
            .spawn(async move {
                for _ in 0..5 {
                    give_way().await;
                }
                notes.note("done");
                assert!(seen.get() < 7 * 65, "{}", seen.get());
            })
            .detach();
        world.until("the other one", |_| diary.times("done") == 1);
        drop(task);
        world.quiet();
        world.told("handler", &[]);
    });
}
