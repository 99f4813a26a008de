//! What the server and the loop may cost, measured: memory of a connection, system calls of a batch, and that nothing
//! stays behind.
//!
//! Servers and clients share the test's thread, a turn at a time, so what is counted is exact and nobody else's: the
//! allocator counts this thread alone, and what the clients own is not counted, stands on the stack or was there before.

#![expect(clippy::print_stdout, reason = "the figures are for who reads along")]

#[allow(dead_code, reason = "each test file uses what it needs")]
#[path = "../contract/certificates.rs"]
mod certificates;
mod decoder;
mod event_loop;
mod goloman;
mod mapping;
mod server;
mod stage;
mod streams;
