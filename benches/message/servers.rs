//! What a line costs a whole server, without sockets: through its session, to its neighbours, and from them, in either style.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Instant, SystemTime};

use proxy_herd::event_loop::{Address, ConnId, EventLoop};
use proxy_herd::herd::link::Hello;
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::{Provider, Servers, Style};

use super::loops::{CONNECTIONS, TICK};
use super::parts::{FEW, Meter, OPERATIONS, Round};
use super::speech::Speech;
use crate::common::bare::Bare;
use crate::common::goloman::goloman;

/// Clients say where they are, so many lines in each read, to a server that has no neighbours and knows so many clients.
pub(super) fn iamat(style: Style, depth: usize, known: u64) -> Round {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let mut bare = Bare::new(goloman(style, address));
    let connections = bare.accept(address, CONNECTIONS);
    say(bare, connections, Speech::iamat(known), Words { depth, said: 1 })
}

/// Clients say where they are, [`BATCH`] lines in each read, to a server with three neighbours.
pub(super) fn flood(style: Style) -> Round {
    let mut herd = Herd::new(style);
    let connections = herd.bare.accept(herd.clients, CONNECTIONS);
    say(herd.bare, connections, Speech::iamat(FEW), Words { depth: BATCH, said: 4 })
}

/// A neighbour says what is news, [`BATCH`] lines in each read, and the two others are told.
pub(super) fn pass_on(style: Style) -> Round {
    let herd = Herd::new(style);
    let hands = vec![herd.neighbours[0]];
    say(herd.bare, hands, Speech::at(FEW), Words { depth: BATCH, said: 2 })
}

/// A neighbour says what another has said before.
pub(super) fn hear_again(style: Style) -> Round {
    let Herd { mut bare, neighbours, .. } = Herd::new(style);
    let mut speech = Speech::at(FEW);
    Box::new(move |meter| {
        speech.renew();
        bare.turn(TICK, |event_loop| event_loop.received(neighbours[0], speech.text()));
        let before = bare.sent;
        meter(&mut || {
            for batch in speech.batches(BATCH) {
                bare.turn(TICK, |event_loop| event_loop.received(neighbours[1], batch));
            }
        });
        assert_eq!(bare.sent, before, "nobody is told again");
    })
}

/// How lines come, and what is said because of them.
struct Words {
    /// In each read.
    depth: usize,
    /// Because of each.
    said: usize,
}

/// The connections say all lines of a speech; once all clients are known.
fn say(mut bare: Bare<Servers>, connections: Vec<ConnId>, mut speech: Speech, words: Words) -> Round {
    let rounds = speech.rounds();
    let turns = OPERATIONS / words.depth / connections.len();
    let mut round = move |meter: Meter<'_>| {
        speech.renew();
        let before = bare.sent;
        meter(&mut || {
            let mut batches = speech.batches(words.depth);
            for _ in 0..turns {
                bare.turn(TICK, |event_loop| {
                    for (id, batch) in connections.iter().zip(&mut batches) {
                        event_loop.received(*id, batch);
                    }
                });
            }
        });
        let said = (bare.sent - before) / OPERATIONS;
        assert!((words.said * 80..words.said * 100).contains(&said), "{said} bytes a line");
    };
    (0..rounds).for_each(|_| round(&mut |run| run()));
    Box::new(round)
}

/// Goloman, and the ends of its links.
struct Herd {
    bare: Bare<Servers>,
    clients: SocketAddr,
    neighbours: Vec<ConnId>,
}

impl Herd {
    /// With links that are up.
    fn new(style: Style) -> Self {
        let topology = Topology::built_in();
        let goloman = ServerName::parse(b"Goloman").expect("a name");
        let provider = Provider::embedded().expect("random numbers");
        let servers = Servers::new(&topology, std::slice::from_ref(&goloman), provider, 7).with_style(style);
        let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::now());
        event_loop.enter(|event_loop, servers| servers.start(event_loop));
        let mut bare = Bare::new(event_loop);
        let neighbours = topology.neighbours(&goloman).map(|neighbour| {
            let leads_there = |(_, address): &&(ConnId, Address)| *address == Address::from(neighbour.peers);
            let (id, _) = *bare.dialled.iter().find(leads_there).expect("it has dialled all");
            let mut hello = Vec::new();
            let (herd, server) = (topology.herd().as_bytes(), neighbour.name.as_str().as_bytes());
            Hello { version: Hello::VERSION, herd, server, software: b"1" }.write(&mut hello);
            bare.turn(TICK, |event_loop| event_loop.received(id, &hello));
            id
        });
        let neighbours: Vec<ConnId> = neighbours.collect();
        assert_eq!(bare.state().links_up(&goloman), Some(3));
        let clients = topology.find(&goloman).expect("it is there").clients;
        Self { bare, clients, neighbours }
    }
}

/// How many lines there are in a read.
pub(super) const BATCH: usize = 16;
