//! The loop and the state, for a task: a closure that the executor calls between two polls.
//!
//! A task cannot hold the loop or the state while it waits, and the compiler will not let it hold them while it runs: so it
//! *asks*, and what it has written before is on its way first.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::thread;

use super::handle::Handle;
use crate::event_loop::{Loop, Panicked};

/// What was asked and not yet done, first come, first served.
pub(super) type Asks<S> = RefCell<VecDeque<Rc<dyn Ask<S>>>>;

/// Something to be done with the loop and the state; whom to wake then.
pub(super) trait Ask<S> {
    fn grant(&self, event_loop: &mut Loop<'_, S>, state: &mut S) -> Option<Waker>;
}

/// The future of [`Handle::call`](super::Handle::call).
#[must_use = "nothing is called unless it is awaited"]
pub struct Call<S, F, R> {
    handle: Handle<S>,
    stage: Stage<F, R>,
}

enum Stage<F, R> {
    Fresh(F),
    Asked(Rc<Asked<F, R>>),
    Over,
}

struct Asked<F, R>(RefCell<Progress<F, R>>);

enum Progress<F, R> {
    Waiting(F, Waker),
    /// It is being called; or nobody wants it any more.
    Gone,
    Done(thread::Result<R>),
}

impl<S, F, R> Call<S, F, R> {
    pub(super) fn new(handle: Handle<S>, callback: F) -> Self {
        Self { handle, stage: Stage::Fresh(callback) }
    }
}

/// The closure is moved, never pinned.
impl<S, F, R> Unpin for Call<S, F, R> {}

impl<S, F, R> Future for Call<S, F, R>
where
    S: 'static,
    F: FnOnce(&mut Loop<'_, S>, &mut S) -> R + 'static,
    R: 'static,
{
    type Output = R;

    /// # Panics
    ///
    /// If the closure does; and if it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<R> {
        let call = self.get_mut();
        match mem::replace(&mut call.stage, Stage::Over) {
            Stage::Fresh(callback) => {
                let progress = Progress::Waiting(callback, context.waker().clone());
                let asked = Rc::new(Asked(RefCell::new(progress)));
                call.handle.ask(Rc::clone(&asked) as Rc<dyn Ask<S>>);
                call.stage = Stage::Asked(asked);
                Poll::Pending
            }
            Stage::Asked(asked) => {
                let mut progress = asked.0.borrow_mut();
                match mem::replace(&mut *progress, Progress::Gone) {
                    Progress::Done(Ok(result)) => Poll::Ready(result),
                    Progress::Done(Err(payload)) => resume_unwind(payload),
                    Progress::Waiting(callback, _) => {
                        *progress = Progress::Waiting(callback, context.waker().clone());
                        drop(progress);
                        call.stage = Stage::Asked(asked);
                        Poll::Pending
                    }
                    Progress::Gone => unreachable!("nobody is polled while a closure is called"),
                }
            }
            Stage::Over => panic!("a call has one result"),
        }
    }
}

impl<S, F, R> Drop for Call<S, F, R> {
    fn drop(&mut self) {
        if let Stage::Asked(asked) = &self.stage {
            let progress = asked.0.replace(Progress::Gone);
            drop(progress);
        }
    }
}

impl<S, F, R> Ask<S> for Asked<F, R>
where
    F: FnOnce(&mut Loop<'_, S>, &mut S) -> R,
{
    fn grant(&self, event_loop: &mut Loop<'_, S>, state: &mut S) -> Option<Waker> {
        let Progress::Waiting(callback, waker) = self.0.replace(Progress::Gone) else { return None };
        // A panic is the task's that has asked.
        let result = catch_unwind(AssertUnwindSafe(|| callback(event_loop, state)));
        self.0.replace(Progress::Done(result));
        Some(waker)
    }
}

/// What nobody waits for: see [`Handle::call_soon`](super::Handle::call_soon).
pub(super) struct CallSoon<F>(RefCell<Option<F>>);

impl<F> CallSoon<F> {
    pub(super) fn new(callback: F) -> Self {
        Self(RefCell::new(Some(callback)))
    }
}

impl<S, F> Ask<S> for CallSoon<F>
where
    F: FnOnce(&mut Loop<'_, S>, &mut S),
{
    fn grant(&self, event_loop: &mut Loop<'_, S>, state: &mut S) -> Option<Waker> {
        let callback = self.0.take()?;
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| callback(event_loop, state))) {
            event_loop.call_exception_handler(Panicked::new("a call of the loop", None, payload));
        }
        None
    }
}
