//! The simulated network: what is on its way, when it arrives, and what happens then.
//!
//! It knows nothing of event loops: hosts use it like a system's sockets ([`dial`](Network::dial),
//! [`read`](Network::read), [`send`](Network::send), ...), and hear by [`Notice`]s what readiness would tell them.
//!
//! Rules:
//! - What arrives when is settled when it is sent: by the dice, by the order of sending, and by nothing else. No table
//!   is walked in an order that could differ from run to run.
//! - What meets an obstacle (a stall, a silent host) is held, not lost, as TCP repeats what got no answer.
//! - A reset throws away what its receiver has not read: the harshest thing that real systems do.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::client::{Client, Ending};
use super::faults::Faults;
use super::trace::Trace;
use super::traffic::{Receiver, Sent, Watcher};
use super::weather::{Pieces, Weather};
use super::wire::{End, EndId, EndPhase, Inbound, Outbound, Owner, Piece, Side, Wire};
use super::{ClientId, HostId};
use crate::event_loop::{Address, ConnId, Endpoints, ListenerId};

/// See the file's head.
pub(super) struct Network {
    pub(super) start: Instant,
    pub(super) now: Instant,
    pub(super) wires: BTreeMap<u64, Wire>,
    pub(super) doors: BTreeMap<Address, Door>,
    pub(super) clients: Vec<Client>,
    pub(super) names: BTreeMap<String, Vec<IpAddr>>,
    pub(super) host_names: Vec<String>,
    pub(super) faults: Faults,
    pub(super) notices: VecDeque<(HostId, Notice)>,
    pub(super) trace: Trace,
    pub(super) watcher: Option<Watcher>,
    weather: Weather,
    dice: fastrand::Rng,
    events: BTreeMap<(Instant, u64), Event>,
    /// How many events there have been, so that equal moments keep their order.
    made: u64,
    dialled: u64,
    ports: u16,
}

/// Somebody listens here.
pub(super) struct Door {
    pub(super) host: HostId,
    pub(super) listener: ListenerId,
    pub(super) backlog: VecDeque<EndId>,
}

/// Something that will happen.
enum Event {
    /// The next piece on the way to this end is there.
    Arrival(EndId),
    Resolved(HostId, ConnId, io::Result<Vec<SocketAddr>>),
}

/// What a host has to know.
pub(super) enum Notice {
    Connected(EndId),
    Refused(EndId),
    Resolved(ConnId, io::Result<Vec<SocketAddr>>),
    Acceptable(ListenerId),
    Readable(ConnId),
    Writable(ConnId),
}

impl Network {
    pub(super) fn new(seed: u64, weather: Weather, start: Instant) -> Self {
        Self {
            start,
            now: start,
            wires: BTreeMap::new(),
            doors: BTreeMap::new(),
            clients: Vec::new(),
            names: BTreeMap::new(),
            host_names: Vec::new(),
            faults: Faults::default(),
            notices: VecDeque::new(),
            trace: Trace::default(),
            watcher: None,
            weather,
            dice: fastrand::Rng::with_seed(seed),
            events: BTreeMap::new(),
            made: 0,
            dialled: 0,
            ports: FIRST_PORT,
        }
    }

    /// When the next thing happens.
    pub(super) fn next_event(&self) -> Option<Instant> {
        self.events.keys().next().map(|(when, _)| *when)
    }

    /// Makes the next thing happen.
    pub(super) fn happen(&mut self) {
        let Some(((when, _), event)) = self.events.pop_first() else { return };
        self.now = when;
        match event {
            Event::Arrival(end) => self.arrive(end),
            Event::Resolved(host, id, found) => self.notices.push_back((host, Notice::Resolved(id, found))),
        }
    }

    /// Adds a line to the trace, which is made only if there is one.
    pub(super) fn note<D: fmt::Display>(&mut self, what: impl FnOnce(&Self) -> D) {
        if self.trace.is_kept() {
            let what = what(self);
            self.trace.note(self.now - self.start, format_args!("{what}"));
        }
    }

    fn schedule(&mut self, when: Instant, event: Event) {
        self.events.insert((when, self.made), event);
        self.made += 1;
    }

    fn latency(&mut self) -> Duration {
        let nanos = |duration: &Duration| u64::try_from(duration.as_nanos()).expect("a latency is below 500 years");
        let range = &self.weather.latency;
        Duration::from_nanos(self.dice.u64(nanos(range.start())..=nanos(range.end())))
    }

    // What hosts do with addresses.

    /// Binds an address; port 0 gets a free one.
    pub(super) fn listen(&mut self, host: HostId, listener: ListenerId, mut address: Address) -> io::Result<Address> {
        if let Address::Ip(ip) = &mut address
            && ip.port() == 0
        {
            while ip.port() == 0 || self.doors.contains_key(&Address::Ip(*ip)) {
                ip.set_port(self.next_port());
            }
        }
        if self.doors.contains_key(&address) {
            return Err(ErrorKind::AddrInUse.into());
        }
        self.note(|network| format!("{} listens on {address}", network.name(host)));
        self.doors.insert(address.clone(), Door { host, listener, backlog: VecDeque::new() });
        Ok(address)
    }

    /// Closes a listening socket; those who wait to be accepted are reset.
    pub(super) fn unlisten(&mut self, address: &Address) {
        if let Some(door) = self.doors.remove(address) {
            self.note(|network| format!("{} listens no more on {address}", network.name(door.host)));
            for end in door.backlog {
                self.reset(end);
            }
        }
    }

    pub(super) fn accept(&mut self, address: &Address) -> Option<(EndId, Endpoints)> {
        let end = self.doors.get_mut(address)?.backlog.pop_front()?;
        Some((end, self.endpoints(end)))
    }

    /// Starts to connect, from a given address perhaps.
    pub(super) fn dial(&mut self, owner: Owner, to: Address, from: Option<SocketAddr>) -> EndId {
        let from = match &to {
            Address::Ip(to) => {
                let ip: IpAddr = if to.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
                let mut from = from.unwrap_or(SocketAddr::new(ip, 0));
                if from.port() == 0 {
                    from.set_port(self.next_port());
                }
                Address::Ip(from)
            }
            Address::Unix(_) => Address::Unix(PathBuf::new()),
        };
        let end = EndId { wire: self.dialled, side: Side::Dialler };
        self.dialled += 1;
        self.wires.insert(end.wire, Wire::new(owner, from, to.clone(), self.now));
        self.note(|network| format!("{} connects to {to}", network.label(end)));
        self.push(end.peer(), Piece::Syn);
        end
    }

    pub(super) fn endpoints(&self, end: EndId) -> Endpoints {
        let wire = &self.wires[&end.wire];
        let [peer, local] = [end.peer().side, end.side].map(|side| wire.end(side).address.clone());
        Endpoints { peer, local }
    }

    /// Looks a name up.
    pub(super) fn resolve(&mut self, host: HostId, id: ConnId, name: &str, port: u16) {
        let found = match self.names.get(name) {
            Some(ips) => Ok(ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect()),
            None => Err(io::Error::new(ErrorKind::NotFound, format!("look up {name}: no such name"))),
        };
        self.note(|network| format!("{}{id} looks up {name}", network.name(host)));
        let when = self.now + self.latency();
        self.schedule(when, Event::Resolved(host, id, found));
    }

    /// Forgets what a process wanted to know that has ended: the next one names its connections alike.
    pub(super) fn forget_questions(&mut self, host: HostId) {
        self.events.retain(|_, event| !matches!(event, Event::Resolved(asker, ..) if *asker == host));
    }

    fn next_port(&mut self) -> u16 {
        self.ports = self.ports.checked_add(1).unwrap_or(FIRST_PORT);
        self.ports
    }

    // What hosts and clients do with sockets.

    /// Sends as much as there is room for; `WouldBlock` if that is nothing.
    pub(super) fn send(&mut self, from: EndId, data: &[u8]) -> io::Result<usize> {
        let Some(wire) = self.wires.get_mut(&from.wire) else { return Err(ErrorKind::ConnectionReset.into()) };
        let room = wire.end(from.peer().side).room(self.weather.window);
        let sender = wire.end_mut(from.side);
        match sender.phase {
            EndPhase::Broken | EndPhase::Closed => return Err(ErrorKind::ConnectionReset.into()),
            EndPhase::Dialling => return Err(ErrorKind::WouldBlock.into()),
            EndPhase::Open if room == 0 => {
                sender.outbound = Outbound::Waiting;
                return Err(ErrorKind::WouldBlock.into());
            }
            EndPhase::Open => {}
        }
        assert!(sender.outbound != Outbound::Finished, "nothing is sent behind a FIN");
        sender.content.learn(data);
        let content = sender.content;
        let mut count = data.len().min(room);
        if self.weather.pieces == Pieces::Random && self.dice.bool() {
            count = self.dice.usize(1..=count);
        }
        let taken = &data[..count];
        self.note(|network| {
            let (sender, receiver) = (network.label(from), network.label(from.peer()));
            format!("{sender} -> {receiver} {count} bytes{}", content.show(taken))
        });
        let mut rest = taken;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(self.piece(rest.len()));
            self.push(from.peer(), Piece::Bytes(piece.to_vec()));
            rest = later;
        }
        Ok(count)
    }

    /// Shows what a host has just sent, or could not, to whoever watches: these bytes of so many that waited.
    pub(super) fn show(&mut self, from: EndId, bytes: &[u8], waiting: usize) {
        let Some(watcher) = &mut self.watcher else { return };
        let Some(wire) = self.wires.get(&from.wire) else { return };
        let to = match wire.end(from.peer().side).owner {
            Owner::Backlog(host, _) | Owner::Connection(host, _) => Receiver::Host(host),
            Owner::Client(client) => Receiver::Client(client),
            Owner::Nobody => return,
        };
        if let Some(sender) = wire.end(from.side).host() {
            watcher(&Sent { from: sender, to, connection: from.wire, bytes, waiting });
        }
    }

    /// How long the next of `left` bytes' pieces is.
    fn piece(&mut self, left: usize) -> usize {
        let most = match self.weather.pieces {
            Pieces::Whole => return left,
            Pieces::Random => [1, 16, 1460, left][self.dice.usize(..4)],
        };
        self.dice.usize(1..=most.min(left))
    }

    /// Reads what is there; 0 is the peer's end.
    pub(super) fn read(&mut self, id: EndId, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(wire) = self.wires.get_mut(&id.wire) else { return Err(ErrorKind::ConnectionReset.into()) };
        let end = wire.end_mut(id.side);
        if end.phase == EndPhase::Broken {
            return Err(ErrorKind::ConnectionReset.into());
        }
        let count = end.unread.read(buffer).expect("a VecDeque is always readable");
        if count == 0 {
            return if end.inbound == Inbound::Ended { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) };
        }
        let sender = wire.end_mut(id.peer().side);
        if sender.outbound == Outbound::Waiting {
            sender.outbound = Outbound::Open;
            self.push(id.peer(), Piece::Room);
        }
        Ok(count)
    }

    /// Sends a FIN, once.
    pub(super) fn finish(&mut self, id: EndId) {
        let Some(end) = self.open_end(id) else { return };
        if std::mem::replace(&mut end.outbound, Outbound::Finished) != Outbound::Finished {
            self.note(|network| format!("{} -> {} FIN", network.label(id), network.label(id.peer())));
            self.push(id.peer(), Piece::Fin);
        }
    }

    /// Drops a socket. As with TCP, that is a reset if something was left unread, else an orderly end.
    pub(super) fn drop_end(&mut self, id: EndId) {
        match self.open_end(id) {
            Some(end) if !end.unread.is_empty() => self.reset(id),
            Some(_) => {
                self.finish(id);
                self.close(id);
            }
            None => self.close(id),
        }
    }

    /// Drops a socket with a reset.
    pub(super) fn reset(&mut self, id: EndId) {
        if self.open_end(id).is_some() {
            self.refuse(id);
        }
        self.close(id);
    }

    /// Forgets a socket without a word.
    pub(super) fn close(&mut self, id: EndId) {
        let Some(wire) = self.wires.get_mut(&id.wire) else { return };
        let end = wire.end_mut(id.side);
        end.phase = EndPhase::Closed;
        end.unread.clear();
        let peer = wire.end(id.peer().side);
        // A SYN that got nowhere is not repeated once its sender has given up.
        let unheard = peer.owner == Owner::Nobody && peer.held > 0;
        if wire.is_over() || unheard {
            self.wires.remove(&id.wire);
        }
    }

    pub(super) fn own(&mut self, id: EndId, owner: Owner) {
        if let Some(wire) = self.wires.get_mut(&id.wire) {
            wire.end_mut(id.side).owner = owner;
        }
    }

    pub(super) fn is_readable(&self, id: EndId) -> bool {
        self.wires.get(&id.wire).is_some_and(|wire| wire.end(id.side).is_readable())
    }

    pub(super) fn is_broken(&self, id: EndId) -> bool {
        self.wires.get(&id.wire).is_some_and(|wire| wire.end(id.side).phase == EndPhase::Broken)
    }

    fn open_end(&mut self, id: EndId) -> Option<&mut End> {
        let end = self.wires.get_mut(&id.wire)?.end_mut(id.side);
        (end.phase == EndPhase::Open).then_some(end)
    }

    fn refuse(&mut self, id: EndId) {
        self.note(|network| format!("{} -> {} RST", network.label(id), network.label(id.peer())));
        self.push(id.peer(), Piece::Reset);
    }

    // On the way.

    fn push(&mut self, to: EndId, piece: Piece) {
        let when = self.now + self.latency();
        let Some(wire) = self.wires.get_mut(&to.wire) else { return };
        let end = wire.end_mut(to.side);
        if let Piece::Bytes(bytes) = &piece {
            end.in_flight += bytes.len();
        }
        end.travelling.push_back(piece);
        end.last_arrival = end.last_arrival.max(when);
        let when = end.last_arrival;
        self.schedule(when, Event::Arrival(to));
    }

    /// Sends what was held on its way again; what still meets an obstacle will be held again.
    pub(super) fn release(&mut self) {
        let mut again = Vec::new();
        for (number, wire) in &mut self.wires {
            for side in [Side::Dialler, Side::Listener] {
                let held = std::mem::take(&mut wire.end_mut(side).held);
                again.extend((0..held).map(|_| EndId { wire: *number, side }));
            }
        }
        for end in again {
            let when = self.now + self.latency();
            self.schedule(when, Event::Arrival(end));
        }
    }

    fn arrive(&mut self, id: EndId) {
        let held = self.is_held(id);
        let Some(wire) = self.wires.get_mut(&id.wire) else { return };
        let end = wire.end_mut(id.side);
        if held {
            end.held += 1;
            return;
        }
        let Some(piece) = end.take() else { return };
        match (end.phase, piece) {
            (EndPhase::Dialling, Piece::Syn) => self.knock(id),
            (EndPhase::Dialling, Piece::SynAck) => {
                end.phase = EndPhase::Open;
                self.tell(id, |_| Notice::Connected(id));
            }
            (EndPhase::Dialling, Piece::Reset) => self.turn_away(id),
            (EndPhase::Open, Piece::Bytes(bytes)) => {
                end.unread.extend(bytes);
                self.tell(id, Notice::Readable);
            }
            (EndPhase::Open, Piece::Fin) => {
                end.inbound = Inbound::Ended;
                self.tell(id, Notice::Readable);
            }
            (EndPhase::Open, Piece::Reset) => {
                end.shatter();
                self.tell_of_reset(id);
            }
            (EndPhase::Open, Piece::Room) => self.tell(id, Notice::Writable),
            // Nobody is there any more.
            (EndPhase::Closed, Piece::SynAck | Piece::Bytes(_)) => self.refuse(id),
            _ => {}
        }
    }

    /// A SYN has arrived.
    fn knock(&mut self, id: EndId) {
        let address = &self.wires[&id.wire].end(id.side).address;
        let refused = self.faults.refused.contains(address);
        let Some(door) = self.door(address).filter(|_| !refused) else {
            self.refuse(id);
            return self.close(id);
        };
        let (host, listener) = (door.host, door.listener);
        let door = self.doors.values_mut().find(|door| (door.host, door.listener) == (host, listener));
        door.expect("found above").backlog.push_back(id);
        self.own(id, Owner::Backlog(host, listener));
        let wire = self.wires.get_mut(&id.wire).expect("it is the wire whose SYN has arrived");
        wire.end_mut(id.side).phase = EndPhase::Open;
        self.push(id.peer(), Piece::SynAck);
        self.notices.push_back((host, Notice::Acceptable(listener)));
    }

    /// Nobody has let it in.
    pub(super) fn turn_away(&mut self, id: EndId) {
        match self.wires[&id.wire].end(id.side).owner {
            Owner::Connection(host, _) => self.notices.push_back((host, Notice::Refused(id))),
            Owner::Client(client) => self.clients[client.0].ending = Some(Ending::Refused),
            Owner::Nobody | Owner::Backlog(..) => {}
        }
        self.close(id);
    }

    /// Who listens there, or on every address with that port.
    pub(super) fn door(&self, address: &Address) -> Option<&Door> {
        self.doors.get(address).or_else(|| {
            let address = address.ip()?;
            let everywhere: IpAddr =
                if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
            self.doors.get(&Address::Ip(SocketAddr::new(everywhere, address.port())))
        })
    }

    /// Has the owner of an end know.
    pub(super) fn tell(&mut self, id: EndId, notice: impl FnOnce(ConnId) -> Notice) {
        let Some(wire) = self.wires.get(&id.wire) else { return };
        match wire.end(id.side).owner {
            Owner::Connection(host, conn) => self.notices.push_back((host, notice(conn))),
            Owner::Client(client) => self.attend(client),
            Owner::Nobody | Owner::Backlog(..) => {}
        }
    }

    /// Whoever reads learns of it, and so does who writes.
    pub(super) fn tell_of_reset(&mut self, id: EndId) {
        self.tell(id, Notice::Readable);
        self.tell(id, Notice::Writable);
    }

    pub(super) fn name(&self, host: HostId) -> String {
        self.host_names[host.0].clone()
    }

    /// Whose end it is, for the trace.
    pub(super) fn label(&self, id: EndId) -> String {
        let Some(wire) = self.wires.get(&id.wire) else { return "nobody".to_owned() };
        let end = wire.end(id.side);
        match end.owner {
            Owner::Nobody => end.address.to_string(),
            Owner::Backlog(host, _) => self.host_names[host.0].clone(),
            Owner::Connection(host, conn) => format!("{}{conn}", self.host_names[host.0]),
            Owner::Client(ClientId(index)) => format!("client {index}"),
        }
    }
}

/// Ephemeral ports are counted up from here.
const FIRST_PORT: u16 = 49_152;
