//! Many who ask at once: each is told the answer to its own question, in the order of its lines, at the least cost upstream.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::event_loop::{Loop, Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Servers;

use crate::loopback::Loopback;
use crate::simulated::Simulated;
use crate::upstream::{self, PLACES};
use crate::world::{self, World};

/// A Places that answers, after a while, with what it was asked.
struct Echo {
    request: Vec<u8>,
}

impl Protocol<Servers> for Echo {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, data: &[u8]) {
        self.request.extend_from_slice(data);
        if !self.request.ends_with(b"\r\n\r\n") {
            return;
        }
        let request = String::from_utf8(std::mem::take(&mut self.request)).expect("ASCII");
        let body = json(question(&request));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let id = transport.id();
        transport.event_loop().call_later(TIME, move |event_loop, _| {
            if let Some(mut transport) = event_loop.transport(id) {
                transport.write(answer.as_bytes());
            }
        });
    }
}

/// What was asked: the first line's location and radius.
fn question(request: &str) -> &str {
    let (_, rest) = request.split_once('?').expect("a query");
    rest.split_once("&key=").expect("a key").0
}

fn json(question: &str) -> String {
    format!("{{\"asked\":\"{question}\",\"status\":\"OK\"}}")
}

fn listen(event_loop: &mut Loop<'_, Servers>, address: SocketAddr) {
    event_loop.listen(address, ServerSecurity::Plain, |_: &mut Servers| Echo { request: Vec::new() });
}

fn simulated(weather: Weather) -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, weather);
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| listen(event_loop, PLACES));
    world::links_are_up(&mut world);
    world
}

fn on_sockets() -> Loopback {
    let mut world = Loopback::new(Topology::built_in(), upstream::provider);
    let address = world.places;
    world.event_loop.enter(|event_loop, _| listen(event_loop, address));
    world::links_are_up(&mut world);
    world
}

/// As many clients; each says where it is, asks `questions` things that nobody else asks, and says something else in between.
fn all_are_told(world: &mut impl World, clients: u32, questions: u32) {
    let crowd: Vec<usize> = (0..clients).map(|_| world.connect("Goloman")).collect();
    let mut expected = Vec::new();
    for (number, client) in crowd.iter().enumerate() {
        let mut said = format!("IAMAT c{number} +1.5+0.{number:03} 5\n");
        let mut told = vec!["AT".to_owned()];
        for question in 1..=questions {
            said.push_str(&format!("WHATSAT c{number} {question} 20\nwhat {number} {question}\n"));
            told.push("AT".to_owned());
            told.push(json(&format!("location=1.5,0.{number:03}&radius={}", question * 1000)));
            told.push(String::new());
            told.push(format!("? what {number} {question}"));
        }
        world.send(*client, said.as_bytes());
        expected.push(told);
    }
    for (client, expected) in crowd.iter().zip(expected) {
        let last = format!("{}\n", expected.last().expect("there are lines"));
        world.until("all answers", |world| world.heard(*client).0.ends_with(last.as_bytes()));
        let heard = String::from_utf8(std::mem::take(world.heard(*client).0)).expect("this is text");
        let shown = heard.lines().map(|line| if line.starts_with("AT ") { "AT" } else { line });
        assert_eq!(shown.collect::<Vec<_>>(), expected);
    }
}

/// What came upstream: over how many connections, how many requests, and how many different ones.
fn traffic(world: &Simulated) -> [usize; 3] {
    let trace = world.sim.trace().as_str();
    let asked: Vec<&str> = trace.split("nearbysearch/json?").skip(1).collect();
    let different: HashSet<&str> = asked.iter().map(|rest| rest.split("&key=").next().expect("a part")).collect();
    [trace.matches(&format!("connects to {PLACES}")).count(), asked.len(), different.len()]
}

#[test]
fn a_hundred_who_ask_the_same_cost_one_request() {
    let mut world = simulated(Weather::default());
    let clients: Vec<usize> = (0..100).map(|_| world.connect("Goloman")).collect();
    world.send(clients[0], b"IAMAT a +1.5+0.5 5\n");
    world.until("a reply", |world| world.heard(clients[0]).0.ends_with(b"\n"));
    world.heard(clients[0]).0.clear();
    for client in &clients {
        world.send(*client, b"WHATSAT a 1 20\n");
    }
    for client in clients {
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        let heard = String::from_utf8_lossy(world.heard(client).0).into_owned();
        let answer = json("location=1.5,0.5&radius=1000");
        assert!(heard.starts_with("AT Goloman ") && heard.ends_with(&format!("\n{answer}\n\n")), "{heard}");
    }
    assert_eq!(traffic(&world), [1, 1, 1]);
}

#[test]
fn a_thousand_who_ask_different_things_are_told_over_eight_connections() {
    for (clients, questions) in [(1000, 1), (32, 32)] {
        all_are_told(&mut simulated(Weather::rough()), clients, questions);
        let mut world = simulated(Weather::default());
        all_are_told(&mut world, clients, questions);
        let asked = (clients * questions) as usize;
        assert_eq!(traffic(&world), [8, asked, asked]);
    }
}

#[test]
fn a_thousand_questions_are_answered_on_sockets() {
    all_are_told(&mut on_sockets(), 50, 20);
}

/// How long Places takes.
const TIME: Duration = Duration::from_millis(20);
