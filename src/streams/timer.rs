//! Time for tasks: `sleep`, and the end of somebody's patience.
//!
//! All who sleep stand in one table; the loop is asked for one call, at the earliest time. A `timeout` whose future is ready
//! at once costs nothing, and one that is not used up costs an entry that is made and taken out: no callback, no timer of the
//! loop's.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;

use super::desk::Desk;

/// Who sleeps, and until when; equal times in the order of falling asleep.
#[derive(Default)]
pub(super) struct Timers {
    sleepers: RefCell<BTreeMap<(Instant, u64), Waker>>,
    serials: Cell<u64>,
}

impl Timers {
    /// When somebody has to be woken next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.sleepers.borrow().keys().next().map(|(at, _)| *at)
    }

    /// Wakes those whose time has come.
    pub(super) fn wake(&self, now: Instant) {
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            let Some(first) = sleepers.first_entry().filter(|first| first.key().0 <= now) else { return };
            let waker = first.remove();
            drop(sleepers);
            waker.wake();
        }
    }

    pub(super) fn close(&self) {
        drop(self.sleepers.take());
    }

    fn register(&self, at: Instant, waker: &Waker) -> u64 {
        let serial = self.serials.get() + 1;
        self.serials.set(serial);
        self.sleepers.borrow_mut().insert((at, serial), waker.clone());
        serial
    }

    /// Has another waker woken; false if the sleeper was woken already.
    fn renew(&self, at: Instant, serial: u64, waker: &Waker) {
        let mut sleepers = self.sleepers.borrow_mut();
        if let Some(old) = sleepers.get_mut(&(at, serial))
            && !old.will_wake(waker)
        {
            let old = std::mem::replace(old, waker.clone());
            drop(sleepers);
            drop(old);
        }
    }

    fn forget(&self, at: Instant, serial: u64) {
        let waker = self.sleepers.borrow_mut().remove(&(at, serial));
        drop(waker);
    }
}

/// The future of [`Handle::sleep`](super::Handle::sleep).
#[must_use = "nothing sleeps unless it is awaited"]
pub struct Sleep {
    desk: Rc<Desk>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Nobody has polled it.
    Fresh(Duration),
    /// Until then; it does not stand in the table yet.
    Until(Instant),
    Asleep(Instant, u64),
    Over,
}

impl Sleep {
    pub(super) fn new(desk: Rc<Desk>, time: Duration) -> Self {
        Self { desk, stage: Stage::Fresh(time) }
    }

    pub(super) fn until(desk: Rc<Desk>, at: Instant) -> Self {
        Self { desk, stage: Stage::Until(at) }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut();
        let now = sleep.desk.now();
        let (at, serial) = match sleep.stage {
            Stage::Fresh(time) => (now + time.min(FAR), None),
            Stage::Until(at) => (at, None),
            Stage::Asleep(at, serial) => (at, Some(serial)),
            Stage::Over => return Poll::Ready(()),
        };
        let timers = &sleep.desk.timers;
        if at <= now {
            if let Some(serial) = serial {
                timers.forget(at, serial);
            }
            sleep.stage = Stage::Over;
            return Poll::Ready(());
        }
        match serial {
            None => sleep.stage = Stage::Asleep(at, timers.register(at, context.waker())),
            Some(serial) => timers.renew(at, serial, context.waker()),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Stage::Asleep(at, serial) = self.stage {
            self.desk.timers.forget(at, serial);
        }
    }
}

pin_project! {
    /// The future of [`Handle::timeout`](super::Handle::timeout).
    #[must_use = "nothing happens unless it is awaited"]
    pub struct Timeout<F> {
        #[pin]
        future: F,
        sleep: Sleep,
    }
}

impl<F> Timeout<F> {
    pub(super) fn new(future: F, sleep: Sleep) -> Self {
        Self { future, sleep }
    }
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let parts = self.project();
        // In this order: what is ready in time counts, however late we are.
        if let Poll::Ready(output) = parts.future.poll(context) {
            return Poll::Ready(Ok(output));
        }
        Pin::new(parts.sleep).poll(context).map(|()| Err(Elapsed))
    }
}

/// Somebody took too long: asyncio's `TimeoutError`. As an [`io::Error`], it is `TimedOut`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("it took too long")
    }
}

impl Error for Elapsed {}

impl From<Elapsed> for io::Error {
    fn from(elapsed: Elapsed) -> Self {
        Self::new(io::ErrorKind::TimedOut, elapsed)
    }
}

/// The longest sleep: 100 years, as the loop's.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
