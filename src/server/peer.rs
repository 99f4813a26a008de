//! A neighbour's connection: HERD from both sides, then reports, and PING when it is silent.
//!
//! - Nothing is accepted before a good HERD: the right version and herd, a neighbour's name, the one that was dialled.
//! - Of two connections to one neighbour `links` says which one stays. The other is *retired*: the neighbour is told ERR
//!   and ends it, and what it had sent before is taken in, so that no report is lost. It has a while for that.
//! - A neighbour that does not keep up (its write buffer is over the mark) is not queued for: reports to it are dropped
//!   until it has caught up. Repair of what it missed belongs here, at link-up and in `resume_writing`.
//! - A lost link is dialled again for ever; that a neighbour is down is said once, not every second.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::limits::{
    GOODBYE_TIME, HELLO_TIME, LINE_TIME, PEER_HIGH_WATER, PEER_LINE, PEER_LOW_WATER, PING_AFTER, RETIRED_TIME,
    SILENCE_TIME, STRANGERS,
};
use super::links::{ChangeKind, Dialled, Joined, Link, Neighbour};
use super::{Server, ServerId, Servers};
use crate::event_loop::{AfterEof, ConnId, Loop, Lost, Protocol, Security, Transport};
use crate::herd::link::{self, Hello, LinkLine};
use crate::herd::name::ServerName;
use crate::herd::node::{Effect, NeighbourId, Origin};
use crate::herd::timestamp::Timestamp;
use crate::wire::escaped::Escaped;
use crate::wire::lines::{Line, LineBuffer};

/// One connection with a neighbour, or with somebody who wants to be one.
pub(super) struct Peer {
    server: ServerId,
    dialled: Dialled,
    phase: Phase,
    lines: LineBuffer,
    /// When something last came.
    heard: Option<Instant>,
    /// When the line that is not complete began.
    begun: Option<Instant>,
    /// Whether PING was asked since something last came.
    pinged: bool,
}

/// How far the conversation is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Phase {
    /// We expect HERD, from this neighbour if we dialled it.
    Hello(Option<NeighbourId>),
    /// It is the link to this neighbour, or was until a better one came.
    Up(NeighbourId),
    /// ERR was said, by them or by us, for this reason; nothing counts any more.
    Over(Option<NeighbourId>, String),
}

/// Connects to a neighbour.
pub(super) fn dial(event_loop: &mut Loop<'_, Servers>, server: &mut Server, id: ServerId, neighbour: NeighbourId) {
    let address = server.links.get(neighbour).address;
    let peer = Peer::new(id, Dialled::ByUs, Phase::Hello(Some(neighbour)));
    server.links.get_mut(neighbour).link = Link::Dialling(event_loop.connect(address, Security::Plain, peer));
}

/// Takes over who a server's neighbours are, and where.
pub(super) fn set_neighbours(
    event_loop: &mut Loop<'_, Servers>,
    server: &mut Server,
    id: ServerId,
    neighbours: impl IntoIterator<Item = (ServerName, SocketAddr)>,
) {
    for change in server.links.set(neighbours) {
        let Neighbour { name: who, address, .. } = server.links.get(change.neighbour);
        let name = server.name.as_str();
        match change.kind {
            ChangeKind::New => log::info!(target: name, "{who} at {address} is a neighbour now"),
            ChangeKind::Moved => log::info!(target: name, "{who} has moved to {address}"),
            ChangeKind::Gone => log::info!(target: name, "{who} is no neighbour any more"),
        }
        if let Some(mut old) = change.old.connection().and_then(|old| event_loop.transport(old)) {
            match (change.old, change.kind) {
                (Link::Up { .. }, ChangeKind::Moved) => retire(&mut old, name, "the topology has another address"),
                (Link::Up { .. }, _) => {
                    say_err(&mut old, name, &format!("{who} is no neighbour of {name} any more"));
                    old.close_slowly(GOODBYE_TIME);
                }
                // Nothing is agreed on yet.
                _ => old.abort(),
            }
        }
        if change.kind != ChangeKind::Gone {
            dial(event_loop, server, id, change.neighbour);
        }
    }
}

/// Says an AT line on every link but one.
pub(super) fn flood(event_loop: &mut Loop<'_, Servers>, server: &mut Server, line: &[u8], except: Option<NeighbourId>) {
    let Server { name, links, .. } = server;
    let name = name.as_str();
    for (neighbour, connection, lagging) in links.up() {
        if Some(neighbour) == except {
            continue;
        }
        let Some(mut transport) = event_loop.transport(connection) else { continue };
        if transport.is_writing_paused() {
            if !std::mem::replace(lagging, true) {
                log::warn!(target: name, "{connection} does not keep up: reports to it are dropped");
            }
            continue;
        }
        say(&mut transport, name, line);
    }
}

impl Peer {
    fn new(server: ServerId, dialled: Dialled, phase: Phase) -> Self {
        let lines = LineBuffer::new(PEER_LINE);
        Self { server, dialled, phase, lines, heard: None, begun: None, pinged: false }
    }

    pub(super) fn accepted(server: ServerId) -> Self {
        Self::new(server, Dialled::ByThem, Phase::Hello(None))
    }

    /// Carries out one line, if it has a place here.
    fn obey(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, line: &[u8]) {
        let name = servers.server(self.server).name.clone();
        let name = name.as_str();
        log::debug!(target: name, "{} < {}", transport.id(), Escaped(line));
        match (&self.phase, LinkLine::parse(line)) {
            (Phase::Over(..), _) => {}
            (phase, LinkLine::Err(why)) => {
                let why = format!("its other end says: {}", Escaped(why));
                self.phase = Phase::Over(phase.neighbour(), why);
                transport.close();
            }
            (Phase::Hello(expected), LinkLine::Hello(hello)) => {
                match self.greet(transport, servers, *expected, &hello) {
                    Ok(neighbour) => {
                        servers.server(self.server).strangers -= u32::from(self.phase.neighbour().is_none());
                        self.phase = Phase::Up(neighbour);
                    }
                    Err(why) => self.refuse(transport, name, &why),
                }
            }
            (Phase::Hello(_), _) => self.refuse(transport, name, "the first line must be HERD"),
            (Phase::Up(neighbour), LinkLine::Report(line)) => {
                if let Err(why) = learn(self.server, transport, servers, *neighbour, line) {
                    self.refuse(transport, name, why);
                }
            }
            // One that does not read gets no answers either; once it reads, what waits for it tells that we live.
            (Phase::Up(_), LinkLine::Ping) if transport.is_writing_paused() => {}
            (Phase::Up(_), LinkLine::Ping) => say(transport, name, link::PONG),
            (Phase::Up(neighbour), LinkLine::Pong) => servers.server(self.server).links.prove(*neighbour),
            // What a newer server offers.
            (Phase::Up(_), LinkLine::Digest(_)) => {}
            (Phase::Up(_), LinkLine::Hello(_) | LinkLine::Unknown(_)) => {
                self.refuse(transport, name, "this line has no place here");
            }
        }
    }

    /// Compares a HERD with what it must say, and settles which connection is the link.
    fn greet(
        &mut self,
        transport: &mut Transport<'_, Servers>,
        servers: &mut Servers,
        expected: Option<NeighbourId>,
        hello: &Hello<'_>,
    ) -> Result<NeighbourId, String> {
        let server = servers.server(self.server);
        let who = Escaped(hello.server);
        let own = server.name.clone();
        if hello.version != Hello::VERSION {
            return Err(format!("{own} speaks version {}, not {}", Hello::VERSION, hello.version));
        }
        if hello.herd != server.herd.as_bytes() {
            return Err(format!("{own} is of the herd {}, not {}", server.herd, Escaped(hello.herd)));
        }
        if hello.server == own.as_str().as_bytes() {
            return Err(format!("{own} does not talk with itself"));
        }
        let neighbour = server.links.find(hello.server).ok_or_else(|| format!("{own} has no link with {who}"))?;
        if expected.is_some_and(|expected| expected != neighbour) {
            return Err(format!("{own} dialled somebody else, not {who}"));
        }
        let (id, name) = (transport.id(), own.as_str());
        let joined = server.links.join(neighbour, id, self.dialled);
        if joined == Joined::Duplicate {
            return Err(DUPLICATE.to_owned());
        }
        log::info!(target: name, "{id} is the link to {who} (version {})", Escaped(hello.software));
        if let Joined::Instead(old) = joined
            && let Some(mut old) = transport.event_loop().transport(old)
        {
            retire(&mut old, name, DUPLICATE);
        }
        Ok(neighbour)
    }

    /// Says ERR and why, then closes.
    fn refuse(&mut self, transport: &mut Transport<'_, Servers>, name: &str, why: &str) {
        // Of a neighbour that we dial again and again `left` complains, once.
        if !matches!(self.phase, Phase::Hello(Some(_))) {
            // Both ends dial: one connection too many is nobody's fault.
            let level = if why == DUPLICATE { log::Level::Info } else { log::Level::Warn };
            log::log!(target: name, level, "{} is closed: {why}", transport.id());
        }
        say_err(transport, name, why);
        transport.close_slowly(GOODBYE_TIME);
        self.phase = Phase::Over(self.phase.neighbour(), why.to_owned());
    }

    /// Sets the deadline: for HERD, for the rest of a line, for any sign of life.
    fn expect(&self, transport: &mut Transport<'_, Servers>) {
        let now = transport.event_loop().now();
        let heard = self.heard.unwrap_or(now);
        let silence = match (&self.phase, self.pinged) {
            (Phase::Over(..), _) => return,
            (Phase::Hello(_), _) => heard + HELLO_TIME,
            (Phase::Up(_), false) => heard + PING_AFTER,
            (Phase::Up(_), true) => heard + SILENCE_TIME,
        };
        let deadline = self.begun.map_or(silence, |begun| silence.min(begun + LINE_TIME));
        transport.set_timeout(Some(deadline.saturating_duration_since(now)));
    }
}

impl Protocol<Servers> for Peer {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let server = servers.server(self.server);
        if self.dialled == Dialled::ByThem {
            server.strangers += 1;
            if server.strangers > STRANGERS {
                self.phase = Phase::Over(None, format!("{STRANGERS} others have not said HERD either"));
                return transport.abort();
            }
        }
        let mut line = Vec::new();
        let hello = Hello {
            version: Hello::VERSION,
            herd: server.herd.as_bytes(),
            server: server.name.as_str().as_bytes(),
            software: env!("CARGO_PKG_VERSION").as_bytes(),
        };
        hello.write(&mut line);
        transport.set_write_buffer_limits(PEER_HIGH_WATER, PEER_LOW_WATER);
        say(transport, server.name.as_str(), &line);
        self.heard = Some(transport.event_loop().now());
        self.expect(transport);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let now = transport.event_loop().now();
        if matches!(self.phase, Phase::Up(_)) {
            self.heard = Some(now);
            self.pinged = false;
        }
        let mut fresh = self.lines.is_empty();
        // Taken out, as `obey` wants all of us while the lines are lent out.
        let mut lines = std::mem::replace(&mut self.lines, LineBuffer::new(PEER_LINE));
        let mut feed = lines.feed(data);
        while let Some(line) = feed.next() {
            fresh = true;
            match line {
                Line::Whole(line) => self.obey(transport, servers, line),
                Line::TooLong(_) if matches!(self.phase, Phase::Over(..)) => {}
                Line::TooLong(_) => {
                    let name = servers.server(self.server).name.clone();
                    self.refuse(transport, name.as_str(), "the line is too long");
                }
            }
        }
        drop(feed);
        self.begun = match (lines.is_empty(), fresh) {
            (true, _) => None,
            (false, true) => Some(now),
            (false, false) => self.begun,
        };
        self.lines = lines;
        self.expect(transport);
    }

    fn eof_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers) -> AfterEof {
        AfterEof::Close
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let Phase::Up(neighbour) = self.phase else { return };
        let server = servers.server(self.server);
        if let Link::Up { connection, lagging, .. } = &mut server.links.get_mut(neighbour).link
            && *connection == transport.id()
            && std::mem::take(lagging)
        {
            log::info!(target: server.name.as_str(), "{} has caught up", transport.id());
        }
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let now = transport.event_loop().now();
        let late = |since: Option<Instant>, time: Duration| since.is_some_and(|since| now >= since + time);
        let name = servers.server(self.server).name.clone();
        match &self.phase {
            Phase::Over(..) => transport.abort(),
            _ if late(self.begun, LINE_TIME) => self.refuse(transport, name.as_str(), "the line is not complete"),
            Phase::Hello(_) => self.refuse(transport, name.as_str(), "there was no HERD"),
            Phase::Up(_) if late(self.heard, SILENCE_TIME) => {
                log::warn!(target: name.as_str(), "{} is dropped: silent for {SILENCE_TIME:?}", transport.id());
                transport.abort();
            }
            Phase::Up(_) => {
                say(transport, name.as_str(), link::PING);
                self.pinged = true;
                self.expect(transport);
            }
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        let why = match (&self.phase, &lost.why) {
            (Phase::Over(_, why), _) => format!(": {why}"),
            (_, Some(error)) => format!(": {error}"),
            (_, None) => String::new(),
        };
        match self.phase.neighbour() {
            Some(neighbour) => left(event_loop, servers, self.server, neighbour, lost.id, why),
            None => {
                let server = servers.server(self.server);
                server.strangers -= 1;
                let name = server.name.as_str();
                let from = lost.peer.map_or_else(String::new, |peer| peer.to_string());
                log::info!(target: name, "{} of a stranger at {from} is gone{why}", lost.id);
            }
        }
        servers.leave_if_done(event_loop);
    }
}

impl Phase {
    fn neighbour(&self) -> Option<NeighbourId> {
        match self {
            Self::Hello(neighbour) | Self::Over(neighbour, _) => *neighbour,
            Self::Up(neighbour) => Some(*neighbour),
        }
    }
}

/// Tells the neighbour why a connection is no longer wanted; what it sent before it ends it is taken in.
fn retire(old: &mut Transport<'_, Servers>, name: &str, why: &str) {
    let id = old.id();
    log::info!(target: name, "{id} is retired: {why}");
    say_err(old, name, why);
    old.event_loop().call_later(RETIRED_TIME, move |event_loop, _| {
        if let Some(mut old) = event_loop.transport(id) {
            old.close();
        }
    });
}

fn say_err(transport: &mut Transport<'_, Servers>, name: &str, why: &str) {
    let mut line = Vec::new();
    link::write_err(&mut line, why);
    say(transport, name, &line);
}

/// Sends a line, its `\n` included.
fn say(transport: &mut Transport<'_, Servers>, name: &str, line: &[u8]) {
    transport.write(line);
    log::debug!(target: name, "{} > {}", transport.id(), Escaped(line.trim_ascii_end()));
}

/// A connection with a neighbour is gone: says so, and dials again if nothing else leads there.
fn left(
    event_loop: &mut Loop<'_, Servers>,
    servers: &mut Servers,
    id: ServerId,
    neighbour: NeighbourId,
    connection: ConnId,
    why: String,
) {
    let draining = servers.is_draining();
    let jitter = servers.dice.f64();
    let server = servers.server(id);
    let name = server.name.clone();
    let other = server.links.get_mut(neighbour);
    if other.link != Link::Dialling(connection) {
        log::info!(target: name.as_str(), "{connection} with {} is gone{why}", other.name);
    } else if other.complaint != why {
        let (who, address) = (&other.name, other.address);
        log::warn!(target: name.as_str(), "no link to {who} at {address}{why}; it is dialled again and again");
        other.complaint = why;
    }
    if let Some(pause) = server.links.leave(neighbour, connection, jitter)
        && !draining
    {
        event_loop.call_later(pause, move |event_loop, servers| {
            let draining = servers.is_draining();
            let server = servers.server(id);
            if server.links.get(neighbour).link == Link::Down && !draining {
                dial(event_loop, server, id, neighbour);
            }
        });
    }
}

/// Takes in a report, and passes it on if it is news.
fn learn(
    id: ServerId,
    transport: &mut Transport<'_, Servers>,
    servers: &mut Servers,
    neighbour: NeighbourId,
    line: &[u8],
) -> Result<(), &'static str> {
    let Servers { each, effects, .. } = servers;
    let server = &mut each[id.0];
    let now = Timestamp::from(transport.event_loop().wall_clock());
    effects.clear();
    server.node.handle(Origin::Neighbour(neighbour), line, now, effects);
    for effect in effects.iter() {
        match effect {
            Effect::Flood { line, except } => {
                flood(&mut transport.event_loop(), server, line, except);
            }
            Effect::Violation(why) => return Err(why),
            Effect::Reply(_) | Effect::Ask { .. } => unreachable!("only clients are answered"),
        }
    }
    server.links.prove(neighbour);
    Ok(())
}

const DUPLICATE: &str = "another connection is the link";
