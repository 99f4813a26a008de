//! What a protocol is: the callbacks that the loop makes, in which order, and how they differ from asyncio's.

use std::io;
use std::net::SocketAddr;

use super::{Address, ConnId, Loop, Transport};

/// One connection's callbacks: asyncio's [`Protocol`](https://docs.python.org/3/library/asyncio-protocol.html#base-protocol).
///
/// # The grammar of calls
///
/// ```text
/// calls = ( connection_made ( data_received | other )* ( eof_received other* )? )? connection_lost
/// other = pause_writing | resume_writing | timed_out | woken | tls_started
/// ```
///
/// `connection_lost` comes exactly once for every connect and every accept, made or not, and nothing comes after it.
/// `pause_writing` and `resume_writing` alternate, the pause first. After `close` or `abort` only `connection_lost` comes.
/// Callbacks never nest: whatever a callback does to a connection, its own or another's, calls nobody before it has
/// returned.
///
/// Each callback is lent three things for as long as it runs: itself, its [`Transport`] (and through it the [`Loop`]),
/// and the application's state `S`. It cannot reach another protocol; to have one look at the state, see [`Loop::wake`].
///
/// # Where this differs from asyncio
///
/// | asyncio | here |
/// | --- | --- |
/// | `pause_writing()` is called from inside `write()` | after the callback that overfilled the buffer, before any other event; [`Transport::is_writing_paused`] tells at once |
/// | no `connection_lost` if the connection was not made (refused, handshake failed) | always, with the reason |
/// | an end of TLS without close_notify looks like a clean end | `connection_lost` with `UnexpectedEof`, no `eof_received` |
/// | after a local `close()`, `pause_writing`, `resume_writing` and, on TLS, `eof_received` may come | only `connection_lost` |
/// | `connection_lost` comes in a later iteration of the loop | before any other event, once nothing waits to be sent |
/// | `connection_lost(exc)` | it gets the [`Loop`], since there is no transport any more, and a [`Lost`] |
/// | a protocol keeps its transport | it keeps a [`ConnId`] and asks [`Loop::transport`] |
/// | `eof_received` on TLS always closes | half-closing works on TLS as on TCP |
/// | a reset is not noticed while reading is paused, nor after the peer's end | `connection_lost` at once |
/// | `write()` after `write_eof()` raises | it is ignored |
/// | no timeouts on TCP | connect and handshake (10 s), close (5 s), and [`Transport::set_timeout`] |
///
/// # Example
///
/// To send much without keeping much: write until the pause, go on when resumed.
///
/// ```
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// use proxy_herd::driver::sim::{Sim, Weather};
/// use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
///
/// struct Lines {
///     left: usize,
/// }
///
/// impl Lines {
///     fn go_on(&mut self, transport: &mut Transport<'_, ()>) {
///         while self.left > 0 && !transport.is_writing_paused() {
///             transport.write(b"one line of many\n");
///             self.left -= 1;
///         }
///         if self.left == 0 {
///             transport.close();
///         }
///     }
/// }
///
/// impl Protocol<()> for Lines {
///     fn connection_made(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
///         self.go_on(transport);
///     }
///
///     fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {}
///
///     fn resume_writing(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
///         self.go_on(transport);
///     }
/// }
///
/// let mut sim = Sim::new(7, Weather::rough());
/// let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// let host = sim.add_host("Goloman", ());
/// sim.enter(host, |event_loop, _| {
///     event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Lines { left: 10_000 })
/// });
/// let client = sim.connect(address);
/// assert!(sim.run_until(Duration::from_secs(60), |sim| sim.ending(client).is_some()));
/// assert_eq!(sim.received(client).len(), 10_000 * 17);
/// ```
pub trait Protocol<S> {
    /// The connection stands; on TLS, the handshake is done. asyncio: `connection_made`.
    fn connection_made(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// Bytes came, at least one; where they were split on the way means nothing. asyncio: `data_received`.
    fn data_received(&mut self, transport: &mut Transport<'_, S>, state: &mut S, data: &[u8]);

    /// The peer will send nothing more (a FIN, or close_notify). asyncio: `eof_received`.
    fn eof_received(&mut self, transport: &mut Transport<'_, S>, state: &mut S) -> AfterEof {
        let _ = (transport, state);
        AfterEof::Close
    }

    /// More than the high-water mark waits to be sent: write no more for now. asyncio: `pause_writing`.
    fn pause_writing(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// What waits has sunk to the low-water mark: go on. asyncio: `resume_writing`.
    fn resume_writing(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The time of [`Transport::set_timeout`] is over. It does not repeat. Without an answer of its own, a protocol is
    /// aborted. Not in asyncio.
    fn timed_out(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = state;
        transport.abort();
    }

    /// Somebody called [`Loop::wake`]: what this protocol waits for may have come into the state. Several calls may
    /// become one. Not in asyncio, where protocols hold each other.
    fn woken(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The handshake of [`Transport::start_tls`] is done; data comes again. asyncio: what `start_tls` awaits.
    fn tls_started(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The connection is gone, whether it was made or not. asyncio: `connection_lost`.
    fn connection_lost(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, lost: Lost) {
        let _ = (event_loop, state, lost);
    }
}

/// What there is to say of a connection that is gone.
#[derive(Debug)]
pub struct Lost {
    /// Which it was; the name means nothing to the loop any more.
    pub id: ConnId,
    /// Who was at the other end, if it came so far that there was one, and it had an IP address.
    pub peer: Option<SocketAddr>,
    /// `None` after `close`, `abort` or the peer's clean end, else what went wrong: the connection was refused, reset,
    /// cut short, timed out; or the protocol itself has panicked, or called [`Transport::fail`].
    pub why: Option<io::Error>,
}

/// What happens to a connection whose peer has ended its half.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AfterEof {
    /// What is buffered is sent, then the connection is closed. asyncio: a false return value.
    Close,
    /// The connection stays open for writing; closing is the protocol's business now. asyncio: a true one.
    KeepOpen,
}

/// Makes a protocol for each connection that a listener accepts: asyncio's `protocol_factory`, with what `create_server` and
/// its `Server` tell their caller. A closure `FnMut(&mut S) -> impl Protocol<S>` is one.
///
/// ```text
/// calls = failed | listening? ( protocol | handshake_failed )* closed
/// ```
pub trait ProtocolFactory<S> {
    /// A connection was accepted: who serves it?
    fn protocol(&mut self, state: &mut S) -> Box<dyn Protocol<S>>;

    /// The socket is bound and accepts; `address` has the port that the system chose, if it was asked to.
    fn listening(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, address: &Address) {
        let _ = (event_loop, state, address);
    }

    /// The address could not be bound; the listener is gone. Silent unless answered.
    fn failed(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, error: io::Error) {
        let _ = (event_loop, state, error);
    }

    /// A connection was lost before its TLS handshake was done; its protocol is told next. For counting, or for a log:
    /// asyncio keeps silent about it.
    fn handshake_failed(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, lost: &Lost) {
        let _ = (event_loop, state, lost);
    }

    /// The listener was closed, and the last of its connections is lost. asyncio: what `Server.wait_closed` awaits (as of
    /// 3.12.1).
    fn closed(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S) {
        let _ = (event_loop, state);
    }
}

impl<S, P, F> ProtocolFactory<S> for F
where
    F: FnMut(&mut S) -> P,
    P: Protocol<S> + 'static,
{
    fn protocol(&mut self, state: &mut S) -> Box<dyn Protocol<S>> {
        Box::new(self(state))
    }
}
