//! Which tasks were woken, and whether the loop knows of it: what is behind every waker.
//!
//! - A waker may be used on any thread, at any time, and any number of times: so this is the room's one place with a lock,
//!   and a task stands on the list once, however often it is woken. Nothing is allocated when a task is polled or woken.
//! - The loop sleeps only after the executor has looked here. If somebody wakes a task while it may be asleep, or is not
//!   running at all, the agenda *knocks*: once, then the executor is known to come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// Which task, among all that the executor ever had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TaskId {
    pub(super) index: usize,
    pub(super) generation: u32,
}

/// See the file's head.
pub(super) struct Agenda {
    woken: Mutex<Woken>,
    /// The executor will look at the agenda before the loop sleeps.
    attended: AtomicBool,
    knock: Box<dyn Fn() + Send + Sync>,
}

enum Woken {
    Open(Vec<TaskId>),
    /// The executor is gone.
    Closed,
}

impl Agenda {
    /// `knock` has the loop make a turn, from whichever thread.
    pub(super) fn new(knock: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { woken: Mutex::new(Woken::Open(Vec::new())), attended: AtomicBool::new(false), knock }
    }

    /// The loop is calling somebody, so the executor will come: no need to knock.
    pub(super) fn attend(&self) {
        self.attended.store(true, Ordering::Release);
    }

    /// There is something for the executor to do.
    pub(super) fn stir(&self) {
        if self.attended.load(Ordering::Acquire) {
            return;
        }
        let woken = self.lock();
        self.knock_after(woken);
    }

    /// Moves what was woken to the end of `batch`.
    pub(super) fn take(&self, batch: &mut Vec<TaskId>) {
        if let Woken::Open(tasks) = &mut *self.lock() {
            batch.append(tasks);
        }
    }

    /// Nothing is left to do; false if a task was woken meanwhile. From now on it needs a knock.
    pub(super) fn rest(&self) -> bool {
        let woken = self.lock();
        let empty = !matches!(&*woken, Woken::Open(tasks) if !tasks.is_empty());
        // Under the lock, lest somebody on another thread sees the flag and is not seen.
        self.attended.store(!empty, Ordering::Release);
        empty
    }

    /// There is no executor any more.
    pub(super) fn close(&self) {
        *self.lock() = Woken::Closed;
    }

    fn push(&self, task: TaskId) {
        let mut woken = self.lock();
        let Woken::Open(tasks) = &mut *woken else { return };
        tasks.push(task);
        self.knock_after(woken);
    }

    fn knock_after(&self, woken: MutexGuard<'_, Woken>) {
        let attended = self.attended.swap(true, Ordering::AcqRel);
        drop(woken);
        if !attended {
            (self.knock)();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Woken> {
        // Nothing under the lock can panic half-way.
        self.woken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a task is reached: what its wakers share, and its [`Task`](super::Task).
pub(super) struct Signal {
    agenda: Arc<Agenda>,
    task: TaskId,
    /// It stands on the agenda.
    queued: AtomicBool,
    cancelled: AtomicBool,
}

impl Signal {
    pub(super) fn new(agenda: Arc<Agenda>, task: TaskId) -> Self {
        Self { agenda, task, queued: AtomicBool::new(false), cancelled: AtomicBool::new(false) }
    }

    pub(super) fn task(&self) -> TaskId {
        self.task
    }

    /// It is polled now: whoever wakes it from here on wants it polled again.
    pub(super) fn begin(&self) {
        self.queued.store(false, Ordering::Release);
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn cancel(self: &Arc<Self>) {
        self.cancelled.store(true, Ordering::Release);
        self.wake_by_ref();
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.agenda.push(self.task);
        }
    }
}
