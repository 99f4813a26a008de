//! What the server may cost: a client's memory, a line's, a batch's system calls, and that garbage leaves nothing behind.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};

use proxy_herd::event_loop::{ConnId, Endpoints, EventLoop, ListenerId, Request};
use proxy_herd::server::{Servers, Style};

use crate::goloman::{clients, goloman};
use crate::stage::{Stage, bytes, with_descriptors};

#[test]
fn an_idle_client_costs_at_most_480_bytes_and_in_streams_1536() {
    // Tables double when they are full, so among the counts is the first that no longer fits.
    let counts = [4_096, 4_097, 5_000].map(with_descriptors);
    let [callbacks, streams] = STYLES.map(|style| {
        let mut server = start(style);
        let mut clients = Vec::with_capacity(counts[2]);
        let mut grown = 0;
        let costs = counts.map(|count| {
            grown += bytes(|| {
                server.welcome(&mut clients, count);
                clients.iter_mut().for_each(|client| talk(&mut server, client, IAMAT));
            });
            (count, grown / count as i64)
        });
        println!("an idle client costs (count, bytes each) {costs:?} in {style:?}");
        costs.into_iter().map(|(_, each)| each).max().expect("there are some")
    });
    assert!((100..=480).contains(&callbacks), "{callbacks}");
    assert!((100..=1536).contains(&streams), "{streams}");
}

#[test]
fn an_unfinished_line_costs_itself_and_not_a_buffer() {
    STYLES.into_iter().for_each(an_unfinished_line_costs_itself_in);
}

fn an_unfinished_line_costs_itself_in(style: Style) {
    let count = with_descriptors(1_000);
    let mut server = start(style);
    let mut clients = Vec::with_capacity(count);
    server.welcome(&mut clients, count);
    let (start, rest) = IAMAT.split_at(IAMAT.len() / 2);
    // In one write: who is answered the first line knows that the start of the second was read with it.
    let line_and_start = [IAMAT, start].concat();
    let mut round = || {
        let begun = bytes(|| clients.iter_mut().for_each(|client| talk(&mut server, client, &line_and_start)));
        let ended = bytes(|| clients.iter_mut().for_each(|client| talk(&mut server, client, rest)));
        (begun, ended)
    };
    // The first time, tables grow that stay.
    round();
    let (begun, ended) = round();
    let lines = (count * start.len()) as i64;
    println!("{count} unfinished lines of {} bytes cost {begun} in {style:?}", start.len());
    assert!((lines..=2 * lines).contains(&begun), "{begun}");
    // A few spare buffers may have other sizes now, and the tree of those who sleep fuller nodes.
    assert!(
        (-(count as i64)..=count as i64).contains(&(begun + ended)),
        "a line that is over leaves nothing, not {}",
        begun + ended
    );
}

#[test]
fn garbage_leaves_nothing_behind() {
    for style in STYLES {
        let mut server = start(style);
        let mut clients = Vec::with_capacity(with_descriptors(100));
        // Tables grow, and stay, until they are large enough; what leaks does so each time.
        let left: Vec<i64> = (0..5).map(|_| bytes(|| pour_garbage(&mut server, &mut clients))).collect();
        println!("{GARBAGE} bytes of garbage, again and again, leave {left:?} in {style:?}");
        assert!(left.iter().any(|left| *left <= 0), "{left:?}");
    }
}

#[test]
fn the_replies_of_a_batch_leave_in_one_write() {
    STYLES.into_iter().for_each(the_replies_leave_in_one_write_in);
}

fn the_replies_leave_in_one_write_in(style: Style) {
    let batch = IAMAT.repeat(BATCH);
    // The loop hands them out as one, whatever the driver.
    let (mut event_loop, client) = one_client_without_sockets(style);
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
    let mut server = start(style);
    let mut clients = Vec::new();
    server.welcome(&mut clients, 1);
    server.say(&mut clients[0], &batch);
    let mut text = vec![0; 64 * 1024];
    let count = server.hear(&mut clients[0], &mut text);
    assert_eq!(lines(&text[..count]), BATCH);
}

/// A server on real sockets.
fn start(style: Style) -> Stage<Servers> {
    Stage::new(|address| goloman(style, address), clients)
}

/// A client says something that ends one line, and has its answer.
fn talk(server: &mut Stage<Servers>, client: &mut TcpStream, text: &[u8]) {
    server.say(client, text);
    server.until(|_| (hear(client).expect("the server is there") > 0).then_some(()));
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
fn pour_garbage(server: &mut Stage<Servers>, clients: &mut Vec<TcpStream>) {
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
    server.until_connections_are(0);
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
fn one_client_without_sockets(style: Style) -> (EventLoop<Servers>, ConnId) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut event_loop = goloman(style, address);
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

fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

const STYLES: [Style; 2] = [Style::Callbacks, Style::Streams];

const IAMAT: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n";

/// Lines in a batch.
const BATCH: usize = 100;

/// Bytes of garbage.
const GARBAGE: usize = 1_000_000;

const SEED: u64 = 7;

const LETTERS: &[u8] = b"IAMTWHS kiwi?+-.0123456789/ \t\r\n";
