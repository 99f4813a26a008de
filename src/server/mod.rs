//! The bridge: the herd's conversations on the event loop, in either style. [`Servers`] is the loop's state.
//!
//! A process runs one server or several on one loop, so the state holds them all, and each conversation knows whose it is:
//! - `doors`: where a server listens for clients and for neighbours.
//! - `client`: what happens to a client, how many there may be (`clients`), and its replies in order (`replies`).
//! - `contact`: what is said on a neighbour's connection; `neighbours`: what a server does about its neighbours; which
//!   connection is the link of an edge, and when to dial again, `links` knows; what was missed on one, `repairs` sees to.
//!   How pauses grow, `backoff` knows.
//! - `lookups`: questions to Places; who asked what, `inquiries` knows, which connection asks it, `errands`,
//!   and how often Google may be asked, `allowance`.
//! - `standin`: the stand-in for Places, a server like any other. `provider`: who is asked; `trust`: whom we believe over TLS.
//! - `keys`: as whom a server appears on encrypted links, and whom it lets in; `handshake` has the words for what was refused,
//!   `refusals` says when they are said.
//!
//! Those say what happens, and to whom; they read and write no connection of their own. How bytes come and go, and how long
//! that may take, is style: `session` (a client), `peer` (a neighbour) and `lookup` (Places) in the rooms `callbacks` and
//! `streaming`, to be read side by side; `style` hands the connections to those of one. A herd may mix them.
//!
//! What is decided is decided below (`herd`, `wire`, `places`); here it is carried out: the effects of a line become
//! writes, floods and questions. Limits stand in [`limits`].

mod allowance;
mod backoff;
mod callbacks;
mod client;
mod clients;
mod contact;
mod doors;
mod errands;
mod handshake;
mod inquiries;
mod keys;
pub mod limits;
mod links;
mod lookups;
mod neighbours;
mod provider;
mod refusals;
mod repairs;
mod replies;
mod standin;
mod streaming;
mod style;
mod trust;

use std::net::SocketAddr;
use std::time::Duration;

use crate::event_loop::Loop;
use crate::herd::name::ServerName;
use crate::herd::node::{Effects, Node};
use crate::herd::timestamp::Timestamp;
use crate::herd::topology::{self, Topology};

pub use self::keys::{KeyFiles, Keys, Pem, exposure};
pub use self::links::LinkStatus;
pub use self::provider::Provider;
pub use self::standin::Standin;
pub use self::style::Style;
pub use self::trust::{Identity, TrustError};

use self::clients::Clients;
use self::doors::Doors;
use self::limits::{GOODBYE_TIME, KEYS_AHEAD, KEYS_LOOK_EVERY, SWEEP_EVERY};
use self::links::Links;
use self::lookups::Lookups;
use self::refusals::Refusals;
use self::style::Host;

/// The servers of this process and what they share: the state of the loop.
pub struct Servers {
    each: Vec<Server>,
    lookups: Lookups,
    /// What the topology wants.
    protection: Protection,
    style: Style,
    /// By whom connections are served, once they are.
    host: Host,
    /// What the last lines led to; kept for its memory.
    effects: Effects,
    dice: fastrand::Rng,
    stage: Stage,
}

/// One server: what it knows, and who is connected to it.
struct Server {
    name: ServerName,
    herd: String,
    node: Node,
    links: Links,
    limits: topology::Limits,
    doors: Doors,
    /// For its links, if they are encrypted.
    keys: Option<Keys>,
    /// What was said of those who got in by no handshake.
    refusals: Refusals,
    clients: Clients,
    /// How many connections to the address for peers have not said HERD.
    strangers: u32,
}

/// Which of this process's servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct ServerId(usize);

/// How links are protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Protection {
    Plain,
    MutualTls,
}

/// What the process is at.
#[derive(Debug)]
enum Stage {
    Serving,
    /// No more clients; what is outstanding is being answered.
    Draining,
    /// An address could not be had, for this reason.
    Failed(String),
}

impl Servers {
    /// The servers `names` of a topology, all of which it must have. `seed` is for what must not be guessed or must
    /// repeat: the directories' hash, the jitter of dialling.
    pub fn new(topology: &Topology, names: &[ServerName], provider: Provider, seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let server = |name: &ServerName| {
            let place = topology.find(name).expect("the caller takes the names from the topology");
            Server {
                name: name.clone(),
                herd: topology.herd().to_owned(),
                node: Node::new(name.clone(), dice.u64(..)).with_limits(topology.limits()),
                links: Links::new(name.clone(), neighbours_of(topology, name)),
                limits: *topology.limits(),
                doors: Doors::new(place),
                keys: None,
                refusals: Refusals::default(),
                clients: Clients::default(),
                strangers: 0,
            }
        };
        let each = names.iter().map(server).collect();
        Self {
            each,
            lookups: Lookups::new(provider, fastrand::Rng::with_seed(seed)),
            protection: Protection::of(topology),
            style: Style::default(),
            host: Host::Callbacks,
            effects: Effects::new(),
            dice,
            stage: Stage::Serving,
        }
    }

    /// In which style they hold their conversations: [`Style::Callbacks`] unless set, before they start.
    pub fn with_style(self, style: Style) -> Self {
        Self { style, ..self }
    }

    /// With these keys, a server's each: what a topology with `security` needs before they start. Without, links are plain.
    pub fn with_keys(mut self, keys: impl IntoIterator<Item = Keys>) -> Self {
        for keys in keys {
            if let Some(server) = self.each.iter_mut().find(|server| server.name == *keys.name()) {
                server.keys = Some(keys);
            }
        }
        self
    }

    /// Listens, and dials the neighbours. An address that cannot be had stops the loop: see [`failure`](Self::failure).
    pub fn start(&mut self, event_loop: &mut Loop<'_, Self>) {
        let are_plain = self.protection == Protection::Plain;
        if let Some(server) = self.each.iter().find(|server| server.keys.is_none() != are_plain) {
            let why =
                format!("{}: a topology with security.keys needs keys for each server, another none", server.name);
            return self.fail(event_loop, why);
        }
        self.host = Host::new(self.style, event_loop);
        self.lookups.start(event_loop, self.host.clone());
        for (index, server) in self.each.iter_mut().enumerate() {
            log::info!(target: server.name.as_str(), "serves connections by {}", self.style);
            server.doors.open(event_loop, ServerId(index), server.keys.as_ref());
        }
        // Once all listen: neighbours in this process are there at the first try.
        for index in 0..self.each.len() {
            neighbours::dial_all(event_loop, self, ServerId(index));
        }
        if self.each.iter().any(|server| server.limits.client_ttl.is_some()) {
            sweep(event_loop);
        }
        if !are_plain {
            self.look_ahead();
            look_ahead_daily(event_loop);
        }
    }

    /// Takes over who the neighbours are, and where: new ones are dialled, those that are gone are told so, those that have
    /// moved are dialled where they are now. Takes over `keys`, too, for connections from now on; links that stand stay.
    ///
    /// Nothing else of `topology` counts; it must have all servers of this process. One that has `security` where the one before
    /// had none, or the other way round, is not taken: the log says so.
    pub fn set_topology(&mut self, event_loop: &mut Loop<'_, Self>, topology: &Topology, keys: Vec<Keys>) {
        if !matches!(self.stage, Stage::Serving) {
            return;
        }
        if self.protection != Protection::of(topology) {
            let what = if topology.security().is_some() { "has come" } else { "has gone" };
            return log::error!(
                "security {what} in the topology: that needs a restart; the topology and the keys stay as they were"
            );
        }
        for keys in keys {
            let Some(server) = self.each.iter_mut().find(|server| server.name == *keys.name()) else { continue };
            server.doors.set_keys(event_loop, &keys);
            log::info!(target: server.name.as_str(), "has read its keys again: they are for connections from now on");
            // Who was refused with the old ones may be refused for another reason now, or for the same.
            server.refusals = Refusals::default();
            server.keys = Some(keys);
        }
        self.look_ahead();
        for index in 0..self.each.len() {
            let neighbours = neighbours_of(topology, &self.each[index].name);
            neighbours::set(event_loop, self, ServerId(index), neighbours);
        }
    }

    /// Warns of certificates that end soon.
    fn look_ahead(&self) {
        for Server { name, keys, .. } in &self.each {
            if let Some(fault) = keys.as_ref().and_then(Keys::fault_ahead) {
                let days = KEYS_AHEAD.as_secs() / (24 * 3600);
                log::warn!(target: name.as_str(), "in {days} days or sooner, {fault}");
            }
        }
    }

    /// Why the servers could not go on, if they could not.
    pub fn failure(&self) -> Option<&str> {
        match &self.stage {
            Stage::Failed(why) => Some(why),
            Stage::Serving | Stage::Draining => None,
        }
    }

    /// Stops in good order: nobody new comes in, what is outstanding is answered and sent, then the loop is stopped; or
    /// after `drain`, whatever is left.
    pub fn drain(&mut self, event_loop: &mut Loop<'_, Self>) {
        if !matches!(self.stage, Stage::Serving) {
            return;
        }
        self.stage = Stage::Draining;
        let mut patience = Duration::ZERO;
        for server in &mut self.each {
            log::info!(target: server.name.as_str(), "stops; {} clients are connected", server.clients.connected());
            patience = patience.max(server.limits.drain);
            server.doors.close(event_loop);
        }
        event_loop.call_later(patience, |event_loop, _| {
            log::warn!("stops without having answered everybody");
            event_loop.stop();
        });
        self.leave_if_done(event_loop);
    }

    /// Whether the servers were told to stop.
    pub fn is_draining(&self) -> bool {
        matches!(self.stage, Stage::Draining)
    }

    /// Whether every server listens, for clients and for peers.
    pub fn is_listening(&self) -> bool {
        self.each.iter().all(|server| server.doors.are_open())
    }

    /// What a server knows; `None` if this process does not run it.
    pub fn node(&self, name: &ServerName) -> Option<&Node> {
        Some(&self.find(name)?.node)
    }

    /// How many of a server's links are up; `None` if this process does not run it.
    pub fn links_up(&self, name: &ServerName) -> Option<usize> {
        Some(self.find(name)?.links.status().filter(|link| link.is_up).count())
    }

    /// A server's links, in no particular order; `None` if this process does not run it.
    pub fn links(&self, name: &ServerName) -> Option<Vec<LinkStatus>> {
        Some(self.find(name)?.links.status().collect())
    }

    /// How many clients are connected to a server; `None` if this process does not run it.
    pub fn clients(&self, name: &ServerName) -> Option<u32> {
        Some(self.find(name)?.clients.connected())
    }

    /// How many have come to a server's address for peers that have not said HERD; `None` if this process does not run it.
    pub fn strangers(&self, name: &ServerName) -> Option<u32> {
        Some(self.find(name)?.strangers)
    }

    /// The servers cannot go on, for this reason.
    fn fail(&mut self, event_loop: &mut Loop<'_, Self>, why: String) {
        self.stage = Stage::Failed(why);
        event_loop.stop();
    }

    fn find(&self, name: &ServerName) -> Option<&Server> {
        self.each.iter().find(|server| server.name == *name)
    }

    fn server(&mut self, id: ServerId) -> &mut Server {
        &mut self.each[id.0]
    }

    fn name(&self, id: ServerId) -> &str {
        self.each[id.0].name.as_str()
    }

    /// While draining: once the clients have gone, the links may go whose neighbours have learnt what they missed, and then
    /// the loop.
    fn leave_if_done(&mut self, event_loop: &mut Loop<'_, Self>) {
        if !self.is_draining() || self.each.iter().any(|server| server.clients.connected() > 0) {
            return;
        }
        let mut gone = true;
        for server in &mut self.each {
            for (_, connection, exchange) in server.links.up() {
                if let Some(mut transport) = event_loop.transport(connection) {
                    gone = false;
                    if exchange.owes() {
                        continue;
                    }
                    // They go on sending: a plain close would answer with a reset, and what clients were told here,
                    // and the neighbour has not read yet, would be lost with it.
                    transport.close_slowly(GOODBYE_TIME);
                }
            }
        }
        if gone {
            event_loop.stop();
        }
    }
}

/// Gives back the memory of clients that are forgotten, some of it now and the rest later, for ever.
fn sweep(event_loop: &mut Loop<'_, Servers>) {
    event_loop.call_later(SWEEP_EVERY, |event_loop, servers| {
        let now = Timestamp::from(event_loop.wall_clock());
        for server in &mut servers.each {
            server.node.sweep(now);
        }
        sweep(event_loop);
    });
}

fn look_ahead_daily(event_loop: &mut Loop<'_, Servers>) {
    event_loop.call_later(KEYS_LOOK_EVERY, |event_loop, servers| {
        servers.look_ahead();
        look_ahead_daily(event_loop);
    });
}

/// Whom a server has links with, and where they listen for it.
fn neighbours_of(topology: &Topology, name: &ServerName) -> Vec<(ServerName, SocketAddr)> {
    topology.neighbours(name).map(|neighbour| (neighbour.name.clone(), neighbour.peers)).collect()
}

impl Protection {
    fn of(topology: &Topology) -> Self {
        if topology.security().is_some() { Self::MutualTls } else { Self::Plain }
    }
}
