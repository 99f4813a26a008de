//! Which signals tasks wait for: all who wait for the same one are told together, and the last who leaves gives it back.

use std::cell::RefCell;
use std::rc::{Rc, Weak};

use super::event::Event;
use crate::event_loop::Signal;

/// See the file's head.
#[derive(Default)]
pub(super) struct Signals(RefCell<Vec<(Signal, Weak<Event>)>>);

impl Signals {
    /// What is told when `signal` comes. Whoever keeps it waits.
    pub(super) fn await_one(&self, signal: Signal) -> Rc<Event> {
        let mut awaited = self.0.borrow_mut();
        awaited.retain(|(_, told)| told.strong_count() > 0);
        let known = awaited.iter().find(|(other, _)| *other == signal).and_then(|(_, told)| told.upgrade());
        known.unwrap_or_else(|| {
            let told = Rc::default();
            awaited.push((signal, Rc::downgrade(&told)));
            told
        })
    }

    /// Lets all go on who wait for `signal`; who comes later waits for the next.
    pub(super) fn tell(&self, signal: Signal) {
        if let Some(told) = self.find(signal) {
            told.set();
            told.clear();
        }
    }

    /// Whether somebody waits for it.
    pub(super) fn is_awaited(&self, signal: Signal) -> bool {
        self.find(signal).is_some()
    }

    fn find(&self, signal: Signal) -> Option<Rc<Event>> {
        let awaited = self.0.borrow();
        awaited.iter().filter(|(other, _)| *other == signal).find_map(|(_, told)| told.upgrade())
    }
}
