//! Repair on the simulated network: what was missed is learnt, whoever missed it and why; and what it costs those beside it.

use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Crash, Weather};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::limits::{PEER_WRITE_CAP, PEER_WRITE_RESERVE, PING_AFTER, REPAIR_EVERY, VIOLATION_PAUSE_FIRST};
use proxy_herd::server::{LinkStatus, Provider, Servers};

use crate::simulated::Simulated;
use crate::world::{self, World, name};

fn provider() -> Provider {
    Provider::embedded().expect("a certificate")
}

fn herd(weather: Weather) -> Simulated {
    let mut world = Simulated::new(Topology::built_in(), &provider(), 7, weather);
    world::links_are_up(&mut world);
    world
}

/// Has a client say where `count` others are, at this second.
fn report(world: &mut Simulated, server: &str, who: &str, count: u32, second: u32) {
    let client = world.connect(server);
    for number in 0..count {
        world.send(client, format!("IAMAT {who}{number} +1+1 {second}\n").as_bytes());
    }
    let last = format!(" {who}{} +1+1 {second}\n", count - 1);
    world.until("they are answered", |world| world.heard(client).0.ends_with(last.as_bytes()));
    world.half_close(client);
}

fn status(world: &Simulated, server: &str, neighbour: &str) -> LinkStatus {
    let links = world.servers(server).links(&name(server)).expect("it runs here");
    links.into_iter().find(|link| link.neighbour == name(neighbour)).expect("they are neighbours")
}

fn known(world: &Simulated, server: &str) -> usize {
    world.servers(server).node(&name(server)).expect("it runs here").directory().len()
}

/// Lets time pass until every server knows so many, and all know the same.
fn agree(world: &mut Simulated, count: usize) {
    const ALL: [&str; 5] = ["Goloman", "Hands", "Holiday", "Welsh", "Wilkes"];
    world.until("all know the same", |world| {
        let digests =
            ALL.map(|server| world.servers(server).node(&name(server)).expect("it runs").directory().digest());
        digests.iter().all(|digest| *digest == digests[0] && digest.count == count as u64)
    });
}

#[test]
fn who_was_down_learns_everything_from_whoever_is_there() {
    for weather in [Weather::default(), Weather::rough()] {
        let mut world = herd(weather);
        report(&mut world, "Hands", "a", 300, 5);
        let welsh = world.host("Welsh");
        world.sim.crash(welsh, Crash::Killed);
        report(&mut world, "Wilkes", "a", 100, 6);
        report(&mut world, "Wilkes", "b", 100, 6);
        world.restart("Welsh", provider());
        agree(&mut world, 400);
        world.until("the end of the lesson", |world| status(world, "Welsh", "Holiday").is_in_step);
        assert_eq!(status(&world, "Welsh", "Holiday").repaired, 400);
        assert_eq!(status(&world, "Holiday", "Welsh").repaired, 0);
    }
}

#[test]
fn reports_that_come_are_counted_news_or_not() {
    let mut world = herd(Weather::default());
    report(&mut world, "Hands", "a", 10, 5);
    agree(&mut world, 10);
    world.pass(Duration::from_secs(1));
    let came = |to, from| status(&world, to, from).reports;
    assert_eq!((came("Goloman", "Hands"), came("Welsh", "Holiday")), (10, 10));
    assert_eq!((came("Hands", "Goloman"), came("Holiday", "Welsh")), (0, 0));
    // Both have it from Hands at the same time, and tell each other.
    assert_eq!((came("Goloman", "Wilkes"), came("Wilkes", "Goloman")), (10, 10));
}

#[test]
fn both_sides_of_a_cut_learn_what_the_other_heard() {
    let mut world = herd(Weather::rough());
    report(&mut world, "Hands", "a", 500, 5);
    agree(&mut world, 500);
    let (holiday, welsh) = (world.host("Holiday"), world.host("Welsh"));
    world.sim.cut(holiday, welsh);
    world.until("the link is gone", |world| world.links_up("Welsh") == 0);
    report(&mut world, "Welsh", "w", 200, 6);
    report(&mut world, "Goloman", "g", 200, 6);
    report(&mut world, "Goloman", "a", 50, 7);
    world.pass(Duration::from_secs(2));
    assert_eq!((known(&world, "Welsh"), known(&world, "Wilkes")), (700, 700));
    world.sim.heal(holiday, welsh);
    agree(&mut world, 900);
    world.pass(Duration::from_secs(1));
    let came = status(&world, "Welsh", "Holiday").repaired;
    assert!((250..350).contains(&came), "{came} came for the 250 that were missing");
    assert_eq!(world.knows("Welsh", "a7").as_deref().map(|line| line.ends_with(" a7 +1+1 7")), Some(true));
}

#[test]
fn who_did_not_read_asks_for_what_was_dropped() {
    let mut world = herd(Weather::default());
    let (goloman, hands, wilkes) = (world.host("Goloman"), world.host("Hands"), world.host("Wilkes"));
    world.sim.stall(goloman, hands);
    world.sim.stall(wilkes, hands);
    for second in 0..30 {
        report(&mut world, "Goloman", "k", 1_000, second);
    }
    assert!(status(&world, "Goloman", "Hands").is_lagging);
    assert!(status(&world, "Goloman", "Hands").dropped > 0);
    assert!(!status(&world, "Wilkes", "Goloman").is_lagging, "the others are not held up");
    assert_eq!(known(&world, "Welsh"), 1_000);
    world.sim.heal(goloman, hands);
    world.sim.heal(wilkes, hands);
    agree(&mut world, 1_000);
    world.pass(Duration::from_secs(1));
    assert!(status(&world, "Hands", "Goloman").is_in_step);
    assert!(!status(&world, "Goloman", "Hands").is_lagging);
}

#[test]
fn live_reports_do_not_wait_for_a_repair() {
    let mut world = herd(Weather::default());
    let welsh = world.host("Welsh");
    world.sim.crash(welsh, Crash::Killed);
    report(&mut world, "Wilkes", "k", 40_000, 5);
    let client = world.connect("Holiday");
    world.restart("Welsh", provider());
    let so_far = |servers: &Servers| servers.node(&name("Welsh")).expect("it runs here").directory().len();
    assert!(world.sim.run_until(Duration::from_secs(3), |sim| so_far(sim.state(welsh)) > 100), "it should begin");
    world.send(client, b"IAMAT live +1+1 6\n");
    let is_known =
        |servers: &Servers| servers.node(&name("Welsh")).expect("it runs").directory().find(b"live").is_some();
    assert!(world.sim.run_until(Duration::from_secs(3), |sim| is_known(sim.state(welsh))), "it should be known");
    let learnt = known(&world, "Welsh");
    assert!(learnt < 20_000, "{learnt} of 40,000 were sent before it");
    agree(&mut world, 40_001);
}

#[test]
fn what_got_lost_without_a_trace_is_found_at_the_next_comparison() {
    let mut world = herd(Weather::default());
    report(&mut world, "Wilkes", "k", 10, 5);
    // A guest in the place of Hands is told something that nobody else hears.
    let hands = world.host("Hands");
    world.sim.crash(hands, Crash::Killed);
    world.until("the link is lost", |world| world.links_up("Goloman") == 2);
    let guest = come(&mut world);
    let question = question(&mut world, guest);
    world.sim.send(guest, format!("DIGEST SAME {question}\n").as_bytes());
    // The guest says that it knows the same, and when it is asked again, that it knows more.
    for _ in 0..REPAIR_EVERY.as_secs() {
        world.sim.send(guest, b"PONG\n");
        world.pass(Duration::from_secs(1));
    }
    let lesson = self::question(&mut world, guest);
    let line = "AT Hands +0.000000000 lost +1+1 5";
    world.sim.send(guest, format!("{line}\nDIGEST DONE {lesson} 1\n").as_bytes());
    world.until("it is learnt", |world| world.knows("Welsh", "lost").is_some());
    let link = status(&world, "Goloman", "Hands");
    assert_eq!((link.is_in_step, link.repaired), (true, 1));
}

#[test]
fn what_comes_late_of_what_a_neighbour_said_before_it_fell_reaches_it_too() {
    let mut world = herd(Weather::default());
    let welsh = world.host("Welsh");
    world.sim.crash(welsh, Crash::Killed);
    world.until("the link is lost", |world| world.links_up("Holiday") == 2);
    // What a killed process has written is still sent by its system, on a connection that nobody resets.
    let before = world.stranger("Holiday", b"HERD 1 goloman Welsh 0.1.0\n");
    world.pass(Duration::from_secs(1));
    world.restart("Welsh", provider());
    world.until("the end of the lesson", |world| status(world, "Welsh", "Holiday").is_in_step);
    world.sim.send(before, b"AT Welsh +0.000000000 late +1+1 5\n");
    world.pass(Duration::from_secs(1));
    assert!(world.knows("Hands", "late").is_some(), "it counts");
    assert!(world.knows("Welsh", "late").is_some(), "it does not wait for the next comparison");
}

#[test]
fn who_breaks_the_protocol_is_told_off_and_left_alone_for_a_while() {
    let mut world = without_hands();
    for penance in [1, 2, 4] {
        let guest = world.stranger("Goloman", &[HELLO, b"DIGEST nonsense\n"].concat());
        world.pass(MOMENT);
        let heard = String::from_utf8(world.sim.take_received(guest)).expect("text");
        assert!(heard.ends_with("ERR this DIGEST makes no sense here\n"), "{heard}");
        let early = come(&mut world);
        let heard = String::from_utf8(world.sim.take_received(early)).expect("text");
        assert!(heard.contains("ERR Hands broke the protocol and is not heard for another "), "{heard}");
        world.pass(VIOLATION_PAUSE_FIRST * penance);
    }
    assert_eq!(status(&world, "Goloman", "Hands").violations, 3);
    world.restart("Hands", provider());
    world.until("all is well", |world| world.links_up("Goloman") == 3);
}

/// Neither its lesson nor the reports of a busy minute are queued for a neighbour that lives and does not read.
#[test]
fn a_minute_without_reading_costs_the_cap_at_most() {
    let mut world = without_hands();
    report(&mut world, "Goloman", "k", 5_000, 5);
    let guest = come(&mut world);
    world.sim.stop_reading(guest);
    world.sim.send(guest, b"DIGEST 7 0 0\n");
    for second in 6..66 {
        report(&mut world, "Goloman", "k", 1_000, second);
        world.sim.send(guest, b"PONG\n");
        world.pass(Duration::from_secs(1));
    }
    let link = status(&world, "Goloman", "Hands");
    assert!(link.is_up && link.is_lagging && link.dropped > 20_000, "{link:?}");
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(5));
    let heard = world.sim.take_received(guest);
    assert!(heard.windows(13).any(|line| line == b"DIGEST AGAIN\n"), "it should ask for the rest");
    assert!(heard.len() <= PEER_WRITE_CAP + 64 * 1024, "{} bytes waited", heard.len());
    assert!(!status(&world, "Goloman", "Hands").is_lagging);
    // In its place comes one that reads, and learns it all at once.
    world.restart("Hands", provider());
    agree(&mut world, 5_000);
}

/// Whatever it asks meanwhile; and once it reads, it gets the last of its answers.
#[test]
fn questions_of_one_who_does_not_read_cost_the_cap_at_most() {
    let check = |question: &str, answer: &str| {
        let (mut world, guest) = with_guest();
        world.sim.stop_reading(guest);
        for _ in 0..50 {
            world.sim.send(guest, question.repeat(2_000).as_bytes());
            world.pass(MOMENT);
        }
        assert!(status(&world, "Goloman", "Hands").is_up);
        world.sim.go_on_reading(guest);
        world.pass(Duration::from_secs(1));
        let heard = String::from_utf8(world.sim.take_received(guest)).expect("text");
        assert!(heard.len() <= PEER_WRITE_CAP, "{question:?}: {} bytes waited", heard.len());
        world.sim.send(guest, question.as_bytes());
        world.pass(MOMENT);
        let heard = String::from_utf8(world.sim.take_received(guest)).expect("text");
        assert!(heard.starts_with(answer), "{question:?}: {heard}");
    };
    check("PING\n", "PONG\n");
    check("DIGEST AGAIN\n", "DIGEST ");
    check("DIGEST 7 0 0\n", "DIGEST SAME 7\n");
    check("DIGEST 7 1 1\n", "DIGEST DONE 7 0\n");
}

/// Nor does asking for a sign of life add to what waits, however long that goes on.
#[test]
fn half_a_day_without_reading_costs_the_cap_at_most() {
    let (mut world, guest) = with_guest();
    world.sim.stop_reading(guest);
    for second in 0..30 {
        report(&mut world, "Goloman", "k", 1_000, second);
    }
    for _ in 0..4_000 {
        world.pass(PING_AFTER + MOMENT);
        world.sim.send(guest, b"PONG\n");
    }
    let link = status(&world, "Goloman", "Hands");
    assert!(link.is_up && link.is_lagging, "{link:?}");
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(5));
    let heard = world.sim.take_received(guest);
    let pings = heard.windows(5).filter(|line| line == b"PING\n").count();
    assert!(5 * pings < PEER_WRITE_RESERVE + 100, "{pings} PINGs waited");
}

/// What a lesson brings twice was not missing; nor was what was flooded between two lessons.
#[test]
fn only_what_was_missing_counts_as_repaired() {
    let (mut world, guest) = with_guest();
    let lesson = question(&mut world, guest);
    let line = |stamp: u32| format!("AT Hands +0.000000000 k +1+1 {stamp}\n");
    world.sim.send(guest, format!("DIGEST SAME {lesson}\n{}", line(5)).as_bytes());
    let mut teach = |says: &dyn Fn(&str) -> String, repaired: u64| {
        for _ in 0..REPAIR_EVERY.as_secs() {
            world.sim.send(guest, b"PONG\n");
            world.pass(Duration::from_secs(1));
        }
        let lesson = question(&mut world, guest);
        world.sim.send(guest, says(&lesson).as_bytes());
        world.pass(MOMENT);
        let link = status(&world, "Goloman", "Hands");
        assert_eq!((link.is_in_step, link.repaired), (true, repaired));
    };
    teach(&|lesson| format!("{}DIGEST DONE {lesson} 1\n", line(5)), 0);
    teach(&|lesson| format!("{}DIGEST DONE {lesson} 1\n", line(6)), 1);
    teach(&|lesson| format!("{}{}DIGEST DONE {lesson} 1\n", line(7), line(7)), 2);
}

/// Who drops reports has missed nothing; who is told so is out of step until it has learnt them.
#[test]
fn whose_reports_were_dropped_is_out_of_step() {
    let (mut world, guest) = with_guest();
    let lesson = question(&mut world, guest);
    world.sim.send(guest, format!("DIGEST SAME {lesson}\n").as_bytes());
    world.pass(MOMENT);
    world.sim.stop_reading(guest);
    for second in 0..30 {
        report(&mut world, "Goloman", "k", 1_000, second);
    }
    let link = status(&world, "Goloman", "Hands");
    assert!(link.is_lagging && link.is_in_step, "{link:?}");
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(1));
    world.sim.take_received(guest);
    world.sim.send(guest, b"DIGEST AGAIN\n");
    world.pass(MOMENT);
    assert!(!status(&world, "Goloman", "Hands").is_in_step);
    let lesson = question(&mut world, guest);
    world.sim.send(guest, format!("AT Hands +0.000000000 dropped +1+1 5\nDIGEST DONE {lesson} 1\n").as_bytes());
    world.pass(MOMENT);
    let link = status(&world, "Goloman", "Hands");
    assert_eq!((link.is_in_step, link.repaired), (true, 1));
}

/// Of the connections of one neighbour at most two are open: the link, and the one before it.
#[test]
fn who_comes_again_and_again_keeps_few_connections() {
    let mut world = without_hands();
    let guests: Vec<_> = (0..10).map(|_| come(&mut world)).collect();
    let open = guests.iter().filter(|guest| world.sim.ending(**guest).is_none()).count();
    assert_eq!(open, 2);
}

/// Who stops in the middle of a lesson that it gives first gives it: nobody else may hold what is in it.
#[test]
fn a_lesson_is_given_before_the_teacher_stops() {
    let mut world = herd(Weather::default());
    let (holiday, welsh) = (world.host("Holiday"), world.host("Welsh"));
    world.sim.cut(holiday, welsh);
    world.until("the link is gone", |world| world.links_up("Welsh") == 0 && world.links_up("Holiday") == 2);
    report(&mut world, "Welsh", "w", 20_000, 6);
    world.sim.heal(holiday, welsh);
    let learnt = |servers: &Servers| servers.node(&name("Holiday")).expect("it runs here").directory().len();
    assert!(world.sim.run_until(Duration::from_secs(3), |sim| learnt(sim.state(holiday)) > 100), "it should begin");
    assert!(known(&world, "Holiday") < 15_000);
    world.sim.enter(welsh, |event_loop, servers| servers.drain(event_loop));
    world.pass(Duration::from_secs(4));
    assert_eq!(known(&world, "Holiday"), 20_000);
    assert!(!world.sim.is_running(welsh), "it should have stopped");
}

/// The number of the lesson that a guest is asked for.
fn question(world: &mut Simulated, guest: ClientId) -> String {
    let heard = String::from_utf8(world.sim.take_received(guest)).expect("text");
    let lesson = heard.lines().find_map(|line| line.strip_prefix("DIGEST ")?.split(' ').next());
    lesson.expect("it is asked").to_owned()
}

/// A herd in which Hands is down.
fn without_hands() -> Simulated {
    let mut world = herd(Weather::default());
    let hands = world.host("Hands");
    world.sim.crash(hands, Crash::Killed);
    world.until("the link is lost", |world| world.links_up("Goloman") == 2);
    world
}

/// The same, and somebody who says to Goloman that it is Hands.
fn with_guest() -> (Simulated, ClientId) {
    let mut world = without_hands();
    let guest = come(&mut world);
    (world, guest)
}

fn come(world: &mut Simulated) -> ClientId {
    let guest = world.stranger("Goloman", HELLO);
    world.pass(MOMENT);
    guest
}

const HELLO: &[u8] = b"HERD 1 goloman Hands 0.1.0\n";

const MOMENT: Duration = Duration::from_millis(100);
