//! The executor: owns the tasks, and polls those that were woken, as a hook of the loop before it sleeps.
//!
//! - One task at a time; a task that is polled cannot reach another, only wake it.
//! - After each poll, what the task has written goes to the transports, and what it has asked is done: then, if it was only
//!   that, it is polled again at once.
//! - Tasks that wake each other go on within the turn, for a few rounds; then the loop's I/O has its turn.
//! - A task that panics is dropped, with what it owns, and reported to the loop's exception handler; the others go on.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::agenda::{Signal, TaskId};
use super::call::Asks;
use super::desk::{Desk, Newborn};
use super::task::Job;
use crate::event_loop::{CallId, Loop, Panicked};

/// See the file's head.
pub(super) struct Executor<S> {
    desk: Rc<Desk>,
    asks: Rc<Asks<S>>,
    tasks: Vec<Option<Slot>>,
    /// Those to be polled in this round; kept for its memory.
    batch: Vec<TaskId>,
    alarm: Option<(Instant, CallId)>,
}

struct Slot {
    signal: Arc<Signal>,
    /// The same, as futures want it.
    waker: Waker,
    job: Pin<Box<dyn Job>>,
}

impl<S: 'static> Executor<S> {
    pub(super) fn new(desk: Rc<Desk>, asks: Rc<Asks<S>>) -> Self {
        Self { desk, asks, tasks: Vec::new(), batch: Vec::new(), alarm: None }
    }

    /// The hook.
    pub(super) fn run(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S) {
        let now = event_loop.now();
        self.desk.set_now(now);
        // Whoever wakes a task from here on need not knock.
        self.desk.agenda.attend();
        self.desk.timers.wake(now);
        let mut rounds = 0..ROUNDS;
        while !self.has_rest() {
            if rounds.next().is_none() {
                // The next turn comes at once, after a look at the sockets.
                event_loop.call_soon(|_, _| {});
                break;
            }
            self.round(event_loop, state);
        }
        self.set_alarm(event_loop);
    }

    fn has_rest(&self) -> bool {
        self.desk.is_clear() && self.asks.borrow().is_empty() && self.desk.agenda.rest()
    }

    fn round(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S) {
        let mut batch = mem::take(&mut self.batch);
        self.desk.agenda.take(&mut batch);
        for Newborn { signal, job } in self.desk.newborns() {
            let task = signal.task();
            if self.tasks.len() <= task.index {
                self.tasks.resize_with(task.index + 1, || None);
            }
            let waker = Waker::from(Arc::clone(&signal));
            self.tasks[task.index] = Some(Slot { signal, waker, job });
            batch.push(task);
        }
        for task in batch.drain(..) {
            self.poll(event_loop, state, task);
        }
        self.batch = batch;
        // What was asked outside of a task.
        self.desk.flush(event_loop);
        self.grant(event_loop, state, Waker::noop());
    }

    fn poll(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, task: TaskId) {
        for _ in 0..CALLS {
            let Some(Some(slot)) = self.tasks.get_mut(task.index) else { return };
            if slot.signal.task() != task {
                return;
            }
            if slot.signal.is_cancelled() {
                self.remove(event_loop, task);
                return;
            }
            slot.signal.begin();
            let mut context = Context::from_waker(&slot.waker);
            let progress = catch_unwind(AssertUnwindSafe(|| slot.job.as_mut().poll(&mut context)));
            self.desk.flush(event_loop);
            match progress {
                Ok(Poll::Pending) => {}
                Ok(Poll::Ready(())) => self.remove(event_loop, task),
                Err(payload) => {
                    let panicked = Panicked::new("a task", slot.job.connection(), &*payload);
                    event_loop.call_exception_handler(panicked.clone());
                    slot.job.as_mut().panicked(panicked);
                    self.remove(event_loop, task);
                }
            }
            if self.asks.borrow().is_empty() {
                return;
            }
            let polled = self.tasks[task.index].as_ref().map_or(Waker::noop(), |slot| &slot.waker);
            if !self.grant(event_loop, state, polled) {
                return;
            }
        }
        // It asks on and on: the others first.
        if let Some(Some(slot)) = self.tasks.get(task.index) {
            slot.waker.wake_by_ref();
        }
    }

    /// Does what was asked so far, and wakes who has asked: but if that is the task of `polled`, says so instead.
    fn grant(&self, event_loop: &mut Loop<'_, S>, state: &mut S, polled: &Waker) -> bool {
        let mut again = false;
        let waiting = self.asks.borrow().len();
        for _ in 0..waiting {
            let Some(ask) = self.asks.borrow_mut().pop_front() else { break };
            match ask.grant(event_loop, state) {
                Some(waker) if waker.will_wake(polled) => again = true,
                Some(waker) => waker.wake(),
                None => {}
            }
        }
        again
    }

    /// A task is over: what it owns is dropped with it.
    fn remove(&mut self, event_loop: &mut Loop<'_, S>, task: TaskId) {
        let Some(slot) = self.tasks[task.index].take() else { return };
        self.desk.release(task);
        let id = slot.job.connection();
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(slot))) {
            event_loop.call_exception_handler(Panicked::new("drop", id, &*payload));
        }
        self.desk.flush(event_loop);
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
        self.desk.close();
        self.tasks.clear();
        drop(self.asks.take());
        // What was put down while the tasks were dropped.
        self.desk.close();
    }
}

/// How often tasks may wake each other, or be asked and answered, before I/O has its turn.
const ROUNDS: usize = 16;

/// How many calls in a row one task is granted before the others are polled.
const CALLS: usize = 64;
