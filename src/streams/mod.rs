//! Async and await over the callbacks: what tasks of one thread wait for.
//!
//! [`Event`], [`Semaphore`] and [`Queue`] are asyncio's; [`join`], [`join_all`] and [`race`] wait for several futures at once.

#[cfg(test)]
mod conversation;
mod event;
mod join;
mod queue;
mod semaphore;
mod waiters;

pub use self::event::Event;
pub use self::join::{Either, join, join_all, race};
pub use self::queue::{Queue, QueueShutDown, TryPutError};
pub use self::semaphore::{Permit, Semaphore};
