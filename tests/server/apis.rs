//! Google's two APIs, and how often they may be asked: which one is, when the other is turned to, who has to wait, and who is told
//! that it is too much.

use std::time::Duration;

use proxy_herd::driver::sim::Weather;
use proxy_herd::herd::topology::{Provider, Rate, Topology};

use crate::faults::{NO_LEGACY, NO_NEW, QUOTA};
use crate::records::{Logged, logged};
use crate::simulated::Simulated;
use crate::standin::{Places, Wire};
use crate::upstream::PLACES;
use crate::world::{self, World};

/// A herd that asks a stand-in on Welsh's host.
struct Scene {
    world: Simulated,
    client: usize,
    /// Where the stand-in's certificate is.
    _places: Places,
}

impl Scene {
    fn new(wire: Wire, api: Provider, faults: &str, rate: Rate) -> Self {
        let places = Places::new(wire);
        let provider = places.provider_at(rate, api, PLACES, faults);
        let mut world = Simulated::new(Topology::built_in(), &provider, 7, Weather::default());
        let host = world.host("Welsh");
        world.sim.enter(host, |event_loop, _| places.listen(event_loop, PLACES));
        world::links_are_up(&mut world);
        let client = world.connect("Goloman");
        world.send(client, b"IAMAT a +60.1708+24.9375 5\n");
        world.until("a reply", |world| world.heard(client).0.ends_with(b"\n"));
        world.heard(client).0.clear();
        Self { world, client, _places: places }
    }

    /// Asks; the status and the message that are told.
    fn ask(&mut self, radius: &str) -> (String, String) {
        self.world.send(self.client, format!("WHATSAT a {radius} 1\n").as_bytes());
        self.told(1).remove(0)
    }

    /// What is told for as many questions.
    fn told(&mut self, count: usize) -> Vec<(String, String)> {
        let client = self.client;
        let ends = |heard: &[u8]| heard.windows(3).filter(|end| end == b"}\n\n").count();
        self.world.until("answers", |world| ends(world.heard(client).0) == count);
        let heard = String::from_utf8(std::mem::take(self.world.heard(client).0)).expect("text");
        let answers = heard.split_terminator("\n\n").map(|answer| {
            let json = &answer[answer.find('{').expect("there is JSON")..];
            let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
            let text = |member: &str| json[member].as_str().unwrap_or_default().to_owned();
            (text("status"), text("error_message"))
        });
        answers.collect()
    }

    /// How often the legacy API was asked, and the new one: only in plain.
    fn asked(&self) -> [usize; 2] {
        let trace = self.world.sim.trace().as_str();
        ["GET /faults/", "POST /faults/"].map(|start| trace.matches(start).count())
    }

    /// Asks, from another connection, as the first one has been silent for too long.
    fn ask_anew(&mut self, radius: &str) -> (String, String) {
        self.client = self.world.connect("Goloman");
        self.ask(radius)
    }
}

fn told(status: &str, message: &str) -> (String, String) {
    (status.to_owned(), message.to_owned())
}

fn ok() -> (String, String) {
    told("OK", "")
}

#[test]
fn the_api_that_is_named_is_asked_and_no_other() {
    for (api, faults, expected, asked) in [
        (Provider::Legacy, "no-new", ok(), [1, 0]),
        (Provider::Legacy, "no-legacy", told("REQUEST_DENIED", NO_LEGACY), [1, 0]),
        (Provider::New, "no-legacy", ok(), [0, 1]),
        (Provider::New, "no-new", told("REQUEST_DENIED", NO_NEW), [0, 1]),
    ] {
        let mut scene = Scene::new(Wire::Plain, api, faults, Rate::default());
        assert_eq!(scene.ask("1"), expected, "{api}, {faults}");
        assert_eq!(scene.asked(), asked, "{api}, {faults}");
    }
}

#[test]
fn the_api_that_is_for_the_project_is_found_out_once() {
    for (faults, expected, asked) in [
        ("delay=1", ok(), [[1, 0], [2, 0]]),
        ("no-legacy", ok(), [[1, 1], [1, 2]]),
        ("no-legacy=403", ok(), [[1, 1], [1, 2]]),
        ("no-legacy,no-new", told("REQUEST_DENIED", NO_NEW), [[1, 1], [1, 2]]),
        ("no-legacy,http-1.0", ok(), [[1, 1], [1, 2]]),
    ] {
        for wire in [Wire::Plain, Wire::Tls] {
            let lines = logged(|| {
                let mut scene = Scene::new(wire, Provider::Auto, faults, Rate::default());
                for (question, asked) in ["1", "2"].into_iter().zip(asked) {
                    assert_eq!(scene.ask(question), expected, "{faults}");
                    assert!(wire == Wire::Tls || scene.asked() == asked, "{faults}: {:?}", scene.asked());
                }
            });
            let found_out =
                "the legacy Places API is not enabled for the key's project: from now on Places API (New) is asked";
            let count = lines.iter().filter(|Logged { text, .. }| text.contains(found_out)).count();
            assert_eq!(count, usize::from(asked[0] == [1, 1]), "{faults}");
        }
    }
}

#[test]
fn questions_that_are_on_the_way_when_it_is_found_out_are_answered_too() {
    let mut scene = Scene::new(Wire::Plain, Provider::Auto, "no-legacy,delay=20", Rate::default());
    for radius in 1..=30 {
        scene.world.send(scene.client, format!("WHATSAT a {radius} 1\n").as_bytes());
    }
    assert!(scene.told(30).iter().all(|told| *told == ok()));
    let [legacy, new] = scene.asked();
    assert!((1..=8).contains(&legacy) && new == 30, "{legacy} {new}");
}

#[test]
fn a_second_has_so_many_questions_and_the_others_wait() {
    let rate = Rate { per_second: Some(2), per_day: None };
    let mut scene = Scene::new(Wire::Plain, Provider::Legacy, "delay=1", rate);
    let begun = scene.world.sim.now();
    for radius in 1..=30 {
        scene.world.send(scene.client, format!("WHATSAT a {radius} 1\n").as_bytes());
    }
    scene.world.pass(Duration::from_millis(500));
    assert_eq!(scene.asked(), [2, 0]);
    scene.world.pass(Duration::from_secs(1));
    assert_eq!(scene.asked(), [4, 0]);
    scene.world.pass(Duration::from_secs(7));
    // Those whose turn would leave no time for an answer are told as soon as that is known.
    let too_many = told("OVER_QUERY_LIMIT", "Too many questions are waiting for Places. Ask again later.");
    let expected: Vec<_> = (0..30).map(|at| if at < 20 { ok() } else { too_many.clone() }).collect();
    assert_eq!(scene.told(30), expected);
    assert_eq!(scene.asked(), [20, 0]);
    let took = scene.world.sim.now() - begun;
    assert!((Duration::from_secs(9)..Duration::from_millis(9_100)).contains(&took), "{took:?}");
}

#[test]
fn a_day_has_so_many_questions_and_then_there_is_another_day() {
    let rate = Rate { per_second: None, per_day: Some(2) };
    let mut scene = Scene::new(Wire::Plain, Provider::Legacy, "delay=1", rate);
    let over = told("OVER_QUERY_LIMIT", "No more questions are asked of Places today (UTC).");
    assert_eq!([scene.ask("1"), scene.ask("2"), scene.ask("3"), scene.ask("1")], [ok(), ok(), over.clone(), over]);
    assert_eq!(scene.asked(), [2, 0]);
    // Simulated clocks begin in the evening, at 20:52 UTC.
    scene.world.pass(Duration::from_secs(3 * 3600));
    assert_eq!(scene.ask_anew("3").0, "OVER_QUERY_LIMIT");
    scene.world.pass(Duration::from_secs(600));
    assert_eq!(scene.ask_anew("3"), ok());
}

#[test]
fn who_has_had_too_many_questions_is_left_alone_for_a_while() {
    for (api, message) in
        [(Provider::Legacy, "You have exceeded your rate-limit for this API."), (Provider::New, QUOTA)]
    {
        let lines = logged(|| {
            let mut scene = Scene::new(Wire::Plain, api, "quota", Rate::default());
            let over = told("OVER_QUERY_LIMIT", message);
            assert_eq!(scene.ask("1"), over, "{api}");
            // The next one is asked when the pause is over, and told off, too; then the pause is longer.
            let mut pauses = Vec::new();
            for radius in ["2", "3", "4"] {
                let begun = scene.world.sim.now();
                assert_eq!(scene.ask(radius), over);
                pauses.push((scene.world.sim.now() - begun).as_millis());
            }
            for (pause, longest) in pauses.iter().zip([1000, 2000, 4000]) {
                assert!((longest / 2..=longest + 10).contains(pause), "{pauses:?}");
            }
            assert_eq!(scene.asked().iter().sum::<usize>(), 4);
        });
        let lines = lines
            .iter()
            .filter(|line| line.text.contains("Places has had too many questions: it is asked nothing for "));
        assert_eq!(lines.count(), 4);
    }
}

#[test]
fn who_says_when_to_ask_again_is_asked_then() {
    for faults in ["quota,retry-after=30", "status=429,retry-after=30", "status=503,retry-after=30"] {
        for api in [Provider::Legacy, Provider::New] {
            let mut scene = Scene::new(Wire::Plain, api, faults, Rate::default());
            let first = scene.ask("1");
            assert_eq!(first.0 == "OVER_QUERY_LIMIT", !faults.contains("503"), "{first:?}");
            let begun = scene.world.sim.now();
            let message = "Places has had too many questions. Ask again in 30 s.";
            assert_eq!(scene.ask("2"), told("OVER_QUERY_LIMIT", message));
            assert!(scene.world.sim.now() - begun < Duration::from_millis(10), "that is said at once");
            scene.world.pass(Duration::from_secs(25));
            // The last five seconds are waited for.
            assert_eq!(scene.ask("3"), first);
            let took = scene.world.sim.now() - begun;
            assert!((29_900..30_100).contains(&took.as_millis()), "{took:?}");
            assert_eq!(scene.asked().iter().sum::<usize>(), 2);
        }
    }
}
