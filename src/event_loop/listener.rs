//! A listening socket as the loop sees it: where, for whom, how many, and how it gets over being refused.
//!
//! Two troubles pass by themselves and are waited for: an address still in use ([`BIND_PATIENCE`]), and a process out of
//! file descriptors ([`ACCEPT_DELAY`], said once per [`REPORT_EVERY`]).
//!
//! A listener that is closed keeps its slot until the last of its connections is lost: then its factory is told.

use std::io;
use std::time::{Duration, Instant};

use super::address::Address;
use super::channel::ServerSecurity;
use super::connection::Phase;
use super::dial::HANDSHAKE_TIMEOUT;
use super::hub::{Hub, Ready};
use super::id::{ConnId, ListenerId};
use super::protocol::ProtocolFactory;
use super::request::Request;
use super::timers::Due;

/// Where to listen, and how: the arguments of asyncio's
/// [`create_server`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.create_server).
///
/// One connection at a time; the next waits in the backlog:
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::{driver::sim::*, event_loop::*};
/// #
/// # struct Hello;
/// #
/// # impl Protocol<()> for Hello {
/// #     fn connection_made(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
/// #         transport.write(b"hello");
/// #     }
/// #
/// #     fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {}
/// # }
/// #
/// # let mut sim = Sim::new(7, Weather::default());
/// # let host = sim.add_host("Goloman", ());
/// let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// sim.enter(host, |event_loop, _| {
///     event_loop.listen_with(Listen::on(address).max_connections(1), |_: &mut ()| Hello);
/// });
/// let (first, second) = (sim.connect(address), sim.connect(address));
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!((sim.received(first), sim.received(second)), (&b"hello"[..], &b""[..]));
/// sim.half_close(first);
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.received(second), b"hello");
/// ```
#[derive(Clone, Debug)]
pub struct Listen {
    pub(super) address: Address,
    pub(super) security: ServerSecurity,
    pub(super) backlog: u32,
    pub(super) max_connections: usize,
    pub(super) max_handshakes: usize,
    pub(super) handshake_timeout: Duration,
}

impl Listen {
    /// On this address, in plain TCP or as a Unix socket, with the defaults of the methods below.
    pub fn on(address: impl Into<Address>) -> Self {
        Self {
            address: address.into(),
            security: ServerSecurity::Plain,
            backlog: BACKLOG,
            max_connections: usize::MAX,
            max_handshakes: usize::MAX,
            handshake_timeout: HANDSHAKE_TIMEOUT,
        }
    }

    /// How the connections are protected. asyncio: `ssl`.
    pub fn security(self, security: ServerSecurity) -> Self {
        Self { security, ..self }
    }

    /// How many connections the system lets wait to be accepted: 1024 unless set, and no more than the system's own limit.
    /// asyncio: `backlog`, 100.
    pub fn backlog(self, backlog: u32) -> Self {
        Self { backlog, ..self }
    }

    /// How many connections may live at once, those in a handshake counted: without limit unless set. The next ones wait in
    /// the backlog until one is gone. Not in asyncio.
    pub fn max_connections(self, max_connections: usize) -> Self {
        Self { max_connections, ..self }
    }

    /// How many of its connections may be in their first TLS handshake at once: without limit unless set. The next ones wait in
    /// the backlog until one is done, or lost. For doors where strangers knock: a handshake costs much more than what asked for
    /// it. Not in asyncio.
    pub fn max_handshakes(self, max_handshakes: usize) -> Self {
        Self { max_handshakes, ..self }
    }

    /// How long a TLS handshake may take, also that of a `start_tls`: 10 s unless set.
    /// asyncio: `ssl_handshake_timeout`, 60 s.
    pub fn handshake_timeout(self, handshake_timeout: Duration) -> Self {
        Self { handshake_timeout, ..self }
    }
}

/// A listener, bound or about to be.
pub(super) struct Listener {
    pub(super) generation: u32,
    pub(super) listen: Listen,
    pub(super) phase: ListenerPhase,
    /// Its connections that are not lost.
    pub(super) connections: usize,
    /// Those of them that have TLS to agree on before they are made.
    handshakes: usize,
    /// Why it could not be bound, for the factory.
    pub(super) failure: Option<io::Error>,
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
    /// Closed, or not bound. The slot is free again once no connection is left, and the factory knows.
    Closed,
}

impl Listener {
    pub(super) fn new(listen: Listen, generation: u32, now: Instant) -> Self {
        let phase = ListenerPhase::Binding(now + BIND_PATIENCE);
        Self { generation, listen, phase, connections: 0, handshakes: 0, failure: None, reported: None }
    }

    /// Whether the driver should accept another connection now.
    pub(super) fn wants_accept(&self) -> bool {
        self.phase == ListenerPhase::Listening
            && self.connections < self.listen.max_connections
            && self.handshakes < self.listen.max_handshakes
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
    pub(super) fn listen(&mut self, listen: Listen, factory: Box<dyn ProtocolFactory<S>>) -> ListenerId {
        self.generations = self.generations.wrapping_add(1);
        let (address, backlog) = (listen.address.clone(), listen.backlog);
        let listener = Listener::new(listen, self.generations, self.clock.now());
        let listener = ListenerId::new(self.listeners.insert(listener), self.generations);
        self.new_factories.push((listener, factory));
        self.requests.push_back(Request::Listen { listener, address, backlog });
        listener
    }

    pub(super) fn listener(&mut self, id: ListenerId) -> Option<&mut Listener> {
        let listener = self.listeners.get_mut(id.index())?;
        let alive = listener.generation == id.generation() && listener.phase != ListenerPhase::Closed;
        alive.then_some(listener)
    }

    pub(super) fn close_listener(&mut self, id: ListenerId) {
        if let Some(listener) = self.listener(id) {
            listener.phase = ListenerPhase::Closed;
            let deserted = listener.connections == 0;
            self.requests.push_back(Request::CloseListener { listener: id });
            if deserted {
                self.ready.push_back(Ready::Deserted(id));
            }
        }
    }

    /// Closes, and has what is left of the connections aborted after `grace`.
    pub(super) fn shut_down(&mut self, id: ListenerId, grace: Duration) {
        self.close_listener(id);
        let when = self.after(grace);
        self.timers.schedule(when, Due::Grace(id));
    }

    /// A connection was accepted.
    pub(super) fn adopt(&mut self, listener: ListenerId, id: ConnId) {
        let connection = &mut self.connections[id.index()];
        connection.rare.listener = Some(listener);
        let listener = &mut self.listeners[listener.index()];
        listener.connections += 1;
        listener.handshakes += usize::from(connection.is_first_handshake());
    }

    /// Its connections that are not over.
    pub(super) fn connections_of(&self, id: ListenerId) -> Vec<ConnId> {
        let accepted = self.connections.iter().filter(|(_, connection)| connection.rare.listener == Some(id));
        let left = accepted.filter(|(_, connection)| !connection.is_over());
        left.map(|(index, connection)| ConnId::new(index, connection.generation)).collect()
    }

    pub(super) fn close_clients(&mut self, id: ListenerId) {
        for connection in self.connections_of(id) {
            self.close(connection, Phase::Closing(None));
        }
    }

    pub(super) fn abort_clients(&mut self, id: ListenerId) {
        for connection in self.connections_of(id) {
            self.end(connection, None);
        }
    }

    /// One of its connections is about to be made, or to be lost without: another may begin its handshake.
    pub(super) fn end_first_handshake(&mut self, id: ListenerId) {
        self.make_room(id, |listener| listener.handshakes -= 1);
    }

    /// One of its connections was lost: there may be room for another, or nobody is left.
    pub(super) fn forget_connection(&mut self, id: ListenerId) {
        self.make_room(id, |listener| listener.connections -= 1);
        let Listener { phase, connections, .. } = self.listeners[id.index()];
        if phase == ListenerPhase::Closed && connections == 0 {
            self.ready.push_back(Ready::Deserted(id));
        }
    }

    /// Makes `less` of what is limited; who waits in the backlog comes in, if that was why.
    fn make_room(&mut self, id: ListenerId, less: impl FnOnce(&mut Listener)) {
        let listener = &mut self.listeners[id.index()];
        let was_full = !listener.wants_accept();
        less(listener);
        if was_full && listener.wants_accept() {
            self.requests.push_back(Request::Accept { listener: id });
        }
    }

    /// An address could not be bound. It is told next turn: whoever listens again at once must not hold this one up.
    pub(super) fn listen_failed(&mut self, id: ListenerId, error: io::Error) {
        let now = self.clock.now();
        let Some(listener) = self.listener(id) else { return };
        if listener.may_bind_later(&error, now) {
            self.timers.schedule(self.clock.after(BIND_DELAY), Due::Bind(id));
        } else {
            let what = format!("{}: {error}", listener.listen.address);
            listener.failure = Some(io::Error::new(error.kind(), what));
            self.close_listener(id);
        }
    }

    pub(super) fn bind_again(&mut self, id: ListenerId) {
        if let Some(Listen { address, backlog, .. }) = self.listener(id).map(|listener| &listener.listen) {
            let request = Request::Listen { listener: id, address: address.clone(), backlog: *backlog };
            self.requests.push_back(request);
        }
    }

    pub(super) fn accept_failed(&mut self, id: ListenerId, error: &io::Error) {
        let now = self.clock.now();
        let Some(listener) = self.listener(id) else { return };
        if listener.phase == ListenerPhase::OutOfDescriptors {
            // A new edge came before the time: one retry is enough.
            return;
        }
        listener.phase = ListenerPhase::OutOfDescriptors;
        if listener.should_report(now) {
            log::warn!("accepting on {} pauses for {ACCEPT_DELAY:?} at a time: {error}", listener.listen.address);
        }
        self.timers.schedule(self.clock.after(ACCEPT_DELAY), Due::Accept(id));
    }

    pub(super) fn accept_again(&mut self, id: ListenerId) {
        if let Some(listener) = self.listener(id) {
            listener.phase = ListenerPhase::Listening;
            self.requests.push_back(Request::Accept { listener: id });
        }
    }
}

const BACKLOG: u32 = 1024;

/// How long an address in use is tried again.
const BIND_PATIENCE: Duration = Duration::from_secs(2);

/// The time between two tries to bind.
const BIND_DELAY: Duration = Duration::from_millis(50);

/// How long nothing is accepted after the process ran out of file descriptors (asyncio: 1 s).
const ACCEPT_DELAY: Duration = Duration::from_millis(100);

/// The least time between two log lines about it.
const REPORT_EVERY: Duration = Duration::from_secs(5);
