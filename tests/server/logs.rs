//! What is logged, and what never is.

use std::net::SocketAddr;
use std::time::Duration;

use log::Level;
use proxy_herd::driver::sim::{Crash, Weather};
use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Servers;
use proxy_herd::server::limits::STALL_TIME;

use crate::records::{Logged, logged};
use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, Then};
use crate::world::{self, World, name};

fn places() -> SocketAddr {
    ([127, 0, 0, 1], 9_999).into()
}

/// One question to a Places that behaves like this, if it is there; what the client hears.
fn ask(behaviour: Option<Behaviour>) -> Vec<u8> {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(places()), 7, Weather::default());
    if let Some(behaviour) = behaviour {
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, places(), behaviour));
    }
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\nWHATSAT a 1 2\n");
    world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
    std::mem::take(world.heard(client).0)
}

#[test]
fn the_key_is_in_no_log_and_no_answer_whatever_places_does() {
    let json = "{\"status\":\"OK\"}";
    let answers = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len()),
        "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned(),
        "no HTTP\r\n\r\n".to_owned(),
        String::new(),
    ];
    let late = Behaviour::good(1, Duration::from_secs(60));
    let behaviours = answers.into_iter().map(|bytes| Some(Behaviour::bytes(bytes))).chain([None, Some(late)]);
    for behaviour in behaviours {
        let mut heard = Vec::new();
        let lines = logged(|| heard = ask(behaviour));
        assert!(lines.iter().any(|line| line.text.contains("places for its reply 0: ")), "the outcome is logged");
        let heard = String::from_utf8(heard).expect("text");
        for text in lines.iter().map(|line| &line.text).chain([&heard]) {
            assert!(!text.contains("canary") && !text.contains("key=") && !text.contains("/maps/"), "{text}");
        }
    }
    let debug = format!("{:?} {:#?}", upstream::provider(places()), upstream::provider(places()));
    assert!(!debug.contains("canary"), "{debug}");
}

#[test]
fn what_places_says_cannot_forge_or_flood_the_log() {
    let json = format!("{{\"status\":\"OK\\nINFO Goloman forged {}\"}}", "x".repeat(1_000_000));
    let bytes = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    let lines = logged(|| {
        ask(Some(Behaviour::bytes(bytes)));
    });
    let outcome = lines.iter().find(|line| line.text.contains("gets no places")).expect("the outcome is logged");
    assert!(!outcome.text.contains('\n') && outcome.text.len() < 300, "{} bytes", outcome.text.len());
}

/// Greets as a server of another herd.
struct Stranger;

impl Protocol<Servers> for Stranger {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.write(b"HERD 1 alford Hands 0.1.0\n");
    }

    fn data_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers, _: &[u8]) {}
}

#[test]
fn a_neighbour_that_cannot_be_had_is_complained_of_once() {
    for stranger in [true, false] {
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(places()), 7, Weather::default());
        world::links_are_up(&mut world);
        let (hands, welsh) = (world.host("Hands"), world.host("Welsh"));
        let address = world.topology.find(&name("Hands")).expect("it is there").peers;
        world.sim.crash(hands, Crash::Killed);
        if stranger {
            world.sim.enter(welsh, |event_loop, _| {
                event_loop.listen(address, ServerSecurity::Plain, |_: &mut Servers| Stranger)
            });
        }
        let lines = logged(|| world.pass(Duration::from_secs(60)));
        let is_complaint = |line: &&Logged| line.level == Level::Warn && line.text.contains(" Goloman ");
        let complaints: Vec<_> = lines.iter().filter(is_complaint).collect();
        assert!((1..=2).contains(&complaints.len()), "{} complaints: {complaints:#?}", complaints.len());
    }
}

#[test]
fn a_stranger_who_comes_again_and_again_is_complained_of_once() {
    for (said, why) in [
        (&b"HERD 1 alford Hands 0.1.0\n"[..], " is closed: Goloman is of the herd goloman, not alford"),
        (b"\x16\x03\x01\x00\x05hello\n", " is closed: it speaks TLS, and the links of this server are plain"),
    ] {
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(places()), 7, Weather::default());
        world::links_are_up(&mut world);
        let door = world.topology.find(&name("Goloman")).expect("it is there").peers;
        let lines = logged(|| {
            for _ in 0..10 {
                let stranger = world.sim.connect(door);
                world.sim.send(stranger, said);
                world.pass(Duration::from_secs(5));
            }
        });
        let is_of_him = |line: &&Logged| line.level <= Level::Info && line.text.contains(" Goloman ");
        let shown: Vec<_> = lines.iter().filter(is_of_him).collect();
        assert!(matches!(shown[..], [line] if line.level == Level::Warn && line.text.contains(why)), "{shown:#?}");
    }
}

/// The length of an answer.
const LONG: usize = 30_000;

#[test]
fn a_client_that_asks_much_and_reads_nothing_costs_little() {
    let lines = logged(|| {
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(places()), 7, Weather::default());
        let host = world.host("Welsh");
        let json = format!("{{\"results\":[{{\"name\":\"{}\"}}],\"status\":\"OK\"}}", "x".repeat(LONG));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
        let behaviour = Behaviour { then: Then::KeepOpen, ..Behaviour::bytes(answer) };
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, places(), behaviour));
        let client = world.connect("Goloman");
        world.pass(Duration::from_millis(1));
        world.sim.stop_reading(world.client(client));
        world.send(client, format!("IAMAT a +1+1 5\n{}", "WHATSAT a 1 20\n".repeat(1_000)).as_bytes());
        world.pass(STALL_TIME);
        world.pass(STALL_TIME);
    });
    let dropped =
        lines.iter().find_map(|line| line.text.split("did not read for 60s; ").nth(1)).expect("it is dropped");
    let bytes: usize = dropped.strip_suffix(" bytes are dropped").expect("so many").parse().expect("a number");
    // What asyncio's mark lets through, and the reply that went over it.
    assert!((16 * 1024..64 * 1024 + 2 * LONG).contains(&bytes), "{bytes} bytes waited for it");
}
