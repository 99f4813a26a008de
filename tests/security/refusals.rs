//! Who is refused on an encrypted link: he hears nothing of the directory, and the log says why, in words and not every second.

use std::time::Duration;

use proxy_herd::event_loop::{Security, ServerSecurity};
use proxy_herd::server::Style;
use proxy_herd::server::limits::REFUSED_AGAIN;

use crate::authority::{Authority, BOTH_ENDS, Signed, Term};
use crate::logbook::{all_logged, logged};
use crate::stage::{Caller, Ear, Place, SECURED, Stage, ball_and_hill, everywhere, process};

const HELLO: &str = "HERD 1 test Hill 0.1.0\nAT Hill +0.000000000 forged +1+1 5\n";
const SECRET: &str = "canary";

/// Ball, who knows of a client, and nobody at Hill's address.
fn ball(place: Place, style: Style, authority: &Authority) -> Stage {
    let mut stage = Stage::new(place, ball_and_hill(SECURED), |topology, server| {
        process(topology, server, style).with_keys([authority.keys(server)])
    });
    stage.start("Ball");
    assert!(stage.ask("Ball", &format!("IAMAT {SECRET} +1+1 5\n")).starts_with("AT Ball "));
    stage
}

/// The lines of a log that say this, each without its number.
fn saying(lines: &[String], what: &str) -> Vec<String> {
    let lines = lines.iter().filter(|line| line.contains(what));
    lines
        .map(|line| {
            line.split_once('#').map_or(line.clone(), |(level, rest)| {
                let rest = rest.split_once(' ').map_or("", |(_, rest)| rest);
                format!("{level}{rest}")
            })
        })
        .collect()
}

/// Somebody dials Ball and says a good HERD: what he hears, and what Ball logs.
fn check_dialled(security: impl Fn(&Authority) -> Security, heard: &str, log: &str) {
    everywhere(|place, style| {
        let authority = Authority::new("test");
        let lines = all_logged(|| {
            let mut stage = ball(place, style, &authority);
            let ear = stage.call("Hill", stage.doors("Ball").1, security(&authority), HELLO);
            stage.until(|_| ear.is_lost());
            // Ball has heard of it, too.
            let good = authority.dials_as(Some(&authority.sign("Hill")), "Ball");
            let proof = stage.call("Hill", stage.doors("Ball").1, good, HELLO);
            stage.until(|stage| stage.knows("Ball", "forged").is_some() && proof.heard().contains('\n'));
            assert_eq!(ear.heard(), heard);
        });
        assert_eq!(saying(&lines, log).len(), 1, "{log:?} is not once in {lines:#?}");
    });
}

#[test]
fn who_dials_without_a_good_certificate_hears_nothing() {
    let refused = |security: fn(&Authority) -> Security, why: &str| {
        check_dialled(security, "", &format!(" is refused: {why}"));
    };
    refused(
        |authority| authority.dials_as(Some(&Authority::new("other").sign("Hill")), "Ball"),
        "its certificate is of another authority (CA)",
    );
    // An authority of the same name is not the same.
    refused(
        |authority| authority.dials_as(Some(&Authority::new("test").sign("Hill")), "Ball"),
        "its certificate is of another authority (CA)",
    );
    refused(
        |authority| authority.dials_as(Some(&authority.sign_for(&["Hill"], Term::Past, &BOTH_ENDS)), "Ball"),
        "its certificate has expired",
    );
    refused(
        |authority| authority.dials_as(Some(&authority.sign_for(&["Hill"], Term::Future, &BOTH_ENDS)), "Ball"),
        "its certificate is not valid yet (are the clocks right?)",
    );
    refused(
        |authority| authority.dials_as(Some(&authority.sign_for(&["Hill"], Term::Now, &BOTH_ENDS[..1])), "Ball"),
        "its certificate is not made for both ends of a link (serverAuth and clientAuth)",
    );
    refused(|authority| authority.dials_as(None, "Ball"), "it has no certificate");
    // TLS's own word for it, and nothing else.
    let alert = "\x15\x03\x03\0\x02\x02\x32";
    check_dialled(|_| Security::Plain, alert, " is refused: it does not speak TLS (is security.keys set for both?)");
}

#[test]
fn who_dials_with_the_certificate_of_another_server_hears_herd_and_err() {
    for (names, shown) in [(&["Wilkes"][..], "Wilkes"), (&["Hill2", "hill.test"], "Hill2, hill.test")] {
        check_dialled(
            |authority| authority.dials_as(Some(&authority.sign_for(names, Term::Now, &BOTH_ENDS)), "Ball"),
            &format!(
                "HERD 1 test Ball {}\nERR Hill is not believed: the certificate is for {shown}, not for Hill\n",
                env!("CARGO_PKG_VERSION")
            ),
            &format!(" is closed: Hill is not believed: the certificate is for {shown}, not for Hill"),
        );
    }
    // One for several servers is good for each.
    everywhere(|place, style| {
        let authority = Authority::new("test");
        let mut stage = ball(place, style, &authority);
        let both = authority.sign_for(&["Wilkes", "Hill"], Term::Now, &BOTH_ENDS);
        let ear = stage.call("Hill", stage.doors("Ball").1, authority.dials_as(Some(&both), "Ball"), HELLO);
        stage.until(|stage| stage.links_up("Ball") == 1);
        assert!(!ear.is_lost());
    });
}

/// Somebody listens at Hill's address who lets everybody in: what he hears of Ball, and what Ball says of him.
fn check_dialling(security: impl Fn(&Authority) -> ServerSecurity, text: &str, why: &str) {
    everywhere(|place, style| {
        let authority = Authority::new("test");
        let ear = Ear::default();
        let lines = logged(|| {
            let mut stage = Stage::new(place, ball_and_hill(SECURED), |topology, server| {
                process(topology, server, style).with_keys([authority.keys(server)])
            });
            let (address, security) = (stage.doors("Hill").1, security(&authority));
            let (text, heard) = (text.as_bytes().to_vec(), ear.clone());
            stage.enter("Hill", |event_loop, _| {
                let factory = move |_: &mut _| Caller { text: text.clone(), ear: heard.clone() };
                event_loop.listen(address, security, factory);
            });
            stage.start("Ball");
            stage.until(|_| ear.is_lost());
            match place {
                // A hundred more attempts lead to no other word.
                Place::Simulated => stage.sim().run_for(Duration::from_secs(60)),
                Place::Sockets => (0..200).for_each(|_| stage.step()),
            }
            assert_eq!(stage.links_up("Ball"), 0);
        });
        assert!(!ear.heard().contains("HERD"), "{}", ear.heard());
        let complaints = saying(&lines, "no link to Hill at ");
        assert!(matches!(&complaints[..], [complaint] if complaint.contains(why)), "{why:?} is not once in {lines:#?}");
    });
}

#[test]
fn who_listens_without_a_good_certificate_is_told_nothing() {
    let listens = |signed: Signed| signed.listens();
    check_dialling(
        |_| listens(Authority::new("other").sign("Hill")),
        "",
        ": its certificate is of another authority (CA); it is dialled again and again",
    );
    check_dialling(
        |authority| listens(authority.sign_for(&["Hill"], Term::Past, &BOTH_ENDS)),
        "",
        ": its certificate has expired; it is dialled again and again",
    );
    check_dialling(
        |authority| listens(authority.sign("Wilkes")),
        "",
        ": its certificate is for Wilkes, not for Hill; it is dialled again and again",
    );
    check_dialling(
        |_| ServerSecurity::Plain,
        "HERD 1 test Hill 0.1.0\n",
        ": it does not speak TLS (is security.keys set for both?); ",
    );
}

#[test]
fn one_end_that_is_plain_is_told_so_at_both() {
    everywhere(|place, style| {
        let authority = Authority::new("test");
        let lines = all_logged(|| {
            let mut stage = Stage::new(place, ball_and_hill(SECURED), |topology, server| match server {
                "Ball" => process(topology, server, style).with_keys([authority.keys(server)]),
                _ => {
                    let doors = |server: &proxy_herd::herd::topology::Server| (server.clients, server.peers);
                    let mut all = topology.servers().iter().map(doors);
                    let plain = ball_and_hill("").with_addresses(|_| all.next().expect("two"));
                    process(&plain, server, style)
                }
            });
            stage.start_all();
            for _ in 0..100 {
                stage.step();
            }
            assert_eq!((stage.links_up("Ball"), stage.links_up("Hill")), (0, 0));
        });
        for what in [
            "WARN no link to Hill at ",
            "WARN no link to Ball at ",
            ": it does not speak TLS (is security.keys set for both?); it is dialled again and again",
            ": it speaks TLS, and the links of this server are plain (is security.keys set for both?); it is dialled",
            " is refused: it does not speak TLS (is security.keys set for both?)",
        ] {
            assert_eq!(saying(&lines, what).len(), 1, "{what:?} is not once in {lines:#?}");
        }
        // The plain one says of those who came why they are gone.
        assert!(!saying(&lines, ": it speaks TLS, and the links of this server are plain").is_empty(), "{lines:#?}");
    });
}

#[test]
fn neighbours_of_two_authorities_complain_once_as_they_dial_and_once_as_they_are_dialled() {
    for style in [Style::Callbacks, Style::Streams] {
        let (authority, other) = (Authority::new("test"), Authority::new("other"));
        let lines = logged(|| {
            let mut stage = Stage::new(Place::Simulated, ball_and_hill(SECURED), |topology, server| {
                let authority = if server == "Ball" { &authority } else { &other };
                process(topology, server, style).with_keys([authority.keys(server)])
            });
            stage.start_all();
            stage.sim().run_for(REFUSED_AGAIN - Duration::from_secs(1));
        });
        let mut said: Vec<&str> = lines.iter().filter_map(|line| line.split_once(": ")).map(|(_, why)| why).collect();
        said.sort_unstable();
        let dials = "its certificate is of another authority (CA); it is dialled again and again";
        let dialled = "its other end says that our certificate is of an authority (CA) that it does not know";
        assert_eq!(said, [dials, dials, dialled, dialled]);
    }
}
