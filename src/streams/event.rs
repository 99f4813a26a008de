//! An event: it is set or not, and tasks wait until it is.

use std::rc::Rc;

use super::waiters::Waiters;

/// Tells tasks that something has happened, all at once; clones are the same event. It begins unset.
///
/// Who waits when the event is set gets through, even if it is cleared at once: so `set`, then `clear`, lets through exactly
/// those who wait. To wait begins with the first poll, as in asyncio.
/// asyncio: [`Event`](https://docs.python.org/3/library/asyncio-sync.html#asyncio.Event).
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::{Event, join};
///
/// # let mut example = pin!(async {
/// let ready = Event::new();
/// let (heard, ()) = join(
///     async {
///         ready.wait().await;
///         "ready"
///     },
///     async { ready.set() },
/// )
/// .await;
/// assert_eq!(heard, "ready");
/// # });
/// # while example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
/// ```
#[derive(Clone, Default, Debug)]
pub struct Event(Rc<Waiters>);

impl Event {
    /// An event that is not set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether it is set.
    pub fn is_set(&self) -> bool {
        self.0.places() > 0
    }

    /// Sets it: who waits is woken, in the order of coming, and who comes later does not wait.
    pub fn set(&self) {
        self.0.let_in(usize::MAX);
    }

    /// Unsets it: who comes from now on waits.
    pub fn clear(&self) {
        self.0.let_in(0);
    }

    /// Waits until the event is set; returns at once if it is.
    pub async fn wait(&self) {
        self.0.turn().await;
    }
}

#[cfg(test)]
mod tests {
    use crate::streams::conversation::{self, Word};

    use super::*;

    #[track_caller]
    fn check(script: &str) {
        let event = Event::new();
        conversation::check(script, |word| match word {
            "set" => Word::done(|| event.set()),
            "clear" => Word::done(|| event.clear()),
            "is set" => Word::Said(event.is_set().to_string()),
            _ => Word::asks(async { ("goes".to_string(), event.wait().await) }),
        });
    }

    #[test]
    fn who_waits_is_woken_once_in_the_order_of_coming_and_who_comes_later_does_not_wait() {
        check("is set: false; a: waits; b: waits; set: wakes a b; set: -; is set: true; b: goes; a: goes; c: goes");
        check("set: -; a: goes; clear: -; is set: false; b: waits");
    }

    #[test]
    fn who_waited_when_it_was_set_gets_through_although_it_is_cleared() {
        check(
            "a: waits; b: waits; set: wakes a b; clear: -; c: waits; a: goes; b: goes; c: waits; set: wakes c; c: goes",
        );
    }

    #[test]
    fn who_is_dropped_is_not_woken_and_lets_nobody_else_through() {
        check("a: waits; b: waits; c: waits; -b: -; set: wakes a c; a: goes; c: goes");
        check("a: waits; set: wakes a; clear: -; b: waits; -a: -; b: waits; c: waits");
    }

    #[test]
    fn clones_are_the_same_event() {
        let event = Event::new();
        event.clone().set();
        assert!(event.is_set());
    }
}
