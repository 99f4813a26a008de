//! The loop, as lent to a callback: its clock, its connections, its servers, and what is to happen later.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::address::Address;
use super::channel::{Security, ServerSecurity};
use super::dial::{Connect, Target};
use super::hub::{Handling, Hub};
use super::id::{CallId, ConnId, ListenerId};
use super::listener::Listen;
use super::panics::Panicked;
use super::protocol::{Protocol, ProtocolFactory};
use super::remote::Remote;
use super::request::{Request, Signal};
use super::transport::Transport;

/// The event loop for as long as a callback runs. asyncio's
/// [event loop](https://docs.python.org/3/library/asyncio-eventloop.html), less what belongs to a driver.
///
/// A protocol reaches other connections by their names, which it keeps in the state; [`transport`](Self::transport) finds
/// those that still live:
///
/// ```
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// use proxy_herd::driver::sim::{Sim, Weather};
/// use proxy_herd::event_loop::{ConnId, Protocol, ServerSecurity, Transport};
///
/// /// Says to all what one says.
/// struct Chat;
///
/// impl Protocol<Vec<ConnId>> for Chat {
///     fn connection_made(&mut self, transport: &mut Transport<'_, Vec<ConnId>>, everybody: &mut Vec<ConnId>) {
///         everybody.push(transport.id());
///     }
///
///     fn data_received(
///         &mut self,
///         transport: &mut Transport<'_, Vec<ConnId>>,
///         everybody: &mut Vec<ConnId>,
///         data: &[u8],
///     ) {
///         let mut event_loop = transport.event_loop();
///         for id in everybody.iter() {
///             if let Some(mut transport) = event_loop.transport(*id) {
///                 transport.write(data);
///             }
///         }
///     }
/// }
///
/// let mut sim = Sim::new(7, Weather::rough());
/// let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// let host = sim.add_host("Goloman", Vec::new());
/// sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut Vec<ConnId>| Chat));
/// let (ann, bob) = (sim.connect(address), sim.connect(address));
/// sim.run_for(Duration::from_secs(1));
/// sim.send(ann, b"hello");
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.received(bob), b"hello");
/// ```
pub struct Loop<'a, S> {
    hub: &'a mut Hub<S>,
}

impl<'a, S> Loop<'a, S> {
    pub(super) fn new(hub: &'a mut Hub<S>) -> Self {
        Self { hub }
    }

    /// The loop's clock: when this turn began. It stands still within a turn. asyncio: `time`.
    pub fn now(&self) -> Instant {
        self.hub.clock.now()
    }

    /// The system's clock, read when this turn began. It may jump, also backwards: nothing of the loop's is timed by it.
    pub fn wall_clock(&self) -> SystemTime {
        self.hub.wall
    }

    /// Stops the loop at the end of this turn, after one try to send what was written. What is scheduled stays, for when the
    /// loop runs again. Connections are told nothing: to end in good order, [`shut_down`](Self::shut_down) the listeners
    /// first. asyncio: `stop`.
    pub fn stop(&mut self) {
        self.hub.stopped = true;
    }
}

/// Callbacks, and those that fail.
impl<S> Loop<'_, S> {
    /// Calls `callback` at the next turn, in the order of the calls: what a callback schedules in this way never runs in the
    /// same turn, and I/O comes in between. asyncio: `call_soon`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use proxy_herd::driver::sim::{Sim, Weather};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let host = sim.add_host("Goloman", Vec::new());
    /// sim.enter(host, |event_loop, order| {
    ///     event_loop.call_soon(|event_loop, order: &mut Vec<&str>| {
    ///         order.push("a");
    ///         event_loop.call_soon(|_, order| order.push("a's child"));
    ///     });
    ///     event_loop.call_soon(|_, order| order.push("b"));
    ///     order.push("now");
    /// });
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!(*sim.state(host), ["now", "a", "b", "a's child"]);
    /// ```
    pub fn call_soon(&mut self, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.hub.call(None, Box::new(callback))
    }

    /// Calls `callback` after `delay`, counted from when this turn began: never early, and late by as much as other callbacks
    /// take. A delay of more than 100 years counts as 100. asyncio: `call_later`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use proxy_herd::driver::sim::{Sim, Weather};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let host = sim.add_host("Goloman", Vec::new());
    /// sim.enter(host, |event_loop, _| {
    ///     let late = event_loop.call_later(Duration::from_secs(60), |_, heard: &mut Vec<&str>| heard.push("nothing"));
    ///     event_loop.call_later(Duration::from_secs(2), move |event_loop, heard| {
    ///         heard.push("tick");
    ///         event_loop.cancel(late);
    ///     });
    /// });
    /// sim.run_for(Duration::from_secs(1));
    /// assert!(sim.state(host).is_empty());
    /// sim.run_for(Duration::from_secs(100));
    /// assert_eq!(*sim.state(host), ["tick"]);
    /// ```
    pub fn call_later(&mut self, delay: Duration, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.hub.call(Some(self.hub.after(delay)), Box::new(callback))
    }

    /// Calls `callback` at `when`, or at the next turn if that has passed; equal times in the order of the calls.
    /// asyncio: `call_at`.
    pub fn call_at(&mut self, when: Instant, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.hub.call(Some(self.hub.clock.moment_of(when)), Box::new(callback))
    }

    /// Takes a callback back, and drops it; does nothing if it was called already. asyncio: `Handle.cancel`.
    pub fn cancel(&mut self, call: CallId) {
        self.hub.cancel(call);
    }

    /// Calls `handler` for every callback that panics, instead of a line in the log; replaces the handler before. Rust's
    /// panic hook is called before that, and by default prints the panic. asyncio: `set_exception_handler`.
    ///
    /// A callback that panics costs its own connection, and no other:
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// struct Hasty;
    ///
    /// impl Protocol<Vec<String>> for Hasty {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, Vec<String>>, _: &mut Vec<String>, data: &[u8]) {
    ///         transport.write(&data[..5]);
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", Vec::new());
    /// sim.enter(host, |event_loop, _| {
    ///     event_loop.set_exception_handler(|_, reports: &mut Vec<String>, panicked| reports.push(panicked.to_string()));
    ///     event_loop.listen(address, ServerSecurity::Plain, |_: &mut Vec<String>| Hasty);
    /// });
    /// let (short, long) = (sim.connect(address), sim.connect(address));
    /// sim.send(short, b"hi");
    /// sim.send(long, b"hello");
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!((sim.ending(short), sim.ending(long)), (Some(Ending::Fin), None));
    /// assert_eq!(sim.received(long), b"hello");
    /// assert!(sim.state(host)[0].starts_with("data_received of #"));
    /// ```
    pub fn set_exception_handler(&mut self, handler: impl FnMut(&mut Loop<'_, S>, &mut S, &Panicked) + 'static) {
        self.hub.exception_handler = Some(Box::new(handler));
    }

    /// Tells the exception handler, or the log if there is none, of a panic that was caught elsewhere; when this callback has
    /// returned. asyncio: `call_exception_handler`.
    pub fn call_exception_handler(&mut self, panicked: Panicked) {
        self.hub.reports.push_back(panicked);
    }

    /// Has `hook` called at the end of every turn, this one included, before what was written is sent. If protocols are called
    /// while it is sent, another turn follows before the loop sleeps. Several hooks are called in the order of adding; none is
    /// ever taken back. Not in asyncio (libuv: `uv_prepare_t`).
    pub fn before_sleep(&mut self, hook: impl FnMut(&mut Loop<'_, S>, &mut S) + 'static) {
        self.hub.hooks.push(Box::new(hook));
    }
}

/// Connections.
impl<S> Loop<'_, S> {
    /// Connects `protocol`, by name through the resolver's threads and to all addresses by Happy Eyeballs (RFC 8305).
    /// What comes of it is told to the protocol: `connection_made`, or `connection_lost` with the reason (see
    /// [`Lost`](super::Lost)); neither comes before this callback has returned. The id is good at once: what is written before
    /// the connection stands waits for it. asyncio: `create_connection`, `create_unix_connection`.
    pub fn connect(
        &mut self,
        target: impl Into<Target>,
        security: Security,
        protocol: impl Protocol<S> + 'static,
    ) -> ConnId {
        self.connect_with(Connect::to(target).security(security), protocol)
    }

    /// The same with more arguments: see [`Connect`], which has an example.
    pub fn connect_with(&mut self, connect: Connect, protocol: impl Protocol<S> + 'static) -> ConnId {
        self.hub.connect(connect, Box::new(protocol))
    }

    /// The connection of that name, or `None` if it is gone. What is done to it is done at once; what its protocol has to be
    /// told follows when this callback has returned.
    pub fn transport(&mut self, id: ConnId) -> Option<Transport<'_, S>> {
        self.hub.live(id)?;
        Some(Transport::new(id, self.hub))
    }

    /// Has the protocol of `id` called ([`woken`](Protocol::woken)) at the next turn, or once its connection is made, so that
    /// it looks at the state: how one protocol tells another. Nothing happens if the connection is gone by then. Not in
    /// asyncio.
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// /// Who waits, and what there is to say.
    /// #[derive(Default)]
    /// struct News(Vec<ConnId>, String);
    ///
    /// struct Reader;
    ///
    /// impl Protocol<News> for Reader {
    ///     fn connection_made(&mut self, transport: &mut Transport<'_, News>, news: &mut News) {
    ///         news.0.push(transport.id());
    ///     }
    ///
    ///     fn data_received(&mut self, transport: &mut Transport<'_, News>, news: &mut News, data: &[u8]) {
    ///         news.1.push_str(&String::from_utf8_lossy(data));
    ///         let mut event_loop = transport.event_loop();
    ///         news.0.iter().for_each(|id| event_loop.wake(*id));
    ///     }
    ///
    ///     fn woken(&mut self, transport: &mut Transport<'_, News>, news: &mut News) {
    ///         transport.write(format!("{} bytes of news\n", news.1.len()).as_bytes());
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", News::default());
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut News| Reader));
    /// let (reader, writer) = (sim.connect(address), sim.connect(address));
    /// sim.send(writer, b"it rains");
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!(sim.received(reader), b"8 bytes of news\n");
    /// ```
    pub fn wake(&mut self, id: ConnId) {
        self.hub.wake(id);
    }
}

/// Servers.
impl<S> Loop<'_, S> {
    /// Listens on `address`; `factory` makes a protocol for each connection. It is also told what came of it:
    /// [`listening`](ProtocolFactory::listening), with the address, or [`failed`](ProtocolFactory::failed); an address in use
    /// is tried again for 2 s before. asyncio: `create_server`, `create_unix_server`.
    ///
    /// A listener on an IPv6 address takes no IPv4 (as in asyncio): for all addresses of both families, listen twice.
    pub fn listen(
        &mut self,
        address: impl Into<Address>,
        security: ServerSecurity,
        factory: impl ProtocolFactory<S> + 'static,
    ) -> ListenerId {
        self.listen_with(Listen::on(address).security(security), factory)
    }

    /// The same with more arguments: see [`Listen`], which has an example.
    pub fn listen_with(&mut self, listen: Listen, factory: impl ProtocolFactory<S> + 'static) -> ListenerId {
        self.hub.listen(listen, Box::new(factory))
    }

    /// Has `security` protect the connections that are accepted from now on; those that were accepted before stay as they are, in a
    /// handshake or past it. For new certificates without a pause. asyncio: `SSLContext.load_cert_chain` on the context that
    /// a server uses.
    pub fn set_security(&mut self, listener: ListenerId, security: ServerSecurity) {
        if let Some(listener) = self.hub.listener(listener) {
            listener.listen.security = security;
        }
    }

    /// Stops listening. Connections that were accepted live on; the system resets those that wait to be. When the last is
    /// lost, the factory is told ([`ProtocolFactory::closed`]). asyncio: `Server.close`.
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.hub.close_listener(listener);
    }

    /// Stops listening and gives the connections `grace` to end by themselves, then aborts those that are left; then at the
    /// latest comes [`ProtocolFactory::closed`]. In asyncio: `Server.close`, then `wait_closed` with a timeout, then
    /// `abort_clients`.
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// # struct Echo;
    /// #
    /// # impl Protocol<bool> for Echo {
    /// #     fn data_received(&mut self, transport: &mut Transport<'_, bool>, _: &mut bool, data: &[u8]) {
    /// #         transport.write(data);
    /// #     }
    /// # }
    /// #
    /// struct Entrance;
    ///
    /// impl ProtocolFactory<bool> for Entrance {
    ///     fn protocol(&mut self, _: &mut bool) -> Box<dyn Protocol<bool>> {
    ///         Box::new(Echo)
    ///     }
    ///
    ///     fn closed(&mut self, event_loop: &mut Loop<'_, bool>, is_closed: &mut bool) {
    ///         *is_closed = true;
    ///         event_loop.stop();
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", false);
    /// let listener = sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, Entrance));
    /// let (leaves, stays) = (sim.connect(address), sim.connect(address));
    /// sim.run_for(Duration::from_secs(1));
    /// sim.enter(host, |event_loop, _| event_loop.shut_down(listener, Duration::from_secs(10)));
    /// sim.half_close(leaves);
    /// sim.run_for(Duration::from_secs(9));
    /// assert_eq!((sim.ending(leaves), sim.ending(stays)), (Some(Ending::Fin), None));
    /// sim.run_for(Duration::from_secs(2));
    /// assert!(*sim.state(host) && sim.ending(stays).is_some());
    /// ```
    pub fn shut_down(&mut self, listener: ListenerId, grace: Duration) {
        self.hub.shut_down(listener, grace);
    }

    /// [Closes](Transport::close) every connection that a listener has accepted; the listener stays.
    /// asyncio: `Server.close_clients` (3.13).
    pub fn close_clients(&mut self, listener: ListenerId) {
        self.hub.close_clients(listener);
    }

    /// [Aborts](Transport::abort) every connection that a listener has accepted; the listener stays.
    /// asyncio: `Server.abort_clients` (3.13).
    pub fn abort_clients(&mut self, listener: ListenerId) {
        self.hub.abort_clients(listener);
    }

    /// The connections that a listener has accepted and that are not over, also when the listener is closed. Takes time in
    /// proportion to all connections of the loop. Not in asyncio.
    pub fn connections_of(&self, listener: ListenerId) -> Vec<ConnId> {
        self.hub.connections_of(listener)
    }
}

/// Other threads, and signals.
impl<S> Loop<'_, S> {
    /// This loop, for other threads: its [`call_soon_threadsafe`](Remote::call_soon_threadsafe).
    pub fn remote(&mut self) -> Remote<S> {
        self.hub.requests.push_back(Request::WatchThreads);
        self.hub.mailbox.remote()
    }

    /// Has another thread do `job`, which may block or take long, then calls `done` with what it returned, or with what it
    /// panicked with. The threads are few ([`Sockets`](crate::driver::Sockets) has as many as asyncio, four more than
    /// processors and at most 32), and not those that look names up. Once the call is cancelled, `done` is not called; a job
    /// that has begun is done all the same. asyncio: `run_in_executor`.
    ///
    /// ```
    /// use std::time::{Instant, SystemTime};
    ///
    /// use proxy_herd::driver::Sockets;
    /// use proxy_herd::event_loop::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    /// event_loop.enter(|event_loop, _| {
    ///     event_loop.run_in_executor(|| (1..=20).product::<u64>(), |event_loop, answer, product| {
    ///         *answer = product.expect("it does not overflow");
    ///         event_loop.stop();
    ///     })
    /// });
    /// Sockets::new()?.run(&mut event_loop)?;
    /// assert_eq!(*event_loop.state(), 2_432_902_008_176_640_000);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn run_in_executor<T: Send + 'static>(
        &mut self,
        job: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(&mut Loop<'_, S>, &mut S, thread::Result<T>) + 'static,
    ) -> CallId {
        let (give, take) = mpsc::sync_channel(1);
        let job = move || {
            // Nobody takes it if the call was cancelled.
            let _ = give.send(catch_unwind(AssertUnwindSafe(job)));
        };
        let callback = move |event_loop: &mut Loop<'_, S>, state: &mut S| {
            let nothing = || Err(Box::new("the job was not done") as Box<dyn Any + Send>);
            done(event_loop, state, take.try_recv().unwrap_or_else(|_| nothing()));
        };
        self.hub.execute(Box::new(job), Box::new(callback))
    }

    /// Calls `handler` whenever the process gets `signal`, as an ordinary callback; replaces the handler before. The same
    /// signal several times before a turn may be one call. asyncio: `add_signal_handler`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use proxy_herd::{driver::sim::{Sim, Weather}, event_loop::Signal};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let host = sim.add_host("Goloman", 0);
    /// sim.enter(host, |event_loop, _| {
    ///     event_loop.add_signal_handler(Signal::Hangup, |_, count| *count += 1);
    ///     event_loop.add_signal_handler(Signal::Terminate, |event_loop, _| event_loop.stop());
    /// });
    /// for signal in [Signal::Hangup, Signal::Hangup, Signal::Terminate] {
    ///     sim.signal(host, signal);
    ///     sim.run_for(Duration::from_secs(1));
    /// }
    /// assert_eq!(*sim.state(host), 2);
    /// assert!(!sim.is_running(host));
    /// ```
    pub fn add_signal_handler(&mut self, signal: Signal, handler: impl FnMut(&mut Loop<'_, S>, &mut S) + 'static) {
        if self.hub.handlers.insert(signal, Handling::By(Box::new(handler))).is_none() {
            self.hub.requests.push_back(Request::WatchSignal { signal });
        }
    }

    /// Lets `signal` have its default effect again, which is to end the process. False if nobody handled it.
    /// asyncio: `remove_signal_handler`.
    pub fn remove_signal_handler(&mut self, signal: Signal) -> bool {
        let Some(handling) = self.hub.handlers.get_mut(&signal) else { return false };
        !matches!(std::mem::replace(handling, Handling::Default), Handling::Default)
    }
}
