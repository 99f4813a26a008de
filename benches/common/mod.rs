//! Echo over loopback: one client thread, the loop's server, and one of a few lines on mio to hold it against.
//!
//! The raw server is the least that mio allows: edge-triggered, registered once, one read and one write for each
//! message, a short read taken for "drained". It trusts its client to read (a full socket ends it), which the loop
//! does not: the difference is what buffering, fairness and protocols cost.
//!
//! The client has the first core for itself and the servers the last: two threads that the scheduler happens to put on
//! one core echo ten times as fast, one message at a time, as two that must wake each other across.

use std::fmt;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::LazyLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use core_affinity::CoreId;
use mio::{Events, Interest, Poll, Token};
use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{EventLoop, Loop, Lost, Protocol, ServerSecurity, Transport};
use slab::Slab;

/// How many clients, and how many messages each has under way.
#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) connections: usize,
    pub(crate) depth: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "echo, {} connections, {} at a time", self.connections, self.depth)
    }
}

pub(crate) const CASES: [Case; 5] = [
    Case { connections: 1, depth: 1 },
    Case { connections: 1, depth: 16 },
    Case { connections: 50, depth: 1 },
    Case { connections: 50, depth: 16 },
    Case { connections: 1_000, depth: 1 },
];

/// Serves whoever comes to a bound listener, until the last one has gone.
pub(crate) type Serve = fn(TcpListener);

/// Whom to measure, the bare one first.
pub(crate) const SERVERS: [(&str, Serve); 2] = [("mio", on_bare_mio), ("loop", on_the_loop)];

/// Connected clients of an echo server on another thread, which ends when they are dropped.
pub(crate) struct Clients {
    streams: Vec<TcpStream>,
    batch: Vec<u8>,
    echo: Vec<u8>,
    server: Option<JoinHandle<()>>,
}

impl Clients {
    /// Starts `serve` on its thread and connects the clients.
    pub(crate) fn connect(case: Case, serve: Serve) -> Self {
        // Two for each connection, of both servers at once.
        rlimit::increase_nofile_limit(DESCRIPTORS).expect("a limit");
        pin(CORES.first());
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let server = std::thread::Builder::new().name("server".to_owned());
        let server = server
            .spawn(move || {
                pin(CORES.last());
                serve(listener);
            })
            .expect("a thread");
        let connect = |_| {
            let stream = TcpStream::connect(address).expect("the server listens");
            stream.set_nodelay(true).expect("it is a TCP socket");
            stream
        };
        let streams = (0..case.connections).map(connect).collect();
        let batch = MESSAGE.repeat(case.depth);
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
        *connections -= 1;
        if *connections == 0 {
            event_loop.stop();
        }
    }
}

fn on_the_loop(listener: TcpListener) {
    let address = listener.local_addr().expect("it is bound");
    let mut sockets = Sockets::new().expect("descriptors");
    sockets.provide(listener);
    let mut event_loop = EventLoop::new(0, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, _| {
        event_loop.listen(address, ServerSecurity::Plain, |_: &mut usize| Echo { timeout: None });
    });
    sockets.run(&mut event_loop).expect("a poll");
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
            } else if event.is_readable() && echo(&mut streams[event.token().0], &mut buffer).is_break() {
                streams.remove(event.token().0);
                if streams.is_empty() {
                    return;
                }
            }
        }
    }
}

/// Where the system does not let us, we go where it puts us.
fn pin(core: Option<&CoreId>) {
    core.copied().map(core_affinity::set_for_current);
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

/// Asked once, by a thread that is not pinned yet.
static CORES: LazyLock<Vec<CoreId>> = LazyLock::new(|| core_affinity::get_core_ids().unwrap_or_default());

/// Enough for the largest case.
const DESCRIPTORS: u64 = 5_000;
