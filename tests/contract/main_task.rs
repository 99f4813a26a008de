//! A program's main task and what it waits for: how the loop is stopped by its end, what comes of it, and signals.

use std::future::pending;
use std::panic::resume_unwind;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::sim::{HostId, Sim, Weather};
use proxy_herd::event_loop::{EventLoop, Panicked, Signal};
use proxy_herd::streams::{Handle, Task, TaskError, join, race};

/// What tasks have told.
type Told = Vec<&'static str>;

const SECOND: Duration = Duration::from_secs(1);

fn begin() -> (Sim<Told>, HostId, Handle<Told>) {
    let mut sim = Sim::new(7, Weather::default());
    let host = sim.add_host("Goloman", Told::new());
    let handle = sim.enter(host, |event_loop, _| {
        event_loop.set_exception_handler(|_, told, _| told.push("a panic"));
        Handle::new(event_loop)
    });
    (sim, host, handle)
}

/// What a main task may come to.
type End = Result<Result<&'static str, &'static str>, TaskError>;

#[test]
fn the_loop_stops_when_its_main_task_ends_in_whichever_way() {
    #[track_caller]
    fn check<F>(main: impl FnOnce(Handle<Told>) -> F, meddle: fn(&Task<F::Output>), expected: End)
    where
        F: Future<Output = Result<&'static str, &'static str>> + 'static,
    {
        let (mut sim, host, handle) = begin();
        // It does not count.
        handle.spawn(pending::<()>()).detach();
        let main = handle.spawn_main(main(handle.clone()));
        sim.run_for(SECOND);
        assert!(sim.is_running(host) && !main.is_finished());
        meddle(&main);
        sim.run_for(SECOND);
        assert!(!sim.is_running(host), "the loop has stopped");
        assert!(main.is_finished());
        assert_eq!(main.result(), expected);
        assert_eq!(sim.state(host).len(), usize::from(matches!(expected, Err(TaskError::Panicked(_)))));
    }
    let later = |handle: Handle<Told>| async move { handle.sleep(SECOND + SECOND / 2).await };
    check(
        |handle| async move {
            later(handle).await;
            Ok("value")
        },
        |_| {},
        Ok(Ok("value")),
    );
    check(
        |handle| async move {
            later(handle).await;
            Err("error")
        },
        |_| {},
        Ok(Err("error")),
    );
    let panicked = Panicked { callback: "a task", id: None, message: "on purpose".to_owned() };
    let panics = |handle: Handle<Told>| async move {
        later(handle).await;
        resume_unwind(Box::new("on purpose"))
    };
    check(panics, |_| {}, Err(TaskError::Panicked(panicked)));
    check(|_| pending(), Task::cancel, Err(TaskError::Cancelled));
}

#[test]
fn a_main_task_that_is_dropped_before_it_began_stops_the_loop() {
    let (mut sim, host, handle) = begin();
    drop(handle.spawn_main(pending::<()>()));
    sim.run_for(SECOND);
    assert!(!sim.is_running(host));
}

#[test]
fn a_task_that_has_not_ended_is_cancelled_by_asking_for_its_result() {
    let (mut sim, _, handle) = begin();
    let owned = Rc::new(());
    let kept = Rc::clone(&owned);
    let task = handle.spawn(async move {
        pending::<()>().await;
        drop(kept);
    });
    sim.run_for(SECOND);
    assert!(!task.is_finished());
    assert_eq!(task.result(), Err(TaskError::Cancelled));
    sim.run_for(SECOND);
    assert_eq!(Rc::strong_count(&owned), 1, "what it owned is dropped");
}

#[test]
#[should_panic(expected = "a task is joined once")]
fn a_task_that_was_joined_has_no_result_any_more() {
    let (mut sim, _, handle) = begin();
    let mut task = handle.spawn(async { "value" });
    sim.run_for(SECOND);
    assert!(pin!(&mut task).poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert!(task.is_finished());
    let _ = task.result();
}

#[test]
fn what_is_left_of_a_loop_is_its_state() {
    let mut event_loop = EventLoop::new(Told::new(), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let owned = Rc::new(());
    let kept = Rc::clone(&owned);
    let task = handle.spawn(async move {
        pending::<()>().await;
        drop(kept);
    });
    event_loop.enter(|_, told| told.push("state"));
    assert_eq!(event_loop.into_state(), ["state"]);
    assert_eq!(Rc::strong_count(&owned), 1, "its tasks are dropped");
    assert_eq!(task.result(), Err(TaskError::Cancelled));
}

#[test]
fn a_task_waits_for_a_signal_which_then_ends_the_process_again() {
    let (mut sim, host, handle) = begin();
    let tasks = handle.clone();
    handle
        .spawn(async move {
            tasks.signal(Signal::Terminate).await;
            tasks.call(|_, told| told.push("told")).await;
        })
        .detach();
    sim.run_for(SECOND);
    assert_eq!(*sim.state(host), [""; 0]);
    sim.signal(host, Signal::Terminate);
    sim.run_for(SECOND);
    assert_eq!((sim.is_running(host), &**sim.state(host)), (true, &["told"][..]));
    sim.signal(host, Signal::Terminate);
    sim.run_for(SECOND);
    assert!(!sim.is_running(host), "it has its default effect");
}

#[test]
fn who_does_not_wait_for_a_signal_any_more_is_not_told() {
    let (mut sim, host, handle) = begin();
    let tasks = handle.clone();
    handle
        .spawn(async move {
            assert!(tasks.timeout(SECOND, tasks.signal(Signal::Terminate)).await.is_err());
            tasks.call(|_, told| told.push("time is over")).await;
        })
        .detach();
    sim.run_for(2 * SECOND);
    assert_eq!(*sim.state(host), ["time is over"]);
    sim.signal(host, Signal::Terminate);
    sim.run_for(SECOND);
    assert!(!sim.is_running(host), "it has its default effect");
}

#[test]
fn all_who_wait_for_a_signal_are_told_once_each_time() {
    let (mut sim, host, handle) = begin();
    for name in ["one", "other"] {
        let tasks = handle.clone();
        let listen = async move {
            loop {
                // The first waits again before the second knows.
                tasks.signal(Signal::Hangup).await;
                tasks.call(move |_, told| told.push(name)).await;
            }
        };
        handle.spawn(listen).detach();
    }
    for times in 1..=3 {
        sim.run_for(SECOND);
        sim.signal(host, Signal::Hangup);
        sim.run_for(SECOND);
        assert!(sim.is_running(host));
        assert_eq!(*sim.state(host), ["one", "other"].repeat(times));
    }
}

#[test]
fn who_stops_waiting_for_a_signal_takes_it_from_nobody() {
    let (mut sim, host, handle) = begin();
    let [first, last] = [SECOND, 3 * SECOND].map(|patience| {
        let tasks = handle.clone();
        handle.spawn(async move { tasks.timeout(patience, tasks.signal(Signal::Hangup)).await })
    });
    sim.run_for(2 * SECOND);
    assert!(first.is_finished() && !last.is_finished());
    sim.signal(host, Signal::Hangup);
    sim.run_for(SECOND / 2);
    assert!(sim.is_running(host), "somebody waits for it");
    assert_eq!(last.result(), Ok(Ok(())));
}

#[test]
fn a_task_waits_for_the_first_of_two_signals_and_for_no_other() {
    for (signal, expected) in [(Signal::Terminate, "first"), (Signal::Interrupt, "second"), (Signal::Hangup, "")] {
        let (mut sim, host, handle) = begin();
        let tasks = handle.clone();
        let main = handle.spawn_main(async move {
            let (terminate, interrupt) = (tasks.signal(Signal::Terminate), tasks.signal(Signal::Interrupt));
            race(
                async {
                    terminate.await;
                    "first"
                },
                async {
                    interrupt.await;
                    "second"
                },
            )
            .await
            .into_inner()
        });
        sim.run_for(SECOND);
        sim.signal(host, signal);
        sim.run_for(SECOND);
        assert!(!sim.is_running(host));
        assert_eq!(main.result().unwrap_or_default(), expected);
    }
}

#[test]
fn a_signal_that_comes_twice_before_anybody_looks_is_told_once() {
    let (mut sim, host, handle) = begin();
    let tasks = handle.clone();
    handle
        .spawn(async move {
            let both = join(tasks.signal(Signal::Hangup), tasks.signal(Signal::User1));
            both.await;
            tasks.call(|_, told| told.push("told")).await;
            tasks.timeout(SECOND, tasks.signal(Signal::Hangup)).await.expect_err("that was before");
            tasks.call(|_, told| told.push("not again")).await;
        })
        .detach();
    sim.run_for(SECOND);
    for signal in [Signal::Hangup, Signal::Hangup, Signal::User1] {
        sim.signal(host, signal);
    }
    sim.run_for(3 * SECOND);
    assert_eq!(*sim.state(host), ["told", "not again"]);
}
