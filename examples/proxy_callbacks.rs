//! A TCP proxy, with callbacks: `cargo run --example proxy_callbacks -- 127.0.0.1:8889 localhost:8888`.
//!
//! To be read beside `proxy_streams.rs`, which does the same. The arguments are where to listen, and where to connect each client
//! to. What either side sends is copied to the other, and so is the end of it; a reset of one side resets the other.
//!
//! asyncio invites three mistakes here, as
//! [an essay](https://vorpus.org/blog/some-thoughts-on-asynchronous-api-design-in-a-post-asyncawait-world/) on it has shown: to
//! write faster than the other side reads, to read before there is anywhere to write to, and to close before all is sent. Each
//! place is marked.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{
    Address, AfterEof, ConnId, EventLoop, Loop, Lost, Protocol, ProtocolFactory, Security, ServerSecurity, Target,
    Transport,
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:8889").parse()?;
    let upstream = arguments.next().as_deref().unwrap_or("localhost:8888").parse();
    let upstream = upstream.map_err(|error: io::Error| error.to_string())?;

    let proxy = Proxy { upstream, ended: BTreeSet::new(), outcome: Ok(()) };
    let mut event_loop = EventLoop::new(proxy, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| event_loop.listen(address, ServerSecurity::Plain, Entrance));
    Sockets::new()?.run(&mut event_loop)?;
    event_loop.into_state().outcome.map_err(|error| error.to_string().into())
}

/// The state that all callbacks are lent.
struct Proxy {
    upstream: Target,
    /// Those whose peer has ended while the other side's has not.
    ended: BTreeSet<ConnId>,
    outcome: io::Result<()>,
}

struct Entrance;

impl ProtocolFactory<Proxy> for Entrance {
    fn protocol(&mut self, _: &mut Proxy) -> Box<dyn Protocol<Proxy>> {
        Box::new(Side { other: None })
    }

    fn listening(&mut self, _: &mut Loop<'_, Proxy>, _: &mut Proxy, address: &Address) {
        println!("Serving on {address}");
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Proxy>, proxy: &mut Proxy, error: io::Error) {
        proxy.outcome = Err(error);
        event_loop.stop();
    }
}

/// The client's connection, or the one made for it.
struct Side {
    /// None only before a client's connection is made.
    other: Option<ConnId>,
}

impl Protocol<Proxy> for Side {
    fn connection_made(&mut self, transport: &mut Transport<'_, Proxy>, proxy: &mut Proxy) {
        // The third mistake: 5 s, the default, may be too short for what waits when both have ended.
        transport.set_close_timeout(PATIENCE);
        let id = transport.id();
        let mut event_loop = transport.event_loop();
        if self.other.is_some() {
            self.other(&mut event_loop, |client| client.resume_reading());
        } else {
            let upstream = Self { other: Some(id) };
            self.other = Some(event_loop.connect(proxy.upstream.clone(), Security::Plain, upstream));
            // The second: what the client says at once would be kept, however much it is, until somebody is there to take it.
            transport.pause_reading();
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Proxy>, _: &mut Proxy, data: &[u8]) {
        self.other(&mut transport.event_loop(), |other| other.write(data));
    }

    // The first: without these two, what one sends faster than the other reads would be kept, without end.

    fn pause_writing(&mut self, transport: &mut Transport<'_, Proxy>, _: &mut Proxy) {
        self.other(&mut transport.event_loop(), |other| other.pause_reading());
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Proxy>, _: &mut Proxy) {
        self.other(&mut transport.event_loop(), |other| other.resume_reading());
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Proxy>, proxy: &mut Proxy) -> AfterEof {
        self.other(&mut transport.event_loop(), |other| other.write_eof());
        // Once both have ended, this side is closed, and then the other, when each has been sent what waits.
        if self.other.is_some_and(|other| proxy.ended.remove(&other)) {
            return AfterEof::Close;
        }
        proxy.ended.insert(transport.id());
        AfterEof::KeepOpen
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Proxy>, proxy: &mut Proxy, lost: Lost) {
        proxy.ended.remove(&lost.id);
        let Some(why) = lost.why else { return self.other(event_loop, |other| other.close()) };
        println!("{why}");
        self.other(event_loop, |other| other.reset());
    }
}

impl Side {
    /// Calls `visit` with the other side, if that is there.
    fn other(&self, event_loop: &mut Loop<'_, Proxy>, visit: impl FnOnce(&mut Transport<'_, Proxy>)) {
        if let Some(mut other) = self.other.and_then(|other| event_loop.transport(other)) {
            visit(&mut other);
        }
    }
}

/// How long either side may take to read what is left when both have ended.
const PATIENCE: Duration = Duration::from_secs(60);
