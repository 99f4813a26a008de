//! What a load tells in the end: a table for people, or the same as one JSON object.

use std::fmt;

use serde::Serialize;

use super::course::Outcome;
use super::figures::Figures;
use super::plan::Pace;
use crate::wire::escaped::Escaped;

/// What was measured. Times of latencies are in microseconds.
#[derive(Serialize)]
pub(super) struct Report {
    address: String,
    requests: u64,
    /// How many of the answers did not begin as they must.
    errors: u64,
    first_error: Option<String>,
    /// How many lines were never answered.
    unanswered: u64,
    seconds: f64,
    per_second: f64,
    latency_us: Latencies,
    /// The processor's part of the time, 0 to 1.
    load_busy: Option<f64>,
    /// The part of the time in which others had the load's processor.
    load_robbed: Option<f64>,
    /// Whether the load itself may be what is measured.
    bottleneck: bool,
    /// How many lines of an open loop left more than a millisecond late.
    late: u64,
    connections: u32,
    /// Of a closed loop.
    pipeline: Option<u32>,
    clients: u32,
    /// Of an open loop: lines a second.
    rate: Option<u32>,
    whatsat: u8,
    line_bytes: f64,
    seed: u64,
}

#[derive(Serialize)]
struct Latencies {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
    mean: f64,
}

impl Report {
    /// Of what has ended, if anything was measured.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        let Outcome { plan, figures, wrong, unanswered, .. } = outcome;
        let figures = figures.as_ref()?;
        let (pipeline, rate) = match plan.pace {
            Pace::Closed(pipeline) => (Some(pipeline), None),
            Pace::Open(rate) => (None, Some(rate.0)),
        };
        Some(Self {
            address: plan.whom.name.clone(),
            requests: figures.answered,
            errors: wrong.count,
            first_error: wrong.first.as_ref().map(|head| Escaped(head).to_string()),
            unanswered: *unanswered,
            seconds: figures.time.as_secs_f64(),
            per_second: figures.per_second(),
            latency_us: Latencies {
                p50: figures.quantile(0.5),
                p90: figures.quantile(0.9),
                p99: figures.quantile(0.99),
                p999: figures.quantile(0.999),
                max: figures.longest(),
                mean: figures.mean(),
            },
            load_busy: figures.thread_parts.map(|parts| parts.busy),
            load_robbed: figures.thread_parts.map(|parts| parts.robbed),
            bottleneck: is_bottleneck(plan.pace, figures),
            late: figures.late,
            connections: plan.connections,
            pipeline,
            clients: plan.clients,
            rate,
            whatsat: plan.mix.percent,
            line_bytes: figures.line_bytes(),
            seed: plan.seed,
        })
    }

    /// One line of JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("numbers and text")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, connections, clients, latency_us, .. } = self;
        write!(out, "{address}: {connections} connections, ")?;
        match (self.pipeline, self.rate) {
            (Some(pipeline), _) => write!(out, "{pipeline} in flight on each")?,
            (None, rate) => write!(out, "{} lines due a second", rate.unwrap_or_default())?,
        }
        writeln!(out, "; {clients} clients\n")?;
        writeln!(out, "requests    {}", self.requests)?;
        writeln!(out, "errors      {}", self.errors)?;
        if let Some(first) = &self.first_error {
            writeln!(out, "            the first: {first}")?;
        }
        if self.unanswered > 0 {
            writeln!(out, "unanswered  {}", self.unanswered)?;
        }
        writeln!(out, "rate        {:.0} a second, for {:.2} s", self.per_second, self.seconds)?;
        let Latencies { p50, p90, p99, p999, max, mean } = latency_us;
        writeln!(
            out,
            "latency     p50 {p50:.0}, p90 {p90:.0}, p99 {p99:.0}, p99.9 {p999:.0}, max {max:.0}, mean {mean:.0} µs"
        )?;
        match self.load_busy.zip(self.load_robbed) {
            Some((busy, robbed)) => {
                write!(
                    out,
                    "the load    busy for {:.0} % of the time, robbed of its processor for {:.0} %",
                    busy * 100.0,
                    robbed * 100.0
                )?;
            }
            None => write!(out, "the load    how busy it was this system does not tell")?,
        }
        match (self.bottleneck, self.rate) {
            (false, _) => Ok(()),
            (true, None) => write!(out, "\n            It may be the bottleneck: the server may be faster than this."),
            (true, Some(_)) => write!(
                out,
                "\n            It may be the bottleneck: {} lines left more than a millisecond after they were due.",
                self.late
            ),
        }
    }
}

/// In a closed loop, when it hardly ever waited; in an open one, where it looks at the clock all the time, when lines left late.
fn is_bottleneck(pace: Pace, figures: &Figures) -> bool {
    match pace {
        Pace::Closed(_) => figures.thread_parts.is_some_and(|parts| parts.busy >= BUSY),
        Pace::Open(_) => figures.late as f64 > figures.sent as f64 * LATE,
    }
}

/// The part of the time that is nearly all of it.
const BUSY: f64 = 0.95;

/// The part of the lines that may leave late: what p99 does not show.
const LATE: f64 = 0.01;
