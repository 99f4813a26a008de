//! The second style: async and await over the callbacks, with asyncio's names, on nothing but what the loop offers to all.
//!
//! A protocol is called; a task goes on. Both can serve the same connection: here a protocol of our own
//! ([`StreamProtocol`]) puts what it is told into a pipe, and the executor, a hook of the loop before it sleeps, polls the
//! tasks that wait for it. The connection's bytes, marks, timeouts and ends are the loop's, and so is the rest of
//! [`event_loop`](crate::event_loop)'s page.
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//!
//! use proxy_herd::driver::Sockets;
//! use proxy_herd::event_loop::{EventLoop, ServerSecurity, Signal};
//! use proxy_herd::streams::Handle;
//!
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
//! let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
//! let tasks = handle.clone();
//! let main = handle.spawn_main(async move {
//!     let echo = tasks.start_server(([127, 0, 0, 1], 0), ServerSecurity::Plain, |mut reader, writer| async move {
//!         loop {
//!             let data = reader.read(64 * 1024).await?;
//!             if data.is_empty() {
//!                 return Ok(());
//!             }
//!             writer.write(data);
//!             writer.drain().await?;
//!         }
//!     });
//!     let server = echo.await?;
//! #   tasks.call(|event_loop, _| event_loop.stop()).await;
//!     tasks.signal(Signal::Interrupt).await;
//!     server.shut_down(Duration::from_secs(10));
//!     server.wait_closed().await;
//!     Ok(())
//! });
//! Sockets::new()?.run(&mut event_loop)?;
//! # if true { return Ok(()) }
//! main.result()?
//! # }
//! ```
//!
//! # How to
//!
//! - *Start*: make a loop, a [`Handle`] in it, a main task, and have a driver run the loop; [`Task::result`] is what has come of it.
//!   Tasks get clones of the handle.
//! - *Share something among tasks*: in an `Rc`, with a `Cell` or a `RefCell`; no borrow lasts over an `.await` (clippy warns). What
//!   callbacks need as well is the loop's state; they tell a task of it by an [`Event`], a [`Queue`] or [`StreamWriter::woken`].
//! - *Reach the loop and its state*: with [`Handle::call`], for all that [`Loop`](crate::event_loop::Loop) and
//!   [`Transport`](crate::event_loop::Transport) offer and streams do not. The closure owns what it uses, and its result comes back.
//! - *Wait for two things*: with [`race`], as a task notices only what it waits for. One that waits for another connection, or for a
//!   queue, does not see that its own is lost, unless it races with [`StreamWriter::wait_closed`]; that the peer has ended, only a read
//!   sees. `examples/proxy_streams.rs` does both.
//! - *Limit the time*: with [`Handle::timeout`], around whatever is awaited.
//! - *Test*: on [`Sim`](crate::driver::Sim), without sockets, and with time that passes at once.
//! - *Keep a connection open*: keep its writer. A handler that is an `async fn` has both ends until it returns; an `async move` block
//!   has only those that it names: see [`Handle::start_server`].
//!
//! # What always holds
//!
//! - Tasks live on the loop's thread, and run at the end of a turn, first woken, first polled. A task that is polled holds
//!   neither the loop nor the state.
//! - Who drops owns: see the next table. So a task that is cancelled, or panics, leaves nothing behind, and the loop and all
//!   others go on.
//! - Any future can be awaited that wants no more than a waker, of whichever crate, and woken from any thread. A wake allocates
//!   nothing, nor does a poll.
//! - Whatever a peer sends, at most twice a reader's limit waits for its task, and what one read of the loop brings.
//!
//! | dropped | what comes of it |
//! | --- | --- |
//! | a [`Task`] | it is cancelled, unless it was [detached](Task::detach) |
//! | a [`StreamWriter`] | the connection is closed in good order; aborted, if its task panics |
//! | a [`StreamReader`] | the connection is not read from any more |
//! | a [`Server`] | it stops listening; its connections live on |
//! | a future that was not ready | a read has taken nothing, a call is not made, a connection is given up |
//! | a [`Permit`] | it is given back |
//! | a [`Handle`], a [`Queue`], an [`Event`] | nothing |
//! | the [`EventLoop`](crate::event_loop::EventLoop) | all its tasks are dropped, and all its connections |
//!
//! # From asyncio to here
//!
//! | asyncio | here |
//! | --- | --- |
//! | `run`, `run_until_complete`, the running loop | [`Handle::spawn_main`], and the driver's `run`; [`Handle::new`] |
//! | `create_task`, `Task.cancel`, `done` | [`Handle::spawn`], [`Task::cancel`], [`Task::is_finished`] |
//! | `await task`, `CancelledError` | `task.await`, [`TaskError`] |
//! | `TaskGroup` | [`try_join`]; or tasks in a `Vec`, dropped together |
//! | `gather`, `wait(FIRST_COMPLETED)` | [`join`], [`join_all`], [`race`] |
//! | `as_completed` | tasks that put what they have into a [`Queue`] |
//! | `shield(task)` | `&mut task`, which can be awaited and dropped while the task goes on |
//! | `sleep`, `timeout`, `wait_for`, `timeout_at` | [`Handle::sleep`], [`Handle::timeout`], [`Handle::timeout_at`] |
//! | `to_thread` | [`Handle::run_in_executor`] |
//! | `run_coroutine_threadsafe` | none: another thread wakes a task by its waker, or as [`Remote`](crate::event_loop::Remote) has it |
//! | `loop.add_signal_handler` | [`Handle::signal`] |
//! | `open_connection`, `open_unix_connection` | [`Handle::open_connection`]; with more arguments, [`Handle::open_connection_with`] |
//! | `start_server`, `start_unix_server` | [`Handle::start_server`]; with more arguments, [`Handle::start_server_with`] |
//! | `Server`, `serve_forever`, `wait_closed` | [`Server`], of the same names |
//! | `StreamReader.read`, `readexactly`, `readuntil`, `readline`, `at_eof` | [`StreamReader`]: `read`, `read_exact`, `read_until`, `read_line`, `at_eof` |
//! | `async for line in reader` | a loop over [`StreamReader::read_line`] |
//! | `IncompleteReadError`, `LimitOverrunError` | [`ReadError`] |
//! | `StreamWriter`, its methods | [`StreamWriter`], of the same names |
//! | `StreamWriter.get_extra_info` | [`StreamWriter::peer`]; else [`Handle::call`], and the [`Transport`](crate::event_loop::Transport) |
//! | `StreamReaderProtocol` | [`Handle::protocol`] |
//! | `Event`, `Semaphore`, `Queue` | [`Event`], [`Semaphore`], [`Queue`] |
//! | `Lock`, `Condition`, `Future` | none: tasks run one at a time, and a cell needs no lock between two awaits |
//!
//! # Where asyncio's streams are wrong, or differ
//!
//! | | asyncio | here |
//! | --- | --- | --- |
//! | what came before a failure | cannot be read any more | is read first |
//! | the end of a TLS connection without close_notify | is an end | is a failure, `UnexpectedEof` |
//! | two tasks read at once | `RuntimeError` | is not compiled |
//! | `readline`, a line too long | the rest of it may be taken for a line | is thrown away to its end |
//! | `readline`, a line cut by a failure | raises, and the line is lost | is an error; [`read`](StreamReader::read) has the bytes |
//! | searching again for what was not there | from the beginning | where it stopped |
//! | `drain` when the connection is lost | succeeds, if it was aborted | is an error |
//! | `drain` while closing | returns, or raises | is an error, when the connection is lost |
//! | a handler returns and has not closed | the connection stays, until the garbage is collected | is closed |
//! | a handler raises | is logged, and closed | the same; if it panics, aborted |
//! | a handler is cancelled | the connection stays (3.11) | is closed |
//! | the peer has ended, the handler does not | the socket stays half-closed | the same: set a [timeout](Handle::timeout) |
//! | a task nobody keeps | may vanish half-way | is cancelled, or [detached](Task::detach) |
//! | a task's exception nobody awaits | is told when the garbage is collected | is told at once, as any panic |
//! | cancelling | an exception, which the task may swallow | the task is dropped |
//! | `start_tls` | loses what the reader has | hands it to TLS; it ends the connection if it is none |
//! | tasks wake each other without end | I/O in between, after each | I/O in between, after 16 rounds |
//!
//! # The files
//!
//! Reading order: [`Handle`], [`StreamReader`], [`StreamWriter`], [`Task`]; under them `protocol` and `pipe` with `watch`; the
//! `executor` with `agenda` (what a waker does), `desk`, `call`, `timer` and `signals`; `server`. Apart from all that, `waiters`
//! with [`Event`], [`Semaphore`] and [`Queue`], and [`join`](fn@join) with [`race`].

mod agenda;
mod call;
#[cfg(test)]
mod conversation;
mod desk;
mod event;
mod executor;
mod handle;
mod join;
mod pipe;
mod protocol;
mod queue;
mod reader;
mod semaphore;
mod server;
mod signals;
mod task;
mod timer;
mod waiters;
mod watch;
mod writer;

pub use self::call::Call;
pub use self::event::Event;
pub use self::handle::{Handle, Opening};
pub use self::join::{Either, join, join_all, race, try_join};
pub use self::protocol::StreamProtocol;
pub use self::queue::{Queue, QueueShutDown, TryPutError};
pub use self::reader::{ReadError, StreamReader};
pub use self::semaphore::{Permit, Semaphore};
pub use self::server::Server;
pub use self::task::{Task, TaskError};
pub use self::timer::{Elapsed, Sleep, Timeout};
pub use self::writer::StreamWriter;
