//! The executor: polls the tasks that were woken, as a hook of the loop before it sleeps.
//!
//! - One task at a time; a task that is polled cannot reach another, only wake it.
//! - After each poll, what the task has written goes to the transports, and what it has asked is done: then, if it was only
//!   that, it is polled again at once.
//! - Tasks that wake each other go on within the turn, for a few rounds; then the loop's I/O has its turn.
//! - A task that panics is dropped, with what it owns, and reported to the loop's exception handler; the others go on. So it
//!   is with whatever else is not ours and called here: wakers, destructors.
//!
//! asyncio calls executor what is `driver/executor` here: threads for jobs.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::agenda::TaskId;
use super::call::Asks;
use super::desk::{Desk, Slot};
use crate::event_loop::{CallId, ConnId, Loop, Panicked};

/// See the file's head.
pub(super) struct Executor<S> {
    desk: Rc<Desk>,
    asks: Rc<Asks<S>>,
    /// Those to be polled in this round; kept for its memory.
    batch: Vec<TaskId>,
    alarm: Option<(Instant, CallId)>,
}

impl<S: 'static> Executor<S> {
    pub(super) fn new(desk: Rc<Desk>, asks: Rc<Asks<S>>) -> Self {
        Self { desk, asks, batch: Vec::new(), alarm: None }
    }

    /// The hook.
    pub(super) fn run(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S) {
        let now = event_loop.now();
        self.desk.set_now(now);
        // Whoever wakes a task from here on need not knock.
        self.desk.agenda.attend();
        while let Some(sleeper) = self.desk.timers.pop_due(now) {
            let _ = guarded(event_loop, "a waker", None, |_| sleeper.wake());
        }
        let mut rounds = 0..ROUNDS;
        while self.finds_work() {
            if rounds.next().is_none() {
                // The next turn comes at once, after a look at the sockets.
                event_loop.call_soon(|_, _| {});
                break;
            }
            self.round(event_loop, state);
        }
        self.set_alarm(event_loop);
    }

    /// Whether there is anything to do: tasks to be polled, which are in `batch` then, or something else.
    fn finds_work(&mut self) -> bool {
        // In the batch may be those of a round that the last turn had no time for.
        if !self.batch.is_empty() || !self.desk.is_flushed() || !self.asks.borrow().is_empty() {
            self.desk.agenda.take(&mut self.batch);
            return true;
        }
        self.desk.agenda.take_or_rest(&mut self.batch);
        !self.batch.is_empty()
    }

    fn round(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S) {
        let mut batch = mem::take(&mut self.batch);
        for task in batch.drain(..) {
            self.serve(event_loop, state, task);
        }
        self.batch = batch;
        // What was written and asked outside of tasks.
        self.grant(event_loop, state, Waker::noop());
    }

    /// Polls a task, and does what it asks for; if it was only that it waited for, polls it again.
    fn serve(&self, event_loop: &mut Loop<'_, S>, state: &mut S, task: TaskId) {
        let Some(mut slot) = self.desk.take(task) else { return };
        for _ in 0..CALLS {
            if slot.bell.is_cancelled() {
                return self.end(event_loop, slot);
            }
            let (id, mut context) = (slot.job.connection(), Context::from_waker(&slot.waker));
            match guarded(event_loop, "a task", id, |_| slot.job.as_mut().poll(&mut context)) {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(())) => return self.end(event_loop, slot),
                Err(panicked) => {
                    slot.job.as_mut().panicked(panicked);
                    self.desk.set_failing(true);
                    self.end(event_loop, slot);
                    return self.desk.set_failing(false);
                }
            }
            if !self.grant(event_loop, state, &slot.waker) {
                return self.desk.put_back(slot);
            }
            slot.bell.begin();
        }
        // It asks on and on: the others first.
        slot.waker.wake_by_ref();
        self.desk.put_back(slot);
    }

    /// Hands to the transports what was written, does what was asked so far, and wakes who has asked: but if that is the task
    /// of `polled`, says so instead.
    fn grant(&self, event_loop: &mut Loop<'_, S>, state: &mut S, polled: &Waker) -> bool {
        let mut again = false;
        let outcome = guarded(event_loop, "a waker", None, |event_loop| {
            self.desk.flush(event_loop);
            let waiting = self.asks.borrow().len();
            for _ in 0..waiting {
                let Some(ask) = self.asks.borrow_mut().pop_front() else { break };
                match ask.grant(event_loop, state) {
                    Some(waker) if waker.will_wake(polled) => again = true,
                    Some(waker) => waker.wake(),
                    None => {}
                }
            }
        });
        again || outcome.is_err()
    }

    /// A task is over: what it owns is dropped with it.
    fn end(&self, event_loop: &mut Loop<'_, S>, slot: Slot) {
        self.desk.release(slot.bell.task());
        let id = slot.job.connection();
        let _ = guarded(event_loop, "drop", id, |_| drop(slot));
    }

    /// Has the loop make a turn when the next sleeper is due.
    fn set_alarm(&mut self, event_loop: &mut Loop<'_, S>) {
        let now = event_loop.now();
        if self.alarm.is_some_and(|(at, _)| at <= now) {
            self.alarm = None;
        }
        let Some(next) = self.desk.timers.next() else { return };
        match self.alarm {
            // If it is early, nobody is due, and it is set again.
            Some((at, _)) if at <= next => {}
            old => {
                if let Some((_, call)) = old {
                    event_loop.cancel(call);
                }
                self.alarm = Some((next, event_loop.call_at(next, |_, _| {})));
            }
        }
    }
}

impl<S> Drop for Executor<S> {
    fn drop(&mut self) {
        self.desk.close().for_each(let_go);
        self.asks.take().into_iter().for_each(let_go);
    }
}

/// Runs what is not ours; if it panics, the loop's exception handler is told.
fn guarded<S, R>(
    event_loop: &mut Loop<'_, S>,
    what: &'static str,
    id: Option<ConnId>,
    act: impl FnOnce(&mut Loop<'_, S>) -> R,
) -> Result<R, Panicked> {
    catch_unwind(AssertUnwindSafe(|| act(event_loop))).map_err(|payload| {
        let panicked = Panicked::new(what, id, payload);
        event_loop.call_exception_handler(panicked.clone());
        panicked
    })
}

/// Drops what is left at the end of the loop, which has no exception handler any more.
fn let_go<T>(left: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(left))) {
        log::error!("{}", Panicked::new("drop", None, payload));
    }
}

/// How often tasks may wake each other, or be asked and answered, before I/O has its turn.
const ROUNDS: usize = 16;

/// How many calls in a row one task is granted before the others are polled.
const CALLS: usize = 64;
