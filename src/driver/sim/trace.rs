//! What happened in a simulation, a line each: equal for equal seeds, and readable.
//!
//! The start of what was sent is shown, unless the direction began like TLS: that content is random, its length is not.

use std::fmt::{self, Write};
use std::time::Duration;

/// The lines, oldest first. At least the last 8 MiB of them are kept.
///
/// ```
/// # use std::{net::SocketAddr, time::Duration};
/// # use proxy_herd::driver::sim::{Sim, Trace, Weather};
/// let refused = |seed| -> Trace {
///     let mut sim = Sim::<()>::new(seed, Weather::rough());
///     sim.connect(SocketAddr::from(([127, 0, 0, 1], 7)));
///     sim.run_for(Duration::from_secs(1));
///     sim.trace().clone()
/// };
/// assert_eq!(refused(1), refused(1));
/// assert_ne!(refused(1), refused(2));
/// assert!(refused(1).as_str().starts_with("  0.000000 client 0 connects to 127.0.0.1:7\n"));
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Trace {
    text: String,
    keeping: Keeping,
}

/// Whether lines are kept at all.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Keeping {
    #[default]
    Kept,
    Dropped,
}

impl Trace {
    /// One that stays empty.
    pub(super) fn dropped() -> Self {
        Self { keeping: Keeping::Dropped, ..Self::default() }
    }

    pub(super) fn is_kept(&self) -> bool {
        self.keeping == Keeping::Kept
    }

    /// The lines as text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Adds a line; `at` is the time since the simulation began.
    pub(super) fn note(&mut self, at: Duration, what: fmt::Arguments<'_>) {
        if self.text.len() > 2 * KEPT {
            let from = self.text.len() - KEPT;
            let line = self.text.as_bytes()[from..].iter().position(|byte| *byte == b'\n');
            self.text.drain(..from + line.map_or(0, |place| place + 1));
        }
        writeln!(self.text, "{:>3}.{:06} {what}", at.as_secs(), at.subsec_micros()).expect("a String takes everything");
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// So that a failed assertion shows lines.
impl fmt::Debug for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "\n{}", self.text)
    }
}

/// What one direction of a connection says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Content {
    Unknown,
    Clear,
    /// Records of TLS.
    Secret,
}

impl Content {
    /// Learns from the first byte: TLS begins with the type of a record (RFC 8446, 5.1), which no text has.
    pub(super) fn learn(&mut self, data: &[u8]) {
        if let (Self::Unknown, Some(first)) = (*self, data.first()) {
            *self = if (0x14..=0x17).contains(first) { Self::Secret } else { Self::Clear };
        }
    }

    /// What may be shown of `data`.
    pub(super) fn show(self, data: &[u8]) -> impl fmt::Display {
        let shown = match self {
            Self::Secret => return String::new(),
            Self::Unknown | Self::Clear => &data[..data.len().min(SHOWN)],
        };
        let more = if shown.len() < data.len() { "…" } else { "" };
        format!(" \"{}{more}\"", shown.escape_ascii())
    }
}

/// How many bytes of trace are kept at the least.
const KEPT: usize = 8 * 1024 * 1024;

/// How many bytes of a write are shown.
const SHOWN: usize = 60;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_time_and_content() {
        let check = |first: &[u8], data: &[u8], expected: &str| {
            let (mut trace, mut content) = (Trace::default(), Content::Unknown);
            content.learn(first);
            content.learn(b"later bytes change nothing");
            trace.note(Duration::from_nanos(1_002_345_678), format_args!("{} bytes{}", data.len(), content.show(data)));
            assert_eq!(trace.as_str(), expected);
        };
        check(b"A", b"AT x\n", "  1.002345 5 bytes \"AT x\\n\"\n");
        check(b"A", &[b'a'; SHOWN + 1], &format!("  1.002345 61 bytes \"{}…\"\n", "a".repeat(SHOWN)));
        check(&[0x16, 3], b"secret", "  1.002345 6 bytes\n");
    }

    #[test]
    fn old_lines_go_when_it_grows_too_long() {
        let mut trace = Trace::default();
        let line = "x".repeat(1024 * 1024);
        for _ in 0..20 {
            trace.note(Duration::ZERO, format_args!("{line}"));
        }
        assert!((KEPT..2 * KEPT + 2 * line.len()).contains(&trace.as_str().len()));
        assert!(trace.as_str().starts_with("  0.000000 x"));
    }
}
