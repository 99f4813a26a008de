//! Servers on the simulated network, in both styles, with clients, neighbours and a Places of every bad kind.

use std::time::Duration;

use log::Level;
use proxy_herd::driver::sim::{ClientId, Crash, Weather};
use proxy_herd::herd::command::Command;
use proxy_herd::herd::link::LinkLine;
use proxy_herd::herd::topology::{Places, Topology, Url};
use proxy_herd::places::key::Key;
use proxy_herd::server::Provider;
use proxy_herd::server::limits::{
    IDLE_TIME, LINE_TIME, LOOKUP_TIME, OUTSTANDING, PING_AFTER, QUESTIONS_WAITING, STALL_TIME,
};

use crate::records::{Logged, logged};
use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES};
use crate::world::{World, links_are_up};
use crate::{CLIENT, KEY, POSITION, POSITIONS, assert_no_key, assert_no_position};

/// Plays `scene` with a server of each style, and searches the log: it must have a line with `expected` in it, and with the
/// canary none but of what was said, or asked. So must what the other ends have heard, which `scene` gives back.
#[track_caller]
fn check(expected: &str, scene: impl Fn(&mut Simulated, &str) -> String) {
    for server in ["Goloman", "Hands"] {
        let mut heard = String::new();
        let lines = logged(|| {
            let mut world = herd();
            heard = scene(&mut world, server);
        });
        assert_no_key(&heard);
        heard.lines().filter(|line| line.starts_with("ERR")).for_each(assert_no_position);
        lines.iter().for_each(check_line);
        let found = lines.iter().any(|line| line.text.contains(expected)) || heard.contains(expected);
        assert!(found, "{server} has not shown {expected:?}: {lines:#?}\n{heard}");
    }
}

/// Fails if a line of the log shows the key, or a position where none may be.
#[track_caller]
pub(crate) fn check_line(line: &Logged) {
    assert_no_key(&line.text);
    let of_talk = [" < ", " > ", " asks Places ", " says: "].iter().any(|sign| line.text.contains(sign));
    if line.level <= Level::Info || !of_talk {
        assert_no_position(&line.text);
    }
}

fn herd() -> Simulated {
    let url = Url::parse(&format!("http://{PLACES}")).expect("a URL");
    let provider = Provider::google(&Places { url: Some(url), ..Places::default() }, Key::new(KEY).expect("a key"))
        .expect("no TLS is needed");
    let mut world = Simulated::new(Topology::built_in(), &provider, 7, Weather::default());
    links_are_up(&mut world);
    world
}

/// What a client hears who says this, in this time, and then ends.
fn talk(world: &mut Simulated, server: &str, said: &[u8], time: Duration) -> String {
    let client = world.connect(server);
    world.send(client, said);
    world.pass(time);
    world.half_close(client);
    world.pass(MOMENT);
    String::from_utf8_lossy(world.heard(client).0).into_owned()
}

/// The canary says where it is, and asks.
fn iamat() -> String {
    format!("IAMAT {CLIENT} {POSITION} 5\n")
}

fn whatsat() -> String {
    format!("WHATSAT {CLIENT} 1 20\n")
}

/// A report of the canary, as a neighbour tells it.
fn at() -> String {
    format!("AT Wilkes +0.000000001 {CLIENT} {POSITION} 5\n")
}

#[test]
fn what_is_searched_for_is_found_where_it_may_be() {
    let lines = logged(|| {
        let mut world = herd();
        let heard = talk(&mut world, "Goloman", iamat().as_bytes(), MOMENT);
        assert!(POSITIONS.iter().all(|canary| heard.contains(canary)), "{heard}");
    });
    for sign in [" < IAMAT ", " > AT Goloman ", " < AT Goloman "] {
        let told = |line: &Logged| line.text.contains(sign) && line.text.contains(POSITION);
        let line = lines.iter().find(|line| told(line)).expect(sign);
        assert_eq!(line.level, Level::Debug);
    }
}

#[test]
fn clients_of_every_kind() {
    let said = |expected: &str, said: String, time| {
        check(expected, |world, server| talk(world, server, said.as_bytes(), time));
    };
    said("connected from", iamat(), MOMENT);
    said("? IAMAT", format!("IAMAT {CLIENT} {POSITION}x 5\n"), MOMENT);
    said("? at", format!("at {POSITION}\n{}", at()), MOMENT);
    said("sent a line over", format!("IAMAT {CLIENT} {POSITION}{}", "0".repeat(Command::LIMIT)), MOMENT);
    said("did not end a line", format!("{}IAMAT {CLIENT} {POSITION}", iamat()), LINE_TIME + MOMENT);
    said("said nothing for", iamat(), IDLE_TIME + MOMENT);
    said("connected from", format!("{}\0\x1b[2J\r\n{POSITION}\n", iamat()), MOMENT);
}

#[test]
fn a_client_that_breaks_off() {
    check("is gone: ", |world, server| {
        let client = world.connect(server);
        world.send(client, format!("{}IAMAT {CLIENT} {POSITION}", iamat()).as_bytes());
        world.pass(MOMENT);
        world.sim.reset(world.client(client));
        world.pass(MOMENT);
        String::new()
    });
    check("did not read for", |world, server| {
        let client = world.connect(server);
        world.pass(MOMENT);
        world.sim.stop_reading(world.client(client));
        world.send(client, iamat().repeat(10_000).as_bytes());
        world.pass(2 * STALL_TIME + MOMENT);
        String::new()
    });
}

#[test]
fn a_server_that_stops() {
    check("stops without having answered everybody", |world, server| {
        let host = world.host("Welsh");
        let silent = Behaviour::good(1, Duration::from_secs(600));
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, silent));
        let client = world.connect(server);
        world.send(client, format!("{}{}IAMAT {CLIENT} {POSITION}", iamat(), whatsat()).as_bytes());
        world.pass(MOMENT);
        let host = world.host(server);
        world.sim.enter(host, |event_loop, servers| servers.drain(event_loop));
        world.pass(Duration::from_secs(60));
        String::from_utf8_lossy(world.heard(client).0).into_owned()
    });
}

#[test]
fn places_of_every_kind() {
    let json = r#"{"status":"REQUEST_DENIED","error_message":"This API project is not authorized."}"#;
    let answer = |head: &str, body: &str| Behaviour::bytes(format!("HTTP/1.1 {head}\r\n\r\n{body}"));
    let length = |length: usize| format!("200 OK\r\nContent-Length: {length}");
    // What is told of one that repeats the question is that it makes no sense.
    let echo = format!("no places near {POSITION} for {KEY}");
    let leak = format!(r#"{{"status":"REQUEST_DENIED","error_message":"{KEY} is no key"}}"#);
    let behaviours = [
        ("OK", Behaviour::good(3, MOMENT)),
        ("REQUEST_DENIED", answer(&length(json.len()), json)),
        ("no answer within", Behaviour::good(1, LOOKUP_TIME + MOMENT)),
        ("the connection ended within", answer(&length(100), json)),
        ("this is no HTTP", Behaviour::bytes(format!("{echo}\r\n\r\n"))),
        ("the answer is not JSON", answer(&length(POSITION.len()), POSITION)),
        ("the answer shows the key", answer(&length(echo.len()), &echo)),
        ("the answer shows the key", answer(&length(leak.len()), &leak)),
        ("the HTTP body is too long", answer(&length(usize::MAX), "")),
        ("the HTTP head is too long", answer(&format!("200 OK\r\nX: {}", echo.repeat(500)), "")),
        ("an HTTP chunk is malformed", answer("200 OK\r\nTransfer-Encoding: chunked", &echo)),
        ("HTTP 302: a redirect", answer("302 Found\r\nLocation: /\r\nContent-Length: 0", "")),
        ("the connection ended", Behaviour::bytes("")),
    ];
    for (expected, behaviour) in behaviours {
        check(expected, |world, server| {
            let host = world.host("Welsh");
            world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, behaviour.clone()));
            talk(world, server, (iamat() + &whatsat()).as_bytes(), LOOKUP_TIME + 2 * MOMENT)
        });
    }
    // Nobody listens.
    check("gets no places", |world, server| talk(world, server, (iamat() + &whatsat()).as_bytes(), LOOKUP_TIME));
}

#[test]
fn more_questions_than_may_wait() {
    check("too many questions wait", |world, server| {
        let host = world.host("Welsh");
        let slow = Behaviour::good(1, Duration::from_secs(9));
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, slow));
        let mut clients = Vec::new();
        for crowd in 0..QUESTIONS_WAITING / OUTSTANDING + 2 {
            let client = world.connect(server);
            let question = |radius| format!("WHATSAT {CLIENT} {crowd}.{radius:02} 1\n");
            let questions: String = (0..OUTSTANDING).map(question).collect();
            world.send(client, (iamat() + &questions).as_bytes());
            clients.push(client);
        }
        world.pass(MOMENT);
        clients.into_iter().map(|client| String::from_utf8_lossy(world.heard(client).0).into_owned()).collect()
    });
}

/// Somebody comes by the door for peers in the place of a neighbour, which has crashed, and says this; what it hears.
fn guest(world: &mut Simulated, server: &str, said: &[u8], time: Duration) -> String {
    let neighbour = world.host("Wilkes");
    world.sim.crash(neighbour, Crash::Killed);
    world.pass(MOMENT);
    let address = world.topology.find(&crate::world::name(server)).expect("it is there").peers;
    let guest: ClientId = world.sim.connect(address);
    world.sim.send(guest, said);
    world.pass(time);
    String::from_utf8_lossy(&world.sim.take_received(guest)).into_owned()
}

#[test]
fn neighbours_of_every_kind() {
    let hello = "HERD 1 goloman Wilkes 0.1.0\n";
    let refused = |why: &str, said: String, time| {
        check(&format!("ERR {why}\n"), |world, server| guest(world, server, said.as_bytes(), time));
    };
    let at = at();
    for (from, to) in [
        ("AT ", "AT  "),
        ("Wilkes", "4ilkes"),
        ("+0.000000001", "0.000000001"),
        (CLIENT, &format!("{CLIENT}\t")),
        (CLIENT, &CLIENT.repeat(30)),
        (POSITION, &format!("{POSITION}/{POSITION}")),
        (" 5", " 5e"),
        (" 5", " 5 5"),
        (" 5", " 5\r"),
    ] {
        refused(
            "a report is AT <server> <difference> <client> <position> <timestamp>",
            format!("{hello}{at}{}", at.replace(from, to)),
            MOMENT,
        );
    }
    refused("this line has no place here", format!("{hello}{}", iamat()), MOMENT);
    refused("this line has no place here", format!("{hello}{POSITION} {CLIENT}\n"), MOMENT);
    refused("this DIGEST makes no sense here", format!("{hello}{at}DIGEST {POSITION} {CLIENT}\n"), MOMENT);
    refused("the first line must be HERD", at.clone(), MOMENT);
    refused("the first line must be HERD", iamat(), MOMENT);
    refused("the line is too long", format!("{hello}{at}AT {POSITION}{}", "0".repeat(LinkLine::LIMIT)), MOMENT);
    refused("the line is not complete", format!("{hello}{at}AT {POSITION} {CLIENT}"), LINE_TIME + MOMENT);
    refused("there was no HERD", format!("HERD 1 {POSITION}"), 2 * LINE_TIME);
}

#[test]
fn those_who_greet_with_what_they_know_of_a_client() {
    let refused = |why: &str, said: &str| {
        check(why, |world, server| guest(world, server, said.as_bytes(), MOMENT));
    };
    refused("is of the herd goloman, not ", &format!("HERD 1 {POSITION} Wilkes 0.1.0\n"));
    refused("has no link with ", &format!("HERD 1 goloman {POSITION} 0.1.0\n"));
    refused("has no link with ", &format!("HERD 1 goloman {CLIENT} 0.1.0\n"));
    refused("the first line must be HERD", &format!("HERD {POSITION} goloman Wilkes 0.1.0\n"));
}

#[test]
fn neighbours_that_fall_silent_or_leave() {
    let hello = "HERD 1 goloman Wilkes 0.1.0\n";
    let said = format!("{hello}{}", at());
    check("silent for", |world, server| guest(world, server, said.as_bytes(), 4 * PING_AFTER));
    check(" with Wilkes is gone", |world, server| {
        let heard = talk(world, server, iamat().as_bytes(), MOMENT);
        let neighbour = world.host("Wilkes");
        world.sim.crash(neighbour, Crash::Killed);
        world.pass(Duration::from_secs(60));
        heard
    });
}

const MOMENT: Duration = Duration::from_millis(100);
