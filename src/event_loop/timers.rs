//! What is due when: a heap of moments, equal ones in the order they were made.
//!
//! Nothing is taken out of the middle. An entry whose owner has changed its mind is *stale*: it is dropped when it comes
//! up, or all at once when more than [`PURGE_FROM`] are scheduled and more than half of them are stale (asyncio's rule).
//! The owner knows whether an entry still counts; this file does not.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::clock::Moment;
use super::id::{CallId, ConnId, ListenerId};

/// Whom a moment concerns.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// A callback of `call_later` or `call_at`.
    Call(CallId),
    /// A connection's deadline.
    Deadline(ConnId),
    /// The next attempt of a connection that has several addresses to try.
    Attempt(ConnId),
    /// A listener that could not bind tries again.
    Bind(ListenerId),
    /// A listener that ran out of file descriptors accepts again.
    Accept(ListenerId),
    /// A listener that was shut down has waited long enough for its connections.
    Grace(ListenerId),
}

/// The schedule.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Entry>,
    made: u32,
    stale: usize,
}

impl Timers {
    pub(super) fn schedule(&mut self, when: Moment, due: Due) {
        self.heap.push(Entry { when, order: self.made, due });
        self.made = self.made.wrapping_add(1);
    }

    /// An entry no longer counts; `counts` tells which ones do, should it be time to purge.
    pub(super) fn note_stale(&mut self, counts: impl Fn(Moment, Due) -> bool) {
        self.stale += 1;
        if self.heap.len() > PURGE_FROM && self.stale * 2 > self.heap.len() {
            self.heap.retain(|entry| counts(entry.when, entry.due));
            self.stale = 0;
        }
    }

    /// A stale entry has come up and was dropped.
    pub(super) fn forget_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// The earliest entry that is due at `now`.
    pub(super) fn pop_due(&mut self, now: Moment) -> Option<(Moment, Due)> {
        if self.heap.peek()?.when > now {
            return None;
        }
        self.heap.pop().map(|entry| (entry.when, entry.due))
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.heap.peek().map(|entry| entry.when)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.heap.len()
    }
}

/// Small, as each connection has one.
struct Entry {
    when: Moment,
    /// A number that was given in turn. It wraps: only fewer than 2^31 made later than this one stand in order.
    order: u32,
    due: Due,
}

/// The earliest is the greatest, since `BinaryHeap` gives the greatest first.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        let later = self.order.wrapping_sub(other.order).cast_signed();
        other.when.cmp(&self.when).then(0.cmp(&later))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

/// asyncio's `_MIN_SCHEDULED_TIMER_HANDLES`.
const PURGE_FROM: usize = 100;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::event_loop::clock::Clock;

    fn call(index: usize) -> Due {
        Due::Call(CallId::new(index, 0))
    }

    fn clock() -> Clock {
        Clock::new(Instant::now())
    }

    #[test]
    fn the_earliest_comes_first_and_equal_ones_in_the_order_of_making() {
        let clock = clock();
        // Also where the numbers of their order wrap.
        for made in [0, u32::MAX - 2] {
            let mut timers = Timers { made, ..Timers::default() };
            for (index, millis) in (0..).zip([5, 1, 5, 3, 1]) {
                timers.schedule(clock.after(Duration::from_millis(millis)), call(index));
            }
            let mut order = Vec::new();
            while let Some((_, Due::Call(id))) = timers.pop_due(clock.after(Duration::from_secs(1))) {
                order.push(id.index());
            }
            assert_eq!(order, [1, 4, 3, 0, 2]);
        }
    }

    #[test]
    fn nothing_is_early() {
        let clock = clock();
        let mut timers = Timers::default();
        timers.schedule(clock.after(Duration::from_nanos(2)), call(0));
        assert_eq!(timers.pop_due(clock.after(Duration::from_nanos(1))), None);
        assert!(timers.pop_due(clock.after(Duration::from_nanos(2))).is_some());
    }

    #[test]
    fn many_stale_entries_are_purged_few_are_not() {
        let now = clock().moment();
        let check = |scheduled: usize, stale: usize, left: usize| {
            let mut timers = Timers::default();
            for index in 0..scheduled {
                timers.schedule(now, call(index));
            }
            for _ in 0..stale {
                timers.note_stale(|_, due| matches!(due, Due::Call(id) if id.index() >= stale));
            }
            assert_eq!(timers.len(), left, "{stale} of {scheduled}");
        };
        check(100, 99, 100);
        check(200, 100, 200);
        check(200, 101, 99);
    }
}
