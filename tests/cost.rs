//! What a server may cost, measured: memory of a client, system calls of a batch, and that nothing stays behind.
//!
//! Server and clients share the test's thread, a turn at a time, so what is counted is exact and nobody else's: the allocator
//! counts this thread alone, and what the clients own stands on the stack or was there before.

#![expect(clippy::print_stdout, reason = "the figures are for who reads along")]

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use proxy_herd::driver::Sockets;
use proxy_herd::event_loop::{ConnId, Endpoints, EventLoop, ListenerId, Request};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers};

#[test]
fn an_idle_client_costs_at_most_a_kibibyte() {
    let count = with_descriptors(5_000);
    let mut server = Server::start();
    let mut clients = Vec::with_capacity(count);
    let grown = bytes(|| {
        server.welcome(&mut clients, count);
        clients.iter_mut().for_each(|client| server.talk(client, IAMAT));
    });
    let each = grown / count as i64;
    println!("an idle client costs {each} bytes; {count} cost {grown}");
    assert!((100..=1024).contains(&each), "{each}");
}

#[test]
fn an_unfinished_line_costs_itself_and_not_a_buffer() {
    let count = with_descriptors(1_000);
    let mut server = Server::start();
    let mut clients = Vec::with_capacity(count);
    server.welcome(&mut clients, count);
    let (start, rest) = IAMAT.split_at(IAMAT.len() / 2);
    // In one write: who is answered the first line knows that the start of the second was read with it.
    let line_and_start = [IAMAT, start].concat();
    let mut round = || {
        let begun = bytes(|| clients.iter_mut().for_each(|client| server.talk(client, &line_and_start)));
        let ended = bytes(|| clients.iter_mut().for_each(|client| server.talk(client, rest)));
        (begun, ended)
    };
    // The first time, tables grow that stay.
    round();
    let (begun, ended) = round();
    let lines = (count * start.len()) as i64;
    println!("{count} unfinished lines of {} bytes cost {begun}", start.len());
    assert!((lines..=2 * lines).contains(&begun), "{begun}");
    assert_eq!(begun + ended, 0, "a line that is over leaves nothing");
}

#[test]
fn garbage_leaves_nothing_behind() {
    let mut server = Server::start();
    let mut clients = Vec::with_capacity(with_descriptors(100));
    // Tables grow, and stay, until they are large enough; what leaks does so each time.
    let left: Vec<i64> = (0..5).map(|_| bytes(|| pour_garbage(&mut server, &mut clients))).collect();
    println!("{GARBAGE} bytes of garbage, again and again, leave {left:?}");
    assert!(left.iter().any(|left| *left <= 0), "{left:?}");
}

#[test]
fn the_replies_of_a_batch_leave_in_one_write() {
    let batch = IAMAT.repeat(BATCH);
    // The loop hands them out as one, whatever the driver.
    let (mut event_loop, client) = one_client_without_sockets();
    event_loop.received(client, &batch);
    event_loop.end_turn();
    let mut writes = Vec::new();
    while let Some(id) = event_loop.next_dirty() {
        let pending = event_loop.pending(id);
        writes.push((id, lines(pending)));
        let count = pending.len();
        event_loop.sent(id, count);
    }
    assert_eq!(writes, [(client, BATCH)]);

    // And the driver sends them as one: what the client reads first is all.
    let mut server = Server::start();
    let mut clients = Vec::new();
    server.welcome(&mut clients, 1);
    clients[0].write_all(&batch).expect("the server is there");
    let mut text = vec![0; 64 * 1024];
    let count = server.until(|_| match clients[0].read(&mut text) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        outcome => Some(outcome.expect("the server is there")),
    });
    assert_eq!(lines(&text[..count]), BATCH);
}

/// A server on real sockets.
struct Server {
    name: ServerName,
    address: SocketAddr,
    sockets: Sockets,
    event_loop: EventLoop<Servers>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let mut sockets = Sockets::new().expect("descriptors");
        sockets.provide(listener);
        let (name, event_loop) = goloman(address);
        Self { name, address, sockets, event_loop }
    }

    /// One turn that does not sleep: a turn sends first, and who waits for what it sent is on this thread.
    fn turn(&mut self) {
        self.sockets.turn(&mut self.event_loop, Some(Duration::ZERO)).expect("a poll");
    }

    /// Turns until `look` has found something.
    fn until<R>(&mut self, mut look: impl FnMut(&Self) -> Option<R>) -> R {
        let begun = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing happens");
            self.turn();
        }
    }

    fn until_clients_are(&mut self, count: usize) {
        let clients = |server: &Self| server.event_loop.state().clients(&server.name).expect("it runs") as usize;
        self.until(|server| (clients(server) == count).then_some(()));
    }

    /// Lets clients in until there are `count`.
    fn welcome(&mut self, clients: &mut Vec<TcpStream>, count: usize) {
        while clients.len() < count {
            let client = TcpStream::connect(self.address).expect("the server listens");
            client.set_nodelay(true).expect("a socket");
            client.set_nonblocking(true).expect("a socket");
            clients.push(client);
            // No more at once than may wait to be accepted.
            if clients.len().is_multiple_of(64) || clients.len() == count {
                self.until_clients_are(clients.len());
            }
        }
    }

    /// A client says something that ends one line, and has its answer.
    fn talk(&mut self, client: &mut TcpStream, text: &[u8]) {
        client.write_all(text).expect("the server is there");
        self.until(|_| (hear(client).expect("the server is there") > 0).then_some(()));
    }
}

/// Reads what has come and tells how much; `None` if the server has closed the connection.
fn hear(client: &mut TcpStream) -> Option<usize> {
    let (mut heard, mut text) = (0, [0; 4096]);
    loop {
        match client.read(&mut text) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Some(heard),
            Ok(0) | Err(_) => return None,
            Ok(count) => heard += count,
        }
    }
}

/// Many clients at a time say random things in random pieces; some finish, some vanish, some are told off and come again.
/// At the end all have gone.
fn pour_garbage(server: &mut Server, clients: &mut Vec<TcpStream>) {
    let mut dice = fastrand::Rng::with_seed(SEED);
    let (mut said, mut heard, mut told_off) = (0, 0, 0);
    while said < GARBAGE {
        server.welcome(clients, clients.capacity());
        let index = dice.usize(..clients.len());
        let client = &mut clients[index];
        let mut piece = [0; 2_000];
        let mut rest = scribble(&mut dice, index, &mut piece);
        said += rest.len();
        let told = server.until(|_| {
            let Some(count) = hear(client) else { return Some(true) };
            heard += count;
            match client.write(rest) {
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return Some(true),
            }
            rest.is_empty().then_some(false)
        });
        told_off += usize::from(told);
        server.turn();
        match dice.u8(..50) {
            0 => drop(client.shutdown(Shutdown::Write)),
            1 => {}
            _ if told => {}
            _ => continue,
        }
        clients.swap_remove(index);
    }
    clients.clear();
    server.until_clients_are(0);
    server.turn();
    assert!(heard > GARBAGE / 2 && told_off > 10, "hardly anything happened: {heard} bytes heard, {told_off} told off");
}

/// Random bytes: all there are, or those that commands are made of; a few clients never end a line.
fn scribble<'a>(dice: &mut fastrand::Rng, client: usize, piece: &'a mut [u8]) -> &'a [u8] {
    let length = dice.usize(1..=piece.len());
    let piece = &mut piece[..length];
    let letters = dice.bool();
    for byte in &mut *piece {
        *byte = if letters { LETTERS[dice.usize(..LETTERS.len())] } else { dice.u8(..) };
        if client.is_multiple_of(8) && *byte == b'\n' {
            *byte = b' ';
        }
    }
    piece
}

/// A server without a driver, which this test plays, and its client.
fn one_client_without_sockets() -> (EventLoop<Servers>, ConnId) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let (_, mut event_loop) = goloman(address);
    let for_clients = |request: Request| match request {
        Request::Listen { listener, address: wanted, .. } if wanted.ip() == Some(address) => Some(listener),
        _ => None,
    };
    let requests = std::iter::from_fn(|| event_loop.poll_request());
    let listener: ListenerId = requests.filter_map(for_clients).next().expect("it listens for clients");
    event_loop.listening(listener, address);
    let client = event_loop.accepted(listener, Endpoints::new(address, address));
    (event_loop, client.expect("it is let in"))
}

/// A herd of one, about to listen for clients on `address`.
fn goloman(address: SocketAddr) -> (ServerName, EventLoop<Servers>) {
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let topology = Topology::parse(TOPOLOGY).expect("a topology").with_addresses(|_| (address, anywhere));
    let name = topology.servers()[0].name.clone();
    let places = Provider::embedded().expect("random numbers");
    let servers = Servers::new(&topology, std::slice::from_ref(&name), places, SEED);
    let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
    event_loop.enter(|event_loop, servers| servers.start(event_loop));
    (name, event_loop)
}

/// What `act` has allocated on this thread and not freed, less what it has freed only.
fn bytes(act: impl FnOnce()) -> i64 {
    allocation_counter::measure(act).bytes_current
}

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// How many clients a test may have that wants `count`: fewer if the system gives this process few descriptors. Each takes
/// two, and the tests run side by side.
fn with_descriptors(count: usize) -> usize {
    let most = rlimit::increase_nofile_limit(DESCRIPTORS).expect("a limit");
    (count * most.min(DESCRIPTORS) as usize / DESCRIPTORS as usize).max(1)
}

const TOPOLOGY: &str = r#"{
    "herd": "alone",
    "servers": { "Goloman": { "clients": "127.0.0.1:1", "peers": "127.0.0.1:2" } },
    "links": [],
    "places": { "provider": "embedded" }
}"#;

const IAMAT: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";

/// Lines in a batch.
const BATCH: usize = 100;

/// Bytes of garbage.
const GARBAGE: usize = 1_000_000;

/// Enough for all tests of this file at once.
const DESCRIPTORS: u64 = 16_384;

/// More than any step takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(30);

const SEED: u64 = 7;

const LETTERS: &[u8] = b"IAMTWHS kiwi?+-.0123456789/ \t\r\n";
