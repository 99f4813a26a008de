//! The server as a whole, in every world: conversations, limits, links, places.

mod hostile;
mod limits;
mod links;
mod logs;
mod loopback;
mod places;
mod repeats;
mod script;
mod simulated;
mod splits;
mod topologies;
mod transcripts;
mod upstream;
mod world;

use proxy_herd::server::Style;

/// In which style the servers talk: in this suite in callbacks; the suite `server_streams` runs the same files in the other.
const STYLE: Style = Style::Callbacks;
