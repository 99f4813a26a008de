//! Pauses that double from a first to a last, and begin anew.
//!
//! What goes wrong at many at once would be tried again by all at once: [`jittered`] spreads them. Whose pause it is, and when
//! it is over, is not known here.

use std::time::Duration;

/// How long to wait the next time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    first: Duration,
    last: Duration,
    /// How many pauses there were.
    pauses: u32,
}

impl Backoff {
    pub(super) fn new(first: Duration, last: Duration) -> Self {
        Self { first, last, pauses: 0 }
    }

    /// The next pause: twice the one before, or the last.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.first.saturating_mul(1_u32.checked_shl(self.pauses).unwrap_or(u32::MAX)).min(self.last);
        self.pauses = self.pauses.saturating_add(1);
        pause
    }

    /// The next pause is the first again.
    pub(super) fn reset(&mut self) {
        self.pauses = 0;
    }
}

/// A pause less a random part, up to half; `dice` is a random number from 0 to 1, at which nothing is taken off.
pub(super) fn jittered(pause: Duration, dice: f64) -> Duration {
    pause.mul_f64(0.5 + dice / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_last_for_ever_and_begin_anew() {
        let [first, last] = [3, 20].map(Duration::from_secs);
        let mut backoff = Backoff::new(first, last);
        for round in 0..2 {
            let pauses = [(); 5].map(|()| backoff.next().as_secs());
            assert_eq!(pauses, [3, 6, 12, 20, 20], "{round}");
            // More doublings than a number has bits.
            assert!((0..100).all(|_| backoff.next() == last), "{round}");
            backoff.reset();
        }
    }

    #[test]
    fn up_to_half_is_taken_off() {
        for (dice, expected) in [(0.0, 5), (0.4, 7), (1.0, 10)] {
            assert_eq!(jittered(Duration::from_secs(10), dice), Duration::from_secs(expected), "{dice}");
        }
    }
}
