//! Promises of the socket driver that only real sockets can break: turns, edges, and who is told what when.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::event_loop::{Loop, Protocol, ProtocolFactory, ServerSecurity};

use crate::recorder::{Journal, On};
use crate::world::{LONG, on_sockets};

/// Stops the loop when it cannot listen.
struct NoEntrance;

impl ProtocolFactory<Journal> for NoEntrance {
    fn protocol(&mut self, _: &mut Journal) -> Box<dyn Protocol<Journal>> {
        unreachable!("nobody listens")
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: io::Error) {
        journal.note("door", "failed");
        event_loop.stop();
    }
}

/// Stops the loop, should it still run after a long time.
fn give_up(event_loop: &mut Loop<'_, Journal>, journal: &mut Journal) {
    journal.note("give up", "woke up");
    event_loop.stop();
}

#[test]
fn a_loop_that_is_stopped_while_it_sends_and_binds_does_not_sleep() {
    on_sockets(|world| {
        // TEST-NET-3 (RFC 5737): nobody's address, so nobody's to listen on.
        let nowhere: SocketAddr = ([203, 0, 113, 1], 0).into();
        world.listen(nowhere, ServerSecurity::Plain, NoEntrance);
        world.enter(|event_loop, _| event_loop.call_later(LONG, give_up));
        world.loopback().run();
        assert_eq!(world.journal().of("door"), ["failed"]);
        world.told("give up", &[]);
    });
}

#[test]
fn hooks_see_what_protocols_were_told_while_it_was_sent() {
    on_sockets(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"x");
            }
        });
        let client = world.connect();
        world.quiet();
        world.told("s1", &["made"]);
        world.send(client, b"x");
        world.enter(|event_loop, _| {
            event_loop.before_sleep(|event_loop, journal| {
                if journal.times("s1", "resumed") > 0 {
                    event_loop.stop();
                }
            });
        });
        world.enter(|event_loop, _| event_loop.call_later(LONG, give_up));
        world.loopback().run();
        world.told("s1", &["made", "data x", "paused", "resumed"]);
        world.told("give up", &[]);
    });
}

#[test]
fn one_write_per_connection_per_turn_though_it_writes_again_in_resume_writing() {
    on_sockets(|world| {
        world.serve(|on, transport, _| match on {
            On::Made => {
                transport.set_write_buffer_limits(0, 0);
                transport.write(b"x");
            }
            On::Resumed => transport.write(b"x"),
            _ => {}
        });
        world.connect();
        let mut before = 0;
        for _ in 0..20 {
            world.loopback().turn(Duration::ZERO);
            let resumed = world.journal().times("s1", "resumed");
            assert!(resumed <= before + 1, "{} times in one turn", resumed - before);
            before = resumed;
        }
        assert!(before > 10, "it goes on, turn by turn");
    });
}

#[test]
fn no_sleep_is_too_long() {
    on_sockets(|world| {
        world.enter(|event_loop, _| {
            event_loop.call_soon(|_, journal| journal.note("call", "made"));
        });
        world.loopback().turn(Duration::MAX);
        world.told("call", &["made"]);
    });
}
