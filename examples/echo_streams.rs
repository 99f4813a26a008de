//! asyncio's TCP echo server, with streams: `cargo run --example echo_streams`, then `nc 127.0.0.1 8888`.
//!
//! To be read beside `echo_callbacks.rs`, which does the same, and
//! [asyncio's](https://docs.python.org/3/library/asyncio-stream.html#tcp-echo-server-using-streams). Beyond that one: who does not
//! read is not read from, and after Ctrl-C or SIGTERM those who are connected have ten seconds to finish; a second signal ends it
//! at once. The argument is where to listen.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, ServerSecurity, Signal};
use proxy_herd::streams::{Handle, StreamReader, StreamWriter, race};

fn main() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:8888").parse()?;
    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let main = handle.spawn_main(serve(handle.clone(), address));
    Sockets::new()?.run(&mut event_loop)?;
    main.result()?.map_err(|error| error.to_string().into())
}

/// Serves until a signal.
async fn serve(handle: Handle<()>, address: SocketAddr) -> io::Result<()> {
    let server = handle.start_server(address, ServerSecurity::Plain, greet).await?;
    println!("Serving on {}", server.address());
    race(handle.signal(Signal::Terminate), handle.signal(Signal::Interrupt)).await;
    // The second ends the process, as signals do that nobody waits for.
    println!("Shutting down");
    server.shut_down(GRACE);
    server.wait_closed().await;
    Ok(())
}

/// Serves one client.
async fn greet(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    let peer = writer.peer();
    println!("{peer} is here");
    let echoed = echo(&mut reader, &writer).await;
    let why = echoed.as_ref().err().map(|why| format!(": {why}")).unwrap_or_default();
    println!("{peer} is gone{why}");
    echoed
}

/// Sends back what comes.
async fn echo(reader: &mut StreamReader, writer: &StreamWriter) -> io::Result<()> {
    loop {
        let data = reader.read(64 * 1024).await?;
        if data.is_empty() {
            break;
        }
        writer.write(data);
        // Who does not read is not read from: without this, what it says would be kept for it, without end.
        writer.drain().await?;
    }
    writer.close();
    writer.wait_closed().await
}

/// How long those may stay who are there when the server is told to stop.
const GRACE: Duration = Duration::from_secs(10);
