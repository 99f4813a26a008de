//! A task: a future that the executor polls, and the handle by which somebody joins or cancels it.

use std::cell::RefCell;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;

use super::agenda::Bell;
use crate::event_loop::{ConnId, Panicked};

/// A task that was [spawned](super::Handle::spawn): awaiting it joins it, dropping it cancels it. asyncio: `Task`, which may be
/// lost half-way if nobody keeps it ("the event loop only keeps weak references to tasks"); here it is one or the other.
///
/// ```
/// # use std::time::Duration;
/// # use proxy_herd::{driver::sim::{Sim, Weather}, streams::{Handle, TaskError}};
/// # let mut sim = Sim::new(7, Weather::default());
/// # let host = sim.add_host("Goloman", Vec::new());
/// # let handle: Handle<Vec<String>> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
/// # let tasks = handle.clone();
/// handle.spawn(async move {
///     let second = Duration::from_secs(1);
///     let sum = tasks.spawn(async { 1 + 1 });
///     let slow = tasks.spawn({ let tasks = tasks.clone(); async move { tasks.sleep(60 * second).await } });
///     tasks.sleep(second).await;
///     slow.cancel();
///     let ends = (sum.await, slow.await);
///     assert_eq!(ends, (Ok(2), Err(TaskError::Cancelled)));
/// #   tasks.call(move |_, told| told.push(format!("{ends:?}"))).await;
/// }).detach();
/// # sim.run_for(Duration::from_secs(2));
/// # assert_eq!(*sim.state(host), ["(Ok(2), Err(Cancelled))"]);
/// ```
#[must_use = "dropping it cancels the task: `detach` it, or await it"]
pub struct Task<T> {
    /// `None` once it was detached.
    bell: Option<Arc<Bell>>,
    outcome: Rc<Outcome<T>>,
}

impl<T> Task<T> {
    /// Has the task dropped where it waits, and all it owns with it: the executor does so when it comes to it, in this turn
    /// or the next. A task that is done by then is not changed. asyncio: `cancel`, with an exception that the task may
    /// catch; here it cannot, but may clean up in its destructors.
    pub fn cancel(&self) {
        if let Some(bell) = &self.bell
            && !self.is_finished()
        {
            bell.cancel();
        }
    }

    /// Lets the task go on by itself; what it panics with is told to the loop's exception handler, as for all tasks.
    pub fn detach(mut self) {
        self.bell = None;
    }

    /// What it has come to, for who does not await it, as after the loop has stopped. If it has not ended, it is cancelled, and
    /// that is the result. asyncio: `result`.
    ///
    /// # Errors
    ///
    /// The same as when it is awaited.
    ///
    /// # Panics
    ///
    /// If it was awaited to its end before.
    pub fn result(self) -> Result<T, TaskError> {
        if self.is_finished() { self.outcome.take() } else { Err(TaskError::Cancelled) }
    }

    /// Whether it has ended, in whichever way. asyncio: `done`.
    pub fn is_finished(&self) -> bool {
        !matches!(*self.outcome.0.borrow(), Stage::Running(_))
    }
}

impl<T> Future for Task<T> {
    type Output = Result<T, TaskError>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut stage = self.outcome.0.borrow_mut();
        if let Stage::Running(waiting) = &mut *stage {
            let is_known = waiting.as_ref().is_some_and(|waker| waker.will_wake(context.waker()));
            let old = if is_known { None } else { waiting.replace(context.waker().clone()) };
            // A waker may be somebody else's, and do anything when it is dropped.
            drop(stage);
            drop(old);
            return Poll::Pending;
        }
        drop(stage);
        Poll::Ready(self.outcome.take())
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A task has no result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TaskError {
    /// It was cancelled, or the loop is gone. asyncio: `CancelledError`.
    Cancelled,
    /// It has panicked. asyncio: the exception.
    Panicked(Panicked),
}

impl fmt::Display for TaskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cancelled => formatter.write_str("the task was cancelled"),
            Self::Panicked(panicked) => panicked.fmt(formatter),
        }
    }
}

impl Error for TaskError {}

impl From<TaskError> for io::Error {
    fn from(error: TaskError) -> Self {
        Self::other(error)
    }
}

/// What has become of a task, between the executor and its [`Task`].
struct Outcome<T>(RefCell<Stage<T>>);

enum Stage<T> {
    /// Who waits for it.
    Running(Option<Waker>),
    Done(T),
    Cancelled,
    /// Boxed, as it is rare and large.
    Panicked(Box<Panicked>),
    Joined,
}

impl<T> Outcome<T> {
    /// What it has come to.
    fn take(&self) -> Result<T, TaskError> {
        match self.0.replace(Stage::Joined) {
            Stage::Done(output) => Ok(output),
            Stage::Cancelled => Err(TaskError::Cancelled),
            Stage::Panicked(panicked) => Err(TaskError::Panicked(*panicked)),
            Stage::Running(_) | Stage::Joined => panic!("a task is joined once"),
        }
    }

    /// It has ended; the first word counts.
    fn settle(&self, end: Stage<T>) {
        let mut stage = self.0.borrow_mut();
        if let Stage::Running(waker) = &mut *stage {
            let waker = waker.take();
            *stage = end;
            drop(stage);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

/// What the executor polls.
pub(super) trait Job {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()>;

    /// It has panicked, and is dropped next.
    fn panicked(self: Pin<&mut Self>, panicked: Panicked) {
        let _ = panicked;
    }

    /// The connection it serves, if that is all it does.
    fn connection(&self) -> Option<ConnId> {
        None
    }
}

pin_project! {
    /// A task that somebody may join.
    struct Spawned<F: Future> {
        #[pin]
        future: F,
        promise: Promise<F::Output>,
    }
}

/// The task's end of an outcome: dropped without a word, the task was cancelled.
struct Promise<T>(Rc<Outcome<T>>);

impl<T> Drop for Promise<T> {
    fn drop(&mut self) {
        self.0.settle(Stage::Cancelled);
    }
}

impl<F: Future> Job for Spawned<F> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let parts = self.project();
        parts.future.poll(context).map(|output| parts.promise.0.settle(Stage::Done(output)))
    }

    fn panicked(self: Pin<&mut Self>, panicked: Panicked) {
        self.promise.0.settle(Stage::Panicked(Box::new(panicked)));
    }
}

/// A future as a job; `spawn` gives the job to the executor.
pub(super) fn spawn<F>(future: F, spawn: impl FnOnce(Pin<Box<dyn Job>>) -> Arc<Bell>) -> Task<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let outcome = Rc::new(Outcome(RefCell::new(Stage::Running(None))));
    let promise = Promise(Rc::clone(&outcome));
    let bell = spawn(Box::pin(Spawned { future, promise }));
    Task { bell: Some(bell), outcome }
}

pin_project! {
    /// What serves one connection, which its end closes.
    struct Served<F> {
        #[pin]
        future: F,
        id: ConnId,
    }
}

impl<F: Future<Output = io::Result<()>>> Job for Served<F> {
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let id = self.id;
        self.project().future.poll(context).map(|served| {
            if let Err(error) = served {
                log::info!("{id} is closed: {error}");
            }
        })
    }

    fn connection(&self) -> Option<ConnId> {
        Some(self.id)
    }
}

/// What serves the connection `id`, as a job.
pub(super) fn serve(id: ConnId, future: impl Future<Output = io::Result<()>> + 'static) -> Pin<Box<dyn Job>> {
    Box::pin(Served { future, id })
}
