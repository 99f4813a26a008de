//! What the loop says in the log, heard by the thread that runs it: other tests have their own.

use std::cell::RefCell;

use log::{LevelFilter, Log, Metadata, Record};

/// What was logged while `act` ran, warnings and errors, as `ERROR what happened`.
pub(crate) fn logged(act: impl FnOnce()) -> Vec<String> {
    let mut lines = all_logged(act);
    lines.retain(|line| !line.starts_with("INFO "));
    lines
}

/// The same, and what else may be worth a line.
pub(crate) fn all_logged(act: impl FnOnce()) -> Vec<String> {
    // Only the first call can set it; to the others it is the same.
    let _ = log::set_logger(&Logbook);
    log::set_max_level(LevelFilter::Info);
    LINES.take();
    act();
    LINES.take()
}

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Logbook;

impl Log for Logbook {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let line = format!("{} {}", record.level(), record.args());
        LINES.with_borrow_mut(|lines| lines.push(line));
    }

    fn flush(&self) {}
}
