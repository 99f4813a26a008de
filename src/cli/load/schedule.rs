//! When lines are due in an open loop: evenly spread, whatever is answered.
//!
//! Line `n` of all is due `n / rate` after the start, and is said by connection `n` modulo their number. So what a line's latency
//! counts from is computed, not kept, and a connection that cannot be written to owes a number of lines and no text.

use std::time::{Duration, Instant};

/// Lines a second, over all connections; at least one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rate(pub(super) u32);

/// The lines of an open loop and their times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) start: Instant,
    pub(super) rate: Rate,
    pub(super) connections: u32,
}

impl Schedule {
    /// When the `number`th line of a connection is due, counted from 0.
    pub(super) fn due(&self, connection: usize, number: u64) -> Instant {
        let line = number * u64::from(self.connections) + connection as u64;
        self.start + self.rate.time_of(line)
    }

    /// How many lines of all connections are due by `now`.
    pub(super) fn lines_by(&self, now: Instant) -> u64 {
        self.rate.lines_in(now.saturating_duration_since(self.start))
    }

    /// When the line is due that so many of all connections come before.
    pub(super) fn next_after(&self, lines: u64) -> Instant {
        self.start + self.rate.time_of(lines)
    }
}

impl Rate {
    /// From the start until the line `number` is due, to the nanosecond, upwards.
    fn time_of(self, number: u64) -> Duration {
        let rate = u64::from(self.0);
        Duration::from_secs(number / rate) + Duration::from_nanos((number % rate * SECOND).div_ceil(rate))
    }

    /// How many lines are due within that time, the first at its beginning.
    fn lines_in(self, time: Duration) -> u64 {
        let rate = u64::from(self.0);
        time.as_secs() * rate + u64::from(time.subsec_nanos()) * rate / SECOND + 1
    }
}

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_its_time_and_not_before() {
        for rate in [1, 3, 7, 1000, 999_983, 10_000_000].map(Rate) {
            for line in [0, 1, 2, 3, 1_000_003, 36_000_000_001] {
                let due = rate.time_of(line);
                assert_eq!(rate.lines_in(due), line + 1, "{rate:?}, line {line}");
                if line > 0 {
                    assert_eq!(rate.lines_in(due - Duration::from_nanos(1)), line, "{rate:?}, before line {line}");
                }
            }
        }
    }

    #[test]
    fn connections_take_turns() {
        let start = Instant::now();
        let schedule = Schedule { start, rate: Rate(1000), connections: 3 };
        let due = |connection, number| (schedule.due(connection, number) - start).as_millis();
        assert_eq!([due(0, 0), due(1, 0), due(2, 0), due(0, 1), due(2, 7)], [0, 1, 2, 3, 23]);
        assert_eq!(schedule.lines_by(start + Duration::from_millis(3)), 4);
        assert_eq!(schedule.next_after(4) - start, Duration::from_millis(4));
    }
}
