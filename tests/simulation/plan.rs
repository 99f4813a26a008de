//! What happens in one run, all of it drawn from a seed: who the servers are, the weather, what clients say, what breaks.
//!
//! A plan is made before anything runs, so that it can be shown; whom a fault hits follows from nothing that runs.

use std::fmt;
use std::time::Duration;

use fastrand::Rng;
use proxy_herd::driver::sim::{Crash, Pieces, Weather};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Style;

use crate::words::Words;

/// A run: the stage, and what happens on it.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) topology: Topology,
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

/// One thing that happens. Servers are numbered as in the topology, people as they come.
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
}

impl Plan {
    pub(crate) fn draw(seed: u64) -> Self {
        let dice = &mut Rng::with_seed(seed);
        let kind = match dice.u8(..40) {
            0 => Kind::Flooded,
            1..11 => Kind::Undisturbed,
            _ => Kind::Faulty,
        };
        let topology = topology(dice, kind);
        let servers = (0..topology.servers().len()).map(|_| (style(dice), skew(dice))).collect();
        let weather = if kind == Kind::Flooded { Weather::default() } else { weather(dice) };
        let places = if dice.u8(..50) == 0 { Places::Embedded } else { Places::Moody };
        let author = Author::new(dice, &topology);
        let steps = match kind {
            Kind::Undisturbed => author.undisturbed(),
            Kind::Faulty => author.faulty(),
            Kind::Flooded => author.flooded(),
        };
        let quiet = Duration::from_secs(dice.u64(65..=100));
        Self { seed, kind, topology, servers, weather, places, steps, quiet }
    }
}

fn style(dice: &mut Rng) -> Style {
    if dice.bool() { Style::Callbacks } else { Style::Streams }
}

fn skew(dice: &mut Rng) -> i64 {
    match dice.u8(..4) {
        0 => dice.i64(-3_600_000..3_600_000),
        1 => dice.i64(-5_000..5_000),
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

/// A herd that ships, or one that nobody has thought of.
fn topology(dice: &mut Rng, kind: Kind) -> Topology {
    let count = match kind {
        Kind::Flooded => dice.usize(2..4),
        _ if dice.u8(..3) == 0 => {
            return Topology::parse(SHIPPED[dice.usize(..SHIPPED.len())]).expect("it ships");
        }
        _ => dice.usize(2..8),
    };
    let mut names = NAMES;
    dice.shuffle(&mut names);
    let mut links = Vec::new();
    for one in 1..count {
        let first = dice.usize(..one);
        links.extend((0..one).filter(|other| *other == first || dice.u8(..4) == 0).map(|other| (one, other)));
    }
    let servers = names[..count].iter().enumerate().map(|(place, name)| {
        format!(
            "\"{name}\": {{ \"clients\": \"127.0.0.1:{}\", \"peers\": \"127.0.0.1:{}\" }}",
            1_000 + place,
            2_000 + place
        )
    });
    let links = links.iter().map(|(one, other)| format!("[\"{}\", \"{}\"]", names[*one], names[*other]));
    let [servers, links] = [servers.collect::<Vec<_>>(), links.collect()].map(|parts| parts.join(", "));
    // Few enough that some must be forgotten.
    let most = if kind != Kind::Flooded && dice.u8(..6) == 0 { dice.u32(1..50) } else { 1_000_000 };
    let limits = format!("\"limits\": {{ \"max_clients\": {most} }}");
    let text = format!("{{ \"herd\": \"drawn\", \"servers\": {{ {servers} }}, \"links\": [{links}], {limits} }}");
    Topology::parse(text).expect("any tree with more links is a topology")
}

/// Writes the steps, and knows as much of what they lead to as it takes for sense.
struct Author<'d> {
    dice: &'d mut Rng,
    edges: Vec<(usize, usize)>,
    /// Of each server, whether it runs.
    running: Vec<bool>,
    /// Of each person, whether it may speak.
    talking: Vec<bool>,
    /// What somebody has just said, and somebody else says next.
    echo: Option<Words>,
    steps: Vec<(Duration, Step)>,
    passed: Duration,
}

impl<'d> Author<'d> {
    fn new(dice: &'d mut Rng, topology: &Topology) -> Self {
        let servers = topology.servers();
        let place = |name| servers.iter().position(|server| server.name == name).expect("a link is between servers");
        let edges =
            topology.links().map(|ends| ends.map(|end| place(end.name.clone()))).map(|[one, other]| (one, other));
        let edges = edges.collect();
        Self {
            dice,
            edges,
            running: vec![true; servers.len()],
            talking: Vec::new(),
            echo: None,
            steps: Vec::new(),
            passed: Duration::ZERO,
        }
    }

    fn undisturbed(mut self) -> Vec<(Duration, Step)> {
        for _ in 0..self.dice.usize(3..30) {
            let pause = self.pause_of_a_person(Duration::from_secs(1));
            let step = self.of_a_person();
            self.add(pause, step);
        }
        self.steps
    }

    fn faulty(mut self) -> Vec<(Duration, Step)> {
        let faults = self.dice.u8(5..60);
        for _ in 0..self.dice.usize(4..50) {
            let pause = self.pause_of_a_person(Duration::from_secs(15));
            let step = if self.dice.u8(..100) < faults { self.fault() } else { self.of_a_person() };
            self.add(pause, step);
            if self.passed > LONGEST {
                break;
            }
        }
        self.steps
    }

    /// Somebody says more than may wait for a neighbour, which does not listen.
    fn flooded(mut self) -> Vec<(Duration, Step)> {
        let (one, other) = self.edge();
        self.add(Duration::from_secs(2), Step::Come(one));
        self.add(Duration::ZERO, Step::Come(other));
        self.talking.extend([true, true]);
        self.add(Duration::from_secs(1), Step::Stall(one, other));
        if self.dice.u8(..4) == 0 {
            self.add(Duration::ZERO, Step::StopReading(0));
        }
        let much = (0..self.dice.u16(300..420)).map(|number| Words::Long { number }).collect();
        self.add(Duration::ZERO, Step::Say(0, much));
        let pause = Duration::from_millis(self.dice.u64(500..20_000));
        let few = Words::draw_some(self.dice, 3);
        self.add(pause, Step::Say(1, few));
        if self.dice.bool() {
            self.add(Duration::ZERO, Step::Heal(one, other));
            let few = Words::draw_some(self.dice, 3);
            self.add(pause, Step::Say(0, few));
        }
        self.steps
    }

    fn add(&mut self, pause: Duration, step: Step) {
        self.passed += pause;
        self.steps.push((pause, step));
    }

    fn pause(&mut self, most: Duration) -> Duration {
        let pause = match self.dice.u8(..20) {
            0 => Duration::from_millis(self.dice.u64(1_000..16_000)),
            1..4 => Duration::from_millis(self.dice.u64(100..1_500)),
            4..9 => Duration::ZERO,
            9..12 => Duration::from_micros(self.dice.u64(..500)),
            _ => Duration::from_millis(self.dice.u64(1..60)),
        };
        pause.min(most)
    }

    /// None for what is said again elsewhere, so that it is news in both places.
    fn pause_of_a_person(&mut self, most: Duration) -> Duration {
        if self.echo.is_some() { Duration::ZERO } else { self.pause(most) }
    }

    fn of_a_person(&mut self) -> Step {
        let talking: Vec<usize> = (0..self.talking.len()).filter(|person| self.talking[*person]).collect();
        if talking.is_empty() || self.dice.u8(..6) == 0 {
            self.talking.push(true);
            return Step::Come(self.dice.usize(..self.running.len()));
        }
        let person = talking[self.dice.usize(..talking.len())];
        if let Some(words) = self.echo.take() {
            return Step::Say(person, vec![words]);
        }
        match self.dice.u8(..60) {
            0..2 => {
                self.talking[person] = false;
                Step::Vanish(person)
            }
            2..6 => {
                self.talking[person] = false;
                Step::Leave(person, self.dice.bool().then(|| Words::draw(self.dice)))
            }
            6..8 => Step::StopReading(person),
            8..10 => Step::GoOnReading(person),
            10 => {
                let most = self.dice.usize(30..300);
                Step::Say(person, Words::draw_some(self.dice, most))
            }
            20 => {
                let most = [30, 300, 3_000][self.dice.usize(..3)];
                Step::Say(person, Words::draw_many(self.dice, most))
            }
            11..20 => {
                let words = Words::draw(self.dice);
                self.echo = Some(words.clone());
                Step::Say(person, vec![words])
            }
            _ => Step::Say(person, Words::draw_some(self.dice, 4)),
        }
    }

    fn fault(&mut self) -> Step {
        let (one, other) = self.edge();
        let server = self.dice.usize(..self.running.len());
        match self.dice.u8(..26) {
            0..4 => Step::Cut(one, other),
            4..8 => Step::Reset(one, other),
            8..11 => Step::Stall(one, other),
            11..17 => Step::Heal(one, other),
            17..23 if !self.running[server] => {
                self.running[server] = true;
                Step::Restart(server, style(self.dice))
            }
            23..25 if self.running[server] => {
                self.running[server] = false;
                Step::Stop(server)
            }
            17..20 => {
                self.running[server] = false;
                let how = if self.dice.u8(..3) == 0 { Crash::Silent } else { Crash::Killed };
                Step::Crash(server, how)
            }
            20..22 => Step::DescriptorsAgain(server),
            _ => Step::OutOfDescriptors(server),
        }
    }

    /// Two neighbours, in either order.
    fn edge(&mut self) -> (usize, usize) {
        let (one, other) = self.edges[self.dice.usize(..self.edges.len())];
        if self.dice.bool() { (one, other) } else { (other, one) }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, kind, weather, places, .. } = self;
        let most = self.topology.limits().max_clients;
        writeln!(
            formatter,
            "seed {seed}: {kind:?}, {weather:?}, places {places:?}, at most {most} clients are remembered"
        )?;
        for (number, (server, (style, ahead))) in self.topology.servers().iter().zip(&self.servers).enumerate() {
            writeln!(formatter, "server {number} is {}: {style}, its clock {ahead} ms ahead", server.name)?;
        }
        for [one, other] in self.topology.links() {
            writeln!(formatter, "link {} - {}", one.name, other.name)?;
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

const SHIPPED: [&str; 6] = [
    include_str!("../../topology.json"),
    include_str!("../../examples/topologies/alford.json"),
    include_str!("../../examples/topologies/bailey.json"),
    include_str!("../../examples/topologies/hill.json"),
    include_str!("../../examples/topologies/juzang.json"),
    include_str!("../../examples/topologies/riley.json"),
];

const NAMES: [&str; 9] = ["Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Leslie", "Niklaus", "Tony"];

/// When no more faults begin: a client that does not read, and one that says nothing, are dropped later than that.
const LONGEST: Duration = Duration::from_secs(40);
