//! The loop, as lent to a callback: its clock, its connections, what shall happen later.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use super::channel::{Security, ServerSecurity};
use super::dial::Target;
use super::hub::Hub;
use super::id::{CallId, ConnId, ListenerId};
use super::protocol::{Protocol, ProtocolFactory};
use super::request::{Request, Signal};
use super::transport::Transport;

/// The event loop for as long as a callback runs. asyncio's
/// [event loop](https://docs.python.org/3/library/asyncio-eventloop.html), less what belongs to a driver.
///
/// A protocol reaches other connections by their names, which it keeps in the state; [`transport`](Self::transport) finds
/// those that still live:
///
/// ```
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
/// let address = ([127, 0, 0, 1], 7).into();
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

    /// Connects `protocol`, by name through the resolver's thread and to all addresses by Happy Eyeballs (RFC 8305).
    /// What comes of it is told to the protocol: `connection_made`, or `connection_lost` with the reason.
    /// asyncio: `create_connection`.
    pub fn connect(
        &mut self,
        target: impl Into<Target>,
        security: Security,
        protocol: impl Protocol<S> + 'static,
    ) -> ConnId {
        self.hub.connect(target.into(), security, Box::new(protocol))
    }

    /// Listens on `address`; each connection gets a protocol from `factory`, which is also told whether it worked.
    /// An address in use is tried again for 2 s. asyncio: `create_server`.
    pub fn listen(
        &mut self,
        address: SocketAddr,
        security: ServerSecurity,
        factory: impl ProtocolFactory<S> + 'static,
    ) -> ListenerId {
        self.hub.listen(address, security, Box::new(factory))
    }

    /// Stops listening; connections that were accepted live on. asyncio: `Server.close`.
    pub fn close_listener(&mut self, listener: ListenerId) {
        self.hub.unlisten(listener);
    }

    /// The connections that a listener has accepted and that are not over, the listener's end notwithstanding.
    pub fn connections_of(&self, listener: ListenerId) -> Vec<ConnId> {
        let accepted = self.hub.connections.iter().filter(|(_, connection)| connection.listener == Some(listener));
        let left = accepted.filter(|(_, connection)| !connection.is_over());
        left.map(|(index, connection)| ConnId::new(index, connection.generation)).collect()
    }

    /// Has the protocol of `id` called (`woken`) at the next turn, so that it looks at the state.
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

    /// Calls `handler` whenever the process gets `signal`, as an ordinary callback; replaces the handler before.
    /// asyncio: `add_signal_handler`.
    pub fn on_signal(&mut self, signal: Signal, handler: impl FnMut(&mut Loop<'_, S>, &mut S) + 'static) {
        let known = self.hub.handlers.iter_mut().find(|(known, _)| *known == signal);
        match known {
            Some((_, place)) => *place = Some(Box::new(handler)),
            None => {
                self.hub.handlers.push((signal, Some(Box::new(handler))));
                self.hub.requests.push_back(Request::WatchSignal { signal });
            }
        }
    }

    /// Stops the loop at the end of this turn. asyncio: `stop`.
    pub fn stop(&mut self) {
        self.hub.stopped = true;
    }
}
