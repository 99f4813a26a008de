//! The promises of the event loop to its protocols, kept in calm and in rough weather.
//!
//! Names of tests follow asyncio's own test suite where it has one for the same promise. Everything runs on the simulated
//! network; seeds are printed.

#[path = "event_loop/calls.rs"]
mod calls;
#[path = "event_loop/certificates.rs"]
mod certificates;
#[path = "event_loop/closing.rs"]
mod closing;
#[path = "event_loop/connecting.rs"]
mod connecting;
#[path = "event_loop/isolation.rs"]
mod isolation;
#[path = "event_loop/listening.rs"]
mod listening;
#[path = "event_loop/reading.rs"]
mod reading;
#[path = "event_loop/recorder.rs"]
mod recorder;
#[path = "event_loop/simulation.rs"]
mod simulation;
#[path = "event_loop/stage.rs"]
mod stage;
#[path = "event_loop/tls.rs"]
mod tls;
#[path = "event_loop/tls_ends.rs"]
mod tls_ends;
#[path = "event_loop/writing.rs"]
mod writing;
