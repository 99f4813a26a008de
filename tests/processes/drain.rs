//! SIGTERM: what is outstanding is answered first, for as long as `limits.drain` says. (A second one: `tests/cli.rs`.)

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::command::{Herd, PATIENCE, Running, in_each_style};

/// A server whose Places is this test, with a client that has asked and one that has not.
struct Draining {
    ball: Running,
    asker: BufReader<TcpStream>,
    places: BufReader<TcpStream>,
    begun: Instant,
}

impl Draining {
    fn new(style: &str, drain: Duration) -> Self {
        let places = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
        let url = places.local_addr().expect("bound");
        let drain = drain.as_secs();
        let herd = Herd::new(
            &["Ball"],
            &[],
            &format!(r#""places": {{ "url": "http://{url}" }}, "limits": {{ "drain": {drain} }}"#),
        );
        let mut ball = herd.start_with(style, &["Ball"], "GOOGLE_PLACES_API_KEY", "k");
        ball.wait_for("proxy-herd: Ball listens for clients on ");
        let mut asker = connect(&herd);
        asker.get_mut().write_all(b"IAMAT k +1+1 1\nWHATSAT k 1 1\nlast\n").expect("sent");
        assert!(line(&mut asker).starts_with("AT Ball "));
        let mut idler = connect(&herd);
        let mut places = BufReader::new(places.accept().expect("a question").0);
        while line(&mut places) != "\r\n" {}
        ball.wait_for(" < last");
        let begun = Instant::now();
        ball.signal("TERM");
        ball.wait_for(" INFO Ball stops; 2 clients are connected");
        assert_eq!(rest(&mut idler), "", "who is owed nothing is let go at once");
        TcpStream::connect(herd.clients("Ball")).expect_err("nobody new comes in");
        Self { ball, asker, places, begun }
    }
}

#[test]
fn what_is_outstanding_is_answered_before_the_end() {
    in_each_style(|style| {
        let drain = Duration::from_secs(15);
        let Draining { ball, mut asker, mut places, begun } = Draining::new(style, drain);
        let json = r#"{ "results" : [], "status" : "ZERO_RESULTS" }"#;
        let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{json}", json.len());
        places.get_mut().write_all(response.as_bytes()).expect("sent");
        assert!(line(&mut asker).starts_with("AT Ball "));
        assert_eq!(rest(&mut asker), format!("{json}\n\n? last\n"));
        drop(asker);
        let (code, said) = ball.end();
        assert_eq!(code, Some(0), "{said}");
        assert!(begun.elapsed() < drain, "it does not wait longer than for the answer");
        assert!(!said.contains("without having answered"), "{said}");
    });
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_longer_than_the_limit() {
    in_each_style(|style| {
        let drain = Duration::from_secs(1);
        let Draining { ball, asker: _asker, places: _places, begun } = Draining::new(style, drain);
        let (code, said) = ball.end();
        let took = begun.elapsed();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(" WARN proxy_herd::server stops without having answered everybody\n"), "{said}");
        assert!((drain..drain + PATIENCE / 2).contains(&took), "{took:?}");
    });
}

fn connect(herd: &Herd) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(herd.clients("Ball")).expect("listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    BufReader::new(stream)
}

fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).expect("a line");
    line
}

/// What comes until the end.
fn rest(stream: &mut BufReader<TcpStream>) -> String {
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("the end");
    rest
}
