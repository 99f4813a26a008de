//! Who a task talks with, lent to the loop's calls, and seen off in any case.
//!
//! The party is the task's own. For a call it is moved into the closure, beside which the loop and the servers are at hand,
//! and moved back. Whoever drops it, the task at its end, a task that is cancelled, or a call that panics, sees it off.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Poll, ready};
use std::thread;

use crate::event_loop::{ConnId, Loop, Lost};
use crate::server::Servers;
use crate::streams::Handle;

/// One that is talked with.
pub(super) trait Party: 'static {
    /// The connection is gone: what is to be done then. What the task had of it is dropped here, and not later.
    fn farewell(self) -> impl FnOnce(&mut Loop<'_, Servers>, &mut Servers, Lost) + 'static;
}

/// One conversation. In a box, as it moves with every call.
pub(super) struct Talk<P: Party>(Option<Box<Lent<P>>>);

/// What moves.
struct Lent<P: Party> {
    handle: Handle<Servers>,
    id: ConnId,
    peer: Option<SocketAddr>,
    why: Option<io::Error>,
    /// `None` once it was seen off.
    party: Option<P>,
}

impl<P: Party> Talk<P> {
    pub(super) fn new(handle: Handle<Servers>, id: ConnId, peer: Option<SocketAddr>, party: P) -> Self {
        Self(Some(Box::new(Lent { handle, id, peer, why: None, party: Some(party) })))
    }

    /// Lends the party, the loop and the servers to `visit`.
    pub(super) fn lend<R: 'static>(
        &mut self,
        visit: impl FnOnce(&mut P, &mut Loop<'_, Servers>, &mut Servers) -> R + 'static,
    ) -> impl Future<Output = R> {
        let mut lent = self.0.take().expect("it is lent to one call at a time");
        let handle = lent.handle.clone();
        let mut call = handle.call(move |event_loop, servers| {
            let result = visit(lent.party.as_mut().expect(PRESENT), event_loop, servers);
            (lent, result)
        });
        // Not an `async fn`, which would keep room for `visit` three times.
        poll_fn(move |context| {
            let (lent, result) = ready!(Pin::new(&mut call).poll(context));
            self.0 = Some(lent);
            Poll::Ready(result)
        })
    }

    pub(super) fn party(&self) -> &P {
        self.lent().party.as_ref().expect(PRESENT)
    }

    pub(super) fn party_mut(&mut self) -> &mut P {
        self.parts().0
    }

    /// The party, and the handle beside it.
    pub(super) fn parts(&mut self) -> (&mut P, &Handle<Servers>) {
        let Lent { party, handle, .. } = &mut **self.0.as_mut().expect(HERE);
        (party.as_mut().expect(PRESENT), handle)
    }

    pub(super) fn handle(&self) -> &Handle<Servers> {
        &self.lent().handle
    }

    pub(super) fn id(&self) -> ConnId {
        self.lent().id
    }

    /// The connection is gone, in this way: the last word.
    pub(super) fn end(&mut self, how: io::Result<()>) {
        if let Some(lent) = &mut self.0 {
            lent.why = how.err();
        }
    }

    fn lent(&self) -> &Lent<P> {
        self.0.as_ref().expect(HERE)
    }
}

impl<P: Party> Drop for Lent<P> {
    fn drop(&mut self) {
        let Some(party) = self.party.take() else { return };
        if thread::panicking() {
            self.why = Some(io::Error::other("its task has panicked"));
        }
        let lost = Lost { id: self.id, peer: self.peer, why: self.why.take() };
        let farewell = party.farewell();
        self.handle.call_soon(move |event_loop, servers| farewell(event_loop, servers, lost));
    }
}

const HERE: &str = "it is not looked at while it is lent";
const PRESENT: &str = "it is seen off only when it is dropped";
