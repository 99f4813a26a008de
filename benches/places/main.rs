//! What a crowd's questions to Places cost, and what those beside it feel: `cargo bench --bench places [-- FILTER]`.
//!
//! A server asks the stand-in over TLS, which answers every question after 20 ms; each API, and each style, is a case.
//!
//! - `different`: 1,000 clients ask at once, each something else, wave after wave. Each answer is compared to the byte, and what a client
//!   says after its question has to be answered after it. The time of a wave is held against 20 ms for each 8 of them.
//! - `latency`: of a client that says IAMAT every millisecond, in a wave and in the quiet before it, when all are connected and nobody asks.
//! - `same`: 100 clients ask the same at once.
//!
//! How often the stand-in was asked, and over how many connections, has to be right, or the bench fails.
//!
//! The server has the first core for itself. The stand-in, the crowd and the client that is watched share the last one, that client
//! first (`chrt`), as none of them would in truth be here.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

#[allow(dead_code, reason = "each bench uses what it needs")]
#[path = "../common/mod.rs"]
mod common;
mod crowd;
mod questions;
mod server;
mod upstream;

use std::thread;
use std::time::{Duration, Instant};

use proxy_herd::places::api::Api;
use proxy_herd::server::Style;

use self::common::cores::{Core, pin, step_back};
use self::common::figures::{percentiles, spread};
use self::common::probe::{Latency, Probe};
use self::crowd::Crowd;
use self::questions::Asked;
use self::server::Server;
use self::upstream::Upstream;

fn main() {
    // Cargo adds `--bench`.
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    // Two for each client, and some.
    rlimit::increase_nofile_limit(3 * CROWD as u64).expect("a limit");
    println!("{CROWD} clients, {WAVES} waves, answers after {DELAY:?}; medians, with the least and the most");
    for (api, style) in
        [Api::Legacy, Api::New].into_iter().flat_map(|api| [Style::Callbacks, Style::Streams].map(|style| (api, style)))
    {
        let name = format!("{api}, {style}");
        if filters.iter().all(|filter| name.contains(filter.as_str())) {
            println!("\n{name}");
            run(api, style);
        }
    }
}

/// One case, from the start of its server to the end.
fn run(api: Api, style: Style) {
    let asked = questions::asked(api, CROWD);
    let kilobytes = asked.iter().map(|asked| asked.answer.len()).sum::<usize>() as f64 / 1e3;
    let upstream = Upstream::start(api, DELAY);
    let server = Server::start(upstream.provider(), style);
    let probe = Probe::start(server.clients());
    let (waves, same) =
        thread::scope(|scope| scope.spawn(|| ask(asked, &server, &upstream)).join()).expect("all is right");
    let mut figures = Figures::default();
    let latencies = probe.stop();
    waves.iter().for_each(|wave| figures.add(wave, &latencies));
    figures.print(kilobytes);
    println!("  {SAME} asking the same: {:.1} times {DELAY:?}", same.as_secs_f64() / DELAY.as_secs_f64());
    server.end();
    upstream.end();
}

/// What the crowd does: waves with quiet before them, then all ask the same. The times of the waves, and of that.
fn ask(asked: Vec<Asked>, server: &Server, upstream: &Upstream) -> (Vec<Wave>, Duration) {
    pin(Core::Last);
    step_back();
    let mut crowd = Crowd::connect(server.clients(), asked);
    // The connections to Places are made, and whatever else is made once.
    crowd.ask_different();
    let waves = (0..WAVES).map(|_| {
        thread::sleep(SETTLE);
        let before = Moment::now(server);
        thread::sleep(QUIET);
        let begun = Moment::now(server);
        crowd.ask_different();
        Wave { before, begun, end: Moment::now(server) }
    });
    let waves = waves.collect();
    let requests = CROWD * (1 + WAVES);
    assert_eq!(upstream.counts(), (LOOKUPS, requests), "connections and requests");
    let begun = Instant::now();
    crowd.ask_same(SAME);
    let same = begun.elapsed();
    assert_eq!(upstream.counts(), (LOOKUPS, requests + 1), "connections and requests");
    (waves, same)
}

/// The quiet, and a wave.
struct Wave {
    before: Moment,
    begun: Moment,
    end: Moment,
}

/// A time, and for how many seconds the server was on its core by then, if the system tells.
#[derive(Clone, Copy)]
struct Moment {
    at: Instant,
    on_core: Option<f64>,
}

impl Moment {
    fn now(server: &Server) -> Self {
        Self { at: Instant::now(), on_core: server.thread().times().map(|[on_core, _]| on_core as f64 * 1e-9) }
    }

    /// How many seconds later this is than `other`.
    fn since(&self, other: &Self) -> f64 {
        (self.at - other.at).as_secs_f64()
    }

    /// For what part of the time since `other` the server was on its core.
    fn load_since(&self, other: &Self) -> Option<f64> {
        Some((self.on_core? - other.on_core?) / self.since(other))
    }
}

/// A value for each wave.
#[derive(Default)]
struct Figures {
    /// In seconds.
    times: Vec<f64>,
    /// Latency in quiet, in a wave, and their ratio: of the median, and of the p99.
    latencies: [[Vec<f64>; 3]; 2],
    /// The server's in quiet and in a wave, in percent.
    loads: [Vec<f64>; 2],
}

impl Figures {
    fn add(&mut self, wave: &Wave, latencies: &[Latency]) {
        let Wave { before, begun, end } = wave;
        self.times.push(end.since(begun));
        let [quiet, busy] = [[before, begun], [begun, end]].map(|[from, to]| {
            let within = latencies.iter().filter(|latency| (from.at..to.at).contains(&latency.due));
            percentiles(&mut within.map(|latency| latency.microseconds).collect::<Vec<_>>())
        });
        for ((figures, quiet), busy) in self.latencies.iter_mut().zip(quiet).zip(busy) {
            figures.iter_mut().zip([quiet, busy, busy / quiet]).for_each(|(figure, value)| figure.push(value));
        }
        for (loads, load) in self.loads.iter_mut().zip([begun.load_since(before), end.load_since(begun)]) {
            loads.extend(load.map(|load| 100.0 * load));
        }
    }

    /// `kilobytes`: all answers of a wave.
    fn print(mut self, kilobytes: f64) {
        let least = CROWD.div_ceil(LOOKUPS) as f64 * DELAY.as_secs_f64();
        let mut ratios: Vec<f64> = self.times.iter().map(|time| time / least).collect();
        let mut rates: Vec<f64> = self.times.iter().map(|time| CROWD as f64 / time).collect();
        println!("  a wave, s: {}, times the least possible: {}", spread(&mut self.times), spread(&mut ratios));
        println!("  answers a second: {}, of {:.1} kB each", spread(&mut rates), kilobytes / CROWD as f64);
        for (name, [quiet, busy, ratio]) in ["p50", "p99"].into_iter().zip(&mut self.latencies) {
            println!(
                "  IAMAT's {name}, us: quiet {}, in a wave {}, ratio {}",
                spread(quiet),
                spread(busy),
                spread(ratio)
            );
        }
        if self.loads.iter().all(|loads| loads.len() == WAVES) {
            let [quiet, busy] = &mut self.loads;
            println!("  the server's core, %: quiet {}, in a wave {}", spread(quiet), spread(busy));
        }
    }
}

/// How many ask at once.
const CROWD: usize = 1_000;

/// How many ask the same at once.
const SAME: usize = 100;

const WAVES: usize = 5;

/// Over how many connections a server asks.
const LOOKUPS: usize = proxy_herd::server::limits::LOOKUPS;

/// How long Places takes to answer.
const DELAY: Duration = Duration::from_millis(20);

/// How long the client is watched before a wave.
const QUIET: Duration = Duration::from_secs(2);

/// For what a wave leaves behind.
const SETTLE: Duration = Duration::from_millis(100);
