//! How far a load has come, in one line that a terminal shows anew; nothing where nobody looks.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// The line of standard error. It is taken away in the end.
pub(super) struct Progress {
    /// When it is shown again; `None` for never.
    next: Option<Instant>,
}

impl Progress {
    /// Shows something if somebody looks, and has not asked for quiet.
    pub(super) fn new(now: Instant, quiet: bool) -> Self {
        Self { next: (!quiet && io::stderr().is_terminal()).then_some(now) }
    }

    /// Shows what `text` says, if it is time.
    pub(super) fn show(&mut self, now: Instant, text: impl FnOnce() -> String) {
        if self.next.is_some_and(|next| now >= next) {
            self.next = Some(now + EVERY);
            write_line(&text());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.next.is_some() {
            write_line("");
        }
    }
}

/// Puts the text in place of what the line says; if nobody can see it, nobody does.
fn write_line(text: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{text}");
}

const EVERY: Duration = Duration::from_millis(200);
