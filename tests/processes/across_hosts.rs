//! Five hosts in two rooms, mutual TLS between them, and a cable between the rooms that is pulled: for a moment, and for longer
//! than the servers bear. Clients on each side are served meanwhile, and both sides know all of it in the end.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;

use crate::command::{EMBEDDED, Running, command, finish, folder, run, styled, text, topology, until};
use crate::namespaces::Hosts;
use crate::{neighbours, skip, wait_until_in_step};

/// It takes as long as a link may be silent: half a minute, in which the other tests run.
#[test]
fn a_herd_whose_cable_is_pulled_serves_on_both_sides_and_is_in_step_when_it_is_back() {
    let hosts = match Hosts::new([&ROOM, &OTHER_ROOM]) {
        Ok(hosts) => hosts,
        Err(why) => return skip("servers on hosts of their own", &why),
    };
    let herd = Herd::new(hosts);
    // One end of the cable in each style.
    let mut servers = NAMES.map(|name| herd.start(name));
    for (server, name) in servers.iter_mut().zip(NAMES) {
        wait_until_in_step(server, neighbours(&LINKS, name));
    }
    herd.expect_known(&NAMES, &herd.tell("Clark", "before"));

    // For a moment: the links bear it, and what was said arrives late.
    herd.hosts.cut();
    let late = herd.tell_both("late");
    herd.expect_apart(&late);
    herd.hosts.heal();
    for report in &late {
        herd.expect_known(&NAMES, report);
    }

    let [.., bernard, bona, _] = &mut servers;
    let mut ends = [bernard, bona];
    // For longer than that.
    herd.hosts.cut();
    let [one, other] = herd.tell_both("pulled");
    for end in &mut ends {
        end.patience = Duration::from_secs(50);
        end.wait_for(" is dropped: silent for 30s");
        assert_eq!(end.said.matches(" is dropped: ").count(), 1, "the first time it was borne:\n{}", end.said);
        end.said.clear();
    }
    let [one_more, other_more] = herd.tell_both("dropped");
    herd.expect_apart(&[one_more.clone(), other_more.clone()]);
    herd.hosts.heal();
    for (end, neighbour) in ends.iter_mut().zip([ENDS[1], ENDS[0]]) {
        wait_until_in_step(end, [neighbour]);
    }
    for report in [one, other, one_more, other_more, herd.tell("Bona", "healed")] {
        herd.expect_known(&NAMES, &report);
    }
    for server in servers {
        server.stop();
    }
}

/// A topology on addresses of hosts, and its keys.
struct Herd {
    hosts: Hosts,
    folder: TempDir,
}

impl Herd {
    fn new(hosts: Hosts) -> Self {
        let folder = folder();
        let place = |name: &str| {
            let [clients, peers] = [12_000, 22_000].map(|port| SocketAddr::new(hosts.address(name).into(), port));
            (name.to_string(), clients, peers)
        };
        let topology = topology(&NAMES.map(place), &LINKS, &format!(r#"{EMBEDDED}, "security": {{ "keys": "keys" }}"#));
        fs::write(folder.path().join("topology.json"), topology).expect("written");
        let made = run(&folder, &["keygen", "--topology", "topology.json", "--out", "keys"]);
        assert!(made.status.success(), "{}", text(&made.stderr));
        Self { hosts, folder }
    }

    fn start(&self, name: &str) -> Running {
        let style = if OTHER_ROOM.contains(&name) { "streams" } else { "callbacks" };
        Running::new(self.hosts.on(name, &command(&self.folder, &styled(style, &[name]))))
    }

    /// Runs a client on the host of the server that it talks to; what it prints.
    fn say(&self, name: &str, words: &[&str]) -> String {
        let mut client = self.hosts.on(name, &command(&self.folder, &[words, &["--at", name]].concat()));
        let output = finish(client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts"));
        text(&output.stdout)
    }

    /// Has a client tell a server that it is somewhere; the AT line that it is answered with.
    fn tell(&self, name: &str, client: &str) -> String {
        let report = self.say(name, &["iamat", client, "+60.17+24.94", "1520023934"]);
        assert!(report.starts_with(&format!("AT {name} ")), "{report}");
        report
    }

    /// A client on each side tells a server that is not at the cable's end, which others on its side learn.
    fn tell_both(&self, what: &str) -> [String; 2] {
        [(ROOM[0], &ROOM[..]), (OTHER_ROOM[1], &OTHER_ROOM[..])].map(|(name, room)| {
            let report = self.tell(name, &format!("{what}-at-{name}"));
            self.expect_known(room, &report);
            report
        })
    }

    /// The reports of one side are not known on the other one.
    fn expect_apart(&self, [one, other]: &[String; 2]) {
        for (report, room) in [(one, &OTHER_ROOM[..]), (other, &ROOM[..])] {
            for name in room {
                assert!(self.ask(name, report).starts_with("? WHATSAT "), "the cable is cut");
            }
        }
    }

    /// Each of these servers comes to hold a report.
    #[track_caller]
    fn expect_known(&self, names: &[&str], report: &str) {
        for name in names {
            until(|| self.ask(name, report).starts_with(report).then_some(()));
        }
    }

    /// What a server says about the client of a report.
    fn ask(&self, name: &str, report: &str) -> String {
        let client = report.split(' ').nth(3).expect("an AT line");
        self.say(name, &["whatsat", client, "1", "1"])
    }
}

const NAMES: [&str; 5] = ["Clark", "Juzang", "Bernard", "Bona", "Bailey"];

const ROOM: [&str; 3] = ["Clark", "Juzang", "Bernard"];

const OTHER_ROOM: [&str; 2] = ["Bona", "Bailey"];

/// The servers whose link goes through the cable.
const ENDS: [&str; 2] = ["Bernard", "Bona"];

const LINKS: [(&str, &str); 5] =
    [("Clark", "Juzang"), ("Clark", "Bernard"), ("Juzang", "Bernard"), ("Bernard", "Bona"), ("Bona", "Bailey")];
