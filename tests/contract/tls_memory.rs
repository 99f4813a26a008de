//! What an idle TLS connection costs the loop, counted by the byte, without a driver.
//!
//! The clients stand on the same thread; what they allocate is not counted, and freed where it is not counted either.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use proxy_herd::event_loop::{ConnId, Endpoints, EventLoop, Protocol, Request, Security, Transport};
use rustls::ClientConnection;

use crate::certificates::Authority;
use crate::tls::NAME;

#[test]
fn memory_per_idle_tls_connection_below_24_kib() {
    let authority = Authority::new();
    for client in [authority.client(NAME), authority.client_of_tls12(NAME)] {
        let Security::Tls(config, name) = client else { unreachable!("it is TLS") };
        let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 443));
        let door =
            event_loop.enter(|event_loop, _| event_loop.listen(address, authority.server(NAME), |_: &mut usize| Echo));
        let Some(Request::Listen { .. }) = event_loop.poll_request() else { panic!("it wants to listen") };
        event_loop.listening(door, address);
        let new = || ClientConnection::new(Arc::clone(&config), name.clone()).expect("a good configuration");
        let mut clients: Vec<ClientConnection> = (0..COUNT).map(|_| new()).collect();
        let mut wire = Vec::with_capacity(64 * 1024);
        let grown = allocation_counter::measure(|| {
            for client in &mut clients {
                let endpoints = Endpoints::new(address, address);
                let id = event_loop.accepted(door, endpoints).expect("it is wanted");
                converse(&mut event_loop, id, client, &mut wire);
            }
        });
        assert_eq!(*event_loop.state(), COUNT * WORDS.len(), "everybody was heard");
        let each = grown.bytes_current / COUNT as i64;
        assert!((1_000..=24 * 1024).contains(&each), "{each} bytes");
    }
}

/// A handshake, a word, its echo.
fn converse(event_loop: &mut EventLoop<usize>, id: ConnId, client: &mut ClientConnection, wire: &mut Vec<u8>) {
    let mut heard = 0;
    let mut has_spoken = false;
    while heard < WORDS.len() {
        allocation_counter::opt_out(|| {
            if !has_spoken && !client.is_handshaking() {
                client.writer().write_all(WORDS).expect("it is buffered");
                has_spoken = true;
            }
            while client.wants_write() {
                client.write_tls(wire).expect("a Vec takes everything");
            }
        });
        event_loop.received(id, wire);
        wire.clear();
        let mut answer = event_loop.pending(id);
        let count = answer.len();
        allocation_counter::opt_out(|| {
            while !answer.is_empty() {
                client.read_tls(&mut answer).expect("a slice can be read");
                client.process_new_packets().expect("the server speaks TLS");
                // `WouldBlock` if there is nothing.
                heard += client.reader().read(&mut [0; WORDS.len()]).unwrap_or(0);
            }
        });
        event_loop.sent(id, count);
        event_loop.end_turn();
    }
}

/// Counts what it hears, and says it.
struct Echo;

impl Protocol<usize> for Echo {
    fn data_received(&mut self, transport: &mut Transport<'_, usize>, heard: &mut usize, data: &[u8]) {
        *heard += data.len();
        transport.write(data);
    }
}

/// One more than a table of connections holds when it has just doubled.
const COUNT: usize = 129;

const WORDS: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";
