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

    /// Somebody whose time has come, the earliest first.
    pub(super) fn pop_due(&self, now: Instant) -> Option<Waker> {
        let mut sleepers = self.sleepers.borrow_mut();
        let first = sleepers.first_entry().filter(|first| first.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn close(&self) {
        drop(self.sleepers.take());
    }

    fn register(&self, at: Instant, waker: Waker) -> u64 {
        let serial = self.serials.get() + 1;
        self.serials.set(serial);
        self.sleepers.borrow_mut().insert((at, serial), waker);
        serial
    }

    fn forget(&self, at: Instant, serial: u64) {
        let waker = self.sleepers.borrow_mut().remove(&(at, serial));
        drop(waker);
    }
}

/// The future of [`Handle::sleep`](super::Handle::sleep).
///
/// To limit one thing after another, as the lines of a conversation, it can be [set again](Self::reset) and again, which costs
/// next to nothing as long as the times grow: it stands in the table at the earliest of them.
///
/// ```
/// # use std::time::Duration;
/// # use proxy_herd::{driver::sim::{Sim, Weather}, streams::{Elapsed, Handle, Queue}};
/// # let mut sim = Sim::new(7, Weather::default());
/// # let host = sim.add_host("Goloman", 0);
/// # let handle: Handle<u32> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
/// # let queue = Queue::unbounded();
/// # let (tasks, items) = (handle.clone(), queue.clone());
/// # handle.spawn(async move {
/// let second = Duration::from_secs(1);
/// let mut patience = tasks.sleep(second);
/// while let Ok(Some(item)) = patience.timeout(items.get()).await {
///     tasks.call(move |_, sum| *sum += item).await;
///     patience.reset(tasks.now() + second);
/// }
/// # }).detach();
/// # for _ in 0..3 {
/// #     queue.try_put(1).expect("there is room");
/// #     sim.run_for(Duration::from_millis(900));
/// # }
/// # sim.run_for(Duration::from_millis(200));
/// # queue.try_put(1).expect("there is room");
/// # sim.run_for(Duration::from_millis(200));
/// # assert_eq!(*sim.state(host), 3);
/// ```
#[must_use = "nothing sleeps unless it is awaited"]
pub struct Sleep {
    desk: Rc<Desk>,
    when: When,
    /// Where it stands in the table, if it does.
    entry: Option<Entry>,
}

#[derive(Clone, Copy)]
enum When {
    /// So long after it is first polled.
    After(Duration),
    At(Instant),
    /// It was.
    Over,
}

struct Entry {
    at: Instant,
    serial: u64,
    waker: Waker,
}

impl Sleep {
    pub(super) fn new(desk: Rc<Desk>, time: Duration) -> Self {
        Self { desk, when: When::After(time), entry: None }
    }

    pub(super) fn until(desk: Rc<Desk>, at: Instant) -> Self {
        Self { desk, when: When::At(at), entry: None }
    }

    /// Sleeps until `at` instead, also if it was over.
    pub fn reset(&mut self, at: Instant) {
        self.when = When::At(at);
    }

    /// Awaits `future` until this sleep is over: [`Handle::timeout`](super::Handle::timeout), with a sleep that is used again.
    pub fn timeout<F: Future>(&mut self, future: F) -> Timeout<F, &mut Self> {
        Timeout::new(future, self)
    }

    fn leave(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.desk.timers.forget(entry.at, entry.serial);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut();
        let now = sleep.desk.now();
        let at = match sleep.when {
            When::After(time) => now + time.min(FAR),
            When::At(at) => at,
            When::Over => return Poll::Ready(()),
        };
        if at <= now {
            sleep.leave();
            sleep.when = When::Over;
            return Poll::Ready(());
        }
        sleep.when = When::At(at);
        // One that comes up too early is made again then.
        let stands = |entry: &Entry| now < entry.at && entry.at <= at && entry.waker.will_wake(context.waker());
        if !sleep.entry.as_ref().is_some_and(stands) {
            sleep.leave();
            let waker = context.waker().clone();
            let serial = sleep.desk.timers.register(at, waker.clone());
            sleep.entry = Some(Entry { at, serial, waker });
            // Perhaps by somebody else's task: then the executor has to hear of it, to set its alarm.
            sleep.desk.agenda.stir();
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}

pin_project! {
    /// The future of [`Handle::timeout`](super::Handle::timeout).
    #[must_use = "nothing happens unless it is awaited"]
    pub struct Timeout<F, S = Sleep> {
        #[pin]
        future: F,
        sleep: S,
    }
}

impl<F, S> Timeout<F, S> {
    pub(super) fn new(future: F, sleep: S) -> Self {
        Self { future, sleep }
    }
}

impl<F: Future, S: Future<Output = ()> + Unpin> Future for Timeout<F, S> {
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
