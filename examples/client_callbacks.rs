//! A line client with a timeout, with callbacks: `cargo run --example client_callbacks -- localhost:8888 "Hello World!" Bye`.
//!
//! To be read beside `client_streams.rs`, which does the same. Each argument after the server is sent as a line, once the line
//! before it is answered by one. The name is looked up on a thread, all of its addresses are tried (Happy Eyeballs, RFC 8305), and
//! whatever goes wrong is the exit code.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{AfterEof, Connect, EventLoop, Loop, Lost, Protocol, Target, Transport};
use proxy_herd::wire::lines::{Line, LineBuffer};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "localhost:8888".to_owned());
    let target: Target = server.parse().map_err(|error: io::Error| error.to_string())?;
    let connect = Connect::to(target).timeout(PATIENCE);

    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        let client = Client { questions: arguments.collect(), answers: LineBuffer::new(LIMIT) };
        event_loop.connect_with(connect, client);
    });
    Sockets::new()?.run(&mut event_loop)?;
    event_loop.into_state().map_err(|error| format!("{server}: {error}").into())
}

/// What has come of it: the state that all callbacks are lent.
type Outcome = io::Result<()>;

struct Client {
    questions: VecDeque<String>,
    answers: LineBuffer,
}

impl Client {
    fn ask(&mut self, transport: &mut Transport<'_, Outcome>) {
        let Some(question) = self.questions.pop_front() else { return transport.close() };
        transport.writelines([question.as_bytes(), b"\n"]);
        // For the whole answer, in however many pieces it comes: only the next question renews it.
        transport.set_timeout(Some(PATIENCE));
    }
}

impl Protocol<Outcome> for Client {
    fn connection_made(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        self.ask(transport);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome, mut data: &[u8]) {
        while !transport.is_closing() {
            // Fed once, then asked for line after line: between two, `ask` needs all of `self`.
            match self.answers.feed(std::mem::take(&mut data)).next() {
                Some(Line::Whole(answer)) => println!("{}", String::from_utf8_lossy(answer)),
                Some(Line::TooLong(_)) => return transport.fail(io::Error::other("its answer is too long")),
                None => return,
            }
            self.ask(transport);
        }
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) {
        transport.fail(io::Error::other("it does not answer"));
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Outcome>, _: &mut Outcome) -> AfterEof {
        transport.fail(io::Error::other("it has gone without an answer"));
        AfterEof::Close
    }

    /// Called in any case, also if nobody could be connected to.
    fn connection_lost(&mut self, event_loop: &mut Loop<'_, Outcome>, outcome: &mut Outcome, lost: Lost) {
        *outcome = lost.why.map_or(Ok(()), Err);
        event_loop.stop();
    }
}

/// How long the server may take to be connected to, and for each answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of an answer, its `\n` not counted.
const LIMIT: usize = 64 * 1024;
