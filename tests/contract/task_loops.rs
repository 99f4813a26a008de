//! Promises about tasks and their loops: what a loop leaves behind when it is dropped, and that two do not get into each
//! other's way.

use std::cell::RefCell;
use std::future::pending;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use futures_util::FutureExt;
use proxy_herd::driver::Sim;
use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::{EventLoop, Security, ServerSecurity};
use proxy_herd::streams::{Handle, Queue, StreamReader, StreamWriter, Task, TaskError};

use crate::diary::{Diary, OnDrop, settle_in, with_tasks};
use crate::logbook::logged;
use crate::loop_core::millis;
use crate::world::LONG;

/// A state that knows the executor of its loop, and some of its tasks.
#[derive(Default)]
struct Knows {
    handle: Option<Handle<Knows>>,
    tasks: Vec<Task<()>>,
    ends: Vec<(StreamReader, StreamWriter)>,
}

/// A loop on a simulated host whose state, tasks and closures all know each other: everything is there that could be.
fn entangled(diary: &Diary) -> Sim<Knows> {
    let mut sim = Sim::new(7, Weather::default());
    let address = SocketAddr::from(([127, 0, 0, 1], 7));
    let host = sim.add_host("Goloman", Knows::default());
    let handle = sim.enter(host, |event_loop, knows| {
        let handle = Handle::new(event_loop);
        knows.handle = Some(handle.clone());
        handle
    });
    // A server with a connection, both ends of which wait; and one whose ends the state has.
    let tasks = handle.clone();
    let (serving, owned) = (diary.clone(), diary.owned("server"));
    let server = async move {
        let _owned = owned;
        let ours = tasks.clone();
        let server = tasks
            .start_server(address, ServerSecurity::Plain, move |mut reader, _writer| {
                let (owned, ours) = (serving.owned("handler"), ours.clone());
                async move {
                    let _owned = owned;
                    ours.timeout(LONG * 100, reader.read(1)).await??;
                    Ok(())
                }
            })
            .await
            .expect("the address is free");
        server.serve_forever().await;
    };
    handle.spawn(server).detach();
    for _ in 0..2 {
        let (tasks, owned) = (handle.clone(), diary.owned("client"));
        let client = async move {
            let ends = tasks.open_connection(address, Security::Plain).await.expect("somebody listens");
            tasks.call(move |_, knows: &mut Knows| knows.ends.push(ends)).await;
            let (mut reader, writer) = tasks.open_connection(address, Security::Plain).await.expect("somebody listens");
            writer.write(b"");
            let _ = (reader.read(1).await, owned);
        };
        let task = handle.spawn(client);
        sim.enter(host, |_, knows| knows.tasks.push(task));
    }
    // A job that nobody waits for, and a queue that two wait for.
    let (tasks, queue, owned) = (handle.clone(), Queue::<Task<()>>::new(1), diary.owned("getter"));
    let gets = queue.clone();
    let getter = handle.spawn(async move {
        let _owned = owned;
        while gets.get().await.is_some() {}
    });
    let owned = diary.owned("putter");
    let putter = async move {
        let _owned = owned;
        let _getter = getter;
        tasks.sleep(LONG * 100).await;
        queue.put(tasks.spawn(pending())).await.expect("it is not shut down");
    };
    handle.spawn(putter).detach();
    sim.run_for(LONG);
    // These are never polled, and never granted.
    let (tasks, owned) = (handle.clone(), diary.owned("newborn"));
    handle.spawn(async move { drop((tasks, owned)) }).detach();
    let (tasks, owned) = (handle.clone(), diary.owned("errand"));
    handle.call_soon(move |_, _| drop((tasks, owned)));
    // And these begin something when they are dropped.
    for name in ["spawner", "caller", "writer"] {
        let (tasks, words) = (handle.clone(), diary.clone());
        let guard = OnDrop::new(move || {
            let last = (tasks.clone(), words.owned(name));
            match name {
                "spawner" => tasks.spawn(async move { drop(last) }).detach(),
                "caller" => tasks.call_soon(move |_, _| drop(last)),
                _ => drop(tasks.spawn(async move { drop(last) })),
            }
        });
        let task = async move {
            let _guard = guard;
            pending::<()>().await
        };
        handle.spawn(task).detach();
    }
    sim
}

#[test]
fn a_loop_that_is_dropped_with_its_tasks_leaves_nothing() {
    let diary = Diary::default();
    drop(entangled(&diary));
    let mut names = diary.text().replace(" dropped", "");
    names.insert(0, ' ');
    for (name, count) in
        [("server", 1), ("handler", 4), ("client", 2), ("getter", 1), ("putter", 1), ("newborn", 1), ("errand", 1)]
    {
        assert_eq!(diary.times(&format!("{name} dropped")), count, "{name}: {names}");
    }
    for name in ["spawner", "caller", "writer"] {
        assert_eq!(diary.times(&format!("{name} dropped")), 1, "{name}: {names}");
    }
    drop((names, diary));
    let memory = allocation_counter::measure(|| drop(entangled(&Diary::default())));
    assert_eq!((memory.count_current, memory.bytes_current), (0, 0), "{memory:?}");
}

/// Whoever keeps an end of a stream, a task or a handle longer than the loop, keeps that and no more.
#[test]
fn what_outlives_its_loop_is_harmless_and_leaves_nothing() {
    let memory = allocation_counter::measure(|| {
        let kept = Rc::<RefCell<Vec<(StreamReader, StreamWriter)>>>::default();
        let mut sim = Sim::new(7, Weather::default());
        let address = SocketAddr::from(([127, 0, 0, 1], 7));
        let host = sim.add_host("Goloman", ());
        let handle: Handle<()> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
        let task = {
            let (tasks, keeps) = (handle.clone(), Rc::clone(&kept));
            handle.spawn(async move {
                let server = tasks
                    .start_server(address, ServerSecurity::Plain, |reader, writer| async move {
                        let _ends = (reader, writer);
                        pending().await
                    })
                    .await
                    .expect("the address is free");
                let ends = tasks.open_connection(address, Security::Plain).await.expect("it listens");
                keeps.borrow_mut().push(ends);
                server.serve_forever().await;
            })
        };
        sim.run_for(LONG);
        let [mut sleep, mut late] = [(); 2].map(|()| handle.sleep(millis(1)));
        assert_eq!((&mut sleep).now_or_never(), None);
        let mut call = Box::pin(handle.call(|_, ()| ()));
        assert_eq!((&mut call).now_or_never(), None);
        drop(sim);
        let (mut reader, writer) = kept.borrow_mut().pop().expect("it was put there");
        writer.write(b"hello");
        writer.close();
        assert!(writer.drain().now_or_never().is_none());
        assert!(reader.read(1).now_or_never().is_none());
        assert!(handle.open_connection(address, Security::Plain).now_or_never().is_none());
        assert_eq!(((&mut sleep).now_or_never(), (&mut late).now_or_never()), (None, None));
        assert_eq!((&mut call).now_or_never(), None);
        handle.call_soon(|_, ()| ());
        assert_eq!(task.now_or_never(), Some(Err(TaskError::Cancelled)));
        assert_eq!(handle.spawn(async {}).now_or_never(), Some(Err(TaskError::Cancelled)));
        drop((reader, writer));
        drop(handle.clone());
    });
    assert_eq!((memory.count_current, memory.bytes_current), (0, 0), "{memory:?}");
}

#[test]
fn a_destructor_that_panics_with_the_loop_keeps_no_other_from_being_dropped() {
    let diary = Diary::default();
    let lines = logged(|| {
        let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
        let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
        for name in ["first", "second"] {
            let owned = diary.owned(name);
            let guard = OnDrop::new(|| std::panic::resume_unwind(Box::new("on purpose")));
            handle.spawn(async move { drop((owned, guard)) }).detach();
            let (owned, tasks) = (diary.owned(name), handle.clone());
            let guard = OnDrop::new(|| std::panic::resume_unwind(Box::new("on purpose")));
            handle.call_soon(move |_, _| drop((owned, guard, tasks)));
        }
        drop(event_loop);
    });
    assert_eq!(lines, ["ERROR drop panicked: on purpose"; 4]);
    assert_eq!((diary.times("first dropped"), diary.times("second dropped")), (2, 2));
}

#[test]
fn two_executors_of_one_loop_do_not_get_into_each_others_way() {
    with_tasks(|world, first, diary| {
        let (second, _) = settle_in(world);
        let (there, back) = (Queue::unbounded(), Queue::unbounded());
        let (gets, gives) = (there.clone(), back.clone());
        let echo = async move {
            while let Some(number) = gets.get().await {
                gives.try_put(number + 1).expect("there is room");
            }
        };
        second.spawn(echo).detach();
        let (tasks, other, notes) = (first.clone(), second.clone(), diary.clone());
        let task = async move {
            for number in 0..100 {
                there.try_put(number).expect("there is room");
                assert_eq!(back.get().await, Some(number + 1));
                // Each may ask the other's executor.
                let sum = other.call(move |_, _| number).await + tasks.call(move |_, _| number).await;
                assert_eq!(other.spawn(async move { sum }).await, Ok(2 * number));
            }
            there.shut_down();
            notes.note("done");
        };
        first.spawn(task).detach();
        world.until("the end", |_| diary.times("done") == 1);
    });
}

#[test]
fn handles_of_two_loops_in_one_thread_are_not_mixed_up() {
    let mut sim = Sim::new(7, Weather::rough());
    let hosts = ["Goloman", "Hands"].map(|name| sim.add_host(name, Vec::<String>::new()));
    let handles = hosts.map(|host| sim.enter(host, |event_loop, _| Handle::new(event_loop)));
    let addresses = [1, 2].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    for (handle, address) in handles.iter().zip(addresses) {
        let tasks = handle.clone();
        let server = async move {
            let ours = tasks.clone();
            let server = tasks
                .start_server(address, ServerSecurity::Plain, move |mut reader, writer| {
                    let ours = ours.clone();
                    async move {
                        let name = ours.call(|_, told| told.concat()).await;
                        writer.write(name.as_bytes());
                        reader.read(1).await?;
                        Ok(())
                    }
                })
                .await
                .expect("the address is free");
            server.serve_forever().await;
        };
        handle.spawn(server).detach();
    }
    for (handle, name) in handles.iter().zip(["Goloman", "Hands"]) {
        let tasks = handle.clone();
        handle.spawn(async move { tasks.call(move |_, told| told.push(name.to_owned())).await }).detach();
    }
    // A task of the first uses both loops.
    let [here, there] = handles.clone();
    let names = handles[0].spawn(async move {
        let mut names = Vec::new();
        for (handle, address) in [(&here, addresses[1]), (&there, addresses[0]), (&there, addresses[1])] {
            handle.sleep(millis(100)).await;
            let (mut reader, writer) = handle.open_connection(address, Security::Plain).await.expect("it listens");
            writer.write(b"?");
            let name = reader.read_to_end().await.expect("it ends in order");
            names.push(String::from_utf8_lossy(name).into_owned());
        }
        names
    });
    sim.run_for(LONG);
    let names = names.now_or_never().expect("it has ended").expect("it was not cancelled");
    assert_eq!(names, ["Hands", "Goloman", "Hands"]);
}
