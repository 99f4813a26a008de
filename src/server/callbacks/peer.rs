//! A neighbour's connection in callbacks: what is read goes to its [`Contact`], what that says is written.
//!
//! At most one deadline runs, for what is due first: HERD, the rest of a line, any sign of life. A line's time begins with
//! its first byte; a silent link is asked PING once, then dropped.
//!
//! What the lines lead to, and what is said, is `contact`'s business.

use std::time::{Duration, Instant};

use crate::event_loop::{AfterEof, Loop, Lost, Protocol, Transport};
use crate::server::contact::{self, Contact, Parting, Phase};
use crate::server::limits::{
    GOODBYE_TIME, HELLO_TIME, LINE_TIME, PEER_HIGH_WATER, PEER_LINE, PEER_LOW_WATER, PING_AFTER, SILENCE_TIME,
};
use crate::server::{Servers, repairs};
use crate::wire::lines::{Batch, Line, LineBuffer};

/// One connection with a neighbour, or with somebody who wants to be one.
pub(in crate::server) struct Peer {
    contact: Contact,
    lines: LineBuffer,
    /// When something last came.
    heard: Option<Instant>,
    /// When the line that is not complete began.
    begun: Option<Instant>,
    /// Whether PING was asked since something last came.
    pinged: bool,
}

impl Peer {
    pub(in crate::server) fn new(contact: Contact) -> Self {
        Self { contact, lines: LineBuffer::new(PEER_LINE), heard: None, begun: None, pinged: false }
    }

    fn refuse(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, why: &str) {
        let id = transport.id();
        let parting = self.contact.refuse(&mut transport.event_loop(), servers, id, why);
        part(transport, parting);
    }

    /// Sets the deadline: for HERD, for the rest of a line, for any sign of life.
    fn expect(&self, transport: &mut Transport<'_, Servers>) {
        let now = transport.event_loop().now();
        let heard = self.heard.unwrap_or(now);
        let silence = match (self.contact.phase(), self.pinged) {
            (Phase::Unmet(_) | Phase::Over(..), _) => return,
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
        let Some(hello) = self.contact.meet(servers, transport.id()) else { return transport.abort() };
        transport.set_write_buffer_limits(PEER_HIGH_WATER, PEER_LOW_WATER);
        transport.write(&hello);
        self.heard = Some(transport.event_loop().now());
        self.expect(transport);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers, data: &[u8]) {
        let (id, now) = (transport.id(), transport.event_loop().now());
        let Self { contact, lines, heard, begun, pinged } = self;
        let mut fresh = lines.is_empty();
        let (mut feed, mut batch) = (lines.feed(data), Batch::new());
        loop {
            let mut event_loop = transport.event_loop();
            feed.fill(&mut batch, |line| contact.may_be_next(line));
            let outcome = match batch.is_empty() {
                false => contact.learn(&mut event_loop, servers, id, &batch).map(|()| None),
                true => match feed.next() {
                    Some(Line::Whole(line)) => contact.obey(&mut event_loop, servers, id, line),
                    Some(Line::TooLong(_)) => Err(contact.refuse(&mut event_loop, servers, id, contact::TOO_LONG)),
                    None => break,
                },
            };
            fresh = true;
            match outcome {
                Ok(None) => {}
                Ok(Some(answer)) => transport.write(answer),
                // What follows is not even logged.
                Err(parting) => return part(transport, parting),
            }
        }
        drop((feed, batch));
        // Before HERD nothing buys time.
        if matches!(contact.phase(), Phase::Up(_)) {
            *heard = Some(now);
            *pinged = false;
        }
        *begun = match (lines.is_empty(), fresh) {
            (true, _) => None,
            (false, true) => Some(now),
            (false, false) => *begun,
        };
        self.expect(transport);
    }

    fn eof_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers) -> AfterEof {
        self.contact.cut_off(&self.lines.take_last().unwrap_or_default());
        AfterEof::Close
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let id = transport.id();
        repairs::caught_up(&mut transport.event_loop(), servers, id);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Servers>, servers: &mut Servers) {
        let (id, now) = (transport.id(), transport.event_loop().now());
        let late = |since: Option<Instant>, time: Duration| since.is_some_and(|since| now >= since + time);
        match self.contact.phase() {
            Phase::Unmet(_) | Phase::Over(..) => transport.abort(),
            _ if late(self.begun, LINE_TIME) => self.refuse(transport, servers, contact::TOO_SLOW),
            Phase::Hello(_) => self.refuse(transport, servers, contact::NO_HELLO),
            Phase::Up(_) if late(self.heard, SILENCE_TIME) => {
                self.contact.log_silence(servers, id);
                transport.abort();
            }
            Phase::Up(_) => {
                if let Some(ping) = self.contact.ping(&mut transport.event_loop(), servers, id) {
                    transport.write(ping);
                }
                self.pinged = true;
                self.expect(transport);
            }
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Servers>, servers: &mut Servers, lost: Lost) {
        self.contact.farewell(event_loop, servers, lost);
    }
}

fn part(transport: &mut Transport<'_, Servers>, parting: Parting) {
    match parting {
        Parting::Theirs => transport.close(),
        Parting::Ours(err) => {
            transport.write(&err);
            transport.close_slowly(GOODBYE_TIME);
        }
    }
}
