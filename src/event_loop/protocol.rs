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
/// - `connection_lost` comes exactly once for every connect and every accept, made or not, and nothing comes after it.
/// - `pause_writing` and `resume_writing` alternate, the pause first.
/// - After `close` or `abort` only `connection_lost` comes; between `start_tls` and `tls_started` only it, or `woken`.
/// - Callbacks never nest: whatever a callback does to a connection, its own or another's, calls nobody before it has
///   returned.
///
/// Each callback is lent three things for as long as it runs: itself, its [`Transport`] (and through it the [`Loop`]),
/// and the application's state `S`. It cannot reach another protocol; to have one look at the state, see [`Loop::wake`].
///
/// # Where this differs from asyncio, and from uvloop
///
/// As of CPython 3.11 to 3.13 and uvloop 0.23. What is named neither here nor on its own page is as in asyncio, or is not
/// offered (`BufferedProtocol`, since data is lent from one buffer of the loop and never copied; `sendfile`; `add_reader`).
///
/// | | asyncio | uvloop | here |
/// | --- | --- | --- | --- |
/// | **Being made** | | | |
/// | not made (refused, handshake failed) | no callback | no callback | `connection_lost` with the reason, also for one that was accepted |
/// | an error in `connection_made` | the connection goes on | it is never read from | the connection is lost for this reason |
/// | `pause_reading` in `connection_made` | holds | does not | holds |
/// | several addresses | one after the other unless `happy_eyeballs_delay` is given | one after the other | Happy Eyeballs, 250 ms |
/// | time to connect | the kernel's, minutes | the same | 10 s, or [`Connect::timeout`](super::Connect::timeout) |
/// | time for a TLS handshake | 60 s | 60 s | 10 s, or as set for the connection or the listener |
/// | names are looked up | by the executor, which may be full of other jobs | by four threads, which do other work, too | by four threads that do nothing else |
/// | **Reading** | | | |
/// | read from one connection in a turn | 256 KiB | up to 32 times 250 KiB | 64 KiB |
/// | a reset while reading is paused | not noticed | not noticed | `connection_lost` |
/// | a reset after the peer's end | not noticed before a write | noticed | `connection_lost` |
/// | `is_reading` after the peer's end | true | false | false |
/// | `eof_received` on TLS | its answer means nothing | the same | half-closing works on TLS as on TCP |
/// | an end of TLS without close_notify | looks like a clean end | like a clean end, no `eof_received` | `connection_lost` with `UnexpectedEof`, no `eof_received` |
/// | **Writing** | | | |
/// | `write` | sends at once if nothing waits | sends at the end of the iteration, or at once above the high-water mark | sends at the end of the turn, all together, at most 64 KiB a turn |
/// | `pause_writing` | from inside `write` | from inside `write` | after the callback that overfilled the buffer, before any other event; [`Transport::is_writing_paused`] tells at once |
/// | default low-water mark | 16 KiB | 16 bytes | 16 KiB |
/// | default marks on TLS | 512 and 128 KiB | the same | 64 and 16 KiB, as on TCP |
/// | what the marks count on TLS | plaintext that is not encrypted yet: one write of 20 MB counts as nothing | the same | all that the system has not taken, as it is encrypted |
/// | `set_write_buffer_limits` | may pause at once; never resumes | the same | may do either, after the callback |
/// | an upper limit for what waits | none | none | [`Transport::set_write_buffer_cap`] |
/// | an error in `pause_writing`, `resume_writing` | is logged, no more | the same | the connection is lost for this reason |
/// | `write` after `close` | sent while something waits, else dropped; the log says so from the fifth time on | sent while something waits, then raises | dropped; the log says so the fifth time |
/// | `write` after `write_eof` | raises | raises | the same as after `close` |
/// | `write_eof` on TLS | raises | raises | close_notify and FIN |
/// | **Ending** | | | |
/// | after `close` | `resume_writing` may come; on TLS also `eof_received`, and data from inside `close` | `resume_writing` may come | only `connection_lost` |
/// | data that comes after `close` on TLS | `connection_lost` with an `SSLError` | is thrown away | is thrown away |
/// | `close` while the peer does not read | lasts for ever | lasts for ever | `TimedOut` after 5 s, or [`Transport::set_close_timeout`] |
/// | `close` on TLS | waits up to 30 s for the peer's close_notify | the same | sends its own and is done |
/// | `close` while the peer sends | a reset may overtake the last words | the same | the same; [`Transport::close_slowly`] prevents it |
/// | `abort` on TCP | a FIN, as if all had been sent | the same | the same; [`Transport::reset`] says that it was not |
/// | `connection_lost` after `close`, `abort` | in a later iteration, once nothing waits to be sent | the same | after the callback, before any other event, once nothing waits to be sent; in the next turn, if the connection did not stand yet |
/// | `connection_lost` is given | the exception, or `None` | the same | the [`Loop`], as there is no transport any more, and a [`Lost`] |
/// | a callback fails | an exception: the handler is told, the connection is lost | the same | a panic: the same; without one, [`Transport::fail`] |
/// | a protocol keeps | its transport | its transport | a [`ConnId`], and asks [`Loop::transport`] |
/// | **`start_tls`** | | | |
/// | TLS that was read before the call | is lost, and the handshake hangs | the same | is an argument, `leftover` |
/// | the transport, after it | is a new one | is a new one | is the same; [`tls_started`](Protocol::tls_started) tells that it is ready |
/// | the handshake takes too long | no `connection_lost` | `connection_lost` | `connection_lost` |
/// | **Servers** | | | |
/// | a call listens on | every address of a host, or of a list | the same | one address |
/// | an address in use | fails at once | fails at once | is tried again for 2 s |
/// | where it listens, or that it cannot | is returned | is returned | [`ProtocolFactory::listening`], [`ProtocolFactory::failed`] |
/// | connections that may wait (`backlog`) | 100 | 100 | 1024, or [`Listen::backlog`](super::Listen::backlog) |
/// | accepted in a turn | as many as may wait | 1 | 64 |
/// | `wait_closed` | at once (3.11), or when the last connection is gone (3.12.1) | at once | [`ProtocolFactory::closed`], when the last connection is gone; [`Loop::shut_down`] sets an end to that |
/// | a failed handshake | is silent | is silent | [`ProtocolFactory::handshake_failed`] |
/// | the most connections | no limit | no limit | [`Listen::max_connections`](super::Listen::max_connections), [`Listen::max_handshakes`](super::Listen::max_handshakes) |
/// | out of file descriptors | 100 log lines and 100 timers a second | closes those that wait | one log line in 5 s; tries again every 100 ms |
/// | **Time** | | | |
/// | timers of equal times | in any order | in the order of the calls | in the order of the calls |
/// | idle timeouts, receive deadlines | none | none | [`Transport::set_timeout`], [`timed_out`](Protocol::timed_out) |
///
/// # Example
///
/// To send much and keep little of it waiting: write until `pause_writing` is due, go on in `resume_writing`.
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

    /// More waits to be sent than the high-water mark: write no more for now. asyncio: `pause_writing`.
    fn pause_writing(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// What waits has sunk to the low-water mark: go on. asyncio: `resume_writing`.
    fn resume_writing(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The time of [`Transport::set_timeout`] is over. It does not repeat. Unless a protocol does something else, its
    /// connection is aborted. Not in asyncio.
    fn timed_out(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = state;
        transport.abort();
    }

    /// Somebody called [`Loop::wake`]: what this protocol waits for may have come into the state. Several calls may
    /// become one. Not in asyncio, where protocols hold each other.
    fn woken(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The handshake of [`Transport::start_tls`] is done; data may come again. asyncio: the return of `start_tls`.
    fn tls_started(&mut self, transport: &mut Transport<'_, S>, state: &mut S) {
        let _ = (transport, state);
    }

    /// The connection is gone, whether it was made or not. asyncio: `connection_lost`.
    fn connection_lost(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, lost: Lost) {
        let _ = (event_loop, state, lost);
    }
}

/// What there is to say of a connection that is gone.
///
/// | `why`, by its [`kind`](io::Error::kind) | what happened |
/// | --- | --- |
/// | none | `close`, `abort` or `reset` here, or the peer's end in good order |
/// | `ConnectionRefused`, or another of the system's | no address could be connected to; the text names each with its error |
/// | `NotFound`, or another of the resolver's | the name has no address |
/// | `AddrNotAvailable` | no address is of the family of [`Connect::local_addr`](super::Connect::local_addr) |
/// | `TimedOut` | connecting, the TLS handshake, or sending what waited after `close` took too long; or the system has given up |
/// | `ConnectionReset`, `BrokenPipe` | the peer has dropped the connection |
/// | `UnexpectedEof` | a TLS peer has ended without close_notify, or within the handshake: what came may be cut short |
/// | `InvalidData` | what came is no TLS, or the peer's certificate is not to be trusted (a `rustls::Error`) |
/// | `QuotaExceeded` | more than [`Transport::set_write_buffer_cap`] waited to be sent |
/// | `Other` | a callback has panicked: a [`Panicked`](super::Panicked) |
/// | `Unsupported`, `InvalidInput` | [`Transport::start_tls`] on TLS, or after `write_eof` |
/// | any | [`Transport::fail`] |
#[derive(Debug)]
pub struct Lost {
    /// Which one; the id finds nothing any more.
    pub id: ConnId,
    /// The peer's IP address; `None` if the connection did not stand, and on Unix sockets.
    pub peer: Option<SocketAddr>,
    /// `None` after `close`, `abort` or the peer's clean end, else what went wrong: the connection was refused, reset,
    /// cut short, timed out; or the protocol itself has panicked, or called [`Transport::fail`].
    pub why: Option<io::Error>,
}

/// What happens to a connection whose peer has ended its half.
///
/// To answer only when all has been said, and not at once:
///
/// ```
/// # use std::net::SocketAddr;
/// # use std::time::Duration;
/// #
/// # use proxy_herd::driver::sim::{Ending, Sim, Weather};
/// # use proxy_herd::event_loop::{AfterEof, Protocol, ServerSecurity, Transport};
/// #
/// struct Count(usize);
///
/// impl Protocol<()> for Count {
///     fn data_received(&mut self, _: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
///         self.0 += data.len();
///     }
///
///     fn eof_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) -> AfterEof {
///         let (id, answer) = (transport.id(), format!("{} bytes\n", self.0));
///         transport.event_loop().call_later(Duration::from_secs(1), move |event_loop, _| {
///             if let Some(mut transport) = event_loop.transport(id) {
///                 transport.write(answer.as_bytes());
///                 transport.close();
///             }
///         });
///         AfterEof::KeepOpen
///     }
/// }
///
/// # let mut sim = Sim::new(7, Weather::rough());
/// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// # let host = sim.add_host("Goloman", ());
/// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Count(0)));
/// let client = sim.connect(address);
/// sim.send(client, b"hello");
/// sim.half_close(client);
/// sim.run_for(Duration::from_secs(2));
/// assert_eq!(sim.received(client), b"5 bytes\n");
/// assert_eq!(sim.ending(client), Some(Ending::Fin));
/// ```
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
///
/// `closed` comes when the last connection is lost, and so not at all if the loop is stopped before.
///
/// A server that says where it listens, and counts those who do not speak TLS:
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// #
/// # use proxy_herd::driver::sim::{Sim, Weather};
/// # use proxy_herd::event_loop::{Address, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity, Transport};
/// # use rustls::{ServerConfig, crypto::ring, pki_types::PrivatePkcs8KeyDer};
/// #
/// # struct Echo;
/// #
/// # impl Protocol<Books> for Echo {
/// #     fn data_received(&mut self, transport: &mut Transport<'_, Books>, _: &mut Books, data: &[u8]) {
/// #         transport.write(data);
/// #     }
/// # }
/// #
/// #[derive(Default)]
/// struct Books {
///     address: Option<Address>,
///     strangers: Vec<std::io::ErrorKind>,
/// }
///
/// struct Entrance;
///
/// impl ProtocolFactory<Books> for Entrance {
///     fn protocol(&mut self, _: &mut Books) -> Box<dyn Protocol<Books>> {
///         Box::new(Echo)
///     }
///
///     fn listening(&mut self, _: &mut Loop<'_, Books>, books: &mut Books, address: &Address) {
///         books.address = Some(address.clone());
///     }
///
///     fn handshake_failed(&mut self, _: &mut Loop<'_, Books>, books: &mut Books, lost: &Lost) {
///         books.strangers.extend(lost.why.as_ref().map(|why| why.kind()));
///     }
/// }
///
/// # let made = rcgen::generate_simple_self_signed(["goloman.example".to_owned()])?;
/// # let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
/// # let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
/// #     .with_safe_default_protocol_versions()?
/// #     .with_no_client_auth()
/// #     .with_single_cert(vec![made.cert.der().clone()], key.into())?;
/// # let security = ServerSecurity::Tls(Arc::new(config));
/// let mut sim = Sim::new(7, Weather::rough());
/// let host = sim.add_host("Goloman", Books::default());
/// sim.enter(host, |event_loop, _| event_loop.listen(([127, 0, 0, 1], 0), security, Entrance));
/// let address = sim.state(host).address.clone().expect("the port was the system's choice");
/// let client = sim.connect(address);
/// sim.send(client, b"GET / HTTP/1.0\r\n\r\n");
/// sim.run_for(Duration::from_secs(1));
/// assert_eq!(sim.state(host).strangers, [std::io::ErrorKind::InvalidData]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait ProtocolFactory<S> {
    /// A connection was accepted: who serves it?
    fn protocol(&mut self, state: &mut S) -> Box<dyn Protocol<S>>;

    /// The socket is bound and accepts; `address` has the port that the system chose, if it was asked to.
    fn listening(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, address: &Address) {
        let _ = (event_loop, state, address);
    }

    /// The address, which `error` names, could not be bound; the listener is gone. Unless a factory does something else, the
    /// log says so.
    fn failed(&mut self, event_loop: &mut Loop<'_, S>, state: &mut S, error: io::Error) {
        let _ = (event_loop, state);
        log::error!("nobody listens: {error}");
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
