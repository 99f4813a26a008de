//! Which clients a connection reports, and in which order.
//!
//! Each client is one connection's, as far as there are enough, so that its reports arrive in the order of their timestamps. A
//! connection goes through its share in steps that meet all of it before one comes twice; by chance, so that a server's
//! memory is not met in the order in which it was filled.

use fastrand::Rng;

use super::lines::Client;

/// The clients of one connection, over and over.
pub(super) struct Share {
    first: u32,
    /// From one client of the share to the next: how many connections there are.
    stride: u32,
    count: u32,
    /// Whose turn it is, as an index into the share.
    turn: u32,
    step: u32,
}

impl Share {
    /// The share of the connection `index` of so many, of `clients` in all; if these are fewer, some are shared.
    pub(super) fn new(index: u32, connections: u32, clients: u32, chance: &mut Rng) -> Self {
        let first = index % clients;
        let count = (clients - first).div_ceil(connections);
        let step = if count > 2 { chance.u32(count / 3..count) } else { 1 };
        let step = (step..).find(|step| have_no_divisor(*step, count)).expect("a prime is not far");
        Self { first, stride: connections, count, turn: 0, step: step % count }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The one of this index.
    pub(super) fn client(&self, index: u32) -> Client {
        Client(self.first + index * self.stride)
    }

    /// The next one.
    pub(super) fn next(&mut self) -> Client {
        let client = self.client(self.turn);
        // Both are less than `count`, which is far from the type's limit.
        self.turn += self.step;
        if self.turn >= self.count {
            self.turn -= self.count;
        }
        client
    }
}

fn have_no_divisor(mut one: u32, mut other: u32) -> bool {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one == 1
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_client_is_met_once_in_a_round() {
        for (connections, clients) in [(1, 1), (1, 2), (1, 10), (3, 10), (7, 1000), (10, 10), (11, 10), (50, 1)] {
            let mut chance = Rng::with_seed(7);
            let mut met = Vec::new();
            for index in 0..connections {
                let mut share = Share::new(index, connections, clients, &mut chance);
                let round: BTreeSet<u32> = (0..share.count()).map(|_| share.next().0).collect();
                let filled: BTreeSet<u32> = (0..share.count()).map(|index| share.client(index).0).collect();
                assert_eq!(round, filled, "{index} of {connections}, {clients}");
                met.extend(round);
            }
            assert!(met.len() as u32 == clients.max(connections), "{connections}, {clients}: {met:?}");
            assert_eq!(met.into_iter().collect::<BTreeSet<_>>(), (0..clients).collect(), "{connections}, {clients}");
        }
    }
}
