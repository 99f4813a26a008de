//! What a message costs in process, part by part: `cargo bench --bench message [-- FILTER]`, in time.
//!
//! In instructions, which hardly differ from run to run: `cargo bench --bench message -- --instructions`. They are counted by valgrind
//! (callgrind) and held against `benches/message/instructions.json`, which `--instructions --update` writes anew; see
//! `instructions`. The parts are the same, but for those with too many clients: see `parts`.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod baseline;
#[allow(dead_code, reason = "each bench uses what it needs")]
#[path = "../common/mod.rs"]
mod common;
mod herd;
mod instructions;
mod logging;
mod loops;
mod parts;
mod servers;
mod speech;
mod times;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let is_given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if is_given(instructions::COUNT) {
        instructions::count();
        ExitCode::SUCCESS
    } else if is_given("--instructions") {
        instructions::guard(if is_given("--update") { instructions::Then::Update } else { instructions::Then::Compare })
    } else {
        times::measure();
        ExitCode::SUCCESS
    }
}
