//! Tests of lookups on a loop without a driver: what happens when, turn by turn.

use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use super::*;
use crate::event_loop::{Endpoints, EventLoop, Request};
use crate::herd::topology::{Places, Topology, Url};
use crate::places::key::Key;

/// A herd of one and its client, which has said where it is and asked what is near.
struct Scene {
    event_loop: EventLoop<Servers>,
    client: ConnId,
}

impl Scene {
    fn new() -> Self {
        let topology = Topology::built_in();
        let url = Url::parse("http://127.0.0.1:9999").expect("a URL");
        let places = Places { url: Some(url), ..Places::default() };
        let provider = Provider::google(&places, Key::new("k").expect("a key")).expect("no TLS is needed");
        let servers = Servers::new(&topology, &[topology.servers()[0].name.clone()], provider, 7);
        let mut event_loop = EventLoop::new(servers, Instant::now(), SystemTime::UNIX_EPOCH);
        event_loop.enter(|event_loop, servers| servers.start(event_loop));
        let Some(Request::Listen { listener: door, .. }) = event_loop.poll_request() else {
            panic!("clients come first")
        };
        while event_loop.poll_request().is_some() {}
        let client = event_loop.accepted(door, endpoints()).expect("it may come in");
        event_loop.received(client, b"IAMAT a +1+1 5\nWHATSAT a 1 1\n");
        Self { event_loop, client }
    }

    /// Places is dialled, and there.
    fn places(&mut self) -> ConnId {
        let places = std::iter::from_fn(|| self.event_loop.poll_request()).find_map(connects);
        let places = places.expect("Places is dialled");
        assert!(self.event_loop.connected(places, endpoints()));
        places
    }

    fn turn(&mut self) {
        self.event_loop.advance(Instant::now(), SystemTime::UNIX_EPOCH);
    }

    /// An answer that has come is read, and then the session woken.
    fn answered(&mut self) {
        self.turn();
        self.turn();
    }

    /// How many answers wait to be read.
    fn unread(&self) -> usize {
        self.event_loop.state().lookups.unread.len()
    }

    /// What waits to be sent on a connection is taken.
    fn sent(&mut self, id: ConnId) -> String {
        let pending = String::from_utf8_lossy(self.event_loop.pending(id)).into_owned();
        self.event_loop.sent(id, pending.len());
        pending
    }
}

/// Whom a request dials for, if it does.
fn connects(request: Request) -> Option<ConnId> {
    if let Request::Connect { id, .. } = request { Some(id) } else { None }
}

fn endpoints() -> Endpoints {
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    Endpoints::new(address, address)
}

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";

#[test]
fn an_answer_to_a_session_that_is_lost_before_it_looks_is_forgotten() {
    let mut scene = Scene::new();
    let places = scene.places();
    scene.event_loop.received(places, ANSWER);
    scene.event_loop.lost(scene.client, io::ErrorKind::ConnectionReset.into());
    scene.turn();
    assert!(scene.event_loop.state().lookups.inquiries.holds_nothing());
}

#[test]
fn what_nobody_waits_for_any_more_is_not_asked_again() {
    let mut scene = Scene::new();
    let places = scene.places();
    assert!(scene.sent(places).starts_with("GET "));
    scene.event_loop.lost(scene.client, io::ErrorKind::ConnectionReset.into());
    scene.turn();
    let body = r#"{"error_message":"This API project is not authorized to use this API.","status":"REQUEST_DENIED"}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    scene.event_loop.received(places, answer.as_bytes());
    scene.turn();
    assert!(scene.event_loop.state().lookups.inquiries.holds_nothing());
    assert_eq!(std::iter::from_fn(|| scene.event_loop.poll_request()).find_map(connects), None);
}

#[test]
fn what_comes_before_the_next_request_is_sent_is_not_its_answer() {
    let mut scene = Scene::new();
    let kept = scene.places();
    assert!(scene.sent(kept).contains("radius=1000"));
    scene.event_loop.received(kept, ANSWER);
    scene.answered();
    assert!(scene.sent(scene.client).ends_with("\"OK\"}\n\n"));
    // The question is the kept connection's, but nothing was written.
    scene.event_loop.received(scene.client, b"WHATSAT a 2 1\n");
    scene.event_loop.received(kept, ANSWER);
    scene.answered();
    assert_eq!(scene.sent(scene.client), "");
    let other = scene.places();
    assert!(scene.sent(other).contains("radius=2000"), "it is asked again");
    scene.event_loop.received(other, ANSWER);
    scene.answered();
    assert!(scene.sent(scene.client).ends_with("\"OK\"}\n\n"));
}

#[test]
fn of_answers_that_come_together_one_is_read_in_a_turn() {
    let mut scene = Scene::new();
    let first = scene.places();
    scene.event_loop.received(scene.client, b"WHATSAT a 2 1\n");
    let second = scene.places();
    scene.sent(scene.client);
    for places in [first, second] {
        scene.sent(places);
        scene.event_loop.received(places, ANSWER);
    }
    assert_eq!(scene.unread(), 2);
    scene.turn();
    assert_eq!((scene.unread(), scene.sent(scene.client).as_str()), (1, ""));
    // The first connection is kept. The other one is not yet: else answers could come faster than they are read.
    for radius in 3..6 {
        scene.event_loop.received(scene.client, format!("WHATSAT a {radius} 1\n").as_bytes());
    }
    scene.turn();
    assert_eq!(scene.unread(), 0);
    assert!(scene.sent(first).contains("radius=3000") && scene.sent(second).is_empty());
    scene.turn();
    assert_eq!(scene.sent(scene.client).matches("\"OK\"").count(), 2);
}

#[test]
fn an_answer_that_came_in_time_counts_when_it_is_read_too_late() {
    let mut scene = Scene::new();
    let places = [scene.places(), {
        scene.event_loop.received(scene.client, b"WHATSAT a 2 1\n");
        scene.places()
    }];
    scene.sent(scene.client);
    for places in places {
        scene.sent(places);
        scene.event_loop.received(places, ANSWER);
    }
    // The time of both is over before either is read.
    let late = Instant::now() + LOOKUP_TIME;
    for _ in 0..5 {
        scene.event_loop.advance(late, SystemTime::UNIX_EPOCH);
    }
    assert_eq!(scene.sent(scene.client).matches("\"OK\"").count(), 2);
    assert!(scene.event_loop.state().lookups.inquiries.holds_nothing());
}
