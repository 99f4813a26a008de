//! The real command in folders of its own: what it prints, logs and answers, which signals it hears, how it exits.

mod command;

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::{Duration, Instant};

use command::{
    EMBEDDED, Herd, PATIENCE, Running, activated, check, command, converse, finish, folder, free_address,
    in_each_style, run, styled, text, until,
};

// Commands that end by themselves.

#[test]
fn the_demo_shows_a_herd_at_work() {
    let [shown, streams] = ["callbacks", "streams"].map(|style| {
        let output = run(&folder(), &styled(style, &["demo"]));
        check(&output, 0, None, "");
        text(&output.stdout)
    });
    // Where there is a number outside of the JSON, it is a time or a port.
    let is_number = |line: &str| !line.contains('"');
    let masked = |line: &str| {
        if is_number(line) { line.replace(|byte: char| byte.is_ascii_digit(), "0") } else { line.to_owned() }
    };
    let lines = |shown: &str| shown.lines().map(masked).collect::<Vec<_>>();
    assert_eq!(lines(&shown), lines(&streams), "it is the same in both styles");
    for part in [
        "herd goloman: 5 servers, 6 links\n",
        "A client tells Welsh where it is; Hands is 3 links away.\n",
        "client -> Welsh  IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 ",
        "client <- Welsh  AT Welsh +0.0",
        "client -> Hands  WHATSAT kiwi.cs.ucla.edu 10 3\nclient <- Hands  AT Welsh +0.0",
        "client <- Hands           \"name\" : \"Santa Monica\",\n",
        "client <- Hands     \"status\" : \"OK\"\n",
        "client -> Welsh  WHEREIS kiwi.cs.ucla.edu ?\nclient <- Welsh  ? WHEREIS kiwi.cs.ucla.edu ?\n",
        "client <- Welsh  AT Welsh +2",
        "client -> Hands  IAMAT half.line.example +60.169800+24.938200 ",
    ] {
        assert!(shown.contains(part), "{part:?} is not in:\n{shown}");
    }
}

#[test]
fn the_demo_takes_any_herd_and_leaves_logs() {
    in_each_style(|style| {
        let herd = Herd::new(&["One"], &[], EMBEDDED);
        let output = run(&herd.folder, &styled(style, &["demo", "--log-dir", "logs", "--topology", "topology.json"]));
        check(&output, 0, None, "");
        assert!(text(&output.stdout).contains("client -> One  WHATSAT kiwi.cs.ucla.edu 10 3\n"));
        assert!(herd.log("One").contains(" DEBUG One #"), "{}", herd.log("One"));
    });
}

#[test]
fn who_has_read_enough_ends_the_command_quietly() {
    in_each_style(|style| {
        let mut child = command(&folder(), &styled(style, &["demo"]))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        drop(child.stdout.take());
        check(&finish(child), 0, Some(""), "");
    });
}

#[test]
fn a_topology_is_found_and_shown() {
    let herd = Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], EMBEDDED);
    let [ball, hill] = [herd.doors("Ball"), herd.doors("Hill")];
    let named = format!(
        "herd test: 2 servers, 1 links\n\nserver  clients          peers            neighbours\n\
         Ball    {}  {}  Hill\nHill    {}  {}  Ball\n\nlinks: plain, all on this machine\nplaces: embedded (the built-in data)\n",
        ball.0, ball.1, hill.0, hill.1
    );
    let file = herd.folder.path().join("topology.json");
    let file = file.to_str().expect("a path of text");
    let (empty, built_in) = (folder(), "herd goloman: 5 servers, 6 links\n");
    check(&run(&empty, &["check"]), 0, None, "");
    assert!(text(&run(&empty, &["check"]).stdout).starts_with(built_in));
    check(&run(&herd.folder, &["check"]), 0, Some(&named), "");
    check(&run(&empty, &["check", "--topology", file]), 0, Some(&named), "");
    check(&run(&empty, &["--topology", file, "check"]), 0, Some(&named), "");
    let output = command(&empty, &["check"]).env("HERD_TOPOLOGY", file).output().expect("runs");
    check(&output, 0, Some(&named), "");
}

#[test]
fn a_topology_that_is_wrong_is_told_all_of_it() {
    let check_wrong = |topology: &str, errors: &str| {
        let folder = folder();
        fs::write(folder.path().join("bad.json"), topology).expect("written");
        for words in [["check"], ["up"], ["demo"], ["Ball"], ["iamat"]] {
            let mut words = words.to_vec();
            if words == ["iamat"] {
                words.extend(["k", "+1+1"]);
            }
            words.extend(["--topology", "bad.json"]);
            check(&run(&folder, &words), 2, Some(""), &format!("proxy-herd: {errors}\n"));
        }
    };
    let address = |port: u16| format!(r#"{{ "clients": "127.0.0.1:{port}", "peers": "127.0.0.1:{}" }}"#, port + 1);
    let server = address(4001);
    check_wrong(
        &format!(r#"{{ "herd": "h", "servers": {{ "Ball": {server} }}, "links": [["Ball", "Bell"]], "place": {{}} }}"#),
        "bad.json is no topology that can be run:\n\
         $.place: unknown key; did you mean \"places\"?\n\
         $.links[0][1]: no server is called \"Bell\"; did you mean \"Ball\"?",
    );
    check_wrong(
        &format!(
            r#"{{ "herd": "h", "servers": {{ "up": {server}, "Ball": {} }}, "links": [["up", "Ball"]] }}"#,
            address(4003)
        ),
        "bad.json is no topology that can be run:\n\
         $.servers.up: up is a word of the command line; choose another",
    );
    let missing = run(&folder(), &["check", "--topology", "none.json"]);
    check(&missing, 2, Some(""), "proxy-herd: none.json: No such file or directory (os error 2)\n");
}

#[test]
fn what_is_asked_for_the_wrong_way_is_told() {
    let check_usage = |words: &[&str], part: &str| {
        let output = run(&folder(), words);
        check(&output, 2, Some(""), part);
    };
    let unknown =
        "proxy-herd: the herd goloman has no server \"goloman\"; it has Goloman, Hands, Holiday, Welsh, Wilkes\n";
    check_usage(&["goloman"], unknown);
    check_usage(&["iamat", "--at", "goloman", "k", "+1+1"], unknown);
    check_usage(&["Goloman", "up"], "error: give the name of one server, or one command");
    check_usage(&[], "Usage: proxy-herd [OPTIONS] <SERVER>");
    check_usage(&["whatsat", "k"], "error: the following required arguments were not provided");
    check_usage(&["check", "-v", "-q"], "error: the argument '--verbose' cannot be used with '--quiet'");
    check_usage(&["up", "--style", "nonsense"], "error: invalid value 'nonsense' for '--style <STYLE>'");
    check_usage(&["up", "--style", "nonsense"], "[possible values: callbacks, streams]");
    check_usage(&["Goloman", "--style", "stream"], "tip: a similar value exists: 'streams'");
    check_usage(&["--style", "Streams", "demo"], "tip: a similar value exists: 'streams'");
    check_usage(&["--style"], "error: a value is required for '--style <STYLE>'");
    check(&run(&folder(), &["--version"]), 0, Some(concat!("proxy-herd ", env!("CARGO_PKG_VERSION"), "\n")), "");
    let help = text(&run(&folder(), &["--help"]).stdout);
    for word in [
        "<SERVER>",
        "up ",
        "demo ",
        "check ",
        "iamat ",
        "whatsat ",
        "send ",
        "load ",
        "--topology <FILE>",
        "HERD_TOPOLOGY",
        "--style <STYLE>",
        "[default: callbacks] [possible values: callbacks, streams]",
    ] {
        assert!(help.contains(word), "{word} is not in:\n{help}");
    }
}

#[test]
fn google_wants_a_key() {
    let herd = |places: &str| Herd::new(&["Ball"], &[], &format!(r#""places": {places}"#));
    for provider in ["legacy", "new"] {
        let google = herd(&format!(r#"{{ "provider": "{provider}" }}"#));
        let remedy = format!(
            "proxy-herd: places.provider is \"{provider}\", and Google wants a key: set GOOGLE_PLACES_API_KEY, or \
             places.key_file to the name of a file that holds it, or places.provider to \"embedded\"\n"
        );
        check(&run(&google.folder, &["Ball"]), 2, Some(""), &remedy);
    }
    let from_file = herd(r#"{ "key_file": "key" }"#);
    let check_file = |content: &str, expected: &str| {
        fs::write(from_file.folder.path().join("key"), content).expect("written");
        check(&run(&from_file.folder, &["Ball"]), 2, Some(""), expected);
    };
    check_file(" \n", "proxy-herd: places.key_file: key: holds nothing, where a key should be\n");
    check_file("one two\n", "proxy-herd: places.key_file: key: holds more than a key: one word of ASCII is wanted\n");
    check_file(&"k".repeat(1025), "proxy-herd: places.key_file: key: holds too much to be a key\n");
    fs::remove_file(from_file.folder.path().join("key")).expect("removed");
    let missing = "proxy-herd: places.key_file: key: No such file or directory (os error 2)\n";
    check(&run(&from_file.folder, &["Ball"]), 2, Some(""), missing);
    let trusting = herd(r#"{ "key_file": "key", "ca_file": "key" }"#);
    fs::write(trusting.folder.path().join("key"), "canary").expect("written");
    let none = "proxy-herd: places.ca_file: key: holds no certificate (PEM)\n";
    check(&run(&trusting.folder, &["Ball"]), 2, Some(""), none);
}

#[test]
fn a_port_in_use_is_named_after_two_seconds() {
    let herd = Herd::new(&["Ball"], &[], EMBEDDED);
    let address = herd.clients("Ball");
    let _taken = TcpListener::bind(address).expect("free");
    let begun = Instant::now();
    let output = run(&herd.folder, &["Ball", "--log-dir", "logs"]);
    let took = begun.elapsed();
    check(&output, 1, Some(""), &format!("proxy-herd: Ball cannot listen for clients on {address}: "));
    check(&output, 1, None, ": is this server running already? If not, give it another port");
    assert!(took >= Duration::from_millis(1900) && took < PATIENCE, "{took:?}");
    assert!(herd.log("Ball").contains(" ERROR Ball Ball cannot listen for clients"), "{}", herd.log("Ball"));
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let herd = Herd::new(&["Ball"], &[], EMBEDDED);
    let address = herd.clients("Ball");
    for words in [&["iamat", "k", "+1+1"][..], &["whatsat", "k", "1", "1"], &["send", "x"]] {
        let output = run(&herd.folder, words);
        check(&output, 1, Some(""), &format!("proxy-herd: Ball cannot be reached: connect to {address}: "));
        check(&output, 1, None, "; start it with: proxy-herd Ball");
    }
}

// Servers, and signals.

#[test]
fn a_herd_answers_and_drains() {
    in_each_style(|style| {
        let herd = Herd::new(&["Goloman", "Hands"], &[("Goloman", "Hands")], EMBEDDED);
        let mut up = herd.start(style, &["up"]);
        up.wait_for("proxy-herd: talk to Goloman from another terminal: printf 'IAMAT ");
        let talk = |server, line: &str| converse(herd.clients(server), line.as_bytes());
        let report = talk("Goloman", "IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n");
        assert!(report.starts_with("AT Goloman +"), "{report}");
        assert!(report.ends_with(" kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997\n"), "{report}");

        let question = "WHATSAT kiwi.cs.ucla.edu 10 5\n";
        // Until the report has come to Hands, it does not know the client.
        let answer = until(|| Some(talk("Hands", question)).filter(|answer| !answer.starts_with("? ")));
        let json =
            answer.strip_prefix(&report).expect("the report of Goloman").strip_suffix("\n\n").expect("two newlines");
        assert!(!json.ends_with('\n'), "{json:?}");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        assert_eq!((json["results"].as_array().map(Vec::len), json["status"].as_str()), (Some(5), Some("OK")));

        // A client that stays is told the end.
        let mut client = TcpStream::connect(herd.clients("Hands")).expect("listens");
        client.set_read_timeout(Some(PATIENCE)).expect("set");
        client.write_all(b"what?\n").expect("sent");
        let mut reply = [0; 8];
        client.read_exact(&mut reply).expect("a reply");
        up.signal("TERM");
        assert_eq!(client.read(&mut reply).expect("the end"), 0);
        drop(client);
        let (code, said) = up.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" INFO Hands stops; 1 clients are connected\n"), "{said}");
    });
}

#[test]
fn servers_of_both_styles_are_one_herd() {
    // Each end of a link is dialled by the other, too, so each style meets the other both as host and as guest.
    for styles in [["callbacks", "streams", "callbacks"], ["streams", "callbacks", "streams"]] {
        let names = ["Ball", "Hill", "Smith"];
        let herd = Herd::new(&names, &[("Ball", "Hill"), ("Hill", "Smith")], EMBEDDED);
        let mut servers: Vec<Running> =
            names.iter().zip(styles).map(|(name, style)| herd.start(style, &[name])).collect();
        for (server, neighbour) in servers.iter_mut().zip(["Hill", "Smith", "Hill"]) {
            server.wait_for(&format!(" is the link to {neighbour} (version "));
        }
        for name in names {
            let report = converse(herd.clients(name), format!("IAMAT of-{name} +1+1 1\n").as_bytes());
            assert!(report.starts_with(&format!("AT {name} ")), "{report}");
            let question = format!("WHATSAT of-{name} 0 0\n");
            for other in names {
                until(|| {
                    Some(converse(herd.clients(other), question.as_bytes()))
                        .filter(|answer| answer.starts_with(&report))
                });
            }
        }
        for server in servers {
            server.stop();
        }
    }
}

#[test]
fn a_second_signal_ends_at_once() {
    in_each_style(|style| {
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
        let places = format!(r#""places": {{ "url": "http://{}" }}"#, silent.local_addr().expect("bound"));
        let herd = Herd::new(&["Ball"], &[], &places);
        let mut ball = herd.start_with(style, &["Ball"], "GOOGLE_PLACES_API_KEY", "k");
        ball.wait_for("proxy-herd: Ball listens for clients on ");
        let mut client = TcpStream::connect(herd.clients("Ball")).expect("listens");
        client.write_all(b"IAMAT k +1+1 1\nWHATSAT k 1 1\n").expect("sent");
        ball.wait_for(" asks Places within 1000 m of 1,1 (Waiting)");
        ball.signal("INT");
        ball.wait_for(" INFO Ball stops; 1 clients are connected");
        ball.signal("TERM");
        let (code, said) = ball.end();
        assert_eq!(code, Some(1), "{said}");
        assert!(
            said.ends_with(" WARN proxy_herd::cli::serve is told to stop a second time: exits at once\n"),
            "{said}"
        );
    });
}

#[test]
fn an_inherited_socket_is_served_before_and_between_servers() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball"], &[], EMBEDDED);
        let socket = TcpListener::bind(herd.clients("Ball")).expect("free");
        for line in ["before\n", "between\n"] {
            // Nobody accepts yet.
            let mut early = TcpStream::connect(herd.clients("Ball")).expect("somebody listens");
            early.set_read_timeout(Some(PATIENCE)).expect("set");
            early.write_all(line.as_bytes()).expect("sent");
            early.shutdown(Shutdown::Write).expect("ended");
            let inherited = socket.try_clone().expect("a descriptor").into();
            let mut ball = Running::new(activated(&herd, &styled(style, &["Ball"]), [inherited]));
            let mut reply = String::new();
            early.read_to_string(&mut reply).expect("a reply, and the end");
            assert_eq!(reply, format!("? {line}"));
            ball.wait_for("proxy-herd: talk to Ball");
            ball.signal("TERM");
            assert_eq!(ball.end().0, Some(0));
        }
    });
}

#[test]
fn an_inherited_socket_that_no_server_wants_is_told() {
    let herd = Herd::new(&["Ball"], &[], EMBEDDED);
    let check_refused = |socket: OwnedFd, expected: String| {
        let mut command = activated(&herd, &["Ball"], [socket]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        check(&finish(child), 2, Some(""), &format!("proxy-herd: inherited socket 1: {expected}\n"));
    };
    let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
    let address = other.local_addr().expect("bound");
    let connection = TcpStream::connect(address).expect("it listens");
    let local = connection.local_addr().expect("connected");
    let connected = format!("{local} is connected already, and should listen (systemd: Accept=no)");
    check_refused(connection.into(), connected);
    check_refused(other.into(), format!("{address} is no address that the topology has this process listen on"));
    let file = fs::File::open(herd.folder.path().join("topology.json")).expect("it is there");
    check_refused(file.into(), "fd 3 is not a socket".to_owned());
}

#[test]
fn logs_say_what_was_said_and_can_be_moved() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball"], &[], EMBEDDED);
        let mut ball = herd.start(style, &["Ball", "--log-dir", "logs"]);
        ball.wait_for("proxy-herd: talk to Ball");
        let talk = |line: &str| converse(herd.clients("Ball"), line.as_bytes());
        talk("IAMAT k +1+1 1\n");
        let log = until(|| Some(herd.log("Ball")).filter(|log| log.contains("is gone")));
        for part in [
            &format!(" INFO Ball serves connections by {style}\n"),
            &format!(" INFO Ball listens for clients on {}\n", herd.clients("Ball")),
            " connected from 127.0.0.1:",
            " < IAMAT k +1+1 1\n",
            " > AT Ball +",
        ] {
            assert!(log.contains(part), "{part:?} is not in:\n{log}");
        }
        let logs = herd.folder.path().join("logs");
        fs::rename(logs.join("Ball.log"), logs.join("Ball.1")).expect("renamed");
        ball.signal("USR1");
        until(|| {
            talk("moved\n");
            fs::read_to_string(logs.join("Ball.log")).ok().filter(|log| log.contains(" < moved\n"))
        });
        assert!(fs::read_to_string(logs.join("Ball.1")).expect("moved").starts_with(&log));
        ball.signal("TERM");
        assert_eq!(ball.end(), (Some(0), String::new()), "the rest of standard error");
    });
}

#[test]
fn a_quiet_log_has_no_lines_of_clients() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball"], &[], EMBEDDED);
        let mut ball = herd.start(style, &["-q", "Ball"]);
        ball.wait_for("proxy-herd: talk to Ball");
        assert_eq!(converse(herd.clients("Ball"), b"canary\n"), "? canary\n");
        ball.signal("TERM");
        let (code, said) = ball.end();
        assert_eq!(code, Some(0));
        assert!(said.contains(" connected from ") && !said.contains("canary"), "{said}");
    });
}

#[test]
fn a_neighbour_comes_with_sighup() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball", "Hill"], &[("Ball", "Hill")], EMBEDDED);
        let alone = herd.alone("Ball");
        let mut ball = herd.start(style, &["Ball", "--topology", &alone]);
        ball.wait_for("proxy-herd: talk to Ball");
        assert!(converse(herd.clients("Ball"), b"IAMAT k +1+1 1\n").starts_with("AT Ball "));

        let alone = herd.folder.path().join(alone);
        fs::write(&alone, r#"{ "herd": "test", "server": {} }"#).expect("written");
        ball.signal("HUP");
        ball.wait_for(" ERROR proxy_herd::cli::serve $.server: unknown key; did you mean \"servers\"?");
        ball.wait_for(" ERROR proxy_herd::cli::serve $.servers: missing; write ");
        ball.wait_for(" ERROR proxy_herd::cli::serve the topology and the keys stay as they were");

        fs::copy(herd.folder.path().join("topology.json"), &alone).expect("copied");
        ball.signal("HUP");
        ball.wait_for(&format!(" INFO Ball Hill at {} is a neighbour now", herd.doors("Hill").1));
        ball.wait_for(" WARN Ball no link to Hill at ");
        let mut hill = herd.start(style, &["Hill"]);
        ball.wait_for(" is the link to Hill (version ");
        let report = converse(herd.clients("Ball"), b"IAMAT k +1+1 2\n");
        let known = |server| converse(herd.clients(server), b"WHATSAT k 0 0\n");
        until(|| Some(known("Hill")).filter(|answer| answer.starts_with(&report)));

        fs::write(&alone, herd.topology(&["Ball"], &[])).expect("written");
        ball.signal("HUP");
        ball.wait_for(" INFO Ball Hill is no neighbour any more");
        hill.wait_for("its other end says: Hill is no neighbour of Ball any more");
        hill.wait_for("its other end says: Ball has no link with Hill");
        for server in [ball, hill] {
            server.stop();
        }
    });
}

#[test]
fn the_key_is_never_shown() {
    in_each_style(|style| {
        const CANARY: &str = "canary-7f3a";
        let closed = free_address();
        let herd =
            Herd::new(&["Ball"], &[], &format!(r#""places": {{ "provider": "legacy", "url": "http://{closed}" }}"#));
        let mut ball = herd.start_with(style, &["Ball", "-v", "--log-dir", "logs"], "GOOGLE_PLACES_API_KEY", CANARY);
        ball.wait_for("proxy-herd: talk to Ball");
        let answer = converse(herd.clients("Ball"), b"IAMAT k +1+1 1\nWHATSAT k 1 1\n");
        assert!(answer.contains("\"status\" : \"UNKNOWN_ERROR\"") && answer.ends_with("}\n\n"), "{answer}");
        let said = ball.stop();
        let logs = [herd.log("Ball"), herd.log("proxy-herd")].concat();
        assert!(logs.contains(&closed.to_string()), "the log tells why:\n{logs}");
        assert!(![answer, said, logs].concat().contains(CANARY));
    });
}

#[test]
fn the_client_commands_talk() {
    in_each_style(|style| {
        let herd = Herd::new(&["Ball"], &[], EMBEDDED);
        let mut ball = herd.start(style, &["Ball"]);
        ball.wait_for("proxy-herd: talk to Ball");
        let iamat = run(&herd.folder, &["iamat", "-k", "-34.5+118", "-5"]);
        check(&iamat, 0, None, "");
        let report = text(&iamat.stdout);
        assert!(report.starts_with("AT Ball +") && report.ends_with(" -k -34.5+118 -5\n"), "{report}");
        check(&run(&herd.folder, &["iamat", "now", "+1+1", "--at", "Ball"]), 0, None, "");
        let places = "{\n   \"html_attributions\" : [],\n   \"results\" : [],\n   \"status\" : \"ZERO_RESULTS\"\n}\n\n";
        let answer = format!("{report}{places}");
        check(&run(&herd.folder, &["whatsat", "--at", "Ball", "-k", "1", "0"]), 0, Some(&answer), "");
        check(&run(&herd.folder, &["whatsat", "nobody", "1", "1"]), 1, Some("? WHATSAT nobody 1 1\n"), "");
        check(&run(&herd.folder, &["send", "-x", "", "y z"]), 1, Some("? -x\n? y z\n"), "");

        let send = |input: &[u8]| {
            let mut command = command(&herd.folder, &["send"]);
            let mut child =
                command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
            child.stdin.take().expect("piped").write_all(input).expect("written");
            finish(child)
        };
        check(&send(b"WHATSAT -k 1 0\n\nWHATSAT -k 1 0"), 0, Some(&answer.repeat(2)), "");
        check(&send(&[b'x'; 4097]), 1, Some(&format!("? {}\n", "x".repeat(64))), "");
        check(&send(b""), 0, Some(""), "");
        ball.signal("TERM");
        assert_eq!(ball.end().0, Some(0));
    });
}
