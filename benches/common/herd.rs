//! A server of the herd, alone, and clients that tell it where they are.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::time::{Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::EventLoop;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers, Style};

use super::clients::Talk;

/// Clients in an order that no cache foresees, each time a nanosecond later: every IAMAT is fresh.
pub(crate) const TALK: Talk = Talk { line: IAMAT, answer: AT.len(), renew };

/// A server that will listen for clients on `address`.
pub(crate) fn goloman(style: Style, address: SocketAddr) -> EventLoop<Servers> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let topology = Topology::parse(TOPOLOGY).expect("a topology").with_addresses(|_| (address, anywhere));
    let places = Provider::embedded().expect("random numbers");
    let servers = Servers::new(&topology, &[name()], places, SEED).with_style(style);
    let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, servers| servers.start(event_loop));
    event_loop
}

pub(crate) fn clients(servers: &Servers) -> usize {
    servers.clients(&name()).expect("it runs") as usize
}

pub(crate) fn serve(style: Style, listener: TcpListener) {
    let mut event_loop = goloman(style, listener.local_addr().expect("it is bound"));
    let mut sockets = Sockets::new().expect("descriptors");
    sockets.provide(listener);
    let mut had = false;
    while !had || clients(event_loop.state()) > 0 {
        had |= clients(event_loop.state()) > 0;
        sockets.turn(&mut event_loop, None).expect("a poll");
    }
}

fn name() -> ServerName {
    ServerName::parse(b"Goloman").expect("a name")
}

fn renew(line: &mut [u8], number: u64) {
    write_digits(&mut line[CLIENT], number * STRIDE % KNOWN);
    write_digits(&mut line[NANOSECONDS], number);
}

fn write_digits(text: &mut [u8], mut number: u64) {
    for digit in text.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

const IAMAT: &[u8] = b"IAMAT client-0000000 +34.068930-118.445127 1520023934.000000000\n";

/// Since 1520023934, some hundred million seconds have passed.
const AT: &[u8] = b"AT Goloman +275231098.454849487 client-0000000 +34.068930-118.445127 1520023934.000000000\n";

const CLIENT: Range<usize> = 13..20;
const NANOSECONDS: Range<usize> = 54..63;

/// How many clients the server knows.
const KNOWN: u64 = 1_000;

/// Shares no factor with the number of clients, so that each is named once a round, far from the one before.
const STRIDE: u64 = 7_919_111;

const TOPOLOGY: &str = r#"{
    "herd": "alone",
    "servers": { "Goloman": { "clients": "127.0.0.1:1", "peers": "127.0.0.1:2" } },
    "links": [],
    "places": { "provider": "embedded" }
}"#;

const SEED: u64 = 7;
