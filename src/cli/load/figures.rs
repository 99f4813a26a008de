//! What is measured: how many lines were answered, how long each took, how busy the load itself was.

use std::fs;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Counts and times of one stretch of time.
pub(super) struct Figures {
    latencies: Histogram<u64>,
    begun: Instant,
    /// The thread's processor time at that moment.
    processor: Option<Duration>,
    /// How many lines were answered.
    pub(super) answered: u64,
    /// How many were sent, and how many bytes those had.
    pub(super) sent: u64,
    pub(super) bytes: u64,
    /// How many left late, for no other's sake: only where lines have a time at which they are due.
    pub(super) late: u64,
    /// How long it took, once it has ended.
    pub(super) time: Duration,
    /// The processor's part of it, 0 to 1, if the system tells.
    pub(super) busy: Option<f64>,
}

impl Figures {
    /// Begins to measure.
    pub(super) fn begin(now: Instant) -> Self {
        Self {
            latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS).expect("bounds that a histogram can have"),
            begun: now,
            processor: processor_time(),
            answered: 0,
            sent: 0,
            bytes: 0,
            late: 0,
            time: Duration::ZERO,
            busy: None,
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
        let used = processor_time().zip(self.processor).map(|(now, then)| now.saturating_sub(then));
        self.busy = used.map(|used| (used.as_secs_f64() / self.time.as_secs_f64()).min(1.0));
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

/// The processor time of this thread since it began, the system's on its behalf included; `None` where there is no such file as
/// Linux has.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// The longest latency that is told from longer ones, in nanoseconds: an hour.
const LONGEST: u64 = 3_600 * 1_000_000_000;

/// To how many digits latencies are exact.
const DIGITS: u8 = 3;
