//! One simulated TCP connection: two ends, and what is on its way to each of them.
//!
//! Everything that crosses the network is a [`Piece`], in order: the handshake, the bytes, the ends, and the news that there
//! is room again. So delays, stalls and cuts need no cases.
//!
//! What it does not do: time, chance and addresses are the network's.

use std::collections::VecDeque;
use std::time::Instant;

use super::trace::Content;
use super::{ClientId, HostId};
use crate::event_loop::{Address, ConnId, ListenerId};

/// A connection, from the first SYN until both ends are closed.
pub(super) struct Wire {
    /// The one who dialled, then the one who listens.
    pub(super) ends: [End; 2],
}

/// The name of an end; wires are numbered and numbers are not used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct EndId {
    pub(super) wire: u64,
    pub(super) side: Side,
}

impl EndId {
    pub(super) fn peer(self) -> Self {
        let side = match self.side {
            Side::Dialler => Side::Listener,
            Side::Listener => Side::Dialler,
        };
        Self { side, ..self }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Side {
    Dialler,
    Listener,
}

/// One side of a connection: a socket, and the way to it.
pub(super) struct End {
    pub(super) owner: Owner,
    pub(super) address: Address,
    pub(super) phase: EndPhase,
    /// On its way to here.
    pub(super) travelling: VecDeque<Piece>,
    /// How many of those have arrived at an obstacle.
    pub(super) held: usize,
    /// When the last of those arrives, so that none overtakes it.
    pub(super) last_arrival: Instant,
    /// Here, but not read yet.
    pub(super) unread: VecDeque<u8>,
    /// Bytes in `travelling`.
    pub(super) in_flight: usize,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// What it says, for the trace.
    pub(super) content: Content,
}

/// Who has an end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    /// The SYN has not arrived.
    Nobody,
    /// It waits to be accepted.
    Backlog(HostId, ListenerId),
    Connection(HostId, ConnId),
    Client(ClientId),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EndPhase {
    /// A SYN is on its way; or, at the other end, none has come.
    Dialling,
    Open,
    /// A reset came; the owner may not know yet.
    Broken,
    /// The owner has dropped it.
    Closed,
}

/// What has come of the peer's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Inbound {
    Open,
    /// A FIN is here, behind what is unread.
    Ended,
}

/// What has become of our own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outbound {
    Open,
    /// The peer's window was full when we wrote last; a [`Piece::Room`] follows.
    Waiting,
    /// A FIN was sent.
    Finished,
}

/// What crosses the network.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Syn,
    SynAck,
    Bytes(Vec<u8>),
    Fin,
    Reset,
    /// The reader has taken something, the window is open again.
    Room,
}

impl Wire {
    pub(super) fn new(owner: Owner, from: Address, to: Address, now: Instant) -> Self {
        Self { ends: [End::new(owner, from, now), End::new(Owner::Nobody, to, now)] }
    }

    pub(super) fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(super) fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side as usize]
    }

    pub(super) fn is_over(&self) -> bool {
        self.ends.iter().all(|end| end.phase == EndPhase::Closed)
    }
}

impl End {
    fn new(owner: Owner, address: Address, now: Instant) -> Self {
        Self {
            owner,
            address,
            phase: EndPhase::Dialling,
            travelling: VecDeque::new(),
            held: 0,
            last_arrival: now,
            unread: VecDeque::new(),
            in_flight: 0,
            inbound: Inbound::Open,
            outbound: Outbound::Open,
            content: Content::Unknown,
        }
    }

    /// How many bytes may be sent to here.
    pub(super) fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.in_flight + self.unread.len())
    }

    /// Whether reading would tell something.
    pub(super) fn is_readable(&self) -> bool {
        self.phase == EndPhase::Broken || !self.unread.is_empty() || self.inbound == Inbound::Ended
    }

    /// The next piece that is on its way to here.
    pub(super) fn take(&mut self) -> Option<Piece> {
        let piece = self.travelling.pop_front()?;
        if let Piece::Bytes(bytes) = &piece {
            self.in_flight -= bytes.len();
        }
        Some(piece)
    }

    /// A reset: whatever was not read is lost.
    pub(super) fn shatter(&mut self) {
        self.phase = EndPhase::Broken;
        self.unread.clear();
        self.travelling.clear();
        self.in_flight = 0;
        self.held = 0;
    }

    pub(super) fn host(&self) -> Option<HostId> {
        match self.owner {
            Owner::Backlog(host, _) | Owner::Connection(host, _) => Some(host),
            Owner::Nobody | Owner::Client(_) => None,
        }
    }
}
