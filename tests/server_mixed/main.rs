//! Herds in which every other server serves by callbacks and the rest by streams: the tests of the suite `server` that are about
//! more than one server, unchanged.
//!
//! Each server is a process of its own on the simulated network, and neighbours of both styles meet in each of the six herds that
//! ship. Servers on real sockets are one process in these tests, and so of one style; `cli` runs processes of both.

#[path = "../server/hostile.rs"]
mod hostile;
#[path = "../server/links.rs"]
mod links;
#[path = "../server/repairs.rs"]
mod repairs;
#[path = "../server/repeats.rs"]
mod repeats;
#[path = "../server/script.rs"]
mod script;
#[path = "../server/simulated.rs"]
mod simulated;
#[path = "../server/topologies.rs"]
mod topologies;
#[path = "../server/upstream.rs"]
mod upstream;
#[path = "../server/world.rs"]
mod world;

use proxy_herd::server::Style;

/// In which style the servers serve, in turns.
const STYLES: &[Style] = &[Style::Callbacks, Style::Streams];
