//! Where protocols are called, and what is owed them is worked off: the loop between its inputs and its outputs.
//!
//! - One protocol at a time, in one place: `EventLoop::dispatch`. (`connection_lost` alone has its own, `EventLoop::lose`,
//!   as there is no transport any more.)
//! - Whatever is called there, and wherever else the application's code is, may panic: see `panics`.
//! - After every call `settle` makes the calls that it has led to, before any other event.
//! - What a TLS channel decrypts goes through one buffer of the loop, which is empty before the next connection's turn.

use std::io;

use super::channel::{Channel, Step};
use super::connection::{Connection, Phase, Reading, Writing};
use super::hub::Owed;
use super::panics::{Panicked, guarded};
use super::{
    AfterEof, CallId, ConnId, Endpoints, EventLoop, ListenerId, Loop, Lost, Protocol, ProtocolFactory, Transport,
};

impl<S> EventLoop<S> {
    /// Calls the protocol of `id`; `None` if it has none any more, or has panicked: then its connection is over.
    pub(super) fn dispatch<R>(
        &mut self,
        id: ConnId,
        name: &'static str,
        callback: impl FnOnce(&mut dyn Protocol<S>, &mut Transport<'_, S>, &mut S) -> R,
    ) -> Option<R> {
        let protocol = self.protocols.get_mut(id.index())?.as_mut()?;
        self.called = true;
        let outcome = guarded(|| callback(&mut **protocol, &mut Transport::new(id, &mut self.hub), &mut self.state));
        match outcome {
            Ok(answer) => Some(answer),
            Err(payload) => {
                let panicked = Panicked::new(name, Some(id), payload);
                self.report(&panicked);
                self.hub.end(id, Some(io::Error::other(panicked)));
                None
            }
        }
    }

    /// Calls something of the application's that gets no transport; `None` if it panics.
    pub(super) fn call<R>(
        &mut self,
        name: &'static str,
        id: Option<ConnId>,
        callback: impl FnOnce(&mut Loop<'_, S>, &mut S) -> R,
    ) -> Option<R> {
        self.called = true;
        let outcome = guarded(|| callback(&mut Loop::new(&mut self.hub), &mut self.state));
        outcome.map_err(|payload| self.report(&Panicked::new(name, id, payload))).ok()
    }

    /// Calls the factory of a listener, if it has one.
    pub(super) fn ask_factory<R>(
        &mut self,
        id: ListenerId,
        name: &'static str,
        callback: impl FnOnce(&mut dyn ProtocolFactory<S>, &mut Loop<'_, S>, &mut S) -> R,
    ) -> Option<R> {
        let mut factory = self.factories.get_mut(id.index())?.take()?;
        let answer = self.call(name, None, |event_loop, state| callback(&mut *factory, event_loop, state));
        self.factories[id.index()] = Some(factory);
        answer
    }

    /// Makes the calls that are owed, until there are none.
    pub(super) fn settle(&mut self) {
        loop {
            while let Some((id, protocol)) = self.hub.newborns.pop_front() {
                if let Some(before) = put(&mut self.protocols, id.index(), protocol) {
                    self.call("drop", Some(id), move |_, _| drop(before));
                }
            }
            for (id, factory) in self.hub.new_factories.drain(..) {
                put(&mut self.factories, id.index(), factory);
            }
            while let Some(panicked) = self.hub.reports.pop_front() {
                self.report(&panicked);
            }
            let Some(id) = self.hub.unsettled.pop_front() else { return };
            let Some(owed) = self.hub.owed(id) else { continue };
            // There may be more, and it may be for another protocol.
            self.hub.unsettle(id);
            match owed {
                Owed::Pause => drop(self.dispatch(id, "pause_writing", |protocol, transport, state| {
                    protocol.pause_writing(transport, state);
                })),
                Owed::Resume => drop(self.dispatch(id, "resume_writing", |protocol, transport, state| {
                    protocol.resume_writing(transport, state);
                })),
                Owed::Unread => self.decrypt_kept(id),
                Owed::Lost(why) => self.lose(id, why),
            }
        }
    }

    /// Makes a call that is due; false if it was cancelled.
    pub(super) fn run(&mut self, id: CallId) -> bool {
        let Some(callback) = self.hub.take_call(id) else { return false };
        self.call("a call of the loop", None, callback);
        true
    }

    pub(super) fn wake(&mut self, id: ConnId) {
        // Before it is made the wish is kept: see `made`.
        let made = |connection: &&mut Connection| matches!(connection.phase, Phase::Open | Phase::Upgrading);
        if self.hub.live(id).filter(made).is_some_and(|connection| std::mem::take(&mut connection.wake)) {
            self.dispatch(id, "woken", |protocol, transport, state| protocol.woken(transport, state));
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
        let listener = connection.rare.listener.filter(|_| connection.is_first_handshake());
        connection.phase = Phase::Open;
        let upgraded = std::mem::replace(&mut connection.rare.made, true);
        self.hub.set_deadline(id, None);
        if let Some(listener) = listener {
            self.hub.end_first_handshake(listener);
        }
        if upgraded {
            self.dispatch(id, "tls_started", |protocol, transport, state| protocol.tls_started(transport, state));
        } else {
            self.dispatch(id, "connection_made", |protocol, transport, state| {
                protocol.connection_made(transport, state);
            });
        }
        self.hub.made(id);
    }

    /// Takes TLS records, those that were kept first, and hands out what is in them.
    pub(super) fn decrypt(&mut self, id: ConnId, wire: &[u8]) {
        let Some(Connection { channel: Channel::Tls(tls), .. }) = self.hub.live(id) else { return };
        let mut kept = tls.unstash();
        let mut wire = wire;
        if !kept.is_empty() {
            kept.extend_from_slice(wire);
            wire = &kept;
        }
        while self.decrypt_some(id, &mut wire) {
            self.settle();
        }
    }

    /// Goes on with what was kept, as far as one callback: `settle` comes back for the rest, and need not call itself.
    fn decrypt_kept(&mut self, id: ConnId) {
        let Some(Connection { channel: Channel::Tls(tls), .. }) = self.hub.live(id) else { return };
        let kept = tls.unstash();
        let mut wire = kept.as_slice();
        if self.decrypt_some(id, &mut wire)
            && let Some(Connection { channel: Channel::Tls(tls), .. }) = self.hub.live(id)
        {
            tls.stash(wire);
        }
    }

    /// Takes from the front of `wire` what leads to one callback; false if there is no more to be had, or wanted.
    fn decrypt_some(&mut self, id: ConnId, wire: &mut &[u8]) -> bool {
        let Some(connection) = self.hub.live(id) else { return false };
        let Channel::Tls(tls) = &mut connection.channel else { return false };
        let reads = match connection.phase {
            Phase::Handshaking | Phase::Upgrading => true,
            Phase::Open => connection.reading == Reading::Flowing,
            _ => return false,
        };
        if !reads {
            tls.stash(wire);
            return false;
        }
        // What comes from a stranger goes through much code here; should it panic, it is one connection's end.
        let panicked =
            |payload| Err(io::Error::new(io::ErrorKind::InvalidData, Panicked::new("TLS", Some(id), payload)));
        let step =
            guarded(|| tls.receive(wire, &mut self.plaintext, &mut connection.outgoing)).unwrap_or_else(panicked);
        if step.is_err() {
            // The alert is our last word, whatever the protocol says to the data before the bad record.
            connection.writing = Writing::Finished;
        }
        self.hub.touched(id);
        let goes_on = matches!(step, Ok(Step::Established | Step::Data));
        match step {
            Ok(Step::Established) => self.make(id),
            Ok(Step::Data) => self.deliver(id),
            Ok(Step::Ended) => self.peer_ended(id),
            Ok(Step::Hungry) => {}
            Err(error) => {
                self.deliver(id);
                self.hub.reject(id, error);
            }
        }
        goes_on
    }

    /// Hands out the plaintext, all of it: what stayed behind would be the next connection's.
    fn deliver(&mut self, id: ConnId) {
        let mut data = std::mem::take(&mut self.plaintext);
        let made = self.hub.live(id).is_some_and(|connection| matches!(connection.phase, Phase::Open));
        if made && !data.is_empty() {
            self.dispatch(id, "data_received", |protocol, transport, state| {
                protocol.data_received(transport, state, &data);
            });
        }
        data.clear();
        self.plaintext = data;
    }

    /// The peer has ended its half: it sends nothing more.
    pub(super) fn peer_ended(&mut self, id: ConnId) {
        let Some(connection) = self.hub.live(id) else { return };
        connection.reading = Reading::Ended;
        let answer =
            self.dispatch(id, "eof_received", |protocol, transport, state| protocol.eof_received(transport, state));
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
                self.dispatch(id, "timed_out", |protocol, transport, state| protocol.timed_out(transport, state));
                return;
            }
            Phase::Connecting(_) => late("connecting took too long"),
            Phase::Handshaking | Phase::Upgrading => late("the TLS handshake took too long"),
            Phase::Lingering(_) => None,
            // As in `lost`.
            Phase::Closing(why @ Some(_)) => why.take(),
            _ => late("the peer did not take what was left to send"),
        };
        self.hub.end(id, why);
    }

    /// The last call of all, `connection_lost`; the protocol is dropped after it.
    fn lose(&mut self, id: ConnId, why: Option<io::Error>) {
        let Some(mut protocol) = self.protocols.get_mut(id.index()).and_then(Option::take) else { return };
        let connection = &self.hub.connections[id.index()];
        let (listener, made) = (connection.rare.listener, connection.rare.made);
        let was_in_handshake = connection.is_first_handshake();
        let peer = connection.rare.endpoints.as_ref().and_then(|endpoints| endpoints.peer.ip());
        let lost = Lost { id, peer, why };
        if let (Some(listener), Some(_), false) = (listener, &lost.why, made) {
            self.ask_factory(listener, "handshake_failed", |factory, event_loop, state| {
                factory.handshake_failed(event_loop, state, &lost);
            });
        }
        // Two calls: a second panic while the first unwinds would be the end of the process.
        self.call("connection_lost", Some(id), |event_loop, state| protocol.connection_lost(event_loop, state, lost));
        self.call("drop", Some(id), move |_, _| drop(protocol));
        if let Some(listener) = listener {
            if was_in_handshake {
                self.hub.end_first_handshake(listener);
            }
            self.hub.forget_connection(listener);
        }
    }

    /// A listener is closed, or could not be bound, and nothing is left of it.
    pub(super) fn desert(&mut self, id: ListenerId) {
        let listener = self.hub.listeners.remove(id.index());
        let Some(mut factory) = self.factories[id.index()].take() else { return };
        match listener.failure {
            Some(error) => self.call("failed", None, |event_loop, state| factory.failed(event_loop, state, error)),
            None => self.call("closed", None, |event_loop, state| factory.closed(event_loop, state)),
        };
        self.call("drop", None, move |_, _| drop(factory));
    }
}

/// Puts a value into its slot; what was there before.
pub(super) fn put<T>(slots: &mut Vec<Option<T>>, index: usize, value: T) -> Option<T> {
    if slots.len() <= index {
        slots.resize_with(index + 1, || None);
    }
    slots[index].replace(value)
}
