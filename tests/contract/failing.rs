//! Promises about callbacks that fail, by a panic or by `Transport::fail`: it costs their connection, never the others.

use std::io;
use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{
    Address, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity, StartTls, Transport,
};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{Client, Door, LONG, World, calm, everywhere};

const WHY: &str = "it has failed";

/// How a callback fails.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Panic,
    Fail,
}

impl Way {
    fn take(self, transport: &mut Transport<'_, Journal>) {
        match self {
            Self::Panic => panic!("{WHY}"),
            Self::Fail => transport.fail(io::Error::other(WHY)),
        }
    }
}

/// Has panics noted as `handler`.
fn watch(world: &mut dyn World) {
    world.enter(|event_loop, _| {
        event_loop.set_exception_handler(|_, journal, panicked| journal.note("handler", panicked.to_string()));
    });
}

/// A connection `s1` that echoes, then one that is `prepared` and `played`, and fails when it is called with `on`: what is
/// it told before its end?
#[track_caller]
fn check(
    callback: &str,
    on: fn(On<'_>) -> bool,
    prepare: fn(&mut Transport<'_, Journal>),
    play: fn(&mut dyn World, Client),
    told: &[&str],
) {
    for way in [Way::Panic, Way::Fail] {
        everywhere(|world| {
            watch(world);
            world.serve(move |what, transport, journal| {
                if journal.id("s1") == transport.id() {
                    return echo(what, transport, journal);
                }
                if what == On::Made {
                    prepare(transport);
                }
                if on(what) {
                    way.take(transport);
                    transport.write(b"never sent");
                }
            });
            let good = world.connect();
            world.quiet();
            let bad = world.connect();
            world.send(good, b"before ");
            play(world, bad);
            world.until_lost("s2");
            world.quiet();
            let panicked = world.journal().of("handler");
            let why = match way {
                Way::Panic => panicked.concat(),
                Way::Fail => WHY.to_owned(),
            };
            let end = format!("lost Other: {why}");
            world.told("s2", &[told, &[end.as_str()]].concat());
            match way {
                Way::Panic => {
                    assert!(why.starts_with(&format!("{callback} of #")) && why.ends_with(WHY), "{panicked:?}");
                }
                Way::Fail => assert!(panicked.is_empty(), "{panicked:?}"),
            }
            assert!(world.ending(bad).is_some(), "it is closed");
            assert!(!world.received(bad).ends_with(b"never sent"));
            // The others go on, and others come.
            world.send(good, b"after");
            world.quiet();
            world.told("s1", &["made", "data before after"]);
            assert_eq!((world.received(good), world.ending(good)), (b"before after".as_slice(), None));
        });
    }
}

#[test]
fn error_or_panic_in_data_received_is_fatal_to_connection_only() {
    check(
        "data_received",
        |on| matches!(on, On::Data(_)),
        |_| {},
        |world, bad| world.send(bad, b"x"),
        &["made", "data x"],
    );
}

#[test]
fn error_or_panic_in_any_callback_is_fatal_to_connection_only() {
    let nothing = |_: &mut dyn World, _| {};
    check("connection_made", |on| on == On::Made, |_| {}, nothing, &["made"]);
    check("eof_received", |on| on == On::Eof, |_| {}, |world, bad| world.half_close(bad), &["made", "eof"]);
    let overfill = |transport: &mut Transport<'_, Journal>| {
        transport.set_write_buffer_limits(0, 0);
        transport.write(b"x");
    };
    check("pause_writing", |on| on == On::Paused, overfill, nothing, &["made", "paused"]);
    check("resume_writing", |on| on == On::Resumed, overfill, nothing, &["made", "paused", "resumed"]);
    let hurry = |transport: &mut Transport<'_, Journal>| transport.set_timeout(Some(Duration::from_millis(1)));
    check("timed_out", |on| on == On::TimedOut, hurry, nothing, &["made", "timed out"]);
    let wake = |transport: &mut Transport<'_, Journal>| {
        let id = transport.id();
        transport.event_loop().wake(id);
    };
    check("woken", |on| on == On::Woken, wake, nothing, &["made", "woken"]);
}

/// Puts TLS on its connection, and fails when that is done.
struct Upgrader(StartTls, Way);

impl Protocol<Journal> for Upgrader {
    fn connection_made(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal) {
        transport.start_tls(self.0.clone(), b"");
    }

    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn tls_started(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal) {
        self.1.take(transport);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, lost: Lost) {
        journal.note("upgrader", format!("lost {}", lost.why.expect("a reason")));
    }
}

#[test]
fn error_or_panic_in_tls_started_is_fatal_to_connection_only() {
    for way in [Way::Panic, Way::Fail] {
        everywhere(|world| {
            watch(world);
            let authority = Authority::new();
            let ServerSecurity::Tls(server) = authority.server(NAME) else { unreachable!("it is TLS") };
            let Security::Tls(client, name) = authority.client(NAME) else { unreachable!("it is TLS") };
            world.serve_with(ServerSecurity::Plain, move |_: &str| Upgrader(StartTls::Server(server.clone()), way));
            let patient = Recorder::new("c", move |on, transport: &mut Transport<'_, Journal>, _: &mut Journal| {
                if on == On::Made {
                    transport.start_tls(StartTls::Client(client.clone(), name.clone()), b"");
                }
            });
            world.dial(Security::Plain, patient);
            world.until_lost("upgrader");
            world.until_lost("c");
            let panicked = world.journal().of("handler");
            assert_eq!(panicked.len(), usize::from(way == Way::Panic));
            let why = panicked.first().map_or(WHY, String::as_str);
            world.told("upgrader", &[&format!("lost {why}")]);
        });
    }
}

/// Fails when it is over.
struct BadLoser;

impl Protocol<Journal> for BadLoser {
    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal, data: &[u8]) {
        match data {
            b"c" => transport.close(),
            b"a" => transport.abort(),
            _ => transport.fail(io::Error::other("not this one")),
        }
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal, lost: Lost) {
        panic!("{} {WHY}", lost.id);
    }
}

#[test]
fn error_in_connection_lost_still_closes_fd_and_detaches_server() {
    struct BadLosers;

    impl ProtocolFactory<Journal> for BadLosers {
        fn protocol(&mut self, _: &mut Journal) -> Box<dyn Protocol<Journal>> {
            Box::new(BadLoser)
        }

        fn closed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal) {
            journal.note("door", "closed");
        }
    }

    let ends: [fn(&mut dyn World, Client); 5] = [
        |world, client| world.half_close(client),
        |world, client| world.reset(client),
        |world, client| world.send(client, b"c"),
        |world, client| world.send(client, b"a"),
        |world, client| world.send(client, b"f"),
    ];
    for end in ends {
        everywhere(|world| {
            watch(world);
            let listener = world.listen(world.address(), ServerSecurity::Plain, BadLosers);
            let [first, second] = [(); 2].map(|()| world.connect());
            world.quiet();
            end(world, first);
            world.quiet();
            world.enter(|event_loop, _| {
                assert_eq!(event_loop.connections_of(listener).len(), 1);
                event_loop.close_listener(listener);
            });
            world.quiet();
            world.told("door", &[]);
            assert_eq!(world.ending(second), None, "the other one goes on");
            end(world, second);
            world.quiet();
            world.told("door", &["closed"]);
            let panicked = world.journal().of("handler");
            assert_eq!(panicked.len(), 2, "{panicked:?}");
            for told in panicked {
                let (id, name) =
                    told.strip_prefix("connection_lost of ").and_then(|rest| rest.split_once(' ')).expect(&told);
                assert_eq!(name, format!("panicked: {id} {WHY}"));
            }
        });
        everywhere(|world| {
            // Seen by its client: the descriptor is closed.
            watch(world);
            world.listen(world.address(), ServerSecurity::Plain, BadLosers);
            let client = world.connect();
            world.quiet();
            world.send(client, b"c");
            world.until("the end", |world| world.ending(client) == Some(Ending::Fin));
        });
    }
}

/// Panics when it is dropped: as another takes its place, or when it is lost, which it does not take well either.
struct Bomb {
    hands_over: bool,
}

impl Protocol<Journal> for Bomb {
    fn connection_made(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal) {
        if self.hands_over {
            transport.set_protocol(Recorder::new("heir", echo));
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {
        transport.abort();
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal, _: Lost) {
        panic!("{WHY}");
    }
}

impl Drop for Bomb {
    fn drop(&mut self) {
        // Twice at a time would be the end of the process.
        assert!(std::thread::panicking(), "{WHY}");
    }
}

#[test]
fn panic_in_drop_costs_at_most_the_connection_that_it_was_about() {
    for (hands_over, callbacks) in [(true, &["drop"][..]), (false, &["connection_lost", "drop"])] {
        everywhere(|world| {
            watch(world);
            world.serve_with(ServerSecurity::Plain, move |_: &str| Bomb { hands_over });
            let client = world.connect();
            world.send(client, b"hello");
            world.quiet();
            let panicked = world.journal().of("handler");
            assert_eq!(panicked.len(), callbacks.len(), "{panicked:?}");
            for (told, callback) in panicked.iter().zip(callbacks) {
                assert!(told.starts_with(&format!("{callback} of #")) && told.ends_with(WHY), "{told}");
            }
            assert_eq!(world.ending(client).is_none(), hands_over);
            assert_eq!(world.received(client), if hands_over { b"hello".as_slice() } else { b"" });
        });
    }
}

/// A listener's factory that fails in one of its callbacks.
struct BadDoor {
    at: &'static str,
    made: usize,
}

impl BadDoor {
    fn at(at: &'static str) -> Self {
        Self { at, made: 0 }
    }

    fn pass(&self, callback: &str) {
        assert!(callback != self.at, "{WHY}");
    }
}

impl ProtocolFactory<Journal> for BadDoor {
    fn protocol(&mut self, journal: &mut Journal) -> Box<dyn Protocol<Journal>> {
        self.made += 1;
        self.pass(if self.made == 1 { "protocol" } else { "the second protocol" });
        Box::new(Recorder::new(&journal.next_name(), echo))
    }

    fn listening(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal, _: &Address) {
        self.pass("listening");
    }

    fn failed(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal, _: io::Error) {
        self.pass("failed");
    }

    fn handshake_failed(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal, _: &Lost) {
        self.pass("handshake_failed");
    }

    fn closed(&mut self, _: &mut Loop<'_, Journal>, _: &mut Journal) {
        self.pass("closed");
    }
}

#[test]
fn panic_in_a_factory_costs_at_most_the_connection_that_it_was_about() {
    let told = |callback: &str| format!("{callback} panicked: {WHY}");
    for (at, turned_away) in [("protocol", true), ("listening", false), ("closed", false)] {
        everywhere(|world| {
            watch(world);
            let listener = world.listen(world.address(), ServerSecurity::Plain, BadDoor::at(at));
            let first = world.connect();
            world.quiet();
            let second = world.connect();
            world.send(second, b"hello");
            world.quiet();
            assert_eq!(world.ending(first).is_some(), turned_away);
            assert_eq!((world.received(second), world.ending(second)), (b"hello".as_slice(), None));
            world.enter(|event_loop, _| {
                assert_eq!(event_loop.connections_of(listener).len(), if turned_away { 1 } else { 2 });
                event_loop.close_listener(listener);
                event_loop.abort_clients(listener);
            });
            world.quiet();
            world.told("handler", &[&told(at)]);
        });
    }
    everywhere(|world| {
        watch(world);
        let security = Authority::new().server(NAME);
        world.listen(world.address(), security, BadDoor::at("handshake_failed"));
        let client = world.connect();
        world.half_close(client);
        world.quiet();
        world.told("handler", &[&told("handshake_failed")]);
        world.told("s1", &["lost UnexpectedEof"]);
    });
    calm(|world| {
        watch(world);
        let address = world.address();
        world.listen(address, ServerSecurity::Plain, Door);
        world.listen(address, ServerSecurity::Plain, BadDoor::at("failed"));
        world.sim().run_for(LONG);
        world.told("handler", &[&told("failed")]);
        let client = world.connect();
        world.send(client, b"hello");
        world.quiet();
        assert_eq!(world.received(client), b"hello");
    });
}

#[test]
fn who_fails_before_it_was_made_is_lost_for_that_reason() {
    everywhere(|world| {
        world.serve(listen_only);
        let id = world.dial(Security::Plain, Recorder::new("c", listen_only));
        world.enter(|event_loop, _| {
            event_loop.transport(id).expect("it is on its way").fail(io::Error::other(WHY));
        });
        world.quiet();
        world.told("c", &[&format!("lost Other: {WHY}")]);
    });
}
