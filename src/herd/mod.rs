//! What a server knows and decides: no loop, no clock, no socket.

pub mod name;
