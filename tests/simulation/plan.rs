//! What happens in one run, all of it drawn from a seed: who the servers are, the weather, what clients say, what breaks.
//!
//! A plan is made before anything runs, so that it can be shown; whom a fault hits follows from nothing that runs.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use proxy_herd::driver::sim::{Crash, Pieces, Weather};
use proxy_herd::herd::topology::{Limits, Topology};
use proxy_herd::server::Style;

use crate::author::Author;
use crate::gossip::Gossip;
use crate::topologies;
use crate::words::Words;

/// A run: the stage, and what happens on it.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    /// What all servers read first, and in the end; then what they may read meanwhile.
    pub(crate) topologies: Vec<Topology>,
    /// Of each server: how its conversations are held at first, and how far its clock is ahead, in milliseconds.
    pub(crate) servers: Vec<(Style, i64)>,
    pub(crate) weather: Weather,
    pub(crate) places: Places,
    /// What happens, and how long after the one before.
    pub(crate) steps: Vec<(Duration, Step)>,
    /// How long nothing happens, once all is well again.
    pub(crate) quiet: Duration,
}

/// What a run is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Nothing breaks, and clients come when all links are up.
    Undisturbed,
    /// Everything breaks.
    Faulty,
    /// A neighbour is sent more than may wait for it.
    Flooded,
}

/// Who answers about places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Places {
    /// One of many moods, over plain HTTP.
    Moody,
    /// What is built in, over TLS.
    Embedded,
}

/// One thing that happens. Servers are numbered as in the topology, people and guests as they come.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Somebody connects to a server.
    Come(usize),
    Say(usize, Vec<Words>),
    /// Says this without an end of line, and no more.
    Leave(usize, Option<Words>),
    Vanish(usize),
    StopReading(usize),
    GoOnReading(usize),
    /// What is on its way between two servers is lost, and nothing gets through.
    Cut(usize, usize),
    /// The same, but it works again at once.
    Reset(usize, usize),
    /// Nothing gets from the first to the second.
    Stall(usize, usize),
    Heal(usize, usize),
    Crash(usize, Crash),
    /// It is told to stop, and does when everybody is answered.
    Stop(usize),
    /// It begins anew, knowing nothing, in this style.
    Restart(usize, Style),
    OutOfDescriptors(usize),
    DescriptorsAgain(usize),
    /// It reads that topology. Who listens elsewhere by it does so from its next start on.
    Reread(usize, usize),
    /// Somebody connects to the first by the door for peers, and says that it is the second.
    Pretend(usize, usize),
    /// A guest says this. Whom it speaks of is numbered as servers are.
    Gossip(usize, Vec<Gossip>),
    /// A guest goes, with a reset or without.
    Withdraw(usize, Farewell),
}

/// How a guest goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    Fin,
    Reset,
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let dice = &mut Rng::with_seed(seed);
        let kind = match dice.u8(..40) {
            0 => Kind::Flooded,
            1..11 => Kind::Undisturbed,
            _ => Kind::Faulty,
        };
        let topologies = topologies::draw(dice, kind);
        let servers = (0..topologies[0].servers().len()).map(|_| (style(dice), skew(dice))).collect();
        let weather = if kind == Kind::Flooded { Weather::default() } else { weather(dice) };
        let places = if dice.u8(..50) == 0 { Places::Embedded } else { Places::Moody };
        let author = Author::new(dice, &topologies);
        let steps = match kind {
            Kind::Undisturbed => author.undisturbed(),
            Kind::Faulty => author.faulty(),
            Kind::Flooded => author.flooded(),
        };
        let quiet = Duration::from_secs(dice.u64(65..=100));
        Self { seed, kind, topologies, servers, weather, places, steps, quiet }
    }

    /// What all servers read first, and in the end.
    pub(crate) fn topology(&self) -> &Topology {
        &self.topologies[0]
    }

    /// Whether nobody can read what servers say to each other.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.topology().security().is_some()
    }
}

pub(crate) fn style(dice: &mut Rng) -> Style {
    if dice.bool() { Style::Callbacks } else { Style::Streams }
}

fn skew(dice: &mut Rng) -> i64 {
    match dice.u8(..4) {
        0 => dice.i64(-3_600_000..3_600_000),
        1 => dice.i64(-60_000..60_000),
        _ => 0,
    }
}

fn weather(dice: &mut Rng) -> Weather {
    let millis = |dice: &mut Rng, most: u64| Duration::from_micros(dice.u64(10..most * 1_000));
    match dice.u8(..4) {
        0 => Weather::default(),
        1 => Weather::rough(),
        _ => {
            let least = millis(dice, 20);
            let pieces = if dice.bool() { Pieces::Random } else { Pieces::Whole };
            Weather { latency: least..=least + millis(dice, 80), pieces, window: 1_024 << dice.u8(..7) }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kind, weather, places, .. } = self;
        let Limits { max_clients, client_ttl, max_future, .. } = self.topology().limits();
        let links = if self.is_encrypted() { "encrypted" } else { "plain" };
        writeln!(formatter, "seed {seed}: {kind:?}, {weather:?}, places {places:?}, links are {links}")?;
        writeln!(
            formatter,
            "at most {max_clients} clients are remembered, for {client_ttl:?}, and from {max_future:?} ahead"
        )?;
        for (number, (server, (style, ahead))) in self.topology().servers().iter().zip(&self.servers).enumerate() {
            writeln!(formatter, "server {number} is {}: {style}, its clock {ahead} ms ahead", server.name)?;
        }
        for (number, topology) in self.topologies.iter().enumerate() {
            for [one, other] in topology.links() {
                let [at, other_at] = [one.peers, other.peers];
                writeln!(formatter, "topology {number}: link {} ({at}) - {} ({other_at})", one.name, other.name)?;
            }
        }
        for (pause, step) in &self.steps {
            writeln!(formatter, "{pause:>12?} {step}")?;
        }
        writeln!(formatter, "all is well again, and quiet for {:?}", self.quiet)
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Say(person, words) if words.len() > 8 => {
                write!(formatter, "Say({person}, {} commands)", words.len())
            }
            Self::Say(person, words) => {
                let lines: Vec<String> = words.iter().map(Words::to_string).collect();
                write!(formatter, "Say({person}, {})", lines.join("; "))
            }
            _ => write!(formatter, "{self:?}"),
        }
    }
}
