//! Sockets that are connecting, several for one connection perhaps.
//!
//! `take_error` eats the error, so it is asked once per event. (On a connected socket that would turn a reset into a clean
//! end: there `sockets` reads, and asks only for a connection that the loop does not want to read from.)

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use mio::{Interest, Registry};
use slab::Slab;

use super::stream::Stream;
use super::token;
use crate::event_loop::{Address, ConnId, Endpoints};

/// The attempts under way.
#[derive(Default)]
pub(super) struct Attempts {
    under_way: Slab<Attempt>,
    /// Whose they are: every slot of the slab with its connection, a connection's in one stretch.
    owners: BTreeSet<(ConnId, usize)>,
}

/// One of them.
pub(super) struct Attempt {
    pub(super) id: ConnId,
    pub(super) address: Address,
    pub(super) stream: Stream,
}

impl Attempts {
    /// Waits for an attempt that has begun.
    pub(super) fn start(&mut self, registry: &Registry, mut attempt: Attempt) -> io::Result<()> {
        let entry = self.under_way.vacant_entry();
        let token = token::attempt(entry.key());
        registry.register(&mut attempt.stream, token, Interest::READABLE | Interest::WRITABLE)?;
        self.owners.insert((attempt.id, entry.key()));
        entry.insert(attempt);
        Ok(())
    }

    /// An event came for the attempt in this slot: what became of it, if it is over.
    pub(super) fn outcome(&mut self, registry: &Registry, slot: usize) -> Option<(Attempt, io::Result<Endpoints>)> {
        let stream = &self.under_way.get(slot)?.stream;
        let outcome = match stream.take_error() {
            Ok(Some(error)) | Err(error) => Err(error),
            Ok(None) => match stream.peer_addr() {
                Ok(peer) => stream.local_addr().map(|local| Endpoints { peer, local }),
                // Still under way.
                Err(error) if error.kind() == ErrorKind::NotConnected => return None,
                Err(error) => Err(error),
            },
        };
        let mut attempt = self.under_way.remove(slot);
        self.owners.remove(&(attempt.id, slot));
        // It is registered again under its connection's own token, or closed.
        let _ = registry.deregister(&mut attempt.stream);
        Some((attempt, outcome))
    }

    /// Drops what is still under way for a connection: it stands, or nobody wants it any more.
    pub(super) fn drop_all(&mut self, id: ConnId) {
        while let Some(owned) = self.owners.range((id, 0)..=(id, usize::MAX)).next().copied() {
            self.owners.remove(&owned);
            self.under_way.remove(owned.1);
        }
    }
}
