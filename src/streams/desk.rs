//! What tasks put down for the executor, and find there: all that does not depend on the application's state.
//!
//! Tasks share it with the executor, on one thread, so it is all cells; no borrow of one lasts while a waker, a task or a
//! destructor of the application's is run.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::agenda::{Agenda, Signal, TaskId};
use super::pipe::Pipe;
use super::task::Job;
use super::timer::Timers;
use crate::event_loop::Loop;

/// See the file's head.
pub(super) struct Desk {
    pub(super) agenda: Arc<Agenda>,
    pub(super) timers: Timers,
    /// When this turn began.
    now: Cell<Instant>,
    /// Which numbers of tasks are taken.
    numbers: RefCell<Slab<()>>,
    generations: Cell<u32>,
    newborns: RefCell<Vec<Newborn>>,
    /// Pipes with something for their transports.
    pipes: RefCell<VecDeque<Rc<Pipe>>>,
    /// Buffers nobody uses, so that connections that are idle need none.
    spares: RefCell<Vec<Vec<u8>>>,
    closed: Cell<bool>,
}

/// A task that the executor has not seen.
pub(super) struct Newborn {
    pub(super) signal: Arc<Signal>,
    pub(super) job: Pin<Box<dyn Job>>,
}

impl Desk {
    pub(super) fn new(agenda: Agenda, now: Instant) -> Self {
        Self {
            agenda: Arc::new(agenda),
            timers: Timers::default(),
            now: Cell::new(now),
            numbers: RefCell::default(),
            generations: Cell::new(0),
            newborns: RefCell::default(),
            pipes: RefCell::default(),
            spares: RefCell::default(),
            closed: Cell::new(false),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// A new task, to be polled soon. Without an executor it is dropped at once.
    pub(super) fn spawn(&self, job: Pin<Box<dyn Job>>) -> Arc<Signal> {
        let generation = self.generations.get().wrapping_add(1);
        self.generations.set(generation);
        let index = self.numbers.borrow_mut().insert(());
        let signal = Arc::new(Signal::new(Arc::clone(&self.agenda), TaskId { index, generation }));
        if self.closed.get() {
            self.release(signal.task());
            return signal;
        }
        self.newborns.borrow_mut().push(Newborn { signal: Arc::clone(&signal), job });
        self.agenda.stir();
        signal
    }

    pub(super) fn newborns(&self) -> Vec<Newborn> {
        self.newborns.take()
    }

    /// A task is over: its number may be another's.
    pub(super) fn release(&self, task: TaskId) {
        self.numbers.borrow_mut().remove(task.index);
    }

    /// A pipe has something for its transport.
    pub(super) fn list(&self, pipe: Rc<Pipe>) {
        self.pipes.borrow_mut().push_back(pipe);
        self.agenda.stir();
    }

    /// Hands what was written, and wished for, to the transports.
    pub(super) fn flush<S>(&self, event_loop: &mut Loop<'_, S>) {
        loop {
            let Some(pipe) = self.pipes.borrow_mut().pop_front() else { return };
            pipe.flush(event_loop);
        }
    }

    /// Whether nothing waits but woken tasks and timers.
    pub(super) fn is_clear(&self) -> bool {
        self.newborns.borrow().is_empty() && self.pipes.borrow().is_empty()
    }

    /// An empty buffer, perhaps with room in it.
    pub(super) fn spare(&self) -> Vec<u8> {
        self.spares.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes a buffer back whose bytes are not needed.
    pub(super) fn recycle(&self, mut buffer: Vec<u8>) {
        let mut spares = self.spares.borrow_mut();
        if (1..=LARGEST_SPARE).contains(&buffer.capacity()) && spares.len() < SPARES {
            buffer.clear();
            spares.push(buffer);
        }
    }

    /// The executor is gone, and so is the loop: nothing that is put down here is ever looked at.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.agenda.close();
        drop(self.newborns.take());
        drop(self.pipes.take());
        self.timers.close();
    }
}

/// How many spare buffers are kept.
const SPARES: usize = 16;

/// The largest spare buffer that is kept, in bytes.
const LARGEST_SPARE: usize = 256 * 1024;
