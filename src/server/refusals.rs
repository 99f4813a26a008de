//! Who was refused at the door for peers, before or after the handshake, and why: said once in a while, as whoever is refused
//! tries again every second.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Instant;

use super::limits::{REFUSALS, REFUSED_AGAIN};

/// What was said lately, the oldest first.
#[derive(Default)]
pub(super) struct Refusals(VecDeque<Refusal>);

struct Refusal {
    from: Option<IpAddr>,
    why: String,
    at: Instant,
}

impl Refusals {
    /// Whether this is to be said; it counts as said then.
    pub(super) fn is_news(&mut self, from: Option<IpAddr>, why: &str, now: Instant) -> bool {
        while self.0.front().is_some_and(|oldest| now >= oldest.at + REFUSED_AGAIN) {
            self.0.pop_front();
        }
        if self.0.iter().any(|said| said.from == from && said.why == why) {
            return false;
        }
        if self.0.len() == REFUSALS {
            self.0.pop_front();
        }
        self.0.push_back(Refusal { from, why: why.to_owned(), at: now });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_reason_is_news_once_from_each_address_for_a_while() {
        let start = Instant::now();
        let address = |number: u32| Some(IpAddr::from(Ipv4Addr::from(number)));
        let mut refusals = Refusals::default();
        let mut check = |from: u32, why: &str, after: Duration, expected: bool| {
            assert_eq!(refusals.is_news(address(from), why, start + after), expected, "{from} {why} {after:?}");
        };
        check(1, "expired", Duration::ZERO, true);
        check(1, "expired", Duration::from_secs(1), false);
        check(2, "expired", Duration::from_secs(1), true);
        check(1, "none", Duration::from_secs(1), true);
        check(1, "expired", REFUSED_AGAIN - Duration::from_secs(1), false);
        check(1, "expired", REFUSED_AGAIN, true);
        let late = REFUSED_AGAIN * 3;
        for number in 0..REFUSALS as u32 {
            check(number, "no TLS", late, true);
        }
        check(0, "no TLS", late, false);
        check(REFUSALS as u32, "no TLS", late, true);
        check(0, "no TLS", late, true);
    }
}
