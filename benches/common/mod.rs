//! What benches share: clients over loopback, servers for them, and two that take turns.

pub(crate) mod clients;
pub(crate) mod echo;
#[path = "../../tests/cost/goloman.rs"]
pub(crate) mod goloman;
pub(crate) mod herd;
pub(crate) mod pairs;
