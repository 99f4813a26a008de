//! The loop's clock, and its times in eight bytes: there are several for each connection, and an `Instant` takes sixteen.
//!
//! A moment counts nanoseconds, as an `Instant` does, so that nothing is lost between the two.

use std::num::NonZeroU64;
use std::ops::Add;
use std::time::{Duration, Instant};

/// What time it is, as the driver has told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// When moments begin.
    origin: Instant,
    now: Instant,
    moment: Moment,
}

/// A time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Moment(NonZeroU64);

/// The length of a time; what is more than [`FAR`] is merely that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Span(u64);

impl Clock {
    pub(super) fn new(now: Instant) -> Self {
        // So that a moment before the loop was made is another than that.
        let origin = now.checked_sub(FAR).unwrap_or(now);
        Self { origin, now, moment: moment_since(origin, now) }
    }

    pub(super) fn advance(&mut self, now: Instant) {
        self.now = now;
        self.moment = self.moment_of(now);
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// The same.
    pub(super) fn moment(&self) -> Moment {
        self.moment
    }

    /// So long from now.
    pub(super) fn after(&self, delay: impl Into<Span>) -> Moment {
        self.moment + delay.into()
    }

    pub(super) fn moment_of(&self, instant: Instant) -> Moment {
        moment_since(self.origin, instant)
    }

    pub(super) fn instant_of(&self, moment: Moment) -> Instant {
        self.origin + Duration::from_nanos(moment.0.get() - 1)
    }
}

impl Add<Span> for Moment {
    type Output = Self;

    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(nanoseconds(duration.min(FAR)))
    }
}

/// What is beyond all that the loop can tell is as late as it can.
fn moment_since(origin: Instant, instant: Instant) -> Moment {
    let since = instant.saturating_duration_since(origin).min(4 * FAR);
    Moment(NonZeroU64::MIN.saturating_add(nanoseconds(since)))
}

/// For less than 500 years.
const fn nanoseconds(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// The longest delay: 100 years.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_its_instant_before_and_after_the_loop_was_made() {
        let start = Instant::now();
        let clock = Clock::new(start);
        let check = |instant: Instant| assert_eq!(clock.instant_of(clock.moment_of(instant)), instant);
        for nanos in [0, 1, 999_999_999, 1_000_000_000, 3_600_000_000_001] {
            check(start + Duration::from_nanos(nanos));
            check(start - Duration::from_nanos(nanos));
        }
        check(start + FAR);
        assert!(clock.moment_of(start - Duration::from_nanos(1)) < clock.moment_of(start));
        assert_eq!(clock.moment(), clock.moment_of(start));
    }

    #[test]
    fn what_is_too_far_is_merely_far() {
        let mut clock = Clock::new(Instant::now());
        assert_eq!(clock.after(Duration::MAX), clock.after(FAR));
        clock.advance(clock.now() + FAR);
        assert!(clock.after(Duration::MAX) > clock.moment());
        assert_eq!(clock.moment_of(clock.now() + 5 * FAR), clock.moment_of(clock.now() + 6 * FAR));
    }
}
