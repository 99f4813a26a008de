//! What servers say, counted: how often a report crosses an edge, and how much waits on a link and for a client.
//!
//! A flood sends a report over an edge at most once in each direction, and over a bridge, which is the only way to the
//! other side, once at all. Repair may send it again: once for each lesson that the receiver has asked for. What is encrypted
//! cannot be counted, and where neighbours change, no edge is a bridge for good.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use proxy_herd::driver::sim::{ClientId, HostId, Receiver, Sent};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::limits::PEER_WRITE_CAP;

use crate::plan::Plan;
use crate::topologies::edges;
use crate::violation::{Promise, Violation};

/// Counts for one run. Servers are numbered as in the topology.
pub(crate) struct Traffic {
    hosts: Vec<HostId>,
    /// How often each server was started.
    boots: Vec<u32>,
    names: Vec<String>,
    bridges: HashSet<(usize, usize)>,
    /// The beginning of a line, by connection and sender.
    begun: HashMap<(u64, usize), Vec<u8>>,
    /// By line, sender, its start, and receiver.
    crossings: HashMap<(u64, usize, u32, usize), u32>,
    /// How many lessons the first has asked the second for.
    lessons: HashMap<(usize, usize), u32>,
    lines: BuildHasherDefault<DefaultHasher>,
    is_encrypted: bool,
    /// Who has come by a door for peers.
    guests: Vec<ClientId>,
    pub(crate) violation: Option<Violation>,
}

impl Traffic {
    pub(crate) fn new(plan: &Plan, hosts: &[HostId]) -> Self {
        let topology = plan.topology();
        Self {
            hosts: hosts.to_vec(),
            boots: vec![0; hosts.len()],
            names: topology.servers().iter().map(|server| server.name.to_string()).collect(),
            bridges: if plan.topologies.len() == 1 { bridges(topology) } else { HashSet::new() },
            begun: HashMap::new(),
            crossings: HashMap::new(),
            lessons: HashMap::new(),
            lines: BuildHasherDefault::default(),
            is_encrypted: plan.is_encrypted(),
            guests: Vec::new(),
            violation: None,
        }
    }

    /// Somebody comes who is sent what a neighbour is.
    pub(crate) fn received(&mut self, guest: ClientId) {
        self.guests.push(guest);
    }

    /// A server begins anew: what its predecessor has sent it may send again.
    pub(crate) fn restarted(&mut self, server: usize) {
        self.boots[server] += 1;
    }

    /// Whatever repair had to do is done.
    pub(crate) fn settled(&mut self) {
        self.lessons.clear();
    }

    pub(crate) fn panicked(&mut self, how: String) {
        self.violation.get_or_insert(Violation::new(Promise::NoPanic, how));
    }

    /// A server says something to another, to itself (the built-in Places is its own) or to a client.
    pub(crate) fn saw(&mut self, sent: &Sent<'_>) {
        let place = |host| self.hosts.iter().position(|other| *other == host);
        let Some(from) = place(sent.from) else { return };
        let (to, most) = match sent.to {
            Receiver::Client(client) if !self.guests.contains(&client) => (None, CLIENT_MOST),
            Receiver::Client(_) => (None, PEER_WRITE_CAP),
            Receiver::Host(to) => (place(to), PEER_WRITE_CAP),
        };
        if sent.waiting > most {
            let whom = to.map_or("a client or guest", |to| &self.names[to]);
            let how = format!("{} bytes wait for {whom} at {}", sent.waiting, self.names[from]);
            self.violation.get_or_insert(Violation::new(Promise::BoundedBuffers, how));
        }
        let Some(to) = to.filter(|_| !self.is_encrypted) else { return };
        let mut begun = self.begun.remove(&(sent.connection, from)).unwrap_or_default();
        let mut rest = sent.bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if begun.is_empty() {
                self.line(from, to, &rest[..end]);
            } else {
                begun.extend_from_slice(&rest[..end]);
                self.line(from, to, &begun);
                begun.clear();
            }
            rest = &rest[end + 1..];
        }
        begun.extend_from_slice(rest);
        if !begun.is_empty() {
            self.begun.insert((sent.connection, from), begun);
        }
    }

    fn line(&mut self, from: usize, to: usize, line: &[u8]) {
        if asks_for_a_lesson(line) {
            *self.lessons.entry((from, to)).or_default() += 1;
        }
        if !line.starts_with(b"AT ") {
            return;
        }
        let hash = self.lines.hash_one(line);
        let ways = [(from, to), (to, from)].map(|(one, other)| (hash, one, self.boots[one], other));
        *self.crossings.entry(ways[0]).or_default() += 1;
        let [there, back] = ways.map(|way| self.crossings.get(&way).copied().unwrap_or(0));
        let lessons = |way| self.lessons.get(&way).copied().unwrap_or(0);
        let (taught, learned) = (lessons((to, from)), lessons((from, to)));
        let is_bridge = self.bridges.contains(&(from.min(to), from.max(to)));
        if there > 1 + taught || is_bridge && there + back > 1 + taught + learned {
            let (from, to) = (&self.names[from], &self.names[to]);
            let kind = if is_bridge { "bridge" } else { "edge" };
            let line = line[..line.len().min(100)].escape_ascii();
            let how = format!("{line} crosses the {kind} from {from} to {to} {there} times, and {back} times back");
            self.violation.get_or_insert(Violation::new(Promise::FloodsEnd, how));
        }
    }
}

/// `DIGEST <lesson> <count> <sum>`, numbers being hexadecimal in small letters; other lines begin with a word.
fn asks_for_a_lesson(line: &[u8]) -> bool {
    line.strip_prefix(b"DIGEST ").is_some_and(|rest| rest.first().is_some_and(|byte| !byte.is_ascii_uppercase()))
}

/// The edges without which the herd falls apart.
fn bridges(topology: &Topology) -> HashSet<(usize, usize)> {
    let servers = topology.servers();
    let edges: Vec<(usize, usize)> = edges(topology).collect();
    let is_bridge = |bridge: &&(usize, usize)| {
        let mut reached = vec![false; servers.len()];
        reached[0] = true;
        for _ in 0..servers.len() {
            for (one, other) in edges.iter().filter(|edge| edge != bridge) {
                let any = reached[*one] || reached[*other];
                (reached[*one], reached[*other]) = (any, any);
            }
        }
        reached.contains(&false)
    };
    edges.iter().filter(is_bridge).map(|(one, other)| (*one.min(other), *one.max(other))).collect()
}

/// How many bytes may wait for a client: the usual high-water mark, and over that one answer. The longest are those that hold 20
/// of the built-in places.
const CLIENT_MOST: usize = 64 * 1024 + 16 * 1024;
