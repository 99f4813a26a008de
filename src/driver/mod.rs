//! Who makes things happen: the socket driver of the real world, and the simulated network of the tests.
//!
//! Both own what the loop does not, sockets and clocks, and call the same methods of the same
//! [`EventLoop`](crate::event_loop::EventLoop). The only rooms that know mio are here.

mod attempts;
mod executor;
mod listening;
mod pool;
mod resolver;
mod signals;
pub mod sim;
mod socket_file;
pub mod sockets;
mod stream;
mod token;
mod waker;

pub use self::sim::Sim;
pub use self::sockets::Sockets;
