//! Places that is slow, absent or broken: what the clients are told, and that nobody else notices.

use std::net::SocketAddr;
use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::Topology;

use crate::loopback::Loopback;
use crate::script;
use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, Then};
use crate::world::{self, World};

const SLOW: Duration = Duration::from_secs(2);

fn places() -> SocketAddr {
    ([127, 0, 0, 1], 9_999).into()
}

/// A simulated herd whose Places, on Welsh's host, behaves like this.
fn herd(behaviour: Option<Behaviour>, weather: Weather) -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(places()), 7, weather);
    if let Some(behaviour) = behaviour {
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, places(), behaviour));
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
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\nWHATSAT a 1 2\n");
    let asked = world.sim.now();
    world.until("an answer", |world| world.heard(client).0.ends_with(b"\n\n"));
    let took = world.sim.now() - asked;
    let heard = String::from_utf8(world.heard(client).0.clone()).expect("this is text");
    let (lines, json) = heard.split_at(heard.find('{').expect("there is JSON"));
    assert_eq!(lines.lines().count(), 2, "the AT line comes before it, whatever happened");
    (json.to_owned(), took)
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

fn unknown_error(message: &str) -> String {
    format!(
        "{{\n   \"error_message\" : \"{message}\",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"UNKNOWN_ERROR\"\n}}\n\n"
    )
}

#[test]
fn the_bytes_of_places_are_passed_on_cut_to_the_bound() {
    let (json, _) = answer(Some(Behaviour::good(3, Duration::ZERO)));
    assert_eq!(json, upstream::body(2).trim_end().to_owned() + "\n\n");
    let (json, _) = answer(Some(Behaviour::good(1, Duration::ZERO)));
    assert_eq!(json, upstream::body(1).trim_end().to_owned() + "\n\n");
}

#[test]
fn bodies_are_understood_however_they_are_framed() {
    let body = upstream::body(2);
    let (first, rest) = body.split_at(10);
    let chunked = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x};x=y\r\n{first}\r\n{:X}\r\n{rest}\r\n0\r\nA: b\r\n\r\n",
        first.len(),
        rest.len()
    );
    let interim =
        format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    for bytes in
        [chunked, interim, format!("HTTP/1.1 200 OK\r\n\r\n{body}"), format!("HTTP/1.0 500 Oops\r\n\r\n{body}")]
    {
        let (json, _) = answer(Some(Behaviour::bytes(bytes.clone())));
        assert_eq!(json, body.trim_end().to_owned() + "\n\n", "{bytes}");
    }
}

#[test]
fn what_is_no_answer_becomes_an_unknown_error() {
    let malformed = unknown_error("Places gave an answer that is cut short or malformed.");
    let nonsense = unknown_error("Places gave an answer that makes no sense.");
    let unreachable = unknown_error("Places could not be reached.");
    let long = "x".repeat(3 << 20);
    for (bytes, expected) in [
        (String::new(), &unreachable),
        ("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned(), &malformed),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}".to_owned(), &malformed),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), &malformed),
        ("SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned(), &malformed),
        (format!("HTTP/1.1 200 OK\r\nX: {long}"), &malformed),
        (format!("HTTP/1.1 200 OK\r\n\r\n{long}"), &malformed),
        ("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(), &nonsense),
        ("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<xml".to_owned(), &nonsense),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}".to_owned(), &nonsense),
    ] {
        let (json, took) = answer(Some(Behaviour::bytes(bytes.clone())));
        assert_eq!(&json, expected, "{}", &bytes[..bytes.len().min(80)]);
        assert!(took < Duration::from_secs(10), "it is said at once");
    }
}

#[test]
fn a_places_that_is_not_there_or_silent_is_given_up() {
    let (json, took) = answer(None);
    assert_eq!(json, unknown_error("Places could not be reached."));
    assert!(took < Duration::from_secs(1));
    let (json, took) = answer(Some(Behaviour::good(1, Duration::from_secs(60))));
    assert_eq!(json, unknown_error("Places took too long to answer."));
    assert!((Duration::from_secs(10)..Duration::from_millis(10_100)).contains(&took), "{took:?}");
}

#[test]
fn a_refusal_of_google_is_passed_on() {
    let body = "{\n   \"error_message\" : \"no\",\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"REQUEST_DENIED\"\n}\n";
    let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (json, _) = answer(Some(Behaviour::bytes(bytes)));
    assert_eq!(json, format!("{body}\n"));
}

/// How often something was connected to Places, and asked.
fn traffic(world: &Simulated) -> (usize, usize) {
    let trace = world.sim.trace().as_str();
    (
        trace.matches("connects to 127.0.0.1:9999").count(),
        trace.matches("GET /maps/api/place/nearbysearch/json").count(),
    )
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
        assert_eq!(traffic(&world), (1, questions));
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
    assert_eq!(traffic(&world), (5, 9), "all but the first were asked twice");
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
        assert_eq!(traffic(&world), (1, questions));
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
