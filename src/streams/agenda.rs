//! Which tasks were woken, and whether the loop knows of it: what is behind every waker.
//!
//! - A waker may be used on any thread, at any time, and any number of times: so this is the room's one place with a lock,
//!   and a task stands on the list once, however often it is woken. Nothing is allocated when a task is polled or woken.
//! - The loop sleeps only after the executor has looked here. If somebody wakes a task while it may be asleep, or is not
//!   running at all, the agenda *knocks*: once, then the executor is known to come.
//!
//! # Why no wake is lost
//!
//! *A task that is woken is polled after that.* [`Bell::queued`] says that the task stands on the list, and is to be polled.
//! Waking sets it, and puts the task on the list if it was not set; the executor takes the task from the list, clears it, and
//! then polls. Both exchange the flag's value, so all who touch it have an order, and each sees what those before it have
//! written: if a wake finds the flag set, the executor clears it later, and polls later still; then it sees what the task was
//! woken for. (To clear it by a store is not enough: what the poll reads may then be older than what that wake has written.)
//!
//! *While the list has a task, the executor comes.* [`Agenda::attended`] says that it will look at the list before the loop
//! sleeps. It is set by
//!
//! - whoever finds it unset, with something for the executor to do: and knocks, after which the loop makes a turn, with the
//!   executor at its end;
//! - [`attend`](Agenda::attend), in a turn of the loop, or in a call that has the loop make one.
//!
//! It is cleared in one place, [`take_or_rest`](Agenda::take_or_rest), by the executor, if the list is empty, and under the list's lock. So who
//! puts a task on the list has done so before, and the list was not empty; or does so after, and finds it unset, and knocks.
//! A knock that comes too late, as the executor has come anyway, makes a turn for nothing, no worse.
//!
//! # What is not saved
//!
//! A callback of the loop that wakes a task by other means than a stream, as by an [`Event`](super::Event) from a `call_later`,
//! knocks, though the executor comes at the end of that very turn: this costs one wake-up of the poll, and one turn for
//! nothing, for all such wakes of a turn together. (A thousand turns with one such callback each are two thousand, with a
//! thousand knocks.) To know better, the executor would have to hear that a turn begins: the loop tells its hooks only of the
//! end, and whether a callback runs in a turn or between two, the one who wakes cannot see. What streams are told, they know
//! to be in a turn: [`attend`](Agenda::attend).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Wake;

/// Which task, among all that the executor ever had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TaskId {
    pub(super) index: u32,
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

    /// There is something for the executor to do, beside tasks. For the loop's thread.
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

    /// The same, for an executor that has nothing else to do: if nothing was woken either, it rests, and from now on needs a
    /// knock.
    pub(super) fn take_or_rest(&self, batch: &mut Vec<TaskId>) {
        let mut woken = self.lock();
        match &mut *woken {
            Woken::Open(tasks) if !tasks.is_empty() => batch.append(tasks),
            // Under the lock, lest somebody on another thread sees the flag and is not seen.
            Woken::Open(_) | Woken::Closed => self.attended.store(false, Ordering::Release),
        }
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
        // Seldom unset, and if it is set, it stays so until the lock is free.
        let attended = self.attended.load(Ordering::Acquire) || self.attended.swap(true, Ordering::AcqRel);
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

/// A task's bell: what its wakers share, and its [`Task`](super::Task); who rings it wakes or cancels the task.
pub(super) struct Bell {
    agenda: Arc<Agenda>,
    task: TaskId,
    /// It stands on the agenda, and was not polled since.
    queued: AtomicBool,
    cancelled: AtomicBool,
}

impl Bell {
    pub(super) fn new(agenda: Arc<Agenda>, task: TaskId) -> Self {
        Self { agenda, task, queued: AtomicBool::new(false), cancelled: AtomicBool::new(false) }
    }

    pub(super) fn task(&self) -> TaskId {
        self.task
    }

    /// It is polled now: whoever wakes it from here on wants it polled again. False if nobody has woken it since the last
    /// time.
    pub(super) fn begin(&self) -> bool {
        // An exchange, and no store: see the file's head.
        self.queued.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    pub(super) fn cancel(self: &Arc<Self>) {
        self.cancelled.store(true, Ordering::Release);
        self.wake_by_ref();
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.agenda.push(self.task);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::thread;

    use super::*;

    /// Lets the other thread go on, if there is only one processor; fails if it does not.
    fn pass_the_time(waits: u64) {
        assert!(waits < 100_000_000, "a wake is lost");
        if waits % 100 == 99 {
            thread::yield_now();
        }
    }

    /// The word has no lock of its own: who is polled must see the newest, also if the wake for it found another before it.
    /// (What a wrong order loses, an optimized build loses within a million rounds; the processor reads ahead of its writes.)
    #[test]
    fn who_is_polled_sees_what_it_was_woken_for() {
        const ROUNDS: usize = 50_000;
        let agenda = Arc::new(Agenda::new(Box::new(|| ())));
        let bell = Arc::new(Bell::new(Arc::clone(&agenda), TaskId { index: 0, generation: 0 }));
        let (said, heard) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let is_over = |word| word >= ROUNDS;
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut words = 0;
                while !is_over(words) {
                    // The second may come when the first is about to be polled for.
                    for _ in 0..2 {
                        words += 1;
                        said.store(words, Ordering::Relaxed);
                        bell.wake_by_ref();
                        (0..words % 7).for_each(|_| std::hint::spin_loop());
                    }
                    let mut waits = 0_u64;
                    while heard.load(Ordering::Acquire) < words {
                        waits += 1;
                        pass_the_time(waits);
                    }
                }
            });
            let (mut batch, mut waits) = (Vec::new(), 0);
            while !is_over(heard.load(Ordering::Relaxed)) {
                agenda.take(&mut batch);
                waits = if batch.is_empty() { waits + 1 } else { 0 };
                pass_the_time(waits);
                for _ in batch.drain(..) {
                    // So that it is at hand, and read early.
                    std::hint::black_box(said.load(Ordering::Relaxed));
                    assert!(bell.begin(), "it stands on the list once");
                    heard.store(said.load(Ordering::Relaxed), Ordering::Release);
                }
            }
        });
    }
}
