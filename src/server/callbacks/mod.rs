//! The conversations in callbacks: each connection has a protocol, which is called when something has happened.
//!
//! What happens between two calls has to be remembered: so a protocol is a struct with a stage, and each callback asks where
//! the conversation is. The same conversations, told in order, are in `streaming`, file for file.

pub(super) mod lookup;
pub(super) mod peer;
pub(super) mod session;
