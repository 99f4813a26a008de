//! Promises about wakers: from which thread and however late they are used, nothing is lost, and nothing is kept alive.

use std::cell::RefCell;
use std::future::pending;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::{Instant, SystemTime};

use futures_util::{FutureExt, StreamExt};
use proxy_herd::event_loop::{EventLoop, ServerSecurity};
use proxy_herd::streams::{Event, Handle, Queue, StreamWriter};

use crate::diary::{Bell, counted, says, settle_in, with_tasks};
use crate::loopback::PATIENCE;
use crate::recorder::Journal;
use crate::threads_dns_signals::Wakes;
use crate::world::on_sockets;

#[test]
fn a_wake_from_outside_of_the_loop_is_heard() {
    with_tasks(|world, handle, diary| {
        let queue = Queue::unbounded();
        let (takes, notes) = (queue.clone(), diary.clone());
        let task = async move {
            while let Some(word) = takes.get().await {
                notes.note(word);
            }
        };
        handle.spawn(task).detach();
        world.quiet();
        for word in ["one", "two"] {
            queue.try_put(word).expect("there is room");
            world.quiet();
        }
        world.enter(|_, _| queue.try_put("three").expect("there is room"));
        says(world, diary, "one | two | three");
    });
}

/// The loop sleeps, a thread answers: each waits for the other.
#[test]
fn a_wake_from_another_thread_is_never_lost() {
    const ROUNDS: usize = 100_000;
    on_sockets(|world| {
        let (handle, _) = settle_in(world);
        let (ask, asked) = mpsc::channel();
        let (answer, mut answers) = futures_channel::mpsc::unbounded();
        let thread = thread::spawn(move || {
            for number in asked {
                answer.unbounded_send(number).expect("it is waited for");
            }
        });
        let tasks = handle.clone();
        let (task, polls) = counted(async move {
            for round in 0..ROUNDS {
                ask.send(round).expect("the thread lives");
                assert_eq!(answers.next().await, Some(round));
            }
            tasks.call(|event_loop, _| event_loop.stop()).await;
        });
        let task = handle.spawn(task);
        world.loopback().run();
        drop(task);
        assert!(polls.get() <= 2 * ROUNDS + 3, "{} polls", polls.get());
        thread.join().expect("it does not panic");
    });
}

/// Many threads at once; their words are many, and so many polls are not needed.
#[test]
fn wakes_from_many_threads_are_never_lost() {
    const WORDS: usize = 10_000;
    on_sockets(|world| {
        let (handle, diary) = settle_in(world);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (say, mut heard) = futures_channel::mpsc::channel(8);
                let notes = diary.clone();
                let task = async move {
                    for word in 0..WORDS {
                        assert_eq!(heard.next().await, Some(word));
                    }
                    assert_eq!(heard.next().await, None);
                    notes.note("all");
                };
                handle.spawn(task).detach();
                thread::spawn(move || {
                    let mut say = say;
                    for word in 0..WORDS {
                        while say.try_send(word).is_err() {
                            thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        world.until("all words", |_| diary.times("all") == 4);
        threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
    });
}

#[test]
fn a_thousand_wakes_of_a_sleeping_loop_are_one_turn() {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let wakes = Arc::new(Wakes::default());
    event_loop.set_waker(Arc::clone(&wakes).into());
    let bells = [(); 3].map(|()| Bell::default());
    let polls = bells.clone().map(|bell| {
        let (task, polls) = counted(async move {
            loop {
                bell.heard().await;
            }
        });
        handle.spawn(task).detach();
        polls
    });
    let mut turn = || {
        event_loop.advance(Instant::now(), SystemTime::now());
        event_loop.end_turn();
        event_loop.next_deadline()
    };
    assert_eq!(turn(), None, "it sleeps");
    for round in 1..=3 {
        let before = wakes.0.load(Ordering::Relaxed);
        let wakers: Vec<Waker> = bells.iter().map(Bell::waker).collect();
        thread::scope(|scope| {
            for waker in &wakers {
                scope.spawn(move || (0..1000).for_each(|_| waker.wake_by_ref()));
            }
        });
        assert_eq!(wakes.0.load(Ordering::Relaxed) - before, 1);
        assert_eq!(turn(), None, "it sleeps again");
        assert_eq!(polls.each_ref().map(|polls| polls.get()), [1 + round; 3]);
    }
}

#[test]
fn a_waker_outlives_its_task_its_executor_and_its_loop() {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let bell = Bell::default();
    let waits = bell.clone();
    handle.spawn(async move { waits.heard().await }).detach();
    let mut turn = || {
        event_loop.advance(Instant::now(), SystemTime::now());
        event_loop.end_turn();
    };
    turn();
    let waker = bell.waker();
    bell.ring();
    turn();
    // The task is gone, and another is in its place.
    let (task, polls) = counted(pending::<()>());
    let task = handle.spawn(task);
    turn();
    waker.wake_by_ref();
    turn();
    assert_eq!(polls.get(), 1, "a newcomer is not woken by what was another's");
    drop(handle);
    drop(event_loop);
    waker.wake_by_ref();
    let other = waker.clone();
    thread::spawn(move || other.wake()).join().expect("it does not panic");
    waker.wake();
    drop(task);
}

#[test]
fn a_poll_and_a_wake_allocate_nothing() {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let bells = [(); 20].map(|()| Bell::default());
    for bell in bells.clone() {
        let task = async move {
            loop {
                bell.heard().await;
            }
        };
        handle.spawn(task).detach();
    }
    let mut turn = || {
        event_loop.advance(Instant::now(), SystemTime::now());
        event_loop.end_turn();
        assert_eq!(event_loop.next_deadline(), None, "nothing is left to do");
    };
    // Tables grow, and stay.
    for _ in 0..3 {
        turn();
        bells.iter().for_each(Bell::ring);
    }
    let memory = allocation_counter::measure(|| {
        for _ in 0..100 {
            turn();
            bells.iter().for_each(Bell::ring);
        }
    });
    assert_eq!(memory.count_total, 0, "{memory:?}");
}

thread_local! {
    /// What the next [`Nosy`] waker does that is dropped.
    static NOSY: RefCell<Option<Box<dyn FnOnce()>>> = RefCell::default();
}

/// A waker of somebody else's whose destructor does anything.
struct Nosy;

impl Wake for Nosy {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Nosy {
    fn drop(&mut self) {
        if let Some(act) = NOSY.take() {
            act();
        }
    }
}

/// Polls a future with such a waker, then with another: when the first is dropped, the loop goes.
fn check_nosy(begin: impl FnOnce(&Handle<()>) -> Pin<Box<dyn Future<Output = ()>>>) {
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let mut future = begin(&handle);
    let mut poll = |waker: Arc<Nosy>| future.as_mut().poll(&mut Context::from_waker(&waker.into()));
    assert_eq!(poll(Arc::new(Nosy)), Poll::Pending);
    event_loop.advance(Instant::now(), SystemTime::now());
    event_loop.end_turn();
    NOSY.set(Some(Box::new(move || drop(event_loop))));
    assert_eq!(poll(Arc::new(Nosy)), Poll::Pending);
    assert!(NOSY.take().is_none(), "the loop is gone");
}

#[test]
fn wakers_of_others_may_do_anything_when_they_are_dropped() {
    check_nosy(|handle| Box::pin(handle.spawn(pending::<()>()).map(drop)));
    check_nosy(|handle| Box::pin(handle.sleep(PATIENCE)));
    let event = Event::new();
    check_nosy(|_| Box::pin(async move { event.wait().await }));
}

/// A waker of somebody else's that is broken.
struct Broken;

impl Wake for Broken {
    fn wake(self: Arc<Self>) {
        resume_unwind(Box::new("broken"));
    }
}

/// Polls once with such a waker.
fn poll_broken<F: Future>(future: Pin<&mut F>) {
    assert!(future.poll(&mut Context::from_waker(&Arc::new(Broken).into())).is_pending());
}

#[test]
fn a_waker_that_panics_keeps_nobody_from_being_woken_who_comes_after_it() {
    with_tasks(|world, handle, diary| {
        let event = Event::new();
        let mut first = Box::pin(event.wait());
        poll_broken(first.as_mut());
        let waits = |what: &'static str, until: Pin<Box<dyn Future<Output = ()>>>| {
            let notes = diary.clone();
            handle
                .spawn(async move {
                    until.await;
                    notes.note(what);
                })
                .detach();
        };
        let other = event.clone();
        waits("event", Box::pin(async move { other.wait().await }));
        world.quiet();
        let set = catch_unwind(AssertUnwindSafe(|| event.set()));
        assert_eq!(set.expect_err("it panics").downcast_ref(), Some(&"broken"));
        world.until("the event", |_| diary.times("event") == 1);
        // The same of those who wait for a connection.
        let address = world.address();
        world.open(address);
        let (tasks, made) = (handle.clone(), Rc::<RefCell<Option<Rc<StreamWriter>>>>::default());
        let gives = Rc::clone(&made);
        world.listen(address, ServerSecurity::Plain, move |_: &mut Journal| {
            let gives = Rc::clone(&gives);
            tasks.protocol(move |_reader, writer| async move {
                gives.replace(Some(Rc::new(writer)));
                pending().await
            })
        });
        let client = world.connect();
        world.until("the connection", |_| made.borrow().is_some());
        let writer = made.take().expect("it was made");
        let mut first = Box::pin(writer.wait_closed());
        poll_broken(first.as_mut());
        let other = Rc::clone(&writer);
        waits("end", Box::pin(async move { drop(other.wait_closed().await) }));
        world.quiet();
        writer.abort();
        world.until("the end", |_| diary.times("end") == 1);
        world.until("the client's end", |world| world.ending(client).is_some());
    });
}

#[test]
fn a_waker_that_panics_costs_nobody_a_poll() {
    with_tasks(|world, handle, diary| {
        // They are due together, and the broken one first; what it waits for is dropped when all is over.
        let sleeps = [(); 3].map(|()| handle.sleep(crate::loop_core::millis(1)));
        let [mut first, second, third] = sleeps;
        poll_broken(Pin::new(&mut first));
        for (sleep, name) in [(second, "second"), (third, "third")] {
            let notes = diary.clone();
            handle
                .spawn(async move {
                    sleep.await;
                    notes.note(name);
                })
                .detach();
        }
        world.until("the sleepers", |_| diary.times("second") + diary.times("third") == 2);
        // And the loop is still woken when it sleeps.
        let bell = Bell::default();
        let (waits, notes) = (bell.clone(), diary.clone());
        handle
            .spawn(async move {
                waits.heard().await;
                notes.note("heard");
            })
            .detach();
        world.quiet();
        bell.ring();
        world.until("the bell", |_| diary.times("heard") == 1);
        assert_eq!(world.journal().of("handler").len(), 1);
    });
}
