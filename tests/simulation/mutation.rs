//! Each rule of the herd and of the loop is taken away: somebody must notice within the seeds that are played anyway.

use proxy_herd::mutation::Rule;

use crate::SEEDS;
use crate::herd;
use crate::plan::Plan;

#[expect(clippy::print_stdout, reason = "what caught it is worth knowing")]
fn check(rule: Rule) {
    let caught = rule.without(|| (0..SEEDS).find_map(|seed| Some((seed, herd::play(&Plan::draw(seed)).err()?))));
    let Some((seed, violation)) = caught else { panic!("{rule:?} is not missed in {SEEDS} seeds") };
    println!("without {rule:?}, seed {seed}: {violation}");
}

#[test]
fn repair_is_missed() {
    check(Rule::Repair);
}

#[test]
fn the_tie_break_is_missed() {
    check(Rule::TieBreak);
}

#[test]
fn duplicate_suppression_is_missed() {
    check(Rule::DuplicateSuppression);
}

#[test]
fn split_horizon_is_missed() {
    check(Rule::SplitHorizon);
}

#[test]
fn the_rule_for_lagging_neighbours_is_missed() {
    check(Rule::Lagging);
}

#[test]
fn the_generation_of_names_is_missed() {
    check(Rule::Generation);
}
