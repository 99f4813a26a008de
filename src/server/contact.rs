//! One conversation with a neighbour, or with somebody who wants to be one, whatever the style that holds it.
//!
//! - Nothing is accepted before a good HERD: the right version and herd, a neighbour's name, the one that was dialled; and where
//!   links are encrypted, the one in its certificate. Before that nothing is said but HERD and ERR.
//! - Of two connections to one neighbour `links` says which one stays. The other is retired: see `neighbours`.
//! - What a function here returns is to be sent, at once; the log says already that it was. After a [`Parting`] nothing
//!   counts any more.
//! - Whoever [comes](Contact::meet), or was dialled, must be seen off with [`Contact::farewell`].
//!
//! How bytes come and go, and for how long that may take, is the style's: the `peer` of either. What a neighbour missed is
//! `repairs`' business.

use std::borrow::Cow;

use arrayvec::ArrayVec;

use super::limits::{PEER_WRITE_CAP, SILENCE_TIME, STRANGERS};
use super::links::{Dialled, Joined};
use super::repairs::Edge;
use super::{ServerId, Servers, handshake, keys, neighbours, repairs};
use crate::event_loop::{ConnId, Loop, Lost};
use crate::herd::link::{self, Hello, LinkLine};
use crate::herd::name::ServerName;
use crate::herd::node::{Effect, NeighbourId, Origin};
use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;
use crate::wire::escaped::Escaped;
use crate::wire::lines::Batch;

/// Who the other end is, as far as is known.
pub(super) struct Contact {
    server: ServerId,
    dialled: Dialled,
    phase: Phase,
}

/// How far the conversation is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    /// It is being connected to, or TLS agreed on: there is nobody to talk with yet.
    Unmet(Option<NeighbourId>),
    /// We expect HERD, from this neighbour if we dialled it.
    Hello(Option<NeighbourId>),
    /// It is the link to this neighbour, or was until a better one came.
    Up(NeighbourId),
    /// ERR was said, by them or by us, for this reason; nothing counts any more.
    Over(Option<NeighbourId>, String),
}

/// How a conversation ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Parting {
    /// They have said ERR: it is to be closed.
    Theirs,
    /// This ERR is to be sent; then it is to be closed, slowly, as they may be talking.
    Ours(Vec<u8>),
}

impl Contact {
    /// With whoever has connected to us.
    pub(super) fn accepted(server: ServerId) -> Self {
        Self { server, dialled: Dialled::ByThem, phase: Phase::Unmet(None) }
    }

    /// With the neighbour that we connect to.
    pub(super) fn dialled(server: ServerId, neighbour: NeighbourId) -> Self {
        Self { server, dialled: Dialled::ByUs, phase: Phase::Unmet(Some(neighbour)) }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The connection stands. Our HERD; or `None` if it may not stay, as too many wait at the door.
    pub(super) fn meet(&mut self, servers: &mut Servers, id: ConnId) -> Option<Vec<u8>> {
        let server = servers.server(self.server);
        self.phase = Phase::Hello(self.phase.neighbour());
        if self.dialled == Dialled::ByThem {
            server.strangers += 1;
            if server.strangers > STRANGERS {
                self.phase = Phase::Over(None, format!("{STRANGERS} others have not said HERD either"));
                return None;
            }
        }
        let hello = Hello {
            version: Hello::VERSION,
            herd: server.herd.as_bytes(),
            server: server.name.as_str().as_bytes(),
            software: env!("CARGO_PKG_VERSION").as_bytes(),
        };
        let mut line = Vec::new();
        hello.write(&mut line);
        neighbours::note(server.name.as_str(), id, &line);
        Some(line)
    }

    /// The next of the lines that may be [learnt](Self::learn) together: reports.
    pub(super) fn may_be_next(&self, line: &[u8]) -> bool {
        matches!(self.phase, Phase::Up(_)) && line.starts_with(Report::START)
    }

    /// Takes in lines that may.
    pub(super) fn learn(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &mut Servers,
        id: ConnId,
        lines: &Batch<'_>,
    ) -> Result<(), Parting> {
        let Phase::Up(neighbour) = self.phase else { unreachable!("only then they may") };
        self.take_in(event_loop, servers, (neighbour, id), lines)
            .map_err(|why| self.refuse(event_loop, servers, id, why))
    }

    /// Carries out one line, if it has a place here; the answer, if there is one.
    pub(super) fn obey(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &mut Servers,
        id: ConnId,
        line: &[u8],
    ) -> Result<Option<&'static [u8]>, Parting> {
        if self.may_be_next(line) {
            return self.learn(event_loop, servers, id, &Batch::from_iter([line])).map(|()| None);
        }
        log::debug!(target: servers.name(self.server), "{id} < {}", Escaped(line));
        match (&self.phase, LinkLine::parse(line)) {
            (Phase::Unmet(_) | Phase::Over(..), _) => {}
            (phase, LinkLine::Err(why)) => {
                let why = format!("its other end says: {}", Escaped(why));
                self.phase = Phase::Over(phase.neighbour(), why);
                return Err(Parting::Theirs);
            }
            (Phase::Hello(expected), LinkLine::Hello(hello)) => {
                match self.greet(event_loop, servers, id, *expected, &hello) {
                    Ok(neighbour) => {
                        servers.server(self.server).strangers -= u32::from(expected.is_none());
                        self.phase = Phase::Up(neighbour);
                    }
                    Err(why) => return Err(self.refuse(event_loop, servers, id, &why)),
                }
            }
            (Phase::Hello(_), _) if handshake::is_tls(line) => {
                return Err(self.refuse(event_loop, servers, id, handshake::TLS_HERE));
            }
            (Phase::Hello(_), _) => return Err(self.refuse(event_loop, servers, id, NOT_HELLO)),
            (Phase::Up(_), LinkLine::Ping) => {
                // One that does not read gets no answers either; once it reads, what waits for it tells that we live.
                if event_loop.transport(id).is_some_and(|transport| !transport.is_writing_paused()) {
                    return Ok(Some(self.say(servers, id, link::PONG)));
                }
            }
            (Phase::Up(neighbour), LinkLine::Pong) => servers.server(self.server).links.prove(*neighbour),
            (Phase::Up(neighbour), LinkLine::Digest(words)) => {
                let edge = Edge { server: self.server, neighbour: *neighbour, connection: id };
                if let Err(why) = repairs::hear(event_loop, servers, edge, words) {
                    return Err(self.refuse(event_loop, servers, id, why));
                }
            }
            (Phase::Up(_), LinkLine::Report(_)) => unreachable!("reports are learnt"),
            (Phase::Up(_), LinkLine::Hello(_) | LinkLine::Unknown(_)) => {
                return Err(self.refuse(event_loop, servers, id, "this line has no place here"));
            }
        }
        Ok(None)
    }

    /// Ends it, for this reason; also for one of those at the end of this file. A neighbour that broke the protocol is not heard
    /// for a while.
    pub(super) fn refuse(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &mut Servers,
        id: ConnId,
        why: &str,
    ) -> Parting {
        let server = servers.server(self.server);
        // A line may also be late because the network is slow.
        if let Phase::Up(neighbour) = self.phase
            && why != TOO_SLOW
        {
            server.links.violate(neighbour, event_loop.now());
        }
        let name = server.name.as_str();
        let (from, now) = (event_loop.transport(id).and_then(|transport| transport.peer_addr()), event_loop.now());
        match (&self.phase, from) {
            // Of a neighbour that we dial again and again `neighbours` complains, once.
            (Phase::Hello(Some(_)), _) => {}
            // Both ends dial: one connection too many is nobody's fault.
            _ if why == DUPLICATE => log::info!(target: name, "{id} is closed: {why}"),
            // Others come again and again, too.
            (Phase::Hello(None), Some(from)) => {
                if server.refusals.is_news(Some(from.ip()), why, now) {
                    log::warn!(target: name, "{id} from {from} is closed: {why}");
                }
            }
            _ => log::warn!(target: name, "{id} is closed: {why}"),
        }
        self.phase = Phase::Over(self.phase.neighbour(), why.to_owned());
        Parting::Ours(neighbours::err(name, id, why))
    }

    /// It has ended after these bytes, which are no line.
    pub(super) fn cut_off(&mut self, rest: &[u8]) {
        if let Phase::Hello(neighbour) = self.phase
            && handshake::is_tls(rest)
        {
            self.phase = Phase::Over(neighbour, handshake::TLS_HERE.to_owned());
        }
    }

    /// It is silent: the question whether it is there, unless so many wait for it that there is no room for one more.
    pub(super) fn ping(
        &self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &Servers,
        id: ConnId,
    ) -> Option<&'static [u8]> {
        let waiting = event_loop.transport(id)?.write_buffer_size();
        (waiting + link::PING.len() <= PEER_WRITE_CAP).then(|| self.say(servers, id, link::PING))
    }

    /// It was silent for [`SILENCE_TIME`], and must go, without a word.
    pub(super) fn log_silence(&self, servers: &Servers, id: ConnId) {
        log::warn!(target: servers.name(self.server), "{id} is dropped: silent for {SILENCE_TIME:?}");
    }

    /// The connection is gone, or was not made.
    pub(super) fn farewell(&self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        let why = match (&self.phase, &lost.why) {
            (Phase::Over(_, why), _) => format!(": {why}"),
            (_, Some(error)) => format!(": {}", handshake::reason(error)),
            (_, None) => String::new(),
        };
        match self.phase.neighbour() {
            Some(neighbour) => neighbours::left(event_loop, servers, self.server, neighbour, lost.id, why),
            // It was never counted, and the entrance has said why.
            None if matches!(self.phase, Phase::Unmet(_)) => {}
            None => {
                let server = servers.server(self.server);
                server.strangers -= 1;
                let is_news = match &self.phase {
                    Phase::Over(_, why) => {
                        server.refusals.is_news(lost.peer.map(|peer| peer.ip()), why, event_loop.now())
                    }
                    _ => true,
                };
                let level = if is_news { log::Level::Info } else { log::Level::Debug };
                let from = lost.peer.map_or_else(String::new, |peer| peer.to_string());
                log::log!(target: server.name.as_str(), level, "{} of a stranger at {from} is gone{why}", lost.id);
            }
        }
        servers.leave_if_done(event_loop);
    }

    /// Compares a HERD with what it must say, and settles which connection is the link.
    fn greet(
        &self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &mut Servers,
        id: ConnId,
        expected: Option<NeighbourId>,
        hello: &Hello<'_>,
    ) -> Result<NeighbourId, String> {
        let server = servers.server(self.server);
        let who = shown(hello.server);
        let own = &server.name;
        if hello.version != Hello::VERSION {
            return Err(format!("{own} speaks version {}, not {}", Hello::VERSION, hello.version));
        }
        if hello.herd != server.herd.as_bytes() {
            return Err(format!("{own} is of the herd {}, not {}", server.herd, shown(hello.herd)));
        }
        if hello.server == own.as_str().as_bytes() {
            return Err(format!("{own} does not talk with itself"));
        }
        let neighbour = server.links.find(hello.server).ok_or_else(|| format!("{own} has no link with {who}"))?;
        if expected.is_some_and(|expected| expected != neighbour) {
            return Err(format!("{own} dialled somebody else, not {who}"));
        }
        if server.keys.is_some() {
            let shown = event_loop.transport(id);
            let shown = shown.as_ref().and_then(|transport| transport.tls_info()).and_then(|tls| tls.peer_certificates);
            keys::check_name(shown, &server.links.get(neighbour).name)
                .map_err(|fault| format!("{who} is not believed: the certificate {fault}"))?;
        }
        if let Some(left) = server.links.penance(neighbour, event_loop.now()) {
            return Err(format!("{who} broke the protocol and is not heard for another {:.1} s", left.as_secs_f64()));
        }
        let joined = server.links.join(neighbour, id, self.dialled);
        if joined == Joined::Duplicate {
            return Err(DUPLICATE.to_owned());
        }
        log::info!(target: own.as_str(), "{id} is the link to {who} (version {})", Escaped(hello.software));
        if let Joined::Instead(old) = joined {
            neighbours::retire(event_loop, server, neighbour, old, DUPLICATE);
        }
        repairs::begin(event_loop, servers, Edge { server: self.server, neighbour, connection: id });
        Ok(neighbour)
    }

    /// Takes in reports, and passes on what is news. What comes on a retired connection is passed on to the link to the same
    /// neighbour, too: it may have been started again since it said that.
    fn take_in(
        &self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &mut Servers,
        (neighbour, connection): (NeighbourId, ConnId),
        lines: &Batch<'_>,
    ) -> Result<(), &'static str> {
        let Servers { each, effects, .. } = servers;
        let server = &mut each[self.server.0];
        let now = Timestamp::from(event_loop.wall_clock());
        let is_link = server.links.get(neighbour).link.connection() == Some(connection);
        effects.clear();
        let mut outcome = Ok(());
        let mut all = ArrayVec::new();
        server.node.hear(Origin::Neighbour(neighbour), lines, &mut all);
        for heard in &all {
            log::debug!(target: server.name.as_str(), "{connection} < {}", Escaped(heard.line()));
            let before = effects.len();
            server.node.obey(heard, now, effects);
            for effect in effects.since(before) {
                match effect {
                    // All at once, below.
                    Effect::Flood { .. } => server.links.get_mut(neighbour).exchange.learnt(),
                    Effect::Violation(why) => outcome = Err(why),
                    Effect::Reply(_) | Effect::Ask { .. } => unreachable!("only clients are answered"),
                }
            }
            // What follows is not heard; what came before is passed on.
            if outcome.is_err() {
                break;
            }
            server.links.get_mut(neighbour).exchange.figures.reports += 1;
            server.links.prove(neighbour);
        }
        for (lines, except) in effects.floods() {
            neighbours::flood(event_loop, server, lines, except.filter(|_| is_link));
        }
        outcome
    }

    fn say(&self, servers: &Servers, id: ConnId, line: &'static [u8]) -> &'static [u8] {
        neighbours::note(servers.name(self.server), id, line);
        line
    }
}

/// A name that a stranger has given, for an ERR and the log; anything else is not repeated, as it may be about a client.
fn shown(name: &[u8]) -> Cow<'_, str> {
    if ServerName::is_valid(name) { String::from_utf8_lossy(name) } else { "what is no name".into() }
}

impl Phase {
    fn neighbour(&self) -> Option<NeighbourId> {
        match self {
            Self::Unmet(neighbour) | Self::Hello(neighbour) | Self::Over(neighbour, _) => *neighbour,
            Self::Up(neighbour) => Some(*neighbour),
        }
    }
}

/// A line has no end within its limit.
pub(super) const TOO_LONG: &str = "the line is too long";

/// A line has no end within its time.
pub(super) const TOO_SLOW: &str = "the line is not complete";

const NOT_HELLO: &str = "the first line must be HERD";

/// HERD did not come within its time.
pub(super) const NO_HELLO: &str = "there was no HERD";

const DUPLICATE: &str = "another connection is the link";
