//! What is measured: how many lines were answered, how long each took, how busy the load itself was.

use std::fs;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Counts and times of one stretch of time.
pub(super) struct Figures {
    latencies: Histogram<u64>,
    begun: Instant,
    /// The thread's times at that moment.
    thread: Option<ThreadTimes>,
    /// How many lines were answered.
    pub(super) answered: u64,
    /// How many were sent, and how many bytes those had.
    pub(super) sent: u64,
    pub(super) bytes: u64,
    /// How many left late, for no other's sake: only where lines have a time at which they are due.
    pub(super) late: u64,
    /// How long it took, once it has ended.
    pub(super) time: Duration,
    /// The thread's parts of it, if the system tells.
    pub(super) thread_parts: Option<ThreadParts>,
}

/// Where the time of this thread has gone, as parts of it, 0 to 1.
#[derive(Clone, Copy)]
pub(super) struct ThreadParts {
    /// It ran, or the system did on its behalf.
    pub(super) busy: f64,
    /// It could have run, but others had its processor.
    pub(super) robbed: f64,
}

impl Figures {
    /// Begins to measure.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("bounds that a histogram can have"),
            begun: now,
            thread: ThreadTimes::read(),
            answered: 0,
            sent: 0,
            bytes: 0,
            late: 0,
            time: Duration::ZERO,
            thread_parts: None,
        }
    }

    /// So many lines were answered after `latency`.
    pub(super) fn record(&mut self, latency: Duration, lines: u64) {
        self.answered += lines;
        self.outlast(latency, lines);
    }

    /// So many lines will take longer than `latency`.
    pub(super) fn outlast(&mut self, latency: Duration, lines: u64) {
        let nanoseconds = latency.as_secs() * 1_000_000_000 + u64::from(latency.subsec_nanos());
        self.latencies.saturating_record_n(nanoseconds, lines);
    }

    /// The time is over.
    pub(super) fn end(&mut self, now: Instant) {
        self.time = now.saturating_duration_since(self.begun);
        let part = |now: Duration, then| (now.saturating_sub(then).as_secs_f64() / self.time.as_secs_f64()).min(1.0);
        let parts = |(now, then): (ThreadTimes, ThreadTimes)| ThreadParts {
            busy: part(now.ran, then.ran),
            robbed: part(now.waited, then.waited),
        };
        self.thread_parts = ThreadTimes::read().zip(self.thread).map(parts);
    }

    /// Some lines that count were answered after the time was over, the last of them now.
    pub(super) fn prolong(&mut self, now: Instant) {
        self.time = self.time.max(now.saturating_duration_since(self.begun));
    }

    /// When it began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Answered lines a second.
    pub(super) fn per_second(&self) -> f64 {
        if self.time.is_zero() { 0.0 } else { self.answered as f64 / self.time.as_secs_f64() }
    }

    /// The mean length of a line that was sent, in bytes.
    pub(super) fn line_bytes(&self) -> f64 {
        if self.sent == 0 { 0.0 } else { self.bytes as f64 / self.sent as f64 }
    }

    /// How long so many of the lines took at most (0.5: half of them), in microseconds.
    pub(super) fn quantile(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// What the longest took, in microseconds.
    pub(super) fn longest(&self) -> f64 {
        self.latencies.max() as f64 / 1000.0
    }

    /// What they took on the average, in microseconds.
    pub(super) fn mean(&self) -> f64 {
        self.latencies.mean() / 1000.0
    }
}

/// What Linux tells of a thread: since it began, how long it ran and how long it waited for a processor.
#[derive(Clone, Copy)]
struct ThreadTimes {
    ran: Duration,
    waited: Duration,
}

impl ThreadTimes {
    /// Of this thread; `None` on other systems.
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        let mut numbers = text.split_ascii_whitespace().map(|number| number.parse().map(Duration::from_nanos));
        Some(Self { ran: numbers.next()?.ok()?, waited: numbers.next()?.ok()? })
    }
}

/// The longest latency that is told from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600 * 1_000_000_000;

/// To how many digits latencies are exact.
const DIGITS: u8 = 3;
