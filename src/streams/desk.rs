//! What tasks put down for the executor, and find there: themselves, and all that does not depend on the application's state.
//!
//! Tasks share it with the executor, on one thread, so it is all cells; no borrow of one lasts while a waker, a task or a
//! destructor of the application's is run. Once it is closed, nothing is kept any more: what would be put down is dropped.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::mem;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::thread;
use std::time::Instant;

use slab::Slab;

use super::agenda::{Agenda, Bell, TaskId};
use super::pipe::Pipe;
use super::signals::Signals;
use super::task::Job;
use super::timer::Timers;
use crate::event_loop::Loop;

/// See the file's head.
pub(super) struct Desk {
    pub(super) agenda: Arc<Agenda>,
    pub(super) timers: Timers,
    pub(super) signals: Signals,
    /// When the executor was last called: for tasks, when this turn began.
    now: Cell<Instant>,
    /// `None` stands for a task that is being polled.
    tasks: RefCell<Slab<Option<Slot>>>,
    generations: Cell<u32>,
    /// Pipes with something for their transports.
    pipes: RefCell<VecDeque<Rc<Pipe>>>,
    /// Buffers nobody uses, so that connections that are idle need none.
    spares: RefCell<Vec<Vec<u8>>>,
    /// A task that has panicked is being dropped.
    failing: Cell<bool>,
    closed: Cell<bool>,
}

/// A task.
pub(super) struct Slot {
    pub(super) bell: Arc<Bell>,
    /// The same, as futures want it.
    pub(super) waker: Waker,
    pub(super) job: Pin<Box<dyn Job>>,
}

impl Desk {
    pub(super) fn new(agenda: Agenda, now: Instant) -> Self {
        Self {
            agenda: Arc::new(agenda),
            timers: Timers::default(),
            signals: Signals::default(),
            now: Cell::new(now),
            tasks: RefCell::default(),
            generations: Cell::new(0),
            pipes: RefCell::default(),
            spares: RefCell::default(),
            failing: Cell::new(false),
            closed: Cell::new(false),
        }
    }

    pub(super) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(super) fn set_now(&self, now: Instant) {
        self.now.set(now);
    }

    /// A new task: it counts as woken. Without an executor it is dropped at once.
    pub(super) fn spawn(&self, job: Pin<Box<dyn Job>>) -> Arc<Bell> {
        let generation = self.generations.get().wrapping_add(1);
        self.generations.set(generation);
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let index = u32::try_from(entry.key()).expect("four thousand million tasks do not fit into memory");
        let bell = Arc::new(Bell::new(Arc::clone(&self.agenda), TaskId { index, generation }));
        if !self.closed.get() {
            let waker = Waker::from(Arc::clone(&bell));
            entry.insert(Some(Slot { bell: Arc::clone(&bell), waker, job }));
            drop(tasks);
            bell.wake_by_ref();
        }
        bell
    }

    /// The task of that name, to be polled; `None` if it has ended, or was polled since it was woken.
    pub(super) fn take(&self, task: TaskId) -> Option<Slot> {
        let is_due = |slot: &mut Slot| slot.bell.task() == task && slot.bell.begin();
        self.tasks.borrow_mut().get_mut(task.index as usize)?.take_if(is_due)
    }

    /// It was polled, and waits.
    pub(super) fn put_back(&self, slot: Slot) {
        let index = slot.bell.task().index as usize;
        self.tasks.borrow_mut()[index] = Some(slot);
    }

    /// It was taken, and is over: its number may be another's.
    pub(super) fn release(&self, task: TaskId) {
        self.tasks.borrow_mut().remove(task.index as usize);
    }

    /// Whether somebody is dropped because of a panic: by its unwinding, or as a part of the task that was not reached by that.
    pub(super) fn is_failing(&self) -> bool {
        self.failing.get() || thread::panicking()
    }

    pub(super) fn set_failing(&self, failing: bool) {
        self.failing.set(failing);
    }

    /// A pipe has something for its transport.
    pub(super) fn list(&self, pipe: Rc<Pipe>) {
        if self.closed.get() {
            return;
        }
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

    /// Whether nothing waits for a transport.
    pub(super) fn is_flushed(&self) -> bool {
        self.pipes.borrow().is_empty()
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

    /// The executor is gone, and so is the loop: nothing that is put down here is ever looked at. The tasks, for somebody to
    /// drop.
    pub(super) fn close(&self) -> impl Iterator<Item = Slot> {
        self.closed.set(true);
        self.agenda.close();
        self.timers.close();
        drop(self.pipes.take());
        mem::take(&mut *self.tasks.borrow_mut()).into_iter().filter_map(|(_, slot)| slot)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.get()
    }
}

/// How many spare buffers are kept: as many connections as have something to say in a turn find one each, up to here.
const SPARES: usize = 64;

/// The largest spare buffer that is kept, in bytes.
const LARGEST_SPARE: usize = 64 * 1024;
