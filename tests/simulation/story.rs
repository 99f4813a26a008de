//! A run as it can be read: what the network carries and what servers log, by time.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write};
use std::time::Instant;

use log::{LevelFilter, Log, Metadata, Record};
use proxy_herd::driver::Sim;

/// What has happened, a line each. While there is one, this thread's log lines go into it.
pub(crate) struct Story {
    text: String,
    begun: Instant,
    /// How much of the simulation's trace is in it.
    read: usize,
}

impl Story {
    pub(crate) fn begin(begun: Instant) -> Self {
        // The second to come finds it set.
        let _ = log::set_logger(&LOGGER);
        log::set_max_level(LevelFilter::Debug);
        LISTENING.set(true);
        LINES.take();
        Self { text: String::new(), begun, read: 0 }
    }

    /// Adds what was logged and sent since it was last called, in one turn.
    pub(crate) fn go_on<S>(&mut self, sim: &Sim<S>) {
        for line in LINES.take() {
            self.line(sim.now(), line);
        }
        let trace = sim.trace().as_str();
        self.text.push_str(trace.get(self.read..).unwrap_or_default());
        self.read = trace.len();
    }

    /// Adds a line of our own.
    pub(crate) fn tell(&mut self, now: Instant, what: impl fmt::Display) {
        self.line(now, format!("== {what}"));
    }

    pub(crate) fn into_text(mut self) -> String {
        std::mem::take(&mut self.text)
    }

    fn line(&mut self, now: Instant, line: String) {
        let at = now - self.begun;
        writeln!(self.text, "{:>3}.{:06} {line}", at.as_secs(), at.subsec_micros()).expect("a String takes everything");
    }
}

impl Drop for Story {
    fn drop(&mut self) {
        LISTENING.set(false);
    }
}

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// How much of a log line is shown, in characters.
const SHOWN: usize = 200;

struct Logger;

static LOGGER: Logger = Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LISTENING.get()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let mut line = format!("    {} {}: {}", record.level(), record.target(), record.args());
            if let Some((end, _)) = line.char_indices().nth(SHOWN) {
                line.truncate(end);
                line.push('…');
            }
            LINES.with_borrow_mut(|lines| lines.push(line));
        }
    }

    fn flush(&self) {}
}
