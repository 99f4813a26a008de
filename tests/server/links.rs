//! Links between servers: who may speak, what is said, how they end and come back. Time is simulated.

use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Crash, Weather};
use proxy_herd::event_loop::{Protocol, ServerSecurity, Transport};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::limits::{HELLO_TIME, LINE_TIME, PEER_LINE, PEER_WRITE_CAP, PING_AFTER, SILENCE_TIME};
use proxy_herd::server::{Provider, Servers};

use crate::simulated::Simulated;
use crate::world::{self, World, name};

const MOMENT: Duration = Duration::from_millis(100);
const HELLO: &str = "HERD 1 goloman Goloman 0.1.0\n";

fn provider() -> Provider {
    Provider::embedded().expect("a certificate")
}

fn goloman() -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &provider(), 7, Weather::default());
    world::links_are_up(&mut world);
    world
}

/// A herd in which Hands is down, and somebody who comes by Goloman's door for peers.
fn guest() -> (Simulated, ClientId) {
    let mut world = goloman();
    let hands = world.host("Hands");
    world.sim.crash(hands, Crash::Killed);
    world.until("the link is lost", |world| world.links_up("Goloman") == 2);
    let guest = world.stranger("Goloman", b"");
    world.pass(MOMENT);
    assert_eq!(hear(&mut world, guest), HELLO);
    (world, guest)
}

/// What the guest has heard, but for the questions of repair, which come at their own times.
fn hear(world: &mut Simulated, guest: ClientId) -> String {
    let heard = String::from_utf8(world.sim.take_received(guest)).expect("links speak text");
    heard.split_inclusive('\n').filter(|line| !line.starts_with("DIGEST ")).collect()
}

/// What Goloman says to `said`, and whether that ends the connection.
fn says(said: &[u8], expected: &str, ends: bool) {
    let (mut world, guest) = guest();
    world.sim.send(guest, said);
    world.pass(MOMENT);
    let shown = said[..said.len().min(80)].escape_ascii().to_string();
    assert_eq!(hear(&mut world, guest), expected, "to {shown}");
    assert_eq!(world.sim.ending(guest).is_some(), ends, "to {shown}");
    assert_eq!(world.knows("Goloman", "k"), None, "nothing was learnt from {shown}");
}

#[test]
fn only_a_neighbour_of_this_herd_may_speak() {
    let refused = |said: &str, why: &str| says(said.as_bytes(), &format!("ERR {why}\n"), true);
    refused("HERD 1 alford Hands 0.1.0\n", "Goloman is of the herd goloman, not alford");
    refused("HERD 2 goloman Hands 9.9\n", "Goloman speaks version 1, not 2");
    refused("HERD 1 goloman Goloman 0.1.0\n", "Goloman does not talk with itself");
    refused("HERD 1 goloman Welsh 0.1.0\n", "Goloman has no link with Welsh");
    refused("HERD 1 goloman Nobody 0.1.0\n", "Goloman has no link with Nobody");
    refused("HERD 1 goloman \x1b[2J 0.1.0\n", "Goloman has no link with what is no name");
    refused("AT Hands +0.000000000 k +1+1 5\n", "the first line must be HERD");
    refused("IAMAT k +1+1 5\n", "the first line must be HERD");
    refused("PING\n", "the first line must be HERD");
    refused("HERD\n", "the first line must be HERD");
    refused("\n", "the first line must be HERD");
    says(&vec![b'x'; PEER_LINE + 1], "ERR the line is too long\n", true);
}

/// Says a HERD to whoever comes.
struct Impostor;

impl Protocol<Servers> for Impostor {
    fn connection_made(&mut self, transport: &mut Transport<'_, Servers>, _: &mut Servers) {
        transport.write(b"HERD 1 goloman Wilkes 0.1.0\nAT Wilkes +0.000000000 k +1+1 5\n");
    }

    fn data_received(&mut self, _: &mut Transport<'_, Servers>, _: &mut Servers, _: &[u8]) {}
}

#[test]
fn who_is_dialled_must_be_who_answers() {
    let mut world = goloman();
    let (hands, wilkes, welsh) = (world.host("Hands"), world.host("Wilkes"), world.host("Welsh"));
    let address = world.topology.find(&name("Hands")).expect("it is there").peers;
    world.sim.crash(hands, Crash::Killed);
    world.sim.crash(wilkes, Crash::Killed);
    world
        .sim
        .enter(welsh, |event_loop, _| event_loop.listen(address, ServerSecurity::Plain, |_: &mut Servers| Impostor));
    world.pass(Duration::from_secs(3));
    assert_eq!((world.links_up("Goloman"), world.knows("Goloman", "k")), (1, None));
    assert!(world.sim.trace().as_str().contains("ERR Goloman dialled somebody"));
}

#[test]
fn a_neighbour_speaks_reports_and_signs_of_life() {
    let hello = "HERD 1 goloman Hands 0.1.0\n";
    let malformed = "ERR a report is AT <server> <difference> <client> <position> <timestamp>\n";
    says(hello.as_bytes(), "", false);
    says(format!("{hello}PING\nPING\n").as_bytes(), "PONG\nPONG\n", false);
    says(format!("{hello}PONG\nDIGEST 7 0 0\n").as_bytes(), "", false);
    says(format!("{hello}DIGEST 7\n").as_bytes(), "ERR this DIGEST makes no sense here\n", true);
    says(format!("{hello}AT Hands 0 k +1+1 5\n").as_bytes(), malformed, true);
    says(format!("{hello}AT Hands +0.000000000 k +91+1 5\n").as_bytes(), malformed, true);
    says(format!("{hello}WHATSAT k 1 1\n").as_bytes(), "ERR this line has no place here\n", true);
    says(format!("{hello}{hello}").as_bytes(), "ERR this line has no place here\n", true);
    says(format!("{hello}ERR enough\n").as_bytes(), "", true);
    says(format!("{hello}PING\n{hello}").as_bytes(), "PONG\nERR this line has no place here\n", true);
    says(format!("{hello}PING\nERR enough\n").as_bytes(), "PONG\n", true);
    says(&[hello.as_bytes(), &[b'x'; PEER_LINE + 1]].concat(), "ERR the line is too long\n", true);
}

#[test]
fn a_neighbours_report_is_learnt_and_passed_on() {
    let (mut world, guest) = guest();
    let line = "AT Hands +0.000000000 k +1+1 5";
    world.sim.send(guest, format!("HERD 1 goloman Hands 0.1.0\n{line}\n{line}\n").as_bytes());
    world.until("it spreads", |world| world.knows("Welsh", "k").is_some());
    assert_eq!(world.knows("Goloman", "k").as_deref(), Some(line));
    world.pass(MOMENT);
    assert_eq!(hear(&mut world, guest), "", "it does not come back");
}

#[test]
fn a_hello_and_a_line_must_come_in_time() {
    let (mut world, guest) = self::guest();
    world.sim.send(guest, b"HERD 1 golo");
    world.pass(HELLO_TIME - 2 * MOMENT);
    assert_eq!(hear(&mut world, guest), "");
    world.pass(2 * MOMENT);
    assert_eq!(hear(&mut world, guest), "ERR there was no HERD\n");

    let (mut world, guest) = self::guest();
    world.sim.send(guest, b"HERD 1 goloman Hands 0.1.0\n");
    for _ in 0..6 {
        world.sim.send(guest, b"x");
        world.pass(LINE_TIME / 5);
    }
    assert_eq!(hear(&mut world, guest), "ERR the line is not complete\n", "though it drips");
}

#[test]
fn a_silent_neighbour_is_asked_and_then_dropped() {
    let (mut world, guest) = guest();
    // Silence begins with the last word, not with the connection.
    world.pass(HELLO_TIME / 2);
    world.sim.send(guest, b"HERD 1 goloman Hands 0.1.0\n");
    world.pass(PING_AFTER - MOMENT);
    assert_eq!(hear(&mut world, guest), "");
    world.pass(2 * MOMENT);
    assert_eq!(hear(&mut world, guest), "PING\n");
    world.sim.send(guest, b"PONG\n");
    world.pass(PING_AFTER + MOMENT);
    assert_eq!(hear(&mut world, guest), "PING\n", "an answer buys time");
    world.pass(SILENCE_TIME - PING_AFTER - 3 * MOMENT);
    assert!(world.sim.ending(guest).is_none());
    assert_eq!(world.links_up("Goloman"), 3);
    world.pass(4 * MOMENT);
    assert!(world.sim.ending(guest).is_some());
    assert_eq!(world.links_up("Goloman"), 2);
}

#[test]
fn idle_links_stay_up() {
    let mut world = goloman();
    world.pass(SILENCE_TIME * 20);
    world::links_are_up(&mut world);
    assert!(!world.sim.trace().as_str().contains("resets"), "no link was lost");
    let dials = world.sim.trace().as_str().matches(" connects to ").count();
    assert!(dials <= 12, "each end dials once: {dials}");
}

#[test]
fn there_is_one_link_per_edge_however_the_herd_starts() {
    for seed in 0..50 {
        let mut world = Simulated::new(Topology::built_in(), &provider(), seed, Weather::rough());
        world::links_are_up(&mut world);
        world.pass(Duration::from_secs(5));
        world::links_are_up(&mut world);
        let before = world.sim.trace().as_str().matches(" connects to ").count();
        world.pass(Duration::from_secs(60));
        world::links_are_up(&mut world);
        let after = world.sim.trace().as_str().matches(" connects to ").count();
        assert_eq!(before, after, "seed {seed}: somebody still dials");
    }
}

#[test]
fn a_neighbour_that_is_down_is_dialled_until_it_is_back() {
    for how in [Crash::Killed, Crash::Silent] {
        let mut world = goloman();
        let hands = world.host("Hands");
        world.sim.crash(hands, how);
        world.pass(SILENCE_TIME + PING_AFTER);
        assert_eq!((world.links_up("Goloman"), world.links_up("Wilkes")), (2, 2));
        let client = world.connect("Goloman");
        world.send(client, b"IAMAT k +1+1 5\n");
        world.until("the others hear it", |world| world.knows("Welsh", "k").is_some());
        world.restart("Hands", provider());
        world.pass(Duration::from_secs(3));
        world::links_are_up(&mut world);
        world.send(client, b"IAMAT k +1+1 6\n");
        world.until("Hands hears the next", |world| world.knows("Hands", "k").is_some());
    }
}

#[test]
fn a_neighbour_that_does_not_read_is_not_queued_for() {
    let (mut world, guest) = guest();
    world.sim.send(guest, b"HERD 1 goloman Hands 0.1.0\n");
    world.pass(MOMENT);
    world.sim.stop_reading(guest);
    let client = world.connect("Goloman");
    let (all, some) = (40_000, 500);
    for first in (0..all).step_by(some) {
        for stamp in first..first + some {
            world.send(client, format!("IAMAT k +1+1 {stamp}\n").as_bytes());
        }
        let last = format!(" k +1+1 {}\n", first + some - 1);
        world.until("they are answered", |world| world.heard(client).0.ends_with(last.as_bytes()));
        world.until("the others hear them", |world| world.knows("Welsh", "k") == world.knows("Goloman", "k"));
    }
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(1));
    let heard = String::from_utf8(world.sim.take_received(guest)).expect("links speak text");
    assert!(heard.ends_with("DIGEST AGAIN\n"), "it should ask for the rest");
    let reports = heard.lines().filter(|line| line.starts_with("AT ")).count();
    let room = (PEER_WRITE_CAP + 64 * 1024) / "AT Goloman +1520005174.204510000 k +1+1 5\n".len();
    assert!((1_000..room).contains(&reports), "what fitted was queued, the rest dropped: {reports}");
    world.send(client, b"IAMAT k +1+1 99999\n");
    world.pass(MOMENT);
    assert!(hear(&mut world, guest).ends_with(" k +1+1 99999\n"), "it has caught up");
}
