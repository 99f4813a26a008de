//! A line client with a timeout, with streams: `cargo run --example client_streams -- localhost:8888 "Hello World!" Bye`.
//!
//! To be read beside `client_callbacks.rs`, which does the same. Each argument after the server is sent as a line, once the line
//! before it is answered by one. The name is looked up on a thread, all of its addresses are tried (Happy Eyeballs, RFC 8305), and
//! whatever goes wrong is the exit code.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{Connect, EventLoop};
use proxy_herd::streams::{Elapsed, Handle, ReadError};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "localhost:8888".to_owned());
    let (host, port) = server.rsplit_once(':').ok_or("HOST:PORT is wanted")?;
    let connect = Connect::to((host, port.parse()?)).timeout(PATIENCE);

    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let tasks = handle.clone();
    let main = async move {
        let end = ask(&tasks, connect, arguments).await;
        tasks.call_soon(|event_loop, outcome| {
            *outcome = end;
            event_loop.stop();
        });
    };
    handle.spawn(main).detach();
    Sockets::new()?.run(&mut event_loop)?;
    match event_loop.state() {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("{server}: {error}").into()),
    }
}

/// What has come of it: the state that is lent to whoever asks for it.
type Outcome = io::Result<()>;

async fn ask(handle: &Handle<Outcome>, connect: Connect, questions: impl Iterator<Item = String>) -> io::Result<()> {
    let (mut reader, writer) = handle.open_connection_with(connect).await?;
    reader.set_limit(LIMIT);
    for question in questions {
        writer.writelines([question.as_bytes(), b"\n"]);
        // For the whole answer, in however many pieces it comes.
        let answer = match handle.timeout(PATIENCE, reader.read_line()).await {
            Ok(Err(ReadError::LimitOverrun { .. })) => return Err(io::Error::other("its answer is too long")),
            Ok(answer) => answer?,
            Err(Elapsed) => return Err(io::Error::other("it does not answer")),
        };
        let Some(answer) = answer.strip_suffix(b"\n") else {
            return Err(io::Error::other("it has gone without an answer"));
        };
        println!("{}", String::from_utf8_lossy(answer));
    }
    writer.close();
    writer.wait_closed().await
}

/// How long the server may take to be connected to, and for each answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of an answer, its `\n` not counted.
const LIMIT: usize = 64 * 1024;
