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
    /// There is seldom more than one.
    first: Option<Watcher>,
    more: Vec<Watcher>,
    /// How many there were so far.
    tickets: u32,
}

struct Watcher {
    kind: For,
    ticket: u32,
    waker: Waker,
}

impl Watchers {
    /// All of a kind, to be woken.
    pub(super) fn take(&mut self, kind: For) -> impl Iterator<Item = Waker> + use<> {
        let first = self.first.take_if(|first| first.kind == kind);
        let more: Vec<_> = self.more.extract_if(.., |other| other.kind == kind).collect();
        first.into_iter().chain(more).map(|watcher| watcher.waker)
    }

    /// One more; its ticket.
    fn add(&mut self, kind: For, waker: Waker) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        let watcher = Watcher { kind, ticket: self.tickets, waker };
        match &mut self.first {
            Some(_) => self.more.push(watcher),
            none => *none = Some(watcher),
        }
        self.tickets
    }

    /// Takes one out, unless it was woken.
    fn remove(&mut self, ticket: u32) -> Option<Watcher> {
        self.first.take_if(|first| first.ticket == ticket).or_else(|| {
            let place = self.more.iter().position(|other| other.ticket == ticket)?;
            Some(self.more.swap_remove(place))
        })
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
        drop(ends);
        watch.leave();
        let mut ends = watch.pipe.ends_mut();
        watch.ticket = Some(ends.watchers.add(watch.kind, context.waker().clone()));
        if watch.kind == For::Room {
            // There may be some by now: not all that changes it is told.
            watch.pipe.list(&mut ends);
        }
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
