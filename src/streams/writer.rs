//! Writing, as a task sees it: asyncio's `StreamWriter`.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::pipe::{Phase, Pipe, Wish};
use super::reader::StreamReader;
use super::watch::For;
use crate::event_loop::{Address, ConnId, Loop, StartTls};

/// What is sent to a connection's peer: asyncio's
/// [`StreamWriter`](https://docs.python.org/3/library/asyncio-stream.html#streamwriter).
///
/// - Dropping it closes the connection in good order, as [`close`](Self::close); if that is because the task panics,
///   [`abort`](Self::abort) (asyncio: a handler that returns leaves the connection open, until the garbage is collected).
/// - What is written leaves at the end of the turn, together. `write` never waits: [`drain`](Self::drain) does.
/// - It may be shared by reference, by several tasks in an [`Rc`].
/// - What is not offered here, its [`id`](Self::id) and [`Handle::call`](super::Handle::call) reach: see
///   [`Transport`](crate::event_loop::Transport).
///
/// ```
/// # use std::io;
/// # use proxy_herd::streams::StreamWriter;
/// async fn say_all(writer: &StreamWriter, parts: &[&[u8]]) -> io::Result<()> {
///     for part in parts {
///         writer.write(part);
///         writer.drain().await?; // Not before the peer has read enough.
///     }
///     writer.close();
///     writer.wait_closed().await
/// }
/// ```
pub struct StreamWriter {
    pipe: Rc<Pipe>,
}

impl StreamWriter {
    pub(super) fn new(pipe: Rc<Pipe>) -> Self {
        Self { pipe }
    }

    /// The connection's name.
    pub fn id(&self) -> ConnId {
        self.pipe.ends().id.expect("a writer is made when the connection is")
    }

    /// The peer's address. asyncio: `get_extra_info("peername")`.
    pub fn peer(&self) -> Address {
        self.pipe.ends().peer.clone().expect("a writer is made when the connection is")
    }

    /// Sends `data`, in the order of the calls. It is buffered, without a limit: [`drain`](Self::drain) now and then. After
    /// `close` or `write_eof`, and once the connection is lost, it is dropped. asyncio: `write`.
    pub fn write(&self, data: &[u8]) {
        self.pipe.write(data);
    }

    /// The same from within a [call](super::Handle::call), which has the loop at hand: nothing is copied twice.
    pub(crate) fn write_through<S>(&self, event_loop: &mut Loop<'_, S>, data: &[u8]) {
        self.pipe.write_through(event_loop, data);
    }

    /// The same as writing each part. asyncio: `writelines`.
    pub fn writelines<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) {
        for part in parts {
            self.write(part);
        }
    }

    /// Waits until writing makes sense: not at all while at most the high-water mark waits to be sent, else until only the
    /// low-water mark does. Any number of tasks may wait. asyncio: `drain`.
    ///
    /// # Errors
    ///
    /// When the connection is lost, with the reason (asyncio: also without an error, though data was lost). On one that is being
    /// closed, when that is done: so who writes and drains without end, ends.
    pub async fn drain(&self) -> io::Result<()> {
        self.pipe
            .watch(For::Room, |ends| {
                if ends.is_closing() {
                    return ends.poll_lost().map(|end| end.and(Err(lost())));
                }
                if ends.has_room() { Poll::Ready(Ok(())) } else { Poll::Pending }
            })
            .await
    }

    /// Sends what waits, then the end: nothing can be written after it, reading goes on. asyncio: `write_eof`, which TLS lacks.
    pub fn write_eof(&self) {
        self.pipe.wish(Wish::WriteEof);
    }

    /// Sends what waits, then closes; see [`Transport::close`](crate::event_loop::Transport::close). asyncio: `close`.
    pub fn close(&self) {
        self.pipe.wish(Wish::Close);
    }

    /// Closes though the peer may still be sending; see [`Transport::close_slowly`](crate::event_loop::Transport::close_slowly).
    pub fn close_slowly(&self, patience: Duration) {
        self.pipe.wish(Wish::CloseSlowly(patience));
    }

    /// Closes at once; what waits is thrown away. asyncio: `transport.abort`.
    pub fn abort(&self) {
        self.pipe.wish(Wish::Abort);
    }

    /// Closes at once, with a reset: so the peer cannot take what it got for all there was, as it may after an error that ends a
    /// handler. See [`Transport::reset`](crate::event_loop::Transport::reset). Not in asyncio.
    pub fn reset(&self) {
        self.pipe.wish(Wish::Reset);
    }

    /// Whether so much waits to be sent that [`drain`](Self::drain) would wait until it is less: for who would rather not write
    /// than wait. What was written since the task went on counts apart from what waited before. Not in asyncio.
    pub fn is_writing_paused(&self) -> bool {
        let ends = self.pipe.ends();
        // How much of what was written before has been sent is not known here, but that it was little enough.
        !ends.is_lost() && (ends.is_paused || ends.outgoing.len() > ends.high)
    }

    /// Whether the connection is closing or lost. asyncio: `is_closing`.
    pub fn is_closing(&self) -> bool {
        self.pipe.ends().is_closing()
    }

    /// Waits until the connection is lost, which [`close`](Self::close) leads to; may be called again and again. asyncio:
    /// `wait_closed`.
    ///
    /// # Errors
    ///
    /// Why it was lost, if not by `close`, `abort` or the peer's end.
    pub async fn wait_closed(&self) -> io::Result<()> {
        self.pipe.watch(For::News, |ends| ends.poll_lost()).await
    }

    /// Waits until somebody calls [`Loop::wake`](crate::event_loop::Loop::wake) for this connection, or it is lost: how the
    /// callbacks' world tells a task to look at the state. A call before counts, once. Not in asyncio.
    pub async fn woken(&self) {
        self.pipe
            .watch(For::News, |ends| {
                let woken = std::mem::take(&mut ends.woken);
                if woken || ends.is_lost() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
    }

    /// Sets the water marks; see [`Transport::set_write_buffer_limits`](crate::event_loop::Transport::set_write_buffer_limits).
    ///
    /// # Panics
    ///
    /// If `low` is greater than `high`.
    pub fn set_write_buffer_limits(&self, high: usize, low: usize) {
        assert!(low <= high, "the low-water mark ({low}) is above the high-water mark ({high})");
        self.pipe.wish(Wish::Limits { high, low });
    }

    /// Sets how long closing may take; see [`Transport::set_close_timeout`](crate::event_loop::Transport::set_close_timeout).
    pub fn set_close_timeout(&self, timeout: Duration) {
        self.pipe.wish(Wish::CloseTimeout(timeout));
    }

    /// Puts TLS on the connection and waits until it is agreed on: what was written before leaves as it is, what is written now
    /// is encrypted, and what `reader` has not given out has to be TLS already. See
    /// [`Transport::start_tls`](crate::event_loop::Transport::start_tls). asyncio: `start_tls`, which loses what the reader has.
    ///
    /// # Errors
    ///
    /// If the handshake fails; then the connection is lost.
    ///
    /// # Panics
    ///
    /// If the reader is another connection's.
    pub async fn start_tls(&self, reader: &mut StreamReader, start: StartTls) -> io::Result<()> {
        assert!(reader.is_of(&self.pipe), "the reader is another connection's");
        let leftover = reader.take_all();
        self.pipe.wish(Wish::StartTls(Box::new((start, leftover))));
        self.pipe
            .watch(For::News, |ends| match &ends.phase {
                Phase::Opening | Phase::Upgrading => Poll::Pending,
                Phase::Open => Poll::Ready(Ok(())),
                Phase::Lost(_) => ends.poll_lost().map(|end| end.and(Err(lost()))),
            })
            .await
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.is_closing() {
            // Who panics has not said all: on TLS, the peer shall know of it.
            self.pipe.wish(if self.pipe.desk.is_failing() { Wish::Abort } else { Wish::Close });
        }
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "StreamWriter({:?})", self.pipe.ends().id)
    }
}

/// Nothing went wrong, but nothing can be written any more.
fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the connection is closed")
}
