//! Promises about the tasks behind streams, where asyncio's are different: whose they are, and how they end.

use std::future::pending;
use std::rc::{Rc, Weak};

use proxy_herd::streams::{Queue, Task, TaskError};

use crate::streams_stage::{Stage, WHY, converse};
use crate::world::{calm, everywhere};

/// A task that owns a token, and waits for ever.
fn owner(stage: &Stage) -> (Task<()>, Weak<()>) {
    let token = Rc::new(());
    let seen = Rc::downgrade(&token);
    let task = stage.handle.spawn(async move {
        let _mine = token;
        pending::<()>().await;
    });
    (task, seen)
}

#[test]
fn a_task_is_cancelled_by_who_drops_it_and_lives_on_detached() {
    calm(|world| {
        let stage = Stage::new(world);
        let ((dropped, gone), (detached, there)) = (owner(&stage), owner(&stage));
        drop(dropped);
        detached.detach();
        world.quiet();
        assert_eq!((gone.strong_count(), there.strong_count()), (0, 1));
    });
}

#[test]
fn a_cancelled_task_cannot_refuse() {
    calm(|world| {
        let stage = Stage::new(world);
        let (task, seen) = owner(&stage);
        let notes = stage.clone();
        task.cancel();
        stage.spawn(async move {
            let end = task.await;
            notes.note("task", format!("{end:?} {}", seen.strong_count())).await;
        });
        world.quiet();
        world.told("task", &[&format!("{:?} 0", Err::<(), _>(TaskError::Cancelled))]);
    });
}

#[test]
fn a_panic_that_nobody_awaits_is_told_at_once() {
    calm(|world| {
        let stage = Stage::new(world);
        world.enter(|event_loop, _| {
            event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
        });
        // It is kept: nobody collects it.
        let _kept = stage.handle.spawn(async { panic!("{WHY}") });
        world.quiet();
        world.told("handler", &[&format!("a task panicked: {WHY}")]);
    });
}

#[test]
fn tasks_that_wake_each_other_without_end_do_not_keep_io_waiting() {
    everywhere(|world| {
        let (stage, client) = converse(world, &[]);
        let (ping, pong) = (Queue::unbounded(), Queue::unbounded());
        for (mine, yours) in [(ping.clone(), pong.clone()), (pong, ping.clone())] {
            stage.spawn(async move {
                while mine.get().await.is_some() {
                    yours.try_put(()).expect("nobody shuts it down");
                }
            });
        }
        ping.try_put(()).expect("nobody shuts it down");
        world.send(client, b"hello\n");
        stage.tell("s1", "read_line");
        stage.tell("s1", "write hello");
        world.until("an answer", |world| world.received(client) == b"hello");
        // It would never be quiet.
        ping.shut_down();
    });
}
