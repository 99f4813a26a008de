//! Who a server's neighbours are, which connection leads to each, and when to dial again. No I/O.
//!
//! There is one link per edge. Both ends dial, so there may be two connections for a while; both ends keep the one that
//! the smaller name dialled, and the other one is retired without losing what is on its way (see `neighbours`).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::event_loop::ConnId;
use crate::herd::name::ServerName;
use crate::herd::node::NeighbourId;

use super::backoff::{Backoff, jittered};
use super::limits::{REDIAL_FIRST, REDIAL_LAST, VIOLATION_MEMORY, VIOLATION_PAUSE_FIRST, VIOLATION_PAUSE_LAST};
use super::repairs::Exchange;

/// The neighbours of one server.
pub(super) struct Links {
    own: ServerName,
    neighbours: Vec<Neighbour>,
}

/// One neighbour.
pub(super) struct Neighbour {
    pub(super) name: ServerName,
    pub(super) address: SocketAddr,
    pub(super) link: Link,
    /// What led to it before and has to be ended by it: see `neighbours`.
    pub(super) retired: Option<ConnId>,
    /// The pauses before dialling, until the link proves good: a HERD alone proves nothing, as an ERR may follow it.
    redial: Backoff,
    /// What was last said about a failure, so that it is said once.
    pub(super) complaint: String,
    /// The repair of the link.
    pub(super) exchange: Exchange,
    violations: Violations,
}

/// How often a neighbour has broken the protocol.
#[derive(Clone, Copy)]
struct Violations {
    total: u64,
    /// The pause doubles with each of late.
    pauses: Backoff,
    last: Option<Instant>,
    /// Until when it is neither dialled nor heard.
    until: Option<Instant>,
}

/// A link, as it is now and what was counted on it since the server started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkStatus {
    /// Who is at the other end.
    pub neighbour: ServerName,
    /// Whether there is a connection on which both have said HERD.
    pub is_up: bool,
    /// Whether the neighbour does not keep up, so that reports to it are dropped.
    pub is_lagging: bool,
    /// Whether this server has learnt all that the neighbour held, since the link came up or the neighbour
    /// last said that it had dropped reports.
    pub is_in_step: bool,
    /// How many reports came, whether they were news or not.
    pub reports: u64,
    /// How many reports came that had been missing, as the link had been down, or did not keep up.
    pub repaired: u64,
    /// How many reports were dropped, to be repaired.
    pub dropped: u64,
    /// How often the neighbour broke the protocol.
    pub violations: u64,
}

/// How a neighbour is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// Not at all: a timer will dial.
    Down,
    /// We are dialling; nothing is agreed on.
    Dialling(ConnId),
    /// Over this connection.
    Up { connection: ConnId, dialled: Dialled },
    /// No more: the topology does not name it. It keeps its place, so that the others keep their numbers.
    Former,
}

/// Which end made a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Dialled {
    ByUs,
    ByThem,
}

/// What becomes of a connection whose HERD is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Joined {
    /// It is the link.
    Up,
    /// It is the link now, and this one no longer is.
    Instead(ConnId),
    /// There is a better one.
    Duplicate,
}

/// One difference between the neighbours there were and those there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Change {
    pub(super) neighbour: NeighbourId,
    pub(super) kind: ChangeKind,
    /// What led to it and does not count any more.
    pub(super) old: Link,
}

/// What a [`Change`] is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ChangeKind {
    New,
    Moved,
    Gone,
}

impl Links {
    pub(super) fn new(own: ServerName, neighbours: impl IntoIterator<Item = (ServerName, SocketAddr)>) -> Self {
        let neighbours = neighbours.into_iter().map(|(name, address)| Neighbour::new(name, address)).collect();
        Self { own, neighbours }
    }

    /// Takes over who the neighbours are and where. Those that are new or have moved are [`Link::Down`] then.
    pub(super) fn set(&mut self, neighbours: impl IntoIterator<Item = (ServerName, SocketAddr)>) -> Vec<Change> {
        let mut new: Vec<_> = neighbours.into_iter().collect();
        let mut changes = Vec::new();
        for id in self.ids() {
            let neighbour = self.get_mut(id);
            let place = new.iter().position(|(name, _)| *name == neighbour.name);
            let address = place.map(|place| new.swap_remove(place).1);
            let (kind, link) = match (neighbour.link, address) {
                (Link::Former, None) => continue,
                (_, None) => (ChangeKind::Gone, Link::Former),
                (Link::Former, Some(_)) => (ChangeKind::New, Link::Down),
                (_, Some(address)) if address == neighbour.address => continue,
                (_, Some(_)) => (ChangeKind::Moved, Link::Down),
            };
            let old = neighbour.link;
            let violations = neighbour.violations;
            let exchange = neighbour.exchange.begin_anew();
            let same = Neighbour::new(neighbour.name.clone(), address.unwrap_or(neighbour.address));
            *neighbour = Neighbour { link, violations, exchange, ..same };
            changes.push(Change { neighbour: id, kind, old });
        }
        for (name, address) in new {
            let neighbour = NeighbourId(self.neighbours.len() as u16);
            self.neighbours.push(Neighbour::new(name, address));
            changes.push(Change { neighbour, kind: ChangeKind::New, old: Link::Down });
        }
        changes
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = NeighbourId> + use<> {
        (0..self.neighbours.len() as u16).map(NeighbourId)
    }

    pub(super) fn get(&self, id: NeighbourId) -> &Neighbour {
        &self.neighbours[usize::from(id.0)]
    }

    pub(super) fn get_mut(&mut self, id: NeighbourId) -> &mut Neighbour {
        &mut self.neighbours[usize::from(id.0)]
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<NeighbourId> {
        let is_named = |neighbour: &Neighbour| neighbour.name.as_str().as_bytes() == name;
        self.ids().find(|id| is_named(self.get(*id)) && self.get(*id).link != Link::Former)
    }

    /// The links that are up.
    pub(super) fn up(&mut self) -> impl Iterator<Item = (NeighbourId, ConnId, &mut Exchange)> {
        let numbered = (0..).map(NeighbourId).zip(&mut self.neighbours);
        numbered.filter_map(|(id, neighbour)| match neighbour.link {
            Link::Up { connection, .. } => Some((id, connection, &mut neighbour.exchange)),
            Link::Down | Link::Dialling(_) | Link::Former => None,
        })
    }

    /// The neighbour whose link this connection is.
    pub(super) fn find_link(&self, connection: ConnId) -> Option<NeighbourId> {
        let leads =
            |id: &NeighbourId| matches!(self.get(*id).link, Link::Up { connection: link, .. } if link == connection);
        self.ids().find(leads)
    }

    /// All neighbours that the topology names.
    pub(super) fn status(&self) -> impl Iterator<Item = LinkStatus> {
        let named = self.neighbours.iter().filter(|neighbour| neighbour.link != Link::Former);
        let is_up = |neighbour: &Neighbour| matches!(neighbour.link, Link::Up { .. });
        named.map(move |neighbour| LinkStatus {
            neighbour: neighbour.name.clone(),
            is_up: is_up(neighbour),
            is_lagging: is_up(neighbour) && neighbour.exchange.is_lagging(),
            is_in_step: neighbour.exchange.figures.in_step,
            reports: neighbour.exchange.figures.reports,
            repaired: neighbour.exchange.figures.repaired,
            dropped: neighbour.exchange.figures.dropped,
            violations: neighbour.violations.total,
        })
    }

    /// A neighbour has broken the protocol: for a while it is neither dialled nor heard.
    pub(super) fn violate(&mut self, id: NeighbourId, now: Instant) {
        let violations = &mut self.get_mut(id).violations;
        if violations.last.is_none_or(|last| now >= last + VIOLATION_MEMORY) {
            violations.pauses.reset();
        }
        violations.total += 1;
        violations.last = Some(now);
        violations.until = Some(now + violations.pauses.next());
    }

    /// For how long a neighbour is not heard, if it is not.
    pub(super) fn penance(&self, id: NeighbourId, now: Instant) -> Option<Duration> {
        let left = self.get(id).violations.until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    /// A neighbour has said a good HERD on `connection`: decides which connection is the link.
    pub(super) fn join(&mut self, id: NeighbourId, connection: ConnId, dialled: Dialled) -> Joined {
        let neighbour = &mut self.neighbours[usize::from(id.0)];
        let smaller = if self.own < neighbour.name { Dialled::ByUs } else { Dialled::ByThem };
        let joined = match neighbour.link {
            // Ours is under way; the HERD that it brings will be compared with this one.
            Link::Down | Link::Dialling(_) => Joined::Up,
            Link::Former => unreachable!("`find` does not name former neighbours"),
            Link::Up { dialled: old, .. } if old == smaller && dialled != smaller => return Joined::Duplicate,
            // The better one, or a newer one of the same kind: the neighbour has lost the old one.
            Link::Up { connection: old, .. } => Joined::Instead(old),
        };
        neighbour.link = Link::Up { connection, dialled };
        neighbour.complaint.clear();
        joined
    }

    /// A neighbour has said something on its link that only a neighbour says who accepts us, too: once the link is lost,
    /// the pauses before dialling begin anew.
    pub(super) fn prove(&mut self, id: NeighbourId) {
        self.get_mut(id).redial.reset();
    }

    /// A connection is gone. If nothing leads to the neighbour any more: how long to wait before dialling, `jitter` being
    /// a random number from 0 to 1.
    pub(super) fn leave(&mut self, id: NeighbourId, connection: ConnId, now: Instant, jitter: f64) -> Option<Duration> {
        let penance = self.penance(id, now).unwrap_or_default();
        let neighbour = self.get_mut(id);
        if neighbour.link.connection() != Some(connection) {
            return None;
        }
        neighbour.link = Link::Down;
        // What a lesson had collected is not kept for a link that may never be back.
        neighbour.exchange = neighbour.exchange.begin_anew();
        Some(jittered(neighbour.redial.next(), jitter).max(penance))
    }
}

impl Neighbour {
    fn new(name: ServerName, address: SocketAddr) -> Self {
        Self {
            name,
            address,
            link: Link::Down,
            retired: None,
            redial: Backoff::new(REDIAL_FIRST, REDIAL_LAST),
            complaint: String::new(),
            exchange: Exchange::default(),
            violations: Violations::none(),
        }
    }
}

impl Violations {
    fn none() -> Self {
        Self { total: 0, pauses: Backoff::new(VIOLATION_PAUSE_FIRST, VIOLATION_PAUSE_LAST), last: None, until: None }
    }
}

impl Link {
    pub(super) fn connection(self) -> Option<ConnId> {
        match self {
            Self::Dialling(connection) | Self::Up { connection, .. } => Some(connection),
            Self::Down | Self::Former => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::event_loop::{EventLoop, Protocol, Security, Transport};

    struct Nobody;

    impl Protocol<()> for Nobody {
        fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {}
    }

    fn connections() -> [ConnId; 3] {
        let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::UNIX_EPOCH);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        event_loop.enter(|event_loop, ()| [(); 3].map(|()| event_loop.connect(address, Security::Plain, Nobody)))
    }

    fn links(own: &str, other: &str) -> Links {
        let name = |text: &str| ServerName::parse(text.as_bytes()).expect("a name");
        Links::new(name(own), [(name(other), SocketAddr::from(([127, 0, 0, 1], 1)))])
    }

    const ONLY: NeighbourId = NeighbourId(0);

    #[test]
    fn both_ends_keep_the_connection_that_the_smaller_name_dialled() {
        let [from_small, from_large, _] = connections();
        let both = [(from_small, true), (from_large, false)];
        for order in [[0, 1], [1, 0]] {
            for (own, other, we_are_small) in [("Ball", "Welsh", true), ("Welsh", "Ball", false)] {
                let mut links = links(own, other);
                for (connection, by_small) in order.map(|place: usize| both[place]) {
                    let dialled = if by_small == we_are_small { Dialled::ByUs } else { Dialled::ByThem };
                    links.join(ONLY, connection, dialled);
                }
                let Link::Up { connection, .. } = links.get(ONLY).link else { panic!("no link") };
                assert_eq!(connection, from_small, "{own} hears them in the order {order:?}");
            }
        }
    }

    #[test]
    fn a_neighbour_that_dials_again_has_lost_the_old_connection() {
        let [old, new, better] = connections();
        let mut links = links("Welsh", "Zoe");
        assert_eq!(links.join(ONLY, old, Dialled::ByThem), Joined::Up);
        assert_eq!(links.join(ONLY, new, Dialled::ByThem), Joined::Instead(old));
        assert_eq!(links.join(ONLY, better, Dialled::ByUs), Joined::Instead(new));
        assert_eq!(links.join(ONLY, old, Dialled::ByThem), Joined::Duplicate);
    }

    #[test]
    fn dialling_pauses_double_up_to_a_second_and_begin_anew() {
        let [connection, other, _] = connections();
        let mut links = links("Ball", "Welsh");
        let (now, mut pauses) = (Instant::now(), Vec::new());
        for _ in 0..7 {
            links.get_mut(ONLY).link = Link::Dialling(connection);
            pauses.push(links.leave(ONLY, connection, now, 1.0).expect("it was it").as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        links.join(ONLY, connection, Dialled::ByUs);
        assert_eq!(links.leave(ONLY, connection, now, 1.0), Some(REDIAL_LAST), "a HERD alone changes nothing");
        links.join(ONLY, connection, Dialled::ByUs);
        links.prove(ONLY);
        assert_eq!(links.leave(ONLY, other, now, 1.0), None, "another connection changes nothing");
        assert_eq!(links.leave(ONLY, connection, now, 0.0), Some(REDIAL_FIRST / 2));
    }

    #[test]
    fn who_breaks_the_protocol_is_left_alone_for_longer_each_time() {
        let [connection, ..] = connections();
        let (mut links, mut now) = (links("Ball", "Welsh"), Instant::now());
        let mut pauses = Vec::new();
        for _ in 0..8 {
            links.join(ONLY, connection, Dialled::ByUs);
            links.violate(ONLY, now);
            let pause = links.leave(ONLY, connection, now, 0.0).expect("it was it");
            assert_eq!(links.penance(ONLY, now), Some(pause));
            now += pause;
            assert_eq!(links.penance(ONLY, now), None);
            pauses.push(pause.as_secs());
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        now += VIOLATION_MEMORY;
        links.violate(ONLY, now);
        assert_eq!(links.penance(ONLY, now), Some(VIOLATION_PAUSE_FIRST));
        assert_eq!(links.status().map(|status| status.violations).collect::<Vec<_>>(), [9]);
    }

    #[test]
    fn new_neighbours_leave_the_old_ones_their_numbers() {
        let [connection, ..] = connections();
        let address = |port: u16| SocketAddr::from(([127, 0, 0, 1], port));
        let mut links = links("Ball", "Welsh");
        links.join(ONLY, connection, Dialled::ByUs);
        let up = links.get(ONLY).link;
        let mut check = |neighbours: &[(&str, u16)], expected: &[(u16, ChangeKind, Link)]| {
            let named =
                |(name, port): &(&str, u16)| (ServerName::parse(name.as_bytes()).expect("a name"), address(*port));
            let changes = links.set(neighbours.iter().map(named));
            let expected =
                expected.iter().map(|(id, kind, old)| Change { neighbour: NeighbourId(*id), kind: *kind, old: *old });
            assert_eq!(changes, expected.collect::<Vec<_>>(), "{neighbours:?}");
            for id in links.ids() {
                let Neighbour { name, link, .. } = links.get(id);
                assert_eq!(links.find(name.as_str().as_bytes()), (*link != Link::Former).then_some(id));
            }
        };
        check(&[("Welsh", 1)], &[]);
        check(&[("Hill", 2), ("Welsh", 1)], &[(1, ChangeKind::New, Link::Down)]);
        check(&[("Hill", 2)], &[(0, ChangeKind::Gone, up)]);
        check(&[("Hill", 2)], &[]);
        check(&[("Hill", 3), ("Welsh", 4)], &[(0, ChangeKind::New, Link::Former), (1, ChangeKind::Moved, Link::Down)]);
        assert_eq!(links.get(ONLY).address, address(4));
    }

    #[test]
    fn what_was_counted_stays_when_a_neighbour_moves_goes_or_comes_back() {
        let mut links = links("Ball", "Welsh");
        let figures = &mut links.get_mut(ONLY).exchange.figures;
        (figures.in_step, figures.repaired, figures.dropped) = (true, 2, 3);
        links.violate(ONLY, Instant::now());
        for address in [Some(2), None, Some(2)] {
            let welsh = links.get(ONLY).name.clone();
            links.set(address.map(|port| (welsh, SocketAddr::from(([127, 0, 0, 1], port)))));
            for status in links.status() {
                let counted = (status.is_in_step, status.repaired, status.dropped, status.violations);
                assert_eq!(counted, (false, 2, 3, 1));
            }
        }
    }
}
