//! Promises to combinators that are not ours: whatever they poll, drop, keep or share, nothing is lost and nobody is forgotten.

use std::cell::RefCell;
use std::pin::pin;
use std::rc::Rc;

use futures_util::future::{AbortHandle, Aborted, FusedFuture, LocalBoxFuture, abortable};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select};
use proxy_herd::event_loop::ServerSecurity;
use proxy_herd::streams::{Event, Handle, Queue, StreamReader, StreamWriter, Task};

use crate::diary::with_tasks;
use crate::loop_core::millis;
use crate::recorder::Journal;
use crate::streams_stage::Stage;
use crate::world::{Client, World, everywhere};

/// Both ends of one connection's stream, for a test to use, and its client.
fn ends(world: &mut dyn World) -> (Stage, StreamReader, StreamWriter, Client) {
    let (stage, made) = (Stage::new(world), Rc::<RefCell<Option<(StreamReader, StreamWriter)>>>::default());
    let gives = Rc::clone(&made);
    stage.serve_with(world, ServerSecurity::Plain, move |reader, writer| {
        gives.replace(Some((reader, writer)));
        async { Ok(()) }
    });
    let client = world.connect();
    world.until("the connection", |_| made.borrow().is_some());
    let (reader, writer) = made.take().expect("it was made");
    (stage, reader, writer, client)
}

/// Whatever else is ready, lines and items come in order, all of them: the branches that lose have taken nothing.
#[test]
fn a_select_takes_nothing_from_those_who_lose() {
    const LINES: usize = 100;
    everywhere(|world| {
        let (stage, mut reader, writer, client) = ends(world);
        let (handle, queue, heard) = (stage.handle.clone(), Queue::new(3), Rc::<RefCell<Vec<String>>>::default());
        let (items, notes) = (queue.clone(), Rc::clone(&heard));
        stage.spawn(async move {
            let mut patience = handle.sleep(millis(1)).fuse();
            let mut others = 0;
            loop {
                let mut line = pin!(reader.read_line().fuse());
                let mut item = pin!(items.get().fuse());
                let mut room = pin!(writer.woken().fuse());
                select! {
                    line = line => match line.expect("it does not fail") {
                        [] => break,
                        line => notes.borrow_mut().push(line.escape_ascii().to_string()),
                    },
                    item = item => notes.borrow_mut().push(format!("item {}", item.expect("it is not shut down"))),
                    () = room => others += 1,
                    () = patience => others += 1,
                }
                if patience.is_terminated() {
                    patience = handle.sleep(millis(1)).fuse();
                }
                if others % 3 == 0 {
                    let id = writer.id();
                    handle.call(move |event_loop, _| event_loop.wake(id)).await;
                }
            }
        });
        let puts = queue.clone();
        stage.spawn(async move {
            for item in 0..LINES {
                puts.put(item).await.expect("it is not shut down");
            }
        });
        for line in 0..LINES {
            world.send(client, format!("line {line}").as_bytes());
            if line % 7 == 0 {
                world.step();
            }
            world.send(client, b"\n");
        }
        world.until("all of it", |_| heard.borrow().len() == 2 * LINES);
        world.half_close(client);
        world.until("the end", |world| world.ending(client).is_some());
        let (lines, items): (Vec<_>, Vec<_>) = heard.take().into_iter().partition(|word| word.starts_with("line"));
        assert!(lines.into_iter().eq((0..LINES).map(|line| format!("line {line}\\n"))));
        assert!(items.into_iter().eq((0..LINES).map(|item| format!("item {item}"))));
    });
}

/// One of each kind that a task can wait for, with its name, all of them due once the client speaks and goes.
fn one_of_each<'a>(
    handle: &'a Handle<Journal>,
    (reader, writer): (&'a mut StreamReader, &'a StreamWriter),
    queue: &'a Queue<u8>,
    task: Task<()>,
) -> Vec<LocalBoxFuture<'a, &'static str>> {
    vec![
        reader.read_exact(5).map(|read| if read.is_ok() { "read" } else { "?" }).boxed_local(),
        writer.drain().map(|_| "drain").boxed_local(),
        writer.woken().map(|()| "woken").boxed_local(),
        writer.wait_closed().map(|_| "wait_closed").boxed_local(),
        handle.sleep(millis(1)).map(|()| "sleep").boxed_local(),
        queue.get().map(|_| "get").boxed_local(),
        task.map(|_| "task").boxed_local(),
    ]
}

#[test]
fn many_kinds_of_waiting_end_together_in_a_set_and_in_a_join() {
    for as_set in [true, false] {
        everywhere(|world| {
            let (stage, mut reader, writer, client) = ends(world);
            let (handle, queue, event) = (stage.handle.clone(), Queue::new(1), Event::new());
            let (items, hears) = (queue.clone(), event.clone());
            let task = handle.spawn(async move { hears.wait().await });
            let notes = stage.clone();
            stage.spawn(async move {
                writer.write(&[7; 200_000]);
                let each = one_of_each(&handle, (&mut reader, &writer), &items, task);
                let mut names: Vec<_> = if as_set {
                    each.into_iter().collect::<FuturesUnordered<_>>().collect().await
                } else {
                    futures_util::future::join_all(each).await
                };
                names.sort_unstable();
                notes.note("task", names.join(" ")).await;
            });
            world.quiet();
            world.send(client, b"hello");
            world.quiet();
            event.set();
            queue.try_put(1).expect("there is room");
            world.quiet();
            world.reset(client);
            world.until("all of them", |world| !world.journal().of("task").is_empty());
            world.told("task", &["drain get read sleep task wait_closed woken"]);
        });
    }
}

#[test]
fn who_is_aborted_has_taken_nothing_and_the_next_is_woken() {
    everywhere(|world| {
        let (stage, mut reader, writer, client) = ends(world);
        let (queue, event) = (Queue::new(1), Event::new());
        let (items, begun, notes) = (queue.clone(), event.clone(), stage.clone());
        stage.spawn(async move {
            let (read, stop_read) = abortable(reader.read_exact(5));
            let (get, stop_get) = abortable(items.get());
            let (drain, stop_drain) = abortable(writer.drain());
            let stops = async {
                begun.wait().await;
                [stop_read, stop_get, stop_drain].iter().for_each(AbortHandle::abort);
            };
            let (read, get, drain, ()) = futures_util::join!(read, get, drain, stops);
            assert!(matches!((read, get), (Err(Aborted), Err(Aborted))));
            assert!(matches!(drain, Ok(Ok(()))), "nothing was written");
            let (read, get) = futures_util::join!(reader.read_exact(5), items.get());
            let said = read.expect("it comes").escape_ascii().to_string();
            notes.note("task", format!("{said} {get:?}")).await;
        });
        world.quiet();
        world.send(client, b"hel");
        world.quiet();
        event.set();
        world.quiet();
        world.send(client, b"lo");
        queue.try_put(1).expect("there is room");
        world.until("the rest", |world| !world.journal().of("task").is_empty());
        world.told("task", &["hello Some(1)"]);
    });
}

/// Who polled last may be gone when it is ready: the others are woken all the same.
#[test]
fn what_is_shared_goes_on_when_one_of_those_who_wait_is_gone() {
    with_tasks(|world, handle, diary| {
        let (queue, event) = (Queue::unbounded(), Event::new());
        let (items, hears) = (queue.clone(), event.clone());
        let task = handle.spawn(async move { hears.wait().await });
        let tasks = handle.clone();
        let jobs = async move { drop(tasks.run_in_executor(|| ()).await) };
        let shared = [
            handle.sleep(millis(5)).boxed_local(),
            task.map(drop).boxed_local(),
            async move { assert_eq!(items.get().await, Some(1)) }.boxed_local(),
            jobs.boxed_local(),
        ]
        .map(FutureExt::shared);
        for shared in &shared {
            let waits = shared.clone();
            let first = handle.spawn(waits);
            world.step();
            for _ in 0..2 {
                let (waits, notes) = (shared.clone(), diary.clone());
                handle.spawn(async move { waits.map(|()| notes.note("done")).await }).detach();
            }
            drop(first);
        }
        event.set();
        queue.try_put(1).expect("there is room");
        world.until("all of them", |_| diary.times("done") == 8);
    });
}
