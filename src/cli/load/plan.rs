//! What a load is to do: whom it loads, with what, how fast and for how long. All of it was checked.

use std::time::Duration;

use fastrand::Rng;

use super::answers::Kind;
use super::lines::{Client, Template};
use super::schedule::Rate;
use crate::event_loop::Target;

/// The whole of it.
pub(super) struct Plan {
    pub(super) whom: Whom,
    pub(super) connections: u32,
    /// How many different ones are reported.
    pub(super) clients: u32,
    pub(super) pace: Pace,
    /// Whether each client is reported once before anything else.
    pub(super) fill: bool,
    /// How long nothing is counted.
    pub(super) warm_up: Duration,
    /// How long is measured.
    pub(super) duration: Duration,
    pub(super) template: Template,
    /// What each answer begins with.
    pub(super) expected: Vec<u8>,
    pub(super) mix: Mix,
    pub(super) seed: u64,
    /// How long everybody may be silent who owes an answer.
    pub(super) patience: Duration,
}

/// Who is loaded.
pub(super) struct Whom {
    /// What it is called in what is told.
    pub(super) name: String,
    pub(super) target: Target,
    /// What to do if nobody listens there.
    pub(super) remedy: String,
}

/// When a line is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// When one was answered: so many are in flight on each connection.
    Closed(u32),
    /// When it is due, whatever was answered.
    Open(Rate),
}

/// How many of the lines are questions, and about whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mix {
    pub(super) percent: u8,
    pub(super) seed: u64,
}

impl Mix {
    /// What the line is that a connection says as its `number`th. It follows from these two: nothing has to be kept for each line
    /// in flight.
    pub(super) fn kind(self, connection: usize, number: u64) -> Kind {
        if self.percent == 0 || self.chance(connection, number).u8(..100) >= self.percent {
            Kind::Report
        } else {
            Kind::Question
        }
    }

    /// Whom that line asks about, if it is a question: any of so many.
    pub(super) fn client(self, connection: usize, number: u64, clients: u32) -> Client {
        let mut chance = self.chance(connection, number);
        chance.u8(..100);
        Client(chance.u32(..clients))
    }

    fn chance(self, connection: usize, number: u64) -> Rng {
        Rng::with_seed(self.seed ^ number ^ ((connection as u64) << 40))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_in_a_hundred_are_questions() {
        for percent in [0, 1, 10, 50, 99, 100] {
            let mix = Mix { percent, seed: 7 };
            let lines = (0..100).flat_map(|connection| (0..100).map(move |number| (connection, number)));
            let questions = lines.filter(|(connection, number)| mix.kind(*connection, *number) == Kind::Question);
            let share = questions.count().abs_diff(usize::from(percent) * 100);
            let limit = if percent % 100 == 0 { 0 } else { 150 };
            assert!(share <= limit, "{percent} %: off by {share} of 10,000");
        }
    }
}
