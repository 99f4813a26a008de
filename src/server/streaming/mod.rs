//! The conversations as async functions: each connection has a task, which goes on when something has happened.
//!
//! What happens between two events is where the function waits: so there are no stages, and a deadline is a `timeout` around
//! what it is for. The price is that a task holds neither the loop nor the servers, and asks for them: see `talk`.
//! The same conversations, in callbacks, are in `callbacks`, file for file.

pub(super) mod lookup;
pub(super) mod peer;
pub(super) mod session;
mod talk;
