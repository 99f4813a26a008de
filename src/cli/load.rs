//! `proxy-herd load`: many connections that report without a pause or at a fixed rate, and how long they wait for answers.
//!
//! A client on the loop, as any other: a protocol for each connection, one thread, no threads beside it. `plan` is what was asked for,
//! `course` what happens, `connection` the protocol, `lines` and `share` what is said, `answers` what is heard, `schedule` when
//! it is due, `figures`, `progress` and `report` what came of it.

mod answers;
mod connection;
mod course;
mod figures;
mod lines;
mod plan;
mod progress;
mod report;
mod schedule;
mod share;
#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::time::{Duration, Instant};

use clap::Args;

use self::answers::HEAD;
use self::course::{Course, End, Outcome};
use self::lines::Template;
use self::plan::{Mix, Pace, Plan, Whom};
use self::progress::Progress;
use self::report::Report;
use self::schedule::Rate;
use super::client::Driven;
use super::{Failure, Options, settings};
use crate::event_loop::{Signal, Target};

/// Load a server with reports, and measure its answers
#[derive(Args)]
pub(super) struct Load {
    /// HOST:PORT, or the name of a server of the topology [default: the topology's first]
    #[arg(value_name = "ADDRESS | SERVER")]
    whom: Option<String>,
    /// How many connections there are
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    connections: u32,
    /// How many lines are in flight on each: one is said when one was answered
    #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pipeline: u32,
    /// How many different clients are reported: load-0, load-1 and so on
    #[arg(long, value_name = "K", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    clients: u32,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = some_seconds)]
    duration: Duration,
    /// How long nothing is counted before
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    warm_up: Duration,
    /// Do not report each client once before the warm-up
    #[arg(long)]
    no_fill: bool,
    /// Say so many lines a second over all connections, whatever was answered; a line's latency counts from when it was due
    #[arg(long, value_name = "R", conflicts_with = "pipeline", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// So many per cent of the lines ask what is near a client
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    whatsat: u8,
    /// What else is said to a server of another kind; with {client}, {position}, {latitude}, {longitude}, {time}
    #[arg(
        long,
        value_name = "TEMPLATE",
        default_value = "IAMAT {client} {position} {time}",
        conflicts_with = "whatsat"
    )]
    line: Template,
    /// What each answer begins with; another is an error
    #[arg(long, value_name = "PREFIX", default_value = "AT ", value_parser = expected, allow_hyphen_values = true)]
    expect: Expected,
    /// The order of clients, and which lines are questions, follow from it
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// What answers begin with.
#[derive(Clone)]
struct Expected(Vec<u8>);

impl Load {
    /// Does it, and prints what came of it.
    pub(super) fn run(self, options: &Options) -> Result<(), Failure> {
        let json = self.json;
        let progress = Progress::new(Instant::now(), options.quiet);
        let outcome = run(self.plan(options)?, progress)?;
        let report = Report::of(&outcome);
        if let Some(report) = &report {
            let text = if json { report.json() } else { report.to_string() };
            writeln!(io::stdout(), "{text}").map_err(Failure::of_output)?;
        }
        let Outcome { plan: Plan { whom: Whom { name, .. }, .. }, end, wrong, unanswered, .. } = outcome;
        let failed = match end {
            End::Failed(why) => why,
            End::Interrupted if report.is_none() => "interrupted before anything was measured".to_owned(),
            _ if unanswered > 0 => format!("{name} never answered {unanswered} lines"),
            _ if wrong.count > 0 => format!("{name} answered {} lines in another way than expected", wrong.count),
            End::InTime | End::Interrupted => return Ok(()),
        };
        Err(Failure::Failed(failed))
    }

    fn plan(self, options: &Options) -> Result<Plan, Failure> {
        Ok(Plan {
            whom: whom(self.whom.as_deref(), options)?,
            connections: self.connections,
            clients: self.clients,
            pace: self.rate.map_or(Pace::Closed(self.pipeline), |rate| Pace::Open(Rate(rate))),
            fill: !self.no_fill,
            warm_up: self.warm_up,
            duration: self.duration,
            template: self.line,
            expected: self.expect.0,
            mix: Mix { percent: self.whatsat, seed: self.seed },
            seed: self.seed,
            patience: PATIENCE,
        })
    }
}

/// Follows the plan to its end.
fn run(plan: Plan, mut progress: Progress) -> Result<Outcome, Failure> {
    let mut driven = Driven::new(Course::new(plan, Instant::now()))?;
    driven.event_loop.enter(|event_loop, course| {
        for signal in [Signal::Interrupt, Signal::Terminate] {
            event_loop.add_signal_handler(signal, |_, course: &mut Course| course.interrupt());
        }
        course.connect(event_loop);
    });
    while !driven.event_loop.state().is_over() {
        let (now, course) = (Instant::now(), driven.event_loop.state());
        progress.show(now, || course.progress(now));
        let at_most = course.patience(now);
        driven.sockets.turn(&mut driven.event_loop, Some(at_most)).map_err(Failure::of_system)?;
        driven.event_loop.enter(|event_loop, course| course.tick(event_loop));
    }
    Ok(driven.event_loop.into_state().into_outcome())
}

fn whom(text: Option<&str>, options: &Options) -> Result<Whom, Failure> {
    if let Some(address) = text.filter(|text| text.contains(':')) {
        let target: Target = address.parse().map_err(|why: io::Error| Failure::Configuration(why.to_string()))?;
        return Ok(Whom { name: address.to_owned(), target, remedy: "is a server running there?".to_owned() });
    }
    let topology = settings::topology(options)?;
    let server = match text {
        Some(name) => settings::server(&topology, name)?,
        None => &topology.servers()[0],
    };
    let name = format!("{} at {}", server.name, server.clients);
    Ok(Whom { name, target: server.clients.into(), remedy: format!("start it with: proxy-herd {}", server.name) })
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| format!("seconds are a number from 0 to {}", LONGEST.as_secs()))
}

fn some_seconds(text: &str) -> Result<Duration, String> {
    seconds(text)
        .and_then(|time| if time.is_zero() { Err("in no time nothing is measured".to_owned()) } else { Ok(time) })
}

fn expected(text: &str) -> Result<Expected, String> {
    if text.len() > HEAD {
        return Err(format!("at most {HEAD} bytes of an answer are looked at"));
    }
    Ok(Expected(text.into()))
}

/// How long everybody may be silent who owes an answer: Places may take 10 s.
const PATIENCE: Duration = Duration::from_secs(15);

/// The longest warm-up, and the longest measurement.
const LONGEST: Duration = Duration::from_secs(3_600);
