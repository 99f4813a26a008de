//! Promises about the ends of tasks: cancelled, panicked, joined, let go, dropped with the loop. What a task owned is dropped
//! once, and nobody else is harmed.

use std::cell::RefCell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use futures_util::FutureExt;
use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{ConnId, EventLoop, ServerSecurity};
use proxy_herd::streams::{Event, Handle, StreamReader, StreamWriter, Task, TaskError, join};

use crate::diary::{Bell, Diary, OnDrop, counted, give_way, says, with_tasks};
use crate::loop_core::millis;
use crate::recorder::Journal;
use crate::world::LONG;

/// A task that owns something and waits for ever.
fn waits(handle: &Handle<Journal>, diary: &Diary, name: &'static str) -> Task<()> {
    let owned = diary.owned(name);
    handle.spawn(async move {
        let _owned = owned;
        pending().await
    })
}

/// A task that runs this, and notes when it is done.
fn begin(handle: &Handle<Journal>, diary: &Diary, future: impl Future<Output = ()> + 'static) {
    let diary = diary.clone();
    let task = async move {
        future.await;
        diary.note("done");
    };
    handle.spawn(task).detach();
}

#[test]
fn who_is_cancelled_before_its_first_poll_is_never_polled() {
    with_tasks(|world, handle, diary| {
        let (task, polls) = counted(pending::<()>());
        let owned = diary.owned("it");
        let task = handle.spawn(task.map(move |()| drop(owned)));
        diary.note("cancel");
        task.cancel();
        assert!(!task.is_finished(), "the executor comes to it");
        says(world, diary, "cancel it dropped");
        assert!(task.is_finished());
        assert_eq!(task.now_or_never(), Some(Err(TaskError::Cancelled)));
        assert_eq!(polls.get(), 0);
    });
}

#[test]
fn who_is_cancelled_while_it_waits_is_dropped_in_the_same_turn() {
    with_tasks(|world, handle, diary| {
        let victim = waits(handle, diary, "victim");
        world.quiet();
        let notes = diary.clone();
        begin(handle, diary, async move {
            notes.note("cancel");
            victim.cancel();
            victim.cancel();
            notes.note(format!("{:?}", victim.await));
        });
        says(world, diary, "cancel victim dropped Err(Cancelled) done");
    });
}

#[test]
fn who_is_woken_and_cancelled_is_not_polled_any_more() {
    with_tasks(|world, handle, _| {
        let bell = Bell::default();
        let hears = bell.clone();
        let (task, polls) = counted(async move { hears.heard().await });
        let task = handle.spawn(task);
        world.quiet();
        bell.ring();
        task.cancel();
        world.quiet();
        assert_eq!((polls.get(), task.now_or_never()), (1, Some(Err(TaskError::Cancelled))));
    });
}

#[test]
fn who_cancels_itself_is_dropped_where_it_waits_next() {
    with_tasks(|world, handle, diary| {
        let mine = Rc::<RefCell<Option<Task<()>>>>::default();
        let (own, notes, owned) = (Rc::clone(&mine), diary.clone(), diary.owned("it"));
        let task = handle.spawn(async move {
            let _owned = owned;
            own.borrow().as_ref().expect("it was put there").cancel();
            notes.note("goes on");
            give_way().await;
            notes.note("never");
        });
        mine.replace(Some(task));
        says(world, diary, "goes on it dropped");
        let task = mine.take().expect("it is there");
        assert_eq!(task.now_or_never(), Some(Err(TaskError::Cancelled)));
    });
}

#[test]
fn who_drops_its_own_task_is_cancelled_by_that() {
    with_tasks(|world, handle, diary| {
        let mine = Rc::<RefCell<Option<Task<()>>>>::default();
        let (own, notes, owned) = (Rc::clone(&mine), diary.clone(), diary.owned("it"));
        let task = handle.spawn(async move {
            let _owned = owned;
            drop(own.take());
            notes.note("goes on");
            pending().await
        });
        mine.replace(Some(task));
        says(world, diary, "goes on it dropped");
        // And if it ends before it waits, it has ended.
        let (own, notes) = (Rc::clone(&mine), diary.clone());
        mine.replace(Some(handle.spawn(async move {
            drop(own.take());
            notes.note("ends");
        })));
        says(world, diary, "goes on it dropped | ends");
    });
}

#[test]
fn to_cancel_who_has_ended_changes_nothing_and_wakes_nobody() {
    with_tasks(|world, handle, _| {
        let task = handle.spawn(async { 7 });
        let (bystander, polls) = counted(pending::<()>());
        handle.spawn(bystander).detach();
        world.quiet();
        task.cancel();
        task.cancel();
        world.quiet();
        assert_eq!(task.now_or_never(), Some(Ok(7)));
        assert_eq!(polls.get(), 1);
    });
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let task = handle.spawn(async {});
    for _ in 0..2 {
        event_loop.advance(Instant::now(), SystemTime::now());
        event_loop.end_turn();
    }
    task.cancel();
    drop(task);
    assert_eq!(event_loop.next_deadline(), None, "no turn for nothing");
}

#[test]
fn destructors_of_who_is_cancelled_may_do_anything() {
    with_tasks(|world, handle, diary| {
        let address = world.address();
        world.open(address);
        let others = [waits(handle, diary, "first"), waits(handle, diary, "second")];
        let mine = Rc::<RefCell<Option<Task<()>>>>::default();
        let (tasks, notes, own) = (handle.clone(), diary.clone(), Rc::clone(&mine));
        let guard = OnDrop::new(move || {
            notes.note("last words");
            own.borrow().as_ref().expect("it was put there").cancel();
            let [first, second] = others;
            drop(first);
            second.cancel();
            let again = notes.clone();
            tasks.call_soon(move |_, _| again.note("called"));
            let (again, owned) = (notes.clone(), notes.owned("newborn"));
            tasks
                .spawn(async move {
                    let _owned = owned;
                    again.note("newborn");
                })
                .detach();
            second.detach();
        });
        mine.replace(Some(handle.spawn(async move {
            let _guard = guard;
            pending().await
        })));
        world.quiet();
        mine.borrow().as_ref().expect("it is there").cancel();
        world.quiet();
        let mut notes: Vec<String> = diary.text().split(" | ").map(str::to_owned).collect();
        assert_eq!(notes.len(), 1, "all in one turn: {notes:?}");
        let words = notes.remove(0);
        for word in ["last words", "called", "newborn dropped", "first dropped", "second dropped"] {
            assert_eq!(words.matches(word).count(), 1, "{word}: {words}");
        }
    });
}

#[test]
fn what_a_task_owns_is_dropped_when_it_ends_and_not_when_it_is_joined() {
    with_tasks(|world, handle, diary| {
        let (owned, result) = (diary.owned("owned"), diary.owned("result"));
        let task = handle.spawn(async move {
            let _owned = owned;
            result
        });
        world.quiet();
        diary.note("join");
        drop(task.now_or_never().expect("it has ended").expect("it was not cancelled"));
        assert_eq!(diary.text(), "owned dropped | join result dropped");
        // Nobody wants the result.
        let result = diary.owned("result");
        handle.spawn(async move { result }).detach();
        says(world, diary, "owned dropped | join result dropped result dropped");
    });
}

#[test]
fn a_task_that_was_let_go_runs_to_its_end() {
    with_tasks(|world, handle, diary| {
        let (tasks, notes) = (handle.clone(), diary.clone());
        handle
            .spawn(async move {
                notes.note("begins");
                tasks.sleep(millis(1)).await;
                notes.note("ends");
            })
            .detach();
        world.until("its end", |_| diary.times("ends") == 1);
    });
}

#[test]
fn a_task_is_joined_by_another_once_it_has_ended() {
    with_tasks(|world, handle, diary| {
        let bell = Bell::default();
        let hears = bell.clone();
        let task = handle.spawn(async move {
            hears.heard().await;
            42
        });
        let notes = diary.clone();
        begin(handle, diary, async move { notes.note(format!("{:?}", task.await)) });
        world.quiet();
        assert_eq!(diary.text(), "");
        bell.ring();
        says(world, diary, "Ok(42) done");
    });
}

#[test]
fn a_task_is_joined_once() {
    with_tasks(|world, handle, _| {
        let mut task = handle.spawn(async {});
        world.quiet();
        assert_eq!((&mut task).now_or_never(), Some(Ok(())));
        let second = catch_unwind(AssertUnwindSafe(|| (&mut task).now_or_never()));
        let message = second.expect_err("it panics");
        assert_eq!(message.downcast_ref(), Some(&"a task is joined once"));
    });
}

/// How a task may panic.
type Fall = fn(&Handle<Journal>) -> Task<()>;

/// And what is told, and what its join says.
const FALLS: [(Fall, &str, Option<&str>); 7] = [
    (|handle| handle.spawn(async { fall("at once") }), "a task panicked: at once", Some("at once")),
    (
        |handle| {
            let tasks = handle.clone();
            handle.spawn(async move {
                tasks.sleep(millis(1)).await;
                fall("later")
            })
        },
        "a task panicked: later",
        Some("later"),
    ),
    (
        |handle| {
            let tasks = handle.clone();
            handle.spawn(async move { tasks.call(|_, _| fall("in a call")).await })
        },
        "a task panicked: in a call",
        Some("in a call"),
    ),
    (
        |handle| {
            let owned = OnDrop::new(|| fall("at the end"));
            handle.spawn(async move { drop(owned) })
        },
        "a task panicked: at the end",
        Some("at the end"),
    ),
    (
        |handle| {
            let owned = OnDrop::new(|| fall("cancelled"));
            let task = handle.spawn(async move {
                let _owned = owned;
                pending().await
            });
            task.cancel();
            task
        },
        "drop panicked: cancelled",
        None,
    ),
    (
        |handle| {
            handle.call_soon(|_, _| fall("called soon"));
            handle.spawn(pending())
        },
        "a call of the loop panicked: called soon",
        None,
    ),
    (
        |handle| {
            struct Payload;
            impl Drop for Payload {
                fn drop(&mut self) {
                    resume_unwind(Box::new("once more"));
                }
            }
            handle.spawn(async { resume_unwind(Box::new(Payload)) })
        },
        "a task panicked: (not a text)",
        Some("(not a text)"),
    ),
];

/// A panic like any other, without the words on standard error.
fn fall(message: &'static str) -> ! {
    resume_unwind(Box::new(message))
}

#[test]
fn a_panic_is_told_once_to_the_handler_and_to_who_joins_and_the_others_go_on() {
    for (fall, told, joined) in FALLS {
        with_tasks(|world, handle, diary| {
            // Around it are others, one of them in the same round.
            let (before, after) = (Bell::default(), Bell::default());
            for bell in [&before, &after] {
                let (bell, notes) = (bell.clone(), diary.clone());
                begin(handle, diary, async move {
                    bell.heard().await;
                    notes.note("heard");
                });
            }
            world.quiet();
            before.ring();
            let task = fall(handle);
            after.ring();
            let bystander = handle.spawn(async { "well" });
            world.until("the panic", |world| !world.journal().of("handler").is_empty());
            world.quiet();
            let reports = world.journal().of("handler");
            assert_eq!(reports[0], told);
            assert!(reports.len() == 1 || reports[1].ends_with("once more"), "{reports:?}");
            assert_eq!(bystander.now_or_never(), Some(Ok("well")));
            assert_eq!((diary.times("heard"), diary.times("done")), (2, 2));
            if let Some(message) = joined {
                let end = task.now_or_never().expect("it has ended");
                assert!(matches!(end, Err(TaskError::Panicked(panicked)) if panicked.message == message));
            }
        });
    }
}

#[test]
fn a_handler_that_panics_costs_its_connection_and_no_other() {
    type Serve = fn(
        Handle<Journal>,
        StreamReader,
        StreamWriter,
    ) -> futures_util::future::LocalBoxFuture<'static, std::io::Result<()>>;
    let handlers: [Serve; 3] = [
        |_, mut reader, writer| {
            Box::pin(async move {
                let hello = reader.read(5).await?;
                writer.write(hello);
                writer.drain().await?;
                reader.read(5).await?;
                writer.write(b"half an");
                fall("in the middle")
            })
        },
        // The writer is no part of what unwinds.
        |_, mut reader, writer| {
            let (event, cue) = (Event::new(), Event::new());
            let (set_event, set_cue) = (event.clone(), cue.clone());
            let falls = async move {
                reader.read(5).await.expect("it is there");
                set_event.set();
                reader.read(5).await.expect("it is there");
                set_cue.set();
                give_way().await;
                fall("in the middle")
            };
            let speaks = async move {
                event.wait().await;
                writer.write(b"hello");
                cue.wait().await;
                writer.write(b"half an");
                pending::<()>().await
            };
            Box::pin(join(speaks, falls).map(|((), ())| Ok(())))
        },
        |tasks, mut reader, writer| {
            Box::pin(async move {
                let hello = reader.read(5).await?;
                writer.write(hello);
                writer.drain().await?;
                reader.read(5).await?;
                tasks.call(|_, _| fall("in the middle")).await;
                Ok(())
            })
        },
    ];
    for serve in handlers {
        with_tasks(|world, handle, _| {
            let tasks = handle.clone();
            let address = world.address();
            world.listen(address, ServerSecurity::Plain, move |_: &mut Journal| {
                let ours = tasks.clone();
                tasks.protocol(move |reader, writer| serve(ours, reader, writer))
            });
            let clients = [world.connect(), world.connect()];
            for client in clients {
                world.send(client, b"hello");
                world.until("the echo", |world| world.received(client) == b"hello");
            }
            world.send(clients[0], b"fall!");
            world.until("its end", |world| world.ending(clients[0]).is_some());
            world.quiet();
            assert_eq!(world.received(clients[0]), b"hello", "who panics has not said all");
            assert_eq!(world.ending(clients[1]), None);
            let reports = world.journal().of("handler");
            assert_eq!(reports.len(), 1);
            assert!(reports[0].starts_with("a task of #") && reports[0].ends_with("in the middle"), "{reports:?}");
        });
    }
}

#[test]
fn who_is_cancelled_closes_its_connections_in_good_order() {
    with_tasks(|world, handle, _| {
        let (tasks, address) = (handle.clone(), world.address());
        let server = Rc::<RefCell<Vec<ConnId>>>::default();
        let seen = Rc::clone(&server);
        world.listen(address, ServerSecurity::Plain, move |_: &mut Journal| {
            let (seen, ours) = (Rc::clone(&seen), tasks.clone());
            tasks.protocol(move |reader, writer| async move {
                seen.borrow_mut().push(writer.id());
                writer.write(b"hello");
                let timeout = ours.timeout(LONG, async move {
                    let _reader = reader;
                    let _writer = writer;
                    pending::<()>().await
                });
                timeout.await.expect_err("nothing else can happen");
                Ok(())
            })
        });
        let client = world.connect();
        world.until("the end", |world| world.ending(client).is_some());
        assert_eq!((world.received(client), world.ending(client)), (&b"hello"[..], Some(Ending::Fin)));
        assert_eq!(server.borrow().len(), 1);
    });
}

#[test]
fn an_event_that_is_set_by_a_destructor_wakes_who_waits() {
    with_tasks(|world, handle, diary| {
        let event = Event::new();
        let (waits, notes) = (event.clone(), diary.clone());
        begin(handle, diary, async move {
            waits.wait().await;
            notes.note("set");
        });
        let guard = OnDrop::new(move || event.set());
        let task = handle.spawn(async move {
            let _guard = guard;
            pending::<()>().await
        });
        world.quiet();
        drop(task);
        says(world, diary, "set done");
    });
}
