//! Names for what the loop owns: small numbers that never come to mean something else.
//!
//! An id is a slab index and a generation. The generation is new for every connection and every listener, so an id that
//! was kept too long finds nothing instead of a newcomer (mio reports events by number, and slots are used again).

use std::fmt;

/// The name of a connection, from `connect` or accept until its `connection_lost` has returned, and not used again within
/// 2^32 connections.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId {
    index: u32,
    generation: u32,
}

impl ConnId {
    pub(super) fn new(index: usize, generation: u32) -> Self {
        let index = u32::try_from(index).expect("a process has fewer than 2^32 connections");
        Self { index, generation }
    }

    /// The slot: unique among the connections that live now, so that a driver can keep its sockets in a plain table.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Which user of the slot this is.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

/// Shown as `#57`: the 57th that this loop has named, its listeners counted.
impl fmt::Display for ConnId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not by `write!`, whose ways are four times as long: most lines of the log begin with this.
        formatter.write_str("#")?;
        formatter.write_str(itoa::Buffer::new().format(self.generation))
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "#{}@{}", self.generation, self.index)
    }
}

/// The name of a listening socket, from `listen` until [`ProtocolFactory::closed`](super::ProtocolFactory::closed) or `failed`;
/// not used again, as a [`ConnId`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId {
    index: u32,
    generation: u32,
}

impl ListenerId {
    pub(super) fn new(index: usize, generation: u32) -> Self {
        let index = u32::try_from(index).expect("a process has fewer than 2^32 listeners");
        Self { index, generation }
    }

    /// The slot, unique among the listeners that live now.
    pub fn index(self) -> usize {
        self.index as usize
    }

    pub(super) fn generation(self) -> u32 {
        self.generation
    }
}

/// The name of a callback that waits to be called (asyncio's `Handle` and `TimerHandle`): what `cancel` takes. Not used again
/// within 2^32 callbacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CallId {
    index: u32,
    serial: u32,
}

impl CallId {
    pub(super) fn new(index: usize, serial: u32) -> Self {
        let index = u32::try_from(index).expect("fewer than 2^32 callbacks wait");
        Self { index, serial }
    }

    /// Its slot among those that wait.
    pub(super) fn index(self) -> usize {
        self.index as usize
    }

    /// Which user of the slot this is.
    pub(super) fn serial(self) -> u32 {
        self.serial
    }
}
