//! Who waits, first come, first served, and how many may go.
//!
//! [`Event`](super::Event), [`Semaphore`](super::Semaphore) and [`Queue`](super::Queue) only say how many may go
//! ([`Waiters::let_in`]); each change of that number calls those who have come to be due, and nobody else.
//!
//! Rules:
//! - While somebody waits, no place is free: a newcomer overtakes nobody, neither who waits nor who was called and has not
//!   looked yet.
//! - Who is dropped has left. If it had been called, its place goes to the next, by the same way as any other change.
//! - Everything is decided before the first waker is woken, and none is woken or dropped while the line is borrowed: so a
//!   waker may do what it likes, run a task at once included.
//! - A waiter costs an entry of 24 bytes, whose memory is used again; looking again costs nothing but its search.
//!
//! This is where others lost wakeups or items, or woke out of turn, when who was called was cancelled before it ran: asyncio's
//! semaphore (cpython#90155), condition (cpython#112202) and queue (python/asyncio#256; cpython#83055 for the order of puts, which
//! is open), tokio's semaphore (tokio#904), embassy's (embassy#6964). In async-lock's, newcomers overtake (async-lock#23).
//!
//! What fairness costs: who was called and then is kept, but not polled, keeps its place from all others (tokio#6450).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::iter;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// A line of those who wait, and the number of places for them.
#[derive(Default, Debug)]
pub(super) struct Waiters(RefCell<State>);

#[derive(Default, Debug)]
struct State {
    /// How many may go, those included who were called.
    places: usize,
    /// How many were called and have not looked yet.
    called: usize,
    /// Who was not called yet, by ascending tickets.
    line: VecDeque<Waiter>,
    /// Who was called and is to be woken; empty but inside of `let_in`.
    due: VecDeque<Waker>,
    tickets: u64,
}

#[derive(Debug)]
struct Waiter {
    ticket: u64,
    waker: Waker,
}

impl Waiters {
    pub(super) fn new(places: usize) -> Self {
        Self(RefCell::new(State { places, ..State::default() }))
    }

    /// How many may go, those included who were called and have not looked yet.
    pub(super) fn places(&self) -> usize {
        self.0.borrow().places
    }

    /// How many newcomers may go at once: none while somebody waits.
    pub(super) fn free(&self) -> usize {
        let state = self.0.borrow();
        state.places.saturating_sub(state.called)
    }

    /// From now on `places` may go, who came first before others. Who was called may go in any case.
    pub(super) fn let_in(&self, places: usize) {
        self.0.borrow_mut().call(places);
        wake_all(iter::from_fn(|| self.next_due()));
    }

    /// Waits until it is one's turn. Who has gone says how many may go after it, before anything else happens: `let_in`.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn { waiters: self, ticket: None }
    }

    fn next_due(&self) -> Option<Waker> {
        self.0.borrow_mut().due.pop_front()
    }

    fn line_up(&self, waker: Waker) -> u64 {
        let mut state = self.0.borrow_mut();
        let ticket = state.tickets;
        state.tickets += 1;
        state.line.push_back(Waiter { ticket, waker });
        ticket
    }

    /// Whether it still waits; if so, `waker` is the one to wake.
    fn still_waits(&self, ticket: u64, waker: &Waker) -> bool {
        let mut state = self.0.borrow_mut();
        let Some(index) = state.index(ticket) else { return false };
        let known = &mut state.line[index].waker;
        if !known.will_wake(waker) {
            let old = mem::replace(known, waker.clone());
            drop(state);
            drop(old);
        }
        true
    }

    /// Takes it out of the line; false if it was no longer there, as it had been called.
    fn leave(&self, ticket: u64) -> bool {
        let mut state = self.0.borrow_mut();
        let left = state.index(ticket).and_then(|index| state.line.remove(index));
        drop(state);
        left.is_some()
    }
}

impl State {
    fn call(&mut self, places: usize) {
        self.places = places;
        let count = places.saturating_sub(self.called).min(self.line.len());
        self.called += count;
        self.due.extend(self.line.drain(..count).map(|waiter| waiter.waker));
    }

    fn index(&self, ticket: u64) -> Option<usize> {
        self.line.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()
    }
}

/// One who waits, from its first poll on.
#[must_use = "futures do nothing unless polled"]
pub(super) struct Turn<'a> {
    waiters: &'a Waiters,
    ticket: Option<u64>,
}

impl Future for Turn<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match self.ticket {
            None if self.waiters.free() > 0 => Poll::Ready(()),
            None => {
                self.ticket = Some(self.waiters.line_up(context.waker().clone()));
                Poll::Pending
            }
            Some(ticket) if self.waiters.still_waits(ticket, context.waker()) => Poll::Pending,
            Some(_) => {
                self.ticket = None;
                self.waiters.0.borrow_mut().called -= 1;
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        if !self.waiters.leave(ticket) {
            self.waiters.0.borrow_mut().called -= 1;
            self.waiters.let_in(self.waiters.places());
        }
    }
}

/// Wakes one after the other. A waker may be somebody else's and panic: then the others are woken first, before that goes on.
pub(super) fn wake_all(wakers: impl IntoIterator<Item = Waker>) {
    let woken = wakers.into_iter().map(|waker| catch_unwind(AssertUnwindSafe(|| waker.wake())));
    if let Some(payload) = woken.fold(None, |first, woken| first.or(woken.err())) {
        resume_unwind(payload);
    }
}

#[cfg(test)]
mod tests;
