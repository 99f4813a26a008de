//! Herds of real servers in a simulated network, in bad weather and with faults, as many as you like:
//! `cargo run --release --example simulate -- --seeds 100000`, and `--seed N` tells all that happens to one.
//!
//! What is drawn from a seed, and what must hold, is the simulation's of `cargo test --test simulation`; its files are used
//! here.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "an example shows what happens")]

#[path = "../tests/simulation/author.rs"]
mod author;
#[path = "../tests/simulation/gossip.rs"]
mod gossip;
#[path = "../tests/simulation/herd.rs"]
mod herd;
#[path = "../tests/simulation/keys.rs"]
mod keys;
#[path = "../tests/simulation/knowledge.rs"]
mod knowledge;
#[path = "../tests/simulation/people.rs"]
mod people;
#[path = "../tests/server_alike/places.rs"]
mod places;
#[path = "../tests/simulation/plan.rs"]
mod plan;
#[path = "../tests/simulation/story.rs"]
mod story;
#[path = "../tests/simulation/topologies.rs"]
mod topologies;
#[path = "../tests/simulation/traffic.rs"]
mod traffic;
#[path = "../tests/simulation/verdict.rs"]
mod verdict;
#[path = "../tests/simulation/violation.rs"]
mod violation;
#[path = "../tests/simulation/words.rs"]
mod words;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;

use crate::plan::Plan;

/// Plays herds of real servers in a simulated network, each drawn from a seed: their weather, their clients, their faults.
///
/// Exits with 1 if a promise is broken, and says which and with which seed.
#[derive(Parser)]
#[command(name = "simulate")]
struct Arguments {
    /// How many seeds to play
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, value_name = "SEED", default_value_t = 0)]
    from: u64,
    /// Play only this seed, and tell everything: the plan, what the network carries, what servers log
    #[arg(long, value_name = "SEED", conflicts_with_all = ["seeds", "from", "threads"])]
    seed: Option<u64>,
    /// How many to play at a time [default: one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.seed {
        Some(seed) => tell(seed),
        None => play(&arguments),
    }
}

/// The whole story of one seed.
fn tell(seed: u64) -> ExitCode {
    let plan = Plan::draw(seed);
    let (result, story) = herd::tell(&plan);
    // Whoever has read enough may close the pipe.
    let _ = write!(io::stdout(), "{plan}{story}");
    match result {
        Ok(outcome) => {
            eprintln!("seed {seed}: every promise was kept; {outcome:?}");
            ExitCode::SUCCESS
        }
        Err(violation) => {
            eprintln!("seed {seed}: {violation}");
            ExitCode::FAILURE
        }
    }
}

/// All seeds, or up to the first that breaks a promise.
fn play(arguments: &Arguments) -> ExitCode {
    let Arguments { seeds, from, threads, .. } = *arguments;
    let threads = threads.map_or_else(|| thread::available_parallelism().map_or(1, usize::from), usize::from);
    let until = from.saturating_add(seeds);
    let (next, broken) = (AtomicU64::new(from), AtomicU64::new(u64::MAX));
    let begun = Instant::now();
    let work = || {
        let mut in_step_after = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= until || broken.load(Ordering::Relaxed) < seed {
                return in_step_after;
            }
            match herd::play(&Plan::draw(seed)) {
                Ok(outcome) => in_step_after.extend(outcome.in_step_after.map(|after| (after, seed))),
                Err(violation) => {
                    eprintln!("seed {seed}: {violation}");
                    eprintln!("again, with all that happens: cargo run --release --example simulate -- --seed {seed}");
                    broken.fetch_min(seed, Ordering::Relaxed);
                }
            }
        }
    };
    let in_step_after = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let mut said = begun;
        while workers.iter().any(|worker| !worker.is_finished()) {
            thread::park_timeout(Duration::from_millis(50));
            if said.elapsed() > SAY_EVERY {
                said = Instant::now();
                eprintln!("{} seeds", next.load(Ordering::Relaxed).min(until) - from);
            }
        }
        workers.into_iter().flat_map(|worker| worker.join().expect("what panics is a violation")).collect()
    });
    let took = begun.elapsed();
    let played = next.load(Ordering::Relaxed).min(until) - from;
    let speed = played as f64 / took.as_secs_f64();
    println!("{played} seeds from {from} in {took:.1?} on {threads} threads: {speed:.0} seeds per second");
    tell_times(in_step_after);
    if broken.load(Ordering::Relaxed) == u64::MAX {
        println!(
            "every promise was kept; again: cargo run --release --example simulate -- --from {from} --seeds {seeds}"
        );
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// How soon herds were in step, all being well again.
fn tell_times(mut after: Vec<(Duration, u64)>) {
    after.sort_unstable();
    let Some((most, seed)) = after.last() else { return };
    let [half, nearly_all] = [2, 100].map(|share| after[after.len() - after.len().div_ceil(share)].0);
    let count = after.len();
    println!(
        "{count} herds healed, in step after: p50 {half:.1?}, p99 {nearly_all:.1?}, most {most:.1?} (seed {seed})"
    );
}

/// How often it is said how far it is.
const SAY_EVERY: Duration = Duration::from_secs(10);
