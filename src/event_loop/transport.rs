//! One connection, as lent to a callback: asyncio's Transport.
//!
//! Every method may be called at any time: what comes too late, on a connection that is closing or gone, does nothing. None of
//! them calls a protocol.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use super::address::Endpoints;
use super::channel::{StartTls, TlsInfo};
use super::connection::{Connection, Marks, Phase, Reading};
use super::handle::Loop;
use super::hub::Hub;
use super::id::{ConnId, ListenerId};
use super::protocol::Protocol;

/// A connection for as long as a callback runs; keep its [`id`](Transport::id) and ask
/// [`Loop::transport`](super::Loop::transport) for longer. asyncio's
/// [`Transport`](https://docs.python.org/3/library/asyncio-protocol.html#transports).
///
/// Whoever says nothing for ten seconds is told so, and left:
///
/// ```
/// use std::net::SocketAddr;
/// use std::time::Duration;
///
/// use proxy_herd::driver::sim::{Ending, Sim, Weather};
/// use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
///
/// struct Impatient;
///
/// impl Protocol<()> for Impatient {
///     fn connection_made(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
///         transport.set_timeout(Some(Duration::from_secs(10)));
///     }
///
///     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {
///         transport.set_timeout(Some(Duration::from_secs(10)));
///     }
///
///     fn timed_out(&mut self, transport: &mut Transport<'_, ()>, _: &mut ()) {
///         transport.write(b"good-bye\n");
///         transport.close();
///     }
/// }
///
/// let mut sim = Sim::new(7, Weather::rough());
/// let address = SocketAddr::from(([127, 0, 0, 1], 7));
/// let host = sim.add_host("Goloman", ());
/// sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Impatient));
/// let client = sim.connect(address);
/// sim.run_for(Duration::from_secs(9));
/// assert_eq!(sim.ending(client), None);
/// sim.run_for(Duration::from_secs(2));
/// assert_eq!(sim.received(client), b"good-bye\n");
/// assert_eq!(sim.ending(client), Some(Ending::Fin));
/// ```
pub struct Transport<'a, S> {
    id: ConnId,
    hub: &'a mut Hub<S>,
}

impl<'a, S> Transport<'a, S> {
    pub(super) fn new(id: ConnId, hub: &'a mut Hub<S>) -> Self {
        Self { id, hub }
    }

    /// The connection's name.
    pub fn id(&self) -> ConnId {
        self.id
    }

    /// The loop that the connection lives on.
    pub fn event_loop(&mut self) -> Loop<'_, S> {
        Loop::new(self.hub)
    }

    /// The listener that accepted the connection; `None` if we connected. Not in asyncio.
    pub fn listener(&self) -> Option<ListenerId> {
        self.connection().rare.listener
    }

    /// The addresses of both ends; `None` while the connection is being made.
    pub fn endpoints(&self) -> Option<&Endpoints> {
        self.connection().rare.endpoints.as_ref()
    }

    /// The peer's IP address; `None` while the connection is being made, and on Unix sockets.
    /// asyncio: `get_extra_info("peername")`.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.endpoints().and_then(|endpoints| endpoints.peer.ip())
    }

    /// Our IP address; `None` while the connection is being made, and on Unix sockets.
    /// asyncio: `get_extra_info("sockname")`.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.endpoints().and_then(|endpoints| endpoints.local.ip())
    }

    /// What was agreed on in the TLS handshake, as far as it is done; `None` on plain TCP. asyncio: `get_extra_info` of
    /// `"ssl_object"`, `"cipher"`, `"peercert"`.
    pub fn tls_info(&self) -> Option<TlsInfo<'_>> {
        self.connection().channel.info()
    }

    fn connection(&self) -> &Connection {
        // A transport is lent for a callback, and slots are freed only between callbacks.
        &self.hub.connections[self.id.index()]
    }
}

/// Reading.
impl<S> Transport<'_, S> {
    /// No `data_received` and no `eof_received` from now on, until `resume_reading`; the system's buffer fills, and then the
    /// peer's. A reset is told all the same. The second call in a row does nothing. asyncio: `pause_reading`.
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// /// Reads once a second.
    /// struct Slow;
    ///
    /// impl Protocol<usize> for Slow {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, usize>, count: &mut usize, data: &[u8]) {
    ///         *count += data.len();
    ///         transport.pause_reading();
    ///         let id = transport.id();
    ///         transport.event_loop().call_later(Duration::from_secs(1), move |event_loop, _| {
    ///             if let Some(mut transport) = event_loop.transport(id) {
    ///                 transport.resume_reading();
    ///             }
    ///         });
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", 0);
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut usize| Slow));
    /// let client = sim.connect(address);
    /// sim.send(client, &[b'x'; 100_000]);
    /// sim.run_for(Duration::from_millis(500));
    /// let at_first = *sim.state(host);
    /// sim.run_for(Duration::from_millis(400));
    /// assert_eq!(*sim.state(host), at_first);
    /// sim.run_for(Duration::from_secs(60));
    /// assert_eq!(*sim.state(host), 100_000);
    /// ```
    pub fn pause_reading(&mut self) {
        if let Some(connection) = self.hub.live(self.id)
            && connection.reading == Reading::Flowing
        {
            connection.reading = Reading::Paused;
        }
    }

    /// Goes on reading, in this turn or the next: first what came meanwhile, then the peer's end. asyncio: `resume_reading`.
    pub fn resume_reading(&mut self) {
        self.hub.resume_reading(self.id);
    }

    /// Whether data may come: reading is not paused, the peer has not ended its half, and the connection is not closing.
    /// asyncio: `is_reading`, which stays true after the peer's end.
    pub fn is_reading(&self) -> bool {
        let connection = self.connection();
        connection.reading == Reading::Flowing && !connection.is_closing()
    }
}

/// Writing.
impl<S> Transport<'_, S> {
    /// Sends `data`, in the order of the calls. It is buffered and leaves at the end of the turn, together with whatever
    /// else was written; errors come to `connection_lost`. After `close` or `write_eof` it is dropped (asyncio raises
    /// after `write_eof`), and the fifth time the log says so. The buffer has no limit of its own: obey `pause_writing`, or
    /// set a [cap](Self::set_write_buffer_cap).
    pub fn write(&mut self, data: &[u8]) {
        self.hub.write(self.id, data);
    }

    /// The same as writing each part. asyncio: `writelines`.
    pub fn writelines<'b>(&mut self, parts: impl IntoIterator<Item = &'b [u8]>) {
        for part in parts {
            self.write(part);
        }
    }

    /// Sends what waits, then a FIN (on TLS, close_notify before it); reading goes on. asyncio: `write_eof`, TCP only.
    pub fn write_eof(&mut self) {
        self.hub.write_eof(self.id);
    }

    /// How many bytes wait: the system has not taken them yet. On TLS they are counted as they are encrypted; before the
    /// handshake is done, as they were written. asyncio: `get_write_buffer_size`.
    pub fn write_buffer_size(&self) -> usize {
        self.connection().unsent()
    }

    /// Whether the write buffer went over the high-water mark and has not sunk to the low one: `pause_writing` was
    /// called, or will be when this callback has returned. Not in asyncio.
    pub fn is_writing_paused(&self) -> bool {
        self.connection().is_writing_paused()
    }

    /// Sets the marks: `pause_writing` is due when more than `high` bytes wait, `resume_writing` when at most `low` do. Either
    /// may be due at once. Default: 64 KiB and 16 KiB. asyncio: `set_write_buffer_limits`.
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// type Told = Vec<&'static str>;
    ///
    /// struct Careful;
    ///
    /// impl Protocol<Vec<&'static str>> for Careful {
    ///     fn connection_made(&mut self, transport: &mut Transport<'_, Told>, told: &mut Told) {
    ///         transport.set_write_buffer_limits(10, 2);
    ///         transport.write(b"ten bytes.");
    ///         assert!(!transport.is_writing_paused());
    ///         transport.write(b"!");
    ///         // Known at once; told when this callback has returned.
    ///         assert!(transport.is_writing_paused() && told.is_empty());
    ///     }
    ///
    ///     fn data_received(&mut self, _: &mut Transport<'_, Told>, _: &mut Told, _: &[u8]) {}
    ///
    ///     fn pause_writing(&mut self, _: &mut Transport<'_, Told>, told: &mut Told) {
    ///         told.push("pause");
    ///     }
    ///
    ///     fn resume_writing(&mut self, transport: &mut Transport<'_, Told>, told: &mut Told) {
    ///         assert!(transport.write_buffer_size() <= 2);
    ///         told.push("resume");
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", Vec::new());
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut Told| Careful));
    /// sim.connect(address);
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!(*sim.state(host), ["pause", "resume"]);
    /// ```
    ///
    /// # Panics
    ///
    /// If `low` is greater than `high`.
    pub fn set_write_buffer_limits(&mut self, high: usize, low: usize) {
        assert!(low <= high, "the low-water mark ({low}) is above the high-water mark ({high})");
        if let Some(connection) = self.hub.live(self.id) {
            connection.marks = Marks::new(high, low);
            self.hub.touched(self.id);
        }
    }

    /// The marks, low and high. asyncio: `get_write_buffer_limits`.
    pub fn write_buffer_limits(&self) -> (usize, usize) {
        self.connection().marks.limits()
    }

    /// Has at most so many bytes read in a turn, at least 1: the driver's 64 KiB unless set. With less, others have their turn
    /// sooner. asyncio: the constant `max_size`, 256 KiB.
    pub fn set_read_size(&mut self, most: usize) {
        if let Some(connection) = self.hub.live(self.id) {
            connection.read_size = u32::try_from(most.max(1)).unwrap_or(u32::MAX);
        }
    }

    /// Ends the connection (`QuotaExceeded`) as soon as a write leaves more than `cap` bytes waiting, and more than the
    /// high-water mark, whoever wrote. There is no cap unless it is set. Not in asyncio, where a protocol that does not obey
    /// `pause_writing` fills the memory.
    pub fn set_write_buffer_cap(&mut self, cap: usize) {
        if let Some(connection) = self.hub.live(self.id) {
            connection.rare.write_cap = cap;
        }
    }
}

/// Ending.
impl<S> Transport<'_, S> {
    /// Sends what waits, within the [close timeout](Self::set_close_timeout), then closes; nothing more is received. A
    /// connection that does not stand yet is given up. asyncio: `close`.
    ///
    /// The peer sees a FIN; or a reset, which the system sends by itself if something that the peer sent was not read, or
    /// comes after the FIN: see [`close_slowly`](Self::close_slowly).
    pub fn close(&mut self) {
        self.hub.close(self.id, Phase::Closing(None));
    }

    /// Closes a connection whose peer is still sending: [`close`](Self::close) would reset it, and the reset may overtake our
    /// last words. After the last byte a FIN is sent, and what still comes is thrown away until the peer ends, too, or
    /// `patience` is over, or more than 256 KiB came. Not in asyncio (nginx: `lingering_close`).
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// struct Refuse;
    ///
    /// impl Protocol<()> for Refuse {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), _: &[u8]) {
    ///         transport.write(b"too long\n");
    ///         transport.close_slowly(Duration::from_secs(5));
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", ());
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Refuse));
    /// let client = sim.connect(address);
    /// sim.send(client, &[b'x'; 100_000]);
    /// sim.half_close(client);
    /// sim.run_for(Duration::from_secs(4));
    /// assert_eq!(sim.received(client), b"too long\n");
    /// // With `close`, it is `Reset`; and the words may be lost.
    /// assert_eq!(sim.ending(client), Some(Ending::Fin));
    /// ```
    pub fn close_slowly(&mut self, patience: Duration) {
        self.hub.close(self.id, Phase::ClosingSlowly(patience));
    }

    /// Sets how long a later `close` may take to send what waits, before `connection_lost` comes with `TimedOut`: 5 s unless
    /// set. Not in asyncio.
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// type End = Option<Lost>;
    ///
    /// struct Flood;
    ///
    /// impl Protocol<End> for Flood {
    ///     fn connection_made(&mut self, transport: &mut Transport<'_, End>, _: &mut End) {
    ///         transport.set_close_timeout(Duration::from_secs(1));
    ///         transport.write(&vec![0; 1_000_000]);
    ///         transport.close();
    ///     }
    ///
    ///     fn data_received(&mut self, _: &mut Transport<'_, End>, _: &mut End, _: &[u8]) {}
    ///
    ///     fn connection_lost(&mut self, _: &mut Loop<'_, End>, end: &mut End, lost: Lost) {
    ///         *end = Some(lost);
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", None);
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut End| Flood));
    /// let client = sim.connect(address);
    /// sim.stop_reading(client);
    /// sim.run_for(Duration::from_secs(2));
    /// let why = sim.state(host).as_ref().and_then(|lost| lost.why.as_ref());
    /// assert_eq!(why.expect("it could not be sent").kind(), std::io::ErrorKind::TimedOut);
    /// ```
    pub fn set_close_timeout(&mut self, timeout: Duration) {
        if let Some(connection) = self.hub.live(self.id) {
            connection.rare.close_timeout = timeout.into();
        }
    }

    /// Closes at once; what waits is thrown away. The peer gets what the system had taken, then sees the same end as after
    /// [`close`](Self::close); on TLS without close_notify, so that it knows of the cut. asyncio: `abort`.
    pub fn abort(&mut self) {
        self.hub.end(self.id, None);
    }

    /// Closes at once, with a reset: so the peer cannot take what it got for all there was. On Unix sockets it is `abort`.
    /// Not in asyncio (Node.js: `resetAndDestroy`).
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// struct Short;
    ///
    /// impl Protocol<()> for Short {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
    ///         transport.write(b"the first half of ");
    ///         match data {
    ///             b"r" => transport.reset(),
    ///             _ => transport.abort(),
    ///         }
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", ());
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Short));
    /// let [one, other] = [b"r", b"a"].map(|letter| {
    ///     let client = sim.connect(address);
    ///     sim.send(client, letter);
    ///     client
    /// });
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!((sim.received(one), sim.ending(one)), (&b""[..], Some(Ending::Reset)));
    /// assert_eq!((sim.received(other), sim.ending(other)), (&b""[..], Some(Ending::Fin)));
    /// ```
    pub fn reset(&mut self) {
        self.hub.reset(self.id);
    }

    /// Closes at once, as [`abort`](Self::abort), and has `connection_lost` say why: what asyncio makes of an exception in a
    /// callback.
    pub fn fail(&mut self, why: io::Error) {
        self.hub.end(self.id, Some(why));
    }

    /// Whether the connection is closing or gone: what is written now is dropped. asyncio: `is_closing`.
    pub fn is_closing(&self) -> bool {
        self.connection().is_closing()
    }
}

/// Time, another protocol, TLS.
impl<S> Transport<'_, S> {
    /// Has `timed_out` called once, after `timeout`; replaces what was set before, `None` takes it back. To set it again and
    /// again, for every message, costs next to nothing. Before the connection is made, and while TLS is being started, it
    /// does nothing: until then the times of [`Connect`](super::Connect) and [`Listen`](super::Listen) count. Not in asyncio.
    ///
    /// Nothing else renews it. Set in `data_received`, it is an idle timeout. Set when a message begins and not again
    /// before it is complete, it is a receive deadline, which a peer cannot put off by sending a byte now and then.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        let at = timeout.map(|timeout| self.hub.after(timeout));
        if self.hub.live(self.id).is_some_and(|connection| matches!(connection.phase, Phase::Open)) {
            self.hub.set_deadline(self.id, at);
        }
    }

    /// Hands the connection to another protocol, as soon as this callback has returned: from then on that one is called,
    /// `connection_lost` included, but without a `connection_made`. This one is dropped. asyncio: `set_protocol`.
    ///
    /// The next protocol is not told again what this one was told, as that writing is paused: it can
    /// [ask](Self::is_writing_paused). What this one was given and is the next one's business has to be handed over:
    ///
    /// ```
    /// # use std::{net::SocketAddr, time::Duration};
    /// # use proxy_herd::{driver::sim::*, event_loop::*};
    /// #
    /// struct Echo;
    ///
    /// impl Protocol<()> for Echo {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, ()>, _: &mut (), data: &[u8]) {
    ///         transport.write(data);
    ///     }
    /// }
    ///
    /// /// Who comes says a name first.
    /// #[derive(Default)]
    /// struct Greet(Vec<u8>);
    ///
    /// impl Protocol<()> for Greet {
    ///     fn data_received(&mut self, transport: &mut Transport<'_, ()>, state: &mut (), data: &[u8]) {
    ///         self.0.extend_from_slice(data);
    ///         let Some(end) = self.0.iter().position(|byte| *byte == b'\n') else { return };
    ///         let (name, rest) = self.0.split_at(end + 1);
    ///         transport.writelines([b"hello ", name]);
    ///         Echo.data_received(transport, state, rest);
    ///         transport.set_protocol(Echo);
    ///     }
    /// }
    ///
    /// # let mut sim = Sim::new(7, Weather::rough());
    /// # let address = SocketAddr::from(([127, 0, 0, 1], 7));
    /// # let host = sim.add_host("Goloman", ());
    /// # sim.enter(host, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut ()| Greet::default()));
    /// let client = sim.connect(address);
    /// sim.send(client, b"Ann\nHow are you?\n");
    /// sim.run_for(Duration::from_secs(1));
    /// assert_eq!(sim.received(client), b"hello Ann\nHow are you?\n");
    /// ```
    pub fn set_protocol(&mut self, protocol: impl Protocol<S> + 'static) {
        if self.hub.live(self.id).is_some() {
            self.hub.newborns.push_back((self.id, Box::new(protocol)));
        }
    }

    /// Puts TLS on this connection: what was written before leaves as it is, whatever is written now is encrypted. No data
    /// comes until the handshake is done, which [`Protocol::tls_started`] tells; if it fails, or takes longer than
    /// [`Connect`](super::Connect) or [`Listen`](super::Listen) give a handshake, `connection_lost` tells why. A timeout that
    /// was set is taken back. To close meanwhile is to abort. On a connection that does not stand yet it does nothing; on TLS,
    /// after `write_eof` and after the peer's end it ends the connection. asyncio: `start_tls`.
    ///
    /// `leftover` is what the protocol was given and has not used: all that came after the words by which both agreed to
    /// begin. Hand over everything: it has to be TLS. Commands that came in the clear with the request to begin (the
    /// injection of CVE-2011-0411) are not, and end the connection; a protocol that keeps them would later take them for
    /// encrypted. [`StartTls`] has an example.
    pub fn start_tls(&mut self, start: StartTls, leftover: &[u8]) {
        self.hub.start_tls(self.id, start, leftover);
    }
}
