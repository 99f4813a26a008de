//! A queue between tasks: items leave in the order in which they came, and who waits is served in the order of coming.
//!
//! Two lines of [`Waiters`]: of those who get, and of those who put. After every change each is told how many may go; nothing
//! else decides who is woken. An item is in the queue or with its owner, never on the way to a task that may be dropped: so of
//! those whose turn has come, who is polled first puts or gets first, and an executor that keeps the order of wakes keeps this one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::rc::Rc;

use super::waiters::Waiters;

/// Hands items from task to task; clones are the same queue. As in asyncio nothing ends by being dropped:
/// [`shut_down`](Self::shut_down) says that no more will come.
///
/// A `put` that is dropped before it has returned has put nothing, and a `get` has taken nothing: so a
/// [`race`](super::race) or a timeout loses no item. Neither gives way to other tasks when it need not wait, as in asyncio.
///
/// asyncio: [`Queue`](https://docs.python.org/3/library/asyncio-queue.html#asyncio.Queue). There a put can overtake puts that wait
/// for room. Not offered: `join` and `task_done`, `PriorityQueue`, `LifoQueue`, `shutdown(immediate=True)`.
///
/// ```
/// # use std::{future::Future, pin::pin, task::{Context, Waker}};
/// use proxy_herd::streams::{Queue, join};
///
/// # let mut example = pin!(async {
/// let queue = Queue::new(2);
/// let produce = async {
///     for number in 1..=5 {
///         queue.put(number).await.expect("only we shut it down");
///     }
///     queue.shut_down();
/// };
/// let consume = async {
///     let mut sum = 0;
///     while let Some(number) = queue.get().await {
///         sum += number;
///     }
///     sum
/// };
/// assert_eq!(join(produce, consume).await, ((), 15));
/// # });
/// # while example.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {}
/// ```
#[derive(Debug)]
pub struct Queue<T>(Rc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    items: RefCell<VecDeque<T>>,
    most: usize,
    is_shut_down: Cell<bool>,
    getters: Waiters,
    putters: Waiters,
}

impl<T> Queue<T> {
    /// A queue of at most `most` items: to put one more waits until one was taken. asyncio: `Queue(maxsize)`.
    ///
    /// # Panics
    ///
    /// If `most` is 0, since nothing could ever be put.
    pub fn new(most: usize) -> Self {
        assert!(most > 0, "a queue has room for an item");
        Self(Rc::new(Shared {
            items: RefCell::default(),
            most,
            is_shut_down: Cell::new(false),
            getters: Waiters::new(0),
            putters: Waiters::new(most),
        }))
    }

    /// A queue of any number of items: to put never waits, and nothing slows down who puts. asyncio: `Queue()`.
    pub fn unbounded() -> Self {
        Self::new(usize::MAX)
    }

    /// Puts an item in, after waiting for room and for those who came before.
    ///
    /// # Errors
    ///
    /// The item comes back if the queue is shut down, also while waiting.
    #[expect(clippy::manual_async_fn, reason = "an async fn stores its arguments twice: rust-lang/rust#62958")]
    pub fn put(&self, item: T) -> impl Future<Output = Result<(), QueueShutDown<T>>> {
        async move {
            self.0.putters.turn().await;
            self.0.put(item)
        }
    }

    /// Puts an item in, if there is room that nobody waits for. asyncio: `put_nowait`.
    ///
    /// # Errors
    ///
    /// The item comes back if there is no such room, or if the queue is shut down.
    pub fn try_put(&self, item: T) -> Result<(), TryPutError<T>> {
        match self.0.putters.free() {
            0 => Err(TryPutError::Full(item)),
            _ => self.0.put(item).map_err(|QueueShutDown(item)| TryPutError::ShutDown(item)),
        }
    }

    /// Takes the oldest item, after waiting for one and for those who came before; `None` once the queue is shut down and empty.
    pub async fn get(&self) -> Option<T> {
        self.0.getters.turn().await;
        self.0.get()
    }

    /// Takes the oldest item, if there is one that nobody waits for. asyncio: `get_nowait`.
    pub fn try_get(&self) -> Option<T> {
        (self.0.getters.free() > 0).then(|| self.0.get()).flatten()
    }

    /// From now on nothing is put in: who waits for room gets its item back, and who gets takes what is left, then `None`.
    /// asyncio: `shutdown`.
    pub fn shut_down(&self) {
        self.0.is_shut_down.set(true);
        self.0.let_in();
    }

    /// How many items are in it, those included that are meant for somebody who waits. asyncio: `qsize`.
    pub fn len(&self) -> usize {
        self.0.items.borrow().len()
    }

    /// Whether there is no item.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room.
    pub fn is_full(&self) -> bool {
        self.len() == self.0.most
    }
}

impl<T> Shared<T> {
    /// The turn has come: so there is room, or the end.
    fn put(&self, item: T) -> Result<(), QueueShutDown<T>> {
        if self.is_shut_down.get() {
            return Err(QueueShutDown(item));
        }
        self.items.borrow_mut().push_back(item);
        self.let_in();
        Ok(())
    }

    /// The turn has come: so there is an item, or the end.
    fn get(&self) -> Option<T> {
        let item = self.items.borrow_mut().pop_front();
        self.let_in();
        item
    }

    fn let_in(&self) {
        self.getters.let_in(self.may_get());
        self.putters.let_in(self.may_put());
    }

    /// After the end all may go, to learn it; but it has not come while an item is there that somebody was called for.
    fn may_get(&self) -> usize {
        match self.items.borrow().len() {
            0 if self.is_shut_down.get() => usize::MAX,
            count => count,
        }
    }

    fn may_put(&self) -> usize {
        if self.is_shut_down.get() { usize::MAX } else { self.most - self.items.borrow().len() }
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

/// The queue is shut down; here is the item back. asyncio:
/// [`QueueShutDown`](https://docs.python.org/3/library/asyncio-queue.html#asyncio.QueueShutDown).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct QueueShutDown<T>(pub T);

/// Shown without the item, which need not be `Debug`.
impl<T> fmt::Debug for QueueShutDown<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("QueueShutDown(..)")
    }
}

impl<T> fmt::Display for QueueShutDown<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the queue is shut down")
    }
}

impl<T> Error for QueueShutDown<T> {}

/// Nothing was put; here is the item back.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TryPutError<T> {
    /// There is no room, or others wait for it. asyncio:
    /// [`QueueFull`](https://docs.python.org/3/library/asyncio-queue.html#asyncio.QueueFull).
    Full(T),
    /// The queue is shut down: there will never be room.
    ShutDown(T),
}

/// Shown without the item, which need not be `Debug`.
impl<T> fmt::Debug for TryPutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::ShutDown(_) => "ShutDown(..)",
        })
    }
}

impl<T> fmt::Display for TryPutError<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Full(_) => "the queue is full",
            Self::ShutDown(_) => "the queue is shut down",
        })
    }
}

impl<T> Error for TryPutError<T> {}

#[cfg(test)]
mod tests;
