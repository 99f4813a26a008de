//! A log line as text: when, how bad, who, and a message that stays in its line.
//!
//! No I/O and no clock: what time it is, is told.

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use log::Level;
use time::OffsetDateTime;

use crate::wire::escaped::{Escaped, count_printable};

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
    /// Begins a line after those that are `waiting`.
    pub(super) fn push(self, waiting: &mut Vec<u8>) {
        for word in [self.stamp, self.level.as_str(), self.target] {
            push_escaped(word, waiting);
            waiting.push(b' ');
        }
    }
}

/// Ends a line that was begun.
pub(super) fn push_message(message: &fmt::Arguments<'_>, waiting: &mut Vec<u8>) {
    // It fails only if a value of the message does, and then what there is of the line is worth keeping.
    let _ = Message { start: waiting.len(), waiting }.write_fmt(*message);
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
        // A million more, and its first digit left out: so there are leading zeros.
        self.text.push_str(&itoa::Buffer::new().format(1_000_000 + since.subsec_micros())[1..]);
        self.text.push('Z');
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

/// A message that is being said: what a client sent cannot end its line, nor say anything to a terminal.
///
/// It is looked at once, when all of it is there. That is when this is dropped, so that a panic in a message's own formatting
/// leaves a line, too.
struct Message<'a> {
    waiting: &'a mut Vec<u8>,
    /// Where it begins in `waiting`.
    start: usize,
}

impl Write for Message<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.waiting.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl Drop for Message<'_> {
    fn drop(&mut self) {
        let text = &self.waiting[self.start..];
        if count_printable(text) < text.len() {
            let text = String::from_utf8_lossy(text).into_owned();
            self.waiting.truncate(self.start);
            push_escaped(&text, self.waiting);
        }
        self.waiting.push(b'\n');
    }
}

/// Control characters become escapes, all else stays as it is.
fn push_escaped(text: &str, waiting: &mut Vec<u8>) {
    if count_printable(text.as_bytes()) == text.len() {
        return waiting.extend_from_slice(text.as_bytes());
    }
    for one in text.chars() {
        match one {
            _ if one.is_ascii_control() => waiting.extend_from_slice(Escaped(&[one as u8]).to_string().as_bytes()),
            // The second set of controls, which some terminals obey too.
            _ if one.is_control() => waiting.extend(one.escape_unicode().map(|one| one as u8)),
            _ => waiting.extend_from_slice(one.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{self, AssertUnwindSafe};
    use std::time::Duration;

    use proptest::prelude::*;

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
            assert_eq!(line("Goloman", &format_args!("{message}")), format!("NOW INFO Goloman {expected}\n"));
        };
        check("c#12 connected", "c#12 connected");
        check("a\r\nb", "a\\r\\nb");
        check("\x1b[2J\0\x7f", "\\x1b[2J\\x00\\x7f");
        check("\u{9b}2J", "\\u{9b}2J");
        check("/home/jürgen", "/home/jürgen");
        assert_eq!(line("a\nb", &format_args!("c")), "NOW INFO a\\nb c\n");
    }

    #[test]
    fn a_value_that_panics_leaves_a_line() {
        struct Bomb;
        impl fmt::Display for Bomb {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("half\n")?;
                panic!("as asked")
            }
        }
        let mut waiting = Vec::new();
        let said = panic::catch_unwind(AssertUnwindSafe(|| push_message(&format_args!("{Bomb} a line"), &mut waiting)));
        assert!(said.is_err());
        assert_eq!(waiting, b"half\\n\n");
    }

    proptest! {
        #[test]
        fn a_message_is_escaped_character_by_character(pieces in prop::collection::vec(piece(), 0..4)) {
            let escaped = |one: char| match one {
                '\n' => "\\n".to_owned(),
                '\r' => "\\r".to_owned(),
                '\t' => "\\t".to_owned(),
                '\0'..' ' | '\x7f' => format!("\\x{:02x}", u32::from(one)),
                '\u{80}'..='\u{9f}' => format!("\\u{{{:x}}}", u32::from(one)),
                _ => one.to_string(),
            };
            let expected: String = pieces.concat().chars().map(escaped).collect();
            let shown = line("Goloman", &format_args!("{}", Pieces(pieces)));
            prop_assert_eq!(shown, format!("NOW INFO Goloman {expected}\n"));
        }
    }

    /// A text that is written piece by piece.
    struct Pieces(Vec<String>);

    impl fmt::Display for Pieces {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.iter().try_for_each(|piece| formatter.write_str(piece))
        }
    }

    fn piece() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{0,70}", "[ -~]{0,40}[\\x00-\\x1f\\x7f-\u{a0}][ -~]{0,40}", any::<String>()]
    }

    fn line(target: &str, message: &fmt::Arguments<'_>) -> String {
        let mut waiting = Vec::new();
        Head { stamp: "NOW", level: Level::Info, target }.push(&mut waiting);
        push_message(message, &mut waiting);
        String::from_utf8(waiting).expect("text")
    }
}
