//! Lines that come together, of clients and neighbours: what is said, passed on, dropped and logged is as if each had come alone.

use std::time::Duration;

use proxy_herd::driver::sim::{ClientId, Crash, Weather};
use proxy_herd::herd::topology::Topology;
use proxy_herd::server::limits::CLIENT_LINE;
use proxy_herd::server::{LinkStatus, Provider};

use crate::records::logged;
use crate::simulated::Simulated;
use crate::world::{self, World, name};

fn herd() -> Simulated {
    let provider = Provider::embedded().expect("a certificate");
    let mut world = Simulated::new(Topology::built_in(), &provider, 7, Weather::default());
    world::links_are_up(&mut world);
    world
}

/// A herd in which Hands is down, and somebody who says to Goloman that it is Hands.
fn with_guest() -> (Simulated, ClientId) {
    let mut world = herd();
    let hands = world.host("Hands");
    world.sim.crash(hands, Crash::Killed);
    world.until("the link is lost", |world| world.links_up("Goloman") == 2);
    let guest = world.stranger("Goloman", b"HERD 1 goloman Hands 0.1.0\n");
    world.until("the guest is believed", |world| world.links_up("Goloman") == 3);
    (world, guest)
}

/// Of the link from Goloman to Hands.
fn status(world: &Simulated) -> LinkStatus {
    let links = world.servers("Goloman").links(&name("Goloman")).expect("it runs here");
    links.into_iter().find(|link| link.neighbour == name("Hands")).expect("they are neighbours")
}

/// Goloman's replies to `said`, all at once, each as `AT` or `?` and the last word of its first line; and whether it has ended.
fn replies(said: &[u8]) -> (Vec<String>, bool) {
    let mut world = herd();
    let client = world.connect("Goloman");
    world.send(client, said);
    world.pass(Duration::from_secs(1));
    let (heard, ended) = world.heard(client);
    let heard = String::from_utf8_lossy(heard);
    let words = |line: &str| Some((line.split(' ').next()?.to_owned(), line.split(' ').next_back()?.to_owned()));
    let firsts = heard.lines().filter_map(words).filter(|(first, _)| first == "AT" || first == "?");
    (firsts.map(|(first, last)| format!("{first} {last}")).collect(), ended)
}

#[test]
fn what_is_asked_between_reports_is_answered_between_them() {
    let iamats = |stamps: std::ops::Range<u32>| -> String {
        stamps.map(|stamp| format!("IAMAT k +34.068930-118.445127 {stamp}\n")).collect()
    };
    let said = format!("{}WHATSAT k 10 1\n{}IAMAT older +1+1 x\nWHATSAT k 1 1\n", iamats(0..40), iamats(20..60));
    let stamps = (0..40).chain([39]).chain(20..60).map(|stamp| format!("AT {stamp}"));
    let expected: Vec<String> = stamps.chain(["? x".to_owned(), "AT 59".to_owned()]).collect();
    assert_eq!(replies(said.as_bytes()), (expected, false));
}

#[test]
fn a_line_has_its_limit_among_others_too() {
    let padded = |length: usize| {
        let (start, end) = ("IAMAT k +1+1.", " 5\n");
        format!("{start}{}{end}", "0".repeat(length + 1 - start.len() - end.len()))
    };
    let short = "IAMAT k +1+1 4\n";
    let said = [short, &padded(CLIENT_LINE), short, &padded(CLIENT_LINE + 1), short].concat();
    let cut = format!("? +1+1.{}", "0".repeat(64 - "IAMAT k +1+1.".len()));
    assert_eq!(replies(said.as_bytes()), (vec!["AT 4".into(), "AT 5".into(), "AT 4".into(), cut], true));
}

#[test]
fn a_neighbour_is_heard_up_to_the_line_that_breaks_the_protocol() {
    let (mut world, guest) = with_guest();
    let said = ["a +1+1", "b +1+1", "bad +91+1", "c +1+1"].map(|what| format!("AT Hands +0.000000000 {what} 5\n"));
    let lines = logged(|| {
        world.sim.send(guest, said.concat().as_bytes());
        world.until("it spreads", |world| world.knows("Welsh", "b").is_some());
        world.pass(Duration::from_millis(100));
    });
    assert!(world.knows("Welsh", "a").is_some());
    assert_eq!(["bad", "c"].map(|client| world.knows("Goloman", client)), [None, None]);
    let link = status(&world);
    assert_eq!((link.reports, link.violations), (2, 1), "what is malformed is no report");
    let heard = lines.iter().filter(|line| line.text.contains("DEBUG Goloman") && line.text.contains(" < AT Hands"));
    let heard: Vec<_> = heard.map(|line| line.text.split(' ').nth(7).unwrap_or_default()).collect();
    assert_eq!(heard, ["a", "b", "bad"]);
}

#[test]
fn each_report_is_written_or_counted_as_dropped() {
    let (mut world, guest) = with_guest();
    world.sim.stop_reading(guest);
    let client = world.connect("Goloman");
    let (all, some) = (40_000, 500);
    for first in (0..all).step_by(some) {
        let said: String = (first..first + some).map(|stamp| format!("IAMAT k +1+1 {stamp}\n")).collect();
        world.send(client, said.as_bytes());
        let last = format!(" k +1+1 {}\n", first + some - 1);
        world.until("they are answered", |world| world.heard(client).0.ends_with(last.as_bytes()));
    }
    let dropped = status(&world).dropped;
    world.sim.go_on_reading(guest);
    world.pass(Duration::from_secs(1));
    let heard = String::from_utf8(world.sim.take_received(guest)).expect("links speak text");
    let reports: Vec<_> = heard.lines().filter(|line| line.starts_with("AT ")).collect();
    assert!(dropped > 0, "it should lag");
    assert_eq!(reports.len() as u64 + dropped, all as u64);
    assert!(
        reports.last().is_some_and(|line| line.ends_with(&format!(" {}", reports.len() - 1))),
        "the first ones are written"
    );
}
