//! Promises about calls: the loop and the state, lent to a task; a call is made once, in order, or not at all.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;

use futures_util::FutureExt;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use proxy_herd::event_loop::{ConnId, ServerSecurity};
use proxy_herd::streams::{Handle, TaskError, join, join_all, race};

use crate::diary::{Diary, OnDrop, counted, give_way, says, settle_in, with_tasks};
use crate::loop_core::millis;
use crate::loopback::PATIENCE;
use crate::recorder::Journal;
use crate::world::on_sockets;

/// Runs a task that notes, and lets the world go on until it is quiet: what does the diary say?
#[track_caller]
fn check<F: Future<Output = ()> + 'static>(begin: impl Fn(Handle<Journal>, Diary) -> F, expected: &str) {
    with_tasks(|world, handle, diary| {
        handle.spawn(begin(handle.clone(), diary.clone())).detach();
        says(world, diary, expected);
    });
}

#[test]
fn a_call_has_the_state_and_its_result_comes_back_in_the_same_turn() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes) = (handle.clone(), diary.clone());
        let (task, polls) = counted(async move {
            let length = tasks
                .call(|_, journal| {
                    journal.note("call", "made");
                    journal.length()
                })
                .await;
            notes.note(format!("{length}"));
        });
        handle.spawn(task).detach();
        says(world, diary, "1");
        assert_eq!(polls.get(), 2);
        world.told("call", &["made"]);
    });
}

#[test]
fn calls_are_made_in_the_order_of_asking_whoever_asks() {
    check(
        |tasks, notes| async move {
            let note = |what: &'static str| {
                let notes = notes.clone();
                move || notes.note(what)
            };
            let (a, b, soon, d) = (note("a"), note("b"), note("soon"), note("d"));
            let first = tasks.call(move |_, _| a());
            let second = async {
                tasks.call_soon(move |_, _| soon());
                tasks.call(move |_, _| b()).await;
            };
            join(first, second).await;
            tasks.call(move |_, _| d()).await;
        },
        "a soon b d",
    );
}

#[test]
fn a_call_may_begin_others_and_tasks() {
    check(
        |tasks, notes| async move {
            let (inner, said) = (tasks.clone(), notes.clone());
            let task = tasks
                .call(move |_, _| {
                    let (again, words) = (inner.clone(), said.clone());
                    inner.call_soon(move |_, _| words.note("called"));
                    let words = said.clone();
                    said.note("calls");
                    inner.spawn(async move {
                        words.note("spawned");
                        let more = words.clone();
                        again.call(move |_, _| more.note("calls, too")).await;
                        7
                    })
                })
                .await;
            notes.note("goes on");
            notes.note(format!("{:?}", task.await));
        },
        "calls goes on called spawned calls, too Ok(7)",
    );
}

#[test]
fn a_call_that_is_dropped_before_it_is_granted_is_not_made() {
    check(
        |tasks, notes| async move {
            let (said, owned) = (notes.clone(), notes.owned("closure"));
            let call = tasks.call(move |_, _| {
                let _owned = owned;
                said.note("never");
            });
            // Asked, and given up in the same poll.
            race(call, async {}).await;
            notes.note("given up");
            let said = notes.clone();
            drop(tasks.call(move |_, _| said.note("nor this")));
            tasks.call(|_, _| ()).await;
            notes.note("done");
        },
        "closure dropped given up done",
    );
}

#[test]
fn a_task_that_is_cancelled_between_its_question_and_the_call_is_not_called() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes, owned) = (handle.clone(), diary.clone(), diary.owned("closure"));
        let task = handle.spawn(async move { tasks.call(move |_, _| drop((owned, notes))).await });
        drop(task);
        says(world, diary, "closure dropped");
        // While it is called, it has no other end than its own: then it is dropped where it waits next.
        let mine = Rc::<RefCell<Option<proxy_herd::streams::Task<()>>>>::default();
        let (tasks, own, notes) = (handle.clone(), Rc::clone(&mine), diary.clone());
        mine.replace(Some(handle.spawn(async move {
            let said = notes.clone();
            tasks
                .call(move |_, _| {
                    own.take().expect("it was put there").cancel();
                    said.note("cancels");
                })
                .await;
            notes.note("never");
        })));
        says(world, diary, "closure dropped | cancels");
    });
}

#[test]
fn what_was_written_before_is_with_the_transport_when_the_call_is_made() {
    with_tasks(|world, handle, diary| {
        let (tasks, address, notes) = (handle.clone(), world.address(), diary.clone());
        let other = Rc::<Cell<Option<ConnId>>>::default();
        world.listen(address, ServerSecurity::Plain, move |_: &mut Journal| {
            let (ours, notes, other) = (tasks.clone(), notes.clone(), Rc::clone(&other));
            tasks.protocol(move |_reader, writer| async move {
                let id = writer.id();
                let before = other.replace(Some(id));
                writer.write(b"hello ");
                writer.write(b"world");
                let waiting = ours
                    .call(move |event_loop, _| {
                        let mut size = |id| event_loop.transport(id).expect("it lives").write_buffer_size();
                        [Some(size(id)), before.map(size)]
                    })
                    .await;
                notes.note(format!("{waiting:?}"));
                writer.write(b"!");
                pending::<()>().await;
                Ok(())
            })
        });
        let first = world.connect();
        world.until("all", |world| world.received(first) == b"hello world!");
        let second = world.connect();
        world.until("all", |world| world.received(second) == b"hello world!");
        says(world, diary, "[Some(11), None] | [Some(11), Some(0)]");
    });
}

#[test]
fn calls_can_be_waited_for_together() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes) = (handle.clone(), diary.clone());
        let task = async move {
            let numbers = join_all((0..100).map(|number| tasks.call(move |_, _| number))).await;
            assert!(numbers.into_iter().eq(0..100));
            let calls: FuturesUnordered<_> = (0..100).map(|number| tasks.call(move |_, _| number)).collect();
            assert!(calls.collect::<Vec<_>>().await.into_iter().eq(0..100));
            notes.note("all");
        };
        handle.spawn(task).detach();
        says(world, diary, "all");
    });
}

#[test]
fn a_call_can_be_made_for_somebody_who_is_no_task_of_ours() {
    with_tasks(|world, handle, _| {
        let mut call = Box::pin(handle.call(|_, journal| journal.note("call", "made")));
        assert_eq!((&mut call).now_or_never(), None);
        world.until("the call", |world| world.journal().of("call") == ["made"]);
        assert_eq!(call.now_or_never(), Some(()));
        let call = handle.call(|_, journal| journal.note("call", "never asked for"));
        world.quiet();
        drop(call);
        handle.call_soon(|_, journal| journal.note("call", "soon"));
        world.until("the other call", |world| world.journal().of("call") == ["made", "soon"]);
    });
}

#[test]
fn call_soon_is_for_who_cannot_wait() {
    check(
        |tasks, notes| async move {
            let (said, calls) = (notes.clone(), tasks.clone());
            let guard = OnDrop::new(move || {
                let words = said.clone();
                calls.call_soon(move |_, _| words.note("last words"));
                said.note("dropped");
            });
            drop(guard);
            give_way().await;
            notes.note("goes on");
        },
        "dropped last words goes on",
    );
}

#[test]
fn a_job_is_done_on_another_thread_while_tasks_go_on() {
    with_tasks(|world, handle, _| {
        let (tasks, here) = (handle.clone(), thread::current().id());
        let task = handle.spawn(async move {
            let product = tasks.run_in_executor(|| (1..=20).product::<u64>()).await.expect("it does not panic");
            let fallen = tasks.run_in_executor(|| -> u8 { resume_unwind(Box::new("on purpose")) }).await;
            let message = fallen.expect_err("it panics").downcast_ref::<&str>().copied();
            assert_eq!(thread::current().id(), here);
            (product, message)
        });
        world.until("the jobs", |_| task.is_finished());
        assert_eq!(task.now_or_never(), Some(Ok((2_432_902_008_176_640_000, Some("on purpose")))));
        world.told("handler", &[]);
    });
}

#[test]
fn who_is_cancelled_while_its_job_is_done_hears_nothing_of_it() {
    on_sockets(|world| {
        let (handle, diary) = settle_in(world);
        let (open, gate) = channel::<()>();
        let (begun, has_begun) = channel();
        let (over, is_over) = channel();
        let (tasks, notes) = (handle.clone(), diary.clone());
        let task = handle.spawn(async move {
            let job = move || {
                begun.send(()).expect("it is waited for");
                let _ = gate.recv_timeout(PATIENCE);
                over.send(()).expect("it is waited for");
                "result"
            };
            notes.note(tasks.run_in_executor(job).await.expect("it does not panic"));
        });
        world.quiet();
        assert_eq!(has_begun.recv_timeout(PATIENCE), Ok(()));
        task.cancel();
        world.quiet();
        drop(open);
        assert_eq!(is_over.recv_timeout(PATIENCE), Ok(()));
        world.quiet();
        assert_eq!((diary.text().as_str(), task.now_or_never()), ("", Some(Err(TaskError::Cancelled))));
        // The next one is not given what was the other's.
        let tasks = handle.clone();
        let next = handle.spawn(async move { tasks.run_in_executor(|| "its own").await.expect("it does not panic") });
        world.until("the next job", |_| next.is_finished());
        assert_eq!(next.now_or_never(), Some(Ok("its own")));
    });
}

#[test]
fn a_call_stops_the_loop_when_the_turn_is_over() {
    on_sockets(|world| {
        let (handle, diary) = settle_in(world);
        let (tasks, notes) = (handle.clone(), diary.clone());
        handle
            .spawn(async move {
                tasks.call(|event_loop, _| event_loop.stop()).await;
                notes.note("goes on");
                give_way().await;
                notes.note("and on");
                tasks.sleep(millis(1)).await;
                notes.note("runs again");
                tasks.call(|event_loop, _| event_loop.stop()).await;
            })
            .detach();
        world.loopback().run();
        assert_eq!(diary.text(), "goes on and on");
        world.loopback().run();
        assert_eq!(diary.text(), "goes on and on | runs again");
    });
}
