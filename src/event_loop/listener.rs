//! A listening socket as the loop sees it: where, for whom, how many, and how it gets over being refused.
//!
//! Two troubles pass by themselves and are waited for: an address still in use ([`BIND_PATIENCE`]), and a process out of
//! file descriptors ([`ACCEPT_DELAY`], said once per [`REPORT_EVERY`]).

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::channel::ServerSecurity;
use super::hub::Hub;
use super::id::ListenerId;
use super::protocol::ProtocolFactory;
use super::request::Request;
use super::timers::Due;

/// A listener, bound or about to be.
pub(super) struct Listener {
    pub(super) generation: u32,
    pub(super) address: SocketAddr,
    pub(super) security: ServerSecurity,
    pub(super) phase: ListenerPhase,
    reported: Option<Instant>,
}

/// How far a listener is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ListenerPhase {
    /// Not bound yet; gives up at this time.
    Binding(Instant),
    /// Bound; connections are accepted.
    Listening,
    /// Bound; accepts again when file descriptors may have become free.
    OutOfDescriptors,
    /// Closed. The slot is free again once the driver has heard of it.
    Closed,
}

impl Listener {
    pub(super) fn new(address: SocketAddr, security: ServerSecurity, generation: u32, now: Instant) -> Self {
        Self { generation, address, security, phase: ListenerPhase::Binding(now + BIND_PATIENCE), reported: None }
    }

    /// Whether a failure to bind may pass by itself.
    pub(super) fn may_bind_later(&self, error: &io::Error, now: Instant) -> bool {
        let ListenerPhase::Binding(until) = self.phase else { return false };
        error.kind() == io::ErrorKind::AddrInUse && now < until
    }

    /// Whether a failed accept is worth a line in the log now.
    pub(super) fn should_report(&mut self, now: Instant) -> bool {
        let silent = self.reported.is_some_and(|last| now < last + REPORT_EVERY);
        if !silent {
            self.reported = Some(now);
        }
        !silent
    }
}

impl<S> Hub<S> {
    pub(super) fn listen(
        &mut self,
        address: SocketAddr,
        security: ServerSecurity,
        factory: Box<dyn ProtocolFactory<S>>,
    ) -> ListenerId {
        self.generations = self.generations.wrapping_add(1);
        let listener = Listener::new(address, security, self.generations, self.now);
        let listener = ListenerId::new(self.listeners.insert(listener), self.generations);
        self.new_factories.push((listener, factory));
        self.requests.push_back(Request::Listen { listener, address });
        listener
    }

    pub(super) fn listener(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let listener = self.listeners.get_mut(id.index())?;
        let alive = listener.generation == id.generation() && listener.phase != ListenerPhase::Closed;
        alive.then_some(listener)
    }

    pub(super) fn unlisten(&mut self, id: ListenerId) {
        if let Some(listener) = self.listener(id) {
            listener.phase = ListenerPhase::Closed;
            self.requests.push_back(Request::Unlisten { listener: id });
        }
    }

    /// An address could not be bound: true if that was the last try.
    pub(super) fn listen_failed(&mut self, id: ListenerId, error: &io::Error) -> bool {
        let now = self.now;
        let Some(listener) = self.listener(id) else { return false };
        let later = listener.may_bind_later(error, now);
        if later {
            self.timers.schedule(now + BIND_DELAY, Due::Bind(id));
        }
        !later
    }

    pub(super) fn bind_again(&mut self, id: ListenerId) {
        if let Some(address) = self.listener(id).map(|listener| listener.address) {
            self.requests.push_back(Request::Listen { listener: id, address });
        }
    }

    pub(super) fn accept_failed(&mut self, id: ListenerId, error: &io::Error) {
        let now = self.now;
        let Some(listener) = self.listener(id) else { return };
        if listener.phase == ListenerPhase::OutOfDescriptors {
            // A new edge came before the time: one retry is enough.
            return;
        }
        listener.phase = ListenerPhase::OutOfDescriptors;
        if listener.should_report(now) {
            log::warn!("accepting on {} pauses for {ACCEPT_DELAY:?} at a time: {error}", listener.address);
        }
        self.timers.schedule(now + ACCEPT_DELAY, Due::Accept(id));
    }

    pub(super) fn accept_again(&mut self, id: ListenerId) {
        if let Some(listener) = self.listener(id) {
            listener.phase = ListenerPhase::Listening;
            self.requests.push_back(Request::Accept { listener: id });
        }
    }
}

/// How long an address in use is tried again.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

/// The time between two tries to bind.
const BIND_DELAY: Duration = Duration::from_millis(50);

/// How long nothing is accepted after the process ran out of file descriptors (asyncio: 1 s).
const ACCEPT_DELAY: Duration = Duration::from_millis(100);

/// The least time between two log lines about it.
const REPORT_EVERY: Duration = Duration::from_secs(5);
