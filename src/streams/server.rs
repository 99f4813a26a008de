//! Servers whose connections are tasks: asyncio's `start_server` and its `Server`.

use std::cell::RefCell;
use std::future::{Future, pending};
use std::io;
use std::rc::Rc;
use std::time::Duration;

use super::event::Event;
use super::handle::Handle;
use super::reader::StreamReader;
use super::writer::StreamWriter;
use crate::event_loop::{Address, Listen, ListenerId, Loop, Protocol, ProtocolFactory};

/// What [`Handle::start_server`](super::Handle::start_server) has started. Dropping it stops listening; connections live on.
/// asyncio: [`Server`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.Server).
#[must_use = "dropping it stops listening"]
pub struct Server<S: 'static> {
    handle: Handle<S>,
    listener: ListenerId,
    address: Address,
    standing: Rc<Standing>,
}

impl<S> Server<S> {
    /// Where it listens: with the port that the system chose, if it was asked to. asyncio: `sockets`.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The listener, for the loop's methods.
    pub fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Stops listening; connections live on. asyncio: `close`.
    pub fn close(&self) {
        self.ask(|event_loop, listener| event_loop.close_listener(listener));
    }

    /// Closes every connection; their tasks read the end. asyncio: `close_clients` (3.13).
    pub fn close_clients(&self) {
        self.ask(|event_loop, listener| event_loop.close_clients(listener));
    }

    /// Aborts every connection. asyncio: `abort_clients` (3.13).
    pub fn abort_clients(&self) {
        self.ask(|event_loop, listener| event_loop.abort_clients(listener));
    }

    /// Stops listening, and gives the connections `grace` to end by themselves: see [`Loop::shut_down`].
    pub fn shut_down(&self, grace: Duration) {
        self.ask(move |event_loop, listener| event_loop.shut_down(listener, grace));
    }

    /// Waits until it was closed and its last connection is lost. asyncio: `wait_closed` (as of 3.12.1).
    pub async fn wait_closed(&self) {
        self.standing.closed.wait().await;
    }

    /// Listens until the task is cancelled. asyncio: `serve_forever`.
    pub async fn serve_forever(self) {
        pending().await
    }

    fn ask(&self, what: impl FnOnce(&mut Loop<'_, S>, ListenerId) + 'static) {
        let listener = self.listener;
        self.handle.call_soon(move |event_loop, _| what(event_loop, listener));
    }
}

impl<S: 'static> Drop for Server<S> {
    fn drop(&mut self) {
        self.close();
    }
}

/// What the loop tells of a listener.
#[derive(Default)]
struct Standing {
    outcome: RefCell<Option<io::Result<Address>>>,
    known: Event,
    closed: Event,
}

/// Listens, and waits until that is so.
pub(super) async fn start<S, F>(
    handle: Handle<S>,
    listen: Listen,
    handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) -> io::Result<Server<S>>
where
    S: 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let standing = Rc::new(Standing::default());
    let handler = Rc::new(RefCell::new(handler));
    let entrance = Entrance { handle: handle.clone(), handler, standing: Rc::clone(&standing) };
    let unknown = Address::from(([0, 0, 0, 0], 0));
    let caller = handle.clone();
    // Made where it begins to listen: whenever this is dropped, it takes the listener with it.
    let listen = move |event_loop: &mut Loop<'_, S>, _: &mut S| {
        let listener = event_loop.listen_with(listen, entrance);
        Server { handle, listener, address: unknown, standing }
    };
    let mut server = caller.call(listen).await;
    server.standing.known.wait().await;
    server.address = server.standing.outcome.take().expect("it was told before the event was set")?;
    Ok(server)
}

struct Entrance<S, H> {
    handle: Handle<S>,
    handler: Rc<RefCell<H>>,
    standing: Rc<Standing>,
}

impl<S, H, F> ProtocolFactory<S> for Entrance<S, H>
where
    S: 'static,
    H: FnMut(StreamReader, StreamWriter) -> F + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    fn protocol(&mut self, _: &mut S) -> Box<dyn Protocol<S>> {
        let handler = Rc::clone(&self.handler);
        Box::new(self.handle.protocol(move |reader, writer| (handler.borrow_mut())(reader, writer)))
    }

    fn listening(&mut self, _: &mut Loop<'_, S>, _: &mut S, address: &Address) {
        self.tell(Ok(address.clone()));
    }

    fn failed(&mut self, _: &mut Loop<'_, S>, _: &mut S, error: io::Error) {
        self.tell(Err(error));
    }

    fn closed(&mut self, _: &mut Loop<'_, S>, _: &mut S) {
        self.standing.closed.set();
    }
}

impl<S, H> Entrance<S, H> {
    fn tell(&self, outcome: io::Result<Address>) {
        self.standing.outcome.replace(Some(outcome));
        self.standing.known.set();
    }
}
