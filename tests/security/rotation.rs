//! New authorities and certificates without a stop: links that stand stay, new connections use the new keys.

use std::time::Duration;

use proxy_herd::driver::sim::Crash;
use proxy_herd::event_loop::Security;
use proxy_herd::server::{Keys, Style};

use crate::authority::{Authority, BOTH_ENDS, Term, keys};
use crate::logbook::{all_logged, logged};
use crate::stage::{Ear, Place, SECURED, Stage, ball_and_hill, everywhere, process};

const BOTH: [&str; 2] = ["Ball", "Hill"];

/// Has a server take over its keys, as at SIGHUP.
fn take(stage: &mut Stage, server: &str, keys: Keys) {
    let topology = stage.topology.clone();
    stage.enter(server, |event_loop, servers| servers.set_topology(event_loop, &topology, vec![keys]));
}

fn pair(place: Place, style: Style, authority: &Authority) -> Stage {
    let mut stage = Stage::new(place, ball_and_hill(SECURED), |topology, server| {
        process(topology, server, style).with_keys([authority.keys(server)])
    });
    stage.start_all();
    stage.links_are_up();
    stage
}

/// Somebody knocks at Ball's door as a Hill of this authority; who he is told to be, or nothing.
fn knock(stage: &mut Stage, security: Security) -> bool {
    let ear: Ear = stage.call("Hill", stage.doors("Ball").1, security, "");
    stage.until(|_| ear.is_lost() || !ear.heard().is_empty());
    ear.heard().starts_with("HERD ")
}

#[test]
fn an_authority_is_replaced_without_dropping_a_link() {
    everywhere(|place, style| {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let bundle = old.pem() + &new.pem();
        let lines = logged(|| {
            let mut stage = pair(place, style, &old);
            let is_let_in = |stage: &mut Stage| {
                // Each trusts the other's authority in turn, so that only Ball's opinion counts.
                let as_old = old.dials_as(Some(&old.sign("Hill")), "Ball");
                let as_new = new.dials_as(Some(&new.sign("Hill")), "Ball");
                [knock(stage, as_old), knock(stage, as_new)]
            };
            assert_eq!(is_let_in(&mut stage), [true, false]);
            for server in BOTH {
                take(&mut stage, server, keys(server, &bundle, &old.sign(server)).expect("they fit"));
            }
            // The newcomer does not trust Ball's certificate yet.
            assert_eq!(is_let_in(&mut stage), [true, false]);
            for server in BOTH {
                take(&mut stage, server, keys(server, &bundle, &new.sign(server)).expect("they fit"));
            }
            let old_shown_new = |stage: &mut Stage| {
                let signed = old.sign("Hill");
                knock(stage, new.dials_as(Some(&signed), "Ball"))
            };
            assert!(old_shown_new(&mut stage), "the old ones are still good");
            assert_eq!(is_let_in(&mut stage), [false, true]);
            for server in BOTH {
                take(&mut stage, server, new.keys(server));
            }
            assert!(!old_shown_new(&mut stage), "they are no longer");
            assert_eq!(is_let_in(&mut stage), [false, true]);
            stage.ask("Ball", "IAMAT k +1+1 5\n");
            stage.until(|stage| stage.knows("Hill", "k").is_some());
        });
        let lost = lines.iter().filter(|line| line.contains("no link to") || line.contains("is retired"));
        assert_eq!(lost.count(), 0, "{lines:#?}");
    });
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of_each_day_until_it_is_renewed() {
    let authority = Authority::new("test");
    let ends = authority.sign_for(&["Ball"], Term::Soon, &BOTH_ENDS);
    let warnings = |lines: &[String]| lines.iter().filter(|line| line.contains(WARNING)).count();
    let mut stage = None;
    let lines = all_logged(|| {
        let stage = stage.insert(Stage::new(Place::Simulated, ball_and_hill(SECURED), |topology, server| {
            let keys =
                if server == "Ball" { keys(server, &authority.pem(), &ends) } else { Ok(authority.keys(server)) };
            process(topology, server, Style::Callbacks).with_keys([keys.expect("they are good today")])
        }));
        stage.start_all();
        stage.links_are_up();
    });
    assert_eq!(warnings(&lines), 1, "at the start, of Ball alone: {lines:#?}");
    let mut stage = stage.expect("it was made");
    let day = || Duration::from_secs(24 * 3600);
    assert_eq!(warnings(&all_logged(|| stage.sim().run_for(day()))), 1);
    assert_eq!(warnings(&all_logged(|| take(&mut stage, "Ball", authority.keys("Ball")))), 0);
    assert_eq!(warnings(&all_logged(|| stage.sim().run_for(day()))), 0);
}

const WARNING: &str =
    "in 14 days or sooner, the certificate Ball.pem has expired: where ca.key is, remove Ball.pem and ";

#[test]
fn a_link_that_is_made_anew_uses_the_new_keys_whoever_dials() {
    for (style, only) in [Style::Callbacks, Style::Streams].into_iter().flat_map(|style| BOTH.map(|only| (style, only)))
    {
        let (old, new) = (Authority::new("old"), Authority::new("new"));
        let mut stage = pair(Place::Simulated, style, &old);
        let dials = |stage: &mut Stage| stage.sim().trace().as_str().matches(" connects to ").count();
        let before = dials(&mut stage);
        for server in BOTH {
            take(&mut stage, server, new.keys(server));
        }
        stage.sim().run_for(Duration::from_secs(60));
        assert_eq!(dials(&mut stage), before, "the link stands, and nobody dials");
        // Hill starts again, and only one of the two gets through to the other.
        let (hill, closed) = (stage.host("Hill"), stage.doors(only).1);
        stage.sim().crash(hill, Crash::Killed);
        stage.sim().refuse(closed);
        let again = process(&stage.topology, "Hill", style).with_keys([new.keys("Hill")]);
        stage.sim().restart(hill, again);
        stage.start("Hill");
        stage.sim().run_for(Duration::from_secs(5));
        assert_eq!(BOTH.map(|server| stage.links_up(server)), [1, 1], "{style}, {only} cannot be dialled");
    }
}

#[test]
fn security_that_comes_or_goes_needs_a_restart() {
    for (before, after, what) in [(SECURED, "", "gone"), ("", SECURED, "come")] {
        let authority = Authority::new("test");
        let lines = all_logged(|| {
            let mut stage = Stage::new(Place::Simulated, ball_and_hill(before), |topology, server| {
                let keys = (!before.is_empty()).then(|| authority.keys(server));
                process(topology, server, Style::Callbacks).with_keys(keys)
            });
            stage.start_all();
            stage.links_are_up();
            let alone =
                ball_and_hill(after).with_addresses(|_| (([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()));
            stage.enter("Ball", |event_loop, servers| {
                servers.set_topology(event_loop, &alone, vec![authority.keys("Ball")]);
            });
            stage.sim().run_for(Duration::from_secs(5));
            stage.links_are_up();
        });
        let expected = format!(
            "ERROR security has {what} in the topology: that needs a restart; the topology and the keys stay as they were"
        );
        assert!(lines.contains(&expected), "{lines:#?}");
        assert!(
            !lines.iter().any(|line| line.contains("has read its keys") || line.contains("has moved")),
            "{lines:#?}"
        );
    }
}
