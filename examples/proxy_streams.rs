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
use proxy_herd::event_loop::{ConnId, EventLoop, Security, ServerSecurity, Target};
use proxy_herd::streams::{Either, Handle, StreamReader, StreamWriter, join, race};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments.next().as_deref().unwrap_or("127.0.0.1:8889").parse()?;
    let upstream = arguments.next().unwrap_or_else(|| "localhost:8888".to_owned());
    let (host, port) = upstream.rsplit_once(':').ok_or("HOST:PORT is wanted")?;
    let upstream = (host, port.parse()?).into();

    let mut event_loop = EventLoop::new(Ok(()), Instant::now(), SystemTime::now());
    let handle = event_loop.enter(|event_loop, _| Handle::new(event_loop));
    let tasks = handle.clone();
    let main = async move {
        let end = serve(&tasks, address, upstream).await;
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

async fn serve(handle: &Handle<Outcome>, address: SocketAddr, upstream: Target) -> io::Result<()> {
    let tasks = handle.clone();
    let proxy = move |reader, writer| proxy(tasks.clone(), upstream.clone(), reader, writer);
    let server = handle.start_server(address, ServerSecurity::Plain, proxy).await?;
    println!("Serving on {}", server.address());
    server.serve_forever().await;
    Ok(())
}

/// Serves one client; when this returns, both connections are closed.
async fn proxy(
    handle: Handle<Outcome>,
    upstream: Target,
    mut from_client: StreamReader,
    to_client: StreamWriter,
) -> io::Result<()> {
    let client = to_client.id();
    // The second mistake cannot be made: a reader keeps a little, then its peer has to wait.
    let opened = handle.open_connection(upstream, Security::Plain).await;
    let (mut from_upstream, to_upstream) = match opened {
        Ok(upstream) => upstream,
        Err(why) => {
            reset(&handle, vec![client]).await;
            println!("{why}");
            return Err(why);
        }
    };
    // The third: 5 s, the default, may be too short for what waits when both have ended.
    to_client.set_close_timeout(Duration::from_secs(60));
    to_upstream.set_close_timeout(Duration::from_secs(60));

    let copied = async {
        let (up, down) = join(copy(&mut from_client, &to_upstream), copy(&mut from_upstream, &to_client)).await;
        up.and(down)
    };
    // Whoever is lost ends it, also while we wait for the other.
    let lost = race(to_client.wait_closed(), to_upstream.wait_closed());
    let outcome = match race(copied, lost).await {
        Either::Left(end) | Either::Right(Either::Left(end) | Either::Right(end)) => end,
    };
    if let Err(why) = &outcome {
        println!("{why}");
        reset(&handle, vec![client, to_upstream.id()]).await;
    }
    outcome
}

/// Copies until the end, and the end.
async fn copy(reader: &mut StreamReader, writer: &StreamWriter) -> io::Result<()> {
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

/// Ends a connection so that nobody takes it for a good end, as dropping its writer would be.
async fn reset(handle: &Handle<Outcome>, ids: Vec<ConnId>) {
    let resetting = handle.call(move |event_loop, _| {
        for id in ids {
            if let Some(mut transport) = event_loop.transport(id) {
                transport.reset();
            }
        }
    });
    resetting.await;
}
