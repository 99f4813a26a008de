//! Protocols that do anything at any time: whatever they do, they are called by the grammar, and everything ends.

#[allow(dead_code, reason = "shared with the contract suite")]
#[path = "../contract/certificates.rs"]
mod certificates;
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
