//! The real command with encrypted links: started with the keys that keygen made, given new ones at SIGHUP, refused what is wrong.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::command::{EMBEDDED, Herd, Running, check, converse, in_each_style, run, until};

const MAKE: &[&str] = &["keygen", "--out", "keys"];

const SECURITY: &str = r#""security": { "keys": "keys" }"#;

/// A herd of two whose topology says where the keys are; there are none yet.
fn secured() -> Herd {
    Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], &format!("{EMBEDDED}, {SECURITY}"))
}

fn pair(herd: &Herd, style: &str) -> [Running; 2] {
    check(&run(&herd.folder, MAKE), 0, None, "");
    ["Ball", "Hill"].map(|server| herd.start(style, &[server]))
}

fn report_reaches(herd: &Herd, from: &str, to: &str, stamp: u32) {
    let report = converse(herd.clients(from), format!("IAMAT k +1+1 {stamp}\n").as_bytes());
    let known = || converse(herd.clients(to), b"WHATSAT k 0 0\n");
    until(|| Some(known()).filter(|answer| answer.starts_with(&report)));
}

#[test]
fn servers_with_keys_are_linked_and_take_new_ones_at_sighup() {
    in_each_style(|style| {
        let herd = secured();
        let keys = herd.folder.path().join("keys");
        let [mut ball, mut hill] = pair(&herd, style);
        ball.wait_for(" is the link to Hill (version ");
        hill.wait_for(" is the link to Ball (version ");
        report_reaches(&herd, "Ball", "Hill", 1);

        // A key that others can read changes nothing, and is told.
        fs::set_permissions(keys.join("Ball.key"), Permissions::from_mode(0o644)).expect("it is ours");
        ball.signal("HUP");
        ball.wait_for(
            " ERROR proxy_herd::cli::serve security.keys: keys/Ball.key: others can read this key (mode 644): ",
        );
        ball.wait_for(" ERROR proxy_herd::cli::serve the topology and the keys stay as they were");

        // A new authority beside the old one, then alone.
        let old = fs::read_to_string(keys.join("ca.pem")).expect("it is there");
        fs::rename(&keys, herd.folder.path().join("old")).expect("it is ours");
        check(&run(&herd.folder, MAKE), 0, None, "");
        let new = fs::read_to_string(keys.join("ca.pem")).expect("it is there");
        for authorities in [old + &new, new] {
            fs::write(keys.join("ca.pem"), authorities).expect("it is ours");
            for (server, name) in [(&mut ball, "Ball"), (&mut hill, "Hill")] {
                server.signal("HUP");
                server.wait_for(&format!(" INFO {name} has read its keys again: they are for connections from now on"));
            }
        }
        report_reaches(&herd, "Hill", "Ball", 2);
        // The next link is made with the new ones alone.
        let said = hill.stop();
        assert!(!said.contains("is refused") && !said.contains("no link"), "{said}");
        let mut hill = herd.start(style, &["Hill"]);
        hill.wait_for(" is the link to Ball (version ");
        ball.wait_for(" is the link to Hill (version ");

        let topology = herd.topology(&["Ball", "Hill"], &[("Ball", "Hill")]).replace(&format!(", {SECURITY}"), "");
        fs::write(herd.folder.path().join("topology.json"), topology).expect("it is ours");
        ball.signal("HUP");
        ball.wait_for(" ERROR proxy_herd::server security has gone in the topology: that needs a restart; ");
        for server in [ball, hill] {
            server.stop();
        }
    });
}

#[test]
fn no_key_is_in_a_log_whatever_happens() {
    in_each_style(|style| {
        let herd = secured();
        let keys = herd.folder.path().join("keys");
        check(&run(&herd.folder, MAKE), 0, None, "");
        let mut servers = ["Ball", "Hill"].map(|server| herd.start(style, &[server, "-v", "--log-dir", "logs"]));
        servers.iter_mut().for_each(|server| server.wait_for("proxy-herd: talk to "));
        let log = |name: &str| herd.log(name);
        until(|| log("Ball").contains(" is the link to Hill ").then_some(()));
        // A stranger who takes it for a door of clients; he hears of TLS only.
        assert!(!converse(herd.doors("Ball").1, b"WHATSAT k 1 1\n").contains("HERD"));
        until(|| log("Ball").contains(" is refused: it does not speak TLS").then_some(()));
        let secrets =
            ["ca", "Ball", "Hill"].map(|name| fs::read_to_string(keys.join(format!("{name}.key"))).expect("a key"));
        // A file of a key that is cut short, and one of another.
        for text in [&secrets[1][..100], &secrets[2]] {
            fs::write(keys.join("Ball.key"), text).expect("it is ours");
            let before = log("proxy-herd").matches("stay as they were").count();
            servers[0].signal("HUP");
            until(|| (log("proxy-herd").matches("stay as they were").count() > before).then_some(()));
        }
        assert!(log("proxy-herd").contains("Ball.key holds no private key (PEM)"), "{}", log("proxy-herd"));
        assert!(log("proxy-herd").contains("Ball.key is not the key of Ball.pem"), "{}", log("proxy-herd"));
        for server in &mut servers {
            server.signal("TERM");
        }
        let said = servers.map(|server| server.end().1).concat() + &["Ball", "Hill", "proxy-herd"].map(log).concat();
        for secret in &secrets {
            // The lines of a key begin alike, and end each in its own way.
            for line in secret.lines().filter(|line| !line.starts_with('-') && line.len() > 20) {
                assert!(!said.contains(&line[line.len() - 20..]), "{said}");
            }
        }
    });
}

#[test]
fn a_server_without_good_keys_does_not_start() {
    let herd = secured();
    let refused = |why: &str| {
        for words in [["Ball"], ["up"], ["demo"]] {
            check(&run(&herd.folder, &words), 2, Some(""), &format!("proxy-herd: security.keys: keys{why}\n"));
        }
    };
    refused("/ca.pem: is not there: make it with \"proxy-herd keygen\", or copy it from where that was run");
    check(&run(&herd.folder, MAKE), 0, None, "");
    let keys = herd.folder.path().join("keys");
    for suffix in ["pem", "key"] {
        fs::copy(keys.join(format!("Hill.{suffix}")), keys.join(format!("Ball.{suffix}"))).expect("copied");
    }
    let renew = "where ca.key is, remove Ball.pem and Ball.key, run \"proxy-herd keygen\", and copy what it makes";
    refused(&format!(": the certificate Ball.pem is for Hill, not for Ball: {renew}"));
    // What is not served needs no keys here.
    for file in ["Ball.pem", "Ball.key", "ca.key"] {
        fs::remove_file(keys.join(file)).expect("it was there");
    }
    in_each_style(|style| {
        let mut hill = herd.start(style, &["Hill"]);
        hill.wait_for("proxy-herd: talk to Hill");
    });
}

#[test]
fn a_demo_and_a_check_know_of_keys() {
    let herd = secured();
    let said = run(&herd.folder, &["check"]);
    check(&said, 0, None, "");
    assert!(String::from_utf8_lossy(&said.stdout).contains("\nlinks: encrypted (mutual TLS, with the keys in keys)\n"));
    check(&run(&herd.folder, MAKE), 0, None, "");
    in_each_style(|style| check(&run(&herd.folder, &["demo", "--style", style]), 0, None, ""));
}
