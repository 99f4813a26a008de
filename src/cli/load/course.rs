//! The course of a load: connections are made, clients reported once, then comes the warm-up, the measurement, and what is still due.
//!
//! - A connection is ready when it was answered once, and few are made at a time: so no server's backlog overflows, and what is
//!   no server of this kind is known before anything is measured.
//! - A phase ends for all connections at once. None begins while answers are due, but for the measurement, which begins in the
//!   midst of the warm-up's lines.
//! - In a closed loop those lines count that are answered within the time; in an open loop those that are due within it, and they
//!   are waited for.
//! - Who owes an answer may be silent for the plan's patience: no load lasts for ever.
//!
//! What it does not do: it makes no turns and prints nothing; `load` does.

mod saying;

use std::io;
use std::time::{Duration, Instant};

use fastrand::Rng;

use self::saying::FILL_DEPTH;
use super::answers::Kind;
use super::connection::{Connection, Talk};
use super::figures::Figures;
use super::lines::Lines;
use super::plan::{Pace, Plan, Whom};
use super::schedule::Schedule;
use super::share::Share;
use crate::event_loop::{Loop, Security, Transport};
use crate::wire::escaped::Escaped;

/// All connections and what they have come to: the state of the loop.
pub(super) struct Course {
    plan: Plan,
    talks: Vec<Talk>,
    lines: Lines,
    phase: Phase,
    /// Of the measurement, once it has begun; before, of what does not count.
    figures: Figures,
    wrong: Wrong,
    /// How many lines are in flight.
    outstanding: u64,
    /// Since when nobody was answered, if anything is in flight.
    silent_since: Instant,
    /// Of an open loop, once lines are due.
    schedule: Option<Schedule>,
    /// How many lines of it were said, or are owed.
    scheduled: u64,
    /// How many are owed, by connections that have no room.
    owed: u64,
}

enum Phase {
    /// Each connection says a line and is answered: so many were begun, so many are ready.
    Connecting {
        begun: usize,
        ready: usize,
    },
    /// Each client is reported once: so many connections are done with theirs.
    Filling {
        done: usize,
    },
    WarmingUp {
        until: Instant,
    },
    Measuring {
        until: Instant,
    },
    /// Nothing more is said.
    Draining,
    Over(End),
}

/// How a load has ended.
#[derive(Debug)]
pub(super) enum End {
    InTime,
    Interrupted,
    /// What went wrong, and the remedy.
    Failed(String),
}

/// Answers that do not begin as they must.
#[derive(Default)]
pub(super) struct Wrong {
    pub(super) count: u64,
    /// The beginning of the first.
    pub(super) first: Option<Vec<u8>>,
}

/// What a load has come to.
pub(super) struct Outcome {
    pub(super) plan: Plan,
    pub(super) end: End,
    /// `None` if it ended before anything was measured.
    pub(super) figures: Option<Figures>,
    pub(super) wrong: Wrong,
    /// How many lines that count were never answered.
    pub(super) unanswered: u64,
}

impl Course {
    pub(super) fn new(plan: Plan, now: Instant) -> Self {
        let mut chance = Rng::with_seed(plan.seed);
        let talk = |index| Talk::new(index, Share::new(index as u32, plan.connections, plan.clients, &mut chance));
        Self {
            talks: (0..plan.connections as usize).map(talk).collect(),
            lines: Lines::new(plan.template.clone()),
            plan,
            phase: Phase::Connecting { begun: 0, ready: 0 },
            figures: Figures::begin(now),
            wrong: Wrong::default(),
            outstanding: 0,
            silent_since: now,
            schedule: None,
            scheduled: 0,
            owed: 0,
        }
    }

    /// Begins to connect; goes on with it when a connection is ready.
    pub(super) fn connect(&mut self, event_loop: &mut Loop<'_, Self>) {
        let Phase::Connecting { begun, ready } = &mut self.phase else { return };
        while *begun < self.talks.len() && *begun - *ready < AT_ONCE {
            let target = self.plan.whom.target.clone();
            self.talks[*begun].id = Some(event_loop.connect(target, Security::Plain, Connection(*begun)));
            *begun += 1;
        }
    }

    /// Looks at the time, after each turn.
    pub(super) fn tick(&mut self, event_loop: &mut Loop<'_, Self>) {
        let now = Instant::now();
        match self.phase {
            Phase::WarmingUp { until } if now >= until => {
                let begin = if self.schedule.is_some() { until } else { now };
                self.figures = Figures::begin(begin);
                self.phase = Phase::Measuring { until: begin + self.plan.duration };
            }
            Phase::Measuring { until } if now >= until => {
                self.say_due(event_loop, until - NANOSECOND);
                self.figures.end(now);
                self.phase = Phase::Draining;
                self.end_if_done();
            }
            _ => {}
        }
        if let Phase::WarmingUp { .. } | Phase::Measuring { .. } = self.phase {
            self.say_due(event_loop, now);
        }
        let silence = now.saturating_duration_since(self.silent_since);
        if self.outstanding + self.owed > 0 && silence >= self.plan.patience {
            match self.phase {
                Phase::Draining => {
                    self.give_up(now);
                    self.finish(End::InTime);
                }
                _ => {
                    let (name, owed) = (&self.plan.whom.name, self.outstanding);
                    let why =
                        format!("{name} says nothing for {silence:.1?}, and owes {owed} answers; its log may tell why");
                    self.finish(End::Failed(why));
                }
            }
        }
    }

    /// How long the next turn may sleep.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        let (Phase::WarmingUp { until } | Phase::Measuring { until }) = self.phase else { return GLANCE };
        let next = self.schedule.map(|schedule| schedule.next_after(self.scheduled));
        let due = next.map(|next| next.saturating_duration_since(now).saturating_sub(OVERSLEEP));
        due.unwrap_or(GLANCE).min(until.saturating_duration_since(now)).min(GLANCE)
    }

    /// Where it is, in a few words.
    pub(super) fn progress(&self, now: Instant) -> String {
        let connections = self.talks.len();
        let seconds = |until: Instant| until.saturating_duration_since(now).as_secs_f64();
        match &self.phase {
            Phase::Connecting { ready, .. } => format!("connecting: {ready} of {connections}"),
            Phase::Filling { .. } => {
                let answered: u64 = self.talks.iter().map(|talk| talk.answered).sum();
                format!("reporting each client once: {answered} of {}", self.plan.clients)
            }
            Phase::WarmingUp { until } => format!("warming up: {:.1} s left", seconds(*until)),
            Phase::Measuring { until } => {
                let time = now.saturating_duration_since(self.figures.begun()).as_secs_f64();
                let rate = self.figures.answered as f64 / time;
                format!("measuring: {:.1} s left, {rate:.0} lines a second", seconds(*until))
            }
            Phase::Draining => format!("waiting for {} answers", self.outstanding),
            Phase::Over(_) => "over".to_owned(),
        }
    }

    /// Whether nothing is left to be done.
    pub(super) fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over(_))
    }

    /// Ends early; what was measured counts.
    pub(super) fn interrupt(&mut self) {
        self.finish(End::Interrupted);
    }

    /// What came of it.
    pub(super) fn into_outcome(self) -> Outcome {
        let Self { plan, phase, figures, wrong, outstanding, owed, .. } = self;
        let Phase::Over(end) = phase else { unreachable!("it is asked when it is over") };
        let unanswered = if matches!(end, End::InTime) { outstanding + owed } else { 0 };
        let figures = Some(figures).filter(|figures| !figures.time.is_zero());
        Outcome { plan, end, figures, wrong, unanswered }
    }

    fn finish(&mut self, end: End) {
        match self.phase {
            Phase::Over(_) => return,
            Phase::Measuring { .. } => self.figures.end(Instant::now()),
            _ => {}
        }
        self.phase = Phase::Over(end);
    }
}

/// What the connections tell.
impl Course {
    /// A connection stands.
    pub(super) fn made(&mut self, index: usize, transport: &mut Transport<'_, Self>) {
        self.talks[index].is_made = true;
        self.say_first(&mut transport.event_loop(), index, 1);
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, index: usize, event_loop: &mut Loop<'_, Self>, data: &[u8]) {
        let now = Instant::now();
        let Self { plan, talks, wrong, phase, .. } = self;
        let is_mixed = !matches!(phase, Phase::Connecting { .. } | Phase::Filling { .. });
        let kind = |number| if is_mixed { plan.mix.kind(index, number) } else { Kind::Report };
        let count = talks[index].hear(data, &plan.expected, kind, |head| {
            wrong.count += 1;
            wrong.first.get_or_insert(head);
        });
        self.outstanding -= count;
        // Who says something that never becomes an answer is as good as silent.
        if count > 0 {
            self.silent_since = now;
        }
        match self.phase {
            Phase::WarmingUp { .. } | Phase::Measuring { .. } => {
                self.measure(index, count, now);
                if self.schedule.is_none() {
                    self.say(event_loop, index, count, now);
                }
            }
            Phase::Draining => {
                if self.schedule.is_some() {
                    self.measure(index, count, now);
                    self.figures.prolong(now);
                }
                self.end_if_done();
            }
            Phase::Connecting { .. } | Phase::Filling { .. } => self.answered_first(event_loop, index, count),
            Phase::Over(_) => {}
        }
    }

    /// A connection is gone.
    pub(super) fn lost(&mut self, index: usize, why: Option<io::Error>) {
        let Talk { is_made, sent, answered, .. } = self.talks[index];
        let Whom { name, remedy, .. } = &self.plan.whom;
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let remedy = if why.contains(&format!("(os error {})", libc::EMFILE)) { MORE_FILES } else { remedy };
        self.finish(End::Failed(match is_made {
            false => format!("{name} cannot be reached{why}; {remedy}"),
            true => format!(
                "{name} has closed a connection with {} lines on it unanswered{why}; its log may tell why",
                sent - answered
            ),
        }));
    }
}

/// What the first lines lead to, and what counts.
impl Course {
    /// Some of the first lines were answered, which make a connection ready and report all of its clients.
    fn answered_first(&mut self, event_loop: &mut Loop<'_, Self>, index: usize, count: u64) {
        if let Some(first) = &self.wrong.first {
            let (name, first, expected) = (&self.plan.whom.name, Escaped(first), Escaped(&self.plan.expected));
            let why = format!("{name} answers \"{first}\", which does not begin with \"{expected}\" (see --expect)");
            return self.finish(End::Failed(why));
        }
        if count == 0 {
            return;
        }
        let talk = &self.talks[index];
        let is_first = talk.answered == count;
        let is_done = talk.answered == u64::from(talk.share.count());
        match &mut self.phase {
            Phase::Connecting { ready, .. } if is_first => {
                *ready += 1;
                if *ready < self.talks.len() {
                    self.connect(event_loop);
                } else if self.plan.fill {
                    self.fill_all(event_loop);
                } else {
                    self.warm_up(event_loop);
                }
            }
            Phase::Filling { done } if is_done => {
                *done += 1;
                if *done == self.talks.len() {
                    self.warm_up(event_loop);
                }
            }
            Phase::Filling { .. } => self.say_first(event_loop, index, FILL_DEPTH),
            _ => {}
        }
    }

    fn fill_all(&mut self, event_loop: &mut Loop<'_, Self>) {
        let is_done = |talk: &&Talk| talk.share.count() == 1;
        let done = self.talks.iter().filter(is_done).count();
        if done == self.talks.len() {
            return self.warm_up(event_loop);
        }
        self.phase = Phase::Filling { done };
        for index in 0..self.talks.len() {
            self.say_first(event_loop, index, FILL_DEPTH);
        }
    }

    /// Nothing is in flight: the lines that are measured begin, though not at once to be.
    fn warm_up(&mut self, event_loop: &mut Loop<'_, Self>) {
        let now = Instant::now();
        self.phase = Phase::WarmingUp { until: now + self.plan.warm_up };
        self.talks.iter_mut().for_each(Talk::begin);
        match self.plan.pace {
            Pace::Closed(pipeline) => {
                for index in 0..self.talks.len() {
                    self.say(event_loop, index, u64::from(pipeline), now);
                }
            }
            Pace::Open(rate) => {
                self.schedule = Some(Schedule { start: now, rate, connections: self.plan.connections });
            }
        }
    }

    /// The last `count` lines that a connection had answered count, if they are among those that are measured.
    fn measure(&mut self, index: usize, count: u64, now: Instant) {
        let Self { talks, figures, schedule, .. } = self;
        let talk = &mut talks[index];
        match schedule {
            None => talk.land(count, |at, lines| figures.record(now.saturating_duration_since(at), lines)),
            Some(schedule) => {
                for number in talk.answered - count..talk.answered {
                    let due = schedule.due(index, number);
                    if due >= figures.begun() {
                        figures.record(now.saturating_duration_since(due), 1);
                    }
                }
            }
        }
    }

    /// Those lines of an open loop that count and were not answered have taken as long as this, at least.
    fn give_up(&mut self, now: Instant) {
        let Self { talks, figures, schedule: Some(schedule), .. } = self else { return };
        let begun = figures.begun();
        for (index, talk) in talks.iter().enumerate() {
            let dues = (talk.answered..talk.sent + talk.owed).map(|number| schedule.due(index, number));
            for due in dues.filter(|due| *due >= begun) {
                figures.outlast(now.saturating_duration_since(due), 1);
            }
        }
    }

    fn end_if_done(&mut self) {
        if self.outstanding == 0 && self.owed == 0 {
            self.finish(End::InTime);
        }
    }
}

/// How many connections are being made at a time: fewer than any server's backlog.
const AT_ONCE: usize = 32;

/// What to do if the process may not open more sockets.
const MORE_FILES: &str = "fewer --connections, or allow more open files: ulimit -n";

/// How long a turn may take before one looks at the clock again.
const GLANCE: Duration = Duration::from_millis(50);

/// How much longer than asked for a turn may sleep, as polls count in milliseconds. The rest of the time to a line that is due the clock
/// is looked at without sleeping.
const OVERSLEEP: Duration = Duration::from_millis(2);

const NANOSECOND: Duration = Duration::from_nanos(1);
