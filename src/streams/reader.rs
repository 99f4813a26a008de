//! Reading, as a task sees it: asyncio's `StreamReader`.

use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use memchr::memmem;

use super::pipe::Pipe;

/// What a connection's peer sends, to be read by one task: asyncio's
/// [`StreamReader`](https://docs.python.org/3/library/asyncio-stream.html#streamreader).
///
/// - What is read is lent, and good until the next read; it is not copied again. One task reads, and one call at a time: the
///   compiler sees to that (asyncio: `RuntimeError`).
/// - A read that is dropped half-way, as by a timeout, has taken nothing: the next one gets it all.
/// - What came is read before the connection's failure is told, and the failure is told as often as it is asked for (asyncio:
///   the failure makes unreadable what came before it).
/// - If more than twice the [limit](Self::set_limit) waits to be read, the peer is not read from until at most the limit does,
///   or until a read waits for more: `read_exact` and `read_to_end` are not bounded by the limit.
/// - Without its reader a connection is not read from any more; that it is lost, its writer says.
///
/// ```compile_fail,E0499
/// # use proxy_herd::streams::{StreamReader, join};
/// async fn twice(reader: &mut StreamReader) {
///     let (one, other) = join(reader.read(1), reader.read(1)).await;
/// }
/// ```
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::{driver::sim::*, event_loop::*, streams::*};
/// # let mut sim = Sim::new(7, Weather::rough());
/// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// # let host = sim.add_host("Goloman", ());
/// # let handle: Handle<()> = sim.enter(host, |event_loop, _| Handle::new(event_loop));
/// # let server = handle.clone();
/// # handle.spawn(async move {
/// #     let server =
/// server.start_server(address, ServerSecurity::Plain, |mut reader, writer| async move {
///     loop {
///         let line = reader.read_line().await?;
///         if line.is_empty() {
///             return Ok(());
///         }
///         writer.write(format!("{} bytes\n", line.len()).as_bytes());
///         writer.drain().await?;
///     }
/// })
/// #     .await.expect("the address is free");
/// #     server.serve_forever().await;
/// # }).detach();
/// # sim.run_for(Duration::from_millis(1));
/// # let client = sim.connect(address);
/// sim.send(client, b"one\nthree\nno end");
/// sim.half_close(client);
/// # sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.received(client), b"4 bytes\n6 bytes\n6 bytes\n");
/// # assert_eq!(sim.ending(client), Some(Ending::Fin));
/// ```
pub struct StreamReader {
    pipe: Rc<Pipe>,
    buffer: Vec<u8>,
    /// What lies before was given out.
    start: usize,
    /// No separator `sought` begins before.
    searched: usize,
    sought: Box<[u8]>,
    /// The rest of a line that was too long is still to come.
    skipping: bool,
}

/// What a read of so much, or up to something, has come to instead.
#[derive(Debug)]
pub enum ReadError {
    /// The peer has ended before; `partial` is what it sent, and `expected` how much was asked for, if that was a number.
    /// asyncio: `IncompleteReadError`. As an [`io::Error`]: `UnexpectedEof`.
    Incomplete {
        /// All that was left.
        partial: Vec<u8>,
        /// How many bytes were asked for.
        expected: Option<usize>,
    },
    /// What comes before the separator is longer than the limit. asyncio: `LimitOverrunError`; for `readline`, `ValueError`. As
    /// an [`io::Error`]: `InvalidData`.
    LimitOverrun {
        /// How many bytes there are, at least, before the separator.
        consumed: usize,
    },
    /// The connection has failed.
    Failed(io::Error),
}

impl StreamReader {
    pub(super) fn new(pipe: Rc<Pipe>) -> Self {
        Self { pipe, buffer: Vec::new(), start: 0, searched: 0, sought: Box::default(), skipping: false }
    }

    /// How many bytes there may be before a separator, and half of how many may wait to be read: 64 KiB unless set. asyncio: the
    /// argument `limit`.
    ///
    /// # Panics
    ///
    /// If it is 0.
    pub fn set_limit(&mut self, limit: usize) {
        assert!(limit > 0, "the limit of a reader is 0");
        self.pipe.set_limit(limit);
    }

    /// At least one byte and at most `most`, as soon as there are any; nothing at the end, or if `most` is 0. asyncio: `read`.
    ///
    /// # Errors
    ///
    /// If the connection has failed, once all that came is read.
    pub async fn read(&mut self, most: usize) -> io::Result<&[u8]> {
        if most > 0 {
            poll_fn(|context| self.poll_some(context)).await?;
        }
        let count = self.len().min(most);
        Ok(self.give(count, 0))
    }

    /// What came and was not read, as soon as there is any; nothing at the end. It stays where it is: the next read gets it, too.
    /// Not in asyncio (Rust: `BufRead::fill_buf`).
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub async fn fill_buf(&mut self) -> io::Result<&[u8]> {
        poll_fn(|context| self.poll_some(context)).await?;
        Ok(self.unread())
    }

    /// What came up to the last `separator` that is here, as soon as there is one: for who has something to do that costs as much
    /// for many lines as for one, as a [call](super::Handle::call). It stays where it is, as with `fill_buf`. Not in asyncio.
    ///
    /// # Errors
    ///
    /// As [`read_until`](Self::read_until), if that is so of the first separator; one that comes too late after another one is
    /// not counted.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    pub async fn fill_until(&mut self, separator: &[u8]) -> Result<&[u8], ReadError> {
        match poll_fn(|context| self.poll_seek(context, separator)).await? {
            Found::At(first) => {
                let count = self.count_until_last(first + separator.len(), separator);
                Ok(&self.unread()[..count])
            }
            Found::TooFar(consumed) => Err(ReadError::LimitOverrun { consumed }),
            Found::End => Err(ReadError::Incomplete { partial: self.give_rest(), expected: None }),
        }
    }

    /// Takes `count` bytes away that were seen by `fill_buf`, `fill_until` or [`buffered`](Self::buffered). Not in asyncio (Rust:
    /// `BufRead::consume`).
    ///
    /// # Panics
    ///
    /// If there are not so many.
    pub fn consume(&mut self, count: usize) {
        assert!(count <= self.len(), "{count} bytes are consumed, and {} are here", self.len());
        self.give(count, 0);
    }

    /// All up to the end. However much that is, it is kept: who does not trust the peer reads in parts. asyncio: `read(-1)`.
    ///
    /// # Errors
    ///
    /// If the connection has failed; what came before can still be read in parts.
    pub async fn read_to_end(&mut self) -> io::Result<&[u8]> {
        while poll_fn(|context| self.poll_more(context)).await? {}
        let count = self.len();
        Ok(self.give(count, 0))
    }

    /// Exactly so many bytes, also more than the limit. asyncio: `readexactly`.
    ///
    /// # Errors
    ///
    /// If the peer ends before (then what it sent is in the error, and taken), or the connection has failed.
    pub async fn read_exact(&mut self, count: usize) -> Result<&[u8], ReadError> {
        while self.len() < count {
            if !poll_fn(|context| self.poll_more(context)).await? {
                return Err(ReadError::Incomplete { partial: self.give_rest(), expected: Some(count) });
            }
        }
        Ok(self.give(count, 0))
    }

    /// All up to `separator`, which is part of it. asyncio: `readuntil`.
    ///
    /// # Errors
    ///
    /// If the peer ends before (then what it sent is in the error, and taken), if there are more bytes before the separator than
    /// the limit (then nothing is taken: [`read`](Self::read) gets it), or if the connection has failed.
    ///
    /// # Panics
    ///
    /// If the separator is empty.
    pub async fn read_until(&mut self, separator: &[u8]) -> Result<&[u8], ReadError> {
        match poll_fn(|context| self.poll_seek(context, separator)).await? {
            Found::At(end) => Ok(self.give(end, separator.len())),
            Found::TooFar(consumed) => Err(ReadError::LimitOverrun { consumed }),
            Found::End => Err(ReadError::Incomplete { partial: self.give_rest(), expected: None }),
        }
    }

    /// A line with its `\n`; at the end what is left, which has none; then nothing. asyncio: `readline`.
    ///
    /// # Errors
    ///
    /// If a line is longer than the limit: it is thrown away, all of it, and the next read of a line gets the next one (asyncio
    /// may take the rest of it for a line). If the connection has failed: a line that was cut by that is no line, and can only be
    /// read in parts.
    pub async fn read_line(&mut self) -> Result<&[u8], ReadError> {
        loop {
            match poll_fn(|context| self.poll_seek(context, b"\n")).await? {
                Found::TooFar(consumed) => {
                    let is_told = mem::replace(&mut self.skipping, true);
                    self.forget_line();
                    if !is_told {
                        return Err(ReadError::LimitOverrun { consumed });
                    }
                }
                Found::At(_) if self.skipping => self.forget_line(),
                Found::End if self.skipping => {
                    self.forget_line();
                    self.skipping = false;
                }
                Found::At(end) => return Ok(self.give(end, 1)),
                Found::End => {
                    let count = self.len();
                    return Ok(self.give(count, 0));
                }
            }
        }
    }

    /// What came and was not read.
    pub fn buffered(&mut self) -> &[u8] {
        self.take_in();
        self.unread()
    }

    /// Whether all is read and the peer has ended, or the connection has. asyncio: `at_eof`.
    pub fn at_eof(&self) -> bool {
        self.len() == 0 && self.pipe.ends().has_ended()
    }

    pub(super) fn is_of(&self, pipe: &Rc<Pipe>) -> bool {
        Rc::ptr_eq(&self.pipe, pipe)
    }

    /// What came and was not read, for somebody else to make sense of.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        self.take_in();
        self.skipping = false;
        self.give_rest()
    }

    /// How many bytes are in the buffer.
    fn len(&self) -> usize {
        self.buffer.len() - self.start
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Gives out the next `count` bytes and as many more.
    fn give(&mut self, count: usize, more: usize) -> &[u8] {
        let given = self.start..self.start + count + more;
        self.take(&given);
        &self.buffer[given]
    }

    fn give_rest(&mut self) -> Vec<u8> {
        let rest = self.unread().to_vec();
        self.take(&(self.start..self.buffer.len()));
        rest
    }

    fn take(&mut self, given: &Range<usize>) {
        // However it is read: behind its end the next line begins.
        self.skipping = self.skipping && memchr::memchr(b'\n', &self.buffer[given.clone()]).is_none();
        self.start = given.end;
        self.searched = self.searched.max(self.start);
        self.pipe.hold(self.len());
    }

    /// How many bytes are here up to the last separator that comes within the limit after the one before; `count` are known.
    fn count_until_last(&self, mut count: usize, separator: &[u8]) -> usize {
        let limit = self.pipe.ends().limit();
        let rest = &self.unread()[count..];
        let first = count;
        for end in memmem::find_iter(rest, separator) {
            let end = first + end;
            if end - count > limit {
                break;
            }
            count = end + separator.len();
        }
        count
    }

    /// Throws away what is here of a line that is too long: up to its end, or all.
    fn forget_line(&mut self) {
        let end = memchr::memchr(b'\n', self.unread());
        self.give(end.unwrap_or(self.len()), usize::from(end.is_some()));
    }

    /// Takes over what came; whether that was anything.
    fn take_in(&mut self) -> bool {
        let Self { pipe, buffer, start, searched, .. } = self;
        pipe.take_incoming(|incoming| {
            let old = if *start == buffer.len() {
                (*start, *searched) = (0, 0);
                mem::replace(buffer, incoming)
            } else {
                if *start > buffer.len() / 2 {
                    // What moves is less than what was given out since the last time.
                    buffer.copy_within(*start.., 0);
                    buffer.truncate(buffer.len() - *start);
                    *searched -= mem::take(start);
                }
                buffer.extend_from_slice(&incoming);
                incoming
            };
            pipe.desk.recycle(old);
            buffer.len() - *start
        })
    }

    /// More bytes than there were, or false: there are none to come.
    fn poll_more(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.take_in() {
            return Poll::Ready(Ok(true));
        }
        if let Poll::Ready(end) = self.pipe.poll_end(context) {
            return Poll::Ready(end.map(|()| false));
        }
        self.shrink();
        Poll::Pending
    }

    /// Who waits needs no more memory than for what it has: a connection that is idle, none.
    fn shrink(&mut self) {
        if self.buffer.capacity() > 2 * self.len() {
            let rest = self.unread().to_vec();
            self.pipe.desk.recycle(mem::replace(&mut self.buffer, rest));
            self.searched -= mem::take(&mut self.start);
        }
    }

    /// Any bytes, or the end.
    fn poll_some(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.len() == 0 {
            ready!(self.poll_more(context))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Looks for a separator, and reads on until there is one or there can be none.
    fn poll_seek(&mut self, context: &mut Context<'_>, separator: &[u8]) -> Poll<io::Result<Found>> {
        assert!(!separator.is_empty(), "the separator is empty");
        loop {
            if let Some(found) = self.find(separator) {
                return Poll::Ready(Ok(found));
            }
            if !ready!(self.poll_more(context))? {
                return Poll::Ready(Ok(Found::End));
            }
        }
    }

    fn find(&mut self, separator: &[u8]) -> Option<Found> {
        let limit = self.pipe.ends().limit();
        if self.searched > self.start && *self.sought != *separator {
            self.searched = self.start;
        }
        let end = match separator {
            [byte] => memchr::memchr(*byte, &self.buffer[self.searched..]),
            _ => memmem::find(&self.buffer[self.searched..], separator),
        };
        let end = end.map(|end| self.searched + end - self.start);
        match end {
            Some(end) if end > limit => Some(Found::TooFar(end)),
            Some(end) => Some(Found::At(end)),
            None => {
                // The first bytes of a separator may be here, but not all.
                let consumed = (self.len() + 1).saturating_sub(separator.len());
                self.searched = self.start + consumed;
                if consumed > 0 && *self.sought != *separator {
                    self.sought = separator.into();
                }
                (consumed > limit).then_some(Found::TooFar(consumed))
            }
        }
    }
}

impl Drop for StreamReader {
    fn drop(&mut self) {
        self.pipe.desk.recycle(mem::take(&mut self.buffer));
        self.pipe.abandon();
    }
}

enum Found {
    /// So many bytes are before it.
    At(usize),
    /// At least so many, which is over the limit.
    TooFar(usize),
    /// It does not come.
    End,
}

impl fmt::Display for ReadError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Incomplete { partial, expected: Some(expected) } => {
                write!(formatter, "the peer has ended after {} of {expected} bytes", partial.len())
            }
            Self::Incomplete { partial, expected: None } => {
                write!(formatter, "the peer has ended after {} bytes, without a separator", partial.len())
            }
            Self::LimitOverrun { consumed } => {
                write!(formatter, "there is no separator in {consumed} bytes, which is over the limit")
            }
            Self::Failed(error) => error.fmt(formatter),
        }
    }
}

impl Error for ReadError {}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(error) => error,
            ReadError::Incomplete { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            ReadError::LimitOverrun { .. } => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}
