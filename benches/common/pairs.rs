//! Two that take turns: how much more the second costs, as the median of many pairs.
//!
//! A turn of one and the next turn of the other are a pair. What is told is the median of the pairs' ratios, and between which
//! ratios the middle half of them lies: so neither the drift of the machine nor a hiccup of it counts. Who goes first changes
//! from pair to pair. A pair whose threads had to wait for their core, because others were on it, is made again.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Who takes turns.
pub(crate) trait Contestant {
    /// One piece of work, the same for both.
    fn round(&mut self);

    /// Who works: the one whose time counts, then others.
    fn threads(&self) -> &[Thread];
}

/// What has come of a comparison.
pub(crate) struct Comparison {
    /// Seconds that a round of each takes, where everything is counted.
    pub(crate) seconds: [f64; 2],
    /// How many times as long the second takes.
    pub(crate) time: Quartiles,
    /// How many times as long its first thread is on its core; where the system tells.
    pub(crate) on_core: Option<Quartiles>,
    /// How many pairs are among them though others were on their cores.
    pub(crate) robbed: usize,
}

impl fmt::Display for Comparison {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.time)?;
        match self.robbed {
            0 => Ok(()),
            robbed => write!(formatter, "; others were there in {robbed} of {PAIRS} pairs"),
        }
    }
}

/// A value between two others, with half of all between them.
#[derive(Clone, Copy)]
pub(crate) struct Quartiles {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Quartiles {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let [low, median, high] = [1, 2, 3].map(|quarter| values[values.len() * quarter / 4]);
        Self { low, median, high }
    }
}

impl fmt::Display for Quartiles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.median, self.low, self.high)
    }
}

/// Has both take turns.
pub(crate) fn compare(first: &mut impl Contestant, second: &mut impl Contestant) -> Comparison {
    let rounds = rounds_in(TURN, first);
    // The first one is warm by now.
    turn(second, rounds);
    let mut patience = REPEATS;
    let mut pairs = Vec::with_capacity(PAIRS);
    while pairs.len() < PAIRS {
        let pair = if pairs.len().is_multiple_of(2) {
            let first = turn(first, rounds);
            [first, turn(second, rounds)]
        } else {
            let second = turn(second, rounds);
            [turn(first, rounds), second]
        };
        if pair.iter().any(Turn::is_robbed) && patience > 0 {
            patience -= 1;
        } else {
            pairs.push(pair);
        }
    }
    let seconds = [0, 1].map(|who| {
        let turns = pairs.iter().map(|pair| pair[who].elapsed / rounds as f64);
        Quartiles::of(turns.collect()).median
    });
    let time = Quartiles::of(pairs.iter().map(|[first, second]| second.elapsed / first.elapsed).collect());
    let on_core: Option<Vec<f64>> =
        pairs.iter().map(|[first, second]| Some(second.on_core? / first.on_core?)).collect();
    let robbed = pairs.iter().filter(|pair| pair.iter().any(Turn::is_robbed)).count();
    Comparison { seconds, time, on_core: on_core.map(Quartiles::of), robbed }
}

/// How long a turn was, in seconds.
struct Turn {
    elapsed: f64,
    /// For how long the first thread was on its core.
    on_core: Option<f64>,
    /// For how long the threads had to wait for theirs.
    waited: f64,
}

impl Turn {
    fn is_robbed(&self) -> bool {
        self.waited > ROBBED * self.elapsed
    }
}

fn turn(contestant: &mut impl Contestant, rounds: usize) -> Turn {
    let before = contestant.threads().iter().map(Thread::times).collect::<Vec<_>>();
    let begun = Instant::now();
    (0..rounds).for_each(|_| contestant.round());
    let elapsed = begun.elapsed().as_secs_f64();
    let after = contestant.threads().iter().map(Thread::times);
    let spent = before.into_iter().zip(after).map(|(before, after)| {
        let (before, after) = (before?, after?);
        Some([0, 1].map(|which| after[which].saturating_sub(before[which]) as f64 * 1e-9))
    });
    let spent = spent.collect::<Option<Vec<[f64; 2]>>>().unwrap_or_default();
    Turn {
        elapsed,
        on_core: spent.first().map(|[on_core, _]| *on_core),
        waited: spent.iter().map(|[_, waited]| waited).sum(),
    }
}

/// How many rounds take that long.
fn rounds_in(time: Duration, contestant: &mut impl Contestant) -> usize {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        contestant.round();
        count += 1;
    }
    count
}

/// A thread whose times the system tells, if it is Linux.
pub(crate) struct Thread {
    statistics: Option<PathBuf>,
}

impl Thread {
    pub(crate) fn current() -> Self {
        let statistics = fs::read_link("/proc/thread-self").ok();
        Self { statistics: statistics.map(|thread| PathBuf::from("/proc").join(thread).join("schedstat")) }
    }

    /// Nanoseconds on a core, and nanoseconds that it could have run and waited for one.
    pub(crate) fn times(&self) -> Option<[u64; 2]> {
        let text = fs::read_to_string(self.statistics.as_ref()?).ok()?;
        let mut numbers = text.split_ascii_whitespace().map_while(|number| number.parse().ok());
        Some([numbers.next()?, numbers.next()?])
    }
}

const PAIRS: usize = 80;

/// How many pairs are made again at the most: on a machine that is never quiet, it ends all the same.
const REPEATS: usize = 80;

/// How long one is asked before it is the other's turn: long beside a switch of threads, short beside the drift.
const TURN: Duration = Duration::from_millis(30);

/// What part of a turn its threads may have waited. To be woken takes its time, too.
const ROBBED: f64 = 0.1;
