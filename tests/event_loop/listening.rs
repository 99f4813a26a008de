//! Promises about listening: ports, addresses in use, many at the door, want of descriptors, the end of a listener.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::sim::{Ending, HostId, Sim};
use proxy_herd::event_loop::{Address, ListenerId, Loop, Protocol, ProtocolFactory, ServerSecurity};

use crate::recorder::{Journal, Recorder, echo, listen_only};
use crate::stage::{LONG, address, calm, in_every_weather, serve, told};

/// Notes what becomes of a listener.
struct Door;

impl ProtocolFactory<Journal> for Door {
    fn protocol(&mut self, journal: &mut Journal) -> Box<dyn Protocol<Journal>> {
        Box::new(Recorder::new(&journal.next_name(), echo))
    }

    fn listening(&mut self, event_loop: &mut Loop<'_, Journal>, journal: &mut Journal, address: &Address) {
        journal.note("door", format!("listening {address}"));
        journal.note("when", format!("{:?}", event_loop.now()));
    }

    fn failed(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, error: io::Error) {
        journal.note("door", format!("failed {:?}", error.kind()));
    }
}

fn open(sim: &mut Sim<Journal>, host: HostId, address: SocketAddr) -> ListenerId {
    sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, Door))
}

#[test]
fn port_zero_gets_a_free_port_each_time() {
    let mut sim = calm();
    let host = sim.add_host("host", Journal::default());
    for _ in 0..3 {
        open(&mut sim, host, ([127, 0, 0, 1], 0).into());
    }
    let mut lines = sim.state(host).of("door");
    assert!(lines.iter().all(|line| line.starts_with("listening 127.0.0.1:") && !line.ends_with(":0")), "{lines:?}");
    lines.dedup();
    assert_eq!(lines.len(), 3);
}

#[test]
fn address_in_use_gives_up_after_two_seconds() {
    let mut sim = calm();
    let (first, second) = (sim.add_host("first", Journal::default()), sim.add_host("second", Journal::default()));
    open(&mut sim, first, address());
    open(&mut sim, second, address());
    sim.run_for(Duration::from_millis(1990));
    assert!(sim.state(second).of("door").is_empty(), "it still tries");
    sim.run_for(Duration::from_millis(60));
    assert_eq!(sim.state(second).of("door"), ["failed AddrInUse"]);
}

#[test]
fn address_in_use_recovers_before() {
    let mut sim = calm();
    let (first, second) = (sim.add_host("first", Journal::default()), sim.add_host("second", Journal::default()));
    let listener = open(&mut sim, first, address());
    open(&mut sim, second, address());
    sim.run_for(Duration::from_secs(1));
    sim.enter(first, |event_loop, _| event_loop.close_listener(listener));
    sim.run_for(Duration::from_millis(100));
    assert_eq!(sim.state(second).of("door"), [format!("listening {}", address())]);
    let client = sim.connect(address());
    sim.send(client, b"hello");
    sim.run_for(LONG);
    assert_eq!(sim.received(client), b"hello");
    assert_eq!(sim.state(second).of("s1"), ["made", "data hello"]);
}

#[test]
fn a_listener_closed_while_it_tries_says_no_more() {
    let mut sim = calm();
    let (first, second) = (sim.add_host("first", Journal::default()), sim.add_host("second", Journal::default()));
    open(&mut sim, first, address());
    let listener = open(&mut sim, second, address());
    sim.enter(second, |event_loop, _| event_loop.close_listener(listener));
    sim.run_for(LONG);
    assert!(sim.state(second).of("door").is_empty());
}

#[test]
fn server_close_keeps_connections_and_refuses_new_ones() {
    in_every_weather(|mut sim| {
        let host = sim.add_host("host", Journal::default());
        let listener = open(&mut sim, host, address());
        let old = sim.connect(address());
        sim.run_for(LONG);
        sim.enter(host, |event_loop, journal| {
            event_loop.close_listener(listener);
            assert_eq!(event_loop.connections_of(listener), [journal.id("s1")]);
        });
        let new = sim.connect(address());
        sim.send(old, b"hello");
        sim.run_for(LONG);
        assert_eq!((sim.received(old), sim.ending(old)), (b"hello".as_slice(), None));
        assert_eq!(sim.ending(new), Some(Ending::Refused));
        sim.half_close(old);
        sim.run_for(LONG);
        sim.enter(host, |event_loop, _| assert!(event_loop.connections_of(listener).is_empty()));
    });
}

#[test]
fn the_successor_of_a_closed_listener_gets_its_own_connections_only() {
    let mut sim = calm();
    let host = serve(&mut sim, listen_only);
    let successor = sim.enter(host, |event_loop, _| {
        let listener = event_loop.listen(([127, 0, 0, 1], 1), ServerSecurity::Plain, Door);
        event_loop.close_listener(listener);
        event_loop.listen(([127, 0, 0, 1], 2), ServerSecurity::Plain, Door)
    });
    assert_eq!(sim.state(host).of("door"), ["listening 127.0.0.1:2"]);
    sim.connect(([127, 0, 0, 1], 2));
    sim.run_for(LONG);
    sim.enter(host, |event_loop, journal| {
        assert_eq!(event_loop.connections_of(successor), [journal.id("s1")]);
    });
}

#[test]
fn accepts_at_most_64_per_turn_and_the_rest_next_iteration() {
    let mut sim = calm();
    let host = serve(&mut sim, |_, transport, journal| {
        journal.note("accepts", format!("{:?}", transport.event_loop().now()));
    });
    for _ in 0..150 {
        sim.connect(address());
    }
    sim.run_for(LONG);
    let accepts = sim.state(host).of("accepts");
    let per_turn: Vec<usize> = accepts.chunk_by(|one, other| one == other).map(<[String]>::len).collect();
    assert_eq!(per_turn, [64, 64, 22]);
}

#[test]
fn emfile_pauses_listener_and_recovers() {
    in_every_weather(|mut sim| {
        let host = serve(&mut sim, echo);
        let old = sim.connect(address());
        sim.run_for(LONG);
        sim.out_of_descriptors(host);
        let waiting: Vec<_> = (0..3).map(|_| sim.connect(address())).collect();
        for client in &waiting {
            sim.send(*client, b"hello");
        }
        sim.send(old, b"hello");
        sim.run_for(LONG);
        assert_eq!(sim.received(old), b"hello", "the others are served");
        assert!(waiting.iter().all(|client| sim.received(*client).is_empty() && sim.ending(*client).is_none()));
        sim.half_close(old);
        sim.run_for(LONG);
        let served = waiting.iter().filter(|client| sim.received(**client) == b"hello").count();
        assert_eq!(served, 1, "one descriptor has become free");
        sim.descriptors_again(host);
        sim.run_for(LONG);
        assert!(waiting.iter().all(|client| sim.received(*client) == b"hello"));
    });
}

#[test]
fn close_between_accept_and_made_closes_the_socket() {
    in_every_weather(|mut sim| {
        let host = sim.add_host("host", Journal::default());
        let listener = open(&mut sim, host, address());
        let client = sim.connect(address());
        assert!(sim.run_until(LONG, |sim| sim.trace().as_str().contains("connects")));
        sim.enter(host, |event_loop, _| event_loop.close_listener(listener));
        sim.run_for(LONG);
        assert_eq!(sim.ending(client), Some(Ending::Refused));
        told(&sim, host, "s1", &[]);
    });
}
