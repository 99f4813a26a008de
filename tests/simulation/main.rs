//! The herd's simulation: whole herds of real servers, of both styles, in bad weather and with faults, from seeds.
//!
//! A [`Plan`] is drawn from a seed and played on the simulated network; [`Promise`] lists what must hold. A seed that breaks
//! one is printed with its plan and the end of its story. `cargo run --release --example simulate` plays any number of seeds,
//! and tells the whole story of one.

mod author;
mod gossip;
mod herd;
mod keys;
mod knowledge;
#[cfg(debug_assertions)]
mod mutation;
mod people;
#[path = "../server_alike/places.rs"]
mod places;
mod plan;
mod story;
mod topologies;
mod traffic;
mod verdict;
mod violation;
mod words;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::plan::{Kind, Places, Plan};

#[test]
fn every_herd_keeps_its_promises() {
    let next = AtomicU64::new(0);
    let in_step_after = Mutex::new(Vec::new());
    let play = || {
        while let Some(seed) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|seed| *seed < SEEDS) {
            let plan = Plan::draw(seed);
            match herd::play(&plan) {
                Ok(outcome) => in_step_after.lock().expect("nobody panics").extend(outcome.in_step_after),
                Err(violation) => {
                    let (_, story) = herd::tell(&plan);
                    let lines: Vec<&str> = story.lines().collect();
                    let end = lines[lines.len().saturating_sub(SHOWN)..].join("\n");
                    panic!("{plan}{end}\n{violation}\ncargo run --release --example simulate -- --seed {seed}");
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(play);
        }
    });
    // Most are in step as soon as their links are up; some wait until a silent link is found out, or for a repair.
    let mut in_step_after = in_step_after.into_inner().expect("nobody panicked");
    in_step_after.sort_unstable();
    let half = in_step_after[in_step_after.len() / 2];
    assert!(half < SOON, "half of the herds are in step only after {half:?}");
}

#[test]
fn a_seed_tells_the_same_story_twice() {
    let first = |is_wanted: fn(&Plan) -> bool| {
        (0..SEEDS).find(|seed| is_wanted(&Plan::draw(*seed))).expect("there are some of each kind")
    };
    let special =
        [|plan: &Plan| plan.kind == Kind::Flooded, |plan: &Plan| plan.places == Places::Embedded, Plan::is_encrypted];
    let special = special.map(first);
    for seed in special.into_iter().chain(0..5) {
        let [one, other] = [(); 2].map(|()| herd::tell(&Plan::draw(seed)).1);
        assert!(one.len() > 1_000, "seed {seed} tells nothing");
        assert!(one == other, "seed {seed} does not repeat");
    }
}

#[test]
fn the_seeds_hold_everything_that_can_happen() {
    let happen: BTreeSet<String> = (0..SEEDS)
        .flat_map(|seed| Plan::draw(seed).steps)
        .map(|(_, step)| format!("{step:?}").chars().take_while(|letter| letter.is_alphabetic()).collect())
        .collect();
    assert_eq!(happen.len(), 19, "{happen:?}");
}

/// How many seeds are played.
const SEEDS: u64 = 400;

/// Within what time half of the herds must be in step, once all is well again.
const SOON: Duration = Duration::from_millis(500);

/// How many lines of a story are shown.
const SHOWN: usize = 60;
