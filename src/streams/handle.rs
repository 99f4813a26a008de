//! The streams of a loop, as tasks know them: to spawn, to sleep, to connect and to listen, to ask for the loop.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::thread;
use std::time::{Duration, Instant};

use super::agenda::Agenda;
use super::call::{Ask, Asks, Call, CallSoon};
use super::desk::Desk;
use super::executor::Executor;
use super::pipe::{Phase, Pipe};
use super::protocol::StreamProtocol;
use super::queue::Queue;
use super::reader::StreamReader;
use super::server::{self, Server};
use super::task::{self, Task};
use super::timer::{Sleep, Timeout};
use super::writer::StreamWriter;
use crate::event_loop::{Address, ConnId, Connect, Listen, Loop, Security, ServerSecurity, Signal, Target};

/// The executor of a loop, for its tasks and for whoever starts them; clones name the same one. It belongs to the loop's
/// thread. asyncio: the functions of the package, which find the running loop; what it calls `Handle` is a
/// [`CallId`](crate::event_loop::CallId) here.
pub struct Handle<S> {
    desk: Rc<Desk>,
    asks: Rc<Asks<S>>,
}

impl<S> Clone for Handle<S> {
    fn clone(&self) -> Self {
        Self { desk: Rc::clone(&self.desk), asks: Rc::clone(&self.asks) }
    }
}

impl<S: 'static> Handle<S> {
    /// Has the loop run tasks: a new executor, as one more hook of [`Loop::before_sleep`]. Tasks are dropped with the loop.
    ///
    /// ```
    /// use std::time::{Duration, Instant, SystemTime};
    ///
    /// use proxy_herd::driver::Sockets;
    /// use proxy_herd::event_loop::EventLoop;
    /// use proxy_herd::streams::Handle;
    ///
    /// let mut event_loop = EventLoop::new("nothing", Instant::now(), SystemTime::now());
    /// let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    /// let tasks = handle.clone();
    /// handle.spawn(async move {
    ///     tasks.sleep(Duration::from_millis(1)).await;
    ///     tasks.call(|event_loop, state| {
    ///         *state = "done";
    ///         event_loop.stop();
    ///     }).await;
    /// }).detach();
    /// Sockets::new()?.run(&mut event_loop)?;
    /// assert_eq!(*event_loop.state(), "done");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn new(event_loop: &mut Loop<'_, S>) -> Self {
        let remote = event_loop.remote();
        let knock = move || {
            // To a loop that is gone there is nothing to say.
            let _ = remote.call_soon_threadsafe(|_, _| {});
        };
        let desk = Rc::new(Desk::new(Agenda::new(Box::new(knock)), event_loop.now()));
        let handle = Self { desk, asks: Rc::default() };
        let mut executor = Executor::new(Rc::clone(&handle.desk), Rc::clone(&handle.asks));
        event_loop.before_sleep(move |event_loop, state| executor.run(event_loop, state));
        handle
    }

    /// The loop's clock, as tasks see it: when this turn began; between two turns, the last one. asyncio: `time`.
    pub fn now(&self) -> Instant {
        self.desk.now()
    }

    /// Has the executor poll `future`, from this turn on. asyncio: `create_task`.
    pub fn spawn<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        task::spawn(future, |job| self.desk.spawn(job))
    }

    /// The same for a program's main task: when it has ended, in whichever way, the loop stops, and its [`Task::result`] is the
    /// program's. Other tasks wait where they are, and are dropped with the loop. asyncio: `run`, `run_until_complete`.
    ///
    /// ```
    /// use std::time::{Duration, Instant, SystemTime};
    ///
    /// use proxy_herd::driver::Sockets;
    /// use proxy_herd::event_loop::EventLoop;
    /// use proxy_herd::streams::Handle;
    ///
    /// let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    /// let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    /// let tasks = handle.clone();
    /// let main = handle.spawn_main(async move {
    ///     tasks.sleep(Duration::from_millis(1)).await;
    ///     "done"
    /// });
    /// Sockets::new()?.run(&mut event_loop)?;
    /// assert_eq!(main.result()?, "done");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn spawn_main<F>(&self, future: F) -> Task<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        let stop = AtEnd::new(self, |event_loop, _| event_loop.stop());
        self.spawn(async move {
            let _stop = stop;
            future.await
        })
    }

    /// Waits until the process gets `signal`. Any number of tasks may wait for it, and all are told; when none waits any more,
    /// the signal has its default effect again, which is to end the process. It takes the place of a handler that was added.
    /// asyncio: `add_signal_handler`.
    pub async fn signal(&self, signal: Signal) {
        let told = self.desk.signals.await_one(signal);
        let (telling, leaving) = (Rc::clone(&self.desk), Rc::clone(&self.desk));
        let _remove = AtEnd::new(self, move |event_loop, _| {
            if !leaving.signals.is_awaited(signal) {
                event_loop.remove_signal_handler(signal);
            }
        });
        self.call(move |event_loop, _| {
            event_loop.add_signal_handler(signal, move |_, _| telling.signals.tell(signal));
        })
        .await;
        told.wait().await;
    }

    /// Waits for `time`, counted from the beginning of the turn in which it is first polled: never shorter, and longer by as
    /// much as others take. More than 100 years count as 100. asyncio: `sleep`.
    pub fn sleep(&self, time: Duration) -> Sleep {
        Sleep::new(Rc::clone(&self.desk), time)
    }

    /// Waits until `at`. Not in asyncio.
    pub fn sleep_until(&self, at: Instant) -> Sleep {
        Sleep::until(Rc::clone(&self.desk), at)
    }

    /// Awaits `future` for `time` at the most; then it is dropped, and whatever it owns. What is ready in time counts. A future
    /// that is ready at once costs no timer. asyncio: `wait_for`, `timeout`.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use proxy_herd::{driver::sim::{Sim, Weather}, streams::{Elapsed, Handle}};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let host = sim.add_host("Goloman", false);
    /// # let handle: Handle<bool> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
    /// # let tasks = handle.clone();
    /// # handle.spawn(async move {
    /// let second = Duration::from_secs(1);
    /// let early = tasks.timeout(second, async { "here" });
    /// assert_eq!(early.await, Ok("here"));
    /// let late = tasks.timeout(second, tasks.sleep(60 * second));
    /// assert_eq!(late.await, Err(Elapsed));
    /// #     tasks.call(|_, done| *done = true).await;
    /// # }).detach();
    /// # sim.run_for(Duration::from_secs(2));
    /// # assert!(*sim.state(host));
    /// ```
    pub fn timeout<F: Future>(&self, time: Duration, future: F) -> Timeout<F> {
        Timeout::new(future, self.sleep(time))
    }

    /// The same until `at`. asyncio: `timeout_at`.
    pub fn timeout_at<F: Future>(&self, at: Instant, future: F) -> Timeout<F> {
        Timeout::new(future, self.sleep_until(at))
    }

    /// Lends the loop and the state to `callback`, between two polls of the task: soon, and after what the task has written has
    /// gone to its transports. Its result is the future's; its panic is the task's. What it needs of the task is moved into it,
    /// and what the task needs of the state is copied out. Not in asyncio, where a task shares both.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use proxy_herd::{driver::sim::{Sim, Weather}, streams::Handle};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let host = sim.add_host("Goloman", 0);
    /// # let handle: Handle<u32> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
    /// # let tasks = handle.clone();
    /// # handle.spawn(async move {
    /// let visitors = tasks.call(|_, visitors| {
    ///     *visitors += 1;
    ///     *visitors
    /// }).await;
    /// assert_eq!(visitors, 1);
    /// # }).detach();
    /// # sim.run_for(Duration::from_secs(1));
    /// # assert_eq!(*sim.state(host), 1);
    /// ```
    pub fn call<R, F>(&self, callback: F) -> Call<S, F, R>
    where
        R: 'static,
        F: FnOnce(&mut Loop<'_, S>, &mut S) -> R + 'static,
    {
        Call::new(self.clone(), callback)
    }

    /// The same for those who cannot wait, as a destructor: `callback` is called before the loop sleeps. asyncio: `call_soon`.
    pub fn call_soon(&self, callback: impl FnOnce(&mut Loop<'_, S>, &mut S) + 'static) {
        self.ask(Rc::new(CallSoon::new(callback)));
    }

    /// Has another thread do `job`, and waits for what it returns, or panics with; see [`Loop::run_in_executor`]. asyncio:
    /// `to_thread`.
    pub async fn run_in_executor<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> thread::Result<T> {
        let answer = Queue::unbounded();
        let give = answer.clone();
        self.call(move |event_loop, _| {
            event_loop.run_in_executor(job, move |_, _, result| {
                // Nobody takes it if the task was cancelled.
                drop(give.try_put(result));
            })
        })
        .await;
        answer.get().await.expect("it is not shut down")
    }

    /// Connects, by name or address, and waits until the connection stands; on TLS, until the handshake is done. Dropped before,
    /// it gives up. asyncio: `open_connection`.
    ///
    /// # Errors
    ///
    /// As [`Lost`](crate::event_loop::Lost) has them.
    ///
    /// ```no_run
    /// # use std::io;
    /// # use std::time::Duration;
    /// # use proxy_herd::{event_loop::Security, streams::Handle};
    /// async fn ask(handle: &Handle<()>) -> io::Result<Vec<u8>> {
    ///     let connecting = handle.open_connection(("goloman.example", 11645), Security::Plain);
    ///     let (mut reader, writer) = handle.timeout(Duration::from_secs(3), connecting).await??;
    ///     writer.write(b"WHATSAT kiwi.cs.ucla.edu 10 5\n");
    ///     Ok(reader.read_until(b"\n\n").await?.to_vec())
    /// }
    /// ```
    pub async fn open_connection(
        &self,
        target: impl Into<Target>,
        security: Security,
    ) -> io::Result<(StreamReader, StreamWriter)> {
        self.open_connection_with(Connect::to(target).security(security)).await
    }

    /// The same with more arguments: see [`Connect`].
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn open_connection_with(&self, connect: Connect) -> io::Result<(StreamReader, StreamWriter)> {
        let handle = self.clone();
        self.call(move |event_loop, _| handle.connect(event_loop, connect)).await.await
    }

    /// Connects, for who has the loop at hand: the [`Opening`] has the connection's name at once.
    pub fn connect(&self, event_loop: &mut Loop<'_, S>, connect: Connect) -> Opening {
        let pipe = Pipe::new(Rc::clone(&self.desk));
        let id = event_loop.connect_with(connect, StreamProtocol::new(Rc::clone(&pipe), None));
        pipe.ends_mut().id = Some(id);
        Opening { id, ends: Some((StreamReader::new(Rc::clone(&pipe)), StreamWriter::new(Rc::clone(&pipe)))), pipe }
    }

    /// Listens on `address`, and has a task run what `handler` makes for each connection; waits until it listens. When the
    /// handler's future ends, its writer is dropped, and so the connection closed; an error that it ends with is logged. asyncio:
    /// `start_server`, `start_unix_server`.
    ///
    /// The future has to have the writer, lest it is dropped before. An `async fn` and an `async` closure have all their
    /// arguments; an `async move` block has those that it names, and the compiler only warns of the other as unused:
    ///
    /// ```
    /// # use std::{io, net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*, streams::*};
    /// # let mut sim = Sim::new(7, Weather::default());
    /// # let [open, shut] = [7, 8].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    /// # let host = sim.add_host("Goloman", ());
    /// # let handle: Handle<()> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
    /// # let tasks = handle.clone();
    /// async fn listen(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    ///     reader.read(1).await.map(drop)
    /// }
    /// # handle.spawn(async move {
    /// let one = tasks.start_server(open, ServerSecurity::Plain, listen).await?;
    /// let other = tasks.start_server(shut, ServerSecurity::Plain, |mut reader, writer| async move {
    ///     reader.read(1).await.map(drop) // Nobody has the writer: the connection is closed at once.
    /// }).await?;
    /// # join(one.serve_forever(), other.serve_forever()).await;
    /// # Ok::<(), io::Error>(())
    /// # }).detach();
    /// # sim.run_for(Duration::from_millis(1));
    /// # let [open, shut] = [open, shut].map(|address| sim.connect(address));
    /// # sim.run_for(Duration::from_secs(1));
    /// assert_eq!(sim.ending(open), None);
    /// assert_eq!(sim.ending(shut), Some(Ending::Fin));
    /// ```
    ///
    /// # Errors
    ///
    /// If the address cannot be had; it is named in the error. (One that is in use is tried again for 2 s before.)
    pub async fn start_server<F>(
        &self,
        address: impl Into<Address>,
        security: ServerSecurity,
        handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
    ) -> io::Result<Server<S>>
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        self.start_server_with(Listen::on(address).security(security), handler).await
    }

    /// The same with more arguments: see [`Listen`].
    ///
    /// # Errors
    ///
    /// The same.
    pub async fn start_server_with<F>(
        &self,
        listen: Listen,
        handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
    ) -> io::Result<Server<S>>
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        server::start(self.clone(), listen, handler).await
    }

    /// A protocol that runs what `handler` makes as a task, once its connection is made: for listeners whose factory is written
    /// by hand. What the task has to have, [`start_server`](Self::start_server) says. asyncio: `StreamReaderProtocol`.
    pub fn protocol<F>(&self, handler: impl FnOnce(StreamReader, StreamWriter) -> F + 'static) -> StreamProtocol<S>
    where
        F: Future<Output = io::Result<()>> + 'static,
    {
        let begin = move |id, reader, writer| task::serve(id, handler(reader, writer));
        StreamProtocol::new(Pipe::new(Rc::clone(&self.desk)), Some(Box::new(begin)))
    }
}

impl<S> Handle<S> {
    /// Puts down something to be done with the loop and the state.
    pub(super) fn ask(&self, ask: Rc<dyn Ask<S>>) {
        if self.desk.is_closed() {
            return;
        }
        self.asks.borrow_mut().push_back(ask);
        self.desk.agenda.stir();
    }
}

/// Has something called when it is dropped.
struct AtEnd<S: 'static, F: FnOnce(&mut Loop<'_, S>, &mut S) + 'static> {
    handle: Handle<S>,
    callback: Option<F>,
}

impl<S, F: FnOnce(&mut Loop<'_, S>, &mut S) + 'static> AtEnd<S, F> {
    fn new(handle: &Handle<S>, callback: F) -> Self {
        Self { handle: handle.clone(), callback: Some(callback) }
    }
}

impl<S, F: FnOnce(&mut Loop<'_, S>, &mut S) + 'static> Drop for AtEnd<S, F> {
    fn drop(&mut self) {
        if let Some(callback) = self.callback.take() {
            self.handle.call_soon(callback);
        }
    }
}

/// A connection that is being made: see [`Handle::connect`]. Dropped before it stands, it gives up.
#[must_use = "dropping it gives the connection up"]
pub struct Opening {
    id: ConnId,
    pipe: Rc<Pipe>,
    ends: Option<(StreamReader, StreamWriter)>,
}

impl Opening {
    /// The connection's name.
    pub fn id(&self) -> ConnId {
        self.id
    }
}

impl Future for Opening {
    type Output = io::Result<(StreamReader, StreamWriter)>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut ends = self.pipe.ends_mut();
        match &ends.phase {
            Phase::Opening => {
                let old = ends.wait(context.waker());
                drop(ends);
                drop(old);
                return Poll::Pending;
            }
            Phase::Lost(_) if !ends.is_made() => {
                let why = ends.poll_lost().map(|end| end.err());
                return why.map(|why| Err(why.unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into())));
            }
            // Also if it is lost by now: what came before can be read.
            Phase::Open | Phase::Upgrading | Phase::Lost(_) => {}
        }
        drop(ends);
        Poll::Ready(Ok(self.ends.take().expect("a connection is opened once")))
    }
}
