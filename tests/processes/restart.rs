//! The whole herd is restarted, one server at a time, while clients report: nothing that was acknowledged is lost.
//!
//! Each server comes back in the other style, so that both leave and both arrive.

use std::net::TcpListener;
use std::os::fd::OwnedFd;

use crate::command::{EMBEDDED, Herd, Running, activated, converse, in_each_style, styled};
use crate::known::until_known;
use crate::load::{Load, Refusals, until_in_step};
use crate::{GOLOMAN, LINKS, goloman, neighbours, wait_until_in_step};

#[test]
fn a_herd_that_is_restarted_one_by_one_loses_nothing() {
    let herd = goloman();
    restart(&herd, ["callbacks", "streams"], Refusals::Endured, |name, style| herd.start(style, &[name]));
}

#[test]
fn a_herd_with_inherited_sockets_refuses_nobody_meanwhile() {
    let herd = goloman();
    let sockets = GOLOMAN.map(|name| {
        let (clients, peers) = herd.doors(name);
        (name, [clients, peers].map(|address| TcpListener::bind(address).expect("free")))
    });
    restart(&herd, ["streams", "callbacks"], Refusals::Wrong, |name, style| {
        let (_, sockets) = sockets.iter().find(|(other, _)| *other == name).expect("one of the herd");
        let inherited = sockets.each_ref().map(|socket| OwnedFd::from(socket.try_clone().expect("a descriptor")));
        Running::new(activated(&herd, &styled(style, &[name]), inherited))
    });
}

#[test]
fn what_a_server_has_acknowledged_it_has_passed_on_before_it_ends() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], EMBEDDED);
        let [mut ball, mut hill] = ["Ball", "Hill"].map(|name| herd.start(style, &[name, "-q"]));
        wait_until_in_step(&mut ball, ["Hill"]);
        wait_until_in_step(&mut hill, ["Ball"]);
        // Hill has things to say on the link, too.
        let load = Load::new(&herd, &["Hill"], Refusals::Wrong);
        load.go_on(100);
        hill.signal("STOP");
        // More than is on its way at a time, and less than a neighbour may be behind.
        let reports: String = (0..8_000).map(|number| format!("IAMAT k +60.17+24.94 {number}\n")).collect();
        let acknowledged = converse(herd.clients("Ball"), reports.as_bytes());
        ball.signal("TERM");
        ball.wait_for(" INFO Ball stops; ");
        hill.signal("CONT");
        assert_eq!(ball.last_words(), Some(0), "{}", ball.said);
        until_known(herd.clients("Hill"), acknowledged.lines().next_back().expect("a line"));
        load.stop();
    });
}

#[test]
fn what_a_neighbour_was_too_slow_for_it_is_taught_before_the_end() {
    in_each_style(|style| {
        let herd =
            Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], &format!(r#"{EMBEDDED}, "limits": {{ "drain": 20 }}"#));
        let [mut ball, mut hill] = ["Ball", "Hill"].map(|name| herd.start(style, &[name, "-q"]));
        wait_until_in_step(&mut ball, ["Hill"]);
        wait_until_in_step(&mut hill, ["Ball"]);
        hill.signal("STOP");
        // More than the system takes, and then the link.
        let name = "x".repeat(200);
        let mut some = Vec::new();
        for chunk in 0..16 {
            let line = |number| format!("IAMAT {name}-{chunk}-{number} +60.17+24.94 {number}\n");
            let reports: String = (0..4_000).map(line).collect();
            let acknowledged = converse(herd.clients("Ball"), reports.as_bytes());
            some.extend(acknowledged.lines().step_by(500).map(str::to_owned));
        }
        ball.wait_for(" does not keep up: ");
        ball.signal("TERM");
        ball.wait_for(" INFO Ball stops; ");
        hill.signal("CONT");
        assert_eq!(ball.last_words(), Some(0), "{}", ball.said);
        assert!(!ball.said.contains("without having answered"), "{}", ball.said);
        for report in some {
            until_known(herd.clients("Hill"), &report);
        }
    });
}

fn restart(herd: &Herd, [before, after]: [&str; 2], refusals: Refusals, start: impl Fn(&str, &str) -> Running) {
    let mut servers = GOLOMAN.map(|name| (name, start(name, before)));
    for (name, server) in &mut servers {
        wait_until_in_step(server, neighbours(&LINKS, name));
    }
    let load = Load::new(herd, &GOLOMAN, refusals);
    load.go_on(100);
    let mut logs = GOLOMAN.map(|_| String::new());
    for ((name, server), log) in servers.iter_mut().zip(&mut logs) {
        server.signal("TERM");
        assert_eq!(server.last_words(), Some(0), "{}", server.said);
        *log += &server.said;
        *server = start(name, after);
        wait_until_in_step(server, neighbours(&LINKS, name));
        load.go_on(50);
    }
    let talks = load.stop();
    for talk in &talks {
        assert!(talk.error.is_none(), "{}: {:?}", talk.prefix, talk.error);
    }
    until_in_step(herd, &GOLOMAN, &talks);

    for ((name, server), log) in servers.iter_mut().zip(&mut logs) {
        server.signal("TERM");
        assert_eq!(server.last_words(), Some(0), "{}", server.said);
        *log += &server.said;
        let received = [("IAMAT", ""), ("WHATSAT", " 1 1")].map(|(word, end)| {
            let begin = format!(" < {word} {name}.");
            log.lines().filter(|line| line.contains(&begin) && line.ends_with(end)).count() as u64
        });
        let of_it = || talks.iter().filter(|talk| talk.server == *name);
        let answered: [u64; 2] = [of_it().map(|talk| talk.answered).sum(), of_it().map(|talk| talk.questions).sum()];
        assert_eq!(answered, received, "{name} answers what it receives");
    }
}
