//! Echo servers: the loop's in callbacks and in streams, and one of a few lines on mio to hold them against.
//!
//! The raw server is the least that mio allows: edge-triggered, registered once, one read and one write for each
//! message, a short read taken for "drained". It trusts its client to read (a full socket ends it), which the loop
//! does not: the difference is what buffering, fairness and protocols cost.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll, Token};
use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{Address, EventLoop, Loop, Lost, Protocol, ServerSecurity, Transport};
use proxy_herd::streams::{Handle, StreamReader, StreamWriter};
use slab::Slab;

use super::clients::{Case, Serve, Talk};

pub(crate) const CASES: [Case; 5] = [
    Case { connections: 1, depth: 1 },
    Case { connections: 1, depth: 16 },
    Case { connections: 50, depth: 1 },
    Case { connections: 50, depth: 16 },
    Case { connections: 1_000, depth: 1 },
];

/// As long as an IAMAT.
pub(crate) const MESSAGE: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";

/// The same again and again, and back.
pub(crate) const TALK: Talk = Talk { line: MESSAGE, answer: MESSAGE.len(), renew: |_, _| {} };

/// Whom to measure, the bare one first.
pub(crate) const SERVERS: [(&str, Serve); 2] = [("mio", on_bare_mio), ("loop", in_callbacks)];

/// Says what it hears; the state is the number of connections.
pub(crate) struct Echo {
    pub(crate) timeout: Option<Duration>,
}

impl Protocol<usize> for Echo {
    fn connection_made(&mut self, _: &mut Transport<'_, usize>, connections: &mut usize) {
        *connections += 1;
    }

    fn data_received(&mut self, transport: &mut Transport<'_, usize>, _: &mut usize, data: &[u8]) {
        transport.write(data);
        if self.timeout.is_some() {
            transport.set_timeout(self.timeout);
        }
    }

    fn connection_lost(&mut self, event_loop: &mut Loop<'_, usize>, connections: &mut usize, _: Lost) {
        leave(event_loop, connections);
    }
}

pub(crate) fn in_callbacks(listener: TcpListener) {
    let address = listener.local_addr().expect("it is bound");
    let mut sockets = Sockets::new().expect("descriptors");
    sockets.provide(listener);
    let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        event_loop.listen(address, ServerSecurity::Plain, |_: &mut usize| Echo { timeout: None });
    });
    sockets.run(&mut event_loop).expect("a poll");
}

pub(crate) fn in_streams(listener: TcpListener) {
    let address = listener.local_addr().expect("it is bound");
    let mut sockets = Sockets::new().expect("descriptors");
    sockets.provide(listener);
    let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        let handle = Handle::new(event_loop);
        start(&handle.clone(), address, move |reader, writer| {
            let tasks = handle.clone();
            async move {
                tasks.call(|_, connections| *connections += 1).await;
                let served = echo(reader, writer).await;
                tasks.call(leave).await;
                served
            }
        });
    });
    sockets.run(&mut event_loop).expect("a poll");
}

/// Has a task serve all who come, in the way of a handler.
pub(crate) fn start<S, F>(
    handle: &Handle<S>,
    address: impl Into<Address>,
    handler: impl FnMut(StreamReader, StreamWriter) -> F + 'static,
) where
    S: 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    let (tasks, address) = (handle.clone(), address.into());
    let serving = async move {
        let server = tasks.start_server(address, ServerSecurity::Plain, handler).await;
        server.expect("the listener is provided").serve_forever().await;
    };
    handle.spawn(serving).detach();
}

/// Says what it hears, as a task.
pub(crate) async fn echo(mut reader: StreamReader, writer: StreamWriter) -> io::Result<()> {
    loop {
        let data = reader.read(READ).await?;
        if data.is_empty() {
            return Ok(());
        }
        writer.write(data);
        writer.drain().await?;
    }
}

fn leave<S>(event_loop: &mut Loop<'_, S>, connections: &mut usize) {
    *connections -= 1;
    if *connections == 0 {
        event_loop.stop();
    }
}

fn on_bare_mio(listener: TcpListener) {
    listener.set_nonblocking(true).expect("a socket");
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new().expect("descriptors");
    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; 64 * 1024];
    let mut streams: Slab<mio::net::TcpStream> = Slab::new();
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE).expect("a new socket");
    loop {
        poll.poll(&mut events, None).expect("a poll");
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).expect("it is a TCP socket");
                    let entry = streams.vacant_entry();
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, Token(entry.key()), both).expect("a new socket");
                    entry.insert(stream);
                }
            } else if event.is_readable() && answer(&mut streams[event.token().0], &mut buffer).is_break() {
                streams.remove(event.token().0);
                if streams.is_empty() {
                    return;
                }
            }
        }
    }
}

fn answer(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> std::ops::ControlFlow<()> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return std::ops::ControlFlow::Break(()),
            Ok(count) => {
                stream.write_all(&buffer[..count]).expect("a client that reads");
                if count < buffer.len() {
                    return std::ops::ControlFlow::Continue(());
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return std::ops::ControlFlow::Continue(());
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// How much a task reads at once: as much as the loop does.
const READ: usize = 64 * 1024;

const LISTENER: Token = Token(usize::MAX - 1);
