//! The loop, as lent to a callback: its clock, its connections, what shall happen later.

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

    /// The loop's clock: when this turn began. asyncio: `time`.
    pub fn now(&self) -> Instant {
        self.hub.now
    }

    /// The system's clock, read when this turn began.
    pub fn wall_clock(&self) -> SystemTime {
        self.hub.wall
    }

    /// The connection of that name, or `None` if it is gone.
    pub fn transport(&mut self, id: ConnId) -> Option<Transport<'_, S>> {
        self.hub.live(id)?;
        Some(Transport::new(id, self.hub))
    }

    /// Connects `protocol`, by name through the resolver's threads and to all addresses by Happy Eyeballs (RFC 8305).
    /// What comes of it is told to the protocol: `connection_made`, or `connection_lost` with the reason.
    /// asyncio: `create_connection`.
    pub fn connect(
        &mut self,
        target: impl Into<Target>,
        security: Security,
        protocol: impl Protocol<S> + 'static,
    ) -> ConnId {
        self.connect_with(Connect::to(target).security(security), protocol)
    }

    /// The same, with more to say.
    pub fn connect_with(&mut self, connect: Connect, protocol: impl Protocol<S> + 'static) -> ConnId {
        self.hub.connect(connect, Box::new(protocol))
    }

    /// Listens on `address`; each connection gets a protocol from `factory`, which is also told whether it worked.
    /// An address in use is tried again for 2 s. asyncio: `create_server`.
    pub fn listen(
        &mut self,
        address: impl Into<Address>,
        security: ServerSecurity,
        factory: impl ProtocolFactory<S> + 'static,
    ) -> ListenerId {
        self.listen_with(Listen::on(address).security(security), factory)
    }

    /// The same, with more to say.
    pub fn listen_with(&mut self, listen: Listen, factory: impl ProtocolFactory<S> + 'static) -> ListenerId {
        self.hub.listen(listen, Box::new(factory))
    }

    /// Stops listening; connections that were accepted live on, those that wait to be are reset by the system. When the
    /// last has been lost, the factory is told ([`ProtocolFactory::closed`]). asyncio: `Server.close`.
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.hub.unlisten(listener);
    }

    /// Stops listening and gives the connections `grace` to end by themselves: those that are left then are aborted. So
    /// [`ProtocolFactory::closed`] comes soon after that at the latest. In asyncio: `Server.close`, then `wait_closed` with
    /// a timeout, then `abort_clients`.
    pub fn shut_down(&mut self, listener: ListenerId, grace: Duration) {
        self.hub.shut_down(listener, grace);
    }

    /// Closes every connection that a listener has accepted. asyncio: `Server.close_clients` (3.13).
    pub fn close_clients(&mut self, listener: ListenerId) {
        self.hub.close_clients(listener);
    }

    /// Aborts every connection that a listener has accepted. asyncio: `Server.abort_clients` (3.13).
    pub fn abort_clients(&mut self, listener: ListenerId) {
        self.hub.abort_clients(listener);
    }

    /// The connections that a listener has accepted and that are not over, the listener's end notwithstanding.
    pub fn connections_of(&self, listener: ListenerId) -> Vec<ConnId> {
        self.hub.connections_of(listener)
    }

    /// Has the protocol of `id` called (`woken`) at the next turn, or once its connection is made, so that it looks at the
    /// state.
    pub fn wake(&mut self, id: ConnId) {
        self.hub.wake(id);
    }

    /// Calls `callback` at the next turn, in the order of the calls. asyncio: `call_soon`.
    pub fn call_soon(&mut self, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.hub.call(None, Box::new(callback))
    }

    /// Calls `callback` after `delay`. asyncio: `call_later`.
    pub fn call_later(&mut self, delay: Duration, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.call_at(self.hub.after(delay), callback)
    }

    /// Calls `callback` at `when`, or at the next turn if that has passed; equal times in the order of the calls.
    /// asyncio: `call_at`.
    pub fn call_at(&mut self, when: Instant, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) -> CallId {
        self.hub.call(Some(when), Box::new(callback))
    }

    /// Takes a callback back; does nothing if it was called already. asyncio: `Handle.cancel`.
    pub fn cancel(&mut self, call: CallId) {
        self.hub.cancel(call);
    }

    /// This loop, for other threads: its [`call_soon_threadsafe`](Remote::call_soon_threadsafe).
    pub fn remote(&mut self) -> Remote<S> {
        self.hub.requests.push_back(Request::WatchThreads);
        self.hub.mailbox.remote()
    }

    /// Has another thread do `job`, which may block or take long, then calls `done` with what it returned, or with what it
    /// panicked with. The threads are few ([`Sockets`](crate::driver::Sockets) has as many as asyncio, four more than
    /// processors and at most 32), and not those that look names up. Who cancels the call hears no more of it; a job that
    /// has begun is done all the same. asyncio: `run_in_executor`.
    ///
    /// ```no_run
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

    /// Calls `handler` whenever the process gets `signal`, as an ordinary callback; replaces the handler before.
    /// asyncio: `add_signal_handler`.
    pub fn on_signal(&mut self, signal: Signal, handler: impl FnMut(&mut Loop<'_, S>, &mut S) + 'static) {
        if self.hub.handlers.insert(signal, Handling::By(Box::new(handler))).is_none() {
            self.hub.requests.push_back(Request::WatchSignal { signal });
        }
    }

    /// Lets `signal` have its default effect again, which is to end the process; false if nobody handled it.
    /// asyncio: `remove_signal_handler`.
    pub fn remove_signal_handler(&mut self, signal: Signal) -> bool {
        let Some(handling) = self.hub.handlers.get_mut(&signal) else { return false };
        !matches!(std::mem::replace(handling, Handling::Default), Handling::Default)
    }

    /// Calls `handler` with every callback that panics, instead of a line in the log; replaces the handler before.
    /// asyncio: `set_exception_handler`.
    pub fn set_exception_handler(&mut self, handler: impl FnMut(&mut Loop<'_, S>, &mut S, &Panicked) + 'static) {
        self.hub.exception_handler = Some(Box::new(handler));
    }

    /// Stops the loop at the end of this turn; what is scheduled stays, for when it runs again. asyncio: `stop`.
    pub fn stop(&mut self) {
        self.hub.stopped = true;
    }
}
