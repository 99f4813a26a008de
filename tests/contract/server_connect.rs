//! Promises about listening: ports, addresses in use, many at the door, want of descriptors, the end of a listener.

use std::cell::Cell;
use std::fs::File;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use proxy_herd::driver::sim::Ending;
use proxy_herd::event_loop::{ConnId, ListenerId, Loop, Lost, Protocol, ServerSecurity, Transport};

use crate::logbook::logged;
use crate::loopback::alone;
use crate::recorder::{Journal, Recorder, echo, listen_only};
use crate::world::{Door, LONG, World, calm, calmly, everywhere, on_sockets, simulated};

/// Has the loop listen, and note what becomes of it.
fn open(world: &mut dyn World, address: SocketAddr) -> ListenerId {
    world.listen(address, ServerSecurity::Plain, Door)
}

#[test]
fn a_listener_that_nobody_asks_about_is_in_the_log() {
    calm(|world| {
        world.serve(listen_only);
        world.quiet();
        let said = logged(|| {
            world.serve(listen_only);
            world.sim().run_for(LONG);
        });
        assert_eq!(said, [format!("ERROR nobody listens: {}: address in use", world.address())]);
    });
}

#[test]
fn port_zero() {
    calmly(|world| {
        for _ in 0..3 {
            open(world, (Ipv4Addr::LOCALHOST, 0).into());
        }
        world.quiet();
        let mut lines = world.journal().of("door");
        let good = |line: &String| line.starts_with("listening 127.0.0.1:") && !line.ends_with(":0");
        assert!(lines.iter().all(good), "{lines:?}");
        lines.sort();
        lines.dedup();
        assert_eq!(lines.len(), 3);
    });
}

#[test]
fn address_in_use_gives_up_after_two_seconds() {
    calm(|world| {
        let address = world.address();
        open(world, address);
        open(world, address);
        let first = format!("listening {address}");
        world.sim().run_for(Duration::from_millis(1990));
        assert_eq!(world.journal().of("door"), [first.as_str()], "it still tries");
        world.sim().run_for(Duration::from_millis(60));
        let told = world.journal().of("door");
        assert!(told.len() == 2 && told[1].starts_with("failed AddrInUse: "), "{told:?}");
    });
}

#[test]
fn address_in_use_recovers_before() {
    calm(|world| {
        let address = world.address();
        let listener = open(world, address);
        open(world, address);
        world.sim().run_for(Duration::from_secs(1));
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.sim().run_for(Duration::from_millis(100));
        let listening = format!("listening {address}");
        assert_eq!(world.journal().of("door"), [listening.as_str(), "closed", &listening]);
        let client = world.connect();
        world.send(client, b"hello");
        world.quiet();
        assert_eq!(world.received(client), b"hello");
        world.told("s1", &["made", "data hello"]);
    });
}

#[test]
fn address_in_use_recovers_or_gives_up() {
    on_sockets(|world| {
        // A loopback address of its own: a port that it gives up for a moment is not taken by another test.
        let listener = TcpListener::bind("127.0.0.77:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        open(world, address);
        world.quiet();
        assert!(world.journal().of("door").is_empty());
        drop(listener);
        let listening = format!("listening {address}");
        world.until("an address", |world| world.journal().of("door") == [listening.as_str()]);
        // Now it is the loop's own.
        let begun = Instant::now();
        open(world, address);
        world.until("failure", |world| world.journal().of("door").len() == 2);
        assert!(world.journal().of("door")[1].starts_with("failed AddrInUse: "));
        let tried = begun.elapsed();
        assert!(tried >= Duration::from_secs(2), "{tried:?}");
    });
}

#[test]
fn a_listener_closed_while_it_tries_says_no_more() {
    calm(|world| {
        let address = world.address();
        open(world, address);
        let listener = open(world, address);
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.sim().run_for(LONG);
        assert_eq!(world.journal().of("door"), [format!("listening {address}").as_str(), "closed"]);
    });
}

#[test]
fn a_provided_listener_is_used() {
    on_sockets(|world| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let early = world.connect_to(address);
        world.send(early, b"hello");
        world.loopback().sockets().provide(listener);
        open(world, address);
        world.quiet();
        assert_eq!(world.journal().of("door"), [format!("listening {address}")]);
        world.told("s1", &["made", "data hello"]);
    });
}

#[test]
fn server_close_keeps_connections() {
    everywhere(|world| {
        let address = world.address();
        let listener = open(world, address);
        let old = world.connect();
        world.quiet();
        world.enter(|event_loop, journal| {
            event_loop.close_listener(listener);
            assert_eq!(event_loop.connections_of(listener), [journal.id("s1")]);
        });
        world.quiet();
        let new = world.connect();
        world.send(old, b"hello");
        world.quiet();
        assert_eq!((world.received(old), world.ending(old)), (b"hello".as_slice(), None));
        assert_eq!(world.ending(new), Some(Ending::Refused));
        world.half_close(old);
        world.quiet();
        world.enter(|event_loop, _| assert!(event_loop.connections_of(listener).is_empty()));
    });
}

#[test]
fn the_successor_of_a_closed_listener_gets_its_own_connections_only() {
    everywhere(|world| {
        world.serve(listen_only);
        let [first, second] = [(); 2].map(|()| world.another_address());
        let listener = open(world, first);
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        let successor = open(world, second);
        world.connect_to(second);
        world.quiet();
        world.enter(|event_loop, journal| {
            assert_eq!(event_loop.connections_of(successor), [journal.id("s1")]);
        });
    });
}

#[test]
fn a_listener_made_where_another_was_closed_has_its_own_factory() {
    everywhere(|world| {
        let [one, other] = [(); 2].map(|()| world.another_address());
        let factory = |name: &'static str| move |_: &mut Journal| Recorder::new(name, listen_only);
        let first = world.listen(one, ServerSecurity::Plain, factory("first"));
        world.enter(|event_loop, _| event_loop.close_listener(first));
        world.listen(other, ServerSecurity::Plain, factory("second"));
        world.connect_to(other);
        world.quiet();
        world.told("first", &[]);
        world.told("second", &["made"]);
    });
}

#[test]
fn accepts_at_most_backlog_per_event_rest_next_iteration() {
    calmly(|world| {
        world.serve(|_, transport, journal| {
            journal.note("accepts", format!("{:?}", transport.event_loop().now()));
        });
        for _ in 0..150 {
            world.connect();
        }
        world.quiet();
        let accepts = world.journal().of("accepts");
        let per_turn: Vec<usize> = accepts.chunk_by(|one, other| one == other).map(<[String]>::len).collect();
        assert_eq!(per_turn, [64, 64, 22]);
    });
}

#[test]
fn new_arrivals_do_not_raise_what_is_accepted_in_a_turn() {
    on_sockets(|world| {
        world.serve(listen_only);
        let (mut before, mut arrived) = (0, 0);
        for arrivals in [200, 1, 1, 1] {
            for _ in 0..arrivals {
                world.connect();
            }
            arrived += arrivals;
            world.loopback().turn(LONG);
            let accepted = world.journal().all().len();
            assert!(accepted - before <= 64, "{} in one turn", accepted - before);
            before = accepted;
        }
        assert_eq!(before, arrived);
    });
}

#[test]
fn emfile_pauses_listener_and_recovers() {
    simulated(|world| {
        world.serve(echo);
        let old = world.connect();
        world.quiet();
        let host = world.host();
        world.sim().out_of_descriptors(host);
        let waiting: Vec<_> = (0..3).map(|_| world.connect()).collect();
        for client in &waiting {
            world.send(*client, b"hello");
        }
        world.send(old, b"hello");
        world.sim().run_for(LONG);
        assert_eq!(world.received(old), b"hello", "the others are served");
        assert!(waiting.iter().all(|client| world.received(*client).is_empty() && world.ending(*client).is_none()));
        world.half_close(old);
        world.sim().run_for(LONG);
        let served = waiting.iter().filter(|client| world.received(**client) == b"hello").count();
        assert_eq!(served, 1, "one descriptor has become free");
        world.sim().descriptors_again(host);
        world.sim().run_for(LONG);
        assert!(waiting.iter().all(|client| world.received(*client) == b"hello"));
    });
}

#[test]
fn emfile_pauses_listener_reports_once_and_recovers() {
    simulated(|world| {
        world.serve(echo);
        let host = world.host();
        let line = format!(
            "WARN accepting on {} pauses for 100ms at a time: Too many open files (os error 24)",
            world.address()
        );
        let mut waiting = Vec::new();
        // How long it lasts, and how often that is said.
        for (seconds, lines) in [(1, 1), (3, 0), (7, 2)] {
            world.sim().out_of_descriptors(host);
            let said = logged(|| {
                for _ in 0..3 {
                    let client = world.connect();
                    world.send(client, b"hello");
                    waiting.push(client);
                }
                world.sim().run_for(Duration::from_secs(seconds));
            });
            assert_eq!(said, vec![line.clone(); lines], "after {seconds} s");
            assert!(world.received(waiting[waiting.len() - 1]).is_empty());
            world.sim().descriptors_again(host);
            assert!(logged(|| world.sim().run_for(Duration::from_millis(500))).is_empty());
            assert!(waiting.iter().all(|client| world.received(*client) == b"hello"), "{}", world.trace());
        }
    });
}

/// Runs itself again in a process with few descriptors.
#[cfg(unix)]
#[test]
fn emfile_pauses_listener_and_recovers_on_a_real_system() {
    const ALONE: &str = "PROXY_HERD_TEST_WITH_FEW_DESCRIPTORS";
    const NAME: &str = "server_connect::emfile_pauses_listener_and_recovers_on_a_real_system";
    if std::env::var_os(ALONE).is_none() {
        let _alone = alone();
        let test = std::env::current_exe().expect("a test has a file");
        let run = format!("ulimit -n 48 && exec '{}' --exact {NAME}", test.display());
        let output = Command::new("sh").args(["-c", &run]).env(ALONE, "1").output().expect("there is a shell");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    on_sockets(|world| {
        world.serve(echo);
        let old = world.connect();
        world.quiet();
        let mut files = Vec::new();
        let full = loop {
            match File::open("/dev/null") {
                Ok(file) => files.push(file),
                Err(error) => break error,
            }
        };
        assert_ne!(full.kind(), ErrorKind::NotFound);
        // One for the newcomer's own end, none for ours.
        files.pop();
        let new = world.connect();
        world.send(new, b"hello");
        let said = logged(|| world.quiet());
        assert!(said.len() == 1 && said[0].starts_with("WARN accepting on 127.0.0.1:"), "{said:?}");
        world.told("s2", &[]);
        world.send(old, b"still there?");
        world.quiet();
        world.told("s1", &["made", "data still there?"]);
        files.clear();
        world.until("a descriptor", |world| !world.received(new).is_empty());
        world.told("s2", &["made", "data hello"]);
    });
}

#[test]
fn close_between_accept_and_made_closes_the_socket() {
    simulated(|world| {
        let listener = world.serve(listen_only);
        let client = world.connect();
        world.until("a knock", |world| world.trace().contains("connects"));
        world.enter(|event_loop, _| event_loop.close_listener(listener));
        world.quiet();
        assert_eq!(world.ending(client), Some(Ending::Refused));
        world.told("s1", &[]);
    });
}

/// Notes who else is left when it is lost.
struct Leaver(ListenerId);

impl Protocol<Journal> for Leaver {
    fn data_received(&mut self, _: &mut Transport<'_, Journal>, _: &mut Journal, _: &[u8]) {}

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, lost: Lost) {
        let left: Vec<ConnId> = event_loop.connections_of(self.0);
        assert!(!left.contains(&lost.id), "it is over");
        journal.note("left", left.len().to_string());
    }
}

#[test]
fn connections_that_are_over_are_nobodys() {
    calmly(|world| {
        let name = Rc::new(Cell::new(None));
        let known = Rc::clone(&name);
        let protocol = move |_: &str| Leaver(known.get().expect("it is known before anybody comes"));
        name.set(Some(world.serve_with(ServerSecurity::Plain, protocol)));
        let clients = [(); 2].map(|()| world.connect());
        world.quiet();
        for client in clients {
            world.half_close(client);
            world.quiet();
        }
        assert_eq!(world.journal().of("left"), ["1", "0"]);
    });
}
