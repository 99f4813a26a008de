//! A client's connection: lines in, replies out, in order and within limits.
//!
//! - Replies come in the order of the commands. What follows an unanswered WHATSAT waits in `replies`.
//! - A client is not read from while it does not read, while too much of it is unanswered, or while too much is held
//!   back; the lines that came with the last read wait in `lines`. So a client costs a bounded amount whatever it does.
//! - It is told off with `? ` and the start of the line for a line too long or too slow, after everything it is owed.
//! - After its half-close, a last line without `\n` is a line, and what is outstanding is answered before we close.
//! - At most one deadline runs: see `Pace`.
//!
//! What a line means is `herd::node`'s business; here its effects are carried out.

use std::rc::Rc;

use super::inquiries::Asker;
use super::limits::{
    CLIENT_LINE, GOODBYE_TIME, HELD_REPLIES, IDLE_TIME, LINE_TIME, OUTSTANDING, REFUSED_COPY, STALL_TIME,
};
use super::replies::{Answered, Replies};
use super::{ServerId, Servers, peer};
use crate::event_loop::{AfterEof, Loop, Lost, Protocol, Transport};
use crate::herd::node::{Effect, Origin};
use crate::herd::timestamp::Timestamp;
use crate::wire::escaped::Escaped;
use crate::wire::lines::{Line, LineBuffer};

/// One client.
pub(super) struct Session {
    server: ServerId,
    stage: Stage,
    pace: Pace,
    lines: LineBuffer,
    replies: Replies,
}

/// How far the conversation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Talking,
    /// The client has ended its half; what it said is still carried out and answered.
    Ended,
    /// The server stops; what the client has said is still carried out and answered.
    Stopping,
    /// We hear no more, because of a line; replies to what came before it are still owed.
    Leaving,
}

/// What the deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// It may say something.
    Idle,
    /// It has begun a line.
    Line,
    /// It is waiting for us: no deadline.
    Waiting,
    /// It has to read.
    Stalled,
}

impl Session {
    pub(super) fn new(server: ServerId) -> Self {
        let (lines, replies) = (LineBuffer::new(CLIENT_LINE), Replies::default());
        Self { server, stage: Stage::Talking, pace: Pace::Idle, lines, replies }
    }

    /// Carries out what can be of the lines in `data` and of those that waited.
    fn run(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let mut fresh = self.lines.is_empty();
        let Self { server, stage, lines, replies, .. } = self;
        if !replies.is_empty() {
            let name = servers.server(*server).name.clone();
            flush(name.as_str(), transport, replies);
        }
        let mut feed = lines.feed(data);
        while may_go_on(replies, transport) && *stage != Stage::Leaving {
            match feed.next() {
                Some(Line::Whole(line)) => {
                    fresh = true;
                    obey(*server, transport, servers, replies, line);
                }
                Some(Line::TooLong(start)) => {
                    let server = servers.server(*server);
                    log::info!(target: server.name.as_str(), "{} sent a line over {CLIENT_LINE} bytes", transport.id());
                    say(server.name.as_str(), transport, replies, &refusal(start));
                    *stage = Stage::Leaving;
                }
                None => break,
            }
        }
        drop(feed);
        self.go_on(transport, fresh);
    }

    /// After every event: reads or not, ends or not, and sets the deadline. `fresh` tells that the unfinished line, if
    /// there is one, began just now.
    fn go_on(&mut self, transport: &mut Transport<'_, Servers>, fresh: bool) {
        let reads = may_go_on(&self.replies, transport) && self.stage == Stage::Talking;
        if reads {
            transport.resume_reading();
        } else {
            transport.pause_reading();
        }
        let answered = self.replies.is_empty() && !transport.is_writing_paused();
        match self.stage {
            Stage::Ended if answered => return transport.close(),
            Stage::Stopping | Stage::Leaving if answered => return transport.close_slowly(GOODBYE_TIME),
            _ => {}
        }
        let pace = if transport.is_writing_paused() {
            Pace::Stalled
        } else if reads && !self.lines.is_empty() {
            Pace::Line
        } else if self.replies.outstanding() > 0 {
            Pace::Waiting
        } else {
            Pace::Idle
        };
        let begins = pace != self.pace || pace == Pace::Idle || pace == Pace::Line && fresh;
        if begins {
            self.pace = pace;
            transport.set_timeout(match pace {
                Pace::Idle => Some(IDLE_TIME),
                Pace::Line => Some(LINE_TIME),
                Pace::Waiting => None,
                Pace::Stalled => Some(STALL_TIME),
            });
        }
    }
}

impl Protocol<Servers> for Session {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let (id, draining) = (transport.id(), servers.is_draining());
        let peer = transport.peer_addr().expect("the connection stands");
        let server = servers.server(self.server);
        let fits = server.clients.enter(peer.ip(), &server.limits);
        let name = server.name.as_str();
        if !fits || draining {
            if !fits && server.clients.should_complain(transport.event_loop().now()) {
                log::warn!(target: name, "{id} from {peer} is turned away, like others perhaps: too many clients");
            }
            return transport.abort();
        }
        log::info!(target: name, "{id} connected from {peer}");
        transport.set_close_timeout(STALL_TIME);
        transport.set_timeout(Some(IDLE_TIME));
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        self.run(transport, servers, data);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) -> AfterEof {
        if let Some(line) = self.lines.take_last() {
            obey(self.server, transport, servers, &mut self.replies, &line);
        }
        if self.stage == Stage::Talking {
            self.stage = Stage::Ended;
        }
        self.go_on(transport, true);
        AfterEof::KeepOpen
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        self.go_on(transport, false);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        // It reads: should it be given so much at once that it has to read on, its time for that begins anew.
        self.pace = Pace::Idle;
        self.run(transport, servers, &[]);
    }

    /// An answer of Places has come, or the server stops.
    fn woken(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        for answered in servers.lookups.take_answers(transport.id()) {
            self.replies.finish(answered);
        }
        if servers.is_draining() && self.stage == Stage::Talking {
            self.stage = Stage::Stopping;
        }
        self.run(transport, servers, &[]);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let id = transport.id();
        let name = servers.server(self.server).name.as_str();
        match self.pace {
            Pace::Idle | Pace::Waiting => {
                log::info!(target: name, "{id} said nothing for {IDLE_TIME:?}");
                transport.close();
            }
            Pace::Line => {
                log::info!(target: name, "{id} did not end a line within {LINE_TIME:?}");
                let start = self.lines.take_last().unwrap_or_default();
                say(name, transport, &mut self.replies, &refusal(&start));
                self.stage = Stage::Leaving;
                self.go_on(transport, true);
            }
            Pace::Stalled => {
                log::warn!(target: name, "{id} did not read for {STALL_TIME:?}; {} bytes are dropped", transport.write_buffer_size());
                transport.abort();
            }
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        // A client's connection is plain TCP: it was made as soon as it was accepted.
        let Lost { id, peer: Some(peer), why } = lost else { return };
        if self.replies.outstanding() > 0 {
            servers.lookups.forget(event_loop, id);
        }
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

/// Has the node handle one line, and does what comes of it.
fn obey(
    id: ServerId,
    transport: &mut Transport<'_, Servers>,
    servers: &mut Servers,
    replies: &mut Replies,
    line: &[u8],
) {
    let Servers { each, lookups, effects, .. } = servers;
    let server = &mut each[id.0];
    let name = server.name.as_str();
    log::debug!(target: name, "{} < {}", transport.id(), Escaped(line));
    let now = Timestamp::from(transport.event_loop().wall_clock());
    effects.clear();
    server.node.handle(Origin::Client, line, now, effects);
    for effect in effects.iter() {
        match effect {
            Effect::Flood { line, except } => {
                peer::flood(&mut transport.event_loop(), name, &mut server.links, line, except);
            }
            Effect::Reply(reply) => say(name, transport, replies, reply),
            Effect::Ask { report, position, radius, bound } => {
                let ticket = replies.begin(report);
                let asker = Asker { session: transport.id(), server: server.name.clone(), ticket, bound };
                if let Err(busy) = lookups.ask(&mut transport.event_loop(), &position, radius, asker) {
                    replies.finish(Answered { ticket, bound, answer: Rc::new(busy) });
                    flush(name, transport, replies);
                }
            }
            Effect::Violation(_) => unreachable!("only neighbours can break the peer protocol"),
        }
    }
}

/// Sends a reply, or holds it back until those before it have gone.
fn say(name: &str, transport: &mut Transport<'_, Servers>, replies: &mut Replies, reply: &[u8]) {
    if replies.is_empty() {
        send(name, transport, reply);
    } else {
        replies.hold(reply);
    }
}

/// Sends the replies that may be sent, as long as the client reads.
fn flush(name: &str, transport: &mut Transport<'_, Servers>, replies: &mut Replies) {
    while !transport.is_writing_paused()
        && let Some(reply) = replies.next()
    {
        send(name, transport, &reply);
    }
}

fn send(name: &str, transport: &mut Transport<'_, Servers>, reply: &[u8]) {
    transport.write(reply);
    if log::log_enabled!(target: name, log::Level::Debug) {
        let (first, rest) = reply.split_at(reply.iter().position(|byte| *byte == b'\n').unwrap_or(reply.len()));
        match rest.len() {
            0 | 1 => log::debug!(target: name, "{} > {}", transport.id(), Escaped(first)),
            more => log::debug!(target: name, "{} > {} and {more} bytes of places", transport.id(), Escaped(first)),
        }
    }
}

fn may_go_on(replies: &Replies, transport: &Transport<'_, Servers>) -> bool {
    replies.outstanding() < OUTSTANDING && replies.held() < HELD_REPLIES && !transport.is_writing_paused()
}

/// What is said to a line that is no line.
fn refusal(start: &[u8]) -> Vec<u8> {
    [b"? ", &start[..start.len().min(REFUSED_COPY)], b"\n"].concat()
}
