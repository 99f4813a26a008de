//! Promises about a server's end: who lives on, who is waited for, and that `closed` comes exactly once.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{Address, ListenerId, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity, Transport};

use crate::certificates::Authority;
use crate::recorder::{Journal, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{Client, Door, FAR_TOO_MUCH, World, bytes, calm, calmly, everywhere, on_sockets, simulated};

/// Has the loop listen, and note what becomes of it as `door`.
fn open(world: &mut dyn World) -> ListenerId {
    world.listen(world.address(), ServerSecurity::Plain, Door)
}

/// What the door was told but that it listens, which need not have come that far.
fn door(world: &dyn World) -> Vec<String> {
    world.journal().of("door").into_iter().filter(|line| !line.starts_with("listening")).collect()
}

/// The last thing that anybody was told.
fn last(world: &dyn World) -> String {
    world.journal().all().pop().expect("somebody was told something")
}

#[test]
fn wait_closed_waits_for_last() {
    everywhere(|world| {
        let listener = open(world);
        let clients = [(); 3].map(|()| world.connect());
        world.quiet();
        world.half_close(clients[0]);
        world.quiet();
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        world.half_close(clients[1]);
        world.quiet();
        assert!(door(world).is_empty(), "one is left");
        world.send(clients[2], b"still here");
        world.quiet();
        assert_eq!(world.received(clients[2]), b"still here");
        world.half_close(clients[2]);
        world.quiet();
        assert_eq!((door(world).as_slice(), last(world).as_str()), (["closed".to_owned()].as_slice(), "door closed"));
    });
}

#[test]
fn wait_closed_waits_for_nobody_if_nobody_is_there() {
    everywhere(|world| {
        let listener = open(world);
        world.quiet();
        world.enter(|event_loop, journal| {
            event_loop.close_listener(listener);
            event_loop.close_listener(listener);
            assert_eq!(journal.times("door", "closed"), 0, "no callback comes from inside a call");
        });
        world.quiet();
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        assert_eq!(door(world), ["closed"]);
        // Before it was bound.
        let address = world.another_address();
        world.open(address);
        world.enter(|event_loop, _| {
            let listener = event_loop.listen(address, ServerSecurity::Plain, Door);
            event_loop.close_listener(listener);
        });
        world.quiet();
        assert_eq!(door(world), ["closed", "closed"]);
        let late = world.connect_to(address);
        world.quiet();
        assert_eq!(world.ending(late), Some(Ending::Refused));
    });
}

/// A client that does not read what waits for it, and one of another listener.
fn slow_client(world: &mut dyn World, size: usize) -> (ListenerId, [Client; 2]) {
    let listener = open(world);
    let slow = world.connect();
    world.quiet();
    world.stop_reading(slow);
    world.with("s1", |transport| {
        transport.set_close_timeout(Duration::from_secs(60));
        transport.write(&bytes(size));
    });
    let another = world.another_address();
    world.listen(another, ServerSecurity::Plain, Door);
    let stranger = world.connect_to(another);
    world.quiet();
    (listener, [slow, stranger])
}

/// It was about the clients, and those of one listener: it listens on, and the other's are there.
fn check_nobody_else_is_gone(world: &mut dyn World, stranger: Client) {
    assert_eq!(world.ending(stranger), None);
    let newcomer = world.connect();
    world.send(newcomer, b"hello");
    world.quiet();
    assert_eq!(world.received(newcomer), b"hello");
    assert!(door(world).is_empty());
}

#[test]
fn close_clients_graceful() {
    let check = |world: &mut dyn World, size: usize| {
        let (listener, [slow, stranger]) = slow_client(world, size);
        world.enter(|event_loop, _| event_loop.close_clients(listener));
        world.quiet();
        assert!(!world.journal().is_lost("s1"), "it waits for a client that has not read");
        world.go_on_reading(slow);
        world.until_lost("s1");
        world.quiet();
        assert!(world.received(slow) == bytes(size), "{} bytes came", world.received(slow).len());
        assert_eq!(world.ending(slow), Some(Ending::Fin));
        world.told("s1", &["made", "paused", "lost"]);
        check_nobody_else_is_gone(world, stranger);
    };
    simulated(|world| check(world, 500_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH));
}

#[test]
fn abort_clients_immediate() {
    let check = |world: &mut dyn World, size: usize| {
        let (listener, [slow, stranger]) = slow_client(world, size);
        world.enter(|event_loop, journal| {
            event_loop.abort_clients(listener);
            assert!(!journal.is_lost("s1"), "no callback comes from inside a call");
            assert!(event_loop.connections_of(listener).is_empty());
        });
        world.told("s1", &["made", "paused", "lost"]);
        world.go_on_reading(slow);
        world.quiet();
        assert!(world.received(slow).len() < size && world.ending(slow).is_some(), "what waited is thrown away");
        check_nobody_else_is_gone(world, stranger);
    };
    simulated(|world| check(world, 500_000));
    on_sockets(|world| check(world, FAR_TOO_MUCH));
}

#[test]
fn clients_in_a_handshake_are_closed_and_aborted_too() {
    let ways: [fn(&mut Loop<'_, Journal>, ListenerId); 2] = [
        |event_loop, listener| event_loop.close_clients(listener),
        |event_loop, listener| {
            event_loop.abort_clients(listener);
        },
    ];
    for end in ways {
        everywhere(|world| {
            let listener = world.listen(world.address(), Authority::new().server(NAME), Door);
            let client = world.connect();
            world.quiet();
            world.enter(|event_loop, _| {
                event_loop.close_listener(listener);
                end(event_loop, listener);
            });
            world.quiet();
            world.told("s1", &["lost"]);
            assert_eq!(world.ending(client), Some(Ending::Fin));
            assert_eq!(door(world), ["closed"], "and no handshake has failed");
        });
    }
}

#[test]
fn wait_closed_race() {
    // At every moment of a client's coming and going.
    for micros in (0..500).step_by(10) {
        calm(|world| {
            let listener = open(world);
            let clients = [(); 2].map(|()| world.connect());
            for client in clients {
                world.send(client, b"hello");
                world.half_close(client);
            }
            world.sim().run_for(Duration::from_micros(micros));
            world.enter(|event_loop, _| event_loop.close_listener(listener));
            world.quiet();
            assert_eq!(door(world), ["closed"], "{micros} µs: {}", world.trace());
            assert_eq!(last(world), "door closed", "{micros} µs");
            for name in ["s1", "s2"] {
                let told = world.journal().of(name);
                assert!(told.is_empty() || told.ends_with(&["lost".to_owned()]), "{micros} µs: {told:?}");
            }
        });
    }
    // In the turn in which one is lost and another knocks.
    calmly(|world| {
        world.listen(world.address(), ServerSecurity::Plain, Doorkeeper::at(Moment::Data));
        let first = world.connect();
        world.quiet();
        world.send(first, b"x");
        world.half_close(first);
        let second = world.connect();
        world.quiet();
        world.told("keeper", &["data", "lost", "closed"]);
        assert!(world.ending(first).is_some() && world.ending(second).is_some(), "nobody is forgotten");
    });
}

/// When to close the listener.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Moment {
    Listening,
    Made,
    Data,
    HandshakeFailed,
    Lost,
    Closed,
}

/// A factory that closes its listener in one of its callbacks, or in one of its connections'; as `keeper` they note what
/// they were told.
struct Doorkeeper {
    at: Moment,
    /// Known once the loop has said it.
    listener: Rc<Cell<Option<ListenerId>>>,
}

impl Doorkeeper {
    fn at(at: Moment) -> Self {
        Self { at, listener: Rc::default() }
    }

    fn told(&self, moment: Moment, what: &str, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal) {
        journal.note("keeper", what);
        if self.at == moment {
            let listener = self.listener.get().expect("it is known by now");
            event_loop.close_listener(listener);
            event_loop.close_listener(listener);
        }
    }
}

impl ProtocolFactory<Journal> for Doorkeeper {
    fn protocol(&mut self, _: &mut Journal) -> Box<dyn Protocol<Journal>> {
        Box::new(Self { at: self.at, listener: Rc::clone(&self.listener) })
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: &Address) {
        if self.at == Moment::Listening {
            self.told(Moment::Listening, "listening", event_loop, journal);
        }
    }

    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: &Lost) {
        self.told(Moment::HandshakeFailed, "handshake failed", event_loop, journal);
    }

    fn closed(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal) {
        self.told(Moment::Closed, "closed", event_loop, journal);
    }
}

impl Protocol<Journal> for Doorkeeper {
    fn connection_made(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.listener.set(transport.listener());
        if self.at == Moment::Made {
            self.told(Moment::Made, "made", &mut transport.event_loop(), journal);
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal, _: &[u8]) {
        self.told(Moment::Data, "data", &mut transport.event_loop(), journal);
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, _: Lost) {
        self.told(Moment::Lost, "lost", event_loop, journal);
    }
}

/// A listener that is closed at that moment, while a client is there: what are it and its connection told?
#[track_caller]
fn check_moment(at: Moment, security: impl Fn() -> ServerSecurity, told: &[&str]) {
    everywhere(|world| {
        let keeper = Doorkeeper::at(at);
        let known = Rc::clone(&keeper.listener);
        known.set(Some(world.listen(world.address(), security(), keeper)));
        let client = world.connect();
        world.send(client, b"x");
        world.quiet();
        world.half_close(client);
        world.quiet();
        world.told("keeper", told);
        if at == Moment::Closed {
            return;
        }
        let late = world.connect();
        world.quiet();
        assert_eq!(world.ending(late), Some(Ending::Refused), "{at:?}");
    });
}

#[test]
fn a_listener_can_be_closed_in_every_callback_and_closed_comes_once() {
    let plain = || ServerSecurity::Plain;
    check_moment(Moment::Made, plain, &["made", "data", "lost", "closed"]);
    check_moment(Moment::Data, plain, &["data", "lost", "closed"]);
    check_moment(Moment::Lost, plain, &["data", "lost", "closed"]);
    let tls = || Authority::new().server(NAME);
    check_moment(Moment::HandshakeFailed, tls, &["handshake failed", "lost", "closed"]);
    calm(|world| {
        let keeper = Doorkeeper::at(Moment::Listening);
        let known = Rc::clone(&keeper.listener);
        let address = world.address();
        world.enter(|event_loop, _| {
            known.set(Some(event_loop.listen(address, ServerSecurity::Plain, keeper)));
        });
        world.quiet();
        world.told("keeper", &["listening", "closed"]);
    });
    everywhere(|world| {
        let keeper = Doorkeeper::at(Moment::Closed);
        let known = Rc::clone(&keeper.listener);
        let listener = world.listen(world.address(), ServerSecurity::Plain, keeper);
        known.set(Some(listener));
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        world.told("keeper", &["closed"]);
    });
}

#[test]
fn shut_down_aborts_who_is_left_after_its_grace() {
    const GRACE: Duration = Duration::from_secs(3);
    calm(|world| {
        let listener = open(world);
        let [short, long] = [(); 2].map(|()| world.connect());
        world.quiet();
        world.enter(|event_loop, _| event_loop.shut_down(listener, GRACE));
        world.sim().run_for(Duration::from_secs(1));
        world.half_close(short);
        world.send(long, b"going on");
        world.sim().run_for(Duration::from_millis(1990));
        assert_eq!((world.ending(short), world.ending(long)), (Some(Ending::Fin), None));
        assert_eq!(world.received(long), b"going on");
        assert!(door(world).is_empty());
        world.sim().run_for(Duration::from_millis(20));
        assert_eq!(world.ending(long), Some(Ending::Fin));
        world.told("s2", &["made", "data going on", "lost"]);
        assert_eq!(door(world), ["closed"]);
    });
    // Who is closing is not waited for longer than the others.
    calm(|world| {
        let (listener, [slow, _]) = slow_client(world, 500_000);
        world.enter(|event_loop, _| {
            event_loop.shut_down(listener, GRACE);
            event_loop.close_clients(listener);
        });
        world.sim().run_for(GRACE + Duration::from_millis(10));
        assert!(world.received(slow).is_empty() && world.journal().is_lost("s1"));
        assert_eq!(door(world), ["closed"]);
    });
    // Another, shorter grace counts.
    calm(|world| {
        let listener = open(world);
        world.connect();
        world.quiet();
        world.enter(|event_loop, _| event_loop.shut_down(listener, GRACE));
        world.enter(|event_loop, _| event_loop.shut_down(listener, Duration::ZERO));
        world.quiet();
        assert_eq!(door(world), ["closed"]);
    });
    on_sockets(|world| {
        let listener = open(world);
        let client = world.connect();
        world.quiet();
        world.enter(|event_loop, _| event_loop.shut_down(listener, Duration::from_millis(1)));
        world.until("the end", |world| !door(world).is_empty() && world.ending(client).is_some());
        world.told("s1", &["made", "lost"]);
        assert_eq!(door(world), ["closed"]);
    });
}

#[test]
fn shut_down_is_over_as_soon_as_all_have_left() {
    everywhere(|world| {
        let listener = open(world);
        let clients = [(); 2].map(|()| world.connect());
        world.quiet();
        world.enter(|event_loop, _| event_loop.shut_down(listener, Duration::MAX));
        for client in clients {
            assert!(door(world).is_empty());
            world.half_close(client);
            world.quiet();
        }
        assert_eq!(door(world), ["closed"]);
        // Its successor is not meant.
        let address = world.another_address();
        world.listen(address, ServerSecurity::Plain, Door);
        let client = world.connect_to(address);
        world.quiet();
        world.enter(|event_loop, _| event_loop.abort_clients(listener));
        world.quiet();
        assert_eq!(world.ending(client), None);
    });
}

/// Listens on an address of each family, with one port; true if both were bound. Each factory names its connections.
fn pair(world: &mut dyn World, ips: [IpAddr; 2]) -> Option<u16> {
    // A port of both families that is free now.
    let first = TcpListener::bind((ips[1], 0)).ok()?;
    let port = first.local_addr().expect("it is bound").port();
    drop(first);
    for (ip, name) in ips.into_iter().zip(["v4", "v6"]) {
        world.listen((ip, port).into(), ServerSecurity::Plain, move |_: &mut Journal| Recorder::new(name, echo));
    }
    Some(port)
}

#[test]
#[expect(clippy::print_stdout, reason = "what was skipped is said")]
fn dual_stack_two_sockets() {
    let (v4, v6) = (IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST));
    let everywhere_at_home = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    for ips in [[v4, v6], everywhere_at_home] {
        let check = |world: &mut dyn World, port: u16| {
            world.quiet();
            for (ip, name) in [(v4, "v4"), (v6, "v6")] {
                let client = world.connect_to((ip, port).into());
                world.send(client, name.as_bytes());
                world.quiet();
                assert_eq!(world.received(client), name.as_bytes());
                world.told(name, &["made", &format!("data {name}")]);
            }
        };
        calm(|world| {
            for (ip, name) in ips.into_iter().zip(["v4", "v6"]) {
                let factory = move |_: &mut Journal| Recorder::new(name, echo);
                world.listen((ip, 11_645).into(), ServerSecurity::Plain, factory);
            }
            check(world, 11_645);
        });
        on_sockets(|world| match pair(world, ips) {
            Some(port) => check(world, port),
            None => println!("skipped: this system has no {}", ips[1]),
        });
    }
}

#[test]
fn address_in_use_error_names_address() {
    let check = |world: &mut dyn World, address: SocketAddr| {
        world.listen(address, ServerSecurity::Plain, Door);
        world.until("failure", |world| !door(world).is_empty());
        let told = door(world);
        assert!(told[0].starts_with(&format!("failed {:?}: {address}: ", ErrorKind::AddrInUse)), "{told:?}");
        assert_eq!(told.len(), 1, "and no `closed`");
    };
    calm(|world| {
        world.serve(listen_only);
        let address = world.address();
        check(world, address);
    });
    on_sockets(|world| {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        check(world, taken.local_addr().expect("it is bound"));
    });
}
