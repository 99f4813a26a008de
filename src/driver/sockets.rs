//! The real world: mio's readiness, sockets and the clocks, made into the loop's turns.
//!
//! mio reports edges, so whoever has been reported ready stays so until a call has said `WouldBlock` or come up short:
//! - Every socket is registered once, for both directions; what is known of it is noted in `connected`.
//! - `reads` and `writes` are queues of sockets that can go on. Each gets one system call per turn and goes to the back,
//!   so that nobody starves; the poll does not sleep while somebody waits there.
//! - A short read means drained only if no end, error or urgent byte was reported with it: those come once, and a read
//!   stops at an urgent byte whatever is behind it.
//! - A token carries the loop's generation, so an event that is older than its slot's owner finds nobody.
//! - A listener that stopped for its budget or for want of descriptors is visited again; no new edge would come.
//!
//! What it does not do: it decides nothing about connections; that is the loop's.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::task::Waker;
use std::time::{Duration, Instant, SystemTime};

use mio::event::Event;
use mio::{Events, Poll};

use super::attempts::{Attempt, Attempts};
use super::connected::{Connected, Readiness, Socket};
use super::executor::Executor;
use super::listening::Listening;
use super::resolver::Resolver;
use super::signals::{self, Signals};
use super::stream::Stream;
use super::token::{self, Subject};
use super::{ACCEPTS, READ, WRITE, waker};
use crate::event_loop::{ConnId, EventLoop, ListenerId, Request};

/// The driver of one loop, for good: one poll, and all of that loop's sockets, which are closed when it is dropped. The
/// [module](super) has an example.
pub struct Sockets {
    poll: Poll,
    events: Events,
    connected: Connected,
    attempts: Attempts,
    listening: Listening,
    reads: VecDeque<ConnId>,
    writes: VecDeque<ConnId>,
    accepts: VecDeque<ListenerId>,
    buffer: Box<[u8]>,
    waker: Waker,
    resolver: Resolver,
    executor: Executor,
    signals: Option<Signals>,
}

impl Sockets {
    /// A driver without sockets. Fails if the process is out of file descriptors.
    pub fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = waker::of(poll.registry())?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS),
            connected: Connected::default(),
            attempts: Attempts::default(),
            listening: Listening::default(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
            accepts: VecDeque::new(),
            buffer: vec![0; READ].into_boxed_slice(),
            resolver: Resolver::new(waker.clone()),
            executor: Executor::new(waker.clone()),
            waker,
            signals: None,
        })
    }

    /// Provides a socket that listens already, of TCP or Unix. It is used when the loop asks to listen on its very address,
    /// and keeps its backlog. So a process can inherit its sockets, and a test can know its port before it starts. When such
    /// a Unix socket is closed, its file stays. asyncio: `create_server(sock=...)`.
    pub fn provide(&mut self, listener: impl Into<OwnedFd>) {
        self.listening.provide(listener.into());
    }

    /// Runs the loop until it is stopped; if it is already, for one turn. It can be run again, and goes on where it was.
    /// Fails if the poll itself does. asyncio: `run_forever`.
    pub fn run<S>(&mut self, event_loop: &mut EventLoop<S>) -> io::Result<()> {
        loop {
            self.turn(event_loop, None)?;
            if event_loop.is_stopped() {
                break;
            }
        }
        self.finish(event_loop);
        event_loop.go_on();
        Ok(())
    }

    /// Does what the last turn has led to, as `run` does at its end: sends what can be sent at once, and closes the sockets of
    /// connections that are over. For those who make the turns themselves.
    pub fn finish<S>(&mut self, event_loop: &mut EventLoop<S>) {
        self.obey(event_loop);
    }

    /// One turn: sends what is to be sent, sleeps until something happens, until the loop's next deadline or for `at_most`, then
    /// makes the calls that are due.
    pub fn turn<S>(&mut self, event_loop: &mut EventLoop<S>, at_most: Option<Duration>) -> io::Result<()> {
        self.obey(event_loop);
        let now = self.sleep(event_loop, at_most)?;
        event_loop.advance(now, SystemTime::now());
        self.tell(event_loop);
        self.read(event_loop);
        self.accept(event_loop);
        event_loop.end_turn();
        Ok(())
    }

    /// Polls; a signal that interrupts it does not shorten the sleep.
    fn sleep<S>(&mut self, event_loop: &EventLoop<S>, at_most: Option<Duration>) -> io::Result<Instant> {
        let queued = !self.reads.is_empty() || !self.writes.is_empty() || !self.accepts.is_empty();
        let busy = queued || event_loop.is_stopped();
        let mut now = Instant::now();
        let until = if busy {
            Some(now)
        } else {
            let at_most = at_most.and_then(|at_most| now.checked_add(at_most));
            event_loop.next_deadline().into_iter().chain(at_most).min()
        };
        loop {
            let timeout = until.map(|until| until.saturating_duration_since(now));
            match self.poll.poll(&mut self.events, timeout) {
                Ok(()) => return Ok(Instant::now()),
                Err(error) if error.kind() == ErrorKind::Interrupted => now = Instant::now(),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the loop what happened, and notes who can go on.
    fn tell<S>(&mut self, event_loop: &mut EventLoop<S>) {
        let events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        for event in &events {
            match Subject::of(event.token()) {
                Subject::Connection(slot) => self.ready(event_loop, slot, event),
                Subject::Attempt(slot) => self.attempted(event_loop, slot),
                Subject::Listener(slot) => {
                    if let Some(listener) = self.listening.owner(slot) {
                        self.queue_accept(listener);
                    }
                }
                Subject::Waker => self.hear(event_loop),
                Subject::Signals => {
                    for signal in self.signals.as_mut().map(Signals::pending).unwrap_or_default() {
                        if !event_loop.signalled(signal)
                            && let Err(error) = signals::take_default_effect(signal)
                        {
                            log::error!("{signal:?} has no effect: {error}");
                        }
                    }
                }
            }
        }
        self.events = events;
    }

    fn ready<S>(&mut self, event_loop: &EventLoop<S>, slot: usize, event: &Event) {
        let Some(&Socket { id, readable, .. }) = self.connected.note(slot, event) else { return };
        let news = match readable {
            Readiness::Drained => false,
            Readiness::Ready | Readiness::Ending => event_loop.wants_read(id),
            Readiness::Broken => true,
        };
        if news {
            self.queue_read(id);
        }
        if event.is_writable() && !event_loop.pending(id).is_empty() {
            self.queue_write(id);
        }
    }

    /// Other threads have something to say.
    fn hear<S>(&mut self, event_loop: &mut EventLoop<S>) {
        while let Some(call) = self.executor.executed() {
            event_loop.executed(call);
        }
        while let Some(answer) = self.resolver.answer() {
            event_loop.resolved(answer.id, answer.found);
        }
    }

    /// One read for each that can, and to the back of the queue.
    fn read<S>(&mut self, event_loop: &mut EventLoop<S>) {
        for _ in 0..self.reads.len() {
            let Some(id) = self.reads.pop_front() else { return };
            let Some(socket) = self.connected.get(id) else { continue };
            socket.read_queued = false;
            let most = event_loop.read_size(id).min(READ);
            if most == 0 {
                // Not wanted now: `ResumeReading` brings it back. Only an error does not wait for that.
                if socket.readable == Readiness::Broken
                    && let Ok(Some(error)) = socket.stream.take_error()
                {
                    event_loop.lost(id, error);
                }
                continue;
            }
            match socket.stream.read(&mut self.buffer[..most]) {
                Ok(0) => {
                    socket.readable = Readiness::Drained;
                    event_loop.received_eof(id);
                }
                Ok(count) => {
                    if count < most && socket.readable == Readiness::Ready {
                        socket.readable = Readiness::Drained;
                    } else {
                        self.queue_read(id);
                    }
                    event_loop.received(id, &self.buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => socket.readable = Readiness::Drained,
                Err(error) if error.kind() == ErrorKind::Interrupted => self.queue_read(id),
                Err(error) => event_loop.lost(id, error),
            }
        }
    }

    fn queue_read(&mut self, id: ConnId) {
        if let Some(socket) = self.connected.get(id)
            && !std::mem::replace(&mut socket.read_queued, true)
        {
            self.reads.push_back(id);
        }
    }

    /// Does what the loop asks for and sends what it has, until neither is left.
    fn obey<S>(&mut self, event_loop: &mut EventLoop<S>) {
        for _ in 0..self.writes.len() {
            if let Some(id) = self.writes.pop_front() {
                if let Some(socket) = self.connected.get(id) {
                    socket.write_queued = false;
                }
                self.write(event_loop, id);
            }
        }
        loop {
            while let Some(request) = event_loop.poll_request() {
                self.perform(event_loop, request);
            }
            match event_loop.next_dirty() {
                Some(id) => self.write(event_loop, id),
                None => return,
            }
        }
    }

    /// One write; what is left goes out next turn, or when the socket takes it.
    fn write<S>(&mut self, event_loop: &mut EventLoop<S>, id: ConnId) {
        let Some(socket) = self.connected.get(id) else { return };
        if !socket.writable || socket.write_queued {
            return;
        }
        let pending = event_loop.pending(id);
        if pending.is_empty() {
            return;
        }
        let piece = &pending[..pending.len().min(WRITE)];
        match socket.stream.write(piece) {
            Ok(count) => {
                event_loop.sent(id, count);
                // Also what `resume_writing` has just added: it must not keep the others waiting.
                if !event_loop.pending(id).is_empty() {
                    self.queue_write(id);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => socket.writable = false,
            Err(error) if error.kind() == ErrorKind::Interrupted => self.queue_write(id),
            Err(error) => event_loop.lost(id, error),
        }
    }

    fn queue_write(&mut self, id: ConnId) {
        if let Some(socket) = self.connected.get(id)
            && !std::mem::replace(&mut socket.write_queued, true)
        {
            self.writes.push_back(id);
        }
    }

    fn perform<S>(&mut self, event_loop: &mut EventLoop<S>, request: Request) {
        log::trace!("{request:?}");
        match request {
            Request::Listen { listener, address, backlog } => {
                let bound = self.listening.bind(&address, backlog);
                match bound.and_then(|bound| self.listening.open(self.poll.registry(), listener, bound)) {
                    Ok(address) => event_loop.listening(listener, address),
                    Err(error) => event_loop.listen_failed(listener, error),
                }
            }
            Request::Accept { listener } => self.queue_accept(listener),
            Request::CloseListener { listener } => self.listening.close(self.poll.registry(), listener),
            Request::Resolve { id, host, port } => self.resolver.ask(id, host, port),
            Request::Connect { id, address, local_addr } => {
                let started = Stream::connect(&address, local_addr).and_then(|stream| {
                    let attempt = Attempt { id, address: address.clone(), stream };
                    self.attempts.start(self.poll.registry(), attempt)
                });
                if let Err(error) = started {
                    event_loop.connect_failed(id, address, error);
                }
            }
            Request::ResumeReading { id } => {
                if self.connected.get(id).is_some_and(|socket| socket.readable != Readiness::Drained) {
                    self.queue_read(id);
                }
            }
            Request::ShutdownWrite { id } => {
                if let Some(socket) = self.connected.get(id) {
                    // A peer that has vanished makes this fail; the next read says so.
                    let _ = socket.stream.shutdown(Shutdown::Write);
                }
            }
            Request::Reset { id } => {
                if let Some(socket) = self.connected.get(id) {
                    // Should it be gone already, there is nobody to tell.
                    let _ = socket.stream.reset_when_dropped();
                }
            }
            Request::Close { id } => {
                self.connected.drop(self.poll.registry(), id);
                self.attempts.drop_all(id);
            }
            Request::WatchSignal { signal } => {
                let watched = self.watched_signals().and_then(|signals| signals.watch(signal));
                if let Err(error) = watched {
                    log::error!("{signal:?} cannot be watched: {error}");
                }
            }
            Request::WatchThreads => event_loop.set_waker(self.waker.clone()),
            Request::Execute { call } => {
                if let Some(job) = event_loop.take_job(call) {
                    self.executor.execute(call, job);
                }
            }
        }
    }

    fn watched_signals(&mut self) -> io::Result<&mut Signals> {
        if self.signals.is_none() {
            self.signals = Some(Signals::new(self.poll.registry(), token::SIGNALS)?);
        }
        Ok(self.signals.as_mut().expect("made above"))
    }

    /// At most [`ACCEPTS`] for each listener that has somebody waiting; whoever is left waits for the next turn, or for the
    /// loop to ask again.
    fn accept<S>(&mut self, event_loop: &mut EventLoop<S>) {
        for _ in 0..self.accepts.len() {
            let Some(id) = self.accepts.pop_front() else { return };
            let mut left = ACCEPTS;
            while event_loop.wants_accept(id)
                && let Some(accepted) = self.listening.accept(id)
            {
                match accepted {
                    Ok((stream, endpoints)) => {
                        if let Some(id) = event_loop.accepted(id, endpoints) {
                            self.place(event_loop, id, stream);
                        }
                    }
                    Err(error) => match error.kind() {
                        ErrorKind::WouldBlock => break,
                        ErrorKind::ConnectionAborted | ErrorKind::Interrupted => {}
                        _ => {
                            event_loop.accept_failed(id, error);
                            break;
                        }
                    },
                }
                left -= 1;
                if left == 0 {
                    self.accepts.push_back(id);
                    break;
                }
            }
        }
    }

    fn queue_accept(&mut self, id: ListenerId) {
        // There are few of them.
        if !self.accepts.contains(&id) {
            self.accepts.push_back(id);
        }
    }

    /// An attempt to connect has got somewhere, or pretends to.
    fn attempted<S>(&mut self, event_loop: &mut EventLoop<S>, slot: usize) {
        let Some((Attempt { id, address, stream }, outcome)) = self.attempts.outcome(self.poll.registry(), slot) else {
            return;
        };
        match outcome {
            Ok(endpoints) => {
                if event_loop.connected(id, endpoints) {
                    self.attempts.drop_all(id);
                    self.place(event_loop, id, stream);
                }
            }
            Err(error) => event_loop.connect_failed(id, address, error),
        }
    }

    fn place<S>(&mut self, event_loop: &mut EventLoop<S>, id: ConnId, stream: Stream) {
        if let Err(error) = self.connected.place(self.poll.registry(), id, stream) {
            event_loop.lost(id, error);
        }
    }
}

/// How many events one poll reports; the rest comes with the next. Not more: what a turn has read and written for its connections is
/// to be in the processor's cache still when it is sent.
const EVENTS: usize = 32;
