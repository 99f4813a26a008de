//! What stands on the wire: bytes to lines, bytes to HTTP messages. No I/O.

mod bounded;
pub mod escaped;
pub mod http;
mod http_chunked;
pub mod http_request;
pub mod http_response;
pub mod lines;
pub mod retry_after;
