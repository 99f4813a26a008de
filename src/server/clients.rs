//! How many clients a server has, and whether one more fits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Instant;

use super::limits::COMPLAIN_EVERY;
use crate::herd::topology::Limits;

/// The clients of one server.
#[derive(Default)]
pub(super) struct Clients {
    connected: u32,
    /// By address, if there is a limit on that.
    of: HashMap<IpAddr, u32>,
    /// When it was last said that there are too many.
    complained: Option<Instant>,
}

impl Clients {
    /// How many are connected.
    pub(super) fn connected(&self) -> u32 {
        self.connected
    }

    /// Counts one more; false if it is one too many, though counted.
    pub(super) fn enter(&mut self, from: IpAddr, limits: &Limits) -> bool {
        self.connected += 1;
        let fits = self.connected <= limits.max_connections;
        let Some(most) = limits.max_connections_per_address else { return fits };
        let count = self.of.entry(from).or_default();
        *count += 1;
        fits && *count <= most
    }

    /// Whether it is time to say that one is turned away: not of each in a storm.
    pub(super) fn should_complain(&mut self, now: Instant) -> bool {
        let silent = self.complained.is_some_and(|last| now < last + COMPLAIN_EVERY);
        if !silent {
            self.complained = Some(now);
        }
        !silent
    }

    /// Counts one less.
    pub(super) fn leave(&mut self, from: IpAddr) {
        self.connected -= 1;
        if let Some(count) = self.of.get_mut(&from) {
            *count -= 1;
            if *count == 0 {
                self.of.remove(&from);
            }
        }
    }
}
