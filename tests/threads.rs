//! What other threads do for the loop, and the process's signals: names, jobs, and what is left to the system.

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "contract/recorder.rs"]
mod recorder;
#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "sockets/stage.rs"]
mod stage;

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use proxy_herd::event_loop::{Security, ServerSecurity, Signal, Target};
use signal_hook::consts::{SIGHUP, SIGUSR1};

use crate::recorder::{On, echo};
use crate::stage::Stage;

/// More jobs than the executor has threads, whatever the machine.
const MANY: usize = 40;

#[test]
fn dns_not_blocked_by_full_user_pool() {
    let mut stage = Stage::new();
    let address = stage.serve(ServerSecurity::Plain, echo);
    let (open, gate) = channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    for _ in 0..MANY {
        let gate = Arc::clone(&gate);
        stage.enter(|event_loop, _| {
            let job = move || drop(gate.lock().map(|gate| gate.recv()));
            event_loop.run_in_executor(job, |_, journal, _| journal.note("jobs", "done"));
        });
    }
    stage.turn();
    stage.dial(Target::Name("localhost".to_owned(), address.port()), Security::Plain, |on, transport, _| match on {
        On::Made => transport.write(b"hello"),
        On::Data(_) => transport.close(),
        _ => {}
    });
    stage.until_lost("c");
    assert_eq!(stage.said("c"), ["made", "data hello", "lost"]);
    assert!(stage.said("jobs").is_empty(), "the executor's threads are all busy");
    drop(open);
    stage.until("jobs", |stage| stage.said("jobs").len() == MANY);
}

#[test]
fn executor_job_finishing_after_loop_close_is_harmless() {
    let mut stage = Stage::new();
    let (begun, has_begun) = channel();
    let (open, gate) = channel::<()>();
    let (over, is_over) = channel();
    stage.enter(|event_loop, _| {
        let job = move || {
            let _ = begun.send(());
            let _ = gate.recv();
            let _ = over.send("over");
        };
        event_loop.run_in_executor(job, |_, journal, _| journal.note("jobs", "done"));
    });
    stage.turn();
    assert_eq!(has_begun.recv(), Ok(()));
    drop(stage);
    drop(open);
    assert_eq!(is_over.recv(), Ok("over"));
}

/// Runs itself again in a process that is killed by the signal.
#[test]
fn a_signal_that_nobody_handles_any_more_has_its_default_effect() {
    const ALONE: &str = "PROXY_HERD_TEST_OF_A_SIGNAL";
    if std::env::var_os(ALONE).is_none() {
        let test = std::env::current_exe().expect("a test has a file");
        let name = "a_signal_that_nobody_handles_any_more_has_its_default_effect";
        let output = Command::new(test).args(["--exact", name]).env(ALONE, "1").output().expect("it runs");
        assert_eq!(output.status.signal(), Some(SIGUSR1), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let mut stage = Stage::new();
    stage.enter(|event_loop, _| {
        event_loop.on_signal(Signal::User1, |_, journal| journal.note("signals", "user 1"));
        event_loop.on_signal(Signal::Hangup, |event_loop, journal| {
            journal.note("signals", "hangup");
            assert!(event_loop.remove_signal_handler(Signal::User1));
        });
    });
    stage.turn();
    for (signal, line) in [(SIGUSR1, "user 1"), (SIGHUP, "hangup"), (SIGUSR1, "nobody")] {
        signal_hook::low_level::raise(signal).expect("a process may signal itself");
        stage.until_said("signals", line);
    }
}
