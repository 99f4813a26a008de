//! Promises about callbacks, timers, signals and stopping.

use std::time::Duration;

use proxy_herd::driver::sim::{Ending, Sim, Weather};
use proxy_herd::event_loop::{Loop, Signal};

use crate::recorder::{Journal, On, echo, listen_only};
use crate::stage::{LONG, address, calm, in_every_weather, serve, with};

/// Enters a loop that notes each turn's end as `-`, lets it run, and compares what was noted.
fn check(begin: impl FnOnce(&mut Loop<'_, Journal>), expected: &str) {
    let mut sim = calm();
    let host = sim.add_host("host", Journal::default());
    sim.enter(host, |event_loop, _| begin(event_loop));
    sim.run_for(LONG);
    let noted: Vec<String> = sim.state(host).of("call");
    assert_eq!(noted.join(" "), expected);
}

fn note(what: &'static str) -> impl FnOnce(&mut Loop<'_, Journal>, &mut Journal) {
    move |_, journal| journal.note("call", what)
}

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn call_soon_is_fifo() {
    check(
        |event_loop| {
            for what in ["a", "b", "c"] {
                event_loop.call_soon(note(what));
            }
        },
        "a b c",
    );
}

#[test]
fn callback_scheduled_during_iteration_runs_next_iteration() {
    let mut sim = calm();
    let host = sim.add_host("host", Journal::default());
    sim.enter(host, |event_loop, _| {
        event_loop.call_soon(|event_loop, journal| {
            journal.note("call", format!("a {:?}", event_loop.now()));
            event_loop.call_soon(|event_loop, journal| journal.note("call", format!("child {:?}", event_loop.now())));
        });
        event_loop.call_soon(|event_loop, journal| journal.note("call", format!("b {:?}", event_loop.now())));
    });
    sim.run_for(LONG);
    let noted = sim.state(host).of("call");
    let [a, b, child] = [&noted[0], &noted[1], &noted[2]].map(|line| line.split_once(' ').expect("a name and a time"));
    assert_eq!([a.0, b.0, child.0], ["a", "b", "child"]);
    assert_eq!(a.1, b.1, "the same turn");
    assert_ne!(a.1, child.1, "the next turn");
}

#[test]
fn call_soon_does_not_starve_io() {
    fn again(event_loop: &mut Loop<'_, Journal>, _: &mut Journal) {
        event_loop.call_soon(again);
    }
    let mut sim = calm();
    let host = serve(&mut sim, echo);
    sim.enter(host, |event_loop, _| {
        event_loop.call_soon(again);
        event_loop.call_later(millis(2), note("timer"));
    });
    let client = sim.connect(address());
    sim.send(client, b"hello");
    sim.run_for(millis(3));
    assert_eq!(sim.received(client), b"hello");
    assert_eq!(sim.state(host).of("call"), ["timer"]);
}

#[test]
fn cancelled_handle_never_runs() {
    check(
        |event_loop| {
            let before = event_loop.call_soon(note("cancelled before"));
            event_loop.cancel(before);
            let timer = event_loop.call_later(millis(1), note("cancelled timer"));
            event_loop.cancel(timer);
            event_loop.cancel(timer);
            let newcomer = event_loop.call_soon(note("newcomer"));
            event_loop.cancel(before);
            let (send, receive) = std::sync::mpsc::channel();
            event_loop.call_soon(move |event_loop, _| {
                event_loop.cancel(newcomer);
                event_loop.cancel(receive.recv().expect("it was sent below"));
            });
            let later = event_loop.call_soon(note("cancelled in its own turn"));
            send.send(later).expect("the receiver waits");
        },
        "newcomer",
    );
}

#[test]
fn timers_fire_in_when_order_not_insertion_order() {
    check(
        |event_loop| {
            for (delay, what) in [(30, "d"), (10, "b"), (20, "c"), (0, "a"), (30, "e")] {
                event_loop.call_later(millis(delay), note(what));
            }
        },
        "a b c d e",
    );
}

#[test]
fn past_times_fire_next_iteration() {
    check(
        |event_loop| {
            let past = event_loop.now() - millis(1);
            event_loop.call_soon(move |event_loop, journal| {
                journal.note("call", "a");
                event_loop.call_at(past, note("c"));
            });
            event_loop.call_soon(note("b"));
        },
        "a b c",
    );
}

#[test]
fn timer_due_runs_after_already_ready_callbacks() {
    check(
        |event_loop| {
            event_loop.call_later(Duration::ZERO, note("timer"));
            event_loop.call_soon(note("a"));
            event_loop.call_soon(note("b"));
        },
        "a b timer",
    );
}

#[test]
fn timer_never_early() {
    let mut sim = calm();
    let host = sim.add_host("host", Journal::default());
    sim.enter(host, |event_loop, _| {
        for index in 0..100 {
            let when = event_loop.now() + Duration::from_nanos(1_500_001 * index);
            event_loop.call_at(when, move |event_loop, journal| {
                let late = event_loop.now().checked_duration_since(when);
                journal
                    .note("call", if late.is_some_and(|late| late < millis(1)) { "in time" } else { "early or late" });
            });
        }
    });
    sim.run_for(LONG);
    assert_eq!(sim.state(host).of("call"), ["in time"; 100]);
}

#[test]
fn huge_delay_is_capped_not_overflowing() {
    check(
        |event_loop| {
            event_loop.call_later(Duration::MAX, note("never"));
            event_loop.call_later(millis(1), note("soon"));
        },
        "soon",
    );
}

#[test]
fn stop_finishes_current_iteration_and_sends_what_was_written() {
    let mut sim = calm();
    let host = serve(&mut sim, |on, transport, _| {
        if let On::Data(_) = on {
            transport.event_loop().call_soon(|event_loop, journal| {
                event_loop.stop();
                event_loop.call_soon(note("after the end"));
                journal.note("call", "stop");
            });
            transport.event_loop().call_soon(note("same turn"));
            transport.write(b"farewell");
        }
    });
    let client = sim.connect(address());
    sim.send(client, b"stop");
    sim.run_for(LONG);
    assert!(!sim.is_running(host));
    assert_eq!(sim.state(host).of("call"), ["stop", "same turn"]);
    assert_eq!((sim.received(client), sim.ending(client)), (b"farewell".as_slice(), Some(Ending::Fin)));
}

#[test]
fn signal_runs_as_callback_and_a_second_handler_replaces_the_first() {
    let mut sim = calm();
    let host = sim.add_host("host", Journal::default());
    sim.enter(host, |event_loop, _| {
        event_loop.on_signal(Signal::Hangup, |_, journal| journal.note("call", "old"));
        event_loop.on_signal(Signal::Terminate, |event_loop, journal| {
            journal.note("call", "terminate");
            event_loop.on_signal(Signal::Terminate, |event_loop, journal| {
                journal.note("call", "terminate again");
                event_loop.stop();
            });
        });
        event_loop.on_signal(Signal::Hangup, |_, journal| journal.note("call", "new"));
    });
    for signal in [Signal::Terminate, Signal::Hangup, Signal::Hangup] {
        sim.signal(host, signal);
    }
    assert!(sim.state(host).of("call").is_empty(), "nothing is called from where the signal came");
    sim.run_for(LONG);
    assert_eq!(sim.state(host).of("call"), ["terminate", "new", "new"]);
    sim.signal(host, Signal::Terminate);
    sim.run_for(LONG);
    assert_eq!(sim.state(host).of("call").last().map(String::as_str), Some("terminate again"));
    assert!(!sim.is_running(host));
}

#[test]
fn a_signal_that_nobody_watches_ends_the_process() {
    let mut sim: Sim<()> = Sim::new(0, Weather::default());
    let host = sim.add_host("host", ());
    sim.signal(host, Signal::Interrupt);
    assert!(!sim.is_running(host));
}

#[test]
fn several_wakes_become_one_call_in_the_next_turn() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, listen_only);
        let client = sim.connect(address());
        sim.run_for(LONG);
        sim.enter(host, |event_loop, journal| {
            let id = journal.id("s1");
            event_loop.wake(id);
            event_loop.wake(id);
        });
        assert_eq!(sim.state(host).of("s1"), ["made"]);
        sim.run_for(LONG);
        assert_eq!(sim.state(host).of("s1"), ["made", "woken"]);
        with(&mut sim, host, "s1", |transport| {
            let id = transport.id();
            transport.event_loop().wake(id);
            transport.close();
            transport.event_loop().wake(id);
        });
        sim.run_for(LONG);
        assert_eq!(sim.state(host).of("s1"), ["made", "woken", "lost"]);
        assert_eq!(sim.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn a_timeout_fires_once_and_can_be_moved_and_taken_back() {
    let mut sim = calm();
    let host = serve(&mut sim, |on, transport, _| match on {
        On::Made => transport.set_timeout(Some(millis(100))),
        On::Data(b"more") => transport.set_timeout(Some(millis(100))),
        On::Data(b"sooner") => transport.set_timeout(Some(millis(10))),
        On::Data(b"never") => transport.set_timeout(None),
        _ => {}
    });
    let client = sim.connect(address());
    for _ in 0..50 {
        sim.send(client, b"more");
        sim.run_for(millis(90));
    }
    assert!(!sim.state(host).of("s1").contains(&"timed out".to_owned()), "it was moved in time");
    sim.run_for(millis(20));
    assert_eq!(sim.state(host).of("s1").last().map(String::as_str), Some("timed out"));
    sim.run_for(LONG);
    sim.send(client, b"sooner");
    sim.run_for(millis(11));
    sim.send(client, b"never");
    sim.run_for(LONG);
    let times = sim.state(host).of("s1").iter().filter(|line| *line == "timed out").count();
    assert_eq!(times, 2, "{:?}", sim.state(host).of("s1"));
}
