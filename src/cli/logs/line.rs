//! A log line as text: when, how bad, who, and a message that stays in its line.
//!
//! No I/O and no clock: what time it is, is told.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;
use time::OffsetDateTime;

use crate::wire::escaped::Escaped;

/// What a line starts with.
#[derive(Clone, Copy)]
pub(super) struct Head<'a> {
    /// When it was said, from [`Clock::stamp`].
    pub(super) stamp: &'a str,
    pub(super) level: Level,
    /// Who said it.
    pub(super) target: &'a str,
}

impl Head<'_> {
    /// Adds the line with this head and `message` to those that are `waiting`.
    pub(super) fn push_line(self, message: &fmt::Arguments<'_>, waiting: &mut Vec<u8>) {
        let mut line = OneLine(waiting);
        for word in [self.stamp, self.level.as_str(), self.target] {
            let _ = line.write_str(word);
            line.0.push(b' ');
        }
        // It fails only if a value of the message does, and then what there is of the line is worth keeping.
        let _ = line.write_fmt(*message);
        line.0.push(b'\n');
    }
}

/// The time as text (UTC); what does not change within a second is made once a second.
#[derive(Default)]
pub(super) struct Clock {
    /// Seconds since 1970.
    second: Option<u64>,
    /// `2026-11-21T08:39:00.123456Z`
    text: String,
}

impl Clock {
    /// The time of a line that is said `now`.
    pub(super) fn stamp(&mut self, now: SystemTime) -> &str {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != Some(since.as_secs()) {
            self.second = Some(since.as_secs());
            self.text = date_and_time(since.as_secs());
        }
        self.text.truncate("2026-11-21T08:39:00.".len());
        let _ = write!(self.text, "{:06}Z", since.subsec_micros());
        &self.text
    }
}

/// The time up to the point before the microseconds.
fn date_and_time(second: u64) -> String {
    let utc = i64::try_from(second).ok().and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok());
    let utc = utc.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (date, (hour, minute, second)) = (utc.date(), utc.to_hms());
    format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}.", date.year(), u8::from(date.month()), date.day())
}

/// Text that stays in its line: control characters become escapes.
struct OneLine<'a>(&'a mut Vec<u8>);

impl Write for OneLine<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            self.0.extend_from_slice(text.as_bytes());
            return Ok(());
        }
        text.chars().try_for_each(|one| self.write_char(one))
    }

    fn write_char(&mut self, one: char) -> fmt::Result {
        match one {
            _ if one.is_ascii_control() => write!(self, "{}", Escaped(&[one as u8])),
            // The second set of controls, which some terminals obey too.
            _ if one.is_control() => write!(self, "{}", one.escape_unicode()),
            _ => {
                self.0.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_time_is_utc_to_the_microsecond() {
        let mut clock = Clock::default();
        let mut check = |seconds, micros: u32, expected: &str| {
            assert_eq!(clock.stamp(UNIX_EPOCH + Duration::new(seconds, micros * 1000)), expected);
        };
        check(0, 0, "1970-01-01T00:00:00.000000Z");
        check(1_795_250_340, 123_456, "2026-11-21T08:39:00.123456Z");
        check(1_795_250_340, 123_457, "2026-11-21T08:39:00.123457Z");
        check(1_795_250_341, 0, "2026-11-21T08:39:01.000000Z");
        check(1_795_250_340, 999_999, "2026-11-21T08:39:00.999999Z");
        check(951_827_696, 1, "2000-02-29T12:34:56.000001Z");
        check(253_402_300_799, 0, "9999-12-31T23:59:59.000000Z");
        check(253_402_300_800, 0, "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn nobody_forges_a_line() {
        let check = |message: &str, expected: &str| {
            let mut waiting = Vec::new();
            Head { stamp: "NOW", level: Level::Info, target: "Goloman" }
                .push_line(&format_args!("{message}"), &mut waiting);
            assert_eq!(String::from_utf8_lossy(&waiting), format!("NOW INFO Goloman {expected}\n"));
        };
        check("c#12 connected", "c#12 connected");
        check("a\r\nb", "a\\r\\nb");
        check("\x1b[2J\0\x7f", "\\x1b[2J\\x00\\x7f");
        check("\u{9b}2J", "\\u{9b}2J");
        check("/home/jürgen", "/home/jürgen");
    }
}
