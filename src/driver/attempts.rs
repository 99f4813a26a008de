//! Sockets that are connecting, several for one connection perhaps.
//!
//! `take_error` eats the error, so it is asked once per event. (On a connected socket that would turn a reset into a clean
//! end: there `sockets` reads, and asks only for a connection that the loop does not want to read from.)

use std::collections::BTreeSet;
use std::io::{self, ErrorKind};

use mio::net::TcpStream;
use mio::{Interest, Registry};
use slab::Slab;

use super::token;
use crate::event_loop::{Address, ConnId, Endpoints};

/// The attempts under way.
#[derive(Default)]
pub(super) struct Attempts {
    under_way: Slab<Attempt>,
    /// Whose they are: every slot of the slab with its connection, a connection's in one stretch.
    owners: BTreeSet<(ConnId, usize)>,
    failures: Vec<Failure>,
}

/// One of them.
pub(super) struct Attempt {
    pub(super) id: ConnId,
    pub(super) address: Address,
    pub(super) stream: TcpStream,
}

/// One that the system did not even begin.
pub(super) struct Failure {
    pub(super) id: ConnId,
    pub(super) address: Address,
    pub(super) error: io::Error,
}

impl Attempts {
    /// Starts an attempt. Should that fail at once, `failures` says so in the next turn: to whom connects again as soon
    /// as it is lost, the turn would have no end.
    pub(super) fn start(&mut self, registry: &Registry, id: ConnId, address: Address) {
        if let Err(error) = self.begin(registry, id, &address) {
            self.failures.push(Failure { id, address, error });
        }
    }

    fn begin(&mut self, registry: &Registry, id: ConnId, address: &Address) -> io::Result<()> {
        let Some(ip) = address.ip() else { return Err(ErrorKind::Unsupported.into()) };
        let mut stream = TcpStream::connect(ip)?;
        let entry = self.under_way.vacant_entry();
        registry.register(&mut stream, token::attempt(entry.key()), Interest::READABLE | Interest::WRITABLE)?;
        self.owners.insert((id, entry.key()));
        entry.insert(Attempt { id, address: address.clone(), stream });
        Ok(())
    }

    /// Whether there are `failures`.
    pub(super) fn have_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// The attempts that failed at once, for the last time.
    pub(super) fn failures(&mut self) -> Vec<Failure> {
        std::mem::take(&mut self.failures)
    }

    /// An event came for the attempt in this slot: what became of it, if it is over.
    pub(super) fn outcome(&mut self, registry: &Registry, slot: usize) -> Option<(Attempt, io::Result<Endpoints>)> {
        let stream = &self.under_way.get(slot)?.stream;
        let outcome = match stream.take_error() {
            Ok(Some(error)) | Err(error) => Err(error),
            Ok(None) => match stream.peer_addr() {
                Ok(peer) => stream.local_addr().map(|local| Endpoints::new(peer, local)),
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
