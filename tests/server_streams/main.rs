//! The server as a whole, in every world, once more: every test of the suite `server`, unchanged, with servers that serve by
//! streams.
//!
//! What a server says must not depend on the style that it is written in, so the tests do not either: the files are those of
//! `server`, and a suite is no more than the styles that it gives them.

#[path = "../server/apis.rs"]
mod apis;
#[path = "../server/asking.rs"]
mod asking;
#[path = "../server/crowds.rs"]
mod crowds;
#[path = "../server/distrust.rs"]
mod distrust;
#[path = "../server/faults.rs"]
mod faults;
#[path = "../server/hostile.rs"]
mod hostile;
#[path = "../server/limits.rs"]
mod limits;
#[path = "../server/links.rs"]
mod links;
#[path = "../server/logs.rs"]
mod logs;
#[path = "../server/loopback.rs"]
mod loopback;
#[path = "../server/places.rs"]
mod places;
#[path = "../server/records.rs"]
mod records;
#[path = "../server/repairs.rs"]
mod repairs;
#[path = "../server/repeats.rs"]
mod repeats;
#[path = "../server/script.rs"]
mod script;
#[path = "../server/simulated.rs"]
mod simulated;
#[path = "../server/splits.rs"]
mod splits;
#[path = "../server/standin.rs"]
mod standin;
#[path = "../server/together.rs"]
mod together;
#[path = "../server/topologies.rs"]
mod topologies;
#[path = "../server/transcripts.rs"]
mod transcripts;
#[path = "../server/upstream.rs"]
mod upstream;
#[path = "../server/whims.rs"]
mod whims;
#[path = "../server/world.rs"]
mod world;

use proxy_herd::server::Style;

/// In which style the servers serve.
const STYLES: &[Style] = &[Style::Streams];
