//! Promises about TLS records that are forged, and that nobody gets what is another's: data, reasons, alerts.

use std::io::Write;

use proxy_herd::event_loop::{Security, Transport};
use rustls::ClientConnection;

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{Client, LONG, World, bytes, calm, calmly};

/// What opens like a record of encrypted data and is none.
const FORGED: [u8; 37] = {
    let mut record = [0; 37];
    [record[0], record[1], record[2], record[4]] = [23, 3, 3, 32];
    record
};

/// A client of the test's own, so that it can say what no TLS stack would.
pub(crate) struct Forger {
    tls: ClientConnection,
    pub(crate) client: Client,
}

impl Forger {
    /// Connects and finishes the handshake.
    pub(crate) fn connect(world: &mut dyn World, authority: &Authority) -> Self {
        let Security::Tls(config, name) = authority.client(NAME) else { unreachable!("it is TLS") };
        let tls = ClientConnection::new(config, name).expect("a good configuration");
        let mut forger = Self { tls, client: world.connect() };
        while forger.tls.is_handshaking() {
            let records = forger.records();
            world.send(forger.client, &records);
            world.quiet();
            let answer = world.take_received(forger.client);
            let mut answer = answer.as_slice();
            while !answer.is_empty() {
                forger.tls.read_tls(&mut answer).expect("a slice can be read");
                forger.tls.process_new_packets().expect("the server speaks TLS");
            }
        }
        let records = forger.records();
        world.send(forger.client, &records);
        world.quiet();
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
    pub(crate) fn send(&mut self, world: &mut dyn World, data: &[&[u8]], more: &[u8]) {
        let mut records = Vec::new();
        for part in data {
            self.tls.writer().write_all(part).expect("it is buffered");
            records.extend(self.records());
        }
        records.extend_from_slice(more);
        world.send(self.client, &records);
        world.quiet();
    }
}

#[test]
fn data_before_a_forged_record_is_its_senders_alone() {
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        // rustls takes 4096 bytes at a time: the forged record comes with the end of the second.
        Forger::connect(world, &authority).send(world, &[b"IAMAT evil\n", &[0; 5000]], &FORGED);
        let say_hello = |on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal| {
            if on == On::Made {
                transport.write(b"hello");
            }
        };
        world.dial(authority.client(NAME), Recorder::new("c", say_hello));
        world.quiet();
        world.told("s2", &["made", "data hello"]);
        world.told("s1", &["made", "data 5011 bytes", "lost InvalidData"]);
    });
}

#[test]
fn an_answer_to_what_came_before_a_forged_record_does_not_swallow_the_alert() {
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, echo));
        let mut forger = Forger::connect(world, &authority);
        world.take_received(forger.client);
        forger.send(world, &[b"x"], &FORGED);
        assert!(!world.received(forger.client).is_empty(), "the client is told");
        world.told("s1", &["made", "data x", "lost InvalidData"]);
    });
}

#[test]
fn the_reason_for_closing_is_told_though_the_peer_takes_nothing() {
    calm(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, _| {
                if let On::Data(_) = on {
                    transport.write(&bytes(1_000_000));
                }
            })
        });
        let mut forger = Forger::connect(world, &authority);
        world.stop_reading(forger.client);
        forger.send(world, &[b"x"], &[]);
        forger.send(world, &[], &FORGED);
        world.sim().run_for(LONG);
        world.told("s1", &["made", "data x", "paused"]);
        world.sim().run_for(LONG);
        world.told("s1", &["made", "data x", "paused", "lost InvalidData"]);
    });
}

#[test]
fn a_pause_that_nothing_will_end_is_not_told() {
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        // In TLS 1.2 the server has the last word of the handshake: the client's part was sent before.
        let id = world.dial(authority.client_of_tls12(NAME), Recorder::new("c", listen_only));
        world.enter(|event_loop, _| {
            event_loop.transport(id).expect("it is being made").set_write_buffer_limits(0, 0);
        });
        world.quiet();
        world.told("c", &["made"]);
    });
}
