//! What stands on the wire: bytes to lines, bytes to HTTP messages. No I/O.

pub mod lines;
