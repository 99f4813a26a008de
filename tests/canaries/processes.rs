//! The command: what it prints and logs, quiet or not, while clients and neighbours do their worst, and when it is set up wrongly.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::ffi::OsStrExt;

use crate::command::{self, Herd, PATIENCE, Running, converse, free_address, in_each_style, styled, until};
use crate::{CLIENT, KEY, POSITION, POSITIONS, VARIABLE, assert_no_key, assert_no_position};

/// Runs a server with the key in the environment, or in a file, has everybody talk, and gives back what it has printed and
/// logged.
fn play(style: &str, words: &[&str], key: Held) -> String {
    let refusing = free_address();
    let places = format!(r#""places": {{ "provider": "legacy", "url": "http://{refusing}", "key_file": "key" }}"#);
    let herd = Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], &places);
    let mut command = command::command(&herd.folder, &styled(style, &[words, &["Ball", "--log-dir", "logs"]].concat()));
    match key {
        Held::InEnvironment => drop(command.env(VARIABLE, KEY)),
        Held::InFile => fs::write(herd.folder.path().join("key"), format!("{KEY}\n")).expect("written"),
    }
    let mut ball = Running::new(command);
    ball.wait_for("proxy-herd: talk to Ball");
    let (clients, peers) = herd.doors("Ball");
    let heard = [
        converse(clients, format!("IAMAT {CLIENT} {POSITION} 5\nWHATSAT {CLIENT} 1 1\nx {POSITION}\n").as_bytes()),
        converse(clients, format!("{POSITION} {}\n", CLIENT.repeat(1_000)).as_bytes()),
    ];
    assert!(heard[0].contains(POSITION) && heard[0].contains("UNKNOWN_ERROR") && heard[1].starts_with("? "));
    assert_no_key(&heard.concat());
    let hello = "HERD 1 test Hill 0.1.0\n";
    for said in [
        format!("{hello}AT Hill +0.000000000 {CLIENT} {POSITION} 5x\n"),
        format!("{hello}IAMAT {CLIENT} {POSITION} 5\n"),
        format!("{hello}AT {POSITION} {}\n", CLIENT.repeat(1_000)),
        format!("HERD 1 test {POSITION} 0.1.0\n"),
        format!("HERD 1 {POSITION} Hill 0.1.0\n"),
        format!("AT Hill +0.000000000 {CLIENT} {POSITION} 5\n"),
    ] {
        let heard = hear_until_err(peers, said.as_bytes());
        assert_no_position(heard.lines().last().expect("an ERR"));
        assert_no_key(&heard);
    }
    fs::write(herd.folder.path().join("topology.json"), r#"{ "herd": "test" }"#).expect("written");
    ball.signal("HUP");
    until(|| herd.log("proxy-herd").contains("the topology and the keys stay as they were").then_some(()));
    // One that is owed an answer while the server is told to stop.
    let mut late = TcpStream::connect(clients).expect("it listens");
    late.write_all(format!("WHATSAT {CLIENT} 2 1\nIAMAT {CLIENT} {POSITION}").as_bytes()).expect("sent");
    until(|| (herd.log("Ball").matches(" connected from ").count() > 2).then_some(()));
    ball.signal("TERM");
    drop(late);
    let (code, said) = ball.end();
    assert_eq!(code, Some(0), "{said}");
    [said, herd.log("Ball"), herd.log("proxy-herd")].concat()
}

#[derive(Clone, Copy)]
enum Held {
    InEnvironment,
    InFile,
}

/// Says it, and reads until the other end has closed; that ends with an ERR.
fn hear_until_err(address: SocketAddr, said: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream.write_all(said).expect("sent");
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("an end");
    let heard = command::text(&heard);
    assert!(heard.lines().last().is_some_and(|line| line.starts_with("ERR ")), "{heard}");
    heard
}

#[test]
fn a_quiet_server_says_nothing_of_anybody() {
    in_each_style(|style| {
        for key in [Held::InEnvironment, Held::InFile] {
            let shown = play(style, &["-q"], key);
            assert!(shown.contains(" INFO Ball ") && shown.contains(" WARN Ball "), "{shown}");
            assert_no_key(&shown);
            assert_no_position(&shown);
        }
    });
}

#[test]
fn others_say_what_was_said_and_no_more() {
    in_each_style(|style| {
        for (words, key) in [(&[][..], Held::InFile), (&["-v"], Held::InEnvironment)] {
            let shown = play(style, words, key);
            assert!(POSITIONS.iter().all(|canary| shown.contains(canary)), "lines received are logged:\n{shown}");
            assert_no_key(&shown);
            let of_talk = |line: &&str| {
                line.contains(" DEBUG Ball ") && [" < ", " > ", " asks Places "].iter().any(|sign| line.contains(sign))
            };
            shown.lines().filter(|line| !of_talk(line)).for_each(assert_no_position);
        }
    });
}

/// Runs a command that cannot be right, as the environment and the files are; what it prints.
#[track_caller]
fn refused(places: &str, variable: Option<&OsStr>, file: &[u8], expected: &str) {
    let herd = Herd::new(&["Ball"], &[], &format!(r#""places": {places}"#));
    fs::write(herd.folder.path().join("key"), file).expect("written");
    let mut command = command::command(&herd.folder, &["Ball", "-v"]);
    variable.map(|value| command.env(VARIABLE, value));
    let output = command.output().expect("it ends");
    let said = [command::text(&output.stdout), command::text(&output.stderr)].concat();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(expected), "{said}");
    assert_no_key(&said);
}

#[test]
fn keys_that_are_none_are_not_shown() {
    const FROM_FILE: &str = r#"{ "provider": "legacy", "key_file": "key" }"#;
    let two = format!("{KEY} {KEY}");
    let long = KEY.repeat(100);
    let no_text = [KEY.as_bytes(), b"\xff"].concat();
    for bad in [two.as_bytes(), long.as_bytes(), &no_text] {
        refused(FROM_FILE, Some(OsStr::from_bytes(bad)), b"", "GOOGLE_PLACES_API_KEY holds ");
        refused(FROM_FILE, None, bad, "places.key_file: key: holds ");
    }
    // A good one beside something else that is wrong.
    let key = Some(OsStr::new(KEY));
    refused(r#"{ "provider": "legacy", "ca_file": "none" }"#, key, b"", "places.ca_file: none: ");
    refused(r#"{ "provider": "legacy", "ca_file": "key" }"#, None, KEY.as_bytes(), "wants a key");
    refused(r#"{ "provider": "legacy", "ca_file": "key" }"#, key, KEY.as_bytes(), "key");
    refused(r#"{ "provider": "nobody" }"#, key, b"", "$.places.provider");
}

#[test]
fn keys_in_the_topology_are_not_shown() {
    let url = |url: &str| format!(r#"{{ "provider": "legacy", "url": "{url}" }}"#);
    refused(&format!(r#"{{ "key": "{KEY}" }}"#), None, b"", "$.places.key: ");
    refused(&url(&format!("https://maps.googleapis.com/?key={KEY}")), None, b"", "$.places.url: ");
    refused(&url(&format!("https://maps.googleapis.com/#{KEY}")), None, b"", "$.places.url: ");
    refused(&url(&format!("https://{KEY}@maps.googleapis.com")), None, b"", "$.places.url: ");
    refused(&url(KEY), None, b"", "$.places.url: ");
    refused(&url(&format!("https://{KEY}")), None, b"", "$.places.url: ");
    refused(&url(&format!("https://maps.googleapis.com:{KEY}")), None, b"", "$.places.url: ");
    refused(&url(&format!("https://maps.googleapis.com/{KEY}/ /")), None, b"", "$.places.url: ");
    refused(&url(&format!("http://maps.googleapis.com/{KEY}")), None, b"", "$.places.url: ");
    refused(&format!(r#"{{ "provider": "legacy", "key_file": "{KEY}" }}"#), None, b"", "places.key_file: ");
}
