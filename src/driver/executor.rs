//! The application's own jobs, on threads of their own: asyncio's default executor.
//!
//! Shared with nobody else, so that jobs that take long delay no name's lookup.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;
use std::thread;

use super::pool::Pool;
use crate::event_loop::{CallId, Job};

/// The threads, and the way back from them.
pub(super) struct Executor {
    threads: Pool,
    waker: Waker,
    over: Sender<CallId>,
    executed: Receiver<CallId>,
}

impl Executor {
    /// `waker` is woken whenever a job is over. Threads come with the jobs.
    pub(super) fn new(waker: Waker) -> Self {
        let processors = thread::available_parallelism().map_or(1, usize::from);
        let (over, executed) = channel();
        Self { threads: Pool::new("executor", MOST.min(processors + SPARE)), waker, over, executed }
    }

    /// Has the job done. It counts as `executed` also if it panics, or if there is no thread to do it.
    pub(super) fn execute(&self, call: CallId, job: Job) {
        let end = End { call, over: self.over.clone(), waker: self.waker.clone() };
        let job = move || {
            let _end = end;
            job();
        };
        if let Err(error) = self.threads.run(Box::new(job)) {
            log::error!("no thread for a job: {error}");
        }
    }

    /// The next job that is over, if there is one.
    pub(super) fn executed(&self) -> Option<CallId> {
        self.executed.try_recv().ok()
    }
}

/// Says, when it is dropped, that a job is over.
struct End {
    call: CallId,
    over: Sender<CallId>,
    waker: Waker,
}

impl Drop for End {
    fn drop(&mut self) {
        // Without a receiver nobody waits: the driver is gone.
        if self.over.send(self.call).is_ok() {
            self.waker.wake_by_ref();
        }
    }
}

/// The most threads, however many processors there are (asyncio's number).
const MOST: usize = 32;

/// How many threads there may be beyond one for each processor, for jobs that wait rather than work (asyncio's number).
const SPARE: usize = 4;
