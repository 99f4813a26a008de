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
use proxy_herd::event_loop::{Connect, EventLoop, Target};
use proxy_herd::streams::{Elapsed, Handle, ReadError};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let server = arguments.next().unwrap_or_else(|| "localhost:8888".to_owned());
    let target: Target = server.parse().map_err(|error: io::Error| error.to_string())?;
    let connect = Connect::to(target).timeout(PATIENCE);

    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let main = handle.spawn_main(ask(handle.clone(), connect, arguments));
    Sockets::new()?.run(&mut event_loop)?;
    main.result()?.map_err(|error| format!("{server}: {error}").into())
}

async fn ask(handle: Handle<()>, connect: Connect, questions: impl Iterator<Item = String>) -> io::Result<()> {
    let (mut reader, writer) = handle.open_connection_with(connect).await?;
    reader.set_limit(LIMIT);
    for question in questions {
        writer.writelines([question.as_bytes(), b"\n"]);
        // For the whole answer, in however many pieces it comes.
        let trouble = match handle.timeout(PATIENCE, reader.read_line()).await {
            Ok(Ok([answer @ .., b'\n'])) => {
                println!("{}", String::from_utf8_lossy(answer));
                continue;
            }
            Ok(Err(ReadError::LimitOverrun { .. })) => "its answer is too long",
            Err(Elapsed) => "it does not answer",
            Ok(Ok(_)) => "it has gone without an answer",
            Ok(Err(error)) => return Err(error.into()),
        };
        return Err(io::Error::other(trouble));
    }
    writer.close();
    writer.wait_closed().await
}

/// How long the server may take to be connected to, and for each answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most bytes of an answer, its `\n` not counted.
const LIMIT: usize = 64 * 1024;
