//! Waiting for several futures at once, in one task: for all of them, or for the first.
//!
//! - Whatever wakes the task polls every branch that has not ended, in the order of the arguments: so what happens repeats
//!   itself. Many branches that are woken often are better off as tasks.
//! - A branch is dropped as soon as its end is known: nothing that has ended keeps memory, a permit or a place in a line.
//! - It costs the futures themselves and a word for each: they are never stored twice.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

/// Waits for both. asyncio: [`gather`](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather).
///
/// Errors are results like others: neither branch ends the other (as `gather` with `return_exceptions=True`).
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::{Queue, join};
///
/// # let mut example = pin!(async {
/// let queue = Queue::new(1);
/// assert_eq!(join(queue.get(), queue.put("hello")).await, (Some("hello"), Ok(())));
/// # });
/// # while example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
/// ```
pub fn join<A: Future, B: Future>(a: A, b: B) -> impl Future<Output = (A::Output, B::Output)> {
    Join { a: Branch::Runs { future: a }, b: Branch::Runs { future: b } }
}

/// Waits for both, or for the first error, which ends the other branch, too. asyncio: a
/// [`TaskGroup`](https://docs.python.org/3/library/asyncio-task.html#asyncio.TaskGroup) of two.
///
/// ```
/// # use std::{future::{Future, pending}, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::try_join;
///
/// # let mut example = pin!(async {
/// assert_eq!(try_join(async { Ok::<_, &str>(1) }, async { Ok(2) }).await, Ok((1, 2)));
/// assert_eq!(try_join(pending::<Result<(), _>>(), async { Err::<(), _>("no") }).await, Err("no"));
/// # });
/// # assert!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
pub fn try_join<A, B, T, U, E>(a: A, b: B) -> impl Future<Output = Result<(T, U), E>>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    TryJoin { a: Branch::Runs { future: a }, b: Branch::Runs { future: b } }
}

/// Waits for all, however many, and returns their results in the order of the futures. Each of them is a box of its own.
/// asyncio: [`gather`](https://docs.python.org/3/library/asyncio-task.html#asyncio.gather).
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::join_all;
///
/// # let mut example = pin!(async {
/// let squares = join_all((1..=3).map(async |number| number * number)).await;
/// assert_eq!(squares, [1, 4, 9]);
/// # });
/// # assert!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
pub fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> impl Future<Output = Vec<F::Output>> {
    let mut branches: Vec<_> = futures.into_iter().map(|future| Box::pin(Branch::Runs { future })).collect();
    std::future::poll_fn(move |context| {
        let mut runs = false;
        for branch in &mut branches {
            runs |= branch.as_mut().poll(context).is_pending();
        }
        if runs {
            Poll::Pending
        } else {
            Poll::Ready(branches.drain(..).map(|mut branch| branch.as_mut().take()).collect())
        }
    })
}

/// Waits for the first to end; the other is dropped before this returns. If both can end, `a` does, and `b` is not polled:
/// so an `a` that is always ready starves `b`.
/// asyncio: [`wait`](https://docs.python.org/3/library/asyncio-task.html#asyncio.wait) with `FIRST_COMPLETED`, which leaves the others running.
///
/// What is dropped must not lose anything by it: all that this room offers does not.
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::{Either, Event, Queue, race};
///
/// # let mut example = pin!(async {
/// let (queue, stop) = (Queue::<u8>::new(1), Event::new());
/// stop.set();
/// match race(queue.get(), stop.wait()).await {
///     Either::Left(item) => unreachable!("nobody has put {item:?}"),
///     Either::Right(()) => {}
/// }
/// # });
/// # assert!(example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
/// ```
pub fn race<A: Future, B: Future>(a: A, b: B) -> impl Future<Output = Either<A::Output, B::Output>> {
    Race { both: Some(Both { a, b }) }
}

/// What the first of two gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Either<A, B> {
    /// The first argument's.
    Left(A),
    /// The second argument's.
    Right(B),
}

impl<T> Either<T, T> {
    /// Whichever it was.
    pub fn into_inner(self) -> T {
        match self {
            Self::Left(result) | Self::Right(result) => result,
        }
    }
}

pin_project! {
    struct Join<A: Future, B: Future> {
        #[pin]
        a: Branch<A>,
        #[pin]
        b: Branch<B>,
    }
}

impl<A: Future, B: Future> Future for Join<A, B> {
    type Output = (A::Output, B::Output);

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let a = this.a.as_mut().poll(context);
        ready!(this.b.as_mut().poll(context));
        ready!(a);
        Poll::Ready((this.a.take(), this.b.take()))
    }
}

pin_project! {
    struct TryJoin<A: Future, B: Future> {
        #[pin]
        a: Branch<A>,
        #[pin]
        b: Branch<B>,
    }
}

impl<A, B, T, U, E> Future for TryJoin<A, B>
where
    A: Future<Output = Result<T, E>>,
    B: Future<Output = Result<U, E>>,
{
    type Output = Result<(T, U), E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let a = this.a.as_mut().poll(context);
        if let Some(error) = this.a.as_mut().take_error() {
            this.b.set(Branch::Taken);
            return Poll::Ready(Err(error));
        }
        let b = this.b.as_mut().poll(context);
        if let Some(error) = this.b.as_mut().take_error() {
            this.a.set(Branch::Taken);
            return Poll::Ready(Err(error));
        }
        ready!(a);
        ready!(b);
        match (this.a.take(), this.b.take()) {
            (Ok(a), Ok(b)) => Poll::Ready(Ok((a, b))),
            (Err(error), _) | (_, Err(error)) => Poll::Ready(Err(error)),
        }
    }
}

pin_project! {
    /// A future, then its result, which is then taken.
    #[project = BranchPinned]
    #[project_replace = BranchOwned]
    enum Branch<F: Future> {
        Runs { #[pin] future: F },
        Ended { result: F::Output },
        Taken,
    }
}

impl<F: Future> Branch<F> {
    /// Ready once it has ended, however often it is asked.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let BranchPinned::Runs { future } = self.as_mut().project() {
            let result = ready!(future.poll(context));
            self.set(Branch::Ended { result });
        }
        Poll::Ready(())
    }

    fn take(self: Pin<&mut Self>) -> F::Output {
        match self.project_replace(Branch::Taken) {
            BranchOwned::Ended { result } => result,
            BranchOwned::Runs { .. } | BranchOwned::Taken => panic!("a result is taken once, after the end"),
        }
    }
}

impl<T, E, F: Future<Output = Result<T, E>>> Branch<F> {
    /// The error that it has ended with, if it has.
    fn take_error(mut self: Pin<&mut Self>) -> Option<E> {
        match self.as_mut().project() {
            BranchPinned::Ended { result: Err(_) } => self.take().err(),
            _ => None,
        }
    }
}

pin_project! {
    struct Race<A, B> {
        #[pin]
        both: Option<Both<A, B>>,
    }
}

pin_project! {
    struct Both<A, B> {
        #[pin]
        a: A,
        #[pin]
        b: B,
    }
}

impl<A: Future, B: Future> Future for Race<A, B> {
    type Output = Either<A::Output, B::Output>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let both = this.both.as_mut().as_pin_mut().expect("it is not polled again after it has ended").project();
        let first = match both.a.poll(context) {
            Poll::Ready(result) => Either::Left(result),
            Poll::Pending => Either::Right(ready!(both.b.poll(context))),
        };
        this.both.set(None);
        Poll::Ready(first)
    }
}

#[cfg(test)]
mod tests;
