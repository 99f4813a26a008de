//! What a client may do, how much and how long: at each limit, and one past it. Time is simulated.

use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Ending, Weather};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::Provider;
use proxy_herd::server::limits::{
    HELD_REPLIES, IDLE_TIME, LINE_TIME, OUTSTANDING, REFUSED_COPY, STALL_TIME, STRANGERS,
};

use crate::simulated::Simulated;
use crate::upstream::{self, Behaviour, PLACES};
use crate::world::{self, World, name};

const MOMENT: Duration = Duration::from_millis(100);

fn herd(topology: Topology) -> Simulated {
    let mut world = Simulated::new(topology, &Provider::embedded().expect("a certificate"), 7, Weather::default());
    world::links_are_up(&mut world);
    world
}

fn goloman() -> Simulated {
    herd(Topology::built_in())
}

/// What the client hears in the next moment, and whether the server has ended.
fn now(world: &mut Simulated, client: usize) -> (String, bool) {
    world.pass(MOMENT);
    let (heard, ended) = world.heard(client);
    (String::from_utf8_lossy(&std::mem::take(heard)).into_owned(), ended)
}

fn clients(world: &Simulated) -> Option<u32> {
    world.servers("Goloman").clients(&name("Goloman"))
}

#[test]
fn an_idle_client_is_closed_after_its_time() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.pass(IDLE_TIME - MOMENT);
    world.send(client, b"x\n");
    assert_eq!(now(&mut world, client), ("? x\n".to_owned(), false), "a word renews it");
    world.pass(IDLE_TIME - 2 * MOMENT);
    assert_eq!(now(&mut world, client), (String::new(), false));
    assert_eq!(now(&mut world, client), (String::new(), true));
    assert_eq!(clients(&world), Some(0));
}

#[test]
fn a_line_must_be_complete_in_time_however_it_drips() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.send(client, b"IAMAT sl");
    for _ in 0..9 {
        world.pass(LINE_TIME / 10);
        world.send(client, b"o");
    }
    world.pass(LINE_TIME / 10 - 2 * MOMENT);
    assert_eq!(now(&mut world, client), (String::new(), false));
    world.pass(MOMENT);
    assert_eq!(now(&mut world, client), ("? IAMAT slooooooooo\n".to_owned(), true));
}

#[test]
fn a_refusal_is_heard_though_its_client_was_still_sending() {
    // Closing at once would reset the connection, and a reset overtakes what the client has not read.
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    world.send(client, &[b'z'; 200_000]);
    world.pass(MOMENT);
    world.sim.go_on_reading(world.client(client));
    assert_eq!(now(&mut world, client), (format!("? {}\n", "z".repeat(REFUSED_COPY)), true));
}

#[test]
fn each_line_has_its_own_time() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    for _ in 0..4 {
        world.send(client, b"a");
        world.pass(LINE_TIME - 3 * MOMENT);
        world.send(client, b"\nb");
        assert_eq!(now(&mut world, client), ("? a\n".to_owned(), false));
        world.pass(LINE_TIME - 3 * MOMENT);
        world.send(client, b"\n");
        assert_eq!(now(&mut world, client), ("? b\n".to_owned(), false));
    }
}

#[test]
fn a_client_that_does_not_read_is_not_read_from_and_then_dropped() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    let line = format!("{}\n", "x".repeat(4_000));
    for _ in 0..500 {
        world.send(client, line.as_bytes());
    }
    // Without a limit all 2 MB would have been taken in and answered by now.
    world.send(client, b"IAMAT never +1+1 5\n");
    world.pass(STALL_TIME - 2 * MOMENT);
    assert_eq!(clients(&world), Some(1));
    world.pass(3 * MOMENT);
    assert_eq!(clients(&world), Some(0));
    assert_eq!(world.knows("Goloman", "never"), None, "what came after was not read");
}

#[test]
fn a_client_that_reads_late_gets_everything() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.pass(MOMENT);
    world.sim.stop_reading(world.client(client));
    let said: String = (0..2_000).map(|number| format!("{number} {}\n", "x".repeat(500))).collect();
    world.send(client, said.as_bytes());
    world.pass(STALL_TIME / 2);
    world.sim.go_on_reading(world.client(client));
    let expected: String = said.lines().map(|line| format!("? {line}\n")).collect();
    world.until("all replies", |world| world.heard(client).0.len() >= expected.len());
    assert!(*world.heard(client).0 == expected.as_bytes());
}

#[test]
fn only_so_many_whatsats_are_outstanding() {
    let later = Duration::from_secs(2);
    // One less than the limit lets the next command be executed at once; at the limit it has to wait.
    for (questions, executed) in [(OUTSTANDING - 1, true), (OUTSTANDING, false)] {
        let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
        let host = world.host("Goloman");
        world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, Behaviour::good(1, later)));
        let client = world.connect("Goloman");
        world.send(client, b"IAMAT a +1+1 5\n");
        for _ in 0..questions {
            world.send(client, b"WHATSAT a 1 1\n");
        }
        world.send(client, b"IAMAT b +1+1 5\nlast\n");
        world.pass(later / 2);
        assert_eq!(world.knows("Goloman", "b").is_some(), executed, "after {questions} questions");
        world.until("the last reply", |world| world.heard(client).0.ends_with(b"? last\n"));
        let heard = String::from_utf8_lossy(world.heard(client).0).into_owned();
        assert_eq!(heard.matches("\"status\" : \"OK\"").count(), questions);
        assert_eq!(heard.lines().filter(|line| line.starts_with("AT ")).count(), questions + 2);
    }
}

#[test]
fn replies_that_wait_for_a_whatsat_are_bounded() {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
    let host = world.host("Goloman");
    let later = Duration::from_secs(2);
    world.sim.enter(host, |event_loop, _| upstream::listen(event_loop, PLACES, Behaviour::good(1, later)));
    let client = world.connect("Goloman");
    let line = format!("{}\n", "x".repeat(4_000));
    let lines = HELD_REPLIES / 4_000 + 2;
    world.send(client, format!("IAMAT a +1+1 5\nWHATSAT a 1 1\n{}IAMAT b +1+1 5\n", line.repeat(lines)).as_bytes());
    world.pass(later / 2);
    assert_eq!(world.knows("Goloman", "b"), None, "the lines after them wait");
    world.until("the last reply", |world| world.heard(client).0.ends_with(b"b +1+1 5\n"));
}

#[test]
fn only_so_many_clients_come_in() {
    for limits in [r#"{"max_connections": 2}"#, r#"{"max_connections_per_address": 2}"#] {
        let text = include_str!("../../topology.json").trim_end().strip_suffix('}').expect("an object").to_owned();
        let mut world = herd(Topology::parse(format!("{text}, \"limits\": {limits}}}")).expect("a topology"));
        let (one, two) = (world.connect("Goloman"), world.connect("Goloman"));
        world.pass(MOMENT);
        let three = world.connect("Goloman");
        assert_eq!(now(&mut world, three), (String::new(), true), "{limits}");
        world.send(one, b"x\n");
        assert_eq!(now(&mut world, one), ("? x\n".to_owned(), false));
        world.half_close(two);
        world.pass(MOMENT);
        let four = world.connect("Goloman");
        world.send(four, b"y\n");
        assert_eq!(now(&mut world, four), ("? y\n".to_owned(), false), "there is room again");
        let elsewhere = world.connect("Hands");
        world.send(elsewhere, b"z\n");
        assert_eq!(now(&mut world, elsewhere), ("? z\n".to_owned(), false), "each server counts its own");
    }
}

#[test]
fn a_client_that_resets_is_forgotten() {
    let mut world = goloman();
    let client = world.connect("Goloman");
    world.send(client, b"half a li");
    world.pass(MOMENT);
    assert_eq!(clients(&world), Some(1));
    world.sim.reset(world.client(client));
    world.pass(MOMENT);
    assert_eq!(clients(&world), Some(0));
}

#[test]
fn a_server_that_stops_answers_what_is_outstanding() {
    let mut world = Simulated::new(Topology::built_in(), &upstream::provider(PLACES), 7, Weather::default());
    let (host, other) = (world.host("Goloman"), world.host("Welsh"));
    let later = Duration::from_secs(2);
    world.sim.enter(other, |event_loop, _| upstream::listen(event_loop, PLACES, Behaviour::good(1, later)));
    world::links_are_up(&mut world);
    let (idle, asking) = (world.connect("Goloman"), world.connect("Goloman"));
    // So many that the last line waits to be read from a buffer.
    world.send(asking, format!("IAMAT a +1+1 5\n{}x\n", "WHATSAT a 1 1\n".repeat(OUTSTANDING)).as_bytes());
    world.pass(MOMENT);
    world.sim.enter(host, |event_loop, servers| servers.drain(event_loop));
    assert_eq!(now(&mut world, idle), (String::new(), true));
    let late = world.connect("Goloman");
    world.pass(MOMENT);
    assert_eq!(world.sim.ending(world.client(late)), Some(Ending::Refused));
    world.pass(later);
    let (heard, ended) = now(&mut world, asking);
    assert!(ended && heard.ends_with("}\n\n? x\n"), "{heard}");
    world.until("the loop stops", |world| !world.sim.is_running(host));
}

#[test]
fn only_so_many_strangers_wait_at_the_door_for_peers() {
    let mut world = goloman();
    let peers = world.topology.find(&name("Goloman")).expect("it is there").peers;
    let strangers: Vec<ClientId> = (0..STRANGERS).map(|_| world.sim.connect(peers)).collect();
    world.pass(MOMENT);
    let one_more = world.sim.connect(peers);
    world.pass(MOMENT);
    assert!(world.sim.ending(one_more).is_some());
    assert!(strangers.iter().all(|guest| world.sim.ending(*guest).is_none()));
    world.sim.reset(strangers[0]);
    world.pass(MOMENT);
    let next = world.sim.connect(peers);
    world.pass(MOMENT);
    assert!(world.sim.ending(next).is_none(), "there is room again");
}
