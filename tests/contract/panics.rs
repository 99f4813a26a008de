//! Promises about callbacks that panic: somebody hears of it, and the loop goes on. What a panic costs a connection is among
//! the promises about connections.

use std::panic::resume_unwind;

use proxy_herd::event_loop::{Loop, Protocol, ProtocolFactory, ServerSecurity, Signal};

use crate::logbook::logged;
use crate::loop_core::{millis, note};
use crate::recorder::{Journal, Recorder, listen_only};
use crate::world::{World, calmly, on_sockets};

/// A panic like any other, without the words on standard error. What was done before it is done.
fn fall(journal: &mut Journal, message: &str) -> ! {
    journal.note("call", "falls");
    resume_unwind(Box::new(message.to_owned()))
}

/// What one can panic with, and that panics when it is dropped.
struct Payload;

impl Drop for Payload {
    fn drop(&mut self) {
        resume_unwind(Box::new("once more"));
    }
}

/// A factory whose callbacks panic: the first at once, the second once it has recovered.
struct Unfit {
    recovered: bool,
}

impl ProtocolFactory<Journal> for Unfit {
    fn protocol(&mut self, journal: &mut Journal) -> Box<dyn Protocol<Journal>> {
        if !std::mem::replace(&mut self.recovered, true) {
            fall(journal, "nobody is ready");
        }
        Box::new(Recorder::new(&journal.next_name(), listen_only))
    }

    fn closed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal) {
        fall(journal, "already?");
    }
}

/// Has a callback panic.
type Fail = fn(&mut dyn World);

/// Everything that is called and belongs to no connection; and what is said when it panics.
const FAILURES: [(Fail, &str); 8] = [
    (
        |world| {
            world.enter(|event_loop, _| event_loop.call_soon(|_, journal| fall(journal, "too soon")));
        },
        "a call of the loop panicked: too soon",
    ),
    (
        |world| {
            world.enter(|event_loop, _| event_loop.call_later(millis(1), |_, journal| fall(journal, "too late")));
        },
        "a call of the loop panicked: too late",
    ),
    (
        |world| {
            world.enter(|event_loop, _| {
                event_loop.call_soon(|_, journal| {
                    journal.note("call", "falls");
                    resume_unwind(Box::new(Payload))
                })
            });
        },
        "a call of the loop panicked: (not a text)",
    ),
    (
        |world| {
            let remote = world.enter(|event_loop, _| event_loop.remote());
            remote.call_soon_threadsafe(|_, journal| fall(journal, "too far")).expect("the loop is there");
        },
        "a call of the loop panicked: too far",
    ),
    (
        |world| {
            world.enter(|event_loop, _| {
                event_loop.run_in_executor(|| "done", |_, journal, _| fall(journal, "and undone"))
            });
        },
        "a call of the loop panicked: and undone",
    ),
    (
        |world| {
            world.enter(|event_loop, _| {
                event_loop.add_signal_handler(Signal::User1, |_, journal| fall(journal, "not this"))
            });
            world.quiet();
            world.signal(Signal::User1);
        },
        "a signal's handler panicked: not this",
    ),
    (
        |world| {
            let address = world.address();
            world.listen(address, ServerSecurity::Plain, Unfit { recovered: false });
            world.connect();
            world.quiet();
            world.connect();
            world.until("the next connection", |world| world.journal().times("s1", "made") == 1);
        },
        "protocol panicked: nobody is ready",
    ),
    (
        |world| {
            let address = world.address();
            let listener = world.listen(address, ServerSecurity::Plain, Unfit { recovered: true });
            world.enter(|event_loop, _| event_loop.close_listener(listener));
        },
        "closed panicked: already?",
    ),
];

/// The loop has come over the panic and does what is asked for next.
fn goes_on(world: &mut dyn World) {
    world.until("the panic", |world| world.journal().times("call", "falls") == 1);
    world.enter(|event_loop, _| event_loop.call_soon(note("goes on")));
    world.until("what is next", |world| world.journal().times("call", "goes on") == 1);
    world.quiet();
}

#[test]
fn panic_or_error_in_callback_reaches_handler_and_loop_continues() {
    for (fail, expected) in FAILURES {
        let lines = logged(|| {
            calmly(|world| {
                world.enter(|event_loop, _| {
                    event_loop.set_exception_handler(|event_loop, journal, panicked| {
                        assert_eq!(panicked.id, None);
                        journal.note("handler", panicked.to_string());
                        event_loop.call_soon(note("the handler's wish"));
                    });
                });
                fail(world);
                goes_on(world);
                world.told("handler", &[expected]);
                assert_eq!(world.journal().times("call", "the handler's wish"), 1);
            });
        });
        assert!(lines.is_empty(), "{lines:?}");
    }
}

#[test]
fn a_panic_is_logged_if_there_is_no_handler() {
    for (fail, expected) in FAILURES {
        let lines = logged(|| {
            calmly(|world| {
                fail(world);
                goes_on(world);
            });
        });
        assert_eq!(lines, [(); 2].map(|()| format!("ERROR {expected}")), "once in each world");
    }
}

#[test]
fn broken_exception_handler_does_not_kill_loop() {
    let lines = logged(|| {
        calmly(|world| {
            world.enter(|event_loop, _| {
                event_loop.set_exception_handler(|event_loop, journal, panicked| {
                    journal.note("handler", &panicked.message);
                    if panicked.message == "second" {
                        event_loop.set_exception_handler(|_, journal, panicked| {
                            journal.note("successor", &panicked.message);
                        });
                    }
                    resume_unwind(Box::new("no help"));
                });
                for message in ["first", "second", "third"] {
                    event_loop.call_soon(move |_, _| resume_unwind(Box::new(message)));
                }
                event_loop.call_soon(note("goes on"));
            });
            world.until("what is next", |world| world.journal().of("call") == ["goes on"]);
            world.told("handler", &["first", "second"]);
            world.told("successor", &["third"]);
        });
    });
    let expected = ["first", "second"]
        .map(|what| format!("ERROR a call of the loop panicked: {what}; then the exception handler panicked: no help"));
    assert_eq!(lines, [&expected[..], &expected[..]].concat(), "the same in both worlds");
}

#[test]
fn a_hook_that_panics_is_called_again_and_keeps_no_other_from_it() {
    on_sockets(|world| {
        let mut fallen = false;
        world.enter(|event_loop, _| {
            event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
        });
        world.enter(|event_loop, _| {
            event_loop.before_sleep(move |_, journal| {
                if !std::mem::replace(&mut fallen, true) {
                    fall(journal, "not awake");
                }
                journal.note("hooks", "first");
            });
        });
        world.enter(|event_loop, _| {
            event_loop.before_sleep(|_, journal| journal.note("hooks", "second"));
        });
        for _ in 0..2 {
            world.loopback().turn(millis(1));
        }
        world.told("handler", &["before_sleep panicked: not awake"]);
        world.told("hooks", &["second", "first", "second"]);
    });
}
