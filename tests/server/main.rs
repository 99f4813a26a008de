//! The server as a whole, in every world: conversations, limits, links, places.

mod apis;
mod asking;
mod crowds;
mod distrust;
mod faults;
mod hostile;
mod limits;
mod links;
mod logs;
mod loopback;
mod places;
mod records;
mod repairs;
mod repeats;
mod script;
mod simulated;
mod splits;
mod standin;
mod together;
mod topologies;
mod transcripts;
mod upstream;
mod whims;
mod world;

use proxy_herd::server::Style;

/// In which style the servers serve: in this suite by callbacks. The suite `server_streams` runs the same files by streams, and
/// `server_mixed` those about more than one server with both styles in one herd.
const STYLES: &[Style] = &[Style::Callbacks];
