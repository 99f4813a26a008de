//! The command `load` against servers of the herd and strangers: what it prints, what it says, how it exits.

#[path = "../command/mod.rs"]
#[expect(dead_code, reason = "the tests of the command line need more of it")]
mod command;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use command::{EMBEDDED, Herd, Running, check, converse, folder, in_each_style, run, text};
use serde_json::Value;

#[test]
fn a_server_is_loaded_and_measured() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], EMBEDDED);
        let mut hill = herd.start(style, &["Hill"]);
        hill.wait_for("proxy-herd: Hill listens for clients on ");
        let address = herd.clients("Hill").to_string();
        for words in [
            "Hill --clients 100 --pipeline 3",
            &format!("{address} --clients 7 --whatsat 50 --seed 9"),
            "Hill --rate 1000 --whatsat 10",
            "Hill --no-fill --expect AT",
        ] {
            let words = format!("load {words} --json --connections 5 --duration 0.2 --warm-up 0.05");
            let output = run(&herd.folder, &words.split(' ').collect::<Vec<_>>());
            check(&output, 0, None, "");
            let json: Value = serde_json::from_slice(&output.stdout).expect("one object, and nothing else");
            assert!(json["requests"].as_u64().expect("a number") > 0, "{words}: {json}");
            assert_eq!((&json["errors"], &json["unanswered"]), (&0.into(), &0.into()), "{words}: {json}");
            if words.contains("--rate") {
                assert_eq!(json["requests"], 200, "{json}");
            }
        }
        for client in ["load-0", "load-99"] {
            let answer = converse(herd.clients("Hill"), format!("WHATSAT {client} 10 0\n").as_bytes());
            assert!(answer.starts_with("AT Hill "), "{answer}");
        }
        let answer = converse(herd.clients("Hill"), b"WHATSAT load-1000 10 0\n");
        assert_eq!(answer, "? WHATSAT load-1000 10 0\n");
        hill.stop();
    });
}

#[test]
fn people_get_a_table() {
    let herd = Herd::new(&["Ball"], &[], EMBEDDED);
    let mut ball = herd.start("callbacks", &["Ball"]);
    ball.wait_for("proxy-herd: Ball listens for clients on ");
    // Without a name it is the first of the topology.
    let output = run(&herd.folder, &["load", "--connections", "3", "--duration", "0.1", "--warm-up", "0"]);
    check(&output, 0, None, "");
    assert_eq!(text(&output.stderr), "", "nobody looks, so no progress is shown");
    let shown = text(&output.stdout);
    let first = format!("Ball at {}: 3 connections, 1 in flight on each; 1000 clients\n", herd.clients("Ball"));
    assert!(shown.starts_with(&first), "{shown}");
    for part in [
        "\nrequests    ",
        "\nerrors      0\n",
        " a second, for 0.1",
        "\nlatency     p50 ",
        ", p99.9 ",
        "\nthe load    ",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
}

/// An echo server, and the lines that it gets.
fn echo() -> (SocketAddr, Receiver<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
    let address = listener.local_addr().expect("bound");
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (stream, sender) = (stream.expect("somebody came"), sender.clone());
            thread::spawn(move || {
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.all(|line| {
                    (&stream).write_all(format!("{line}\n").as_bytes()).is_ok() && sender.send(line).is_ok()
                })
            });
        }
    });
    (address, lines)
}

#[test]
fn a_stranger_is_spoken_to_in_its_own_words() {
    let (address, lines) = echo();
    let address = address.to_string();
    let short = ["--duration", "0.1", "--connections", "2", "--clients", "3"];
    let words = [
        &["load", &address, "--line", "GEOADD herd {longitude} {latitude} {client}", "--expect", "GEOADD"],
        &short[..],
    ];
    check(&run(&folder(), &words.concat()), 0, None, "");
    let first = lines.recv().expect("a line");
    let fields: Vec<&str> = first.split(' ').collect();
    let [verb, herd, longitude, latitude, client] = fields[..] else { panic!("{first}") };
    assert_eq!((verb, herd, &client[..5]), ("GEOADD", "herd", "load-"));
    let number = |text: &str| text.parse::<f64>().expect("a number").abs();
    assert!(number(longitude) < 180.0 && number(latitude) < 85.05, "Redis takes no other: {first}");

    // What is no server of the herd is known at once.
    let output = run(&folder(), &[&["load", &address], &short[..]].concat());
    check(&output, 1, Some(""), ", which does not begin with \"AT \" (see --expect)");
    check(&output, 1, Some(""), &format!("proxy-herd: {address} answers \"IAMAT load-0 "));
}

#[test]
fn too_many_connections_are_told() {
    let (address, _lines) = echo();
    let folder = folder();
    let load = command::command(&folder, &["load", &address.to_string(), "--expect", "IAMAT", "--connections", "100"]);
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -n 50; exec \"$0\" \"$@\""]).arg(load.get_program()).args(load.get_args());
    let output = few.current_dir(folder.path()).output().expect("runs");
    check(&output, 1, Some(""), "; fewer --connections, or allow more open files: ulimit -n");
}

#[test]
fn a_signal_ends_it_and_what_was_measured_is_told() {
    for signal in ["INT", "TERM"] {
        let (address, lines) = echo();
        let folder = folder();
        let shown = folder.path().join("shown");
        let words =
            ["load", &address.to_string(), "--expect", "IAMAT", "--duration", "600", "--warm-up", "0", "--json"];
        let mut command = command::command(&folder, &words);
        command.stdout(File::create(&shown).expect("a file"));
        let running = Running::new(command);
        // Each client once, and then more than are in flight.
        lines.iter().take(2000).for_each(drop);
        running.signal(signal);
        assert_eq!(running.end(), (Some(0), String::new()), "{signal}");
        let json: Value = serde_json::from_slice(&fs::read(&shown).expect("read")).expect("an object");
        let seconds = json["seconds"].as_f64().expect("a number");
        assert!(json["requests"].as_u64() > Some(0) && seconds > 0.0 && seconds < 60.0, "{json}");
    }
}

#[test]
fn what_cannot_be_done_is_told() {
    let herd = Herd::new(&["Ball"], &[], EMBEDDED);
    let check_words = |words: &str, code: i32, part: &str| {
        let words: Vec<&str> = ["load"].into_iter().chain(words.split(' ')).collect();
        check(&run(&herd.folder, &words), code, Some(""), part);
    };
    let address = herd.clients("Ball");
    check_words("Ball", 1, &format!("proxy-herd: Ball at {address} cannot be reached: connect to {address}: "));
    check_words("Ball", 1, "; start it with: proxy-herd Ball");
    check_words(&address.to_string(), 1, "; is a server running there?");
    check_words("Bell", 2, "proxy-herd: the herd test has no server \"Bell\"; it has Ball\n");
    check_words("localhost:x", 2, "proxy-herd: \"localhost:x\" is not HOST:PORT (an IPv6 address needs brackets)\n");
    check_words("Ball --rate 9 --pipeline 2", 2, "'--rate <R>' cannot be used with '--pipeline <P>'");
    check_words("Ball --line x --whatsat 2", 2, "'--line <TEMPLATE>' cannot be used with '--whatsat <PERCENT>'");
    check_words("Ball --line {clients}", 2, "there is no {clients}; there are {client}, {position}, ");
    check_words("Ball --duration 0", 2, "in no time nothing is measured");
    check_words("Ball --duration -1", 2, "error: ");
    check_words("Ball --warm-up nan", 2, "seconds are a number from 0 to 3600");
    check_words("Ball --duration 3601", 2, "seconds are a number from 0 to 3600");
    check_words("Ball --whatsat 101", 2, "101 is not in 0..=100");
    for (option, most) in
        [("connections", 60_000), ("pipeline", 10_000), ("clients", 100_000_000), ("rate", 10_000_000)]
    {
        check_words(&format!("Ball --{option} 0"), 2, &format!("0 is not in 1..={most}"));
        check_words(&format!("Ball --{option} {}", most + 1), 2, &format!("is not in 1..={most}"));
        check_words(&format!("Ball --{option} {most} --line {{"), 2, " has no end; {{ is a brace");
    }
    let long = "x".repeat(257);
    check_words(&format!("Ball --expect {long}"), 2, "at most 256 bytes of an answer are looked at");
    check_words(&format!("Ball --expect {}", &long[1..]), 1, "cannot be reached");
}
