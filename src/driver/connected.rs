//! Connected sockets by the slots of their connections, and what is known of their readiness.
//!
//! mio reports edges: each is noted here, and holds until a call has said `WouldBlock` or come up short.

use std::io;

use mio::event::Event;
use mio::{Interest, Registry};

use super::stream::Stream;
use super::token;
use crate::event_loop::ConnId;

/// The table of them.
#[derive(Default)]
pub(super) struct Connected(Vec<Option<Socket>>);

/// One of them.
pub(super) struct Socket {
    pub(super) id: ConnId,
    pub(super) stream: Stream,
    pub(super) readable: Readiness,
    pub(super) writable: bool,
    /// It stands in the queue of those to be read.
    pub(super) read_queued: bool,
    /// It stands in the queue of those to be written.
    pub(super) write_queued: bool,
}

/// What is known of a socket's incoming side.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Readiness {
    /// Nothing to read, until the next edge.
    Drained,
    /// There may be something; it stands in the queue, unless the loop does not want it.
    Ready,
    /// The end was reported, or an urgent byte: read until the end shows, or nothing does.
    Ending,
    /// An error was reported: the same, but it is told without a read if the loop wants none.
    Broken,
}

impl Connected {
    pub(super) fn get(&mut self, id: ConnId) -> Option<&mut Socket> {
        self.0.get_mut(id.index())?.as_mut().filter(|socket| socket.id == id)
    }

    /// Notes what is reported of the socket in this slot; whose it is, unless the event is older than its owner.
    pub(super) fn note(&mut self, slot: usize, event: &Event) -> Option<&Socket> {
        let socket = self.0.get_mut(slot)?.as_mut().filter(|socket| token::connection(socket.id) == event.token())?;
        socket.readable = socket.readable.max(Readiness::of(event));
        socket.writable |= event.is_writable();
        Some(socket)
    }

    /// Gives a connected socket its place, and has it watched.
    pub(super) fn place(&mut self, registry: &Registry, id: ConnId, mut stream: Stream) -> io::Result<()> {
        stream.set_nodelay()?;
        registry.register(&mut stream, token::connection(id), INTEREST)?;
        if self.0.len() <= id.index() {
            self.0.resize_with(id.index() + 1, || None);
        }
        // New sockets can be written to; whether there is something to read, the first edge tells.
        let socket = Socket {
            id,
            stream,
            readable: Readiness::Drained,
            writable: true,
            read_queued: false,
            write_queued: false,
        };
        self.0[id.index()] = Some(socket);
        Ok(())
    }

    /// Drops the socket, if there is one.
    pub(super) fn drop(&mut self, registry: &Registry, id: ConnId) {
        if let Some(place) = self.0.get_mut(id.index())
            && let Some(mut socket) = place.take_if(|socket| socket.id == id)
        {
            // The descriptor is closed next; should the poll have lost it already, nothing is missing.
            let _ = registry.deregister(&mut socket.stream);
        }
    }
}

impl Readiness {
    fn of(event: &Event) -> Self {
        if event.is_error() {
            Self::Broken
        } else if event.is_read_closed() || event.is_priority() {
            Self::Ending
        } else if event.is_readable() {
            Self::Ready
        } else {
            Self::Drained
        }
    }
}

/// What a connected socket reports.
#[cfg(any(target_os = "linux", target_os = "android"))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// What a connected socket reports; nothing of urgent bytes, where the system does not say.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);
