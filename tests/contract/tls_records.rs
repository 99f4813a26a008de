//! Promises about TLS records that are forged, and that nobody gets what is another's: data, reasons, alerts.

use std::io::{Read, Write};
use std::sync::Arc;

use proxy_herd::event_loop::{Security, Transport};
use rustls::crypto::cipher::{MessageEncrypter, OutboundPlainMessage};
use rustls::{
    ClientConfig, ClientConnection, ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite,
};

use crate::certificates::Authority;
use crate::recorder::{Journal, On, Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::world::{Client, LONG, World, bytes, calm, calmly, everywhere};

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
        Self::connect_as(world, authority.client(NAME))
    }

    /// The same, in another way.
    pub(crate) fn connect_as(world: &mut dyn World, security: Security) -> Self {
        let mut forger = Self::on(world.connect(), security);
        forger.shake_hands(world);
        forger
    }

    /// Has a connection, and has said nothing yet.
    pub(crate) fn on(client: Client, security: Security) -> Self {
        let Security::Tls(config, name) = security else { unreachable!("it is TLS") };
        let mut config = ClientConfig::clone(&config);
        config.enable_secret_extraction = true;
        Self { tls: ClientConnection::new(Arc::new(config), name).expect("a good configuration"), client }
    }

    /// Does what is left of the handshake.
    pub(crate) fn shake_hands(&mut self, world: &mut dyn World) {
        self.shake_hands_but_for_the_last_word(world);
        self.send(world, &[], &[]);
    }

    /// The same, but its last flight is not sent yet.
    pub(crate) fn shake_hands_but_for_the_last_word(&mut self, world: &mut dyn World) {
        while self.tls.is_handshaking() {
            self.send(world, &[], &[]);
            let answer = world.take_received(self.client);
            assert!(!answer.is_empty(), "the server has something to say");
            self.hear(&answer);
        }
    }

    /// Takes records; gives what is in them.
    pub(crate) fn hear(&mut self, mut wire: &[u8]) -> Vec<u8> {
        let mut plaintext = Vec::new();
        while !wire.is_empty() {
            self.tls.read_tls(&mut wire).expect("a slice can be read");
            self.tls.process_new_packets().expect("the server speaks TLS");
            // `WouldBlock` is no end, and `UnexpectedEof` cannot be.
            let _ = self.tls.reader().read_to_end(&mut plaintext);
        }
        plaintext
    }

    /// Takes what has come; gives what is in it.
    pub(crate) fn hear_all(&mut self, world: &mut dyn World) -> Vec<u8> {
        let wire = world.take_received(self.client);
        self.hear(&wire)
    }

    /// What it has to say.
    pub(crate) fn records(&mut self) -> Vec<u8> {
        let mut records = Vec::new();
        while self.tls.wants_write() {
            self.tls.write_tls(&mut records).expect("a Vec takes everything");
        }
        records
    }

    /// `data` in a record of its own.
    pub(crate) fn record(&mut self, data: &[u8]) -> Vec<u8> {
        self.tls.writer().write_all(data).expect("it is buffered");
        self.records()
    }

    /// A request for new keys.
    pub(crate) fn key_update(&mut self) -> Vec<u8> {
        self.tls.refresh_traffic_keys().expect("TLS 1.3, and the handshake is done");
        self.records()
    }

    /// Whether the server has said its end.
    pub(crate) fn has_heard_the_end(&mut self) -> bool {
        self.tls.process_new_packets().expect("the server speaks TLS").peer_has_closed()
    }

    /// Its end.
    pub(crate) fn close_notify(&mut self) -> Vec<u8> {
        self.tls.send_close_notify();
        self.records()
    }

    /// Sends each of `data` in a record of its own and then `more` as it is, all in one piece.
    pub(crate) fn send(&mut self, world: &mut dyn World, data: &[&[u8]], more: &[u8]) {
        let mut records = self.records();
        for part in data {
            records.extend(self.record(part));
        }
        records.extend_from_slice(more);
        world.send(self.client, &records);
        world.quiet();
    }

    /// Leaves the handshake's keys, for records of any kind.
    pub(crate) fn into_sealer(self) -> Sealer {
        let suite = self.tls.negotiated_cipher_suite();
        let Some(SupportedCipherSuite::Tls13(suite)) = suite else { panic!("TLS 1.3 was agreed on, not {suite:?}") };
        let (number, secrets) = self.tls.dangerous_extract_secrets().expect("it is allowed").tx;
        let encrypter = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => suite.aead_alg.encrypter(key, iv),
            _ => panic!("an unknown cipher"),
        };
        Sealer { encrypter, number }
    }
}

/// Makes records of any kind that are good for the server, as rustls itself would not.
pub(crate) struct Sealer {
    encrypter: Box<dyn MessageEncrypter>,
    number: u64,
}

impl Sealer {
    pub(crate) fn record(&mut self, typ: ContentType, payload: &[u8]) -> Vec<u8> {
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_2, payload: payload.into() };
        self.number += 1;
        self.encrypter.encrypt(message, self.number - 1).expect("a short message").encode()
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

/// A peer that was told our end at once, and what it says then.
fn check_after_our_end(say: impl Fn(&mut Forger) -> Vec<u8>, expected: &[&str]) {
    calmly(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| {
            Recorder::new(name, |on, transport, _| {
                if on == On::Made {
                    transport.write_eof();
                }
            })
        });
        let mut forger = Forger::connect(world, &authority);
        forger.hear_all(world);
        let said = say(&mut forger);
        forger.send(world, &[], &said);
        forger.send(world, &[b"x"], &[]);
        world.told("s1", expected);
        assert_eq!(world.take_received(forger.client), b"", "nothing follows our end");
    });
}

#[test]
fn new_keys_are_not_answered_after_our_end() {
    check_after_our_end(Forger::key_update, &["made", "data x"]);
}

#[test]
fn a_forged_record_after_our_end_is_not_answered() {
    // Having said close_notify, rustls panics here if it is built with its assertions.
    check_after_our_end(|_| FORGED.to_vec(), &["made", "lost InvalidData"]);
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

#[test]
fn key_update_answered_without_app_write() {
    everywhere(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let mut forger = Forger::connect(world, &authority);
        forger.hear_all(world);
        for _ in 0..3 {
            let request = forger.key_update();
            forger.send(world, &[], &request);
            let answer = world.take_received(forger.client);
            assert!(!answer.is_empty(), "new keys for new keys, though nothing was written");
            assert_eq!(forger.hear(&answer), b"");
        }
        world.told("s1", &["made"]);
        world.with("s1", |transport| transport.write(b"hello"));
        world.quiet();
        assert_eq!(forger.hear_all(world), b"hello");
    });
}
