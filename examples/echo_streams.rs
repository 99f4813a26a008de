//! asyncio's TCP echo server, with streams: `cargo run --example echo_streams`, then `nc 127.0.0.1 8888`.
//!
//! To be read beside `echo_callbacks.rs`, which does the same, and
//! [asyncio's](https://docs.python.org/3/library/asyncio-stream.html#tcp-echo-server-using-streams). Beyond that one: who does not
//! read is not read from, and after Ctrl-C or SIGTERM those who are connected have ten seconds to finish. The argument is where to
//! listen.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, ServerSecurity, Signal};
use proxy_herd::streams::{Handle, StreamReader, StreamWriter};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let tasks = handle.clone();
    let main = async move {
        let end = serve(&tasks, address).await;
        tasks.call_soon(|event_loop, outcome| {
            *outcome = end;
            event_loop.stop();
        });
    };
    handle.spawn(main).detach();
    Sockets::new()?.run(&mut event_loop)?;
    match event_loop.state() {
        Ok(()) => Ok(()),
        Err(error) => Err(error.to_string().into()),
    }
}

/// What has come of it: the state that is lent to whoever asks for it.
type Outcome = io::Result<()>;

/// Serves until a signal.
async fn serve(handle: &Handle<Outcome>, address: SocketAddr) -> io::Result<()> {
    let server = handle.start_server(address, ServerSecurity::Plain, greet).await?;
    println!("Serving on {}", server.address());
    let listener = server.listener();
    let handle_signals = handle.call(move |event_loop, _| {
        for signal in [Signal::Terminate, Signal::Interrupt] {
            event_loop.add_signal_handler(signal, move |event_loop, _| {
                println!("Shutting down");
                event_loop.shut_down(listener, GRACE);
            });
        }
    });
    handle_signals.await;
    server.wait_closed().await;
    Ok(())
}

/// Serves one client; when this returns, its connection is closed.
async fn greet(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    let peer = writer.peer();
    println!("{peer} is here");
    let echoed = echo(&mut reader, &writer).await;
    match &echoed {
        Ok(()) => println!("{peer} is gone"),
        Err(why) => println!("{peer} is gone: {why}"),
    }
    echoed
}

/// Sends back what comes.
async fn echo(reader: &mut StreamReader, writer: &StreamWriter) -> io::Result<()> {
    loop {
        let data = reader.read(64 * 1024).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(data);
        writer.drain().await?;
    }
}

/// How long those may stay who are there when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
