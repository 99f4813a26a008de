//! What the clients of a server say, by number: so whoever is told only the number knows the client, the time and the line.
//!
//! A server has clients of its own, as many as are wanted, each with rising timestamps: every report is news, and none overtakes
//! another of the same client.

use std::io::Write;
use std::time::{Duration, SystemTime};

use proxy_herd::herd::timestamp::Timestamp;

/// The reports that come to one server.
#[derive(Clone, Copy)]
pub(super) struct Reports {
    server: usize,
    clients: u64,
}

impl Reports {
    /// Of so many clients of the server with this place in the topology.
    pub(super) fn new(server: usize, clients: u64) -> Self {
        Self { server, clients }
    }

    /// Who says the report with this number.
    pub(super) fn client(self, number: u64) -> Vec<u8> {
        format!("client-{}-{:07}", self.server, number * STRIDE % self.clients).into_bytes()
    }

    /// When that was.
    pub(super) fn timestamp(number: u64) -> Timestamp {
        Timestamp::from(SystemTime::UNIX_EPOCH + Duration::new(BEGUN, 0) + Duration::from_nanos(number))
    }

    /// Appends the line.
    pub(super) fn write(self, text: &mut Vec<u8>, number: u64) {
        let (server, client) = (self.server, number * STRIDE % self.clients);
        let (seconds, nanoseconds) = (BEGUN + number / SECOND, number % SECOND);
        writeln!(text, "IAMAT client-{server}-{client:07} +34.068930-118.445127 {seconds}.{nanoseconds:09}")
            .expect("a Vec takes all");
    }
}

/// Shares no factor with the usual numbers of clients, so that each is named once a round, far from the one before.
const STRIDE: u64 = 7_919_111;

const BEGUN: u64 = 1_520_023_934;
const SECOND: u64 = 1_000_000_000;
