//! A simulated host's system: its sockets and their readiness, made into a loop's inputs and outputs.
//!
//! The counterpart of the socket driver, and as fair: one read and one write per connection and turn, a limited number of
//! accepts, and whoever has more to do is visited again in the next turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{self, ErrorKind};

use super::HostId;
use super::network::{Network, Notice};
use super::wire::{EndId, Owner};
use crate::driver::{ACCEPTS, READ, WRITE};
use crate::event_loop::{Address, CallId, ConnId, EventLoop, ListenerId, Request, Signal};

/// Everything that a process has open.
pub(super) struct System {
    pub(super) host: HostId,
    /// What happened since the last turn.
    pub(super) notices: VecDeque<Notice>,
    pub(super) signals: VecDeque<Signal>,
    pub(super) watched: Vec<Signal>,
    /// The most descriptors it may have, if that is to be felt.
    pub(super) descriptors: Option<usize>,
    sockets: BTreeMap<ConnId, EndId>,
    attempts: Vec<Attempt>,
    /// Calls whose jobs are done.
    executed: Vec<CallId>,
    listeners: BTreeMap<ListenerId, Address>,
    reads: BTreeSet<ConnId>,
    writes: BTreeSet<ConnId>,
    accepts: BTreeSet<ListenerId>,
    buffer: Box<[u8]>,
}

/// A socket that is connecting.
struct Attempt {
    id: ConnId,
    address: Address,
    end: EndId,
}

impl System {
    pub(super) fn new(host: HostId) -> Self {
        Self {
            host,
            notices: VecDeque::new(),
            signals: VecDeque::new(),
            watched: Vec::new(),
            descriptors: None,
            sockets: BTreeMap::new(),
            attempts: Vec::new(),
            executed: Vec::new(),
            listeners: BTreeMap::new(),
            reads: BTreeSet::new(),
            writes: BTreeSet::new(),
            accepts: BTreeSet::new(),
            buffer: vec![0; READ].into_boxed_slice(),
        }
    }

    /// Whether there is something to do without waiting.
    pub(super) fn is_busy(&self) -> bool {
        let queued = self.reads.len() + self.writes.len() + self.accepts.len();
        let news = self.notices.len() + self.signals.len() + self.executed.len();
        queued + news > 0
    }

    pub(super) fn descriptors_in_use(&self) -> usize {
        self.connections() + self.listeners.len()
    }

    pub(super) fn connections(&self) -> usize {
        self.sockets.len() + self.attempts.len()
    }

    /// Forgets everything, as if it had never run; the network hears nothing of it.
    pub(super) fn forget(&mut self) {
        *self = Self { descriptors: self.descriptors, ..Self::new(self.host) };
    }

    /// Closes everything.
    pub(super) fn release(&mut self, network: &mut Network) {
        for address in self.listeners.values() {
            network.unlisten(address);
        }
        network.forget_questions(self.host);
        for end in self.sockets.values().chain(self.attempts.iter().map(|attempt| &attempt.end)) {
            network.drop_end(*end);
        }
        self.forget();
    }

    /// Tells the loop what happened, and notes who can go on.
    pub(super) fn tell<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network) {
        while let Some(notice) = self.notices.pop_front() {
            match notice {
                Notice::Connected(end) => self.connected(event_loop, network, end),
                Notice::Refused(end) => {
                    if let Some(Attempt { id, address, .. }) = self.take_attempt(end) {
                        event_loop.connect_failed(id, address, ErrorKind::ConnectionRefused.into());
                    }
                }
                Notice::Resolved(id, found) => event_loop.resolved(id, found),
                Notice::Acceptable(listener) => drop(self.accepts.insert(listener)),
                Notice::Readable(id) => drop(self.reads.insert(id)),
                Notice::Writable(id) if !event_loop.pending(id).is_empty() => drop(self.writes.insert(id)),
                Notice::Writable(_) => {}
            }
        }
        for call in std::mem::take(&mut self.executed) {
            event_loop.executed(call);
        }
        while let Some(signal) = self.signals.pop_front() {
            if !event_loop.signalled(signal) {
                // Its default, which is the end of the process.
                event_loop.enter(|event_loop, _| event_loop.stop());
            }
        }
    }

    fn take_attempt(&mut self, end: EndId) -> Option<Attempt> {
        let place = self.attempts.iter().position(|attempt| attempt.end == end)?;
        Some(self.attempts.remove(place))
    }

    fn connected<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network, end: EndId) {
        let Some(Attempt { id, .. }) = self.take_attempt(end) else { return };
        if !event_loop.connected(id, network.endpoints(end)) {
            return network.drop_end(end);
        }
        self.drop_attempts(network, id);
        self.place(network, id, end);
    }

    fn place(&mut self, network: &mut Network, id: ConnId, end: EndId) {
        network.own(end, Owner::Connection(self.host, id));
        self.sockets.insert(id, end);
        if network.is_readable(end) {
            self.reads.insert(id);
        }
    }

    /// One read for each that can.
    pub(super) fn read<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network) {
        for id in std::mem::take(&mut self.reads) {
            let Some(end) = self.sockets.get(&id).copied() else { continue };
            let most = event_loop.read_size(id).min(READ);
            if most == 0 {
                // Not wanted now: `ResumeReading` brings it back. Only a reset does not wait for that.
                if network.is_broken(end) {
                    event_loop.lost(id, ErrorKind::ConnectionReset.into());
                }
                continue;
            }
            match network.read(end, &mut self.buffer[..most]) {
                Ok(0) => event_loop.received_eof(id),
                Ok(count) => {
                    if network.is_readable(end) {
                        self.reads.insert(id);
                    }
                    event_loop.received(id, &self.buffer[..count]);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => event_loop.lost(id, error),
            }
        }
    }

    /// At most [`ACCEPTS`] for each listener that has somebody waiting.
    pub(super) fn accept<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network) {
        for listener in std::mem::take(&mut self.accepts) {
            for left in (0..ACCEPTS).rev() {
                let Some(address) = self.listeners.get(&listener) else { break };
                let waiting = network.doors.get(address).is_some_and(|door| !door.backlog.is_empty());
                if !waiting || !event_loop.wants_accept(listener) {
                    break;
                }
                if let Err(error) = self.check_descriptors() {
                    event_loop.accept_failed(listener, error);
                    break;
                }
                let Some((end, endpoints)) = network.accept(&self.listeners[&listener]) else { break };
                match event_loop.accepted(listener, endpoints) {
                    Some(id) => {
                        self.place(network, id, end);
                        network.note(|network| format!("{} accepts {}", network.label(end), network.label(end.peer())));
                    }
                    None => network.drop_end(end),
                }
                if left == 0 {
                    self.accepts.insert(listener);
                }
            }
        }
    }

    /// Does what the loop asks for and sends what it has, until neither is left.
    pub(super) fn obey<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network) {
        for id in std::mem::take(&mut self.writes) {
            self.write(event_loop, network, id);
        }
        loop {
            while let Some(request) = event_loop.poll_request() {
                self.perform(event_loop, network, request);
            }
            match event_loop.next_dirty() {
                Some(id) => self.write(event_loop, network, id),
                None => return,
            }
        }
    }

    /// One write; what is left goes out next turn, or when there is room.
    fn write<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network, id: ConnId) {
        let Some(end) = self.sockets.get(&id).copied() else { return };
        let pending = event_loop.pending(id);
        if pending.is_empty() || self.writes.contains(&id) {
            return;
        }
        match network.send(end, &pending[..pending.len().min(WRITE)]) {
            Ok(count) => {
                network.show(end, &pending[..count], pending.len());
                event_loop.sent(id, count);
                // Also what `resume_writing` has just added: it must not keep the others waiting.
                if !event_loop.pending(id).is_empty() {
                    self.writes.insert(id);
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => network.show(end, &[], pending.len()),
            Err(error) => event_loop.lost(id, error),
        }
    }

    fn perform<S>(&mut self, event_loop: &mut EventLoop<S>, network: &mut Network, request: Request) {
        match request {
            Request::Listen { listener, address, .. } => match network.listen(self.host, listener, address) {
                Ok(address) => {
                    self.listeners.insert(listener, address.clone());
                    event_loop.listening(listener, address);
                }
                Err(error) => event_loop.listen_failed(listener, error),
            },
            Request::Accept { listener } => drop(self.accepts.insert(listener)),
            Request::CloseListener { listener } => {
                if let Some(address) = self.listeners.remove(&listener) {
                    network.unlisten(&address);
                }
            }
            Request::Resolve { id, host, port } => network.resolve(self.host, id, &host, port),
            Request::Connect { id, address, local_addr } => match self.check_descriptors() {
                Ok(()) => {
                    let end = network.dial(Owner::Connection(self.host, id), address.clone(), local_addr);
                    self.attempts.push(Attempt { id, address, end });
                }
                Err(error) => event_loop.connect_failed(id, address, error),
            },
            Request::ResumeReading { id } => {
                if self.sockets.get(&id).is_some_and(|end| network.is_readable(*end)) {
                    self.reads.insert(id);
                }
            }
            Request::ShutdownWrite { id } => {
                if let Some(end) = self.sockets.get(&id) {
                    network.finish(*end);
                }
            }
            Request::Reset { id } => {
                if let Some(end) = self.sockets.get(&id) {
                    network.reset(*end);
                }
            }
            Request::Close { id } => {
                if let Some(end) = self.sockets.remove(&id) {
                    network.drop_end(end);
                }
                self.drop_attempts(network, id);
            }
            Request::WatchSignal { signal } => self.watched.push(signal),
            // Somebody lets this thread run: whoever called has done so before.
            Request::WatchThreads => {}
            // On the spot, for there is one thread: how long it takes is not simulated, only that it is over next turn.
            Request::Execute { call } => {
                if let Some(job) = event_loop.take_job(call) {
                    job();
                    self.executed.push(call);
                }
            }
        }
    }

    fn drop_attempts(&mut self, network: &mut Network, id: ConnId) {
        for attempt in self.attempts.extract_if(.., |attempt| attempt.id == id) {
            network.drop_end(attempt.end);
        }
    }

    fn check_descriptors(&self) -> io::Result<()> {
        match self.descriptors {
            Some(most) if self.descriptors_in_use() >= most => Err(io::Error::from_raw_os_error(EMFILE)),
            _ => Ok(()),
        }
    }
}

/// "Too many open files", on Linux, macOS and the BSDs.
const EMFILE: i32 = 24;
