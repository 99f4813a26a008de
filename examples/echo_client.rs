//! asyncio's TCP echo client on this loop: `cargo run --example echo_client -- localhost:8888 "Hello World!"`.
//!
//! To be read beside [asyncio's](https://docs.python.org/3/library/asyncio-protocol.html#tcp-echo-client). The name is looked up on
//! a thread, all of its addresses are tried (Happy Eyeballs, RFC 8305), and whatever goes wrong is the exit code.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{Connect, EventLoop, Loop, Lost, Protocol, Transport};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "localhost:8888".to_owned());
    let message = arguments.next().unwrap_or_else(|| "Hello World!".to_owned());
    let (host, port) = server.rsplit_once(':').ok_or("HOST:PORT is wanted")?;
    let target = (host, port.parse()?);

    let mut event_loop = EventLoop::new(Answer::default(), Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        event_loop.connect_with(Connect::to(target).timeout(Duration::from_secs(3)), EchoClient { message });
    });
    Sockets::new()?.run(&mut event_loop)?;
    match &event_loop.state().failure {
        None => Ok(()),
        Some(why) => Err(format!("{server}: {why}").into()),
    }
}

/// What has come of it: the state that all callbacks are lent.
#[derive(Default)]
struct Answer {
    bytes: Vec<u8>,
    failure: Option<io::Error>,
}

struct EchoClient {
    message: String,
}

impl Protocol<Answer> for EchoClient {
    fn connection_made(&mut self, transport: &mut Transport<'_, Answer>, _: &mut Answer) {
        transport.write(self.message.as_bytes());
        println!("Data sent: {:?}", self.message);
        // The server will have heard it all, answer, and close.
        transport.write_eof();
        transport.set_timeout(Some(Duration::from_secs(3)));
    }

    fn data_received(&mut self, _: &mut Transport<'_, Answer>, answer: &mut Answer, data: &[u8]) {
        answer.bytes.extend_from_slice(data);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Answer>, _: &mut Answer) {
        transport.fail(io::Error::new(io::ErrorKind::TimedOut, "it does not answer"));
    }

    /// Called in any case, also if nobody could be connected to.
    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Answer>, answer: &mut Answer, lost: Lost) {
        answer.failure = lost.why;
        if answer.failure.is_none() {
            println!("Data received: {:?}", String::from_utf8_lossy(&answer.bytes));
        }
        event_loop.stop();
    }
}
