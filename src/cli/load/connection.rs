//! A connection of the load: the protocol, which passes all on to the course, and what one connection says and hears.

use std::collections::VecDeque;
use std::time::Instant;

use super::answers::{Answer, Answers, Kind};
use super::course::Course;
use super::lines::Lines;
use super::plan::Plan;
use super::share::Share;
use crate::event_loop::{ConnId, Loop, Lost, Protocol, Transport};

/// The protocol of the connection of this index.
pub(super) struct Connection(pub(super) usize);

impl Protocol<Course> for Connection {
    fn connection_made(&mut self, transport: &mut Transport<'_, Course>, course: &mut Course) {
        course.made(self.0, transport);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Course>, course: &mut Course, data: &[u8]) {
        course.heard(self.0, &mut transport.event_loop(), data);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Course>, course: &mut Course) {
        course.pay(&mut transport.event_loop(), self.0);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Course>, course: &mut Course, lost: Lost) {
        course.lost(self.0, lost.why);
    }
}

/// What one connection has said and heard. It stands in the course and not in the protocol, so that a change of phase reaches
/// all connections.
pub(super) struct Talk {
    index: usize,
    /// Its name, once it was begun.
    pub(super) id: Option<ConnId>,
    /// Whether it stands.
    pub(super) is_made: bool,
    pub(super) share: Share,
    answers: Answers,
    /// How many lines it has said.
    pub(super) sent: u64,
    /// How many of those were answered.
    pub(super) answered: u64,
    /// How many lines are due that it could not be given.
    pub(super) owed: u64,
    /// The lines that are in flight, if it matters when they left.
    pub(super) flights: VecDeque<Flight>,
}

/// Lines that left together.
pub(super) struct Flight {
    at: Instant,
    lines: u64,
}

impl Talk {
    pub(super) fn new(index: usize, share: Share) -> Self {
        Self {
            index,
            id: None,
            is_made: false,
            share,
            answers: Answers::default(),
            sent: 0,
            answered: 0,
            owed: 0,
            flights: VecDeque::new(),
        }
    }

    /// Nothing is in flight: counts from here on.
    pub(super) fn begin(&mut self) {
        (self.sent, self.answered) = (0, 0);
    }

    /// Appends reports of the next clients of its share, each of them once, until so many are in flight: how many.
    pub(super) fn fill(&mut self, depth: u64, lines: &mut Lines) -> u64 {
        let end = (self.answered + depth).min(u64::from(self.share.count()));
        let before = self.sent;
        while self.sent < end {
            // Less than `count`, which is one.
            lines.report(self.share.client(self.sent as u32));
            self.sent += 1;
        }
        self.sent - before
    }

    /// Appends so many lines, reports and questions.
    pub(super) fn say(&mut self, count: u64, plan: &Plan, lines: &mut Lines) {
        for number in self.sent..self.sent + count {
            match plan.mix.kind(self.index, number) {
                Kind::Report => lines.report(self.share.next()),
                Kind::Question => lines.ask(plan.mix.client(self.index, number, plan.clients)),
            }
        }
        self.sent += count;
    }

    /// Notes that so many lines leave now.
    pub(super) fn depart(&mut self, at: Instant, lines: u64) {
        self.flights.push_back(Flight { at, lines });
    }

    /// So many lines have come back: calls `land` with each time of departure, and how many of them left then.
    pub(super) fn land(&mut self, mut lines: u64, mut land: impl FnMut(Instant, u64)) {
        while lines > 0
            && let Some(flight) = self.flights.front_mut()
        {
            let landed = lines.min(flight.lines);
            land(flight.at, landed);
            lines -= landed;
            flight.lines -= landed;
            if flight.lines == 0 {
                self.flights.pop_front();
            }
        }
    }

    /// Takes what came for answers: how many there are. `kind` tells what the line of a number is, `wrong` is told of answers that
    /// are, and of what nobody has asked for.
    pub(super) fn hear(
        &mut self,
        mut data: &[u8],
        expected: &[u8],
        kind: impl Fn(u64) -> Kind,
        mut wrong: impl FnMut(Vec<u8>),
    ) -> u64 {
        let before = self.answered;
        while let Some(answer) = self.answers.take(&mut data, kind(self.answered), expected) {
            match answer {
                _ if self.answered == self.sent => wrong(b"(more answers than lines)".to_vec()),
                Answer::Right => self.answered += 1,
                Answer::Wrong(head) => {
                    wrong(head);
                    self.answered += 1;
                }
            }
        }
        self.answered - before
    }
}
