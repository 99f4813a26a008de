//! One connection as the loop sees it: how far it is, what waits to be sent, what its protocol is owed, its deadline.
//!
//! No callback is made here. A method changes the connection and says whether its protocol is owed a call; `hub` keeps
//! the list of those, `dispatch` makes the calls.

use std::io;
use std::time::Duration;

use super::address::Endpoints;
use super::buffer::{Spares, WriteBuffer};
use super::channel::Channel;
use super::clock::{Moment, Span};
use super::dial::{Dial, HANDSHAKE_TIMEOUT};
use super::id::ListenerId;

/// A slot of the hub's table. It is in a box there, as the table has up to twice the slots that it needs, and is copied when it
/// grows.
pub(super) struct Connection {
    pub(super) generation: u32,
    pub(super) phase: Phase,
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    pub(super) channel: Channel,
    pub(super) outgoing: WriteBuffer,
    pub(super) marks: Marks,
    pub(super) flow: Flow,
    pub(super) deadline: Deadline,
    pub(super) rare: Rare,
    /// How many bytes are read at once, at the most.
    pub(super) read_size: u32,
    /// Somebody wants its protocol woken.
    pub(super) wake: bool,
    /// It stands in the list of those that have something to send.
    pub(super) dirty: bool,
    /// It stands in the list of those that are owed a callback.
    pub(super) unsettled: bool,
}

/// What is seldom looked at: by itself, so that what is looked at for each message lies together.
pub(super) struct Rare {
    /// Unknown while it is being made.
    pub(super) endpoints: Option<Endpoints>,
    /// Who accepted it, if we did not make it.
    pub(super) listener: Option<ListenerId>,
    /// `connection_made` was called.
    pub(super) made: bool,
    pub(super) handshake_timeout: Span,
    pub(super) close_timeout: Span,
    /// More bytes than this do not wait to be sent: the connection ends instead. At least the high-water mark.
    pub(super) write_cap: usize,
    /// How many writes came too late and were dropped, up to [`LATE_WRITES`].
    pub(super) late_writes: u8,
}

impl Default for Rare {
    fn default() -> Self {
        Self {
            endpoints: None,
            listener: None,
            made: false,
            handshake_timeout: HANDSHAKE_TIMEOUT.into(),
            close_timeout: CLOSE_TIMEOUT.into(),
            write_cap: usize::MAX,
            late_writes: 0,
        }
    }
}

/// How far a connection is. It only ever moves down this list, but for an upgrade.
pub(super) enum Phase {
    /// Looking for an address that answers.
    Connecting(Box<Dial>),
    /// TLS is being agreed on.
    Handshaking,
    /// `connection_made` was called; data flows.
    Open,
    /// `start_tls` was called: TLS is being agreed on, then it is open again.
    Upgrading,
    /// Nothing more is taken from either side; what waits is sent, then it ends for this reason.
    Closing(Option<io::Error>),
    /// As `Closing`, but afterwards the peer's bytes are read and thrown away for this long.
    ClosingSlowly(Duration),
    /// All is sent and said; this many more of the peer's bytes are thrown away, so that they do not reset what we said.
    Lingering(usize),
    /// It has ended before it stood: `Ended`, but not before the next turn.
    Unmade(Option<io::Error>),
    /// The protocol is owed its `connection_lost`, for this reason.
    Ended(Option<io::Error>),
    /// It had it. The slot is free again once the driver has heard that it may drop the socket.
    Lost,
}

/// The peer's half of the connection, and whether the protocol wants its bytes now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Reading {
    Flowing,
    Paused,
    /// The peer has ended its half: no more will come.
    Ended,
}

/// Our half of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Writing {
    Open,
    /// `write_eof` was called: a FIN follows what waits.
    Finishing,
    /// The FIN is on its way.
    Finished,
}

/// What the protocol knows, or is about to be told, of its write buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Flow {
    Free,
    PauseDue,
    Paused,
    ResumeDue,
}

/// The water marks of a write buffer, in bytes; what is beyond 4 GiB counts as that, so that they take little room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks {
    high: u32,
    low: u32,
}

impl Marks {
    pub(super) fn new(high: usize, low: usize) -> Self {
        let mark = |bytes| u32::try_from(bytes).unwrap_or(u32::MAX);
        Self { high: mark(high), low: mark(low) }
    }

    /// The low one and the high one.
    pub(super) fn limits(self) -> (usize, usize) {
        (self.low(), self.high())
    }

    fn high(self) -> usize {
        self.high as usize
    }

    fn low(self) -> usize {
        self.low as usize
    }
}

impl Default for Marks {
    /// asyncio's: 64 KiB and a quarter of it.
    fn default() -> Self {
        Self::new(64 * 1024, 16 * 1024)
    }
}

/// When a connection must have got on, and which entry of the timers stands for that.
///
/// Moving the deadline later costs nothing: the entry comes up at the old time, finds the new one and is set again.
#[derive(Clone, Copy, Default)]
pub(super) struct Deadline {
    pub(super) at: Option<Moment>,
    pub(super) alarm: Option<Moment>,
}

impl Connection {
    pub(super) fn new(generation: u32, phase: Phase, channel: Channel) -> Self {
        Self {
            generation,
            phase,
            reading: Reading::Flowing,
            writing: Writing::Open,
            channel,
            outgoing: WriteBuffer::default(),
            marks: Marks::default(),
            flow: Flow::Free,
            deadline: Deadline::default(),
            rare: Rare::default(),
            read_size: u32::MAX,
            wake: false,
            dirty: false,
            unsettled: false,
        }
    }

    /// Whether `write` is still accepted.
    pub(super) fn is_writable(&self) -> bool {
        !self.is_closing() && self.writing == Writing::Open
    }

    /// Whether `close` or `abort` was called, or the connection has ended by itself.
    pub(super) fn is_closing(&self) -> bool {
        !matches!(self.phase, Phase::Connecting(_) | Phase::Handshaking | Phase::Open | Phase::Upgrading)
    }

    /// Whether TLS is, or was when it was lost, to be agreed on before `connection_made`.
    pub(super) fn is_first_handshake(&self) -> bool {
        matches!(self.channel, Channel::Tls(_)) && !self.rare.made
    }

    /// Whether its `connection_lost` is due or was made.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Unmade(_) | Phase::Ended(_) | Phase::Lost)
    }

    /// How many bytes the driver should read from the socket, at the most; none if it should not read.
    pub(super) fn read_size(&self) -> usize {
        let wants_read = match self.phase {
            Phase::Handshaking | Phase::Upgrading | Phase::Lingering(_) => true,
            Phase::Open => self.reading == Reading::Flowing,
            _ => false,
        };
        if wants_read { self.read_size as usize } else { 0 }
    }

    /// Bytes that were written and have not been taken by the system, unless it is too late for that.
    pub(super) fn unsent(&self) -> usize {
        if self.is_over() { 0 } else { self.outgoing.len() + self.channel.held_back() }
    }

    pub(super) fn write(&mut self, data: &[u8], spares: &mut Spares) -> io::Result<()> {
        self.outgoing.prepare(spares);
        self.channel.write(data, &mut self.outgoing)?;
        let unsent = self.unsent();
        if unsent > self.marks.high() && unsent > self.rare.write_cap {
            let what = format!("{unsent} bytes wait to be sent, at most {} may", self.rare.write_cap);
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, what));
        }
        Ok(())
    }

    /// Whether it has to be put on the list of those that have something to send; it counts as being there.
    pub(super) fn becomes_dirty(&mut self) -> bool {
        !self.outgoing.is_empty() && !std::mem::replace(&mut self.dirty, true)
    }

    /// Compares what waits with the marks; true if the protocol is owed a callback. A pause that was never told is
    /// taken back silently.
    pub(super) fn update_flow(&mut self) -> bool {
        let unsent = self.unsent();
        self.flow = match self.flow {
            Flow::Free if unsent > self.marks.high() => Flow::PauseDue,
            Flow::PauseDue if unsent <= self.marks.low() => Flow::Free,
            Flow::Paused if unsent <= self.marks.low() => Flow::ResumeDue,
            Flow::ResumeDue if unsent > self.marks.high() => Flow::Paused,
            unchanged => return matches!(unchanged, Flow::PauseDue | Flow::ResumeDue),
        };
        matches!(self.flow, Flow::PauseDue | Flow::ResumeDue)
    }

    pub(super) fn is_writing_paused(&self) -> bool {
        matches!(self.flow, Flow::PauseDue | Flow::Paused)
    }
}

/// How long a closed connection may take to send what waits.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// From so many writes on that came too late, somebody does not look at `is_closing` (asyncio's threshold).
pub(super) const LATE_WRITES: u8 = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pause_strictly_above_high_resume_at_low() {
        let mut connection = Connection::new(1, Phase::Open, Channel::Plain);
        let mut spares = Spares::default();
        connection.marks = Marks::new(10, 4);
        let mut check = |write: usize, take: usize, expected: Flow| {
            connection.write(&vec![0; write], &mut spares).expect("plain writes do not fail");
            connection.outgoing.take(take, &mut spares);
            connection.update_flow();
            assert_eq!(connection.flow, expected, "{} bytes wait", connection.unsent());
            connection.flow = match connection.flow {
                Flow::PauseDue => Flow::Paused,
                Flow::ResumeDue => Flow::Free,
                told => told,
            };
        };
        check(10, 0, Flow::Free);
        check(1, 0, Flow::PauseDue);
        check(1, 0, Flow::Paused);
        check(0, 7, Flow::Paused);
        check(0, 1, Flow::ResumeDue);
        check(0, 4, Flow::Free);
    }
}
