//! What a server knows and decides: no loop, no clock, no socket.

pub mod command;
mod decimal;
pub mod digest;
pub mod directory;
pub mod link;
pub mod name;
pub mod node;
pub mod position;
pub mod repair;
pub mod report;
pub mod timestamp;
pub mod topology;
