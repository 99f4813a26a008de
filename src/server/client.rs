//! What happens to a client, whatever the style that serves it: who may stay, what a line leads to, what is said when.
//!
//! - Whoever comes in is counted, and must be seen off with [`Client::farewell`], even if it may not stay.
//! - Replies come in the order of the commands. What follows an unanswered WHATSAT waits in `replies`.
//! - What a function here returns is to be sent, at once and in that order; the log says already that it was.
//! - A client that [has too much waiting](Client::has_room) is not to be heard, so that it costs a bounded amount.
//! - It is told off with `? ` and the start of the line for a line too long or too slow, after everything it is owed.
//!
//! What a line means is `herd::node`'s business; here its effects are carried out. How bytes come and go, and for how long
//! that may take, is the style's: the `session` of either.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::rc::Rc;

use arrayvec::ArrayVec;
use memchr::memchr;

use super::inquiries::Asker;
use super::limits::{CLIENT_LINE, HELD_REPLIES, IDLE_TIME, LINE_TIME, OUTSTANDING, REFUSED_COPY, STALL_TIME};
use super::replies::{Answered, Replies};
use super::{ServerId, Servers, neighbours};
use crate::event_loop::{ConnId, Loop, Lost};
use crate::herd::command::Command;
use crate::herd::node::{Effect, Origin};
use crate::herd::timestamp::Timestamp;
use crate::wire::escaped::Escaped;
use crate::wire::lines::Batch;

/// A client, as its server sees it.
pub(super) struct Client {
    server: ServerId,
    replies: Replies,
}

/// Why a line is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    TooLong,
    TooSlow,
}

impl Client {
    pub(super) fn new(server: ServerId) -> Self {
        Self { server, replies: Replies::default() }
    }

    /// It comes in; false if it may not stay.
    pub(super) fn admit(
        &self,
        event_loop: &Loop<'_, Servers>,
        servers: &mut Servers,
        id: ConnId,
        from: SocketAddr,
    ) -> bool {
        let draining = servers.is_draining();
        let server = servers.server(self.server);
        let fits = server.clients.enter(from.ip(), &server.limits);
        let name = server.name.as_str();
        if !fits && server.clients.should_complain(event_loop.now()) {
            log::warn!(target: name, "{id} from {from} is turned away, like others perhaps: too many clients");
        }
        let stays = fits && !draining;
        if stays {
            log::info!(target: name, "{id} connected from {from}");
        }
        stays
    }

    /// The next of the client's lines that may be carried out together. Only IAMATs gain by that; and while something waits to be
    /// answered, each line is looked at by itself, as what is held back for it counts.
    pub(super) fn may_be_next(&self, line: &[u8]) -> bool {
        self.is_answered() && Command::is_plain_iamat(line)
    }

    /// Has the node handle a line, or several that [may](Self::may_be_next) be carried out together, and does what comes of that;
    /// what is to be said at once.
    pub(super) fn obey<'s>(
        &mut self,
        event_loop: &mut Loop<'_, Servers>,
        servers: &'s mut Servers,
        id: ConnId,
        lines: &Batch<'_>,
    ) -> Cow<'s, [u8]> {
        let Servers { each, lookups, effects, .. } = servers;
        let server = &mut each[self.server.0];
        let now = Timestamp::from(event_loop.wall_clock());
        effects.clear();
        let mut busy = None;
        let mut all = ArrayVec::new();
        server.node.hear(Origin::Client, lines, &mut all);
        for heard in &all {
            log::debug!(target: server.name.as_str(), "{id} < {}", Escaped(heard.line()));
            let before = effects.len();
            server.node.obey(heard, now, effects);
            for effect in effects.since(before) {
                match effect {
                    // All at once, below.
                    Effect::Flood { .. } => {}
                    Effect::Reply(reply) if self.replies.is_empty() => note(server.name.as_str(), id, reply),
                    Effect::Reply(reply) => self.replies.hold(reply),
                    Effect::Ask { report, position, radius, bound } => {
                        let is_first = self.replies.is_empty();
                        let ticket = self.replies.begin(report);
                        let asker = Asker { session: id, server: server.name.clone(), ticket, bound };
                        if let Err(answer) = lookups.ask(event_loop, &position, radius, asker) {
                            self.replies.finish(Answered { ticket, bound, answer: Rc::new(answer) });
                            busy = if is_first { self.replies.next() } else { None };
                            busy.iter().for_each(|reply| note(server.name.as_str(), id, reply));
                        }
                    }
                    Effect::Violation(_) => unreachable!("only neighbours can break the peer protocol"),
                }
            }
        }
        for (lines, except) in effects.floods() {
            neighbours::flood(event_loop, server, lines, except);
        }
        match busy {
            Some(reply) => Cow::Owned(reply),
            // Then replies are all that there is: to a question nothing is said before it is answered.
            None if self.replies.is_empty() => Cow::Borrowed(effects.lines()),
            None => Cow::Borrowed(&[]),
        }
    }

    /// Tells it off for a line that began like this; what is to be said at once. It is not heard any more.
    pub(super) fn refuse(&mut self, servers: &Servers, id: ConnId, fault: Fault, start: &[u8]) -> Option<Vec<u8>> {
        let name = servers.name(self.server);
        match fault {
            Fault::TooLong => log::info!(target: name, "{id} sent a line over {CLIENT_LINE} bytes"),
            Fault::TooSlow => log::info!(target: name, "{id} did not end a line within {LINE_TIME:?}"),
        }
        let refusal = [b"? ", &start[..start.len().min(REFUSED_COPY)], b"\n"].concat();
        if !self.replies.is_empty() {
            self.replies.hold(&refusal);
            return None;
        }
        note(name, id, &refusal);
        Some(refusal)
    }

    /// Takes in the answers of Places that have come for it.
    pub(super) fn take_answers(&mut self, servers: &mut Servers, id: ConnId) {
        for answered in servers.lookups.take_answers(id) {
            self.replies.finish(answered);
        }
    }

    /// The next reply that had to wait and need not any more. For a client that reads: places cost memory once they are
    /// taken out here.
    pub(super) fn next_reply(&mut self, servers: &Servers, id: ConnId) -> Option<Vec<u8>> {
        let reply = self.replies.next()?;
        note(servers.name(self.server), id, &reply);
        Some(reply)
    }

    /// Whether it may be heard: not too much waits.
    pub(super) fn has_room(&self) -> bool {
        self.replies.outstanding() < OUTSTANDING && self.replies.held() < HELD_REPLIES
    }

    /// Whether no reply waits.
    pub(super) fn is_answered(&self) -> bool {
        self.replies.is_empty()
    }

    /// Whether it waits for Places.
    pub(super) fn awaits_places(&self) -> bool {
        self.replies.outstanding() > 0
    }

    /// It has said nothing for [`IDLE_TIME`], and must go.
    pub(super) fn log_idle(&self, servers: &Servers, id: ConnId) {
        log::info!(target: servers.name(self.server), "{id} said nothing for {IDLE_TIME:?}");
    }

    /// It has not read for [`STALL_TIME`], while so many bytes waited, and must go.
    pub(super) fn log_stalled(&self, servers: &Servers, id: ConnId, unsent: usize) {
        let name = servers.name(self.server);
        log::warn!(target: name, "{id} did not read for {STALL_TIME:?}; {unsent} bytes are dropped");
    }

    /// It is gone, whether it could stay or not.
    pub(super) fn farewell(&self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        // A client's connection is plain TCP: it was made as soon as it was accepted.
        let Lost { id, peer: Some(peer), why } = lost else { return };
        servers.lookups.forget(event_loop, id);
        let server = servers.server(self.server);
        server.clients.leave(peer.ip());
        let name = server.name.as_str();
        match why {
            None => log::info!(target: name, "{id} of {peer} is gone"),
            Some(error) => log::info!(target: name, "{id} of {peer} is gone: {error}"),
        }
        servers.leave_if_done(event_loop);
    }
}

/// Logs a reply.
fn note(name: &str, id: ConnId, reply: &[u8]) {
    if log::log_enabled!(target: name, log::Level::Debug) {
        let (first, rest) = reply.split_at(memchr(b'\n', reply).unwrap_or(reply.len()));
        match rest.len() {
            0 | 1 => log::debug!(target: name, "{id} > {}", Escaped(first)),
            more => log::debug!(target: name, "{id} > {} and {more} bytes of places", Escaped(first)),
        }
    }
}
