//! A point in time as POSIX seconds, held as whole nanoseconds; and the signed difference of two.
//!
//! Never a float: two stamps one nanosecond apart are different. Whole seconds are less than 2^63 either way, so that
//! a client which counts milliseconds or nanoseconds is still understood; what is larger is no timestamp. Every
//! difference fits. This file reads no clock.

use std::ops::Sub;
use std::time::{Duration, SystemTime};

use crate::herd::decimal::{Decimal, parse_digits, split_digits, write_number};

/// Nanoseconds since 1970-01-01 00:00 UTC, leap seconds not counted (POSIX).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
// 12 bytes: a directory has one in each of its entries.
#[repr(Rust, packed(4))]
pub struct Timestamp {
    /// Rounded towards the past, so that `nanos` always adds.
    seconds: i64,
    nanos: u32,
}

impl Timestamp {
    /// Takes `text` for a timestamp: perhaps `-`, digits, perhaps a point and at most nine decimals.
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::parse_plain(text).or_else(|| Self::parse_any(text))
    }

    /// As most clients write it today: ten digits, a point, nine digits; `None` says nothing.
    #[inline]
    fn parse_plain(text: &[u8]) -> Option<Self> {
        let (seconds, rest) = text.split_first_chunk::<10>()?;
        let nanos: &[u8; PLACES] = rest.strip_prefix(b".")?.try_into().ok()?;
        Some(Self { seconds: parse_digits(seconds)? as i64, nanos: parse_digits(nanos)? as u32 })
    }

    fn parse_any(text: &[u8]) -> Option<Self> {
        let unsigned = text.strip_prefix(b"-");
        let decimal = Decimal::parse(unsigned.unwrap_or(text))?;
        let distance = Duration::new(decimal.whole()?, decimal.fraction(PLACES) as u32);
        if decimal.places() > PLACES || distance > LIMIT {
            return None;
        }
        Some(if unsigned.is_some() { Self::before_epoch(distance) } else { Self::after_epoch(distance) })
    }

    /// So much earlier; or the earliest there is.
    pub fn saturating_sub(self, distance: Duration) -> Self {
        let (seconds, nanos) = (distance.as_secs(), distance.subsec_nanos());
        let borrow = self.nanos < nanos;
        let earlier = self.seconds.checked_sub_unsigned(seconds).and_then(|left| left.checked_sub(borrow.into()));
        let nanos = if borrow { self.nanos + NANOS_PER_SECOND - nanos } else { self.nanos - nanos };
        earlier.map_or(Self::before_epoch(LIMIT), |seconds| Self { seconds, nanos }.max(Self::before_epoch(LIMIT)))
    }

    /// So much later; or the latest there is.
    pub fn saturating_add(self, distance: Duration) -> Self {
        let nanos = self.nanos + distance.subsec_nanos();
        let carry = nanos / NANOS_PER_SECOND;
        let later = self.seconds.checked_add_unsigned(distance.as_secs()).and_then(|sum| sum.checked_add(carry.into()));
        later.map_or(Self::after_epoch(LIMIT), |seconds| Self { seconds, nanos: nanos % NANOS_PER_SECOND })
    }

    fn after_epoch(distance: Duration) -> Self {
        Self { seconds: distance.as_secs() as i64, nanos: distance.subsec_nanos() }
    }

    fn before_epoch(distance: Duration) -> Self {
        match Self::after_epoch(distance) {
            Self { seconds, nanos: 0 } => Self { seconds: -seconds, nanos: 0 },
            Self { seconds, nanos } => Self { seconds: -seconds - 1, nanos: NANOS_PER_SECOND - nanos },
        }
    }
}

impl From<SystemTime> for Timestamp {
    /// A clock further off the epoch than a timestamp can say is taken to be as far as it can.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(distance) => Self::after_epoch(distance.min(LIMIT)),
            Err(error) => Self::before_epoch(error.duration().min(LIMIT)),
        }
    }
}

impl Sub for Timestamp {
    type Output = Difference;

    fn sub(self, other: Self) -> Difference {
        let (sign, late, early) = if self < other { (b'-', other, self) } else { (b'+', self, other) };
        let seconds = late.seconds.abs_diff(early.seconds);
        let distance = if late.nanos < early.nanos {
            Duration::new(seconds - 1, NANOS_PER_SECOND + late.nanos - early.nanos)
        } else {
            Duration::new(seconds, late.nanos - early.nanos)
        };
        Difference { sign, distance }
    }
}

/// How much later one timestamp is than another: negative if it is earlier.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Difference {
    /// `+` or `-`; `+` for none.
    sign: u8,
    distance: Duration,
}

impl Difference {
    /// Appends seconds with a sign and nine decimals, always: `+0.263873386`, `-3599.000000000`.
    pub fn write(self, text: &mut Vec<u8>) {
        text.push(self.sign);
        write_number(text, self.distance.as_secs(), 1);
        text.push(b'.');
        write_number(text, self.distance.subsec_nanos().into(), PLACES);
    }

    /// Whether `text` has the form that [`Difference::write`] gives it.
    pub fn is_written(text: &[u8]) -> bool {
        let Some(unsigned) = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-")) else { return false };
        let (whole, rest) = split_digits(unsigned);
        let Some(decimals) = rest.strip_prefix(b".") else { return false };
        let canonical = whole == b"0" || whole.first().is_some_and(|digit| *digit != b'0');
        canonical && text.len() <= Self::LIMIT && decimals.len() == PLACES && decimals.iter().all(u8::is_ascii_digit)
    }

    /// The longest difference, in bytes: a sign, 20 digits, a point, nine decimals.
    pub const LIMIT: usize = 1 + 20 + 1 + PLACES;
}

/// Decimals of a second.
const PLACES: usize = 9;
const NANOS_PER_SECOND: u32 = 1_000_000_000;
/// The furthest from the epoch, either way.
const LIMIT: Duration = Duration::new(i64::MAX as u64, NANOS_PER_SECOND - 1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timestamp(text: &str) -> Timestamp {
        Timestamp::parse(text.as_bytes()).expect(text)
    }

    #[test]
    fn a_timestamp_is_whole_nanoseconds() {
        let check = |text: &str, seconds: i64, nanos: u32| {
            assert_eq!(timestamp(text), Timestamp { seconds, nanos }, "{text}");
        };
        check("0", 0, 0);
        check("-0", 0, 0);
        check("-0.0", 0, 0);
        check("1520023934.918963997", 1_520_023_934, 918_963_997);
        check("1520023934", 1_520_023_934, 0);
        check("1520023934.", 1_520_023_934, 0);
        check("1520023934.5", 1_520_023_934, 500_000_000);
        check("1520023934918", 1_520_023_934_918, 0);
        check("1520023934918963997", 1_520_023_934_918_963_997, 0);
        check("0000000000000000000000000007", 7, 0);
        check("-0.5", -1, 500_000_000);
        check("-0.000000001", -1, 999_999_999);
        check("-1.25", -2, 750_000_000);
        check("-3", -3, 0);
    }

    #[test]
    fn times_are_moved_and_stop_at_the_ends() {
        let check = |from: &str, seconds: u64, nanos: u32, earlier: &str, later: &str| {
            let (from, distance) = (timestamp(from), Duration::new(seconds, nanos));
            assert_eq!(
                (from.saturating_sub(distance), from.saturating_add(distance)),
                (timestamp(earlier), timestamp(later))
            );
        };
        check("10", 0, 0, "10", "10");
        check("10.25", 1, 500_000_000, "8.75", "11.75");
        check("0", 0, 1, "-0.000000001", "0.000000001");
        check("-0.5", 0, 500_000_000, "-1", "0");
        let (first, last) = ("-9223372036854775807.999999999", "9223372036854775807.999999999");
        check(first, 0, 1, first, "-9223372036854775807.999999998");
        check(last, 0, 1, "9223372036854775807.999999998", last);
        check("0", u64::MAX, 0, first, last);
    }

    proptest! {
        #[test]
        fn the_plain_way_is_the_way_of_any(text in "[0-9]{9,11}[.][0-9]{8,10}|[0-9./: -]{18,22}") {
            let plain = Timestamp::parse_plain(text.as_bytes());
            prop_assert!(plain.is_none() || plain == Timestamp::parse_any(text.as_bytes()), "{}", text);
        }
    }

    #[test]
    fn nothing_else_is_a_timestamp() {
        for text in [
            "",
            "-",
            "+1",
            "--1",
            ".5",
            "-.5",
            ".",
            "1e9",
            "1E9",
            "nan",
            "inf",
            "0x10",
            "1_000",
            "1,5",
            "1 ",
            " 1",
            "1.5.5",
            "1.0000000000",
            "-1.0000000000",
            "1.-5",
            "१",
        ] {
            assert_eq!(Timestamp::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn seconds_have_a_limit() {
        let check = |text: &str, fits: bool| assert_eq!(Timestamp::parse(text.as_bytes()).is_some(), fits, "{text}");
        check("9223372036854775807.999999999", true);
        check("-9223372036854775807.999999999", true);
        check("9223372036854775808", false);
        check("-9223372036854775808", false);
        check("10000000000000000000", false);
    }

    #[test]
    fn timestamps_are_ordered_to_the_nanosecond() {
        let ordered = ["-2", "-1.000000001", "-1", "-0.5", "-0.000000001", "0", "0.000000001", "0.5", "1", "10"];
        assert!(ordered.is_sorted_by(|a, b| timestamp(a) < timestamp(b)));
    }

    #[test]
    fn the_system_clock_is_read_to_the_nanosecond() {
        let epoch = SystemTime::UNIX_EPOCH;
        let distance = Duration::new(1_520_023_934, 918_963_997);
        assert_eq!(Timestamp::from(epoch + distance), timestamp("1520023934.918963997"));
        assert_eq!(Timestamp::from(epoch - distance), timestamp("-1520023934.918963997"));
    }

    #[test]
    fn a_difference_has_a_sign_and_nine_decimals() {
        let check = |late: &str, early: &str, written: &str| {
            let mut text = Vec::new();
            (timestamp(late) - timestamp(early)).write(&mut text);
            assert_eq!(text, written.as_bytes(), "{late} - {early}");
            assert!(Difference::is_written(&text), "{written}");
        };
        check("1520023935.182837383", "1520023934.918963997", "+0.263873386");
        check("0", "3599", "-3599.000000000");
        check("7", "7.0", "+0.000000000");
        check("0", "-0.5", "+0.500000000");
        check("-0.5", "0", "-0.500000000");
        check("-0.5", "0.25", "-0.750000000");
        check("0.1", "0.100000001", "-0.000000001");
        check("10", "-10.000000001", "+20.000000001");
        check("9223372036854775807.999999999", "-9223372036854775807.999999999", "+18446744073709551615.999999998");
    }

    #[test]
    fn nothing_else_is_written_as_a_difference() {
        for text in [
            "",
            "+",
            "0.263873386",
            "+.263873386",
            "+0",
            "+0.26387338",
            "+0.2638733860",
            "+00.263873386",
            "+0,263873386",
            "+-0.263873386",
            "+0.26387338x",
            "+10000000000000000000000.263873386",
        ] {
            assert!(!Difference::is_written(text.as_bytes()), "{text}");
        }
    }
}
