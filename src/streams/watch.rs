//! Who waits on a pipe, and until when: a future that asks again whenever there is news.
//!
//! Beside `waiters` this is for those who do not take turns: whoever finds what it waits for goes on, in no order. It is
//! part of each connection, so it keeps one who waits without memory of its own.
//!
//! No waker is woken or dropped while the pipe is borrowed: it may be anybody's, and do anything.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::pipe::{Ends, Pipe};

/// What those who wait on a pipe wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// Room to write.
    Room,
    /// Anything else that is told to a protocol.
    News,
}

/// Those who wait; all who wait for the same kind of news are woken together.
#[derive(Default)]
pub(super) struct Watchers {
    /// There is seldom more than one. Who left is kept, as it comes again, most likely: to clone a waker each time costs more.
    first: Option<Watcher>,
    more: Vec<Watcher>,
    /// How many there were so far.
    tickets: u32,
}

struct Watcher {
    kind: For,
    ticket: u32,
    /// It has not left.
    is_here: bool,
    waker: Waker,
}

impl Watchers {
    /// All of a kind, to be woken.
    pub(super) fn take(&mut self, kind: For) -> impl Iterator<Item = Waker> + use<> {
        let first = self.first.take_if(|first| first.is_here && first.kind == kind);
        let more: Vec<_> = self.more.extract_if(.., |other| other.kind == kind).collect();
        first.into_iter().chain(more).map(|watcher| watcher.waker)
    }

    /// One more; its ticket, and whose place it takes.
    fn add(&mut self, kind: For, waker: &Waker) -> (u32, Option<Watcher>) {
        self.tickets = self.tickets.wrapping_add(1);
        let ticket = self.tickets;
        let watcher = |waker| Watcher { kind, ticket, is_here: true, waker };
        let left = match &mut self.first {
            Some(first) if first.is_here => {
                self.more.push(watcher(waker.clone()));
                None
            }
            Some(first) if first.waker.will_wake(waker) => {
                (first.kind, first.ticket, first.is_here) = (kind, ticket, true);
                None
            }
            place => place.replace(watcher(waker.clone())),
        };
        (ticket, left)
    }

    /// One leaves, unless it was woken; what is to be dropped of it.
    fn remove(&mut self, ticket: u32) -> Option<Watcher> {
        if let Some(first) = &mut self.first
            && first.ticket == ticket
        {
            first.is_here = false;
            return None;
        }
        let place = self.more.iter().position(|other| other.ticket == ticket)?;
        Some(self.more.swap_remove(place))
    }
}

/// The future of [`Pipe::watch`].
pub(super) struct Watch<'a, F> {
    pipe: &'a Rc<Pipe>,
    kind: For,
    check: F,
    /// What stands among the watchers for us, if it was not woken since.
    ticket: Option<u32>,
}

/// The closure is called, never pinned.
impl<F> Unpin for Watch<'_, F> {}

impl<R, F: FnMut(&mut Ends) -> Poll<R>> Future for Watch<'_, F> {
    type Output = R;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let watch = self.get_mut();
        let mut ends = watch.pipe.ends_mut();
        if let ready @ Poll::Ready(_) = (watch.check)(&mut ends) {
            return ready;
        }
        let before = watch.ticket.take().and_then(|ticket| ends.watchers.remove(ticket));
        let (ticket, left) = ends.watchers.add(watch.kind, context.waker());
        watch.ticket = Some(ticket);
        if watch.kind == For::Room {
            // There may be some by now: not all that changes it is told.
            watch.pipe.list(&mut ends);
        }
        // Not while the pipe is borrowed.
        drop(ends);
        drop((before, left));
        Poll::Pending
    }
}

impl<'a, F> Watch<'a, F> {
    pub(super) fn new(pipe: &'a Rc<Pipe>, kind: For, check: F) -> Self {
        Self { pipe, kind, check, ticket: None }
    }

    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let left = self.pipe.ends_mut().watchers.remove(ticket);
        // Not while the pipe is borrowed.
        drop(left);
    }
}

impl<F> Drop for Watch<'_, F> {
    fn drop(&mut self) {
        self.leave();
    }
}
