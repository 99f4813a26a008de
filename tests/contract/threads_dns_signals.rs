//! Promises about what comes from outside of the turns: threads, the resolver, signals.

use proxy_herd::event_loop::{Security, Signal, Target};

use crate::recorder::{On, Recorder, echo};
use crate::world::{calm, calmly, on_sockets};

#[test]
fn signal_runs_as_callback_not_in_handler_context() {
    calmly(|world| {
        world.enter(|event_loop, _| {
            event_loop.on_signal(Signal::User1, |_, journal| journal.note("call", "user 1"));
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
                event_loop.on_signal(signal, move |_, journal| journal.note("call", format!("{signal:?}")));
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
fn a_signal_that_nobody_watches_ends_the_process() {
    calm(|world| {
        world.signal(Signal::Interrupt);
        assert!(!world.is_running());
    });
}

#[test]
fn connect_by_name() {
    on_sockets(|world| {
        world.serve(echo);
        let target = Target::Name("localhost".to_owned(), world.address().port());
        let client = Recorder::new("c", |on, transport, _| match on {
            On::Made => transport.write(b"hello"),
            On::Data(_) => transport.close(),
            _ => {}
        });
        world.enter(|event_loop, _| event_loop.connect(target, Security::Plain, client));
        world.until_lost("c");
        world.told("c", &["made", "data hello", "lost"]);
    });
}
