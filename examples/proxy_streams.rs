//! A TCP proxy, with streams: `cargo run --example proxy_streams -- 127.0.0.1:8889 localhost:8888`.
//!
//! To be read beside `proxy_callbacks.rs`, which does the same. The arguments are where to listen, and where to connect each client
//! to. What either side sends is copied to the other, and so is the end of it; a reset of one side resets the other.
//!
//! asyncio invites three mistakes here, as
//! [an essay](https://vorpus.org/blog/some-thoughts-on-asynchronous-api-design-in-a-post-asyncawait-world/) on it has shown: to
//! write faster than the other side reads, to read before there is anywhere to write to, and to close before all is sent. Each
//! place is marked.

#![expect(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Security, ServerSecurity, Target};
use proxy_herd::streams::{Handle, StreamReader, StreamWriter, race, try_join};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:8889").parse()?;
    let upstream = arguments.next().as_deref().unwrap_or("localhost:8888").parse();
    let upstream = upstream.map_err(|error: io::Error| error.to_string())?;

    let mut event_loop = EventLoop::new((), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let main = handle.spawn_main(serve(handle.clone(), address, upstream));
    Sockets::new()?.run(&mut event_loop)?;
    main.result()?.map_err(|error| error.to_string().into())
}

async fn serve(handle: Handle<()>, address: SocketAddr, upstream: Target) -> io::Result<()> {
    let tasks = handle.clone();
    let entrance = move |reader, writer| proxy(tasks.clone(), upstream.clone(), reader, writer);
    let server = handle.start_server(address, ServerSecurity::Plain, entrance).await?;
    println!("Serving on {}", server.address());
    server.serve_forever().await;
    Ok(())
}

/// Serves one client; when this returns, both connections are closed.
async fn proxy(handle: Handle<()>, upstream: Target, reader: StreamReader, client: StreamWriter) -> io::Result<()> {
    // The second mistake cannot be made: a reader keeps a little, then its peer has to wait.
    let connected = handle.open_connection(upstream, Security::Plain).await;
    let (from_upstream, upstream) = connected.inspect_err(|why| fail(why, &[&client]))?;
    // The third: 5 s, the default, may be too short for what waits when both have ended.
    client.set_close_timeout(PATIENCE);
    upstream.set_close_timeout(PATIENCE);

    let copied = async { try_join(copy(reader, &upstream), copy(from_upstream, &client)).await.map(drop) };
    // Whoever is lost ends it, also while we wait for the other.
    let lost = async { race(client.wait_closed(), upstream.wait_closed()).await.into_inner() };
    let end = race(copied, lost).await.into_inner();
    end.inspect_err(|why| fail(why, &[&client, &upstream]))
}

/// Copies until the end, and the end.
async fn copy(mut reader: StreamReader, writer: &StreamWriter) -> io::Result<()> {
    loop {
        let data = reader.read(64 * 1024).await?;
        if data.is_empty() {
            writer.write_eof();
            return Ok(());
        }
        writer.write(data);
        // The first: without this, what one sends faster than the other reads would be kept, without end.
        writer.drain().await?;
    }
}

/// Ends connections so that nobody takes it for a good end, as dropping their writers would be.
fn fail(why: &io::Error, writers: &[&StreamWriter]) {
    println!("{why}");
    writers.iter().for_each(|writer| writer.reset());
}

/// How long either side may take to read what is left when both have ended.
const PATIENCE: Duration = Duration::from_secs(60);
