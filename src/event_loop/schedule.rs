//! The hub's sense of time: deadlines of connections, callbacks that wait, and entries of the timers that no longer count.

use super::Callback;
use super::clock::{Moment, Span};
use super::hub::{Hub, Ready};
use super::id::{CallId, ConnId};
use super::request::Request;
use super::timers::Due;

/// A callback that waits.
pub(super) struct Call<S> {
    serial: u32,
    /// When, if it is not simply the next turn's.
    when: Option<Moment>,
    callback: Callback<S>,
    /// What another thread has to do first.
    job: Option<Job>,
}

/// Something that blocks or takes long, for another thread: see
/// [`Loop::run_in_executor`](super::Loop::run_in_executor) and [`Request::Execute`].
pub type Job = Box<dyn FnOnce() + Send>;

impl<S> Hub<S> {
    /// So long from now.
    pub(super) fn after(&self, delay: impl Into<Span>) -> Moment {
        self.clock.after(delay)
    }

    pub(super) fn set_deadline(&mut self, id: ConnId, at: Option<Moment>) {
        let Some(connection) = self.live(id) else { return };
        connection.deadline.at = at;
        let Some(at) = at else { return };
        let replaced = match connection.deadline.alarm {
            Some(alarm) if alarm <= at => return,
            alarm => alarm.is_some(),
        };
        connection.deadline.alarm = Some(at);
        self.timers.schedule(at, Due::Deadline(id));
        if replaced {
            self.note_stale();
        }
    }

    /// An entry of the timers has come up: true if the connection's deadline has really passed.
    pub(super) fn deadline_passed(&mut self, id: ConnId, when: Moment) -> bool {
        let now = self.clock.moment();
        let current = self.live(id).filter(|connection| connection.deadline.alarm == Some(when));
        let Some(connection) = current else {
            self.timers.forget_stale();
            return false;
        };
        connection.deadline.alarm = None;
        match connection.deadline.at {
            Some(at) if at <= now => {
                connection.deadline.at = None;
                true
            }
            later => {
                self.set_deadline(id, later);
                false
            }
        }
    }

    pub(super) fn note_stale(&mut self) {
        let Self { timers, connections, calls, .. } = self;
        timers.note_stale(|when, due| match due {
            Due::Call(id) => calls.get(id.index()).is_some_and(|call| call.serial == id.serial()),
            Due::Deadline(id) => connections.get(id.index()).is_some_and(|connection| {
                connection.generation == id.generation() && connection.deadline.alarm == Some(when)
            }),
            Due::Attempt(_) | Due::Bind(_) | Due::Accept(_) | Due::Grace(_) => true,
        });
    }

    /// `when` is `None` for the next turn.
    pub(super) fn call(&mut self, when: Option<Moment>, callback: Callback<S>) -> CallId {
        let id = self.insert_call(when, callback, None);
        match when {
            Some(when) => self.timers.schedule(when, Due::Call(id)),
            None => self.ready.push_back(Ready::Call(id)),
        }
        id
    }

    /// Has a job done, then calls.
    pub(super) fn execute(&mut self, job: Job, callback: Callback<S>) -> CallId {
        let id = self.insert_call(None, callback, Some(job));
        self.requests.push_back(Request::Execute { call: id });
        id
    }

    fn insert_call(&mut self, when: Option<Moment>, callback: Callback<S>, job: Option<Job>) -> CallId {
        self.serials = self.serials.wrapping_add(1);
        let index = self.calls.insert(Call { serial: self.serials, when, callback, job });
        CallId::new(index, self.serials)
    }

    /// The call of that name, unless it was made or cancelled.
    fn waiting(&mut self, id: CallId) -> Option<&mut Call<S>> {
        self.calls.get_mut(id.index()).filter(|call| call.serial == id.serial())
    }

    pub(super) fn take_job(&mut self, id: CallId) -> Option<Job> {
        self.waiting(id)?.job.take()
    }

    pub(super) fn take_call(&mut self, id: CallId) -> Option<Callback<S>> {
        self.waiting(id)?;
        Some(self.calls.remove(id.index()).callback)
    }

    pub(super) fn cancel(&mut self, id: CallId) {
        let timed = self.waiting(id).is_some_and(|call| call.when.is_some());
        drop(self.take_call(id));
        if timed {
            self.note_stale();
        }
    }
}
