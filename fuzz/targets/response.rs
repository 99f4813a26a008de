//! Fuzzes what Places says.
//!
//! The property is in `tests/corpus/response.rs`, where `cargo test --test corpus` replays what was found.

#![no_main]

#[path = "../../tests/corpus/framing.rs"]
mod framing;
#[path = "../../tests/corpus/messages.rs"]
mod messages;
#[path = "../../tests/corpus/pieces.rs"]
mod pieces;
#[path = "../../tests/corpus/response.rs"]
mod response;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| response::check(bytes));
