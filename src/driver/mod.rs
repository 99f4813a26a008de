//! Who makes things happen: the socket driver of the real world, and the simulated network of the tests.
//!
//! Both own what the loop does not, sockets and clocks, and call the same methods of the same [`EventLoop`]. Nothing outside
//! this room knows mio.
//!
//! - [`Sockets`]: TCP and Unix sockets, signals, threads for lookups and for jobs, the system's clocks.
//! - [`Sim`]: any number of loops and a network between them, in one thread, with one clock and a seed. See [`sim`].
//!
//! A server and its client on one loop, over a socket that was there before them:
//!
//! ```
//! use std::net::TcpListener;
//! use std::time::{Instant, SystemTime};
//!
//! use proxy_herd::driver::Sockets;
//! use proxy_herd::event_loop::{EventLoop, Protocol, Security, ServerSecurity, Transport};
//!
//! struct Echo;
//!
//! impl Protocol<Vec<u8>> for Echo {
//!     fn data_received(&mut self, transport: &mut Transport<'_, Vec<u8>>, _: &mut Vec<u8>, data: &[u8]) {
//!         transport.write(data);
//!     }
//! }
//!
//! struct Client;
//!
//! impl Protocol<Vec<u8>> for Client {
//!     fn connection_made(&mut self, transport: &mut Transport<'_, Vec<u8>>, _: &mut Vec<u8>) {
//!         transport.write(b"hello");
//!     }
//!
//!     fn data_received(&mut self, transport: &mut Transport<'_, Vec<u8>>, heard: &mut Vec<u8>, data: &[u8]) {
//!         heard.extend_from_slice(data);
//!         if heard.len() == 5 {
//!             transport.event_loop().stop();
//!         }
//!     }
//! }
//!
//! let listener = TcpListener::bind("127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let mut sockets = Sockets::new()?;
//! sockets.provide(listener);
//! let mut event_loop = EventLoop::new(Vec::new(), Instant::now(), SystemTime::now());
//! event_loop.enter(|event_loop, _| {
//!     event_loop.listen(address, ServerSecurity::Plain, |_: &mut Vec<u8>| Echo);
//!     event_loop.connect(address, Security::Plain, Client);
//! });
//! sockets.run(&mut event_loop)?;
//! assert_eq!(event_loop.state(), b"hello");
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # How much in a turn
//!
//! A connection that has more to do waits for the next turn, and the driver does not sleep while one waits. So however much
//! one peer sends, the others are heard in the same turn.
//!
//! | | both drivers | asyncio |
//! | --- | --- | --- |
//! | read from a connection | once, at most 64 KiB | once, at most 256 KiB |
//! | written to a connection | once, at most 64 KiB | once, all that waits |
//! | accepted by a listener | at most 64 | at most its backlog, 100 |
//! | events of a poll ([`Sockets`]) | at most 1024; the others come with the next | all |
//!
//! # What a driver owes the loop
//!
//! - Turns: [`advance`], *inputs*, [`end_turn`], *outputs*. The outputs, [`poll_request`] and [`next_dirty`], are asked until
//!   neither has anything, as what is told meanwhile ([`sent`], [`listening`]) leads to more. Then the driver sleeps, until
//!   [`next_deadline`] at the longest; if the loop [is stopped](crate::event_loop::EventLoop::is_stopped), it ends
//!   instead.
//! - Clocks: the first argument of `advance` never goes back, the second may.
//! - Requests are done in their order. What fails at once may be told at once.
//! - After [`Request::Close`] the socket and its attempts are gone, and the slot ([`ConnId::index`]) may be another's.
//!   What is told late, of a connection that is over, means nothing.
//! - It reads only if [`wants_read`] and accepts only if [`wants_accept`]; a reset it tells in any case, by [`lost`]. After
//!   [`Request::ResumeReading`] and [`Request::Accept`] it looks by itself: there may be no new readiness for what is
//!   there already.
//! - If [`accepted`] answers `None`, or [`connected`] false, it drops the socket. If `connected` answers true, it drops the
//!   other attempts for that connection.
//! - It sends from the front of [`pending`], and says how much by `sent`.
//! - After a [`Request::Execute`] it tells [`executed`] once, if there is a job; if [`signalled`] answers false, it gives the
//!   signal its default effect.
//!
//! A driver by hand, with a network that is made up:
//!
//! ```
//! use std::time::{Duration, Instant, SystemTime};
//!
//! use proxy_herd::event_loop::{Endpoints, EventLoop, Protocol, Request, ServerSecurity, Transport};
//!
//! type Log = Vec<&'static str>;
//!
//! struct Echo;
//!
//! impl Protocol<Log> for Echo {
//!     fn connection_made(&mut self, _: &mut Transport<'_, Log>, log: &mut Log) {
//!         log.push("made");
//!     }
//!
//!     fn data_received(&mut self, transport: &mut Transport<'_, Log>, log: &mut Log, data: &[u8]) {
//!         log.push("data");
//!         transport.write(data);
//!     }
//! }
//!
//! let (start, wall) = (Instant::now(), SystemTime::now());
//! let mut event_loop = EventLoop::new(Log::new(), start, wall);
//! event_loop.enter(|event_loop, _| {
//!     event_loop.before_sleep(|_, log| log.push("hook"));
//!     event_loop.listen(([127, 0, 0, 1], 7), ServerSecurity::Plain, |_: &mut Log| Echo);
//!     event_loop.call_later(Duration::from_secs(1), |_, log| log.push("due"));
//!     event_loop.call_soon(|_, log| log.push("soon"));
//! });
//! let Some(Request::Listen { listener, address, .. }) = event_loop.poll_request() else { panic!("it wants to listen") };
//! event_loop.listening(listener, address.clone());
//! assert_eq!(event_loop.next_deadline(), Some(start), "somebody has called soon");
//!
//! event_loop.advance(start + Duration::from_secs(1), wall);
//! assert!(event_loop.wants_accept(listener));
//! let id = event_loop.accepted(listener, Endpoints::new(([127, 0, 0, 1], 49152), address)).expect("it is wanted");
//! event_loop.received(id, b"hello");
//! event_loop.end_turn();
//! assert_eq!(*event_loop.state(), ["soon", "made", "data", "due", "hook"]);
//!
//! assert_eq!(event_loop.next_dirty(), Some(id));
//! assert_eq!(event_loop.pending(id), b"hello");
//! event_loop.sent(id, 5);
//! assert!(event_loop.poll_request().is_none() && event_loop.next_dirty().is_none());
//! assert_eq!(event_loop.next_deadline(), None);
//! ```
//!
//! [`EventLoop`]: crate::event_loop::EventLoop
//! [`accepted`]: crate::event_loop::EventLoop::accepted
//! [`advance`]: crate::event_loop::EventLoop::advance
//! [`connected`]: crate::event_loop::EventLoop::connected
//! [`end_turn`]: crate::event_loop::EventLoop::end_turn
//! [`executed`]: crate::event_loop::EventLoop::executed
//! [`listening`]: crate::event_loop::EventLoop::listening
//! [`lost`]: crate::event_loop::EventLoop::lost
//! [`next_deadline`]: crate::event_loop::EventLoop::next_deadline
//! [`next_dirty`]: crate::event_loop::EventLoop::next_dirty
//! [`pending`]: crate::event_loop::EventLoop::pending
//! [`poll_request`]: crate::event_loop::EventLoop::poll_request
//! [`sent`]: crate::event_loop::EventLoop::sent
//! [`signalled`]: crate::event_loop::EventLoop::signalled
//! [`wants_accept`]: crate::event_loop::EventLoop::wants_accept
//! [`wants_read`]: crate::event_loop::EventLoop::wants_read
//! [`ConnId::index`]: crate::event_loop::ConnId::index
//! [`Request::Accept`]: crate::event_loop::Request::Accept
//! [`Request::Close`]: crate::event_loop::Request::Close
//! [`Request::Execute`]: crate::event_loop::Request::Execute
//! [`Request::ResumeReading`]: crate::event_loop::Request::ResumeReading

mod attempts;
mod connected;
mod executor;
mod listening;
mod pool;
mod resolver;
mod signals;
pub mod sim;
mod socket_file;
mod sockets;
mod stream;
mod token;
mod waker;

pub use self::sim::Sim;
pub use self::sockets::Sockets;

/// The most bytes one connection is read from in a turn; the size of the one read buffer.
const READ: usize = 64 * 1024;

/// The most bytes one connection is sent in a turn.
const WRITE: usize = 64 * 1024;

/// The most connections one listener accepts in a turn.
const ACCEPTS: usize = 64;
