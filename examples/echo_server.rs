//! asyncio's TCP echo server on this loop: `cargo run --example echo_server`, then `nc 127.0.0.1 8888`.
//!
//! To be read beside [asyncio's](https://docs.python.org/3/library/asyncio-protocol.html#tcp-echo-server). Beyond it: whoever
//! says nothing for a minute is left, whoever does not read is not read from, and SIGTERM or Ctrl-C gives those who are
//! connected ten seconds to finish.

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
    let address = SocketAddr::from(([127, 0, 0, 1], 8888));
    let mut event_loop = EventLoop::new(Outcome::Ok(()), Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        let listener = event_loop.listen(address, ServerSecurity::Plain, Entrance);
        for signal in [Signal::Terminate, Signal::Interrupt] {
            event_loop.add_signal_handler(signal, move |event_loop, _| event_loop.shut_down(listener, GRACE));
        }
    });
    Sockets::new()?.run(&mut event_loop)?;
    match event_loop.state() {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("cannot listen on {address}: {error}").into()),
    }
}

/// What the server came to: the state that all callbacks are lent.
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

/// Sends back what comes.
struct Echo;

impl Protocol<Outcome> for Echo {
    fn connection_made(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        if let Some(peer) = transport.peer_addr() {
            println!("{} connected from {peer}", transport.id());
        }
        transport.set_timeout(Some(PATIENCE));
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome, data: &[u8]) {
        println!("{} sent {:?}", transport.id(), String::from_utf8_lossy(data));
        transport.write(data);
        transport.set_timeout(Some(PATIENCE));
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        transport.pause_reading();
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        transport.resume_reading();
    }

    // `timed_out` aborts, and `eof_received` closes, unless they say otherwise.

    fn connection_lost(&mut self, _: &mut Loop<'_, Outcome>, _: &mut Outcome, lost: Lost) {
        match lost.why {
            None => println!("{} is gone", lost.id),
            Some(why) => println!("{} is gone: {why}", lost.id),
        }
    }
}

/// How long a client may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long clients may stay that are there when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
