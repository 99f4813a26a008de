//! Making one connection out of many addresses: Happy Eyeballs (RFC 8305).
//!
//! The families take turns, the resolver's first choice begins. The next attempt starts when the one before has failed,
//! or after [`ATTEMPT_DELAY`]; the first that stands wins, and the driver drops the rest.
//!
//! What it does not do: it opens no socket and sets no timer; `hub` asks it what to do next.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Where to connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// This address: nothing is looked up.
    Address(SocketAddr),
    /// A name, looked up on the resolver's thread, and a port.
    Name(String, u16),
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self::Address(address)
    }
}

/// A connection on its way.
#[derive(Default)]
pub(super) struct Dial {
    untried: VecDeque<SocketAddr>,
    /// When the next attempt starts, should the last one still be under way.
    pub(super) next_at: Option<Instant>,
    under_way: usize,
    failures: Vec<(SocketAddr, io::Error)>,
}

impl Dial {
    /// What the resolver found, in its order.
    pub(super) fn resolved(&mut self, addresses: Vec<SocketAddr>) {
        self.untried = interleaved(addresses);
    }

    /// The next address to try.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        let address = self.untried.pop_front()?;
        self.under_way += 1;
        Some(address)
    }

    pub(super) fn has_more(&self) -> bool {
        !self.untried.is_empty()
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, address: SocketAddr, error: io::Error) {
        self.under_way -= 1;
        self.failures.push((address, error));
    }

    /// The reason, when nothing is left to hope for.
    pub(super) fn failure(&mut self) -> Option<io::Error> {
        if self.under_way > 0 || self.has_more() {
            return None;
        }
        let failures = std::mem::take(&mut self.failures);
        let kind = failures.last().map_or(io::ErrorKind::NotFound, |(_, error)| error.kind());
        let each: Vec<String> =
            failures.iter().map(|(address, error)| format!("connect to {address}: {error}")).collect();
        let what = if each.is_empty() { "the name has no address".to_owned() } else { each.join("; ") };
        Some(io::Error::new(kind, what))
    }
}

/// One of the first address's family, one of the other, and so on (RFC 8305, 4); each address once.
fn interleaved(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first().copied() else { return VecDeque::new() };
    let (mut same, mut other) = (VecDeque::new(), VecDeque::new());
    for address in addresses {
        let family = if address.is_ipv4() == first.is_ipv4() { &mut same } else { &mut other };
        if !family.contains(&address) {
            family.push_back(address);
        }
    }
    let mut order = VecDeque::with_capacity(same.len() + other.len());
    while !same.is_empty() || !other.is_empty() {
        order.extend(same.pop_front());
        order.extend(other.pop_front());
    }
    order
}

/// How long an attempt is alone before the next one starts beside it (RFC 8305, 5: the Connection Attempt Delay).
pub(super) const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_and_nothing_is_tried_twice() {
        let check = |found: &[&str], expected: &[&str]| {
            let parse = |texts: &[&str]| -> Vec<SocketAddr> {
                texts.iter().map(|text| text.parse().expect("an address")).collect()
            };
            assert_eq!(interleaved(parse(found)), parse(expected), "{found:?}");
        };
        check(&[], &[]);
        check(&["[::1]:1", "[::2]:1", "1.1.1.1:1", "2.2.2.2:1"], &["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1"]);
        check(&["1.1.1.1:1", "1.1.1.1:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1"]);
    }

    #[test]
    fn the_reason_names_every_address_once_all_have_failed() {
        let mut dial = Dial::default();
        dial.resolved(vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()]);
        let (first, second) = (dial.next().expect("one"), dial.next().expect("two"));
        dial.failed(first, io::ErrorKind::TimedOut.into());
        assert!(dial.failure().is_none(), "the second may still succeed");
        dial.failed(second, io::ErrorKind::ConnectionRefused.into());
        let error = dial.failure().expect("both have failed");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(error.to_string(), "connect to 127.0.0.1:1: timed out; connect to 127.0.0.1:2: connection refused");
    }
}
