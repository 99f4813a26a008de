//! Promises about peers that mean harm: what costs them little may not cost us much, and every connection has its end.

use std::time::Duration;

use rustls::ContentType;

use crate::certificates::Authority;
use crate::recorder::{Recorder, echo, listen_only};
use crate::tls::NAME;
use crate::tls_records::{Forger, Sealer};
use crate::world::{calm, calmly, everywhere};

#[test]
fn a_hello_in_fragments_is_a_hello() {
    for size in [1, 2, 3, 4, 5, 100] {
        calmly(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| Recorder::new(name, echo));
            let mut forger = Forger::on(world.connect(), authority.client(NAME));
            let hello = forger.records();
            let (header, message) = hello.split_at(HEADER);
            for piece in message.chunks(size) {
                world.send(forger.client, &[&header[..3], &[0, piece.len() as u8], piece].concat());
            }
            world.quiet();
            forger.shake_hands(world);
            forger.send(world, &[b"hello"], &[]);
            world.told("s1", &["made", "data hello"]);
        });
    }
}

#[test]
fn a_hello_without_end_is_refused() {
    everywhere(|world| {
        world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = world.connect();
        // It is going to be 16 MiB - 1 long.
        let record = [&[22, 3, 1, 64, 0, 1, 0xff, 0xff, 0xff], [0; 0x4000 - 4].as_slice()].concat();
        for _ in 0..5 {
            world.send(client, &record);
        }
        world.quiet();
        world.told("s1", &["lost InvalidData"]);
    });
}

#[test]
fn a_close_notify_in_the_handshake_is_no_end_that_is_told() {
    everywhere(|world| {
        world.serve_with(Authority::new().server(NAME), |name| Recorder::new(name, listen_only));
        let client = world.connect();
        world.send(client, &[21, 3, 3, 0, 2, WARNING, 0]);
        world.quiet();
        world.told("s1", &[]);
        world.half_close(client);
        world.quiet();
        world.told("s1", &["lost UnexpectedEof"]);
    });
}

#[test]
fn a_server_that_drips_its_hello_does_not_renew_the_timeout() {
    calm(|world| {
        world.serve(listen_only);
        world.dial(Authority::new().client(NAME), Recorder::new("c", listen_only));
        world.until("it is there", |world| world.journal().times("s1", "made") == 1);
        for byte in [22, 3, 3, 0, 122, 2, 0, 0, 118, 3] {
            world.told("c", &[]);
            world.with("s1", |transport| transport.write(&[byte]));
            world.sim().run_for(Duration::from_secs(1));
        }
        world.sim().run_for(Duration::from_millis(10));
        world.told("c", &["lost TimedOut"]);
    });
}

#[test]
fn a_peer_that_reads_nothing_of_the_handshake_costs_little_and_not_for_long() {
    calm(|world| {
        let authority = Authority::new();
        let door = world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let mut forger = Forger::on(world.connect(), authority.client(NAME));
        world.stop_reading(forger.client);
        let hello = forger.records();
        world.send(forger.client, &hello);
        world.quiet();
        // What is legal here, and means nothing.
        for _ in 0..2 {
            world.send(forger.client, &CHANGE_CIPHER_SPEC);
        }
        world.sim().run_for(Duration::from_secs(9));
        let waiting = world.enter(|event_loop, _| {
            let id = event_loop.connections_of(door)[0];
            event_loop.transport(id).expect("it is being made").write_buffer_size()
        });
        assert!(waiting <= 4096, "{waiting} bytes");
        world.told("s1", &[]);
        world.sim().run_for(Duration::from_secs(1));
        world.told("s1", &["lost TimedOut"]);
    });
}

#[test]
fn records_after_close_notify_mean_nothing() {
    // With it in one piece, and later.
    for pieces in 1..=2 {
        for stays in [false, true] {
            calmly(|world| {
                let authority = Authority::new();
                world.serve_with(authority.server(NAME), move |name| {
                    let recorder = Recorder::new(name, listen_only);
                    if stays { recorder.that_stays() } else { recorder }
                });
                let mut forger = Forger::connect(world, &authority);
                forger.hear_all(world);
                let end = [forger.record(b"x"), forger.close_notify()].concat();
                let more = [forger.record(b"evil"), forger.record(&[7; 10_000])].concat();
                if pieces == 1 {
                    world.send(forger.client, &[end, more].concat());
                } else {
                    world.send(forger.client, &end);
                    world.quiet();
                    world.send(forger.client, &more);
                }
                world.quiet();
                if stays {
                    world.told("s1", &["made", "data x", "eof"]);
                    world.with("s1", |transport| transport.write(b"still here"));
                    world.quiet();
                    assert_eq!(forger.hear_all(world), b"still here");
                    world.with("s1", |transport| transport.close());
                    world.quiet();
                }
                world.told("s1", &["made", "data x", "eof", "lost"]);
            });
        }
    }
}

#[test]
fn a_peer_that_asks_for_new_keys_again_and_again_and_reads_nothing_costs_little() {
    calm(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let mut forger = Forger::connect(world, &authority);
        world.stop_reading(forger.client);
        for _ in 0..10 {
            let mut flood = Vec::new();
            for _ in 0..1_000 {
                flood.extend(forger.key_update());
                // Data between them: otherwise it is told to stop.
                flood.extend(forger.record(b"x"));
            }
            world.send(forger.client, &flood);
            world.quiet();
        }
        assert_eq!(world.journal().count_of("s1"), 10_000);
        let waiting = world.with("s1", |transport| transport.write_buffer_size());
        assert!(waiting <= 1024, "{waiting} bytes");
        // Nothing has got out of step.
        world.go_on_reading(forger.client);
        world.with("s1", |transport| transport.write(b"enough"));
        world.quiet();
        assert_eq!(forger.hear_all(world), b"enough");
    });
}

#[test]
fn floods_of_records_that_say_nothing_end_the_connection() {
    let empty: Word = |sealer| sealer.record(ContentType::ApplicationData, b"");
    let warning: Word = |sealer| sealer.record(ContentType::Alert, &[WARNING, USER_CANCELED]);
    for (word, limit, reason) in [(empty, 32, "TooManyEmptyFragments"), (warning, 4, "TooManyWarningAlertsReceived")] {
        everywhere(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
            let forger = Forger::connect(world, &authority);
            let client = forger.client;
            let mut sealer = forger.into_sealer();
            for _ in 0..limit {
                world.send(client, &word(&mut sealer));
            }
            world.quiet();
            world.told("s1", &["made"]);
            world.send(client, &word(&mut sealer));
            world.quiet();
            world.told("s1", &["made", "lost InvalidData"]);
            assert!(world.journal().of("s1").concat().contains(reason), "{:?}", world.journal().of("s1"));
            assert!(world.ending(client).is_some());
        });
    }
}

#[test]
fn a_flood_of_requests_for_new_keys_ends_the_connection() {
    everywhere(|world| {
        let authority = Authority::new();
        world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
        let mut forger = Forger::connect(world, &authority);
        for _ in 0..32 {
            let request = forger.key_update();
            world.send(forger.client, &request);
        }
        world.quiet();
        world.told("s1", &["made"]);
        let request = forger.key_update();
        world.send(forger.client, &request);
        world.quiet();
        world.told("s1", &["made", "lost InvalidData"]);
    });
}

#[test]
fn floods_in_the_handshake_end_the_connection() {
    for (word, limit) in [(&CHANGE_CIPHER_SPEC[..], 2), (&[21, 3, 3, 0, 2, WARNING, USER_CANCELED], 4)] {
        everywhere(|world| {
            let authority = Authority::new();
            world.serve_with(authority.server(NAME), |name| Recorder::new(name, listen_only));
            let mut forger = Forger::on(world.connect(), authority.client(NAME));
            let hello = forger.records();
            world.send(forger.client, &hello);
            for _ in 0..limit {
                world.send(forger.client, word);
            }
            world.quiet();
            world.told("s1", &[]);
            world.send(forger.client, word);
            world.quiet();
            world.told("s1", &["lost InvalidData"]);
        });
    }
}

/// One more of what may be said.
type Word = fn(&mut Sealer) -> Vec<u8>;

/// Of a record: what it is, the version, its length.
const HEADER: usize = 5;

/// The level of an alert.
const WARNING: u8 = 1;

/// The only alert that TLS 1.3 lets somebody warn with.
const USER_CANCELED: u8 = 90;

/// What TLS 1.3 allows for the sake of old machines on the way.
const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];
