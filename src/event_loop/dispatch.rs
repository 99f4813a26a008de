//! Where protocols are called, and what is owed them is worked off: the loop between its inputs and its outputs.
//!
//! - One protocol at a time, in one place: `EventLoop::dispatch`. (`connection_lost` alone has its own, `EventLoop::lose`,
//!   as there is no transport any more.)
//! - After every call `settle` makes the calls that it has led to, before any other event.
//! - What a TLS channel decrypts goes through one buffer of the loop, which is empty before the next connection's turn.

use std::io;

use super::channel::{Channel, Step};
use super::connection::{Phase, Reading, Writing};
use super::hub::Owed;
use super::{AfterEof, CallId, ConnId, Endpoints, EventLoop, Loop, Lost, Protocol, Transport};

impl<S> EventLoop<S> {
    /// Calls the protocol of `id`; `None` if it has none any more.
    pub(super) fn dispatch<R>(
        &mut self,
        id: ConnId,
        callback: impl FnOnce(&mut dyn Protocol<S>, &mut Transport<'_, S>, &mut S) -> R,
    ) -> Option<R> {
        let protocol = self.protocols.get_mut(id.index())?.as_mut()?;
        self.called = true;
        Some(callback(&mut **protocol, &mut Transport::new(id, &mut self.hub), &mut self.state))
    }

    /// Makes the calls that are owed, until there are none.
    pub(super) fn settle(&mut self) {
        loop {
            for (id, protocol) in self.hub.newborns.drain(..) {
                put(&mut self.protocols, id.index(), protocol);
            }
            for (id, factory) in self.hub.new_factories.drain(..) {
                put(&mut self.factories, id.index(), factory);
            }
            let Some(id) = self.hub.unsettled.pop_front() else { return };
            while let Some(owed) = self.hub.owed(id) {
                match owed {
                    Owed::Pause => drop(self.dispatch(id, |protocol, transport, state| {
                        protocol.pause_writing(transport, state);
                    })),
                    Owed::Resume => drop(self.dispatch(id, |protocol, transport, state| {
                        protocol.resume_writing(transport, state);
                    })),
                    Owed::Unread => self.decrypt(id, &[]),
                    Owed::Lost(why) => self.lose(id, why),
                }
            }
        }
    }

    pub(super) fn run(&mut self, id: CallId) {
        if let Some(callback) = self.hub.take_call(id) {
            callback(&mut Loop::new(&mut self.hub), &mut self.state);
            self.settle();
        }
    }

    pub(super) fn wake(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        connection.wake = false;
        if matches!(connection.phase, Phase::Open) {
            self.dispatch(id, |protocol, transport, state| protocol.woken(transport, state));
            self.settle();
        }
    }

    /// The socket stands; so does the connection, unless TLS has to be agreed on.
    pub(super) fn establish(&mut self, id: ConnId, endpoints: Endpoints) {
        if self.hub.established(id, endpoints) {
            self.make(id);
        }
        self.settle();
    }

    fn make(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        connection.phase = Phase::Open;
        self.hub.set_deadline(id, None);
        self.dispatch(id, |protocol, transport, state| protocol.connection_made(transport, state));
        self.hub.made(id);
        self.settle();
    }

    /// Takes TLS records, those that were kept first, and hands out what is in them.
    pub(super) fn decrypt(&mut self, id: ConnId, wire: &[u8]) {
        let Some(connection) = self.hub.live(id) else { return };
        let Channel::Tls(tls) = &mut connection.channel else { return };
        let mut kept = tls.unstash();
        let mut wire = wire;
        if !kept.is_empty() {
            kept.extend_from_slice(wire);
            wire = &kept;
        }
        loop {
            let Some(connection) = self.hub.live(id) else { return };
            let Channel::Tls(tls) = &mut connection.channel else { return };
            let reads = match connection.phase {
                Phase::Handshaking => true,
                Phase::Open => connection.reading == Reading::Flowing,
                _ => return,
            };
            if !reads {
                return tls.stash(wire);
            }
            let step = tls.receive(&mut wire, &mut self.plaintext, &mut connection.outgoing);
            if step.is_err() {
                // The alert is our last word, whatever the protocol says to the data before the bad record.
                connection.writing = Writing::Finished;
            }
            self.hub.touched(id);
            match step {
                Ok(Step::Established) => self.make(id),
                Ok(Step::Data) => self.deliver(id),
                Ok(Step::Ended) => return self.peer_ended(id),
                Ok(Step::Hungry) => return,
                Err(error) => {
                    self.deliver(id);
                    return self.hub.fail(id, error);
                }
            }
        }
    }

    /// Hands out the plaintext, all of it: what stayed behind would be the next connection's.
    fn deliver(&mut self, id: ConnId) {
        let mut data = std::mem::take(&mut self.plaintext);
        let made = self.hub.live(id).is_some_and(|connection| matches!(connection.phase, Phase::Open));
        if made && !data.is_empty() {
            self.dispatch(id, |protocol, transport, state| protocol.data_received(transport, state, &data));
        }
        data.clear();
        self.plaintext = data;
        self.settle();
    }

    /// The peer has ended its half: it sends nothing more.
    pub(super) fn peer_ended(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        connection.reading = Reading::Ended;
        let answer = self.dispatch(id, |protocol, transport, state| protocol.eof_received(transport, state));
        if answer == Some(AfterEof::Close) {
            self.hub.close(id, Phase::Closing(None));
        }
    }

    /// A deadline has passed: the protocol's own, or that of getting connected or closed.
    pub(super) fn time_out(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        let late = |what: &str| Some(io::Error::new(io::ErrorKind::TimedOut, what));
        let why = match &mut connection.phase {
            Phase::Open => {
                self.dispatch(id, |protocol, transport, state| protocol.timed_out(transport, state));
                return;
            }
            Phase::Connecting(_) => late("connecting took too long"),
            Phase::Handshaking => late("the TLS handshake took too long"),
            Phase::Lingering(_) => None,
            // As in `lost`.
            Phase::Closing(why @ Some(_)) => why.take(),
            _ => late("the peer did not take what was left to send"),
        };
        self.hub.end(id, why);
    }

    /// The last call of all, `connection_lost`; the protocol is dropped after it.
    fn lose(&mut self, id: ConnId, why: Option<io::Error>) {
        let protocol = self.protocols.get_mut(id.index()).and_then(Option::take);
        if let Some(mut protocol) = protocol {
            self.called = true;
            let peer = self.hub.connections[id.index()].endpoints.map(|endpoints| endpoints.peer);
            protocol.connection_lost(&mut Loop::new(&mut self.hub), &mut self.state, Lost { id, peer, why });
        }
    }
}

pub(super) fn put<T>(slots: &mut Vec<Option<T>>, index: usize, value: T) {
    if slots.len() <= index {
        slots.resize_with(index + 1, || None);
    }
    slots[index] = Some(value);
}
