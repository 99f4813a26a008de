//! What benches share: clients over loopback, servers for them, one that watches meanwhile, and two that take turns; and a
//! loop without sockets.

pub(crate) mod bare;
pub(crate) mod clients;
pub(crate) mod cores;
pub(crate) mod echo;
pub(crate) mod figures;
#[path = "../../tests/cost/goloman.rs"]
pub(crate) mod goloman;
pub(crate) mod herd;
pub(crate) mod loopback;
pub(crate) mod pairs;
pub(crate) mod probe;
