//! Fuzzes what the stand-in is asked.
//!
//! The property is in `tests/corpus/request.rs`, where `cargo test --test corpus` replays what was found.

#![no_main]

#[path = "../../tests/corpus/framing.rs"]
mod framing;
#[path = "../../tests/corpus/messages.rs"]
mod messages;
#[path = "../../tests/corpus/pieces.rs"]
mod pieces;
#[path = "../../tests/corpus/request.rs"]
mod request;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| request::check(bytes));
