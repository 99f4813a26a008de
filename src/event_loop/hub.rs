//! The loop's own half of everything: connections, listeners, timers, what to do next. It never calls a protocol.
//!
//! What a callback wants done happens here at once, as far as it is bytes and state. What would have to call somebody is
//! put on a list (`unsettled`, `ready`); what only the driver can do, on another (`requests`, `dirty`).

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::time::{Duration, Instant, SystemTime};

use slab::Slab;

use super::buffer::Spares;
use super::channel::Channel;
use super::clock::Clock;
use super::connection::{Connection, Flow, LATE_WRITES, Phase, Reading, Writing};
use super::id::{CallId, ConnId, ListenerId};
use super::listener::Listener;
use super::panics::Panicked;
use super::protocol::{Protocol, ProtocolFactory};
use super::remote::Mailbox;
use super::request::{Request, Signal};
use super::schedule::Call;
use super::timers::Timers;
use super::{ExceptionHandler, Handler};
use crate::mutation::Rule;

/// See the file's head.
pub(super) struct Hub<S> {
    pub(super) clock: Clock,
    pub(super) wall: SystemTime,
    pub(super) connections: Slab<Box<Connection>>,
    pub(super) listeners: Slab<Listener>,
    pub(super) timers: Timers,
    pub(super) requests: VecDeque<Request>,
    /// What runs at the next turn.
    pub(super) ready: VecDeque<Ready>,
    /// Connections whose protocols are owed a call.
    pub(super) unsettled: VecDeque<ConnId>,
    /// Protocols made inside a callback, on their way to their slot.
    pub(super) newborns: VecDeque<(ConnId, Box<dyn Protocol<S>>)>,
    /// The same of factories.
    pub(super) new_factories: Vec<(ListenerId, Box<dyn ProtocolFactory<S>>)>,
    pub(super) handlers: BTreeMap<Signal, Handling<S>>,
    pub(super) exception_handler: Option<ExceptionHandler<S>>,
    /// What the exception handler is to be told.
    pub(super) reports: VecDeque<Panicked>,
    /// What is called at the end of a turn.
    pub(super) hooks: Vec<Handler<S>>,
    /// What other threads want called.
    pub(super) mailbox: Mailbox<S>,
    pub(super) stopped: bool,
    /// Connections that have something to send.
    dirty: VecDeque<ConnId>,
    pub(super) calls: Slab<Call<S>>,
    spares: Spares,
    /// How many connections and listeners were named so far.
    pub(super) generations: u32,
    /// How many calls were scheduled so far.
    pub(super) serials: u32,
}

/// What does not wait for a time, but for the next turn.
#[derive(Clone, Copy)]
pub(super) enum Ready {
    Call(CallId),
    Wake(ConnId),
    /// A connection has ended that was not made.
    Unmade(ConnId),
    /// A listener is closed, and its last connection lost.
    Deserted(ListenerId),
}

/// Who answers a signal that the driver watches.
pub(super) enum Handling<S> {
    By(Handler<S>),
    /// The handler is being called.
    UnderWay,
    /// Nobody any more.
    Default,
}

/// A callback that a protocol is owed.
pub(super) enum Owed {
    Pause,
    Resume,
    /// Bytes that came while reading was paused, or before TLS was started.
    Unread,
    Lost(Option<io::Error>),
}

impl<S> Hub<S> {
    pub(super) fn new(now: Instant, wall: SystemTime) -> Self {
        Self {
            clock: Clock::new(now),
            wall,
            connections: Slab::new(),
            listeners: Slab::new(),
            timers: Timers::default(),
            requests: VecDeque::new(),
            ready: VecDeque::new(),
            unsettled: VecDeque::new(),
            newborns: VecDeque::new(),
            new_factories: Vec::new(),
            handlers: BTreeMap::new(),
            exception_handler: None,
            reports: VecDeque::new(),
            hooks: Vec::new(),
            mailbox: Mailbox::default(),
            stopped: false,
            dirty: VecDeque::new(),
            calls: Slab::new(),
            spares: Spares::default(),
            generations: 0,
            serials: 0,
        }
    }

    /// The connection, unless it is over.
    pub(super) fn live(&mut self, id: ConnId) -> Option<&mut Connection> {
        living(&mut self.connections, id)
    }

    /// The connection, over or not.
    pub(super) fn connection(&self, id: ConnId) -> Option<&Connection> {
        self.connections.get(id.index()).map(Box::as_ref).filter(|connection| is_same(connection, id))
    }

    pub(super) fn insert(&mut self, phase: Phase, channel: Channel, handshake_timeout: Duration) -> ConnId {
        self.generations = self.generations.wrapping_add(1);
        let mut connection = Box::new(Connection::new(self.generations, phase, channel));
        connection.rare.handshake_timeout = handshake_timeout.into();
        ConnId::new(self.connections.insert(connection), self.generations)
    }

    // Connections: writing.

    pub(super) fn write(&mut self, id: ConnId, data: &[u8]) {
        let Some(connection) = named(&mut self.connections, id) else { return };
        if data.is_empty() {
            return;
        }
        if !connection.is_writable() {
            connection.rare.late_writes = connection.rare.late_writes.saturating_add(1);
            if connection.rare.late_writes == LATE_WRITES {
                log::warn!("{id}: {LATE_WRITES} writes came after close or write_eof and were dropped");
            }
            return;
        }
        if let Err(error) = connection.write(data, &mut self.spares) {
            return self.end(id, Some(error));
        }
        // Not `touched`, which would have to find it again: this is done for each message.
        if list(connection, id, &mut self.dirty) {
            self.unsettle(id);
        }
    }

    pub(super) fn write_eof(&mut self, id: ConnId) {
        let Some(connection) = self.live(id) else { return };
        if !connection.is_writable() {
            return;
        }
        connection.writing = Writing::Finishing;
        let finished = connection.channel.finish(&mut connection.outgoing);
        self.send_off(id, finished);
    }

    /// Something may wait to be sent: has the driver, and perhaps the protocol, look at it.
    pub(super) fn touched(&mut self, id: ConnId) {
        let Some(connection) = living(&mut self.connections, id) else { return };
        if list(connection, id, &mut self.dirty) {
            self.unsettle(id);
        }
    }

    pub(super) fn next_dirty(&mut self) -> Option<ConnId> {
        while let Some(id) = self.dirty.pop_front() {
            let Some(connection) = self.live(id) else { continue };
            connection.dirty = false;
            // Before the connection stands, what was written waits; `made` touches it again.
            if !matches!(connection.phase, Phase::Connecting(_)) && !connection.outgoing.is_empty() {
                return Some(id);
            }
        }
        None
    }

    pub(super) fn sent(&mut self, id: ConnId, count: usize) {
        let Some(connection) = living(&mut self.connections, id) else { return };
        connection.outgoing.take(count, &mut self.spares);
        if connection.update_flow() {
            self.unsettle(id);
        }
        self.conclude(id);
    }

    // Connections: going.

    pub(super) fn close(&mut self, id: ConnId, next: Phase) {
        let Some(connection) = self.live(id) else { return };
        match connection.phase {
            Phase::Connecting(_) | Phase::Handshaking | Phase::Upgrading => return self.end(id, None),
            Phase::Open => {}
            _ => return,
        }
        let finished = match connection.writing {
            Writing::Open => connection.channel.finish(&mut connection.outgoing),
            Writing::Finishing | Writing::Finished => Ok(()),
        };
        self.leave(id, next, finished);
    }

    /// Something is wrong with what the peer sent: tells it so, if the channel can, and ends.
    pub(super) fn reject(&mut self, id: ConnId, error: io::Error) {
        let Some(connection) = self.live(id) else { return };
        if connection.is_closing() {
            // It has been left already.
            return;
        }
        self.leave(id, Phase::Closing(Some(error)), Ok(()));
    }

    /// From now on only what waits is sent, and that has the close timeout.
    fn leave(&mut self, id: ConnId, next: Phase, finished: io::Result<()>) {
        let Some(connection) = self.live(id) else { return };
        connection.phase = next;
        let timeout = connection.rare.close_timeout;
        self.set_deadline(id, Some(self.after(timeout)));
        self.send_off(id, finished);
    }

    /// Our half was `finished`, or that has failed: what waits is sent, and what was waiting for that is done.
    fn send_off(&mut self, id: ConnId, finished: io::Result<()>) {
        match finished {
            Ok(()) => {
                self.touched(id);
                self.conclude(id);
            }
            Err(error) => self.end(id, Some(error)),
        }
    }

    /// If all is sent, does what was waiting for that.
    pub(super) fn conclude(&mut self, id: ConnId) {
        let Some(connection) = self.live(id) else { return };
        if !connection.outgoing.is_empty() {
            return;
        }
        match &mut connection.phase {
            Phase::Closing(why) => {
                let why = why.take();
                self.end(id, why);
            }
            Phase::ClosingSlowly(patience) => {
                let patience = *patience;
                connection.phase = Phase::Lingering(LINGER_BYTES);
                self.set_deadline(id, Some(self.after(patience)));
                self.requests.extend([Request::ShutdownWrite { id }, Request::ResumeReading { id }]);
            }
            Phase::Open if connection.writing == Writing::Finishing => {
                connection.writing = Writing::Finished;
                self.requests.push_back(Request::ShutdownWrite { id });
            }
            _ => {}
        }
    }

    /// The only way out: nothing is sent or received from now on, and `connection_lost` is due. For one that was still being
    /// connected it is due next turn: whoever connects again as soon as it is lost must not hold this one up.
    pub(super) fn end(&mut self, id: ConnId, why: Option<io::Error>) {
        let Some(connection) = living(&mut self.connections, id) else { return };
        connection.outgoing.clear(&mut self.spares);
        let had_alarm = connection.deadline.alarm.take().is_some();
        if let Phase::Connecting(_) = connection.phase {
            connection.phase = Phase::Unmade(why);
            self.ready.push_back(Ready::Unmade(id));
        } else {
            connection.phase = Phase::Ended(why);
            self.unsettle(id);
        }
        if had_alarm {
            self.note_stale();
        }
    }

    /// The turn has come in which a connection that was not made is lost.
    pub(super) fn end_unmade(&mut self, id: ConnId) {
        let Some(connection) = named(&mut self.connections, id) else { return };
        if let Phase::Unmade(why) = &mut connection.phase {
            connection.phase = Phase::Ended(why.take());
            self.unsettle(id);
        }
    }

    /// Ends, with a reset for the peer.
    pub(super) fn reset(&mut self, id: ConnId) {
        if self.live(id).is_some() {
            self.requests.push_back(Request::Reset { id });
            self.end(id, None);
        }
    }

    /// The driver has dropped the socket; somebody else may have the slot.
    pub(super) fn release(&mut self, id: ConnId) {
        let connection = self.connections.remove(id.index());
        debug_assert!(matches!(connection.phase, Phase::Lost), "a slot is freed after connection_lost");
    }

    // Connections: what their protocols are owed.

    pub(super) fn unsettle(&mut self, id: ConnId) {
        let connection = &mut self.connections[id.index()];
        if !std::mem::replace(&mut connection.unsettled, true) {
            self.unsettled.push_back(id);
        }
    }

    pub(super) fn resume_reading(&mut self, id: ConnId) {
        let Some(connection) = self.live(id) else { return };
        if connection.reading == Reading::Paused {
            connection.reading = Reading::Flowing;
            self.requests.push_back(Request::ResumeReading { id });
            self.unsettle(id);
        }
    }

    /// The next callback that is due to this protocol; it counts as made.
    pub(super) fn owed(&mut self, id: ConnId) -> Option<Owed> {
        let connection = named(&mut self.connections, id)?;
        connection.unsettled = false;
        match &mut connection.phase {
            Phase::Ended(why) => {
                let why = why.take();
                connection.phase = Phase::Lost;
                self.requests.push_back(Request::Close { id });
                return Some(Owed::Lost(why));
            }
            Phase::Open => {}
            Phase::Upgrading => {
                let unread = matches!(&connection.channel, Channel::Tls(tls) if tls.has_unread());
                return unread.then_some(Owed::Unread);
            }
            // asyncio resumes a protocol while its transport flushes; one that is closing has nothing to gain by it.
            _ => return None,
        }
        match connection.flow {
            Flow::PauseDue => {
                connection.flow = Flow::Paused;
                Some(Owed::Pause)
            }
            Flow::ResumeDue => {
                connection.flow = Flow::Free;
                Some(Owed::Resume)
            }
            Flow::Free | Flow::Paused => match &connection.channel {
                Channel::Tls(tls) if connection.reading == Reading::Flowing && tls.has_unread() => Some(Owed::Unread),
                _ => None,
            },
        }
    }

    pub(super) fn wake(&mut self, id: ConnId) {
        let Some(connection) = self.live(id) else { return };
        if !std::mem::replace(&mut connection.wake, true) {
            self.ready.push_back(Ready::Wake(id));
        }
    }
}

/// Puts a connection on the list of those that have something to send, if it has; true if its protocol is owed a call.
fn list(connection: &mut Connection, id: ConnId, dirty: &mut VecDeque<ConnId>) -> bool {
    if connection.becomes_dirty() {
        dirty.push_back(id);
    }
    connection.update_flow()
}

/// The connection of that name, over or not; with the table alone borrowed, not the whole hub.
fn named(connections: &mut Slab<Box<Connection>>, id: ConnId) -> Option<&mut Connection> {
    connections.get_mut(id.index()).map(Box::as_mut).filter(|connection| is_same(connection, id))
}

/// Whether that name was given to this connection, and not to one that had its slot before.
fn is_same(connection: &Connection, id: ConnId) -> bool {
    connection.generation == id.generation() || !Rule::Generation.holds()
}

/// The same, unless it is over.
fn living(connections: &mut Slab<Box<Connection>>, id: ConnId) -> Option<&mut Connection> {
    named(connections, id).filter(|connection| !connection.is_over())
}

/// How many bytes are thrown away, at the most, for a peer that goes on sending after it was answered.
const LINGER_BYTES: usize = 256 * 1024;
