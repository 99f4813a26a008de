//! How often Google may be asked: so many questions in a second and on a day, and none for a while once Google has had too many.
//!
//! - A second is any second: wherever it begins, it holds no question too many. Who comes first is first.
//! - A day is one of the calendar, in UTC, by the wall clock. One that is set back brings no allowance again; one that was far
//!   ahead, and is right again, silences nobody for longer than a day.
//! - For how long nothing is asked, and that a burst is told off once, `pause` sees to.
//!
//! Counted in memory, so a restart begins anew. No I/O, no clock. Who waits, and what a telling-off looks like, is not known here.

mod pause;

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use self::pause::Pause;
use crate::herd::topology::Rate;
use crate::wire::retry_after::RetryAfter;

/// What may still be asked.
pub(super) struct Allowance {
    rate: Rate,
    /// When the last questions were asked, the oldest first: as many as a second may have, at the most.
    asked: VecDeque<Instant>,
    /// The day that is counted, if days are.
    day: Option<Day>,
    pause: Pause,
}

/// Whether a question may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It may, and is counted.
    Go,
    /// It may not before `until`, when it is to be looked at again; of several reasons `why` is the one that lasts longest.
    Wait { until: Instant, why: Why },
}

/// Why a question has to wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    PerSecond,
    PerDay,
    ToldOff,
}

struct Day {
    /// How many days after the epoch, by the wall clock.
    number: u64,
    began: Instant,
    asked: u32,
}

impl Allowance {
    pub(super) fn new(rate: Rate, dice: fastrand::Rng) -> Self {
        Self { rate, asked: VecDeque::new(), day: None, pause: Pause::new(dice) }
    }

    /// Whether a question may be asked now; it counts as asked then.
    pub(super) fn take(&mut self, now: Instant, wall: SystemTime) -> Verdict {
        let reasons = [
            (self.second_end(now), Why::PerSecond),
            (self.day_end(now, wall), Why::PerDay),
            (self.pause.end(now), Why::ToldOff),
        ];
        let longest =
            reasons.into_iter().filter_map(|(until, why)| Some((until?, why))).max_by_key(|(until, _)| *until);
        if let Some((until, why)) = longest {
            return Verdict::Wait { until, why };
        }
        if let Some(most) = self.rate.per_second {
            if self.asked.len() == most as usize {
                self.asked.pop_front();
            }
            self.asked.push_back(now);
        }
        if let Some(day) = &mut self.day {
            day.asked += 1;
        }
        Verdict::Go
    }

    /// Google has had too many questions: for how long nothing is asked, if that is news.
    pub(super) fn told_off(
        &mut self,
        now: Instant,
        wall: SystemTime,
        retry_after: Option<RetryAfter>,
    ) -> Option<Duration> {
        self.pause.told_off(now, wall, retry_after)
    }

    /// Google has given a good answer: the next pause is the first again.
    pub(super) fn went_well(&mut self, now: Instant) {
        self.pause.went_well(now);
    }

    /// When the next question of this second may be asked, if there were too many.
    fn second_end(&self, now: Instant) -> Option<Instant> {
        let is_full = self.rate.per_second.is_some_and(|most| self.asked.len() == most as usize);
        let end = *self.asked.front().filter(|_| is_full)? + SECOND;
        (now < end).then_some(end)
    }

    /// When the next day begins, if this one has had all its questions.
    fn day_end(&mut self, now: Instant, wall: SystemTime) -> Option<Instant> {
        let most = self.rate.per_day?;
        let time = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let number = time.as_secs() / DAY.as_secs();
        let day = self.day.get_or_insert(Day { number, began: now, asked: 0 });
        let is_set_back = number < day.number;
        if number > day.number || is_set_back && now >= day.began + DAY {
            *day = Day { number, began: now, asked: 0 };
        }
        if day.asked < most {
            return None;
        }
        let into_day = Duration::new(time.as_secs() % DAY.as_secs(), time.subsec_nanos());
        Some(if is_set_back { day.began + DAY } else { now + (DAY - into_day) })
    }
}

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::server::limits::TOLD_OFF_FIRST;

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;
    const NANO: Duration = Duration::from_nanos(1);
    const HOUR: Duration = Duration::from_secs(3600);

    fn allowance(per_second: Option<u32>, per_day: Option<u32>) -> Allowance {
        Allowance::new(Rate { per_second, per_day }, fastrand::Rng::with_seed(7))
    }

    #[test]
    fn a_second_has_its_questions_and_the_next_one_waits_to_the_nanosecond() {
        let (mut allowance, start) = (allowance(Some(2), None), Instant::now());
        let mut check = |after: Duration, until: Option<Duration>| {
            let wait = |until| Verdict::Wait { until: start + until, why: Why::PerSecond };
            assert_eq!(allowance.take(start + after, EPOCH), until.map_or(Verdict::Go, wait), "{after:?}");
        };
        check(Duration::ZERO, None);
        check(SECOND - NANO, None);
        check(SECOND - NANO, Some(SECOND));
        check(SECOND, None);
        check(SECOND, Some(2 * SECOND - NANO));
        check(2 * SECOND - 2 * NANO, Some(2 * SECOND - NANO));
        check(2 * SECOND - NANO, None);
        check(2 * SECOND - NANO, Some(2 * SECOND));
    }

    #[test]
    fn nothing_is_counted_that_has_no_limit() {
        let (mut allowance, now) = (allowance(None, None), Instant::now());
        assert!((0..20_000).all(|_| allowance.take(now, EPOCH) == Verdict::Go));
        assert!(allowance.asked.is_empty() && allowance.day.is_none());
    }

    /// Each step is the hours since the start, the hour by the wall clock, and the hour since the start until which a question has
    /// to wait, if it has.
    #[track_caller]
    fn check_days(steps: &[(u32, u32, Option<u32>)]) {
        let (mut allowance, start) = (allowance(None, Some(2)), Instant::now());
        for step in steps {
            let (after, wall, until) = *step;
            let wait = |until| Verdict::Wait { until: start + HOUR * until, why: Why::PerDay };
            let verdict = allowance.take(start + HOUR * after, EPOCH + HOUR * wall);
            assert_eq!(verdict, until.map_or(Verdict::Go, wait), "{step:?}");
        }
    }

    #[test]
    fn a_day_has_its_questions_and_a_clock_that_is_set_brings_none_again() {
        check_days(&[(0, 10, None), (1, 11, None), (2, 12, Some(14)), (13, 23, Some(14)), (14, 24, None)]);
        // Set back, within the day and to the day before: what is left is left, what is used up is used up.
        check_days(&[(0, 34, None), (1, 25, None), (1, 25, Some(24)), (2, 20, Some(24)), (3, 47, Some(4))]);
        check_days(&[(0, 34, None), (1, 12, None), (1, 12, Some(24)), (13, 24, Some(37)), (37, 48, None)]);
        // Years ahead, and right again: that costs a day, not years.
        check_days(&[(0, 90_000, None), (0, 90_000, None), (1, 34, Some(24)), (23, 56, Some(24))]);
        check_days(&[(0, 90_000, None), (24, 57, None), (24, 57, None), (24, 57, Some(39)), (39, 72, None)]);
        // A clock that is slow, but was not set, is waited for.
        check_days(&[(0, 0, None), (0, 0, None), (24, 23, Some(25)), (25, 24, None)]);
    }

    #[test]
    fn a_day_ends_to_the_nanosecond_even_before_the_epoch() {
        let (mut allowance, now) = (allowance(None, Some(1)), Instant::now());
        let mut check = |wall: SystemTime, left: Option<Duration>| {
            let wait = |left| Verdict::Wait { until: now + left, why: Why::PerDay };
            assert_eq!(allowance.take(now, wall), left.map_or(Verdict::Go, wait), "{wall:?}");
        };
        check(EPOCH - HOUR, None);
        check(EPOCH, Some(DAY));
        check(EPOCH + DAY - NANO, Some(NANO));
        check(EPOCH + DAY, None);
    }

    #[test]
    fn the_reason_that_lasts_longest_is_given() {
        let (mut allowance, now) = (allowance(Some(1), Some(1)), Instant::now());
        assert_eq!(allowance.take(now, EPOCH), Verdict::Go);
        let mut check = |into_day: Duration, until: Duration, why| {
            let verdict = allowance.take(now, EPOCH + into_day);
            assert_eq!(verdict, Verdict::Wait { until: now + until, why });
            allowance.told_off(now, EPOCH, Some(RetryAfter::In(HOUR)));
        };
        check(DAY - SECOND / 2, SECOND, Why::PerSecond);
        check(DAY - 2 * SECOND, HOUR, Why::ToldOff);
        check(DAY - 2 * HOUR, 2 * HOUR, Why::PerDay);
    }

    #[test]
    fn nothing_is_asked_while_a_pause_lasts_and_after_a_good_answer_the_first_one_is_next() {
        let (mut allowance, mut now) = (allowance(None, None), Instant::now());
        for _ in 0..3 {
            let pause = allowance.told_off(now, EPOCH, None).expect("a pause begins");
            assert!(pause <= TOLD_OFF_FIRST, "{pause:?}");
            let until = now + pause;
            assert_eq!(allowance.take(until - NANO, EPOCH), Verdict::Wait { until, why: Why::ToldOff });
            assert_eq!(allowance.take(until, EPOCH), Verdict::Go);
            allowance.went_well(until);
            now = until;
        }
    }

    proptest! {
        #[test]
        fn no_second_has_a_question_too_many_and_none_waits_in_vain(
            most in 1_u32..5,
            gaps in prop::collection::vec(prop_oneof![0_u64..600_000_000, select(&[0, 1, 999_999_999, 1_000_000_000][..])], 1..60),
        ) {
            let (mut allowance, mut now, mut asked) = (allowance(Some(most), None), Instant::now(), Vec::new());
            for gap in gaps {
                now += Duration::from_nanos(gap);
                let full = asked.iter().rev().nth(most as usize - 1).map(|oldest: &Instant| *oldest + SECOND);
                match allowance.take(now, EPOCH) {
                    Verdict::Go => asked.push(now),
                    Verdict::Wait { until, .. } => prop_assert!(now < until && Some(until) == full),
                }
            }
            prop_assert!(asked.windows(most as usize + 1).all(|window| window[most as usize] - window[0] >= SECOND));
        }
    }
}
