//! Echo over loopback: one client thread, and a server of a few lines on mio to hold the loop against.
//!
//! The raw server is the least that mio allows: edge-triggered, registered once, one read and one write for each
//! message, a short read taken for "drained". It trusts its client to read (a full socket ends it), which the loop
//! does not: the difference is what buffering, fairness and protocols cost.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;

use mio::{Events, Interest, Poll, Token};
use slab::Slab;

/// Connected clients of an echo server on another thread, which ends when they are dropped.
pub(crate) struct Clients {
    streams: Vec<TcpStream>,
    batch: Vec<u8>,
    echo: Vec<u8>,
    server: Option<JoinHandle<()>>,
}

impl Clients {
    /// Starts `serve` on its thread with a bound listener and connects `count` clients. Each sends batches of `depth` messages.
    pub(crate) fn connect(count: usize, depth: usize, serve: fn(TcpListener)) -> Self {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::Builder::new().name("server".to_owned());
        let server = server.spawn(move || serve(listener)).expect("a thread");
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            stream
        };
        let streams = (0..count).map(connect).collect();
        let batch = MESSAGE.repeat(depth);
        let echo = vec![0; batch.len()];
        Self { streams, batch, echo, server: Some(server) }
    }

    /// Every client sends a batch, then every client waits for its echo.
    pub(crate) fn round_trip(&mut self) {
        for stream in &mut self.streams {
            stream.write_all(&self.batch).expect("the server reads");
        }
        for stream in &mut self.streams {
            stream.read_exact(&mut self.echo).expect("the server answers");
        }
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.streams.clear();
        self.server.take().expect("joined once").join().expect("the server has ended in good order");
    }
}

/// Serves until the last client has gone.
pub(crate) fn raw_mio(listener: TcpListener) {
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
            } else if event.is_readable() && echo(&mut streams[event.token().0], &mut buffer).is_break() {
                streams.remove(event.token().0);
                if streams.is_empty() {
                    return;
                }
            }
        }
    }
}

fn echo(stream: &mut mio::net::TcpStream, buffer: &mut [u8]) -> std::ops::ControlFlow<()> {
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

/// As long as an IAMAT.
pub(crate) const MESSAGE: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";

const LISTENER: Token = Token(usize::MAX - 1);
