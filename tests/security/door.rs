//! The door for peers of a herd with encrypted links, how many may stand there, and the door for clients, which is what it was.

use std::time::Duration;

use proxy_herd::server::Style;
use proxy_herd::server::limits::{HANDSHAKE_TIME, HANDSHAKES, HELLO_TIME, STRANGERS};

use crate::authority::Authority;
use crate::stage::{Ear, Place, SECURED, Stage, ball_and_hill, everywhere, process};

const MOMENT: Duration = Duration::from_millis(100);

fn ball(style: Style, authority: &Authority) -> Stage {
    let mut stage = Stage::new(Place::Simulated, ball_and_hill(SECURED), |topology, server| {
        process(topology, server, style).with_keys([authority.keys(server)])
    });
    stage.start("Ball");
    stage.sim().run_for(MOMENT);
    stage
}

/// Somebody with a good certificate who knocks at Ball's door and says this.
fn knock(stage: &mut Stage, authority: &Authority, text: &str) -> Ear {
    let good = authority.dials_as(Some(&authority.sign("Hill")), "Ball");
    let ear = stage.call("Hill", stage.doors("Ball").1, good, text);
    stage.sim().run_for(MOMENT);
    ear
}

#[test]
fn who_has_no_certificate_keeps_nobody_out_for_long() {
    for style in [Style::Callbacks, Style::Streams] {
        let authority = Authority::new("test");
        let mut stage = ball(style, &authority);
        let door = stage.doors("Ball").1;
        let silent = |stage: &mut Stage, count: usize| {
            let all: Vec<_> = (0..count).map(|_| stage.sim().connect(door)).collect();
            stage.sim().run_for(MOMENT);
            all
        };
        // One less than the limit, and at it.
        silent(&mut stage, HANDSHAKES - 1);
        assert!(knock(&mut stage, &authority, "").is_made(), "one more fits");
        let last = silent(&mut stage, 1)[0];
        let waiting = knock(&mut stage, &authority, "");
        assert!(!waiting.is_made());
        stage.sim().reset(last);
        stage.sim().run_for(MOMENT);
        assert!(waiting.is_made(), "one is gone, the next comes in");
        // Again and again, also without anybody leaving: nothing is counted twice, or not at all.
        for _ in 0..3 {
            stage.sim().run_for(HANDSHAKE_TIME);
            silent(&mut stage, HANDSHAKES);
            let patient = knock(&mut stage, &authority, "");
            assert!(!patient.is_made());
            stage.sim().run_for(HANDSHAKE_TIME);
            assert!(patient.is_made());
            stage.sim().run_for(HELLO_TIME + MOMENT);
        }
        stage.start("Hill");
        stage.links_are_up();
    }
}

#[test]
fn strangers_with_a_certificate_are_counted_like_others() {
    for style in [Style::Callbacks, Style::Streams] {
        let authority = Authority::new("test");
        let mut stage = ball(style, &authority);
        for _ in 0..2 {
            let strangers: Vec<Ear> = (0..STRANGERS).map(|_| knock(&mut stage, &authority, "")).collect();
            assert!(strangers.iter().all(|ear| !ear.is_lost() && ear.heard().starts_with("HERD 1 test Ball ")));
            let one_more = knock(&mut stage, &authority, "");
            assert!(one_more.is_lost() && one_more.heard().is_empty(), "{}", one_more.heard());
            for stranger in strangers {
                stage.enter("Hill", |event_loop, _| event_loop.transport(stranger.id()).expect("it lives").abort());
            }
            stage.sim().run_for(MOMENT);
        }
        stage.start("Hill");
        stage.links_are_up();
    }
}

#[test]
fn clients_talk_in_the_clear_and_are_no_neighbours() {
    for security in ["", SECURED] {
        everywhere(|place, style| {
            let authority = Authority::new("test");
            let mut stage = Stage::new(place, ball_and_hill(security), |topology, server| {
                let keys = (!security.is_empty()).then(|| authority.keys(server));
                process(topology, server, style).with_keys(keys)
            });
            stage.start_all();
            stage.links_are_up();
            for line in ["AT Hill +0.000000000 k +1+1 5", "HERD 1 test Hill 0.1.0", "DIGEST 0 0", "PING", "ERR go away"]
            {
                assert_eq!(stage.ask("Ball", &format!("{line}\n")), format!("? {line}\n"));
            }
            assert_eq!(stage.knows("Ball", "k"), None);
            assert_eq!(stage.links_up("Ball"), 1);
        });
    }
}

#[test]
fn a_topology_and_its_keys_must_fit() {
    for (security, with_keys) in [(SECURED, false), ("", true)] {
        let authority = Authority::new("test");
        let mut stage = Stage::new(Place::Simulated, ball_and_hill(security), |topology, server| {
            process(topology, server, Style::Callbacks).with_keys(with_keys.then(|| authority.keys(server)))
        });
        stage.start("Ball");
        let expected = "Ball: a topology with security.keys needs keys for each server, another none";
        assert_eq!(stage.state("Ball").failure(), Some(expected));
    }
}
