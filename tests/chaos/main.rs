//! Protocols and tasks that do anything at any time: whatever they do, they are called by the grammar, and everything ends.
//!
//! On the simulated network and on real sockets. What must hold, whoever does what to whom:
//!
//! - a protocol is called in the order of the grammar, never while its connection is closing, not with data while it has
//!   paused reading or TLS is being started, and never after `connection_lost`;
//! - a factory is told once how its listening began, asked for protocols only while it lasts, and told once how it ended;
//! - a panic, in any callback, is nobody else's business;
//! - nothing that comes through TLS was made up on the way;
//! - once nobody begins anything any more, every connection is lost, once, and every listener gone;
//! - a task hears what was said, in order and once; when all is quiet, who waits waits for what cannot come; and when all is
//!   over, no task, call or sleeper is left.

#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "../contract/certificates.rs"]
mod certificates;
mod company;
#[cfg(target_os = "linux")]
#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "../contract/logbook.rs"]
mod logbook;
mod protocols;
mod simulated;
#[cfg(target_os = "linux")]
mod sockets;
#[cfg(target_os = "linux")]
mod strangers;
mod talk;
mod tasks;
