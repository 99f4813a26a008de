//! What the loop may cost: the memory of an idle connection, and that connections leave nothing behind.
//!
//! Tables double when they are full, so a connection costs the most when it is the first that no longer fits: that is
//! among the counts that are measured, and the worst of them is what is asserted.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::event_loop::{AfterEof, EventLoop, Loop, Lost, Protocol, Security, ServerSecurity, Transport};
use rustls::{ClientConnection, StreamOwned};

use crate::certificates::Authority;
use crate::stage::{Stage, Used, bytes, connect, with_descriptors};

#[test]
fn an_idle_plain_connection_costs_at_most_384_bytes() {
    let each = idle("plain", ServerSecurity::Plain, &[4_096, 4_097, 5_000, 8_192], connect);
    assert!((100..=384).contains(&each), "{each}");
}

#[test]
fn an_idle_tls_connection_costs_at_most_24_kibibytes() {
    let authority = Authority::new();
    let versions = [("TLS 1.3", authority.client(NAME)), ("TLS 1.2", authority.client_of_tls12(NAME))];
    for (version, client) in versions {
        let Security::Tls(config, name) = client else { panic!("a client of TLS") };
        let connect = |address| {
            let tls = ClientConnection::new(Arc::clone(&config), name.clone()).expect("a configuration that works");
            StreamOwned::new(tls, connect(address))
        };
        let each = idle(version, authority.server(NAME), &[512, 513, 600], connect);
        assert!((1_000..=24 * 1024).contains(&each), "{version}: {each}");
    }
}

#[test]
fn ten_thousand_connections_leave_nothing() {
    // Tables of this size are full: should one slot of one wave be lost, the next wave makes them grow.
    let width = with_descriptors(1_024);
    let waves = TEN_THOUSAND.div_ceil(width);
    let mut stage = stage(ServerSecurity::Plain);
    let mut clients = Vec::with_capacity(width);
    // The first time, tables grow that stay.
    wave(&mut stage, &mut clients);
    let (before, descriptors_before) = (*stage.state(), descriptors());
    let left: Vec<i64> = (0..waves).map(|_| bytes(|| wave(&mut stage, &mut clients))).collect();
    let (after, descriptors_after) = (*stage.state(), descriptors());
    println!("{} connections, {width} at a time, leave {left:?} bytes", waves * width);
    assert!(left.iter().sum::<i64>() <= SPARES, "{left:?}");
    assert_eq!(descriptors_before, descriptors_after);
    assert_eq!(after.lost - before.lost, waves * width);
    assert!(after.reset - before.reset >= waves * (width / ENDINGS.len()), "{before:?}, {after:?}");
}

/// What an idle connection costs at the worst of these counts, in bytes. All have been used: each has said something, and
/// then all at once.
fn idle<C: Read + Write>(
    what: &str,
    security: ServerSecurity,
    counts: &[usize],
    connect: impl FnMut(SocketAddr) -> C,
) -> i64 {
    let mut stage = stage(security);
    let measured = stage.idle(&Used { counts, message: MESSAGE, answer: MESSAGE.len() }, connect);
    println!("an idle {what} connection costs (count, bytes each) {measured:?}");
    measured.into_iter().map(|(_, each)| each).max().expect("at least one")
}

/// Many connections at a time are opened, used, and ended in every way there is.
fn wave(stage: &mut Stage<Tally>, clients: &mut Vec<TcpStream>) {
    stage.welcome(clients, clients.capacity());
    clients.iter_mut().for_each(|client| stage.talk(client, MESSAGE, MESSAGE.len()));
    for (client, ending) in clients.drain(..).zip(ENDINGS.iter().cycle()) {
        ending(stage, client);
    }
    stage.until_connections_are(0);
    // A turn begins with closing sockets.
    stage.turn();
}

const ENDINGS: [fn(&mut Stage<Tally>, TcpStream); 6] = [
    |_, client| drop(client),
    |_, client| {
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).expect("a socket can be reset");
    },
    |stage, mut client| {
        client.shutdown(Shutdown::Write).expect("the server is there");
        stage.talk(&mut client, b"", FAREWELL.len());
        until_end(stage, client);
    },
    |stage, mut client| {
        stage.say(&mut client, FINISH);
        assert_eq!(stage.hear(&mut client, &mut [0]), 0, "the server has ended its half");
        stage.say(&mut client, MESSAGE);
    },
    |stage, mut client| {
        stage.say(&mut client, CLOSE);
        until_end(stage, client);
    },
    |stage, mut client| {
        stage.say(&mut client, ABORT);
        until_end(stage, client);
    },
];

fn until_end(stage: &mut Stage<Tally>, mut client: TcpStream) {
    assert_eq!(stage.hear(&mut client, &mut [0]), 0, "the server closes");
}

/// A loop that echoes.
fn stage(security: ServerSecurity) -> Stage<Tally> {
    let start = |address| {
        let mut event_loop = EventLoop::new(Tally::default(), Instant::now(), SystemTime::now());
        event_loop.enter(|event_loop, _| event_loop.listen(address, security, |_: &mut Tally| Echo { heard: 0 }));
        event_loop
    };
    Stage::new(start, |tally| tally.connections)
}

/// What became of connections.
#[derive(Clone, Copy, Default, Debug)]
struct Tally {
    connections: usize,
    lost: usize,
    reset: usize,
}

/// Says what it hears, but for three words that it obeys. It remembers something, as protocols do.
struct Echo {
    heard: usize,
}

impl Protocol<Tally> for Echo {
    fn connection_made(&mut self, _: &mut Transport<'_, Tally>, tally: &mut Tally) {
        tally.connections += 1;
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Tally>, _: &mut Tally, data: &[u8]) {
        self.heard += data.len();
        match data {
            FINISH => transport.write_eof(),
            CLOSE => transport.close(),
            ABORT => transport.abort(),
            _ => transport.write(data),
        }
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Tally>, _: &mut Tally) -> AfterEof {
        transport.write(FAREWELL);
        AfterEof::Close
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Tally>, tally: &mut Tally, lost: Lost) {
        assert!(self.heard >= MESSAGE.len(), "it was used");
        tally.connections -= 1;
        tally.lost += 1;
        tally.reset += usize::from(lost.why.is_some_and(|why| why.kind() == ErrorKind::ConnectionReset));
    }
}

/// How many descriptors the process has open, where the system tells.
fn descriptors() -> Option<usize> {
    std::fs::read_dir("/proc/self/fd").ok().map(Iterator::count)
}

const TEN_THOUSAND: usize = 10_000;

/// In bytes: memory that is kept for the next message may be larger than what was kept before.
const SPARES: i64 = 1_024;

const NAME: &str = "localhost";

/// As long as an IAMAT.
const MESSAGE: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";

const FAREWELL: &[u8] = b"so long\n";

const FINISH: &[u8] = b"finish";
const CLOSE: &[u8] = b"close";
const ABORT: &[u8] = b"abort";
