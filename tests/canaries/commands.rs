//! The command, set on `proxy-herd places` that misbehaves, told to stop, or to take what is wrong: what it prints, logs and writes.
//!
//! Servers on the simulated network go through every way to ask and every fault; the command goes through every fault, and takes
//! turns with the rest.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;

use tempfile::TempDir;

use crate::command::{self, Herd, PATIENCE, Running, converse, free_address, styled, text, until};
use crate::faults::every_fault;
use crate::{CLIENT, KEY, KEY_IN_URL, POSITION, POSITIONS, VARIABLE, assert_no_key, assert_no_position};

/// One way of many to run a server.
#[derive(Clone, Copy, Debug)]
struct Way {
    style: &'static str,
    /// How much it says.
    words: &'static [&'static str],
    logs_to_files: bool,
    key_is_in_file: bool,
    is_over_tls: bool,
}

impl Way {
    /// The ways take turns: each comes up again after 48 numbers.
    fn of(number: usize) -> Self {
        let bit = |of: usize| number / 3 / of % 2 == 1;
        Self {
            style: if bit(1) { "streams" } else { "callbacks" },
            words: [&["-v"][..], &["-q"], &[]][number % 3],
            is_over_tls: bit(2),
            logs_to_files: bit(4),
            key_is_in_file: bit(8),
        }
    }
}

/// The stand-in, as a command of its own that tells everything.
struct Places {
    folder: TempDir,
    running: Running,
    base: String,
}

impl Places {
    fn start(is_over_tls: bool) -> Self {
        let folder = command::folder();
        let tls: &[&str] = if is_over_tls { &["--certificate", CERTIFICATE] } else { &[] };
        let words = [&["places", "-v", "--listen", "127.0.0.1:0", "--log-dir", "logs"], tls].concat();
        let mut running = Running::new(recorded(&folder, &words));
        running.wait_for("proxy-herd: ask the new API: curl ");
        let (_, rest) = running.said.split_once("places listen on ").expect("it says where");
        let base = rest.lines().next().expect("a line").to_owned();
        Self { folder, running, base }
    }

    /// Its log, once it was stopped: it has heard the key, and where everybody is, and shows neither.
    fn stop(mut self) -> String {
        self.running.signal("TERM");
        assert_eq!(self.running.last_words(), Some(0), "{}", self.running.said);
        let shown = [self.running.said.clone(), written(self.folder.path())].concat();
        assert_no_key(&shown);
        assert_no_position(&shown);
        assert!(!shown.contains("panicked"), "{shown}");
        shown
    }
}

/// A server that has Places at a URL.
struct Ball {
    herd: Herd,
    running: Running,
    way: Way,
}

impl Ball {
    fn start(way: Way, provider: &str, url: &str, places: &Path) -> Self {
        let certificate = places.join(CERTIFICATE);
        let trust =
            if way.is_over_tls { format!(r#", "ca_file": "{}""#, certificate.display()) } else { String::new() };
        let places = format!(r#"{{ "provider": "{provider}", "url": "{url}", "key_file": "{KEY_FILE}"{trust} }}"#);
        let herd = Herd::new(&["Ball"], &[], &format!(r#""places": {places}"#));
        let logs: &[&str] = if way.logs_to_files { &["--log-dir", "logs"] } else { &[] };
        let mut command = recorded(&herd.folder, &styled(way.style, &[way.words, &["Ball"], logs].concat()));
        if way.key_is_in_file {
            fs::write(herd.folder.path().join(KEY_FILE), format!("{KEY}\n")).expect("written");
        } else {
            command.env(VARIABLE, KEY);
        }
        let mut running = Running::new(command);
        running.wait_for("proxy-herd: talk to Ball");
        Self { herd, running, way }
    }

    /// Waits until the log shows it.
    #[track_caller]
    fn wait_for(&mut self, part: &str, log: &str) {
        if self.way.logs_to_files {
            until(|| self.herd.log(log).contains(part).then_some(()));
        } else if !self.running.said.contains(part) {
            self.running.wait_for(part);
        }
    }

    /// A client says where it is, asks, and stays: it has heard the first reply.
    fn ask(&self) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.herd.clients("Ball")).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.write_all(format!("IAMAT {CLIENT} {POSITION} 5\nWHATSAT {CLIENT} 1 1\n").as_bytes()).expect("sent");
        let (mut stream, mut line) = (BufReader::new(stream), String::new());
        stream.read_line(&mut line).expect("a reply");
        assert!(line.starts_with("AT Ball "), "{line}");
        stream
    }

    /// Waits for its end: all that it has shown, which was searched.
    #[track_caller]
    fn end(mut self, code: i32) -> String {
        assert_eq!(self.running.last_words(), Some(code), "{:?}: {}", self.way, self.running.said);
        let shown = [self.running.said.clone(), written(self.herd.folder.path())].concat();
        assert_no_key(&shown);
        assert!(!shown.contains("panicked"), "{shown}");
        let of_talk = |line: &str| {
            let is_asked = [" < ", " > ", " asks Places "].iter().any(|sign| line.contains(sign));
            line.contains(" DEBUG Ball ") && is_asked
        };
        shown.lines().filter(|line| !of_talk(line)).for_each(assert_no_position);
        let is_quiet = self.way.words == ["-q"];
        assert_eq!(shown.contains(" DEBUG "), !is_quiet, "{shown}");
        assert_eq!(shown.contains(" TRACE "), self.way.words == ["-v"], "{shown}");
        assert!(is_quiet || POSITIONS.iter().all(|canary| shown.contains(canary)), "{shown}");
        shown
    }
}

/// A command whose every output is in its folder, but for standard error.
fn recorded(folder: &TempDir, words: &[&str]) -> std::process::Command {
    let mut command = command::command(folder, words);
    command.stdout(File::create(folder.path().join("stdout")).expect("a file"));
    command.env("TMPDIR", folder.path()).env("HOME", folder.path());
    command
}

/// What is in a folder, names and all, but for the files that a person has written.
fn written(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        all += &format!("{}\n", path.display());
        if path.is_dir() {
            all += &written(&path);
        } else if ![KEY_FILE, "topology.json"].iter().any(|name| path.ends_with(name)) {
            all += &text(&fs::read(&path).expect("readable"));
        }
    }
    all
}

/// What everybody on the machine can see of the command that runs in a folder: its arguments, its name, its open files.
fn seen_from_outside(folder: &Path) -> String {
    let folder = folder.canonicalize().expect("it is there");
    let mut processes = fs::read_dir("/proc").expect("Linux has it").flatten().map(|entry| entry.path());
    let process = processes.find(|path| path.join("cwd").read_link().is_ok_and(|cwd| cwd == folder));
    let process = process.expect("it runs");
    let mut seen = String::new();
    for file in ["cmdline", "comm", "status"] {
        seen += &text(&fs::read(process.join(file)).expect("readable"));
    }
    let open = fs::read_dir(process.join("fd")).expect("readable").flatten();
    let open = open.filter_map(|entry| entry.path().read_link().ok());
    open.fold(seen, |seen, file| format!("{seen}\n{}", file.display()))
}

/// Every fault has its server: it is asked, and told to stop; where that would take too long, a second time.
fn check(provider: &str, first: usize) {
    let [plain, secure] = [Places::start(false), Places::start(true)];
    let mut count = 0;
    for (number, fault) in every_fault().iter().enumerate() {
        let way = Way::of(first + 5 * number);
        let places = if way.is_over_tls { &secure } else { &plain };
        let mut ball = Ball::start(way, provider, &format!("{}/faults/{fault}", places.base), places.folder.path());
        if cfg!(target_os = "linux") {
            let seen = seen_from_outside(ball.herd.folder.path());
            assert!(seen.contains("proxy-herd"), "{seen}");
            assert_no_key(&seen);
        }
        count += 1;
        if SLOW.contains(&fault.as_str()) {
            let client = ball.ask();
            ball.running.signal("TERM");
            ball.wait_for(" stops; ", "Ball");
            ball.running.signal("TERM");
            let shown = ball.end(1);
            assert!(shown.contains("is told to stop a second time"), "{shown}");
            drop(client);
            continue;
        }
        let said = format!("IAMAT {CLIENT} {POSITION} 5\nWHATSAT {CLIENT} 1 1\n");
        let heard = converse(ball.herd.clients("Ball"), said.as_bytes());
        assert!(heard.contains("\"status\" : ") && heard.ends_with("}\n\n"), "{fault}: {heard}");
        assert_no_key(&heard);
        ball.running.signal("TERM");
        let shown = ball.end(0);
        if fault.contains("echo-key") {
            // So the key was there, and right: or it would not be known again.
            assert!(shown.contains("the answer shows the key"), "{way:?}, {fault}: {shown}");
        }
    }
    let shown = [plain.stop(), secure.stop()].concat();
    // One that stops while it connects may not have asked.
    let asked = shown.matches(" is answered ").count();
    assert!(asked + SLOW.len() >= count, "{asked} of {count} have asked: {shown}");
}

#[test]
fn every_fault_of_the_legacy_api() {
    check("legacy", 0);
}

#[test]
fn every_fault_of_the_new_api() {
    check("new", 16);
}

#[test]
fn every_fault_while_the_api_is_found_out() {
    check("auto", 32);
}

#[test]
fn places_that_nobody_can_be_asked_of() {
    let places = Places::start(true);
    let port = places.base.rsplit(':').next().expect("a port");
    for (number, provider) in ["legacy", "new", "auto"].into_iter().cycle().take(12).enumerate() {
        let way = Way { is_over_tls: number % 2 == 1, ..Way::of(5 * number) };
        // Nobody listens, or one who is not trusted does: that certificate is in no file here.
        // And somebody has written the key into the URL.
        let (base, nowhere) = match way.is_over_tls {
            false => (format!("http://{}", free_address()), command::folder()),
            true => (format!("https://localhost:{port}"), command::folder()),
        };
        let url = if number < 6 { base } else { format!("{base}/{KEY}") };
        let other = Places::start(true);
        fs::copy(other.folder.path().join(CERTIFICATE), nowhere.path().join(CERTIFICATE)).expect("copied");
        let ball = Ball::start(way, provider, &url, nowhere.path());
        let said = format!("IAMAT {CLIENT} {POSITION} 5\nWHATSAT {CLIENT} 1 1\n");
        let heard = converse(ball.herd.clients("Ball"), said.as_bytes());
        assert!(heard.contains("Places could not be reached."), "{heard}");
        ball.running.signal("TERM");
        ball.end(0);
        other.stop();
    }
    let shown = places.stop();
    assert!(shown.contains("did not get through the TLS handshake") && !shown.contains(" is answered "), "{shown}");
}

#[test]
fn the_built_in_places() {
    for number in 0..12 {
        let way = Way { is_over_tls: false, ..Way::of(5 * number) };
        let ball = Ball::start(way, "embedded", "http://localhost", Path::new(""));
        let said = format!("IAMAT {CLIENT} {POSITION} 5\nWHATSAT {CLIENT} 1 1\n");
        let heard = converse(ball.herd.clients("Ball"), said.as_bytes());
        assert!(heard.contains("\"status\" : "), "{heard}");
        ball.running.signal("TERM");
        let shown = ball.end(0);
        assert_eq!(shown.contains(" is answered 200"), way.words == ["-v"], "{shown}");
    }
}

#[test]
fn requests_to_the_stand_in_that_are_none() {
    let places = Places::start(false);
    let address = places.base.trim_start_matches("http://").parse().expect("an address");
    let [latitude, longitude, _] = POSITIONS;
    let query = format!("key={KEY_IN_URL}&location={latitude},-{longitude}");
    let head = "HTTP/1.1\r\nHost: places\r\n";
    let requests = [
        format!("GET /maps/api/place/nearbysearch/json&{query} {head}\r\n"),
        format!("GET http://places/maps/api/place/nearbysearch/json?{query} {head}\r\n"),
        format!("GET /faults/delay=no/maps/api/place/nearbysearch/json?{query} {head}\r\n"),
        format!("PUT /v1/places:searchNearby?{query} {head}X-Goog-Api-Key: {KEY}\r\n\r\n"),
        format!("GET /{query} HTTP/3\r\n\r\n"),
        format!("{KEY} {POSITION}\r\n\r\n"),
        format!("POST /v1/places:searchNearby {head}X-Goog-Api-Key: {KEY}\r\nContent-Length: {KEY}\r\n\r\n"),
        format!("POST /v1/places:searchNearby {head}X-Goog-Api-Key: {KEY}\r\nContent-Length: 20\r\n\r\n{POSITION}"),
        format!("GET / {head}X-Goog-Api-Key: {}\r\n\r\n", KEY.repeat(2_000)),
    ];
    for request in &requests {
        assert!(converse(address, request.as_bytes()).starts_with("HTTP/1.1 4"), "{request}");
    }
    let shown = places.stop();
    assert_eq!(shown.matches(" is answered 4").count(), requests.len(), "{shown}");
}

#[test]
fn topologies_that_are_read_again() {
    let places = Places::start(false);
    for (number, provider) in ["legacy", "new", "auto"].into_iter().cycle().take(6).enumerate() {
        let way = Way { is_over_tls: false, ..Way::of(5 * number) };
        let mut ball = Ball::start(way, provider, &format!("{}/faults/silent", places.base), places.folder.path());
        let client = ball.ask();
        let file = ball.herd.folder.path().join("topology.json");
        let good = fs::read_to_string(&file).expect("it was written");
        let broken = [
            format!("{{ \"places\": {KEY} }}"),
            good.replace("\"url\": \"http://", &format!("\"url\": \"http://{KEY}@")),
            good.replace("\"url\": \"http://", &format!("\"url\": \"{KEY}")),
            good.replace("/faults/silent", &format!("/?key={KEY}")),
            good.replace("\"url\"", &format!("\"key\": \"{KEY}\", \"url\"")),
        ];
        for (round, topology) in broken.iter().enumerate() {
            assert_ne!(*topology, good);
            fs::write(&file, topology).expect("written");
            ball.running.signal("HUP");
            let told = "the topology and the keys stay as they were";
            if way.logs_to_files {
                until(|| (ball.herd.log("proxy-herd").matches(told).count() > round).then_some(()));
            } else {
                ball.running.wait_for(told);
            }
        }
        fs::write(&file, &good).expect("written");
        ball.running.signal("TERM");
        ball.wait_for(" stops; ", "Ball");
        ball.running.signal("TERM");
        ball.end(1);
        drop(client);
    }
    places.stop();
}

/// The faults that take longer than a server waits.
const SLOW: [&str; 3] = ["delay=60000", "drip=50", "silent"];

const CERTIFICATE: &str = "places.pem";
const KEY_FILE: &str = "key";
