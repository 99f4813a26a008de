//! What is said on the connections, and when: at first each client, then as many lines as were answered, or those that are due.

use std::time::{Duration, Instant};

use super::Course;
use crate::event_loop::Loop;

impl Course {
    /// Reports the next clients of a connection for the first time, so that at most `depth` lines are in flight.
    pub(super) fn say_first(&mut self, event_loop: &mut Loop<'_, Self>, index: usize, depth: u64) {
        self.lines.begin(event_loop.wall_clock());
        let count = self.talks[index].fill(depth, &mut self.lines);
        self.send(event_loop, index, count);
    }

    /// Says so many lines on a connection.
    pub(super) fn say(&mut self, event_loop: &mut Loop<'_, Self>, index: usize, count: u64, now: Instant) {
        if count == 0 {
            return;
        }
        let Self { plan, talks, lines, schedule, .. } = self;
        let talk = &mut talks[index];
        lines.begin(event_loop.wall_clock());
        talk.say(count, plan, lines);
        if schedule.is_none() {
            talk.depart(now, count);
        }
        self.figures.sent += count;
        self.figures.bytes += self.lines.as_bytes().len() as u64;
        self.send(event_loop, index, count);
    }

    /// Says what is due by `now`, as far as there is room for it.
    pub(super) fn say_due(&mut self, event_loop: &mut Loop<'_, Self>, now: Instant) {
        let Some(schedule) = self.schedule else { return };
        let due = schedule.lines_by(now);
        let connections = self.talks.len() as u64;
        for line in self.scheduled..due.min(self.scheduled + connections) {
            let index = (line % connections) as usize;
            // All of that connection's, from this line on.
            let count = (due - line).div_ceil(connections);
            let talk = &mut self.talks[index];
            let is_late = now.saturating_duration_since(schedule.due(index, talk.sent)) > LATE;
            if talk.owed == 0 && is_late {
                self.figures.late += count;
            }
            talk.owed += count;
            self.owed += count;
            self.pay(event_loop, index);
        }
        self.scheduled = self.scheduled.max(due);
    }

    /// Says what a connection owes, as far as it has room.
    pub(in super::super) fn pay(&mut self, event_loop: &mut Loop<'_, Self>, index: usize) {
        while self.talks[index].owed > 0 {
            let transport = self.talks[index].id.and_then(|id| event_loop.transport(id));
            if transport.is_none_or(|transport| transport.is_writing_paused()) {
                return;
            }
            let talk = &mut self.talks[index];
            let count = talk.owed.min(AT_ONCE);
            talk.owed -= count;
            self.owed -= count;
            self.say(event_loop, index, count, event_loop.now());
        }
    }

    fn send(&mut self, event_loop: &mut Loop<'_, Self>, index: usize, count: u64) {
        if self.outstanding == 0 {
            self.silent_since = event_loop.now();
        }
        self.outstanding += count;
        // One that is gone has told so.
        if let Some(mut transport) = self.talks[index].id.and_then(|id| event_loop.transport(id)) {
            transport.write(self.lines.as_bytes());
        }
    }
}

/// How many lines are in flight on a connection while its clients are reported for the first time.
pub(super) const FILL_DEPTH: u64 = 256;

/// How many lines of an open loop are written before one looks whether there is room for more.
const AT_ONCE: u64 = 256;

/// A line that leaves so much later than it is due is late.
const LATE: Duration = Duration::from_millis(1);
