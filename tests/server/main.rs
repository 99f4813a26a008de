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
