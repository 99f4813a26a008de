//! Fuzzes a whole server, in both styles, by either door.
//!
//! The property is in `tests/corpus/session.rs`, where `cargo test --test corpus` replays what was found.

#![no_main]

#[path = "../../tests/corpus/session.rs"]
mod session;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| session::check(bytes));
