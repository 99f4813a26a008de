//! The way into the loop from other threads: calls go into a mailbox, and the loop is woken once for all of them.

use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use super::Loop;

/// A loop, as other threads know it; clones name the same loop. It does not keep the loop alive. Other threads can use
/// nothing else of the loop: the compiler sees to that.
///
/// ```
/// use std::time::{Instant, SystemTime};
///
/// use proxy_herd::driver::Sockets;
/// use proxy_herd::event_loop::EventLoop;
///
/// let mut event_loop = EventLoop::new(Vec::new(), Instant::now(), SystemTime::now());
/// let remote = event_loop.enter(|event_loop, _| event_loop.remote());
/// let worker = std::thread::spawn(move || {
///     remote.call_soon_threadsafe(|event_loop, words| {
///         words.push("hello from another thread");
///         event_loop.stop();
///     })
/// });
/// Sockets::new()?.run(&mut event_loop)?;
/// assert_eq!(event_loop.state(), &["hello from another thread"]);
/// worker.join().expect("it does not panic")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Remote<S>(Arc<Shared<S>>);

impl<S> Remote<S> {
    /// Has `callback` called at the loop's next turn, which begins at once; calls of one thread keep their order.
    /// asyncio: [`call_soon_threadsafe`](https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.loop.call_soon_threadsafe).
    ///
    /// # Errors
    ///
    /// If the loop was dropped: then the callback is, too. (To a loop that is stopped it is no error, as that may run again.)
    pub fn call_soon_threadsafe(
        &self,
        callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + Send + 'static,
    ) -> Result<(), Closed> {
        let mut letters = self.0.lock();
        let Letters::Open { calls, waker } = &mut *letters else { return Err(Closed) };
        calls.push(Box::new(callback));
        // The flag comes after the call and before the waking: who is woken finds it.
        let first = !self.0.filled.swap(true, Ordering::AcqRel);
        let waker = waker.clone().filter(|_| first);
        drop(letters);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<S> Clone for Remote<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> fmt::Debug for Remote<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Remote")
    }
}

/// The loop is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the event loop is closed")
    }
}

impl Error for Closed {}

/// The loop's side. When it goes, so do the calls that were not made.
pub(super) struct Mailbox<S>(Arc<Shared<S>>);

struct Shared<S> {
    letters: Mutex<Letters<S>>,
    /// There are calls; read without the lock, once a turn.
    filled: AtomicBool,
}

enum Letters<S> {
    Open { calls: Vec<RemoteCallback<S>>, waker: Option<Waker> },
    Closed,
}

pub(super) type RemoteCallback<S> = Box<dyn FnOnce(&mut Loop<'_, S>, &mut S) + Send>;

impl<S> Default for Mailbox<S> {
    fn default() -> Self {
        let letters = Mutex::new(Letters::Open { calls: Vec::new(), waker: None });
        Self(Arc::new(Shared { letters, filled: AtomicBool::new(false) }))
    }
}

impl<S> Mailbox<S> {
    pub(super) fn remote(&self) -> Remote<S> {
        Remote(Arc::clone(&self.0))
    }

    pub(super) fn is_filled(&self) -> bool {
        self.0.filled.load(Ordering::Acquire)
    }

    /// Moves what other threads have asked for, in order, to the end of `calls`; the room stays here for the next.
    pub(super) fn take(&self, calls: &mut Vec<RemoteCallback<S>>) {
        if self.0.filled.swap(false, Ordering::AcqRel)
            && let Letters::Open { calls: letters, .. } = &mut *self.0.lock()
        {
            calls.append(letters);
        }
    }

    /// Whom to wake when the first call comes.
    pub(super) fn set_waker(&self, new: Waker) {
        if let Letters::Open { waker, .. } = &mut *self.0.lock() {
            *waker = Some(new);
        }
    }
}

impl<S> Drop for Mailbox<S> {
    fn drop(&mut self) {
        // Dropped outside the lock: what a callback owns may call us.
        let letters = std::mem::replace(&mut *self.0.lock(), Letters::Closed);
        drop(letters);
    }
}

impl<S> Shared<S> {
    fn lock(&self) -> MutexGuard<'_, Letters<S>> {
        // Nothing of somebody else's runs under the lock, so a poisoned one is as good as new.
        self.letters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
