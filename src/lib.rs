//! An application server herd on a hand-rolled event loop with asyncio's Protocol/Transport model.

pub mod cli;
pub mod driver;
pub mod event_loop;
pub mod herd;
pub mod places;
pub mod server;
pub mod wire;
