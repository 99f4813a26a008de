//! Places that is slow or absent, its bytes, and its connections: what the clients are told, and that nobody else notices. What
//! is told when it answers wrongly, `faults` has.

use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;

use crate::asking::{ask, failure};
use crate::loopback::Loopback;
use crate::script;
use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES, Then};
use crate::world::{self, World};

const SLOW: Duration = Duration::from_secs(2);

/// A simulated herd whose Places, on Welsh's host, behaves like this.
fn herd(behaviour: Option<Behaviour>, weather: Weather) -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, weather);
    if let Some(behaviour) = behaviour {
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, behaviour));
    }
    world::links_are_up(&mut world);
    world
}

const SLOW_PLACES: &str = "
    @ Goloman one
    > IAMAT a +1+1 5
    < AT Goloman ~ a +1+1 5
    > WHATSAT a 1 2
    > IAMAT after +1+1 5
    ~ Goloman after
    @ Goloman two
    > IAMAT b +1+1 5
    < AT Goloman ~ b +1+1 5
    > x
    < ? x
    @ Goloman one
    < AT Goloman ~ a +1+1 5
    { 2
    < AT Goloman ~ after +1+1 5";

#[test]
fn a_slow_places_delays_nobody_else() {
    let mut world = herd(Some(Behaviour::good(3, SLOW)), Weather::rough());
    script::check(&mut world, SLOW_PLACES, |left| left);

    let mut world = Loopback::new(Topology::built_in(), upstream::provider);
    let places = world.places;
    world.event_loop.enter(|event_loop, _| upstream::listen(event_loop, places, Behaviour::good(3, SLOW)));
    world::links_are_up(&mut world);
    script::check(&mut world, SLOW_PLACES, |left| left);
}

/// What a client hears of Places, after its AT line, and how long that takes.
fn answer(behaviour: Option<Behaviour>) -> (String, Duration) {
    let mut world = herd(behaviour, Weather::default());
    let asked = world.sim.now();
    let json = ask(&mut world, "+1+1", 2);
    (json, world.sim.now() - asked)
}

#[test]
fn an_answer_that_begins_with_a_newline_ends_no_reply_early() {
    let body = format!("\n{}", upstream::body(3));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut world = herd(Some(Behaviour::bytes(answer)), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\nWHATSAT a 1 3\n");
    world.until("a reply", |world| world.heard(client).0.ends_with(b"\n\n"));
    let heard = String::from_utf8(world.heard(client).0.clone()).expect("this is text");
    let end = heard.find("\n\n").expect("the reply ends");
    assert!(heard[..end].ends_with(upstream::body(3).trim_end()), "{heard:?}");
}

#[test]
fn the_bytes_of_places_are_passed_on_cut_to_the_bound() {
    let (json, _) = answer(Some(Behaviour::good(3, Duration::ZERO)));
    assert_eq!(json, upstream::body(2).trim_end().to_owned() + "\n\n");
    let (json, _) = answer(Some(Behaviour::good(1, Duration::ZERO)));
    assert_eq!(json, upstream::body(1).trim_end().to_owned() + "\n\n");
}

#[test]
fn a_places_that_is_not_there_is_told_at_once() {
    let (json, took) = answer(None);
    assert_eq!(json, failure("UNKNOWN_ERROR", "Places could not be reached."));
    assert!(took < Duration::from_secs(1));
}

#[test]
fn a_refusal_of_google_is_passed_on() {
    let body = failure("REQUEST_DENIED", "no");
    let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (json, _) = answer(Some(Behaviour::bytes(bytes)));
    assert_eq!(json, body);
}

#[test]
fn a_connection_is_kept_and_used_again() {
    let mut world = herd(Some(Behaviour::good(1, SLOW)), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    for questions in 1..3 {
        world.send(client, format!("WHATSAT a {questions} 1\n").as_bytes());
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        world.heard(client).0.clear();
        assert_eq!(upstream::traffic(&world), (1, questions));
    }
}

#[test]
fn a_kept_connection_that_ends_instead_of_answering_costs_nothing() {
    let behaviour = Behaviour { then: Then::CloseAtNext, ..Behaviour::good(1, Duration::ZERO) };
    let mut world = herd(Some(behaviour), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    for radius in 1..6 {
        world.send(client, format!("WHATSAT a {radius} 1\n").as_bytes());
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        let heard = String::from_utf8(std::mem::take(world.heard(client).0)).expect("text");
        assert!(heard.contains("\"status\" : \"OK\""), "{heard}");
    }
    assert_eq!(upstream::traffic(&world), (5, 9), "all but the first were asked twice");
}

#[test]
fn an_old_question_does_not_end_a_new_one() {
    let mut world = herd(Some(Behaviour::good(1, SLOW)), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    // The second is under way when the first would have been given up.
    for pause in [Duration::from_secs(7), Duration::ZERO] {
        world.send(client, b"WHATSAT a 1 1\n");
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        let heard = String::from_utf8(std::mem::take(world.heard(client).0)).expect("text");
        assert!(heard.contains("\"status\" : \"OK\""), "{heard}");
        world.pass(pause);
    }
}

#[test]
fn heads_and_bodies_have_limits() {
    let ok = |text: &str| text.contains("\"status\" : \"OK\"");
    let check = |head: usize, body: usize, fits: bool| {
        let json = "{\"status\" : \"OK\"}";
        let start = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\nX: ");
        let padding = "x".repeat(head - start.len() - "\r\n\r\n".len());
        let body = format!("{{{}{}", " ".repeat(body - json.len()), &json[1..]);
        let (heard, _) = answer(Some(Behaviour::bytes([start, padding, "\r\n\r\n".into(), body].concat())));
        assert_eq!(ok(&heard), fits, "a head of {head} bytes");
    };
    let (head, body) = (16 * 1024, 2 * 1024 * 1024);
    check(head, body, true);
    check(head + 1, body, false);
    check(head, body + 1, false);
}

#[test]
fn nothing_is_cached() {
    let mut world = herd(Some(Behaviour::good(1, Duration::ZERO)), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    for questions in 1..4 {
        world.send(client, b"WHATSAT a 1 1\n");
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        world.heard(client).0.clear();
        assert_eq!(upstream::traffic(&world), (1, questions));
    }
}

#[test]
fn a_report_and_its_places_leave_in_one_write() {
    let mut world = herd(Some(Behaviour::good(1, SLOW)), Weather::default());
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    world.until("a reply", |world| world.heard(client).0.ends_with(b"\n"));
    world.heard(client).0.clear();
    world.send(client, b"WHATSAT a 1 1\n");
    world.until("something", |world| !world.heard(client).0.is_empty());
    // The simulator moves a write as one piece in this weather.
    assert!(world.heard(client).0.starts_with(b"AT Goloman ") && world.heard(client).0.ends_with(b"}\n\n"));
}
