//! Promises that nobody gets what is another's: data, protocols, reasons, names of connections that are over.

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use proxy_herd::driver::sim::{ClientId, Sim};
use proxy_herd::event_loop::{ConnId, ListenerId, Loop, Lost, Protocol, Security, ServerSecurity, Transport};
use rustls::ClientConnection;

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::stage::{LONG, address, bytes, calm, dial, serve_with, told};

const NAME: &str = "goloman.example";

/// What opens like a record of encrypted data and is none.
const FORGED: [u8; 37] = {
    let mut record = [0; 37];
    [record[0], record[1], record[2], record[4]] = [23, 3, 3, 32];
    record
};

/// A client of the test's own, so that it can say what no TLS stack would.
struct Forger {
    tls: ClientConnection,
    client: ClientId,
}

impl Forger {
    /// Connects and finishes the handshake.
    fn connect(sim: &mut Sim<Journal>, authority: &Authority) -> Self {
        let Security::Tls(config, name) = authority.client(NAME) else { unreachable!("it is TLS") };
        let tls = ClientConnection::new(config, name).expect("a good configuration");
        let mut forger = Self { tls, client: sim.connect(address()) };
        while forger.tls.is_handshaking() {
            let records = forger.records();
            sim.send(forger.client, &records);
            sim.run_for(LONG);
            let answer = sim.take_received(forger.client);
            let mut answer = answer.as_slice();
            while !answer.is_empty() {
                forger.tls.read_tls(&mut answer).expect("a slice can be read");
                forger.tls.process_new_packets().expect("the server speaks TLS");
            }
        }
        let records = forger.records();
        sim.send(forger.client, &records);
        sim.run_for(LONG);
        forger
    }

    fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).expect("a Vec takes everything");
        }
        records
    }

    /// Sends each of `data` in a record of its own and then `more` as it is, all in one piece.
    fn send(&mut self, sim: &mut Sim<Journal>, data: &[&[u8]], more: &[u8]) {
        let mut records = Vec::new();
        for part in data {
            self.tls.writer().write_all(part).expect("it is buffered");
            records.extend(self.records());
        }
        records.extend_from_slice(more);
        sim.send(self.client, &records);
        sim.run_for(LONG);
    }
}

#[test]
fn data_before_a_forged_record_is_its_senders_alone() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, listen_only));
    // rustls takes 4096 bytes at a time: the forged record comes with the end of the second.
    Forger::connect(&mut sim, &authority).send(&mut sim, &[b"IAMAT evil\n", &[0; 5000]], &FORGED);
    let other = sim.add_host("Client", Journal::default());
    let say_hello = |on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal| {
        if on == On::Made {
            transport.write(b"hello");
        }
    };
    dial(&mut sim, other, authority.client(NAME), Recorder::new("c", say_hello));
    sim.run_for(LONG);
    told(&sim, host, "s2", &["made", "data hello"]);
    told(&sim, host, "s1", &["made", "data 5011 bytes", "lost InvalidData"]);
}

#[test]
fn an_answer_to_what_came_before_a_forged_record_does_not_swallow_the_alert() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, echo));
    let mut forger = Forger::connect(&mut sim, &authority);
    sim.take_received(forger.client);
    forger.send(&mut sim, &[b"x"], &FORGED);
    assert!(!sim.received(forger.client).is_empty(), "the client is told");
    told(&sim, host, "s1", &["made", "data x", "lost InvalidData"]);
}

#[test]
fn the_reason_for_closing_is_told_though_the_peer_takes_nothing() {
    let mut sim = calm();
    let authority = Authority::new();
    let host = serve_with(&mut sim, authority.server(NAME), |name| {
        Recorder::new(name, |on, transport, _| {
            if let On::Data(_) = on {
                transport.write(&bytes(1_000_000));
            }
        })
    });
    let mut forger = Forger::connect(&mut sim, &authority);
    sim.stop_reading(forger.client);
    forger.send(&mut sim, &[b"x"], &[]);
    forger.send(&mut sim, &[], &FORGED);
    told(&sim, host, "s1", &["made", "data x", "paused"]);
    sim.run_for(LONG);
    told(&sim, host, "s1", &["made", "data x", "paused", "lost InvalidData"]);
}

#[test]
fn a_listener_made_where_another_was_closed_has_its_own_factory() {
    let mut sim = calm();
    let host = sim.add_host("Server", Journal::default());
    let listen = |event_loop: &mut Loop<'_, Journal>, port: u16, name: &'static str| {
        let factory = move |_: &mut Journal| Recorder::new(name, listen_only);
        event_loop.listen(([127, 0, 0, 1], port), ServerSecurity::Plain, factory)
    };
    sim.enter(host, |event_loop, _| {
        let first = listen(event_loop, 1, "first");
        event_loop.close_listener(first);
        listen(event_loop, 2, "second");
    });
    sim.connect(([127, 0, 0, 1], 2));
    sim.run_for(LONG);
    told(&sim, host, "first", &[]);
    told(&sim, host, "second", &["made"]);
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
    let mut sim = calm();
    let host = sim.add_host("Server", Journal::default());
    sim.enter(host, |event_loop, _| {
        let name = Rc::new(Cell::new(None));
        let known = Rc::clone(&name);
        let factory = move |_: &mut Journal| Leaver(known.get().expect("it is known before anybody comes"));
        name.set(Some(event_loop.listen(address(), ServerSecurity::Plain, factory)));
    });
    for client in [(); 2].map(|()| sim.connect(address())) {
        sim.run_for(LONG);
        sim.half_close(client);
        sim.run_for(LONG);
    }
    assert_eq!(sim.state(host).of("left"), ["1", "0"]);
}

#[test]
fn a_pause_that_nothing_will_end_is_not_told() {
    let mut sim = calm();
    let authority = Authority::new();
    serve_with(&mut sim, authority.server(NAME), |name| Recorder::new(name, listen_only));
    let host = sim.add_host("Client", Journal::default());
    // In TLS 1.2 the server has the last word of the handshake: the client's part was sent before.
    let id = dial(&mut sim, host, authority.client_of_tls12(NAME), Recorder::new("c", listen_only));
    sim.enter(host, |event_loop, _| {
        event_loop.transport(id).expect("it is being made").set_write_buffer_limits(0, 0);
    });
    sim.run_for(LONG);
    told(&sim, host, "c", &["made"]);
}
