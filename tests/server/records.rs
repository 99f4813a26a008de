//! What is logged, with its level, on the thread that runs a test: other tests have their own.

use std::cell::{Cell, RefCell};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    pub(crate) level: Level,
    pub(crate) text: String,
}

/// Everything that is logged while `act` runs.
pub(crate) fn logged(act: impl FnOnce()) -> Vec<Logged> {
    // Only the first call can set it; to the others it is the same.
    let _ = log::set_logger(&Records);
    log::set_max_level(LevelFilter::Trace);
    LISTENING.set(true);
    act();
    LISTENING.set(false);
    LINES.take()
}

thread_local! {
    static LISTENING: Cell<bool> = const { Cell::new(false) };
    static LINES: RefCell<Vec<Logged>> = const { RefCell::new(Vec::new()) };
}

struct Records;

impl Log for Records {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        LISTENING.get()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = format!("{} {} {}", record.level(), record.target(), record.args());
            LINES.with_borrow_mut(|lines| lines.push(Logged { level: record.level(), text }));
        }
    }

    fn flush(&self) {}
}
