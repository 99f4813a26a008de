//! Promises of the loop's core: the order of calls, turns, cancellation, stopping.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Closed, EventLoop, Loop, Security, ServerSecurity};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{LONG, World, calmly, everywhere, on_sockets};

/// Enters a loop and lets it run: what does it note, in which order?
#[track_caller]
pub(crate) fn check(begin: impl Fn(&mut Loop<'_, Journal>), expected: &str) {
    calmly(|world| {
        world.enter(|event_loop, _| begin(event_loop));
        let count = expected.split(' ').count();
        world.until(expected, |world| world.journal().of("call").len() >= count);
        world.quiet();
        assert_eq!(world.journal().of("call").join(" "), expected);
    });
}

pub(crate) fn note(what: &'static str) -> impl FnOnce(&mut Loop<'_, Journal>, &mut Journal) {
    move |_, journal| journal.note("call", what)
}

pub(crate) fn millis(count: u64) -> Duration {
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
    calmly(|world| {
        world.enter(|event_loop, _| {
            event_loop.call_soon(|event_loop, journal| {
                journal.note("call", format!("a {:?}", event_loop.now()));
                event_loop
                    .call_soon(|event_loop, journal| journal.note("call", format!("child {:?}", event_loop.now())));
            });
            event_loop.call_soon(|event_loop, journal| journal.note("call", format!("b {:?}", event_loop.now())));
        });
        world.quiet();
        let noted = world.journal().of("call");
        let [a, b, child] = [0, 1, 2].map(|index| noted[index].split_once(' ').expect("a name and a time"));
        assert_eq!([a.0, b.0, child.0], ["a", "b", "child"]);
        assert_eq!(a.1, b.1, "the same turn");
        assert_ne!(a.1, child.1, "the next turn");
    });
}

#[test]
fn call_soon_does_not_starve_io() {
    fn again(event_loop: &mut Loop<'_, Journal>, _: &mut Journal) {
        event_loop.call_soon(again);
    }
    calmly(|world| {
        world.serve(echo);
        world.enter(|event_loop, _| {
            event_loop.call_soon(again);
            event_loop.call_later(millis(2), note("timer"));
        });
        let client = world.connect();
        world.send(client, b"hello");
        world.until("the answer", |world| world.received(client) == b"hello");
        world.until("the timer", |world| world.journal().of("call") == ["timer"]);
    });
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
            event_loop.call_later(millis(2), note("end"));
        },
        "newcomer end",
    );
}

#[test]
fn stop_finishes_current_iteration_and_sends_what_was_written() {
    calmly(|world| {
        world.serve(|on, transport, _| {
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
        let client = world.connect();
        world.send(client, b"stop");
        world.quiet();
        assert!(!world.is_running());
        assert_eq!(world.journal().of("call"), ["stop", "same turn"]);
        assert_eq!((world.received(client), world.ending(client)), (b"farewell".as_slice(), Some(Ending::Fin)));
    });
}

#[test]
fn stop_finishes_current_iteration_and_keeps_rest() {
    on_sockets(|world| {
        world.enter(|event_loop, _| {
            event_loop.call_soon(|event_loop, journal| {
                journal.note("call", "stop");
                event_loop.stop();
                event_loop.call_soon(note("rest"));
                event_loop.call_later(millis(1), note("late"));
            });
            event_loop.call_soon(note("same turn"));
            event_loop.call_later(Duration::ZERO, note("due"));
        });
        world.loopback().run();
        assert_eq!(world.journal().of("call"), ["stop", "same turn", "due"]);
        world.enter(|event_loop, _| event_loop.call_later(millis(2), |event_loop, _| event_loop.stop()));
        world.loopback().run();
        assert_eq!(world.journal().of("call"), ["stop", "same turn", "due", "rest", "late"]);
    });
}

#[test]
fn stop_before_run_does_one_nonblocking_iteration() {
    on_sockets(|world| {
        world.enter(|event_loop, _| {
            event_loop.stop();
            event_loop.call_later(LONG, note("slept"));
        });
        world.loopback().run();
        world.told("call", &[]);
        world.enter(|event_loop, _| {
            event_loop.stop();
            event_loop.call_soon(|event_loop, journal| {
                journal.note("call", "this turn");
                event_loop.call_soon(note("the next"));
            });
        });
        world.loopback().run();
        world.told("call", &["this turn"]);
    });
}

#[test]
fn io_event_after_stop_not_run_twice() {
    on_sockets(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.event_loop().stop();
            }
        });
        let clients = [(); 3].map(|()| world.connect());
        world.quiet();
        for client in clients {
            world.send(client, b"x");
        }
        let is_told = |world: &dyn World, who: &str| world.journal().count_of(who) > 0;
        let mut runs_after = 0;
        let begun = Instant::now();
        while runs_after < 2 && begun.elapsed() < LONG {
            // Stopped before it begins, and again by each that is told in it.
            world.enter(|event_loop, _| event_loop.stop());
            world.loopback().run();
            runs_after += usize::from(["s1", "s2", "s3"].into_iter().all(|who| is_told(world, who)));
        }
        for who in ["s1", "s2", "s3"] {
            world.told(who, &["made", "data x"]);
        }
    });
}

#[test]
fn closed_loop_rejects_scheduling() {
    let mut event_loop = EventLoop::new(Journal::default(), Instant::now(), SystemTime::now());
    let remote = event_loop.enter(|event_loop, _| {
        event_loop.stop();
        event_loop.remote()
    });
    let mine = Arc::new(());
    let call = || {
        let mine = Arc::clone(&mine);
        remote.clone().call_soon_threadsafe(move |_, _| panic!("{mine:?}: nobody is left to call this"))
    };
    assert_eq!(call(), Ok(()), "a loop that is stopped may run again");
    assert_eq!(Arc::strong_count(&mine), 2);
    drop(event_loop);
    assert_eq!(Arc::strong_count(&mine), 1, "what waited is dropped");
    assert_eq!(call(), Err(Closed));
    assert_eq!(Arc::strong_count(&mine), 1);
    assert_eq!(Closed.to_string(), "the event loop is closed");
}

#[test]
fn several_wakes_become_one_call_in_the_next_turn() {
    everywhere(|world| {
        world.serve(listen_only);
        let client = world.connect();
        world.quiet();
        world.enter(|event_loop, journal| {
            let id = journal.id("s1");
            event_loop.wake(id);
            event_loop.wake(id);
        });
        world.told("s1", &["made"]);
        world.quiet();
        world.told("s1", &["made", "woken"]);
        world.with("s1", |transport| {
            let id = transport.id();
            transport.event_loop().wake(id);
            transport.close();
            transport.event_loop().wake(id);
        });
        world.quiet();
        world.told("s1", &["made", "woken", "lost"]);
        assert_eq!(world.ending(client), Some(Ending::Fin));
    });
}

#[test]
fn who_is_woken_before_it_is_made_is_told_after_that() {
    let authority = Authority::new();
    let ways = [(ServerSecurity::Plain, Security::Plain), (authority.server(NAME), authority.client(NAME))];
    for (server, client) in ways {
        everywhere(|world| {
            world.serve_with(server.clone(), |name| Recorder::new(name, listen_only));
            let id = world.dial(client.clone(), Recorder::new("c", listen_only));
            world.enter(|event_loop, _| event_loop.wake(id));
            world.quiet();
            world.told("c", &["made", "woken"]);
        });
    }
}
