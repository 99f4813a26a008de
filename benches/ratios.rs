//! How fast echo on the loop is, as a fraction of a bare mio server's speed: `cargo bench --bench ratios [-- FILTER]`.
//!
//! Both servers of a case stand at the same time, each with its clients, and take turns of a few hundredths of a second.
//! A turn of one and the next turn of the other are a pair; what is printed is the median of the pairs' ratios, and
//! between which ratios the middle half of them lies. So neither the drift of the machine nor a hiccup of it counts. Who
//! goes first changes from pair to pair.
//!
//! What it does not do: absolute figures; `event_loop` has them.

#![expect(clippy::print_stdout, reason = "the ratios are what it is for")]

mod common;

use std::time::{Duration, Instant};

use self::common::{CASES, Case, Clients, SERVERS};

fn main() {
    // Cargo adds `--bench`.
    let filters: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    for case in CASES {
        let name = case.to_string();
        if filters.iter().all(|filter| name.contains(filter.as_str())) {
            let [low, median, high] = quartiles(ratios(case));
            println!("{name}: loop / mio = {median:.2} (half of {PAIRS} pairs: {low:.2} to {high:.2})");
        }
    }
}

/// The loop's speed as a fraction of the bare server's, pair by pair.
fn ratios(case: Case) -> Vec<f64> {
    let [mut bare, mut ours] = SERVERS.map(|(_, serve)| Clients::connect(case, serve));
    let round_trips = round_trips_in(TURN, &mut bare);
    let turn = |clients: &mut Clients| {
        let begun = Instant::now();
        (0..round_trips).for_each(|_| clients.round_trip());
        begun.elapsed().as_secs_f64()
    };
    // The bare one is warm by now.
    turn(&mut ours);
    let pair = |index: usize| {
        if index.is_multiple_of(2) {
            let bare = turn(&mut bare);
            bare / turn(&mut ours)
        } else {
            let ours = turn(&mut ours);
            turn(&mut bare) / ours
        }
    };
    (0..PAIRS).map(pair).collect()
}

/// How many round trips take that long.
fn round_trips_in(time: Duration, clients: &mut Clients) -> usize {
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < time {
        clients.round_trip();
        count += 1;
    }
    count
}

fn quartiles(mut ratios: Vec<f64>) -> [f64; 3] {
    ratios.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| ratios[ratios.len() * quarter / 4])
}

const PAIRS: usize = 80;

/// How long one server is asked before it is the other's turn: long beside a switch of threads, short beside the drift.
const TURN: Duration = Duration::from_millis(30);
