//! The command that runs the stand-in: both APIs, faults, TLS, signals, logs; what it says when it cannot.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

use rustls::{ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::command::{
    Herd, PATIENCE, Running, check, command, converse, folder, free_address, in_each_style, run, text,
};
use crate::trusting::trusting;
use crate::{NOTHING, NOTHING_NEAR, answer, faulty, get};

/// The command, and where it listens.
struct Places {
    running: Running,
    address: SocketAddr,
}

impl Places {
    fn start(folder: &TempDir, words: &[&str]) -> Self {
        let words = [&["places", "--listen", "127.0.0.1:0"], words].concat();
        let mut running = Running::new(command(folder, &words));
        running.wait_for("proxy-herd: ask the new API: curl ");
        let (_, rest) = running.said.split_once("places listen on http").expect("it says where");
        let address = rest.trim_start_matches('s').trim_start_matches("://").lines().next().expect("a line");
        let address = address.parse().expect("an address");
        Self { running, address }
    }

    /// Ends it in good order: what it said after it was ready.
    fn stop(self, signal: &str) -> String {
        self.running.signal(signal);
        let (code, said) = self.running.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

/// The request that the new API gets from the command that is printed.
fn new_request() -> String {
    let body = r#"{"locationRestriction":{"circle":{"center":{"latitude":34.068930,"longitude":-118.445127},"radius":10000}}}"#;
    format!(
        "POST /v1/places:searchNearby HTTP/1.1\r\nHost: places\r\nX-Goog-Api-Key: canary\r\nX-Goog-FieldMask: places.displayName\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn both_apis_answer_until_a_signal() {
    for signal in ["TERM", "INT"] {
        let folder = folder();
        let places = Places::start(&folder, &[]);
        let base = format!("http://{}", places.address);
        for part in [
            format!("proxy-herd: places listen on {base}\n"),
            format!("proxy-herd: ask the legacy API: curl '{base}/maps/api/place/nearbysearch/json?location="),
            format!("' {base}/v1/places:searchNearby\n"),
        ] {
            assert!(places.running.said.contains(&part), "{part:?} is not in:\n{}", places.running.said);
        }
        let legacy = "/maps/api/place/nearbysearch/json?location=34.068930,-118.445127&radius=10000&key=canary";
        let heard = converse(places.address, [get(legacy), new_request(), get(NOTHING_NEAR)].concat().as_bytes());
        assert!(heard.contains("\"name\" : \"Santa Monica\",\n"), "{heard}");
        assert!(heard.contains("      \"displayName\": {\n        \"text\": \"Santa Monica\"\n"), "{heard}");
        assert!(heard.ends_with(&answer(NOTHING)), "{heard}");
        // One that stays, unanswered, keeps nobody.
        let mut client = TcpStream::connect(places.address).expect("it listens");
        client.write_all(faulty("silent").as_bytes()).expect("sent");
        let said = places.stop(signal);
        let asked = " DEBUG proxy_herd::server::standin #";
        assert!(
            said.contains(asked) && said.contains(" POST /v1/places:searchNearby (107 bytes) is answered 200\n"),
            "{said}"
        );
    }
}

#[test]
fn faults_are_the_commands_or_the_requests() {
    let folder = folder();
    let places = Places::start(&folder, &["--faults", "status=503,retry-after=7"]);
    let usual = converse(places.address, get(NOTHING_NEAR).as_bytes());
    assert!(
        usual.starts_with("HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/html; charset=UTF-8\r\n"),
        "{usual}"
    );
    assert!(usual.contains("\r\nRetry-After: 7\r\n"), "{usual}");
    assert_eq!(converse(places.address, faulty("").as_bytes()), answer(NOTHING));
    assert_eq!(converse(places.address, faulty("cut=9").as_bytes()), "HTTP/1.1 ");
    assert_eq!(converse(places.address, faulty("delay=50,drip=1").as_bytes()), answer(NOTHING));
    let told = converse(places.address, faulty("cutt=9").as_bytes());
    assert!(told.starts_with("HTTP/1.1 400 ") && told.ends_with("is no fault; did you mean \"cut=N\"?\n"), "{told}");
    places.stop("TERM");
}

/// What comes over TLS, and how it ended.
fn converse_over_tls(
    address: SocketAddr,
    name: &'static str,
    pem: &[u8],
    request: &str,
) -> (String, Option<std::io::ErrorKind>) {
    let connection = ClientConnection::new(trusting(pem), name.try_into().expect("a name")).expect("a client");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(request.as_bytes()).expect("sent");
    let mut heard = Vec::new();
    let ended = stream.read_to_end(&mut heard).err().map(|error| error.kind());
    (text(&heard), ended)
}

#[test]
fn the_certificate_is_all_that_a_client_needs() {
    let folder = folder();
    let file = folder.path().join("places.pem");
    let mut before = Vec::new();
    // The second start replaces what the first has left.
    for _ in 0..2 {
        let places = Places::start(&folder, &["--certificate", "places.pem"]);
        let curl = format!("curl --cacert places.pem 'https://{}/maps/", places.address);
        assert!(places.running.said.contains(&curl), "{}", places.running.said);
        let pem = fs::read(&file).expect("it was written");
        assert_ne!(pem, before);
        for name in ["localhost", "127.0.0.1", "::1"] {
            let (heard, ended) = converse_over_tls(places.address, name, &pem, &faulty("until-close"));
            assert!(heard.ends_with(NOTHING), "{name}: {heard}");
            assert_eq!(ended, None, "{name}");
        }
        let (heard, ended) = converse_over_tls(places.address, "localhost", &pem, &faulty("no-close-notify,cut=40"));
        assert_eq!((heard.len(), ended), (40, Some(std::io::ErrorKind::UnexpectedEof)), "{heard}");
        // Nothing of what was said before the cut is lost, however much it is.
        let (heard, ended) = converse_over_tls(places.address, "localhost", &pem, &faulty("no-close-notify,long-body"));
        assert!(heard.len() > 2 << 20 && ended == Some(std::io::ErrorKind::UnexpectedEof), "{} {ended:?}", heard.len());
        let mut plain = TcpStream::connect(places.address).expect("it listens");
        plain.write_all(get(NOTHING_NEAR).as_bytes()).expect("sent");
        plain.shutdown(Shutdown::Write).expect("ended");
        plain.set_read_timeout(Some(PATIENCE)).expect("set");
        let _ = plain.read_to_end(&mut Vec::new());
        let said = places.stop("TERM");
        assert!(said.contains(" did not get through the TLS handshake: "), "{said}");
        before = pem;
    }
}

#[test]
fn a_herd_is_set_on_it_by_its_url() {
    in_each_style(|style| {
        let ask = |url: &str, more: &str| {
            let places = format!(r#""places": {{ "provider": "legacy", "url": "{url}"{more} }}"#);
            let herd = Herd::new(&["Ball"], &[], &places);
            let mut ball = herd.start_with(style, &["Ball"], "GOOGLE_PLACES_API_KEY", "canary");
            ball.wait_for("proxy-herd: talk to Ball");
            let heard = converse(herd.clients("Ball"), b"IAMAT k +34.068930-118.445127 1\nWHATSAT k 10 1\n");
            ball.stop();
            heard
        };
        let folder = folder();
        let certificate = folder.path().join("places.pem");
        let plain = Places::start(&folder, &[]);
        let secure = Places::start(&folder, &["--certificate", "places.pem"]);
        let base = format!("http://{}", plain.address);
        for good in ["", "/faults/chunked,continue,delay=20"] {
            let heard = ask(&format!("{base}{good}"), "");
            assert!(heard.contains("\"name\" : \"Santa Monica\""), "{good}: {heard}");
        }
        for bad in ["/faults/cut=100", "/faults/two-lengths", "/faults/garbage"] {
            let heard = ask(&format!("{base}{bad}"), "");
            assert!(heard.contains("\"status\" : \"UNKNOWN_ERROR\""), "{bad}: {heard}");
        }
        let trust = format!(r#", "ca_file": "{}""#, certificate.display());
        let base = format!("https://localhost:{}", secure.address.port());
        let heard = ask(&format!("{base}/faults/until-close"), &trust);
        assert!(heard.contains("\"name\" : \"Santa Monica\""), "{heard}");
        let heard = ask(&format!("{base}/faults/no-close-notify"), &trust);
        assert!(heard.contains("\"status\" : \"UNKNOWN_ERROR\""), "{heard}");
        let said = [plain.stop("TERM"), secure.stop("TERM")].concat();
        assert!(!said.contains("canary") && !said.contains("118.445127"), "{said}");
    });
}

#[test]
fn its_log_shows_no_key_and_no_position() {
    for (words, is_quiet) in [(&["-q"][..], true), (&[], false), (&["-v"], false)] {
        let folder = folder();
        let places = Places::start(&folder, &[words, &["--log-dir", "logs"]].concat());
        let requests = [get(NOTHING_NEAR), faulty("echo-key"), faulty("redirect"), new_request()].concat();
        let heard = converse(places.address, requests.as_bytes());
        assert!(heard.contains("canary"), "{heard}");
        let mut said = places.stop("TERM");
        said += &fs::read_to_string(folder.path().join("logs/proxy-herd.log")).expect("a log");
        for secret in ["canary", "location", "118.445127"] {
            assert!(!said.contains(secret), "{secret} is shown:\n{said}");
        }
        assert!(said.contains(" INFO proxy_herd::cli::places listens on "), "{said}");
        assert_eq!(said.contains(" is answered 200"), !is_quiet, "{said}");
    }
}

#[test]
fn what_cannot_be_is_told() {
    let folder = folder();
    let taken = TcpListener::bind(free_address()).expect("free");
    let address = taken.local_addr().expect("bound").to_string();
    let output = run(&folder, &["places", "--listen", &address, "--certificate", "new.pem"]);
    check(&output, 1, Some(""), &format!("proxy-herd: places cannot listen on {address}: "));
    check(&output, 1, None, "; --listen gives them another address\n".trim_end());
    assert!(!folder.path().join("new.pem").exists());

    let faults = |list: &str, why: &str| {
        let output = run(&folder, &["places", "--faults", list]);
        check(&output, 2, Some(""), &format!("error: invalid value '{list}' for '--faults <LIST>': {why}"));
    };
    faults("cutt=1", "\"cutt=1\" is no fault; did you mean \"cut=N\"?");
    faults("cut", "\"cut\" cannot be: write cut=N, where N is a number from 0 to ");
    faults("chunked,until-close", "\"chunked\" and \"until-close\" exclude each other, as both decide ");
    check(&run(&folder, &["places", "--listen", "here"]), 2, Some(""), "invalid value 'here' for '--listen <ADDR>'");

    let (certificate, key) = ("-----BEGIN CERTIFICATE-----\n", "-----BEGIN PRIVATE KEY-----\n");
    let long = [certificate, &"x".repeat(16 * 1024)].concat();
    for text in [key, &[certificate, key].concat(), &certificate.repeat(2), &long, ""] {
        fs::write(folder.path().join("kept.pem"), text).expect("written");
        // The address is taken: a file that is not refused ends it, too.
        let output = run(&folder, &["places", "--listen", &address, "--certificate", "kept.pem"]);
        check(
            &output,
            2,
            Some(""),
            "proxy-herd: --certificate: kept.pem holds something else than one certificate: it is not replaced",
        );
        assert_eq!(fs::read_to_string(folder.path().join("kept.pem")).expect("it is there"), text);
    }
    let output = run(&folder, &["places", "--listen", "127.0.0.1:0", "--certificate", "none/new.pem"]);
    check(&output, 2, Some(""), "proxy-herd: --certificate: none/new.pem: No such file or directory");
}

#[test]
fn the_help_and_the_page_name_every_fault() {
    let help = text(&run(&folder(), &["places", "--help"]).stdout);
    let readme = include_str!("../../README.md");
    let (_, table) = help.split_once("all others go together:\n\n").expect("the faults");
    let faults: Vec<&str> = table.lines().map_while(|line| line.split_whitespace().next()).collect();
    assert_eq!(faults.len(), 20, "{help}");
    for fault in faults {
        assert!(readme.contains(&format!("`{fault}`")), "{fault} is not in the README");
    }
}
