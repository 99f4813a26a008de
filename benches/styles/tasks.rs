//! What tasks do without a network, on our executor and on tokio's for one thread, both with the drivers that they have when
//! they serve; and `call`, beside callbacks that the loop calls soon, all in one turn.
//!
//! The futures are the same on both: what differs is who polls them, and how a timeout is kept.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Loop};
use proxy_herd::streams::{Event, Handle};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::common::cores::{Core, pin};
use super::common::pairs::{Comparison, Contestant, Thread, compare};
use super::{Table, Wanted};

pub(super) fn table(wanted: &Wanted) -> Table {
    let rows: [(&str, Measure); 5] = [
        ("tasks spawned, and finished", || versus_tokio(spawn_many, spawn_many)),
        ("tasks spawned, then joined", || versus_tokio(spawn_and_join, spawn_and_join)),
        ("wake-ups, of two tasks in turn", || versus_tokio(take_turns, take_turns)),
        ("timeouts made, and not used", || versus_tokio(be_patient, be_patient)),
        ("calls, beside call_soon", versus_call_soon),
    ];
    let measured = rows.into_iter().filter(|(name, _)| wanted.begins(name)).map(|(name, measure)| {
        let compared = measure();
        let [beside, ours] = compared.seconds.map(|seconds| format!("{:.1}", MANY as f64 / seconds / 1e6));
        vec![name.to_owned(), beside, ours, compared.to_string()]
    });
    Table { head: &["millions in a second", "tokio", "streams", "streams / tokio, time"], rows: measured.collect() }
}

/// Who runs tasks.
pub(super) trait Executor: Clone + 'static {
    /// A task that nobody waits for.
    fn detach(&self, future: impl Future<Output = ()> + 'static);

    /// A task that is awaited.
    fn join(&self, future: impl Future<Output = ()> + 'static) -> impl Future<Output = ()>;

    /// Awaits `future`, but not for ever.
    fn within(&self, time: Duration, future: impl Future<Output = ()>) -> impl Future<Output = ()>;
}

/// Who runs a future to its end.
pub(super) trait Runner {
    type Executor: Executor;

    fn new() -> Self;

    fn executor(&self) -> Self::Executor;

    fn run(&mut self, future: impl Future<Output = ()> + 'static);
}

pub(super) struct Ours {
    event_loop: EventLoop<usize>,
    sockets: Sockets,
    handle: Handle<usize>,
}

impl Runner for Ours {
    type Executor = Handle<usize>;

    fn new() -> Self {
        let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
        let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
        Self { event_loop, sockets: Sockets::new().expect("descriptors"), handle }
    }

    fn executor(&self) -> Handle<usize> {
        self.handle.clone()
    }

    fn run(&mut self, future: impl Future<Output = ()> + 'static) {
        let tasks = self.handle.clone();
        let stopping = async move {
            future.await;
            tasks.call(|event_loop, _| event_loop.stop()).await;
        };
        self.handle.spawn(stopping).detach();
        self.sockets.run(&mut self.event_loop).expect("a poll");
    }
}

impl Executor for Handle<usize> {
    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn(future).detach();
    }

    async fn join(&self, future: impl Future<Output = ()> + 'static) {
        self.spawn(future).await.expect("nobody cancels it");
    }

    async fn within(&self, time: Duration, future: impl Future<Output = ()>) {
        self.timeout(time, future).await.expect("it is in time");
    }
}

pub(super) struct Tokio {
    runtime: Runtime,
    local: LocalSet,
}

impl Runner for Tokio {
    type Executor = TokioTasks;

    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { runtime: runtime.expect("descriptors"), local: LocalSet::new() }
    }

    fn executor(&self) -> TokioTasks {
        TokioTasks
    }

    /// In a task, too: the future that is run there is polled apart from the tasks.
    fn run(&mut self, future: impl Future<Output = ()> + 'static) {
        let task = self.local.spawn_local(future);
        self.local.block_on(&self.runtime, task).expect("nobody cancels it");
    }
}

/// The tasks of the set that runs.
#[derive(Clone)]
pub(super) struct TokioTasks;

impl Executor for TokioTasks {
    fn detach(&self, future: impl Future<Output = ()> + 'static) {
        drop(tokio::task::spawn_local(future));
    }

    async fn join(&self, future: impl Future<Output = ()> + 'static) {
        tokio::task::spawn_local(future).await.expect("nobody cancels it");
    }

    async fn within(&self, time: Duration, future: impl Future<Output = ()>) {
        tokio::time::timeout(time, future).await.expect("it is in time");
    }
}

/// The same work again and again.
struct Working<W> {
    work: W,
    threads: [Thread; 1],
}

impl<W: FnMut()> Contestant for Working<W> {
    fn round(&mut self) {
        (self.work)();
    }

    fn threads(&self) -> &[Thread] {
        &self.threads
    }
}

fn working<W: FnMut()>(work: W) -> Working<W> {
    Working { work, threads: [Thread::current()] }
}

/// The way to measure a row; tokio, or whoever stands beside, comes first.
type Measure = fn() -> Comparison;

type Work = Pin<Box<dyn Future<Output = ()>>>;

fn versus_tokio(on_tokio: fn(TokioTasks) -> Work, on_ours: fn(Handle<usize>) -> Work) -> Comparison {
    pin(Core::Last);
    let mut tokio = running::<Tokio>(on_tokio);
    compare(&mut tokio, &mut running::<Ours>(on_ours))
}

fn running<R: Runner>(work: fn(R::Executor) -> Work) -> Working<impl FnMut()> {
    let mut runner = R::new();
    working(move || {
        let work = work(runner.executor());
        runner.run(work);
    })
}

fn versus_call_soon() -> Comparison {
    pin(Core::Last);
    let (mut called, mut asked) = (Ours::new(), Ours::new());
    let mut callbacks = working(move || {
        called.event_loop.enter(|event_loop, calls| {
            *calls = 0;
            for _ in 0..MANY {
                event_loop.call_soon(count);
            }
        });
        called.sockets.run(&mut called.event_loop).expect("a poll");
    });
    let mut tasks = working(move || {
        let tasks = asked.executor();
        asked.run(async move {
            for _ in 0..MANY {
                tasks.call(|_, calls| *calls += 1).await;
            }
        });
    });
    compare(&mut callbacks, &mut tasks)
}

fn count(event_loop: &mut Loop<'_, usize>, calls: &mut usize) {
    *calls += 1;
    if *calls == MANY {
        event_loop.stop();
    }
}

fn spawn_many<E: Executor>(tasks: E) -> Work {
    Box::pin(async move {
        let (left, all) = (Rc::new(Cell::new(MANY)), Event::new());
        for _ in 0..MANY {
            let (left, all) = (Rc::clone(&left), all.clone());
            tasks.detach(async move {
                left.set(left.get() - 1);
                if left.get() == 0 {
                    all.set();
                }
            });
        }
        all.wait().await;
    })
}

fn spawn_and_join<E: Executor>(tasks: E) -> Work {
    Box::pin(async move {
        for _ in 0..MANY {
            tasks.join(async {}).await;
        }
    })
}

fn take_turns<E: Executor>(tasks: E) -> Work {
    Box::pin(async move {
        let ball = Rc::new(Ball::default());
        let player = {
            let ball = Rc::clone(&ball);
            async move { ball.play(0).await }
        };
        tasks.detach(player);
        ball.play(1).await;
    })
}

fn be_patient<E: Executor>(tasks: E) -> Work {
    Box::pin(async move {
        for _ in 0..MANY {
            tasks.within(HOUR, once_more()).await;
        }
    })
}

/// What two tasks play with: each waits until it is its turn, and wakes the other.
#[derive(Default)]
struct Ball {
    hits: Cell<usize>,
    waits: RefCell<Option<Waker>>,
}

impl Ball {
    /// `side` is 0 or 1.
    async fn play(&self, side: usize) {
        while self.hits.get() < MANY {
            poll_fn(|context| {
                if self.hits.get() % 2 == side {
                    return Poll::Ready(());
                }
                self.waits.replace(Some(context.waker().clone()));
                Poll::Pending
            })
            .await;
            self.hits.set(self.hits.get() + 1);
            if let Some(other) = self.waits.take() {
                other.wake();
            }
        }
    }
}

/// Is ready when it is polled again, which it asks for.
async fn once_more() {
    let mut polled = false;
    poll_fn(|context| {
        if std::mem::replace(&mut polled, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// In a round.
const MANY: usize = 1_000;

const HOUR: Duration = Duration::from_secs(3_600);
