//! Five servers in this process, each with its own loop on its own thread, and what is seen of them.
//!
//! A server's thread looks after each of its turns whether the next report that is watched has come, and notes the time: what
//! was taken in during a turn counts from its end. That is a look-up for each server with clients, beside the system calls
//! of the turn; it is among the processor time that is measured.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::JoinHandle;
use std::time::{Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Remote};
use proxy_herd::herd::digest::Digest;
use proxy_herd::herd::directory::Directory;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{LinkStatus, Provider, Servers, Style};

use super::Shape;
use super::common::loopback::{address, bind};
use super::common::pairs::Thread;
use super::reports::Reports;

/// The herd, at work until it is ended.
pub(super) struct Herd {
    servers: Vec<Server>,
}

/// Of the reports to one server, every how many-th is watched, the first of which that is.
#[derive(Clone, Copy)]
pub(super) struct Watched {
    pub(super) reports: Reports,
    pub(super) every: u64,
}

/// What is known of a server at some time.
pub(super) struct Status {
    pub(super) name: ServerName,
    pub(super) digest: Digest,
    pub(super) links: Vec<LinkStatus>,
}

impl Herd {
    /// Starts the servers, and waits until all their links are in step.
    pub(super) fn start(shape: Shape, style: Style, watched: &[Watched]) -> Self {
        let topology = shape.topology();
        let doors: Vec<[TcpListener; 2]> = topology.servers().iter().map(|_| [bind(), bind()]).collect();
        let mut addresses = doors.iter().map(|[clients, peers]| (address(clients), address(peers)));
        let topology = topology.with_addresses(|_| addresses.next().expect("one for each"));
        let names: Vec<ServerName> = topology.servers().iter().map(|server| server.name.clone()).collect();
        let start = |(name, doors)| Server::start(name, doors, &topology, style, watched);
        let herd = Self { servers: names.into_iter().zip(doors).map(start).collect() };
        let is_ready = |status: Status| status.links.iter().all(|link| link.is_up && link.is_in_step);
        while !herd.statuses().into_iter().all(is_ready) {
            std::thread::sleep(super::PAUSE);
        }
        herd
    }

    /// Where clients find the servers, in the topology's order.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(|server| server.clients).collect()
    }

    /// How many reports that are watched have come to the server that has had the fewest.
    pub(super) fn seen(&self) -> u64 {
        self.servers.iter().map(|server| server.seen.load(Ordering::Acquire)).min().expect("there are five")
    }

    /// Nanoseconds that the servers' threads were on a core, all together; if the system tells.
    pub(super) fn on_core(&self) -> Option<u64> {
        self.servers.iter().map(|server| Some(server.thread.times()?[0])).sum()
    }

    /// What the servers say of themselves.
    pub(super) fn statuses(&self) -> Vec<Status> {
        self.servers.iter().map(Server::status).collect()
    }

    /// Ends all. When which watched report had come: by server, by whom it came to, in their order.
    pub(super) fn end(self) -> Vec<Vec<Vec<Instant>>> {
        self.servers.into_iter().map(Server::end).collect()
    }
}

/// A server on its thread.
struct Server {
    name: ServerName,
    clients: SocketAddr,
    remote: Remote<Servers>,
    thread: Thread,
    seen: Arc<AtomicU64>,
    running: JoinHandle<Vec<Vec<Instant>>>,
}

impl Server {
    fn start(
        name: ServerName,
        doors: [TcpListener; 2],
        topology: &Topology,
        style: Style,
        watched: &[Watched],
    ) -> Self {
        let clients = address(&doors[0]);
        let seen = Arc::new(AtomicU64::new(0));
        let running = Running { name: name.clone(), topology: topology.clone(), style, seen: seen.clone() };
        let watches = watched.iter().copied().map(Watch::new).collect();
        let (tell, told) = mpsc::channel();
        let running = std::thread::spawn(move || running.run(doors, watches, &tell));
        let (remote, thread) = told.recv().expect("it starts");
        Self { name, clients, remote, thread, seen, running }
    }

    fn status(&self) -> Status {
        let (tell, told) = mpsc::channel();
        let name = self.name.clone();
        let asked = self.remote.call_soon_threadsafe(move |_, servers| {
            let digest = servers.node(&name).expect("it runs here").directory().digest();
            let links = servers.links(&name).expect("it runs here");
            tell.send(Status { name, digest, links }).expect("somebody waits");
        });
        asked.expect("it runs");
        told.recv().expect("it runs")
    }

    fn end(self) -> Vec<Vec<Instant>> {
        self.remote.call_soon_threadsafe(|event_loop, _| event_loop.stop()).expect("it runs");
        self.running.join().expect("it does not panic")
    }
}

/// What a server's thread is given.
struct Running {
    name: ServerName,
    topology: Topology,
    style: Style,
    seen: Arc<AtomicU64>,
}

impl Running {
    fn run(
        self,
        doors: [TcpListener; 2],
        mut watches: Vec<Watch>,
        tell: &Sender<(Remote<Servers>, Thread)>,
    ) -> Vec<Vec<Instant>> {
        let provider = Provider::embedded().expect("random numbers");
        let names = std::slice::from_ref(&self.name);
        let servers = Servers::new(&self.topology, names, provider, SEED).with_style(self.style);
        let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
        let mut sockets = Sockets::new().expect("descriptors");
        doors.into_iter().for_each(|listener| sockets.provide(listener));
        event_loop.enter(|event_loop, servers| {
            servers.start(event_loop);
            tell.send((event_loop.remote(), Thread::current())).expect("somebody waits");
        });
        while !event_loop.is_stopped() {
            sockets.turn(&mut event_loop, None).expect("a poll");
            let directory = event_loop.state().node(&self.name).expect("it runs here").directory();
            let news: u64 = watches.iter_mut().map(|watch| watch.look(directory)).sum();
            if news > 0 {
                self.seen.fetch_add(news, Ordering::Release);
            }
        }
        watches.into_iter().map(|watch| watch.seen).collect()
    }
}

/// Looks for the watched reports to one server, one after the other. They come in their order: a server passes on the first of
/// each that it hears, in the order in which it hears them.
struct Watch {
    watched: Watched,
    client: Vec<u8>,
    timestamp: Timestamp,
    seen: Vec<Instant>,
}

impl Watch {
    fn new(watched: Watched) -> Self {
        let mut watch = Self { watched, client: Vec::new(), timestamp: Reports::timestamp(0), seen: Vec::new() };
        watch.aim();
        watch
    }

    /// How many of them have come since it was last asked.
    fn look(&mut self, directory: &Directory) -> u64 {
        let before = self.seen.len();
        let mut now = None;
        while directory.find(&self.client).is_some_and(|report| report.timestamp() >= self.timestamp) {
            self.seen.push(*now.get_or_insert_with(Instant::now));
            self.aim();
        }
        (self.seen.len() - before) as u64
    }

    fn aim(&mut self) {
        let number = self.watched.every * (self.seen.len() as u64 + 1) - 1;
        self.client = self.watched.reports.client(number);
        self.timestamp = Reports::timestamp(number);
    }
}

const SEED: u64 = 7;
