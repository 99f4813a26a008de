//! Clients, neighbours and a Places that mean harm, or are broken in a way that looks like it. Time is simulated.

use std::time::{Duration, SystemTime};

use proxy_herd::driver::sim::{ClientId, Crash, Weather};
use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Servers;
use proxy_herd::server::limits::{
    LINE_TIME, LOOKUP_TIME, LOOKUPS, OUTSTANDING, PEER_WRITE_CAP, PING_AFTER, QUESTIONS_WAITING, RETIRED_TIME,
    SILENCE_TIME, STALL_TIME,
};

use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES};
use crate::world::{self, World, name};

const MOMENT: Duration = Duration::from_millis(100);
const SLOW: Duration = Duration::from_secs(2);
const HELLO: &[u8] = b"HERD 1 goloman Hands 0.1.0\n";

fn herd(weather: Weather) -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, weather);
    world::links_are_up(&mut world);
    world
}

/// A herd with a Places on Welsh's host.
fn herd_with(behaviour: Behaviour) -> Simulated {
    let mut world = herd(Weather::default());
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, behaviour));
    world
}

fn clients(world: &Simulated) -> Option<u32> {
    world.servers("Goloman").clients(&name("Goloman"))
}

/// Somebody who comes by Goloman's door for peers and says that it is Hands.
fn guest(world: &mut Simulated) -> ClientId {
    let guest = world.stranger("Goloman", HELLO);
    world.pass(MOMENT);
    guest
}

fn without_hands() -> Simulated {
    let mut world = herd(Weather::default());
    let hands = world.host("Hands");
    world.sim.crash(hands, Crash::Killed);
    world.pass(MOMENT);
    world
}

#[test]
fn a_neighbour_that_asks_and_does_not_read_is_not_answered_for_ever() {
    let mut world = without_hands();
    let guest = guest(&mut world);
    world.sim.stop_reading(guest);
    world.sim.send(guest, &b"PING\n".repeat(1_000_000));
    world.pass(Duration::from_secs(5));
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(5));
    let waited = world.sim.take_received(guest).len();
    assert!(waited < PEER_WRITE_CAP, "{waited} bytes waited for it");
    world.sim.send(guest, b"PING\n");
    world.pass(MOMENT);
    assert_eq!(world.sim.take_received(guest), b"PONG\n", "it has caught up");
}

#[test]
fn a_retired_link_does_not_stay_however_lively_it_is() {
    let mut world = without_hands();
    let old = guest(&mut world);
    let new = guest(&mut world);
    assert!(world.sim.received(old).ends_with(b"ERR another connection is the link\n"));
    for _ in 0..RETIRED_TIME.as_secs() + 1 {
        world.sim.send(old, b"PONG\n");
        world.pass(Duration::from_secs(1));
    }
    assert!(world.sim.ending(old).is_some());
    assert!(world.sim.ending(new).is_none());
    assert_eq!(world.links_up("Goloman"), 3);
}

/// A herd without Hands; at its address somebody else listens who says this to everyone and closes.
fn herd_with_impostor(says: &'static [u8]) -> Simulated {
    let mut world = herd(Weather::default());
    let (hands, welsh) = (world.host("Hands"), world.host("Welsh"));
    let address = world.topology.find(&name("Hands")).expect("it is there").peers;
    world.sim.crash(hands, Crash::Killed);
    world.sim.enter(welsh, |event_loop, _| {
        event_loop.listen(address, ServerSecurity::Plain, move |_: &mut Servers| Says(says))
    });
    world
}

struct Says(&'static [u8]);

impl Protocol<Servers> for Says {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.write(self.0);
    }

    fn data_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers, _: &[u8]) {}
}

#[test]
fn a_neighbour_that_says_no_after_hello_is_dialled_ever_more_slowly() {
    let mut world = herd_with_impostor(b"HERD 1 goloman Hands 0.1.0\nERR go away\n");
    world.pass(Duration::from_secs(30));
    let before = world.sim.trace().as_str().matches(" connects to ").count();
    world.pass(Duration::from_secs(30));
    let dials = world.sim.trace().as_str().matches(" connects to ").count() - before;
    // Two servers, a pause of half a second to a second each time.
    assert!((40..=120).contains(&dials), "{dials} in half a minute");
}

/// Says more than it was asked.
struct Talkative {
    answers: u32,
}

impl Protocol<Servers> for Talkative {
    fn data_received(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers, _: &[u8]) {
        let answer = |results| Behaviour::good(results, Duration::ZERO).answer;
        // The answer, and later half of one that nobody asked for; its other half instead of the next answer.
        let stale = answer(5);
        let (first, second) = stale.split_at(stale.len() / 2);
        self.answers += 1;
        if self.answers > 1 {
            return transport.write(second);
        }
        transport.write(&answer(1));
        let (id, first) = (transport.id(), first.to_vec());
        transport.event_loop().call_later(MOMENT, move |event_loop, _| {
            if let Some(mut transport) = event_loop.transport(id) {
                transport.write(&first);
            }
        });
    }
}

#[test]
fn what_places_says_unasked_is_nobodys_answer() {
    let mut world = herd(Weather::default());
    let host = world.host("Welsh");
    world.sim.enter(host, |event_loop, _| {
        event_loop.listen(PLACES, ServerSecurity::Plain, |_: &mut Servers| Talkative { answers: 0 })
    });
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    for radius in 1..4 {
        world.send(client, format!("WHATSAT a {radius} 20\n").as_bytes());
        world.until("an answer", |world| world.heard(client).0.ends_with(b"}\n\n"));
        let heard = String::from_utf8(std::mem::take(world.heard(client).0)).expect("text");
        assert_eq!(heard.matches("\"name\"").count(), 1, "{heard}");
        world.pass(2 * MOMENT);
    }
    assert_eq!(upstream::traffic(&world), (3, 3), "who says more than it was asked is left");
}

#[test]
fn questions_of_those_who_left_are_not_asked() {
    let mut world = herd_with(Behaviour::good(1, SLOW));
    let (patient, hasty, joined) = (world.connect("Goloman"), world.connect("Goloman"), world.connect("Goloman"));
    world.send(patient, b"IAMAT a +1+1 5\n");
    for radius in 1..9 {
        world.send(patient, format!("WHATSAT a {radius} 1\n").as_bytes());
    }
    world.pass(MOMENT);
    for radius in 1..21 {
        world.send(hasty, format!("WHATSAT a 10.{radius} 1\n").as_bytes());
    }
    world.pass(MOMENT);
    world.send(joined, b"WHATSAT a 10.20 1\n");
    world.pass(MOMENT);
    world.sim.reset(world.client(hasty));
    world.until("an answer", |world| world.heard(joined).0.ends_with(b"}\n\n"));
    world.pass(3 * SLOW);
    assert_eq!(upstream::traffic(&world), (8, 9), "eight of the patient one, and the one that somebody joined");
}

#[test]
fn a_client_that_asks_ends_and_never_reads_is_dropped() {
    // Over the mark, where it counts as stalled; and below it, where the close waits.
    for (bytes, window) in [(400_000, 64 * 1024), (60_000, 1_024)] {
        let mut world = herd(Weather { window, ..Weather::default() });
        let client = world.connect("Goloman");
        world.pass(MOMENT);
        world.sim.stop_reading(world.client(client));
        world.send(client, format!("{}\n", "x".repeat(999)).repeat(bytes / 1_000).as_bytes());
        world.half_close(client);
        world.pass(STALL_TIME - MOMENT);
        assert_eq!(clients(&world), Some(1), "{bytes} bytes");
        world.pass(SLOW);
        assert_eq!(clients(&world), Some(0), "{bytes} bytes");
    }
}

#[test]
fn a_client_that_ends_is_answered_though_its_lines_had_to_wait() {
    let mut world = herd_with(Behaviour::good(1, SLOW));
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    let many = format!("{}\n", "x".repeat(999)).repeat(300);
    let said = format!("IAMAT a +1+1 5\n{}{many}{}last", "WHATSAT a 1 1\nx\n".repeat(70), "WHATSAT a 2 1\n".repeat(40));
    world.send(client, said.as_bytes());
    world.half_close(client);
    world.pass(STALL_TIME / 2);
    world.sim.go_on_reading(world.client(client));
    world.until("the end", |world| world.heard(client).1);
    let heard = String::from_utf8(std::mem::take(world.heard(client).0)).expect("text");
    let kind = |line: &str| line.split(' ').next().map(str::to_owned);
    let order: Vec<_> = heard.lines().filter(|line| line.starts_with(['A', '?'])).map(kind).collect();
    let expected: Vec<_> = said
        .lines()
        .map(|line| Some(if line.starts_with("IAMAT") || line.starts_with("WHATSAT") { "AT" } else { "?" }.to_owned()))
        .collect();
    assert!(order == expected, "{} replies to {} lines", order.len(), expected.len());
    assert!(heard.ends_with("}\n\n? last\n"));
    assert_eq!(clients(&world), Some(0));
}

#[test]
fn a_server_stops_in_time_though_a_client_does_not_read() {
    let mut world = herd(Weather::default());
    let host = world.host("Goloman");
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    world.send(client, format!("{}\n", "x".repeat(999)).repeat(400).as_bytes());
    world.pass(MOMENT);
    world.sim.enter(host, |event_loop, servers| servers.drain(event_loop));
    world.pass(Duration::from_secs(5) - MOMENT);
    assert!(world.sim.is_running(host));
    world.pass(2 * MOMENT);
    assert!(!world.sim.is_running(host));
}

#[test]
fn clocks_that_are_far_off_are_subtracted_all_the_same() {
    let mut world = herd(Weather::default());
    let host = world.host("Goloman");
    let client = world.connect("Goloman");
    let mut check = |wall: SystemTime, stamp: &str, difference: &str| {
        world.sim.set_wall_clock(host, wall);
        world.send(client, format!("IAMAT k +1+1 {stamp}\n").as_bytes());
        world.until("a reply", |world| world.heard(client).0.ends_with(b"\n"));
        let heard = String::from_utf8(std::mem::take(world.heard(client).0)).expect("text");
        let found = heard.split(' ').nth(2).expect("a difference");
        // The message takes 100 microseconds.
        assert!(found.starts_with(difference), "{heard}");
        assert!(heard.ends_with(&format!(" k +1+1 {stamp}\n")), "{heard}");
    };
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    check(SystemTime::UNIX_EPOCH - Duration::from_secs(10), "0", "-9.999");
    check(SystemTime::UNIX_EPOCH - Duration::from_secs(10), "-10", "+0.000");
    check(SystemTime::UNIX_EPOCH - 100 * year, "9223372036854775807.999999999", "-9223372040008375807.999");
    check(SystemTime::UNIX_EPOCH + 100 * year, "-9223372036854775807.999999999", "+9223372040008375808.000");
}

#[test]
fn answers_do_not_buy_time_for_a_line() {
    let mut world = herd_with(Behaviour::good(1, SLOW));
    let client = world.connect("Goloman");
    world.send(client, b"IAMAT a +1+1 5\n");
    for radius in 1..=24 {
        world.send(client, format!("WHATSAT a {radius} 1\n").as_bytes());
    }
    world.send(client, b"slow");
    // Eight answers after two, four and six seconds.
    world.pass(LINE_TIME - MOMENT);
    assert_eq!(world.heard(client).0.windows(3).filter(|end| end == b"}\n\n").count(), 24);
    assert!(!world.heard(client).1);
    world.pass(2 * MOMENT);
    assert!(world.heard(client).0.ends_with(b"? slow\n") && world.heard(client).1);
}

#[test]
fn a_question_too_many_is_answered_at_once() {
    let mut world = herd_with(Behaviour::good(1, Duration::from_secs(60)));
    let first = world.connect("Goloman");
    world.send(first, b"IAMAT a +1+1 5\n");
    world.pass(MOMENT);
    let mut left = LOOKUPS + QUESTIONS_WAITING;
    while left > 0 {
        let client = world.connect("Goloman");
        for _ in 0..left.min(OUTSTANDING) {
            world.send(client, format!("WHATSAT a 1.{left:04} 1\n").as_bytes());
            left -= 1;
        }
    }
    world.pass(MOMENT);
    world.send(first, b"WHATSAT a 1.0001 1\n");
    world.pass(MOMENT);
    assert!(!world.heard(first).0.ends_with(b"\n\n"), "a question that is open already can be joined");
    let late = world.connect("Hands");
    world.send(late, b"WHATSAT a 50 1\n");
    let late_here = world.connect("Goloman");
    world.send(late_here, b"WHATSAT a 50 1\nx\n");
    world.pass(MOMENT);
    let heard = String::from_utf8_lossy(world.heard(late_here).0).into_owned();
    assert!(heard.contains("\"status\" : \"UNKNOWN_ERROR\"") && heard.ends_with("}\n\n? x\n"), "{heard}");
    assert!(!world.heard(late).0.ends_with(b"\n\n"), "another process has questions of its own");
    world.pass(LOOKUP_TIME);
    assert!(world.heard(first).0.ends_with(b"}\n\n"), "all are given up in time");
}

#[test]
fn a_machine_that_was_off_for_a_moment_is_linked_again() {
    for server in ["Goloman", "Wilkes"] {
        let mut world = herd(Weather::default());
        let host = world.host(server);
        world.sim.crash(host, Crash::Silent);
        world.pass(MOMENT);
        world.restart(server, upstream::provider(PLACES));
        // Its neighbours do not know that it was away until they ask.
        world.pass(PING_AFTER + SLOW);
        world::links_are_up(&mut world);
        world.pass(MOMENT);
        world::links_are_up(&mut world);
    }
}

#[test]
fn garbage_of_neighbours_harms_nobody() {
    let mut world = without_hands();
    let mut dice = fastrand::Rng::with_seed(7);
    let words: [&[u8]; 12] = [
        HELLO,
        b"HERD 1 ",
        b"AT Hands +0.000000000 k +1+1 ",
        b"AT ",
        b"PING\n",
        b"PONG",
        b"DIGEST ",
        b"ERR ",
        b"\n",
        b"\0\xff\r ",
        b"9223372036854775807.999999999\n",
        b"5\n",
    ];
    let address = world.topology.find(&name("Goloman")).expect("it is there").peers;
    for _ in 0..500 {
        let guest = world.sim.connect(address);
        if dice.bool() {
            world.sim.send(guest, HELLO);
        }
        for _ in 0..dice.usize(..20) {
            world.sim.send(guest, words[dice.usize(..words.len())]);
        }
        match dice.u8(..3) {
            0 => world.sim.reset(guest),
            1 => world.sim.half_close(guest),
            _ => {}
        }
        world.pass(Duration::from_millis(dice.u64(..20)));
    }
    world.pass(SILENCE_TIME);
    assert_eq!(world.links_up("Goloman"), 2);
    world.restart("Hands", upstream::provider(PLACES));
    world::links_are_up(&mut world);
}

#[test]
fn a_client_that_reads_slowly_is_not_one_that_does_not_read() {
    let mut world = herd(Weather { window: 16 * 1024, ..Weather::default() });
    let host = world.host("Welsh");
    let json = format!("{{\"results\":[{{\"name\":\"{}\"}}],\"status\":\"OK\"}}", "x".repeat(30_000));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
    world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, Behaviour::bytes(answer)));
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    world.send(client, format!("IAMAT a +1+1 5\n{}", "WHATSAT a 1 1\n".repeat(OUTSTANDING)).as_bytes());
    // A window of 16 KiB every ten seconds: the low-water mark is reached twice a minute.
    for _ in 0..OUTSTANDING * json.len() / (16 * 1024) + 2 {
        world.pass(STALL_TIME / 6);
        world.sim.go_on_reading(world.client(client));
        world.sim.stop_reading(world.client(client));
    }
    assert_eq!(clients(&world), Some(1));
    world.sim.go_on_reading(world.client(client));
    world.pass(MOMENT);
    let ends = world.heard(client).0.windows(3).filter(|end| end == b"}\n\n").count();
    assert_eq!(ends, OUTSTANDING);
}
