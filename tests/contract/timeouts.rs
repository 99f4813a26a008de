//! Timeouts that asyncio does not have, or hides; and the hook for handshakes that come to nothing.

use std::time::Duration;

use proxy_herd::event_loop::{Connect, Listen, Loop, Lost, Protocol, ProtocolFactory, Transport};

use crate::certificates::Authority;
use crate::recorder::{Act, Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{Client, Door, World, calm, everywhere, on_sockets};

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(10);

/// Lets time pass until just before `time` is over, then past it: what was `who` told before and after?
#[track_caller]
fn check_after(world: &mut dyn World, time: Duration, who: &str, before: &[&str], after: &[&str]) {
    world.sim().run_for(time - MOMENT);
    world.told(who, before);
    world.sim().run_for(2 * MOMENT);
    world.told(who, after);
}

#[test]
fn a_handshake_takes_as_long_as_set() {
    for seconds in [1, 30] {
        let timeout = seconds * SECOND;
        // Those who come in, and are silent.
        calm(|world| {
            let address = world.address();
            let listen = Listen::on(address).security(Authority::new().server(NAME)).handshake_timeout(timeout);
            world.enter(|event_loop, _| event_loop.listen_with(listen, Door));
            let client = world.connect();
            check_after(world, timeout, "s1", &[], &["lost TimedOut"]);
            assert!(world.ending(client).is_some());
        });
        // The one we connect to.
        calm(|world| {
            world.serve(listen_only);
            let connect = Connect::to(world.address()).security(Authority::new().client(NAME));
            let connect = connect.timeout(100 * SECOND).handshake_timeout(timeout);
            world.enter(|event_loop, _| event_loop.connect_with(connect, Recorder::new("c", listen_only)));
            check_after(world, timeout, "c", &[], &["lost TimedOut"]);
        });
    }
}

#[test]
fn who_says_nothing_is_told_so_and_every_word_renews_it() {
    fn renew(on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal) {
        match on {
            On::Made | On::Data(_) => transport.set_timeout(Some(3 * SECOND)),
            On::TimedOut => transport.close(),
            _ => {}
        }
    }
    calm(|world| {
        world.serve(renew);
        let client = world.connect();
        for _ in 0..5 {
            world.sim().run_for(3 * SECOND - MOMENT);
            world.send(client, b"x");
        }
        check_after(world, 3 * SECOND, "s1", &["made", "data xxxxx"], &["made", "data xxxxx", "timed out", "lost"]);
        assert!(world.ending(client).is_some());
    });
    on_sockets(|world| {
        world.serve(|on, transport, journal| match on {
            On::Made => transport.set_timeout(Some(Duration::from_millis(5))),
            on => renew(on, transport, journal),
        });
        let client = world.connect();
        world.until("the end", |world| world.ending(client).is_some());
        world.told("s1", &["made", "timed out", "lost"]);
    });
}

/// Gives a line three seconds, from its first byte to its last.
#[derive(Clone, Default)]
struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    fn react(&mut self, on: On<'_>, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        match on {
            On::Data(data) => {
                for byte in data {
                    if self.partial.is_empty() {
                        transport.set_timeout(Some(3 * SECOND));
                    }
                    self.partial.push(*byte);
                    if *byte == b'\n' {
                        transport.set_timeout(None);
                        journal.note("lines", self.partial.escape_ascii().to_string());
                        self.partial.clear();
                    }
                }
            }
            On::TimedOut => transport.abort(),
            _ => {}
        }
    }
}

#[test]
fn a_receive_deadline_is_not_renewed_by_a_drip() {
    let lines = || {
        let mut lines = Lines::default();
        move |on: On<'_>, transport: &mut Transport<'_, Journal>, journal: &mut Journal| {
            lines.react(on, transport, journal);
        }
    };
    calm(|world| {
        world.serve(lines());
        let client = world.connect();
        // Between lines there is no hurry, and each line has its own time.
        for _ in 0..3 {
            world.sim().run_for(100 * SECOND);
            world.send(client, b"slow");
            world.sim().run_for(2 * SECOND);
            world.send(client, b"ly\n");
        }
        world.sim().run_for(100 * SECOND);
        world.told("lines", &["slowly\\n"; 3]);
        // A byte every half second is not enough.
        for _ in 0..5 {
            world.send(client, b"x");
            world.sim().run_for(SECOND / 2);
        }
        world.send(client, b"x");
        world.sim().run_for(SECOND / 2 - MOMENT);
        assert!(!world.journal().is_lost("s1"));
        world.sim().run_for(2 * MOMENT);
        assert!(world.journal().is_lost("s1") && world.ending(client).is_some());
        assert_eq!(world.journal().times("s1", "timed out"), 1);
    });
}

/// A TLS server and a client that does this: what is the listener told of the handshake?
#[track_caller]
fn check_hook(play: fn(&mut dyn World, Client), expected: &[&str]) {
    everywhere(|world| {
        world.listen(world.address(), Authority::new().server(NAME), Door);
        let client = world.connect();
        world.quiet();
        play(world, client);
        world.quiet();
        let told = world.journal().of("door");
        let told: Vec<&str> = told.iter().map(String::as_str).filter(|line| !line.starts_with("listening")).collect();
        assert_eq!(told, expected, "{}", world.trace());
    });
}

#[test]
fn handshakes_that_fail_are_told_to_the_listener() {
    check_hook(|world, client| world.send(client, b"GET / HTTP/1.0\r\n\r\n"), &["handshake failed Some(InvalidData)"]);
    check_hook(|world, client| world.half_close(client), &["handshake failed Some(UnexpectedEof)"]);
    check_hook(
        |world, client| {
            world.send(client, &[0x16, 3, 1]);
            world.quiet();
            world.reset(client);
        },
        &["handshake failed Some(ConnectionReset)"],
    );
    check_hook(|world, client| world.reset(client), &["handshake failed Some(ConnectionReset)"]);
    check_hook(|_, _| (), &[]);
    // A client that does not trust us, and one that does beside it.
    everywhere(|world| {
        let authority = Authority::new();
        world.listen(world.address(), authority.server(NAME), Door);
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.dial(authority.client(NAME), Recorder::new("d", listen_only));
        world.quiet();
        world.told("d", &["made"]);
        assert_eq!(world.journal().times("door", "handshake failed Some(InvalidData)"), 1);
        // What goes wrong later is its protocol's business.
        world.with("d", |transport| transport.reset());
        world.quiet();
        let told = world.journal().of("door");
        assert_eq!(told.iter().filter(|line| line.starts_with("handshake")).count(), 1, "{told:?}");
    });
    // The protocol of one who does not trust us is told, too.
    everywhere(|world| {
        world.listen(world.address(), Authority::new().server(NAME), Door);
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.quiet();
        assert_eq!(world.journal().times("door", "handshake failed Some(InvalidData)"), 1);
        world.told("s1", &["lost InvalidData"]);
    });
    // One that never says anything.
    calm(|world| {
        world.listen(world.address(), Authority::new().server(NAME), Door);
        world.connect();
        world.sim().run_for(11 * SECOND);
        assert_eq!(world.journal().times("door", "handshake failed Some(TimedOut)"), 1);
    });
}

fn told_of_handshakes(world: &dyn World) -> bool {
    world.journal().of("door").iter().any(|line| line.starts_with("handshake"))
}

#[test]
fn a_handshake_that_we_end_has_not_failed_and_neither_has_one_that_is_done() {
    let ways: [Act; 3] = [|transport| transport.close(), |transport| transport.abort(), |transport| transport.reset()];
    for end in ways {
        everywhere(|world| {
            let listener = world.listen(world.address(), Authority::new().server(NAME), Door);
            world.connect();
            world.quiet();
            world.enter(|event_loop, _| {
                let id = event_loop.connections_of(listener)[0];
                end(&mut event_loop.transport(id).expect("it lives"));
            });
            world.quiet();
            world.told("s1", &["lost"]);
            assert!(!told_of_handshakes(world));
        });
    }
    for reset in [false, true] {
        everywhere(|world| {
            let authority = Authority::new();
            world.listen(world.address(), authority.server(NAME), Door);
            let id = world.dial(authority.client(NAME), Recorder::new("c", echo));
            world.quiet();
            world.told("s1", &["made"]);
            // A truncation, or a reset: of a connection, not of its handshake.
            world.enter(|event_loop, _| {
                let mut transport = event_loop.transport(id).expect("it lives");
                if reset { transport.reset() } else { transport.abort() }
            });
            world.quiet();
            let why = if reset { "lost ConnectionReset" } else { "lost UnexpectedEof" };
            world.told("s1", &["made", why]);
            assert!(!told_of_handshakes(world));
        });
    }
}

/// Notes whom the hook was about, and that the protocol was told next.
struct Clerk;

impl ProtocolFactory<Journal> for Clerk {
    fn protocol(&mut self, _: &mut Journal) -> Box<dyn Protocol<Journal>> {
        Box::new(Self)
    }

    fn handshake_failed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, lost: &Lost) {
        let peer = lost.peer.expect("it came from somewhere").ip();
        journal.note("clerk", format!("hook {} from {peer}", lost.id));
    }
}

impl Protocol<Journal> for Clerk {
    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn connection_lost(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, lost: Lost) {
        journal.note("clerk", format!("lost {}", lost.id));
    }
}

#[test]
fn the_hook_says_whose_handshake_it_was_and_comes_before_connection_lost() {
    everywhere(|world| {
        world.listen(world.address(), Authority::new().server(NAME), Clerk);
        let client = world.connect();
        world.half_close(client);
        world.quiet();
        let told = world.journal().of("clerk");
        let id = told.last().and_then(|line| line.strip_prefix("lost ")).expect("it was lost");
        assert_eq!(told, [format!("hook {id} from 127.0.0.1"), format!("lost {id}")]);
    });
}
