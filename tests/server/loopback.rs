//! The real world: servers on one loop, as `proxy-herd up` runs them, and clients with ordinary sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::EventLoop;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers};

use crate::world::{self, World, name};

pub(crate) struct Loopback {
    pub(crate) topology: Topology,
    pub(crate) event_loop: EventLoop<Servers>,
    pub(crate) sockets: Sockets,
    /// Where a Places of the test's own may listen.
    pub(crate) places: SocketAddr,
    clients: Vec<Client>,
    until: Instant,
}

struct Client {
    stream: TcpStream,
    unsent: Vec<u8>,
    finishing: bool,
    heard: Vec<u8>,
    ended: bool,
}

impl Loopback {
    /// All servers of `topology`, on free ports. Places is what `provider` says of a free address.
    pub(crate) fn new(topology: Topology, provider: impl FnOnce(SocketAddr) -> Provider) -> Self {
        let mut sockets = Sockets::new().expect("a poll");
        let mut free = || {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
            let address = listener.local_addr().expect("it is bound");
            sockets.provide(listener);
            address
        };
        let places = free();
        let topology = topology.with_addresses(|_| (free(), free()));
        let names: Vec<ServerName> = topology.servers().iter().map(|server| server.name.clone()).collect();
        let servers = Servers::new(&topology, &names, provider(places), 7).with_style(world::style(0));
        let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
        event_loop.enter(|event_loop, servers| servers.start(event_loop));
        Self { topology, event_loop, sockets, places, clients: Vec::new(), until: Instant::now() + PATIENCE }
    }

    pub(crate) fn address(&self, server: &str) -> SocketAddr {
        self.topology.find(&name(server)).expect("a server of the topology").clients
    }
}

impl World for Loopback {
    fn connect(&mut self, server: &str) -> usize {
        let stream = TcpStream::connect(self.address(server)).expect("the server listens");
        stream.set_nonblocking(true).expect("a socket");
        self.clients.push(Client { stream, unsent: Vec::new(), finishing: false, heard: Vec::new(), ended: false });
        self.clients.len() - 1
    }

    fn send(&mut self, client: usize, data: &[u8]) {
        self.clients[client].unsent.extend_from_slice(data);
    }

    fn half_close(&mut self, client: usize) {
        self.clients[client].finishing = true;
    }

    fn heard(&mut self, client: usize) -> (&mut Vec<u8>, bool) {
        let client = &mut self.clients[client];
        (&mut client.heard, client.ended)
    }

    fn step(&mut self) -> bool {
        let mut busy = false;
        for client in &mut self.clients {
            busy |= client.step();
        }
        let patience = if busy { Duration::ZERO } else { Duration::from_millis(1) };
        self.sockets.turn(&mut self.event_loop, Some(patience)).expect("the poll works");
        Instant::now() < self.until
    }

    fn servers(&self, _: &str) -> &Servers {
        self.event_loop.state()
    }
}

impl Client {
    /// Writes and reads what is possible; true if that was something.
    fn step(&mut self) -> bool {
        let mut busy = false;
        if !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => {
                    self.unsent.drain(..count);
                    busy = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.unsent.clear(),
            }
        } else if std::mem::take(&mut self.finishing) {
            // The server may have closed before.
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        let mut buffer = [0; 16 * 1024];
        if !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    self.heard.extend_from_slice(&buffer[..count]);
                    busy = true;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.ended = true,
            }
        }
        busy
    }
}

/// How long a test may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);
