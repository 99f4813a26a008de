//! Threads for what blocks: as many as there is work for at a time, up to a bound.
//!
//! - A thread is started only when a job comes and none is idle; it stays as long as the pool.
//! - A job that panics costs neither its thread nor another job.
//! - Dropping the pool waits for nobody: threads end after the job they are at, and what is queued is never run.
//!
//! What it does not do: results and their way back are the business of the job.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::event_loop::Job;

/// The threads, and the jobs that wait for one.
pub(super) struct Pool {
    name: &'static str,
    most: usize,
    shared: Arc<Shared>,
}

/// What the pool and its threads both hold.
#[derive(Default)]
struct Shared {
    work: Mutex<Work>,
    news: Condvar,
}

#[derive(Default)]
struct Work {
    queued: VecDeque<Job>,
    threads: usize,
    /// How many of the threads wait for a job.
    idle: usize,
    is_over: bool,
}

impl Pool {
    /// A pool of at most this many threads of that name, and none so far.
    pub(super) fn new(name: &'static str, most: usize) -> Self {
        Self { name, most, shared: Arc::default() }
    }

    /// Has a thread run the job, in the order of calling. Fails if the system gives the pool not even one thread.
    pub(super) fn run(&self, job: Job) -> io::Result<()> {
        let mut work = self.shared.work();
        // An idle thread that was called already, and is not up yet, is counted against its job in the queue.
        if work.queued.len() >= work.idle && work.threads < self.most {
            let shared = Arc::clone(&self.shared);
            match thread::Builder::new().name(self.name.to_owned()).spawn(move || shared.serve()) {
                Ok(_) => work.threads += 1,
                Err(error) if work.threads == 0 => return Err(error),
                // The others will come to it.
                Err(error) => log::warn!("no more than {} threads for the {}: {error}", work.threads, self.name),
            }
        }
        work.queued.push_back(job);
        drop(work);
        self.shared.news.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut work = self.shared.work();
        work.is_over = true;
        let never_run = std::mem::take(&mut work.queued);
        drop(work);
        self.shared.news.notify_all();
        // Not under the lock: what they hold may do anything when it goes.
        drop(never_run);
    }
}

impl Shared {
    /// A thread's life.
    fn serve(&self) {
        while let Some(job) = self.next() {
            // The panic hook has said what happened; whoever waits for the job sees that it is gone.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job, waited for; `None` when the pool is gone.
    fn next(&self) -> Option<Job> {
        let mut work = self.work();
        loop {
            if work.is_over {
                return None;
            }
            if let Some(job) = work.queued.pop_front() {
                return Some(job);
            }
            work.idle += 1;
            work = self.news.wait(work).unwrap_or_else(PoisonError::into_inner);
            work.idle -= 1;
        }
    }

    /// No job runs under the lock, so what a panic leaves behind is whole.
    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::resume_unwind;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    /// Has a job wait for its gate to open; the receiver hears when it has begun, and when it is done.
    fn run_gated(pool: &Pool, gate: Receiver<()>) -> Receiver<&'static str> {
        let (say, heard) = channel();
        let job = move || {
            let _ = say.send("begun");
            let _ = gate.recv();
            let _ = say.send("done");
        };
        pool.run(Box::new(job)).expect("a thread");
        heard
    }

    #[test]
    fn threads_come_with_the_work_up_to_the_bound() {
        let pool = Pool::new("test", 2);
        assert_eq!(pool.shared.work().threads, 0);
        let (gates, jobs): (Vec<_>, Vec<_>) = [1, 2, 2, 2]
            .map(|threads| {
                let (gate, closed) = channel();
                let job = run_gated(&pool, closed);
                assert_eq!(pool.shared.work().threads, threads);
                (gate, job)
            })
            .into_iter()
            .unzip();
        assert_eq!([&jobs[0], &jobs[1]].map(Receiver::recv), [Ok("begun"), Ok("begun")]);
        assert!(jobs[2].try_recv().is_err(), "both threads are busy");
        drop(gates);
        for job in &jobs {
            assert_eq!(job.iter().last(), Some("done"));
        }
        assert_eq!(pool.shared.work().threads, 2);
    }

    #[test]
    fn an_idle_thread_is_used_again() {
        let pool = Pool::new("test", 2);
        for _ in 0..10 {
            let (gate, closed) = channel();
            let job = run_gated(&pool, closed);
            drop(gate);
            assert_eq!(job.iter().last(), Some("done"));
            while pool.shared.work().idle == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(pool.shared.work().threads, 1);
    }

    #[test]
    fn a_panic_costs_neither_the_thread_nor_the_next_job() {
        let pool = Pool::new("test", 1);
        // Without the hook that would write to standard error.
        pool.run(Box::new(|| resume_unwind(Box::new("on purpose")))).expect("a thread");
        let (gate, closed) = channel();
        let job = run_gated(&pool, closed);
        drop(gate);
        assert_eq!(job.iter().last(), Some("done"));
        assert_eq!(pool.shared.work().threads, 1);
    }

    #[test]
    fn drop_neither_waits_nor_runs_what_is_queued() {
        let pool = Pool::new("test", 1);
        let (gate, closed) = channel();
        let at_it = run_gated(&pool, closed);
        let queued = run_gated(&pool, channel().1);
        assert_eq!(at_it.recv(), Ok("begun"));
        let shared = Arc::downgrade(&pool.shared);
        drop(pool);
        assert_eq!(queued.recv().ok(), None);
        drop(gate);
        assert_eq!(at_it.recv(), Ok("done"));
        // And the thread ends.
        while shared.strong_count() > 0 {
            thread::yield_now();
        }
    }
}
