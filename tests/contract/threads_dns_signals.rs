//! Promises about what comes from outside of the turns: threads, the resolver, signals.

use std::os::unix::process::ExitStatusExt;
use std::panic::resume_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::task::Wake;
use std::thread;
use std::time::{Instant, SystemTime};

use proxy_herd::event_loop::{EventLoop, Request, Security, Signal, Target};

use crate::loop_core::{millis, note};
use crate::loopback::PATIENCE;
use crate::recorder::{Journal, On, Recorder, echo};
use crate::world::{LONG, World, calm, calmly, on_sockets};

#[test]
fn threadsafe_wakes_blocked_poll() {
    const ROUNDS: usize = 1000;
    on_sockets(|world| {
        let remote = world.enter(|event_loop, _| event_loop.remote());
        let (answer, answered) = channel();
        // Each call waits for the one before, so it comes when the loop is about to sleep, or sleeps.
        let caller = thread::spawn(move || {
            for round in 1..=ROUNDS {
                let answer = answer.clone();
                remote.call_soon_threadsafe(move |event_loop, _| {
                    answer.send(()).expect("somebody waits");
                    if round == ROUNDS {
                        event_loop.stop();
                    }
                })?;
                answered.recv().expect("an answer");
            }
            Ok::<(), proxy_herd::event_loop::Closed>(())
        });
        world.enter(|event_loop, _| {
            event_loop.call_later(LONG * 10, |event_loop, journal| {
                journal.note("call", "slept too long");
                event_loop.stop();
            })
        });
        world.loopback().run();
        world.told("call", &[]);
        assert_eq!(caller.join().expect("it does not panic"), Ok(()));
    });
}

/// Counts instead of waking.
#[derive(Default)]
pub(crate) struct Wakes(pub(crate) AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn threadsafe_1000_calls_one_wakeup_each_runs_once_in_order() {
    let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
    let remote = event_loop.enter(|event_loop, _| event_loop.remote());
    assert_eq!(event_loop.poll_request(), Some(Request::WatchThreads));
    let wakes = Arc::new(Wakes::default());
    event_loop.set_waker(Arc::clone(&wakes).into());
    for round in 1..=3 {
        thread::scope(|scope| {
            for who in ["a", "b", "c", "d"] {
                let remote = &remote;
                scope.spawn(move || {
                    for index in 0..250 {
                        let call = remote.call_soon_threadsafe(move |_, journal| journal.note(who, index.to_string()));
                        assert_eq!(call, Ok(()));
                    }
                });
            }
        });
        assert_eq!(wakes.0.load(Ordering::Relaxed), round, "one for all of them");
        assert!(
            event_loop.next_deadline().is_some_and(|when| when <= Instant::now()),
            "no sleep before they are called"
        );
        event_loop.advance(Instant::now(), SystemTime::now());
        assert_eq!(event_loop.next_deadline(), None);
        let expected: Vec<String> = (0..round).flat_map(|_| 0..250).map(|index| index.to_string()).collect();
        for who in ["a", "b", "c", "d"] {
            assert_eq!(event_loop.state().of(who), expected);
        }
    }
}

#[test]
fn executor_result_and_error_delivered_on_loop_thread() {
    calmly(|world| {
        let here = thread::current().id();
        world.enter(|event_loop, _| {
            let done = move |journal: &mut Journal, what: String| {
                assert_eq!(thread::current().id(), here);
                journal.note("call", what);
            };
            event_loop.run_in_executor(|| 6 * 7, move |_, journal, answer| done(journal, format!("{answer:?}")));
            event_loop.run_in_executor(
                || -> u8 { resume_unwind(Box::new("on purpose")) },
                move |_, journal, answer| done(journal, answer.map_or_else(text, |_| "no panic".to_owned())),
            );
            let cancelled = event_loop.run_in_executor(|| (), |_, journal, _| journal.note("call", "cancelled"));
            event_loop.cancel(cancelled);
        });
        assert!(world.journal().of("call").is_empty(), "not at once");
        world.until("both", |world| world.journal().of("call").len() == 2);
        world.quiet();
        let mut calls = world.journal().of("call");
        calls.sort();
        assert_eq!(calls, ["Ok(42)", "on purpose"]);
    });
}

fn text(payload: Box<dyn std::any::Any + Send>) -> String {
    payload.downcast_ref::<&str>().copied().unwrap_or("something else").to_owned()
}

#[test]
fn a_job_is_done_beside_the_loop() {
    on_sockets(|world| {
        let here = thread::current().id();
        let (open, gate) = channel::<()>();
        world.enter(|event_loop, _| {
            let job = move || (gate.recv_timeout(PATIENCE), thread::current().id() != here);
            event_loop.run_in_executor(job, |event_loop, journal, answer| {
                journal.note("call", format!("{:?}", answer.ok()));
                event_loop.stop();
            });
            event_loop.call_soon(note("meanwhile"));
            event_loop.call_later(millis(2), |_, journal| {
                journal.note("call", "the gate opens");
                drop(open);
            });
        });
        world.loopback().run();
        world.told("call", &["meanwhile", "the gate opens", "Some((Err(Disconnected), true))"]);
    });
}

#[test]
fn executor_job_finishing_after_loop_close_is_harmless() {
    on_sockets(|world| {
        let (begun, has_begun) = channel();
        let (open, gate) = channel::<()>();
        let (over, is_over) = channel();
        world.enter(|event_loop, _| {
            let job = move || {
                let _ = begun.send(());
                let _ = gate.recv_timeout(PATIENCE);
                let _ = over.send("over");
            };
            event_loop.run_in_executor(job, |_, journal, _| journal.note("call", "done"));
        });
        world.quiet();
        assert_eq!(has_begun.recv(), Ok(()));
        world.enter(|event_loop, _| event_loop.stop());
        world.until("the end", |world| !world.is_running());
        drop(open);
        assert_eq!(is_over.recv(), Ok("over"));
        world.told("call", &[]);
    });
}

#[test]
fn literal_ip_skips_executor() {
    for (name, expected) in [("127.0.0.1", Some("127.0.0.1:7")), ("::1", Some("[::1]:7")), ("localhost", None)] {
        let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
        event_loop.enter(|event_loop, _| event_loop.connect((name, 7), Security::Plain, Recorder::new("c", echo)));
        event_loop.advance(Instant::now(), SystemTime::now());
        match event_loop.poll_request() {
            Some(Request::Connect { address, .. }) => assert_eq!(Some(address.to_string().as_str()), expected),
            request => assert!(matches!(request, Some(Request::Resolve { .. })) && expected.is_none(), "{request:?}"),
        }
    }
}

#[test]
fn dns_not_blocked_by_full_user_pool() {
    // More jobs than the executor has threads, whatever the machine.
    const MANY: usize = 40;
    on_sockets(|world| {
        world.serve(echo);
        let (open, gate) = channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        for _ in 0..MANY {
            let gate = Arc::clone(&gate);
            world.enter(|event_loop, _| {
                let job = move || drop(gate.lock().map(|gate| gate.recv_timeout(PATIENCE)));
                event_loop.run_in_executor(job, |_, journal, _| journal.note("jobs", "done"));
            });
        }
        converse(world, "localhost");
        world.told("jobs", &[]);
        drop(open);
        world.until("all jobs", |world| world.journal().of("jobs").len() == MANY);
    });
}

/// Connects to the loop by this name, and hears an echo.
fn converse(world: &mut dyn World, name: &str) {
    let target = Target::Name(name.to_owned(), world.address().port());
    let client = Recorder::new("c", |on, transport, _| match on {
        On::Made => transport.write(b"hello"),
        On::Data(_) => transport.close(),
        _ => {}
    });
    world.enter(|event_loop, _| event_loop.connect(target, Security::Plain, client));
    world.until_lost("c");
    world.told("c", &["made", "data hello", "lost"]);
}

#[test]
fn connect_by_name() {
    on_sockets(|world| {
        world.serve(echo);
        converse(world, "localhost");
    });
}

#[test]
fn signal_runs_as_callback_not_in_handler_context() {
    calmly(|world| {
        world.enter(|event_loop, _| {
            event_loop.add_signal_handler(Signal::User1, |_, journal| journal.note("call", "user 1"));
        });
        world.quiet();
        world.signal(Signal::User1);
        assert!(world.journal().of("call").is_empty(), "nothing is called from where the signal came");
        world.until("the call", |world| world.journal().of("call") == ["user 1"]);
    });
}

#[test]
fn second_add_replaces() {
    calmly(|world| {
        world.enter(|event_loop, _| {
            event_loop.add_signal_handler(Signal::Hangup, |_, journal| journal.note("call", "old"));
            event_loop.add_signal_handler(Signal::Terminate, |event_loop, journal| {
                journal.note("call", "terminate");
                event_loop.add_signal_handler(Signal::Terminate, |event_loop, journal| {
                    journal.note("call", "terminate again");
                    event_loop.stop();
                });
            });
            event_loop.add_signal_handler(Signal::Hangup, |_, journal| journal.note("call", "new"));
        });
        world.quiet();
        for (signal, expected) in [
            (Signal::Hangup, "new"),
            (Signal::Terminate, "terminate"),
            (Signal::Hangup, "new"),
            (Signal::Terminate, "terminate again"),
        ] {
            let before = world.journal().of("call").len();
            world.signal(signal);
            world.until(expected, |world| world.journal().of("call").len() > before);
            assert_eq!(world.journal().of("call")[before..], [expected]);
        }
        world.until("the end", |world| !world.is_running());
    });
}

#[test]
fn many_signals_at_once_none_kind_lost() {
    calmly(|world| {
        let kinds = [Signal::Terminate, Signal::Hangup, Signal::User1, Signal::Interrupt];
        world.enter(|event_loop, _| {
            for signal in kinds {
                event_loop.add_signal_handler(signal, move |_, journal| journal.note("call", format!("{signal:?}")));
            }
        });
        world.quiet();
        for signal in kinds.into_iter().chain(kinds) {
            world.signal(signal);
        }
        for signal in kinds {
            world.until("all kinds", |world| world.journal().times("call", &format!("{signal:?}")) > 0);
        }
    });
}

#[test]
fn remove_returns_bool() {
    calmly(|world| {
        world.enter(|event_loop, _| {
            assert!(!event_loop.remove_signal_handler(Signal::User1), "nobody handles it");
            event_loop.add_signal_handler(Signal::User1, |_, journal| journal.note("call", "removed"));
            assert!(!event_loop.remove_signal_handler(Signal::Hangup), "another one");
            assert!(event_loop.remove_signal_handler(Signal::User1));
            assert!(!event_loop.remove_signal_handler(Signal::User1), "nobody any more");
            event_loop.add_signal_handler(Signal::User1, |event_loop, journal| {
                let removed = event_loop.remove_signal_handler(Signal::User1);
                journal.note("call", format!("{removed}, {}", event_loop.remove_signal_handler(Signal::User1)));
                event_loop.add_signal_handler(Signal::User1, |_, journal| journal.note("call", "again"));
            });
        });
        world.quiet();
        for expected in ["true, false", "again", "again"] {
            let before = world.journal().of("call").len();
            world.signal(Signal::User1);
            world.until(expected, |world| world.journal().of("call").len() > before);
            assert_eq!(world.journal().of("call")[before..], [expected]);
        }
    });
}

#[test]
fn a_signal_that_nobody_watches_ends_the_process() {
    calm(|world| {
        world.signal(Signal::Interrupt);
        assert!(!world.is_running());
    });
}

/// The conversation before a signal ends the process.
fn end_by_signal(world: &mut dyn World) {
    world.enter(|event_loop, _| {
        event_loop.add_signal_handler(Signal::User1, |_, journal| journal.note("call", "user 1"));
        event_loop.add_signal_handler(Signal::Hangup, |event_loop, journal| {
            journal.note("call", "hangup");
            assert!(event_loop.remove_signal_handler(Signal::User1));
        });
    });
    world.quiet();
    for (signal, expected) in [(Signal::User1, "user 1"), (Signal::Hangup, "hangup")] {
        world.signal(signal);
        world.until(expected, |world| world.journal().times("call", expected) == 1);
    }
    world.signal(Signal::User1);
    world.until("the end", |world| !world.is_running());
    world.told("call", &["user 1", "hangup"]);
}

/// On sockets it runs itself again, in a process that is killed by the signal.
#[test]
fn a_signal_that_nobody_handles_any_more_has_its_default_effect() {
    const ALONE: &str = "PROXY_HERD_TEST_OF_A_SIGNAL";
    if std::env::var_os(ALONE).is_some() {
        return on_sockets(end_by_signal);
    }
    calm(end_by_signal);
    let test = std::env::current_exe().expect("a test has a file");
    let name = "threads_dns_signals::a_signal_that_nobody_handles_any_more_has_its_default_effect";
    let output = Command::new(test).args(["--exact", name]).env(ALONE, "1").output().expect("it runs");
    let killed_by = output.status.signal();
    assert_eq!(killed_by, Some(signal_hook::consts::SIGUSR1), "{}", String::from_utf8_lossy(&output.stdout));
}
