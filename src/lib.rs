//! An application server herd on a hand-rolled event loop with asyncio's Protocol/Transport model.

pub mod driver;
pub mod event_loop;
pub mod cli;
pub mod herd;
pub mod places;
pub mod wire;
