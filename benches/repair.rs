//! What a repair takes, and what it costs those beside it: `cargo bench --bench repair`.
//!
//! Two servers, each with reports that the other has not, get their link; over loopback, a thread each.
//!
//! - `time`: until both say that they are in step, beside a link of the same loop that only sends and takes in what differs. They
//!   take turns; the ratio is the median of the pairs' ratios.
//! - `latency`: of a client of one of them, IAMAT after IAMAT, meanwhile and in a quiet herd. That server has the first core for
//!   itself; its neighbour and the client share the last one, the client first (`chrt`), as neither would in truth be here.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[allow(dead_code, reason = "each bench uses what it needs")]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Loop, Protocol, Remote, Security, ServerSecurity, Transport};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::node::{Effects, NeighbourId, Node, Origin};
use proxy_herd::herd::repair::Repair;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers};

use self::common::cores::{Core, pin, step_back};
use self::common::figures::{percentiles, spread};
use self::common::loopback::{address, bind};
use self::common::probe::{Latency, Probe};

fn main() {
    println!("{REPORTS} reports on each side, {ROUNDS} rounds; medians, with the least and the most\n");
    let (mut ratios, mut repairs, mut sends) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let sent = send_only();
        let repaired = repair(&mut quiet, &mut busy);
        ratios.push(repaired / sent);
        repairs.push(1e3 * repaired);
        sends.push(1e3 * sent);
    }
    println!("time to send what differs, ms: {}", spread(&mut sends));
    println!("time until in step, ms:        {}", spread(&mut repairs));
    println!("ratio:                         {}", spread(&mut ratios));
    let [[quiet_p50, quiet_p99], [busy_p50, busy_p99]] = [&mut quiet, &mut busy].map(|times| percentiles(times));
    println!("\nIAMAT latency, us (p50, p99): quiet {quiet_p50:.0}, {quiet_p99:.0}");
    println!("during the repair:            {busy_p50:.0}, {busy_p99:.0}");
    println!("ratio of the p99:             {:.2} ({} and {} samples)", busy_p99 / quiet_p99, quiet.len(), busy.len());
}

/// Two servers that do not know each other's address are told their reports, then the address. The time until both are in
/// step, in seconds; the latencies of a client before and after that moment are added to `quiet` and `busy`, in microseconds.
fn repair(quiet: &mut Vec<f64>, busy: &mut Vec<f64>) -> f64 {
    let (told, reports) = mpsc::channel();
    let doors = [[bind(), bind()], [bind(), bind()]];
    let nowhere = [bind(), bind()].map(|listener| address(&listener));
    let [first, second] = [0, 1].map(|place| {
        let mut peers = nowhere;
        peers[place] = address(&doors[place][1]);
        topology([address(&doors[0][0]), address(&doors[1][0])], peers)
    });
    let whole =
        topology([address(&doors[0][0]), address(&doors[1][0])], [address(&doors[0][1]), address(&doors[1][1])]);
    let [door, other] = doors;
    let clients = [address(&door[0]), address(&other[0])];
    let servers = [Host::start("A", &first, door, told.clone()), Host::start("B", &second, other, told)];
    for (place, clients) in clients.into_iter().enumerate() {
        tell(clients, place);
    }
    let probe = Probe::start(clients[0]);
    thread::sleep(QUIET);
    let begun = Instant::now();
    let linked = servers[0]
        .remote
        .call_soon_threadsafe(move |event_loop, servers| servers.set_topology(event_loop, &whole, Vec::new()));
    linked.expect("it runs");
    let ends: Vec<Instant> = reports.iter().take(2).collect();
    let end = ends.into_iter().max().expect("there are two");
    for Latency { due, microseconds } in probe.stop() {
        match due {
            due if due < begun => quiet.push(microseconds),
            due if due < end => busy.push(microseconds),
            _ => {}
        }
    }
    servers.into_iter().for_each(Host::end);
    (end - begun).as_secs_f64()
}

/// A server on a thread of its own.
struct Host {
    remote: Remote<Servers>,
    thread: JoinHandle<()>,
}

impl Host {
    /// Tells once when it knows everything and its link is in step.
    fn start(name: &'static str, topology: &Topology, doors: [TcpListener; 2], told: Sender<Instant>) -> Self {
        let topology = topology.clone();
        let (sender, remote) = mpsc::channel();
        let thread = thread::spawn(move || {
            if name == "A" {
                pin(Core::First);
            } else {
                pin(Core::Last);
                step_back();
            }
            let name = ServerName::parse(name.as_bytes()).expect("a name");
            let provider = Provider::embedded().expect("a certificate");
            let servers = Servers::new(&topology, std::slice::from_ref(&name), provider, 7);
            let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
            let mut sockets = Sockets::new().expect("descriptors");
            for listener in doors {
                sockets.provide(listener);
            }
            event_loop.enter(|event_loop, servers| {
                servers.start(event_loop);
                sender.send(event_loop.remote()).expect("somebody waits");
            });
            let mut told = Some(told);
            while !event_loop.is_stopped() {
                sockets.turn(&mut event_loop, None).expect("a poll");
                let servers = event_loop.state();
                let is_complete = servers.node(&name).is_some_and(|node| node.directory().len() >= 2 * REPORTS);
                if is_complete
                    && told.is_some()
                    && servers.links(&name).is_some_and(|links| links.iter().all(|link| link.is_in_step))
                    && let Some(told) = told.take()
                {
                    told.send(Instant::now()).expect("somebody waits");
                }
            }
        });
        Self { remote: remote.recv().expect("it starts"), thread }
    }

    fn end(self) {
        self.remote.call_soon_threadsafe(|event_loop, _| event_loop.stop()).expect("it runs");
        self.thread.join().expect("it does not panic");
    }
}

/// Tells a server its reports.
fn tell(server: SocketAddr, place: usize) {
    let mut stream = TcpStream::connect(server).expect("it listens");
    let mut answers = BufReader::new(stream.try_clone().expect("descriptors"));
    let reader = thread::spawn(move || {
        let mut line = Vec::new();
        for _ in 0..REPORTS {
            line.clear();
            answers.read_until(b'\n', &mut line).expect("an answer");
        }
    });
    let mut text = Vec::new();
    for number in 0..REPORTS {
        writeln!(text, "IAMAT client-{place}-{number:06} +34.068930-118.445127 1520023934.918963997").expect("a Vec");
    }
    stream.write_all(&text).expect("it reads");
    reader.join().expect("it does not panic");
}

/// Two loops with a connection: each sends the reports that it has, as a repair does, and takes in those of the other. In
/// seconds, until both have all.
fn send_only() -> f64 {
    let listener = bind();
    let address = address(&listener);
    let (told, reports) = mpsc::channel();
    let hosts = [0, 1].map(|place| {
        let listener = (place == 0).then(|| listener.try_clone().expect("descriptors"));
        let told = told.clone();
        thread::spawn(move || {
            pin(if place == 0 { Core::First } else { Core::Last });
            let node = Node::new(ServerName::parse(b"A").expect("a name"), 7);
            let mut event_loop =
                EventLoop::new(Heap { node, effects: Effects::new(), place }, Instant::now(), SystemTime::now());
            let mut sockets = Sockets::new().expect("descriptors");
            let serves = listener.is_some();
            listener.into_iter().for_each(|listener| sockets.provide(listener));
            let text = reports_of(place);
            event_loop.enter(|event_loop, _| {
                if serves {
                    let mut text = Some(text);
                    event_loop.listen(address, ServerSecurity::Plain, move |_: &mut Heap| Bare::new(text.take()));
                } else {
                    event_loop.connect(address, Security::Plain, Bare::new(Some(text)));
                }
            });
            while event_loop.state().node.directory().len() < REPORTS {
                sockets.turn(&mut event_loop, None).expect("a poll");
            }
            told.send(Instant::now()).expect("somebody waits");
            // Until the other has all, too.
            let end = Instant::now() + Duration::from_millis(300);
            while Instant::now() < end {
                sockets.turn(&mut event_loop, Some(Duration::from_millis(10))).expect("a poll");
            }
        })
    });
    drop(listener);
    let begun = Instant::now();
    let end = reports.iter().take(2).max().expect("there are two");
    hosts.into_iter().for_each(|host| host.join().expect("it does not panic"));
    (end - begun).as_secs_f64()
}

/// The AT lines of one side.
fn reports_of(place: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for number in 0..REPORTS {
        let client = format!("client-{place}-{number:06}");
        writeln!(text, "AT A +275231098.454849487 {client} +34.068930-118.445127 1520023934.918963997").expect("a Vec");
    }
    text
}

/// What a bare end knows.
struct Heap {
    node: Node,
    effects: Effects,
    place: usize,
}

/// Sends slice after slice, and takes in what comes.
struct Bare {
    text: Vec<u8>,
    sent: usize,
    partial: Vec<u8>,
}

impl Bare {
    fn new(text: Option<Vec<u8>>) -> Self {
        Self { text: text.expect("one comes"), sent: 0, partial: Vec::new() }
    }

    fn send(&mut self, transport: &mut Transport<'_, Heap>) {
        if transport.is_writing_paused() || self.sent == self.text.len() {
            return;
        }
        let end = self.text.len().min(self.sent + SLICE);
        transport.write(&self.text[self.sent..end]);
        self.sent = end;
        let id = transport.id();
        transport.event_loop().call_soon(move |event_loop: &mut Loop<'_, Heap>, _| event_loop.wake(id));
    }
}

impl Protocol<Heap> for Bare {
    fn connection_made(&mut self, transport: &mut Transport<'_, Heap>, _: &mut Heap) {
        transport.set_write_buffer_limits(256 * 1024, 64 * 1024);
        self.send(transport);
    }

    fn data_received(&mut self, _: &mut Transport<'_, Heap>, heap: &mut Heap, data: &[u8]) {
        self.partial.extend_from_slice(data);
        let whole = self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let now = Timestamp::parse(b"1520023935").expect("a timestamp");
        for line in self.partial[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            heap.effects.clear();
            heap.node.handle(Origin::Neighbour(NeighbourId(heap.place as u16)), line, now, &mut heap.effects);
        }
        self.partial.drain(..whole);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Heap>, _: &mut Heap) {
        self.send(transport);
    }

    fn woken(&mut self, transport: &mut Transport<'_, Heap>, _: &mut Heap) {
        self.send(transport);
    }
}

fn topology(clients: [SocketAddr; 2], peers: [SocketAddr; 2]) -> Topology {
    let text = format!(
        r#"{{ "herd": "bench", "links": [["A", "B"]], "servers": {{
            "A": {{ "clients": "{}", "peers": "{}" }},
            "B": {{ "clients": "{}", "peers": "{}" }} }} }}"#,
        clients[0], peers[0], clients[1], peers[1]
    );
    Topology::parse(text).expect("a topology")
}

/// How many reports each side has that the other has not.
const REPORTS: usize = 100_000;

const ROUNDS: usize = 25;

/// What a repair sends in a turn.
const SLICE: usize = Repair::SLICE;

/// How long it is watched before the repair begins.
const QUIET: Duration = Duration::from_millis(500);
