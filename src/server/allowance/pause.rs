//! For how long Google is asked nothing, once it has had too many questions.
//!
//! - As long as it asks for, up to an hour, and at least a pause of ours, which doubles until an answer is good.
//! - Many questions are on the way at a time, so a whole burst is told off: while a pause lasts, only a Retry-After that ends
//!   later than it changes anything.

use std::time::{Duration, Instant, SystemTime};

use crate::server::backoff::{Backoff, jittered};
use crate::server::limits::{RETRY_AFTER_LAST, TOLD_OFF_FIRST, TOLD_OFF_LAST};
use crate::wire::retry_after::RetryAfter;

/// The pause that lasts, if one does, and how long the next one will be.
pub(super) struct Pause {
    dice: fastrand::Rng,
    backoff: Backoff,
    end: Option<Instant>,
}

impl Pause {
    pub(super) fn new(dice: fastrand::Rng) -> Self {
        Self { dice, backoff: Backoff::new(TOLD_OFF_FIRST, TOLD_OFF_LAST), end: None }
    }

    /// When it is over, if it lasts.
    pub(super) fn end(&self, now: Instant) -> Option<Instant> {
        self.end.filter(|end| now < *end)
    }

    /// Google has had too many questions: how long the pause is, if it begins, or gets longer by at least a second, which is
    /// the least that Retry-After can tell apart. Less than that is obeyed, but no news.
    pub(super) fn told_off(
        &mut self,
        now: Instant,
        wall: SystemTime,
        retry_after: Option<RetryAfter>,
    ) -> Option<Duration> {
        let wanted = retry_after.map_or(Duration::ZERO, |time| time.wait(wall)).min(RETRY_AFTER_LAST);
        match self.end(now) {
            None => {
                let length = jittered(self.backoff.next(), self.dice.f64()).max(wanted);
                self.end = Some(now + length);
                Some(length)
            }
            Some(end) => {
                let longer = (now + wanted).saturating_duration_since(end);
                self.end = Some(end + longer);
                (longer >= SECOND).then_some(wanted)
            }
        }
    }

    /// Google has given a good answer: the next pause is the first again. While one lasts, the question is older than it, and
    /// its answer says nothing.
    pub(super) fn went_well(&mut self, now: Instant) {
        if self.end(now).is_none() {
            self.backoff.reset();
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use super::*;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;
    const NANO: Duration = Duration::from_nanos(1);

    fn pause() -> Pause {
        Pause::new(fastrand::Rng::with_seed(7))
    }

    fn in_seconds(seconds: u64) -> Option<RetryAfter> {
        Some(RetryAfter::In(Duration::from_secs(seconds)))
    }

    #[test]
    fn pauses_double_with_each_burst_that_is_told_off_until_an_answer_is_good() {
        let (mut pause, mut now) = (pause(), Instant::now());
        for _ in 0..2 {
            let lengths = [1, 2, 4, 8, 16, 32, 60, 60].map(|longest| {
                let length = pause.told_off(now, EPOCH, None).expect("a pause begins");
                let longest = Duration::from_secs(longest);
                assert!((longest / 2..=longest).contains(&length), "{length:?} of {longest:?}");
                let end = now + length;
                assert!((0..7).all(|_| pause.told_off(end - NANO, EPOCH, in_seconds(0)).is_none()));
                pause.went_well(end - NANO);
                assert_eq!([pause.end(end - NANO), pause.end(end)], [Some(end), None]);
                now = end;
                length
            });
            assert_ne!(lengths[6], lengths[7], "what is taken off is random");
            pause.went_well(now);
        }
    }

    #[test]
    fn a_pause_is_as_long_as_google_asks_for_but_an_hour_at_the_most() {
        let wall = EPOCH + 100 * SECOND;
        let check = |retry_after: RetryAfter, millis: RangeInclusive<u64>| {
            let length = pause().told_off(Instant::now(), wall, Some(retry_after)).expect("it begins");
            assert!(millis.contains(&(length.as_millis() as u64)), "{length:?} for {retry_after:?}");
        };
        let within = |seconds| RetryAfter::In(Duration::from_secs(seconds));
        check(within(0), 500..=1000);
        check(RetryAfter::At(EPOCH), 500..=1000);
        check(within(1), 1000..=1000);
        check(RetryAfter::At(wall + 90 * SECOND), 90_000..=90_000);
        check(within(3600), 3_600_000..=3_600_000);
        check(within(3601), 3_600_000..=3_600_000);
        check(within(u64::MAX), 3_600_000..=3_600_000);
        check(RetryAfter::At(wall + 1_000_000_000 * SECOND), 3_600_000..=3_600_000);
    }

    #[test]
    fn a_later_retry_after_makes_a_pause_longer_and_is_news_from_a_second_on() {
        let (mut pause, start) = (pause(), Instant::now());
        let mut check = |millis: u64, wanted: u64, news: Option<u64>, end: u64| {
            let now = start + Duration::from_millis(millis);
            let said = pause.told_off(now, EPOCH, in_seconds(wanted));
            assert_eq!(said, news.map(Duration::from_secs), "{wanted} s at {millis} ms");
            let until = start + Duration::from_millis(end);
            assert_eq!(pause.end(now), Some(until));
        };
        check(0, 30, Some(30), 30_000);
        check(5, 30, None, 30_005);
        check(1000, 29, None, 30_005);
        check(1004, 30, None, 31_004);
        check(1004, 31, Some(31), 32_004);
        check(2000, u64::MAX, Some(3600), 3_602_000);
        let second = pause.told_off(start + 7200 * SECOND, EPOCH, None).expect("it begins");
        assert!((SECOND..=2 * SECOND).contains(&second), "all that was one burst, and {second:?} is the second pause");
    }
}
