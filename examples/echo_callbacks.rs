//! asyncio's TCP echo server, with callbacks: `cargo run --example echo_callbacks`, then `nc 127.0.0.1 8888`.
//!
//! To be read beside `echo_streams.rs`, which does the same, and
//! [asyncio's](https://docs.python.org/3/library/asyncio-protocol.html#tcp-echo-server). Beyond that one: who does not read is not
//! read from, and after Ctrl-C or SIGTERM those who are connected have ten seconds to finish; a second signal ends it at once.
//! The argument is where to listen.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{
    Address, EventLoop, Loop, Lost, Protocol, ProtocolFactory, ServerSecurity, Signal, Transport,
};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        let listener = event_loop.listen(address, ServerSecurity::Plain, Entrance);
        for signal in SIGNALS {
            event_loop.add_signal_handler(signal, move |event_loop, _| {
                // The second ends the process, as signals do that nobody handles.
                for signal in SIGNALS {
                    event_loop.remove_signal_handler(signal);
                }
                println!("Shutting down");
                event_loop.shut_down(listener, GRACE);
            });
        }
    });
    Sockets::new()?.run(&mut event_loop)?;
    event_loop.into_state().map_err(|error| error.to_string().into())
}

/// What has come of it: the state that all callbacks are lent.
type Outcome = io::Result<()>;

/// What asyncio has in a `Server`, and in the call that makes one.
struct Entrance;

impl ProtocolFactory<Outcome> for Entrance {
    fn protocol(&mut self, _: &mut Outcome) -> Box<dyn Protocol<Outcome>> {
        Box::new(Echo)
    }

    fn listening(&mut self, _: &mut Loop<'_, Outcome>, _: &mut Outcome, address: &Address) {
        println!("Serving on {address}");
    }

    fn failed(&mut self, event_loop: &mut Loop<'_, Outcome>, outcome: &mut Outcome, error: io::Error) {
        *outcome = Err(error);
        event_loop.stop();
    }

    fn closed(&mut self, event_loop: &mut Loop<'_, Outcome>, _: &mut Outcome) {
        event_loop.stop();
    }
}

/// Serves one client: sends back what comes.
struct Echo;

impl Protocol<Outcome> for Echo {
    fn connection_made(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        if let Some(ends) = transport.endpoints() {
            println!("{} is here", ends.peer);
        }
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome, data: &[u8]) {
        transport.write(data);
    }

    // Who does not read is not read from: without these two, what it says would be kept for it, without end.

    fn pause_writing(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        transport.resume_reading();
    }

    // `eof_received` closes, unless it says otherwise: what waits is sent first.

    fn connection_lost(&mut self, _: &mut Loop<'_, Outcome>, _: &mut Outcome, lost: Lost) {
        let why = lost.why.map(|why| format!(": {why}")).unwrap_or_default();
        if let Some(peer) = lost.peer {
            println!("{peer} is gone{why}");
        }
    }
}

/// What has the server stop.
const SIGNALS: [Signal; 2] = [Signal::Terminate, Signal::Interrupt];

/// How long those may stay who are there then.
const GRACE: Duration = Duration::from_secs(10);
