//! An application server herd on a hand-rolled event loop with asyncio's Protocol/Transport model.
//!
//! Named servers accept TCP connections from clients, remember where each client last said it was (`IAMAT`), flood that to
//! each other, and answer what is near a client (`WHATSAT`) from Google Places. The command `proxy-herd` runs them; this
//! crate is what it is made of, for those who read it, test it, or run their own protocols on the loop.
//!
//! # The way of one message
//!
//! One file for each arrow, no way back:
//!
//! ```text
//! socket -> driver/sockets -> event_loop/channel (plaintext) -> server/callbacks/session -> wire/lines -> server/client
//!        -> herd/command -> herd/node (herd/directory) -> [Effect]
//!        -> server/callbacks/session (reply) | server/neighbours (flood) | server/lookups (a question to Places)
//!        -> event_loop/transport: Transport::write
//!        -> event_loop/channel -> driver/sockets -> socket
//! ```
//!
//! With `--style streams`, `streams/pipe`, `streams/reader` and `server/streaming/session` stand where `server/callbacks/session` does, and
//! what is said leaves by way of `streams/pipe`.
//!
//! # The floors
//!
//! A room uses only what lies below it.
//!
//! ```text
//!          main.rs, cli/             argv, files, environment, exit code
//!          /           \
//!       server/         driver/      the herd's conversations | who makes things happen (sockets, or a simulation)
//!      /      \          /
//!     /     streams/    /            async and await over the callbacks
//!    /           \     /
//!  places/      event_loop/          questions and answers | when things happen
//!   /    \
//! herd/  wire/                       what a server knows | bytes to lines and HTTP
//! ```
//!
//! `server` also uses `event_loop`, `herd` and `wire` directly. It knows no driver and no driver knows it: `cli` brings them together.
//!
//! # What always holds
//!
//! - The loop lends, it does not share: a callback gets its own protocol, the loop and the application's state, each for as long
//!   as it runs. None of the three is counted, locked or taken out and put back.
//! - Callbacks never nest: what a callback leads to is called after it has returned.
//! - `connection_lost` comes exactly once for every connect and every accept.
//! - Streams stand on nothing but what the loop offers to all: what a protocol is promised, a task gets.
//! - One thread makes all calls; what other threads do, look names up or do jobs, comes back as a call. A callback that panics
//!   costs its connection, never the loop.
//! - A connection is named by index and generation: an id that was kept too long finds nothing.
//! - Time is an argument; only a driver and the command read clocks. `event_loop`, `places`, `herd` and `wire` do no I/O.
//! - Of two reports about a client the greater in a total order stays: servers that have heard the same know the same.
//! - What a server missed it learns: at every link-up, after every drop, and every 30 s, neighbours compare what they hold.
//! - A flood crosses each link at most twice, once from either end, and ends.
//! - Whatever a peer does, it costs a bounded amount: each buffer, line, header and answer has a limit with a name.
//! - Bytes, not text, are what peers send; no input panics.
//! - Google's key is shown by nothing but the request that it pays for.
//! - A link off loopback is mutual TLS: who shows no certificate of the herd's authority, for the name that he says, hears nothing.
//!
//! # Reading order
//!
//! 1. [`herd`]: `position`, `timestamp`, `command`, `report`, `directory`, `node`: what a line means; `digest` and `repair`:
//!    how two directories become equal; then `topology`. (`mutation`: which of the rules a test can turn off.)
//! 2. [`wire`]: `lines`, then HTTP.
//! 3. [`event_loop`]: what asyncio's words are here, and what a turn is; then [`Protocol`](event_loop::Protocol),
//!    [`Transport`](event_loop::Transport), [`Loop`](event_loop::Loop), [`EventLoop`](event_loop::EventLoop). Its own files:
//!    `dispatch`; `hub`, `connection`, `channel` with `buffer`; `connecting` with `dial`, `listener`, `schedule` with `timers` and `clock`;
//!    `panics`, `remote`.
//! 4. [`driver`]: [`Sockets`](driver::Sockets), which makes the turns, with `stream`, `connected`, `attempts` and `listening`
//!    (and `socket_file`); `signals`; `pool`, and on it `resolver` and `executor`; [`sim`](driver::sim), the same for tests,
//!    without a network.
//! 5. [`streams`]: how else to say what is done with a connection.
//! 6. [`server`]: `doors`; `client` with `clients` and `replies`; `contact`, `neighbours` with `links`, `repairs`; `keys` with
//!    `handshake` and `refusals`; `provider` with `trust`; `lookups` with `inquiries`, `errands` and `allowance`; the limits. Then `style` and, side
//!    by side, `callbacks` and `streaming`: `session`, `peer`, `lookup`.
//! 7. [`places`]: `question`, `api` with `key`, `answer`, and `mapping` with `layout`; then the built-in data that stands in for
//!    Google: `gazetteer`, `standin`, and `faults` with `plan`, which `server::standin` plays.
//! 8. [`cli`]: how it is started, the demo, and the load that measures a server.
//!
//! # A server of one's own
//!
//! In callbacks; [`streams`] begins with the same in the other style, and `examples/` has four such pairs.
//!
//! ```
//! use std::net::SocketAddr;
//! use std::time::{Instant, SystemTime};
//!
//! use proxy_herd::driver::Sockets;
//! use proxy_herd::event_loop::{EventLoop, Protocol, ServerSecurity, Transport};
//!
//! struct Echo;
//!
//! impl Protocol<()> for Echo {
//!     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
//!         transport.write(data);
//!     }
//! }
//!
//! # fn main() -> std::io::Result<()> {
//! let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
//! event_loop.enter(|event_loop, _| {
//!     let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
//!     event_loop.listen(anywhere, ServerSecurity::Plain, |_: &mut ()| Echo);
//! #   event_loop.stop();
//! });
//! Sockets::new()?.run(&mut event_loop)
//! # }
//! ```

pub mod cli;
pub mod driver;
pub mod event_loop;
pub mod herd;
pub mod mutation;
pub mod places;
pub mod server;
pub mod streams;
pub mod wire;
