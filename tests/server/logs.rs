//! What is logged, and what never is.

use std::time::Duration;

use log::Level;
use proxy_herd::driver::sim::{Crash, Weather};
use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Servers;
use proxy_herd::server::limits::STALL_TIME;

use crate::records::{Logged, logged};
use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES, Then};
use crate::world::{self, World, name};

/// One question to a Places that behaves like this, and its answer.
fn ask(behaviour: Behaviour) {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, behaviour));
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\nWHATSAT a 1 2\n");
    world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
}

/// An answer of the legacy API that nobody gets places from.
fn failure(status: &str, message: &str) -> Behaviour {
    let json = serde_json::json!({ "error_message": message, "status": status }).to_string();
    Behaviour::bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len()))
}

#[test]
fn why_places_refuses_is_told_with_what_to_look_at() {
    let lines = logged(|| ask(failure("REQUEST_DENIED", "The provided API key is invalid.")));
    let check = |level, expected: &str| {
        let is_it = |line: &Logged| line.level == level && line.text.ends_with(expected);
        assert!(lines.iter().any(is_it), "{expected:?} is not in {lines:#?}");
    };
    check(Level::Debug, " the legacy Places API says: The provided API key is invalid.");
    check(
        Level::Warn,
        " gets no places for its reply 0: REQUEST_DENIED, says the legacy Places API; look at the key, at its \
         restrictions, and at what is enabled and billed in its project",
    );
}

#[test]
fn what_places_says_cannot_forge_or_flood_the_log() {
    let forged = format!("OK\nINFO Goloman forged \u{e9} {}", "x".repeat(500_000));
    let lines = logged(|| ask(failure(&forged, &forged)));
    for (what, longest) in [("gets no places", 300), (" says: OK\\nINFO Goloman forged \\xc3\\xa9 x", 600)] {
        let line = lines.iter().find(|line| line.text.contains(what)).expect("it is logged");
        assert!(!line.text.contains('\n') && line.text.len() < longest, "{} bytes", line.text.len());
    }
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
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
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
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
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
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
        let host = world.host("Welsh");
        let json = format!("{{\"results\":[{{\"name\":\"{}\"}}],\"status\":\"OK\"}}", "x".repeat(LONG));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
        let behaviour = Behaviour { then: Then::KeepOpen, ..Behaviour::bytes(answer) };
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, behaviour));
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
