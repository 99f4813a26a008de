//! `Retry-After`: when somebody who has had too many questions wants the next one (RFC 9110, 10.2.3).
//!
//! Seconds or a date. What is neither is as if it were not there: it comes from the other end, and is only advice.

use std::time::{Duration, SystemTime};

/// When to ask again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// So long after this was said.
    In(Duration),
    /// At that time.
    At(SystemTime),
}

impl RetryAfter {
    /// Takes a header's value; `None` if it says no time.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let text = str::from_utf8(value).ok()?.trim_ascii();
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a number has are as long as can be.
            return Some(Self::In(Duration::from_secs(text.parse().unwrap_or(u64::MAX))));
        }
        httpdate::parse_http_date(text).ok().map(Self::At)
    }

    /// How long that is from `now` on: nothing, if it is past.
    pub fn wait(self, now: SystemTime) -> Duration {
        match self {
            Self::In(time) => time,
            Self::At(time) => time.duration_since(now).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_or_a_date_say_how_long_to_wait() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let check = |value: &str, seconds: Option<u64>| {
            let wait = RetryAfter::parse(value.as_bytes()).map(|when| when.wait(now));
            assert_eq!(wait, seconds.map(Duration::from_secs), "{value:?}");
        };
        check("0", Some(0));
        check(" 120 ", Some(120));
        check("99999999999999999999999", Some(u64::MAX));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7));
        check("Sunday, 06-Nov-94 08:49:37 GMT", Some(7));
        check("Sun Nov  6 08:49:37 1994", Some(7));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("", None);
        check("-1", None);
        check("+1", None);
        check("1.5", None);
        check("1e3", None);
        check("soon", None);
        check("Sun, 06 Nov 1994", None);
        assert_eq!(RetryAfter::parse(b"\xff"), None);
    }
}
