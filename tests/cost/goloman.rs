//! A server of the herd, alone, as costs are measured with it: by tests, and by benches.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Instant, SystemTime};

use proxy_herd::event_loop::EventLoop;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers, Style};

/// About to listen for clients on `address`.
pub(crate) fn goloman(style: Style, address: SocketAddr) -> EventLoop<Servers> {
    goloman_with(Provider::embedded().expect("random numbers"), style, address)
}

/// The same, with these places.
pub(crate) fn goloman_with(places: Provider, style: Style, address: SocketAddr) -> EventLoop<Servers> {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let topology = Topology::parse(TOPOLOGY).expect("a topology").with_addresses(|_| (address, anywhere));
    let servers = Servers::new(&topology, &[name()], places, SEED).with_style(style);
    let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, servers| servers.start(event_loop));
    event_loop
}

/// How many clients it has.
pub(crate) fn clients(servers: &Servers) -> usize {
    servers.clients(&name()).expect("it runs") as usize
}

fn name() -> ServerName {
    ServerName::parse(b"Goloman").expect("a name")
}

const TOPOLOGY: &str = r#"{
    "herd": "alone",
    "servers": { "Goloman": { "clients": "127.0.0.1:1", "peers": "127.0.0.1:2" } },
    "links": [],
    "places": { "provider": "embedded" }
}"#;

const SEED: u64 = 7;
