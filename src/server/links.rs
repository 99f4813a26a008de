//! Who a server's neighbours are, which connection leads to each, and when to dial again. No I/O.
//!
//! There is one link per edge. Both ends dial, so there may be two connections for a while; both ends keep the one that
//! the smaller name dialled, and the other one is finished in good order: its sender ends first, so nothing on it is lost.

use std::net::SocketAddr;
use std::time::Duration;

use crate::event_loop::ConnId;
use crate::herd::name::ServerName;
use crate::herd::node::NeighbourId;

use super::limits::{REDIAL_FIRST, REDIAL_LAST};

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
    /// How often dialling has failed since the link was last up.
    failures: u32,
    /// What was last said about a failure, so that it is said once.
    pub(super) complaint: String,
}

/// How a neighbour is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Link {
    /// Not at all: a timer will dial.
    Down,
    /// We are dialling; nothing is agreed on.
    Dialling(ConnId),
    /// Over this connection.
    Up { connection: ConnId, dialled: Dialled, lagging: bool },
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

impl Links {
    pub(super) fn new(own: ServerName, neighbours: impl IntoIterator<Item = (ServerName, SocketAddr)>) -> Self {
        let neighbour =
            |(name, address)| Neighbour { name, address, link: Link::Down, failures: 0, complaint: String::new() };
        Self { own, neighbours: neighbours.into_iter().map(neighbour).collect() }
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
        self.ids().find(|id| self.get(*id).name.as_str().as_bytes() == name)
    }

    /// The links that are up.
    pub(super) fn up(&mut self) -> impl Iterator<Item = (NeighbourId, ConnId, &mut bool)> {
        let numbered = (0..).map(NeighbourId).zip(&mut self.neighbours);
        numbered.filter_map(|(id, neighbour)| match &mut neighbour.link {
            Link::Up { connection, lagging, .. } => Some((id, *connection, lagging)),
            Link::Down | Link::Dialling(_) => None,
        })
    }

    /// A neighbour has said a good HERD on `connection`: decides which connection is the link.
    pub(super) fn join(&mut self, id: NeighbourId, connection: ConnId, dialled: Dialled) -> Joined {
        let neighbour = &mut self.neighbours[usize::from(id.0)];
        let smaller = if self.own < neighbour.name { Dialled::ByUs } else { Dialled::ByThem };
        let joined = match neighbour.link {
            // Ours is under way; the HERD that it brings will be compared with this one.
            Link::Down | Link::Dialling(_) => Joined::Up,
            Link::Up { dialled: old, .. } if old == smaller && dialled != smaller => return Joined::Duplicate,
            // The better one, or a newer one of the same kind: the neighbour has lost the old one.
            Link::Up { connection: old, .. } => Joined::Instead(old),
        };
        neighbour.link = Link::Up { connection, dialled, lagging: false };
        neighbour.failures = 0;
        neighbour.complaint.clear();
        joined
    }

    /// A connection is gone. If nothing leads to the neighbour any more: how long to wait before dialling, `jitter` being
    /// a random number from 0 to 1.
    pub(super) fn leave(&mut self, id: NeighbourId, connection: ConnId, jitter: f64) -> Option<Duration> {
        let neighbour = self.get_mut(id);
        let was_it = match neighbour.link {
            Link::Dialling(ours) => ours == connection,
            Link::Up { connection: ours, .. } => ours == connection,
            Link::Down => false,
        };
        if !was_it {
            return None;
        }
        neighbour.link = Link::Down;
        let longest = REDIAL_FIRST.saturating_mul(1 << neighbour.failures.min(16)).min(REDIAL_LAST);
        neighbour.failures += 1;
        Some(longest.mul_f64(0.5 + jitter / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

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
        let mut pauses = Vec::new();
        for _ in 0..7 {
            links.get_mut(ONLY).link = Link::Dialling(connection);
            pauses.push(links.leave(ONLY, connection, 1.0).expect("it was it").as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1000, 1000]);
        links.join(ONLY, connection, Dialled::ByUs);
        assert_eq!(links.leave(ONLY, other, 1.0), None, "another connection changes nothing");
        assert_eq!(links.leave(ONLY, connection, 0.0), Some(REDIAL_FIRST / 2));
    }
}
