//! What lies between a task and a transport: bytes that came and were not read, bytes and wishes that wait to be taken.
//!
//! The protocol's side is called by the loop, the reader's and the writer's by a task, and [`Pipe::flush`] by the executor
//! after each poll. What a task wants done to its transport stands in order: bytes, and between them the wishes.

use std::cell::{Ref, RefCell, RefMut};
use std::io;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::desk::Desk;
use super::waiters::wake_all;
use super::watch::{For, Watch, Watchers};
use crate::event_loop::{Address, ConnId, Loop, StartTls, Transport};

/// One connection, between its protocol and its two ends of a stream.
pub(super) struct Pipe {
    pub(super) desk: Rc<Desk>,
    ends: RefCell<Ends>,
}

/// What is in it.
pub(super) struct Ends {
    pub(super) id: Option<ConnId>,
    pub(super) peer: Option<Address>,
    pub(super) phase: Phase,
    /// Somebody called [`Loop::wake`].
    pub(super) woken: bool,
    // To the task.
    incoming: Vec<u8>,
    /// How many bytes the reader has taken and not given out.
    held: usize,
    limit: usize,
    reading: Reading,
    ended: bool,
    /// What the reader waits with, or has waited with.
    reader: Option<Waker>,
    /// The reader waits.
    is_awaited: bool,
    // From the task.
    pub(super) outgoing: Vec<u8>,
    /// Each with the number of bytes before it.
    wishes: Vec<(usize, Wish)>,
    /// It stands on the desk.
    listed: bool,
    writing: Writing,
    /// How many bytes waited to be sent when the transport was last seen; fewer by now, perhaps.
    unsent: usize,
    pub(super) high: usize,
    pub(super) is_paused: bool,
    pub(super) watchers: Watchers,
}

/// How far the connection is.
pub(super) enum Phase {
    Opening,
    Open,
    /// TLS is being agreed on.
    Upgrading,
    Lost(Option<Arc<io::Error>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Flowing,
    Paused,
    /// Nobody reads any more.
    Abandoned,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Writing {
    Open,
    Eof,
    Closing,
}

/// What a task wants of its transport, beside writing.
pub(super) enum Wish {
    Pause,
    Resume,
    WriteEof,
    Close,
    CloseSlowly(Duration),
    Abort,
    Reset,
    CloseTimeout(Duration),
    Limits { high: usize, low: usize },
    StartTls(Box<(StartTls, Vec<u8>)>),
}

impl Pipe {
    pub(super) fn new(desk: Rc<Desk>) -> Rc<Self> {
        let ends = Ends {
            id: None,
            peer: None,
            phase: Phase::Opening,
            woken: false,
            incoming: Vec::new(),
            held: 0,
            limit: LIMIT,
            reading: Reading::Flowing,
            ended: false,
            reader: None,
            is_awaited: false,
            outgoing: Vec::new(),
            wishes: Vec::new(),
            listed: false,
            writing: Writing::Open,
            unsent: 0,
            high: 0,
            is_paused: false,
            watchers: Watchers::default(),
        };
        Rc::new(Self { desk, ends: RefCell::new(ends) })
    }

    pub(super) fn ends(&self) -> Ref<'_, Ends> {
        self.ends.borrow()
    }

    pub(super) fn ends_mut(&self) -> RefMut<'_, Ends> {
        self.ends.borrow_mut()
    }

    /// Waits until `check` has a result; it is asked again whenever there is news of the kind `kind`.
    pub(super) fn watch<R, F: FnMut(&mut Ends) -> Poll<R>>(self: &Rc<Self>, kind: For, check: F) -> Watch<'_, F> {
        Watch::new(self, kind, check)
    }
}

/// The protocol's side.
impl Pipe {
    pub(super) fn feed<S>(&self, transport: &mut Transport<'_, S>, data: &[u8]) {
        let mut ends = self.ends_mut();
        if ends.reading == Reading::Abandoned {
            return;
        }
        if ends.incoming.capacity() == 0 {
            ends.incoming = self.desk.spare();
        }
        ends.incoming.extend_from_slice(data);
        if ends.is_overfull() {
            ends.reading = Reading::Paused;
            transport.pause_reading();
        }
        self.tell_reader(ends);
    }

    pub(super) fn feed_eof(&self) {
        let mut ends = self.ends_mut();
        ends.ended = true;
        self.tell_reader(ends);
    }

    /// There is more room to write, or less.
    pub(super) fn measure<S>(&self, transport: &Transport<'_, S>) {
        let mut ends = self.ends_mut();
        let waiting = ends.measure(transport);
        self.tell(ends, waiting);
    }

    /// There is news: `change` notes it.
    pub(super) fn notify(&self, change: impl FnOnce(&mut Ends)) {
        let mut ends = self.ends_mut();
        change(&mut ends);
        let waiting = ends.watchers.take(For::News);
        let reader = ends.take_reader();
        self.tell(ends, waiting.chain(reader));
    }

    pub(super) fn lose(&self, why: Option<io::Error>) {
        let mut ends = self.ends_mut();
        ends.phase = Phase::Lost(why.map(Arc::new));
        ends.writing = Writing::Closing;
        let waiting = ends.watchers.take(For::Room).chain(ends.watchers.take(For::News));
        let reader = ends.take_reader();
        self.tell(ends, waiting.chain(reader));
    }

    fn tell_reader(&self, mut ends: RefMut<'_, Ends>) {
        let reader = ends.take_reader();
        drop(ends);
        self.desk.agenda.attend();
        if let Some(reader) = reader {
            reader.wake_by_ref();
            // It will wait again, most likely with the same waker: to clone one each time costs more than to keep it.
            let unused = self.ends_mut().keep(reader);
            drop(unused);
        }
    }

    fn tell(&self, ends: RefMut<'_, Ends>, waiting: impl IntoIterator<Item = Waker>) {
        drop(ends);
        self.desk.agenda.attend();
        wake_all(waiting);
    }
}

/// The reader's side.
impl Pipe {
    /// What came, if it was anything, as far as the reader has not got it; what it holds then.
    pub(super) fn take_incoming(&self, merge: impl FnOnce(Vec<u8>) -> usize) -> bool {
        let mut ends = self.ends_mut();
        if ends.incoming.is_empty() {
            return false;
        }
        let incoming = mem::take(&mut ends.incoming);
        ends.held = merge(incoming);
        true
    }

    /// Once all that came is taken: the end, or the reader waits. Who waits gets more, however much it holds.
    pub(super) fn poll_end(self: &Rc<Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut ends = self.ends_mut();
        if ends.ended {
            return Poll::Ready(Ok(()));
        }
        if let lost @ Poll::Ready(_) = ends.poll_lost() {
            return lost;
        }
        let old = ends.wait(context.waker());
        self.resume(&mut ends);
        drop(ends);
        drop(old);
        Poll::Pending
    }

    /// The reader has given some of its bytes out.
    pub(super) fn hold(self: &Rc<Self>, held: usize) {
        let mut ends = self.ends_mut();
        ends.held = held;
        if ends.unread() <= ends.limit {
            self.resume(&mut ends);
        }
    }

    pub(super) fn set_limit(self: &Rc<Self>, limit: usize) {
        let mut ends = self.ends_mut();
        ends.limit = limit;
        if ends.unread() <= limit {
            self.resume(&mut ends);
        } else if ends.is_overfull() {
            ends.reading = Reading::Paused;
            self.wish_in(&mut ends, Wish::Pause);
        }
    }

    /// Nobody reads any more: the peer is not read from either.
    pub(super) fn abandon(self: &Rc<Self>) {
        let mut ends = self.ends_mut();
        if ends.reading == Reading::Flowing && !ends.is_lost() {
            self.wish_in(&mut ends, Wish::Pause);
        }
        ends.reading = Reading::Abandoned;
        ends.is_awaited = false;
        let (incoming, reader) = (mem::take(&mut ends.incoming), ends.reader.take());
        drop(ends);
        drop(reader);
        self.desk.recycle(incoming);
    }

    fn resume(self: &Rc<Self>, ends: &mut Ends) {
        if ends.reading == Reading::Paused {
            ends.reading = Reading::Flowing;
            self.wish_in(ends, Wish::Resume);
        }
    }
}

/// The writer's side, and the executor's.
impl Pipe {
    pub(super) fn write(self: &Rc<Self>, data: &[u8]) {
        let mut ends = self.ends_mut();
        if ends.is_lost() || data.is_empty() {
            return;
        }
        if ends.outgoing.capacity() == 0 {
            ends.outgoing = self.desk.spare();
        }
        ends.outgoing.extend_from_slice(data);
        self.list(&mut ends);
    }

    /// The same for who has the loop at hand: straight to the transport, unless something waits for it before.
    pub(super) fn write_through<S>(self: &Rc<Self>, event_loop: &mut Loop<'_, S>, data: &[u8]) {
        let mut ends = self.ends_mut();
        if ends.listed {
            drop(ends);
            return self.write(data);
        }
        let Some(mut transport) = ends.id.and_then(|id| event_loop.transport(id)) else { return };
        transport.write(data);
        let waiting = ends.measure(&transport);
        drop(ends);
        wake_all(waiting);
    }

    pub(super) fn wish(self: &Rc<Self>, wish: Wish) {
        let mut ends = self.ends_mut();
        if ends.is_lost() {
            return;
        }
        match wish {
            Wish::WriteEof => ends.writing = ends.writing.max(Writing::Eof),
            Wish::Close | Wish::CloseSlowly(_) | Wish::Abort | Wish::Reset => ends.writing = Writing::Closing,
            Wish::StartTls(_) => ends.phase = Phase::Upgrading,
            Wish::Pause | Wish::Resume | Wish::CloseTimeout(_) | Wish::Limits { .. } => {}
        }
        self.wish_in(&mut ends, wish);
    }

    fn wish_in(self: &Rc<Self>, ends: &mut Ends, wish: Wish) {
        let place = ends.outgoing.len();
        ends.wishes.push((place, wish));
        self.list(ends);
    }

    /// Has the executor look at it.
    pub(super) fn list(self: &Rc<Self>, ends: &mut Ends) {
        if !mem::replace(&mut ends.listed, true) {
            self.desk.list(Rc::clone(self));
        }
    }

    /// Hands all that waits to the transport.
    pub(super) fn flush<S>(&self, event_loop: &mut Loop<'_, S>) {
        let mut ends = self.ends_mut();
        ends.listed = false;
        let (outgoing, wishes) = (mem::take(&mut ends.outgoing), mem::take(&mut ends.wishes));
        let mut waiting = None;
        if let Some(mut transport) = ends.id.and_then(|id| event_loop.transport(id)) {
            let mut written = 0;
            for (place, wish) in wishes {
                transport.write(&outgoing[written..place]);
                written = place;
                wish.grant(&mut transport);
            }
            transport.write(&outgoing[written..]);
            waiting = Some(ends.measure(&transport));
        }
        drop(ends);
        self.desk.recycle(outgoing);
        wake_all(waiting.into_iter().flatten());
    }
}

impl Ends {
    /// The connection stands.
    pub(super) fn made(&mut self, id: ConnId, peer: Option<Address>, high: usize) {
        (self.id, self.peer, self.high) = (Some(id), peer, high);
        self.phase = Phase::Open;
    }

    /// Has the waker woken when there is something to read, or news. What is returned is dropped when nothing is borrowed, as
    /// all wakers are.
    #[must_use]
    pub(super) fn wait(&mut self, waker: &Waker) -> Option<Waker> {
        self.is_awaited = true;
        match &self.reader {
            Some(reader) if reader.will_wake(waker) => None,
            _ => self.reader.replace(waker.clone()),
        }
    }

    /// Keeps a reader's waker for the next time, unless there is one.
    fn keep(&mut self, waker: Waker) -> Option<Waker> {
        if self.reader.is_some() { Some(waker) } else { self.reader.replace(waker) }
    }

    /// The reader's waker, if it waits.
    fn take_reader(&mut self) -> Option<Waker> {
        if mem::take(&mut self.is_awaited) { self.reader.take() } else { None }
    }

    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// How many bytes wait to be given out by the reader.
    fn unread(&self) -> usize {
        self.held + self.incoming.len()
    }

    /// Whether the peer, which is being read from, should not be.
    fn is_overfull(&self) -> bool {
        self.reading == Reading::Flowing && self.unread() > self.limit.saturating_mul(2)
    }

    /// Whether the connection stood, be it lost by now or not.
    pub(super) fn is_made(&self) -> bool {
        self.peer.is_some()
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(self.phase, Phase::Lost(_))
    }

    pub(super) fn is_closing(&self) -> bool {
        self.writing == Writing::Closing
    }

    /// Whether the peer's last byte was taken by the reader.
    pub(super) fn has_ended(&self) -> bool {
        self.incoming.is_empty() && (self.ended || self.is_lost())
    }

    /// Whether `drain` need not wait, as far as is known before what was written is with the transport.
    pub(super) fn has_room(&self) -> bool {
        !self.is_paused && self.outgoing.len() + self.unsent <= self.high
    }

    /// Notes how much room there is; those who wait for it, if it is enough.
    fn measure<S>(&mut self, transport: &Transport<'_, S>) -> impl Iterator<Item = Waker> + use<S> {
        self.unsent = transport.write_buffer_size();
        self.high = transport.write_buffer_limits().1;
        self.is_paused = transport.is_writing_paused();
        // Who waits for room while closing waits for the end.
        let is_enough = self.has_room() && !self.is_closing();
        is_enough.then(|| self.watchers.take(For::Room)).into_iter().flatten()
    }

    /// How the connection has ended, if it has.
    pub(super) fn poll_lost(&self) -> Poll<io::Result<()>> {
        match &self.phase {
            Phase::Lost(None) => Poll::Ready(Ok(())),
            Phase::Lost(Some(why)) => Poll::Ready(Err(again(why))),
            Phase::Opening | Phase::Open | Phase::Upgrading => Poll::Pending,
        }
    }
}

impl Wish {
    fn grant<S>(self, transport: &mut Transport<'_, S>) {
        match self {
            Self::Pause => transport.pause_reading(),
            Self::Resume => transport.resume_reading(),
            Self::WriteEof => transport.write_eof(),
            Self::Close => transport.close(),
            Self::CloseSlowly(patience) => transport.close_slowly(patience),
            Self::Abort => transport.abort(),
            Self::Reset => transport.reset(),
            Self::CloseTimeout(timeout) => transport.set_close_timeout(timeout),
            Self::Limits { high, low } => transport.set_write_buffer_limits(high, low),
            Self::StartTls(start) => transport.start_tls(start.0, &start.1),
        }
    }
}

/// The same error once more: who asks again hears the same.
fn again(why: &Arc<io::Error>) -> io::Error {
    io::Error::new(why.kind(), Arc::clone(why))
}

/// How many bytes a line may have, and half of what may wait to be read: asyncio's 64 KiB.
const LIMIT: usize = 64 * 1024;
