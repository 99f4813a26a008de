//! Limits that asyncio does not have: how many connections a listener lets in, how much may wait to be sent.

use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Listen, ListenerId, ServerSecurity, Transport};

use crate::certificates::Authority;
use crate::recorder::{Act, Journal, On, Recorder, listen_only};
use crate::tls::{NAME, pair};
use crate::world::{Client, Door, FAR_TOO_MUCH, World, bytes, calm, everywhere, on_sockets, simulated};

/// Has the loop listen for so many at once, and note what becomes of it; its connections echo.
fn open(world: &mut dyn World, security: ServerSecurity, most: usize) -> ListenerId {
    let address = world.address();
    world.open(address);
    let listen = Listen::on(address).security(security).max_connections(most);
    world.enter(|event_loop, _| event_loop.listen_with(listen, Door))
}

/// Clients that say hello.
fn crowd<const N: usize>(world: &mut dyn World) -> [Client; N] {
    [(); N].map(|()| {
        let client = world.connect();
        world.send(client, b"hello");
        client
    })
}

/// How many of them were answered.
fn served(world: &dyn World, clients: &[Client]) -> usize {
    clients.iter().filter(|client| world.received(**client) == b"hello").count()
}

#[test]
fn connections_over_the_cap_wait_in_the_backlog_until_one_is_gone() {
    everywhere(|world| {
        let listener = open(world, ServerSecurity::Plain, 2);
        let clients = crowd::<7>(world);
        world.quiet();
        assert_eq!(served(world, &clients), 2);
        assert!(clients.iter().all(|client| world.ending(*client).is_none()), "the others wait");
        // One leaves, one comes.
        world.with("s1", |transport| transport.close());
        world.quiet();
        assert_eq!(served(world, &clients), 3);
        // Two leave at once, two come.
        world.enter(|event_loop, _| {
            for id in event_loop.connections_of(listener) {
                event_loop.transport(id).expect("it lives").abort();
            }
        });
        world.quiet();
        assert_eq!(served(world, &clients), 5);
        world.enter(|event_loop, _| assert_eq!(event_loop.connections_of(listener).len(), 2));
        // A client leaves, another that waits has left before.
        let first = *clients.iter().find(|client| world.received(**client).is_empty()).expect("two wait");
        world.half_close(first);
        world.quiet();
        assert_eq!(served(world, &clients), 5);
        world.with("s5", |transport| transport.close());
        world.quiet();
        world.with("s4", |transport| transport.close());
        world.quiet();
        assert_eq!(served(world, &clients), 7, "{:?}", world.journal().all());
    });
}

#[test]
fn a_cap_of_one_lets_everybody_in_one_after_the_other() {
    everywhere(|world| {
        let address = world.address();
        world.open(address);
        world.enter(|event_loop, _| {
            event_loop.listen_with(Listen::on(address).max_connections(1), |journal: &mut Journal| {
                Recorder::new(&journal.next_name(), |on, transport: &mut Transport<'_, Journal>, journal| {
                    let listener = transport.listener().expect("it was accepted");
                    let others = transport.event_loop().connections_of(listener).len();
                    journal.note("at once", others.to_string());
                    match on {
                        // Some are gone before they were read from.
                        On::Made if transport.id().generation() % 3 == 0 => transport.abort(),
                        On::Data(_) => transport.close(),
                        _ => {}
                    }
                })
            })
        });
        let clients = crowd::<20>(world);
        world.quiet();
        assert!(clients.iter().all(|client| world.ending(*client).is_some()), "{:?}", world.journal().all());
        let at_once = world.journal().of("at once");
        assert!(at_once.len() >= 20 && at_once.iter().all(|count| count == "1"), "{at_once:?}");
    });
}

#[test]
fn a_closed_listener_lets_nobody_in_for_who_is_gone() {
    everywhere(|world| {
        let listener = open(world, ServerSecurity::Plain, 1);
        let clients = crowd::<3>(world);
        world.quiet();
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        assert_eq!(served(world, &clients), 1);
        let gone = clients.iter().filter(|client| world.ending(**client) == Some(Ending::Reset)).count();
        assert_eq!(gone, 2, "the system resets those that wait");
        world.with("s1", |transport| transport.close());
        world.quiet();
        assert_eq!(served(world, &clients), 1);
        assert_eq!(world.journal().times("door", "closed"), 1);
    });
    // In the callback that would make room.
    everywhere(|world| {
        let listener = open(world, ServerSecurity::Plain, 1);
        let clients = crowd::<3>(world);
        world.quiet();
        world.enter(|event_loop, _| {
            event_loop.abort_clients(listener);
            event_loop.close_listener(listener);
        });
        world.quiet();
        assert_eq!(served(world, &clients), 1);
        assert_eq!(world.journal().times("door", "closed"), 1);
    });
}

#[test]
fn handshakes_over_their_cap_wait_in_the_backlog() {
    everywhere(|world| {
        let authority = Authority::new();
        let address = world.address();
        world.open(address);
        let listen = Listen::on(address).security(authority.server(NAME)).max_handshakes(2);
        let listener = world.enter(|event_loop, _| event_loop.listen_with(listen, Door));
        let dial = |world: &mut dyn World, name: &str| {
            world.dial(authority.client(NAME), Recorder::new(name, listen_only));
            world.quiet();
        };
        let accepted = |world: &mut dyn World| world.enter(|event_loop, _| event_loop.connections_of(listener).len());
        // At the limit is one too few to keep anybody out.
        let first = world.connect();
        world.quiet();
        dial(world, "a");
        dial(world, "b");
        assert_eq!(world.journal().of("b"), ["made"], "who is through it does not count");
        assert_eq!(accepted(world), 3);
        let second = world.connect();
        world.quiet();
        dial(world, "c");
        assert_eq!((accepted(world), world.journal().times("c", "made")), (4, 0), "one past it");
        world.half_close(first);
        world.quiet();
        assert_eq!((accepted(world), world.journal().times("c", "made")), (4, 1), "one is lost, one comes");
        let third = world.connect();
        world.quiet();
        dial(world, "d");
        world.send(second, b"no TLS");
        world.send(third, b"no TLS");
        world.quiet();
        assert_eq!((accepted(world), world.journal().times("d", "made")), (4, 1), "two are lost, one comes");
    });
}

#[test]
fn a_handshake_counts_as_a_connection() {
    calm(|world| {
        open(world, Authority::new().server(NAME), 1);
        let [silent, next] = [(); 2].map(|()| world.connect());
        for client in [silent, next] {
            world.send(client, &[0x16]);
        }
        world.sim().run_for(Duration::from_millis(9_990));
        world.half_close(next);
        world.told("s1", &[]);
        world.sim().run_for(Duration::from_millis(20));
        world.told("s1", &["lost TimedOut"]);
        world.told("s2", &["lost UnexpectedEof"]);
    });
}

#[test]
fn want_of_descriptors_and_a_cap_get_along() {
    simulated(|world| {
        open(world, ServerSecurity::Plain, 2);
        let host = world.host();
        let first = crowd::<1>(world);
        world.quiet();
        world.sim().out_of_descriptors(host);
        let waiting = crowd::<3>(world);
        world.sim().run_for(Duration::from_secs(1));
        assert_eq!(served(world, &waiting), 0);
        world.sim().descriptors_again(host);
        world.sim().run_for(Duration::from_secs(1));
        assert_eq!((served(world, &first), served(world, &waiting)), (1, 1));
        world.with("s1", |transport| transport.abort());
        world.quiet();
        assert_eq!(served(world, &waiting), 2);
    });
}

/// A client that reads nothing, a cap of 1000 bytes: does the connection outlive these writes?
#[track_caller]
fn check_cap(high: usize, writes: &[usize], survives: bool) {
    everywhere(|world| {
        world.serve(listen_only);
        let client = world.connect();
        world.quiet();
        world.stop_reading(client);
        world.with("s1", |transport| {
            transport.set_write_buffer_limits(high, 0);
            transport.set_write_buffer_cap(1000);
            for count in writes {
                transport.write(&bytes(*count));
            }
            assert_eq!(transport.is_closing(), !survives);
        });
        world.quiet();
        let told = world.journal().of("s1");
        let lost = told.iter().position(|line| line.starts_with("lost"));
        assert_eq!(lost.is_none(), survives, "{told:?}");
        if let Some(place) = lost {
            let waited: usize = writes.iter().sum();
            let why = format!("lost QuotaExceeded: {waited} bytes wait to be sent, at most 1000 may");
            assert_eq!((place, told[place].as_str()), (told.len() - 1, why.as_str()));
            world.go_on_reading(client);
            world.quiet();
            assert!(world.ending(client).is_some());
        }
    });
}

#[test]
fn the_cap_of_what_waits_ends_a_connection_that_goes_over_it() {
    check_cap(0, &[1000], true);
    check_cap(0, &[1001], false);
    check_cap(999, &[500, 500], true);
    check_cap(999, &[500, 500, 1], false);
    // Up to the high-water mark everything may wait.
    check_cap(2000, &[2000], true);
    check_cap(2000, &[2000, 1], false);
}

#[test]
fn the_cap_holds_whoever_writes_and_however_slowly_it_fills() {
    let check = |world: &mut dyn World, cap: usize, piece: usize| {
        world.serve(listen_only);
        let [_, other] = [(); 2].map(|()| {
            let client = world.connect();
            world.quiet();
            world.stop_reading(client);
            client
        });
        world.with("s1", |transport| transport.set_write_buffer_cap(cap));
        let mut written = 0;
        while !world.journal().is_lost("s1") {
            // As a flood comes to many: from elsewhere, and line by line.
            for who in ["s1", "s2"] {
                world.with(who, |transport| {
                    assert!(transport.write_buffer_size() <= cap || who == "s2");
                    transport.writelines([bytes(piece).as_slice()]);
                });
            }
            written += piece;
            world.quiet();
        }
        assert!(written > cap, "no sooner than it must");
        let told = world.journal().of("s1");
        assert!(told[told.len() - 1].starts_with("lost QuotaExceeded"), "{told:?}");
        assert!(!world.journal().is_lost("s2"), "who has no cap goes on");
        world.go_on_reading(other);
        world.until("all of it", |world| world.received(other).len() == written);
    };
    simulated(|world| check(world, 200_000, 10_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH, 2 * 1024 * 1024));
}

#[test]
fn the_cap_counts_what_waits_encrypted_and_what_waits_for_the_handshake() {
    everywhere(|world| {
        pair(
            world,
            |on, transport, journal| {
                if on == On::Made {
                    transport.set_write_buffer_limits(0, 0);
                    transport.set_write_buffer_cap(1000);
                    let before = transport.write_buffer_size();
                    transport.write(&bytes(1000 - before - 30));
                    assert!(!transport.is_closing(), "a record has fewer than 30 bytes of its own");
                    transport.write(b"123456789");
                    assert!(transport.is_closing());
                    journal.note("s1", "over");
                }
            },
            listen_only,
        );
        world.quiet();
        world.told("s1", &["made", "over", "lost QuotaExceeded"]);
    });
    everywhere(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let id = world.dial(authority.client(NAME), Recorder::new("c", listen_only));
        world.enter(|event_loop, _| {
            let mut transport = event_loop.transport(id).expect("it is on its way");
            transport.set_write_buffer_limits(0, 0);
            transport.set_write_buffer_cap(1000);
            transport.write(&bytes(1001));
        });
        world.quiet();
        world.told("c", &["lost QuotaExceeded"]);
    });
}

/// Half of it waits, the other half was sent and not read: how does the client see the end?
#[track_caller]
fn check_end(size: usize, end: Act, ending: Ending) {
    everywhere(|world| {
        world.serve(listen_only);
        let client = world.connect();
        world.quiet();
        world.with("s1", |transport| transport.write(b"half of it"));
        world.quiet();
        world.with("s1", |transport| {
            transport.write(&bytes(size));
            end(transport);
            assert!(transport.is_closing() && transport.write_buffer_size() == 0);
        });
        world.quiet();
        world.told("s1", &["made", "lost"]);
        assert_eq!(world.ending(client), Some(ending));
        assert_eq!(world.received(client), b"half of it");
    });
}

#[test]
fn reset_tells_the_peer_that_it_was_not_all_and_abort_does_not() {
    for size in [0, 10, 60_000] {
        check_end(size, |transport| transport.reset(), Ending::Reset);
        check_end(size, |transport| transport.abort(), Ending::Fin);
    }
    // In a stuck flush; and in the first callback, when nothing was said.
    let check = |world: &mut dyn World, size: usize| {
        world.serve(|on, transport, _| assert_eq!(on, On::Made, "{}", transport.id()));
        let client = world.connect();
        world.quiet();
        world.stop_reading(client);
        world.with("s1", |transport| {
            transport.write(&bytes(size));
            transport.close();
        });
        world.quiet();
        world.told("s1", &["made"]);
        world.with("s1", |transport| transport.reset());
        world.told("s1", &["made", "lost"]);
        world.go_on_reading(client);
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Reset));
    };
    simulated(|world| check(world, 500_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH));
    everywhere(|world| {
        world.serve(|_, transport, _| transport.reset());
        let client = world.connect();
        world.quiet();
        world.told("s1", &["made", "lost"]);
        assert_eq!(world.ending(client), Some(Ending::Reset));
    });
}

#[test]
fn who_is_reset_by_us_learns_it_as_a_reset() {
    everywhere(|world| {
        world.serve(|on, transport, _| {
            if let On::Data(_) = on {
                transport.reset();
            }
        });
        world.dial(
            proxy_herd::event_loop::Security::Plain,
            Recorder::new("c", |on, transport: &mut Transport<'_, Journal>, _| {
                if on == On::Made {
                    transport.write(b"x");
                }
            }),
        );
        world.quiet();
        world.told("s1", &["made", "data x", "lost"]);
        world.told("c", &["made", "lost ConnectionReset"]);
    });
}
