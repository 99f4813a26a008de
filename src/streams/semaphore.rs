//! A semaphore: at most so many at once, first come, first served.

use std::rc::Rc;

use super::waiters::Waiters;

/// Lets at most so many tasks do something at once; clones are the same semaphore.
///
/// Strictly first come, first served: a permit that is given back belongs to who waits longest, and neither
/// [`acquire`](Self::acquire) nor [`try_acquire`](Self::try_acquire) overtakes. Permits come back by being dropped, each
/// once: so it is asyncio's bounded one, [`BoundedSemaphore`](https://docs.python.org/3/library/asyncio-sync.html#asyncio.BoundedSemaphore),
/// and with one permit its [`Lock`](https://docs.python.org/3/library/asyncio-sync.html#asyncio.Lock).
///
/// asyncio: [`Semaphore`](https://docs.python.org/3/library/asyncio-sync.html#asyncio.Semaphore). Not offered: more permits
/// than there were, or several at once.
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::Semaphore;
///
/// # let mut example = pin!(async {
/// let lookups = Semaphore::new(2);
/// let first = lookups.acquire().await;
/// let second = lookups.acquire().await;
/// assert!(lookups.try_acquire().is_none());
/// drop(first);
/// assert_eq!(lookups.available(), 1);
/// # drop(second);
/// # });
/// # assert!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
#[derive(Clone, Debug)]
pub struct Semaphore(Rc<Waiters>);

impl Semaphore {
    /// A semaphore with so many permits. With none, everybody waits for ever.
    pub fn new(permits: usize) -> Self {
        Self(Rc::new(Waiters::new(permits)))
    }

    /// Waits for a permit. Who is dropped while it waits gets none and costs nobody else one.
    pub async fn acquire(&self) -> Permit {
        self.0.turn().await;
        self.permit()
    }

    /// A permit, if one is free.
    pub fn try_acquire(&self) -> Option<Permit> {
        (self.available() > 0).then(|| self.permit())
    }

    /// How many permits are free: neither held nor meant for somebody who waits. asyncio's `locked()` is `available() == 0`.
    pub fn available(&self) -> usize {
        self.0.free()
    }

    fn permit(&self) -> Permit {
        self.0.let_in(self.0.places() - 1);
        Permit(Rc::clone(&self.0))
    }
}

/// One of a [`Semaphore`]'s permits, given back when it is dropped. It borrows nothing, so a task can take it along.
#[must_use = "a permit is given back when it is dropped"]
#[derive(Debug)]
pub struct Permit(Rc<Waiters>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.let_in(self.0.places() + 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::streams::conversation::{self, Word};

    use super::*;

    #[track_caller]
    fn check(permits: usize, script: &str) {
        let semaphore = Semaphore::new(permits);
        conversation::check(script, |word| match word {
            "free" => Word::Said(semaphore.available().to_string()),
            "try" => Word::Said(if semaphore.try_acquire().is_some() { "has" } else { "none" }.to_string()),
            _ => Word::asks(async { ("has".to_string(), semaphore.acquire().await) }),
        });
    }

    #[test]
    fn so_many_have_a_permit_and_no_more() {
        check(
            2,
            "free: 2; a: has; try: has; free: 1; b: has; free: 0; try: none; c: waits; -a: wakes c; c: has; -b: -; free: 1",
        );
        check(0, "free: 0; try: none; a: waits");
    }

    #[test]
    fn permits_go_to_who_waits_longest_and_nobody_overtakes() {
        check(
            1,
            "a: has; b: waits; c: waits; -a: wakes b; try: none; d: waits; c: waits; b: has; -b: wakes c; c: has; -c: wakes d",
        );
        check(2, "a: has; b: has; c: waits; d: waits; e: waits; -b: wakes c; -a: wakes d; d: has; c: has; free: 0");
    }

    #[test]
    fn who_is_dropped_while_it_waits_costs_nobody_a_permit() {
        check(1, "a: has; b: waits; c: waits; -b: -; -a: wakes c; c: has");
        check(1, "a: has; b: waits; c: waits; d: waits; -c: -; -a: wakes b; b: has; -b: wakes d; d: has");
    }

    #[test]
    fn who_is_dropped_when_its_turn_had_come_passes_it_on() {
        check(1, "a: has; b: waits; c: waits; -a: wakes b; -b: wakes c; c: has; -c: -; free: 1");
        check(1, "a: has; b: waits; -a: wakes b; free: 0; -b: -; free: 1; c: has");
        check(
            2,
            "a: has; b: has; c: waits; d: waits; e: waits; -a: wakes c; -b: wakes d; -c: wakes e; d: has; e: has; free: 0",
        );
    }

    #[test]
    fn clones_are_the_same_semaphore_and_a_permit_needs_neither() {
        let semaphore = Semaphore::new(1);
        let permit = semaphore.clone().try_acquire().expect("it is free");
        assert_eq!(semaphore.available(), 0);
        let other = semaphore.clone();
        drop(semaphore);
        drop(permit);
        assert_eq!(other.available(), 1);
    }
}
