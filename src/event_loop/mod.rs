//! The event loop, without I/O: what has come goes in, what is to leave comes out, and protocols are called in between.
//!
//! Protocols, the hub and the application's state `S` are disjoint fields of the loop. A callback is lent its own protocol,
//! the hub (through a [`Transport`] or a [`Loop`]) and the state: so none of them is shared, counted or locked, and the
//! borrow checker proves that a callback reaches no other protocol.
//!
//! Rules:
//! - Callbacks never nest. What a callback wants done to connections is done at once; what would have to call somebody
//!   is put on a list, and `settle` works the list off after the callback has returned, before any other event.
//! - There is one place where protocols are called: `EventLoop::dispatch`, in `dispatch` (with `lose` beside it, for
//!   `connection_lost`).
//! - The loop owns neither sockets nor clocks. A driver does ([`crate::driver`]): it calls the methods under *inputs* with
//!   what happened, then does what the methods under *outputs* hand out.
//!
//! # A turn
//!
//! What asyncio calls an iteration. The order is asyncio's, but where it is said.
//!
//! 1. *The driver sleeps* until something has happened, or is due.
//! 2. What waited for this turn is called, first come, first served: [`Loop::call_soon`], [`Loop::wake`], jobs that are done;
//!    then what other threads want called. What they schedule in the same way is the next turn's.
//! 3. I/O: attempts to connect and lookups that have ended, and signals; then reads, one for each connection that has
//!    something; then accepts, `connection_made` included (asyncio: two iterations later).
//! 4. What was due when the turn began, the earliest first: [`Loop::call_later`], [`Transport::set_timeout`] and the loop's own
//!    timeouts. So if the process was held up, an answer that came in time is read before its timeout.
//! 5. The hooks of [`Loop::before_sleep`] (asyncio has none): tasks run here, see [`streams`](crate::streams).
//! 6. What was written is sent, with one system call for each connection (asyncio: from inside `write`, or as I/O). This leads
//!    to `resume_writing` and, after `close`, to `connection_lost`.
//!
//! After each call come those that it has led to, before anything else: pauses, resumptions, losses. [`crate::driver`] says
//! how much of it there is in a turn, and shows one.
//!
//! # From asyncio to here
//!
//! The [`Protocol`]'s page says what differs. Not offered: datagrams, subprocesses, pipes, `sendfile`, `add_reader`.
//!
//! | asyncio | here |
//! | --- | --- |
//! | `run_forever`, `stop` | [`Sockets::run`](crate::driver::Sockets::run), [`Loop::stop`] |
//! | `close` | drop the [`EventLoop`], and its driver |
//! | `time` | [`Loop::now`]; for the date, [`Loop::wall_clock`] |
//! | `call_soon`, `call_later`, `call_at` | [`Loop::call_soon`], [`Loop::call_later`], [`Loop::call_at`] |
//! | `Handle.cancel` | [`Loop::cancel`] |
//! | `call_soon_threadsafe` | [`Loop::remote`], then [`Remote::call_soon_threadsafe`] |
//! | `run_in_executor`, `to_thread` | [`Loop::run_in_executor`] |
//! | `getaddrinfo` | only as a part of [`Loop::connect`]: [`Target::Name`] |
//! | `add_signal_handler`, `remove_signal_handler` | [`Loop::add_signal_handler`], [`Loop::remove_signal_handler`] |
//! | `set_exception_handler`, its context | [`Loop::set_exception_handler`], [`Panicked`] |
//! | `call_exception_handler` | [`Loop::call_exception_handler`] |
//! | `create_connection`, `create_unix_connection` | [`Loop::connect`]; with more arguments, [`Loop::connect_with`] a [`Connect`] |
//! | `create_server`, `create_unix_server` | [`Loop::listen`]; with more arguments, [`Loop::listen_with`] a [`Listen`] |
//! | their `ssl`, `server_hostname` | [`Security`], [`ServerSecurity`] |
//! | `SSLContext.load_cert_chain` of a context in use | [`Loop::set_security`] |
//! | `create_server(sock=...)` | [`Sockets::provide`](crate::driver::Sockets::provide) |
//! | `Server.sockets`, `is_serving` | [`ProtocolFactory::listening`], [`ProtocolFactory::failed`] |
//! | `Server.close`, `close_clients`, `abort_clients` | [`Loop::close_listener`], [`Loop::close_clients`], [`Loop::abort_clients`] |
//! | `Server.wait_closed`; with a timeout | [`ProtocolFactory::closed`]; [`Loop::shut_down`] |
//! | `start_tls` | [`Transport::start_tls`] |
//! | `Protocol`, its callbacks | [`Protocol`], of the same names |
//! | another protocol's methods, a `Future` between two | the state `S`, and [`Loop::wake`] |
//! | `ReadTransport`, `WriteTransport`, their methods | [`Transport`], of the same names |
//! | `get_write_buffer_size` | [`Transport::write_buffer_size`] |
//! | `get_write_buffer_limits` | [`Transport::write_buffer_limits`] |
//! | `can_write_eof`, `get_protocol` | none; the first would always be true |
//! | `get_extra_info`: `peername`, `sockname` | [`Transport::peer_addr`], [`Transport::local_addr`], [`Transport::endpoints`] |
//! | `ssl_object`, `cipher`, `peercert` | [`Transport::tls_info`] |
//! | `socket` | none: the driver has it |
//! | `BufferedProtocol` | [`Protocol`]: data is lent, not copied |
//! | an exception in a callback | [`Transport::fail`], or a panic |
//! | `Task`, `StreamReader`, `wait_for` and their kin | [`streams`](crate::streams), a room on top of this one |
//!
//! # The files
//!
//! Reading order: [`Protocol`], [`Transport`], [`Loop`], this file, `dispatch`; then `hub`, `connection`, `channel`; then
//! what the hub has in rooms of its own: `connecting` with `dial`, `listener`, `schedule` with `timers` and `clock`; `panics`, `remote`.

mod address;
mod buffer;
mod channel;
mod clock;
mod connecting;
mod connection;
mod dial;
mod dispatch;
mod handle;
mod hub;
mod id;
mod listener;
mod panics;
mod protocol;
mod remote;
mod request;
mod schedule;
mod timers;
mod transport;

use std::io;
use std::net::SocketAddr;
use std::task::Waker;
use std::time::{Instant, SystemTime};

pub use self::address::{Address, Endpoints};
pub use self::channel::{Security, ServerSecurity, StartTls, TlsInfo};
pub use self::dial::{Connect, Target};
pub use self::handle::Loop;
pub use self::id::{CallId, ConnId, ListenerId};
pub use self::listener::Listen;
pub use self::panics::Panicked;
pub use self::protocol::{AfterEof, Lost, Protocol, ProtocolFactory};
pub use self::remote::{Closed, Remote};
pub use self::request::{Request, Signal};
pub use self::schedule::Job;
pub use self::transport::Transport;

use self::channel::Channel;
use self::clock::Moment;
use self::connection::{Connection, Phase};
use self::dispatch::put;
use self::hub::{Handling, Hub, Ready};
use self::listener::ListenerPhase;
use self::panics::guarded;
use self::remote::RemoteCallback;
use self::timers::Due;

type Callback<S> = Box<dyn FnOnce(&mut Loop<'_, S>, &mut S)>;
type Handler<S> = Box<dyn FnMut(&mut Loop<'_, S>, &mut S)>;
type ExceptionHandler<S> = Box<dyn FnMut(&mut Loop<'_, S>, &mut S, &Panicked)>;

/// Connections, their protocols and an application's state `S`: see the [module](self).
///
/// [`Sockets`](crate::driver::Sockets) drives it over the network, [`Sim`](crate::driver::Sim) without one; [`crate::driver`]
/// has examples of both, and of one by hand. The state is the application's, and the loop's to lend:
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use proxy_herd::driver::Sockets;
/// use proxy_herd::event_loop::EventLoop;
///
/// let mut event_loop = EventLoop::new(vec!["made"], Instant::now(), SystemTime::now());
/// event_loop.enter(|event_loop, state| {
///     state.push("entered");
///     event_loop.call_soon(|event_loop, state| {
///         state.push("called");
///         event_loop.stop();
///     });
/// });
/// Sockets::new()?.run(&mut event_loop)?;
/// assert_eq!(event_loop.state(), &["made", "entered", "called"]);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct EventLoop<S> {
    state: S,
    protocols: Vec<Option<Box<dyn Protocol<S>>>>,
    factories: Vec<Option<Box<dyn ProtocolFactory<S>>>>,
    hub: Hub<S>,
    /// What was due when the turn began; its calls come after those of I/O.
    due: Vec<(Moment, Due)>,
    /// Somebody may have changed the state since the hooks were called, perhaps outside a turn: they are due once more.
    called: bool,
    /// What a TLS channel decrypts into, one for all.
    plaintext: Vec<u8>,
    /// What other threads want called, on its way to what is called next; kept for its memory.
    letters: Vec<RemoteCallback<S>>,
}

impl<S> EventLoop<S> {
    /// A loop without connections, at this time.
    pub fn new(state: S, now: Instant, wall: SystemTime) -> Self {
        Self {
            state,
            protocols: Vec::new(),
            factories: Vec::new(),
            hub: Hub::new(now, wall),
            due: Vec::new(),
            called: false,
            plaintext: Vec::new(),
            letters: Vec::new(),
        }
    }

    /// Lends the loop and the state to `visit`, as a callback would get them; what it has led to is called before this
    /// returns. A panic of `visit` is the caller's.
    pub fn enter<R>(&mut self, visit: impl FnOnce(&mut Loop<'_, S>, &mut S) -> R) -> R {
        self.called = true;
        let result = visit(&mut Loop::new(&mut self.hub), &mut self.state);
        self.settle();
        result
    }

    /// The application's state.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// The application's state, and nothing else: connections are dropped without a word, and so are tasks.
    pub fn into_state(self) -> S {
        self.state
    }

    /// Takes a [`Loop::stop`] back, so that the loop may run again: what was scheduled is still there. For drivers; see
    /// [`Sockets::run`](crate::driver::Sockets::run).
    pub fn go_on(&mut self) {
        self.hub.stopped = false;
    }
}

/// Inputs: what a driver tells the loop.
impl<S> EventLoop<S> {
    /// A turn begins: sets the clocks, and makes the calls of `call_soon` and `wake` that were waiting.
    pub fn advance(&mut self, now: Instant, wall: SystemTime) {
        self.hub.clock.advance(now);
        self.hub.wall = wall;
        // Before anybody is called: what is set for "now" after this is the next turn's.
        while let Some(entry) = self.hub.timers.pop_due(self.hub.clock.moment()) {
            self.due.push(entry);
        }
        self.hub.mailbox.take(&mut self.letters);
        for callback in self.letters.drain(..) {
            self.hub.call(None, callback);
        }
        for _ in 0..self.hub.ready.len() {
            match self.hub.ready.pop_front() {
                Some(Ready::Call(id)) => drop(self.run(id)),
                Some(Ready::Wake(id)) => self.wake(id),
                Some(Ready::Unmade(id)) => self.hub.end_unmade(id),
                Some(Ready::Deserted(id)) => self.desert(id),
                None => break,
            }
            self.settle();
        }
    }

    /// A listener is bound.
    pub fn listening(&mut self, id: ListenerId, address: impl Into<Address>) {
        let address = address.into();
        let Some(listener) = self.hub.listener(id) else { return };
        listener.listen.address = address.clone();
        listener.phase = ListenerPhase::Listening;
        self.ask_factory(id, "listening", |factory, event_loop, state| {
            factory.listening(event_loop, state, &address);
        });
        self.settle();
    }

    /// A listener could not be bound.
    pub fn listen_failed(&mut self, id: ListenerId, error: io::Error) {
        self.hub.listen_failed(id, error);
    }

    /// Accepting has failed, as when the process is out of file descriptors: a [`Request::Accept`] follows in 100 ms.
    pub fn accept_failed(&mut self, id: ListenerId, error: io::Error) {
        self.hub.accept_failed(id, &error);
    }

    /// A connection was accepted. `None`: drop the socket, as its listener is closed, or its protocol could not be made.
    pub fn accepted(&mut self, listener: ListenerId, endpoints: Endpoints) -> Option<ConnId> {
        let listen = &self.hub.listener(listener)?.listen;
        let handshake_timeout = listen.handshake_timeout;
        let channel = match Channel::accepted(&listen.security) {
            Ok(channel) => channel,
            Err(error) => {
                log::error!("no TLS for a connection of {}: {error}", endpoints.peer);
                return None;
            }
        };
        let protocol = self.ask_factory(listener, "protocol", |factory, _, state| factory.protocol(state))?;
        let id = self.hub.insert(Phase::Handshaking, channel, handshake_timeout);
        self.hub.adopt(listener, id);
        put(&mut self.protocols, id.index(), protocol);
        self.establish(id, endpoints);
        Some(id)
    }

    /// An attempt to connect has succeeded. False: drop the socket, as another was faster, or the connection is over.
    pub fn connected(&mut self, id: ConnId, endpoints: Endpoints) -> bool {
        let Some(Connection { phase: Phase::Connecting(_), .. }) = self.hub.live(id) else { return false };
        self.establish(id, endpoints);
        true
    }

    /// An attempt to connect has failed.
    pub fn connect_failed(&mut self, id: ConnId, address: impl Into<Address>, error: io::Error) {
        self.hub.connect_failed(id, address.into(), error);
        self.settle();
    }

    /// A name was looked up; the addresses are in the resolver's order.
    pub fn resolved(&mut self, id: ConnId, found: io::Result<Vec<SocketAddr>>) {
        self.hub.resolved(id, found);
        self.settle();
    }

    /// Bytes came from the socket.
    pub fn received(&mut self, id: ConnId, wire: &[u8]) {
        let Some(connection) = self.hub.live(id) else { return };
        match (&mut connection.phase, &connection.channel) {
            (Phase::Open, Channel::Plain) => {
                self.dispatch(id, "data_received", |protocol, transport, state| {
                    protocol.data_received(transport, state, wire);
                });
            }
            (Phase::Open | Phase::Handshaking | Phase::Upgrading, Channel::Tls(_)) => self.decrypt(id, wire),
            (Phase::Lingering(left), _) => match left.checked_sub(wire.len()) {
                Some(rest) => *left = rest,
                None => self.hub.end(id, None),
            },
            _ => {}
        }
        self.settle();
    }

    /// The peer has ended its half of the socket.
    pub fn received_eof(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        match (&connection.phase, &mut connection.channel) {
            (Phase::Open, Channel::Plain) => self.peer_ended(id),
            (Phase::Open | Phase::Handshaking | Phase::Upgrading, Channel::Tls(tls)) => {
                if let Err(error) = tls.receive_eof() {
                    self.hub.end(id, Some(error));
                }
            }
            (Phase::Lingering(_), _) => self.hub.end(id, None),
            _ => {}
        }
        self.settle();
    }

    /// The system took `count` of the bytes that were [`pending`](Self::pending).
    pub fn sent(&mut self, id: ConnId, count: usize) {
        self.hub.sent(id, count);
        self.settle();
    }

    /// The socket has failed.
    pub fn lost(&mut self, id: ConnId, error: io::Error) {
        let Some(connection) = self.hub.live(id) else { return };
        let why = match &mut connection.phase {
            // Everything was said; how the peer leaves changes nothing.
            Phase::Lingering(_) => None,
            // The reason for closing is the better one.
            Phase::Closing(why @ Some(_)) => why.take(),
            _ => Some(error),
        };
        self.hub.end(id, why);
        self.settle();
    }

    /// The process got a signal. False: nobody handles it (any more), and it shall have its default effect.
    pub fn signalled(&mut self, signal: Signal) -> bool {
        let Some(handling) = self.hub.handlers.get_mut(&signal) else { return false };
        let Handling::By(mut handler) = std::mem::replace(handling, Handling::UnderWay) else { return false };
        self.call("a signal's handler", None, |event_loop, state| handler(event_loop, state));
        // Unless it has removed itself, or put another in its place.
        if let Some(handling @ Handling::UnderWay) = self.hub.handlers.get_mut(&signal) {
            *handling = Handling::By(handler);
        }
        self.settle();
        true
    }

    /// Another thread has done what [`take_job`](Self::take_job) gave.
    pub fn executed(&mut self, call: CallId) {
        self.hub.ready.push_back(Ready::Call(call));
    }

    /// Whom to wake when another thread wants something called; see [`Request::WatchThreads`].
    pub fn set_waker(&mut self, waker: Waker) {
        self.hub.mailbox.set_waker(waker);
    }

    /// A turn ends: makes the calls that were due when it began, then those of the hooks of `before_sleep`.
    pub fn end_turn(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        for (when, due) in due.drain(..) {
            match due {
                Due::Call(id) if self.run(id) => {}
                Due::Call(_) => self.hub.timers.forget_stale(),
                Due::Deadline(id) if self.hub.deadline_passed(id, when) => self.time_out(id),
                Due::Deadline(_) => {}
                Due::Attempt(id) => self.hub.dial_on_in_time(id, when),
                Due::Bind(listener) => self.hub.bind_again(listener),
                Due::Accept(listener) => self.hub.accept_again(listener),
                Due::Grace(listener) => self.hub.abort_clients(listener),
            }
            self.settle();
        }
        self.due = due;
        self.called = false;
        let mut hooks = std::mem::take(&mut self.hub.hooks);
        for hook in &mut hooks {
            // Not by `call`: what a hook does to the state is no reason to call the hooks again.
            if let Err(payload) = guarded(|| hook(&mut Loop::new(&mut self.hub), &mut self.state)) {
                self.report(&Panicked::new("before_sleep", None, payload));
            }
        }
        // Those that hooks have added come last, from the next turn on.
        hooks.append(&mut self.hub.hooks);
        self.hub.hooks = hooks;
        self.settle();
    }
}

/// Outputs: what a driver asks the loop.
impl<S> EventLoop<S> {
    /// The next thing to do, if there is one.
    pub fn poll_request(&mut self) -> Option<Request> {
        let request = self.hub.requests.pop_front()?;
        if let Request::Close { id } = request {
            self.hub.release(id);
        }
        Some(request)
    }

    /// The next connection that has something to send; each comes once, until it is written to again.
    pub fn next_dirty(&mut self) -> Option<ConnId> {
        self.hub.next_dirty()
    }

    /// What waits to be sent; nothing before the connection stands.
    pub fn pending(&self, id: ConnId) -> &[u8] {
        match self.hub.connection(id) {
            None | Some(Connection { phase: Phase::Connecting(_), .. }) => &[],
            Some(connection) => connection.outgoing.as_slice(),
        }
    }

    /// Whether to read from the socket.
    pub fn wants_read(&self, id: ConnId) -> bool {
        self.read_size(id) > 0
    }

    /// How many bytes to read from the socket in this turn, if the driver does not read less anyway; none if it should not read.
    pub fn read_size(&self, id: ConnId) -> usize {
        self.hub.connection(id).map_or(0, Connection::read_size)
    }

    /// Whether to accept another connection from a listener. If not, a [`Request::Accept`] follows when it is.
    pub fn wants_accept(&self, id: ListenerId) -> bool {
        let listener = self.hub.listeners.get(id.index());
        listener.is_some_and(|listener| listener.generation == id.generation() && listener.wants_accept())
    }

    /// The job of a [`Request::Execute`]: to be run on another thread, then told to [`executed`](Self::executed). `None` if it
    /// was cancelled.
    pub fn take_job(&mut self, call: CallId) -> Option<Job> {
        self.hub.take_job(call)
    }

    /// When the next turn must begin at the latest, should nothing come before; `None` if nothing is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let hooks_are_due = self.called && !self.hub.hooks.is_empty();
        let at_once = hooks_are_due || !self.hub.ready.is_empty() || self.hub.mailbox.is_filled();
        if at_once {
            return Some(self.hub.clock.now());
        }
        self.hub.timers.next().map(|moment| self.hub.clock.instant_of(moment))
    }

    /// Whether [`Loop::stop`] was called.
    pub fn is_stopped(&self) -> bool {
        self.hub.stopped
    }
}
