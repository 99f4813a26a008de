//! Fuzzes what a neighbour says.
//!
//! The property is in `tests/corpus/link.rs`, where `cargo test --test corpus` replays what was found.

#![no_main]

#[path = "../../tests/corpus/command.rs"]
mod command;
#[path = "../../tests/corpus/lines.rs"]
mod lines;
#[path = "../../tests/corpus/link.rs"]
mod link;
#[path = "../../tests/corpus/pieces.rs"]
mod pieces;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| link::check(bytes));
