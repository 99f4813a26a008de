//! Loads of peers that help, and of peers that do not: what is counted, and what is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;

use super::*;

/// What a peer does with the line that comes as the `number`th on a connection, counted from 0: what it answers, or `None` to leave.
type Manner = fn(number: usize, line: &str) -> Option<String>;

/// Listens, with a thread for each connection.
fn peer(manner: Manner) -> Target {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.expect("somebody came");
            thread::spawn(move || serve(&stream, manner));
        }
    });
    address.into()
}

fn serve(mut stream: &TcpStream, manner: Manner) {
    for (number, line) in BufReader::new(stream).lines().map_while(Result::ok).enumerate() {
        let Some(answer) = manner(number, &line) else { return };
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A short one: two connections, three clients.
fn plan(target: Target, pace: Pace) -> Plan {
    Plan {
        whom: Whom { name: "Peer".to_owned(), target, remedy: "wake it".to_owned() },
        connections: 2,
        clients: 3,
        pace,
        fill: true,
        warm_up: Duration::ZERO,
        duration: Duration::from_millis(100),
        template: "IAMAT {client} {position} {time}".parse().expect("a template"),
        expected: b"AT ".to_vec(),
        mix: Mix { percent: 0, seed: 7 },
        seed: 7,
        patience: Duration::from_millis(300),
    }
}

fn follow(plan: Plan) -> Outcome {
    run(plan, Progress::new(Instant::now(), true)).expect("the system has enough of all")
}

fn right(_: usize, line: &str) -> Option<String> {
    let places = if line.starts_with("WHATSAT") { "{\n   \"results\" : []\n}\n\n" } else { "" };
    Some(format!("AT Ball +0.1 {line}\n{places}"))
}

#[test]
fn every_answer_counts_once() {
    for (pace, percent) in [
        (Pace::Closed(1), 0),
        (Pace::Closed(7), 0),
        (Pace::Closed(7), 30),
        (Pace::Closed(1), 100),
        (Pace::Open(Rate(500)), 0),
        (Pace::Open(Rate(500)), 30),
    ] {
        let plan = plan(peer(right), pace);
        let outcome = follow(Plan { mix: Mix { percent, seed: 7 }, ..plan });
        assert!(matches!(outcome.end, End::InTime), "{pace:?}: {:?}", outcome.end);
        assert_eq!((outcome.wrong.count, outcome.unanswered), (0, 0), "{pace:?}, {percent} %");
        let figures = outcome.figures.expect("it was measured");
        match pace {
            Pace::Closed(_) => assert!(figures.answered > 0),
            // Those that are due within a tenth of a second, the first at its beginning.
            Pace::Open(_) => assert_eq!(figures.answered, 50),
        }
        assert!(figures.quantile(0.5) > 0.0 && figures.quantile(0.5) <= figures.longest());
    }
}

#[test]
fn each_client_is_reported_before_the_measurement() {
    // So many of them are each connection's share.
    let until_then: Manner = |number, line| Some(if number < 500 { format!("AT {line}\n") } else { String::new() });
    let plan = plan(peer(until_then), Pace::Closed(1));
    let outcome = follow(Plan { clients: 1000, ..plan });
    assert!(matches!(outcome.end, End::InTime), "{:?}", outcome.end);
    assert_eq!((outcome.figures.map(|figures| figures.answered), outcome.unanswered), (Some(0), 2));
}

#[test]
fn a_peer_that_does_not_help_is_told() {
    let check = |manner: Manner, pace: Pace, expected: &str| {
        let outcome = follow(plan(peer(manner), pace));
        let End::Failed(why) = &outcome.end else { panic!("{expected}: {:?}", outcome.end) };
        assert!(why.starts_with(expected), "{why}");
    };
    for pace in [Pace::Closed(4), Pace::Open(Rate(1000))] {
        check(|_, _| None, pace, "Peer has closed a connection with 1 lines on it unanswered");
        check(
            |number, line| if number < 2 { right(number, line) } else { None },
            pace,
            "Peer has closed a connection with ",
        );
        check(
            |number, line| if number < 9 { right(number, line) } else { None },
            pace,
            "Peer has closed a connection with ",
        );
        check(|_, _| Some(String::new()), pace, "Peer says nothing for ");
        check(
            |_, _| Some("\x01\n".to_owned()),
            pace,
            "Peer answers \"\\x01\", which does not begin with \"AT \" (see --expect)",
        );
        check(|_, _| Some("x".repeat(10_000)), pace, "Peer says nothing for ");
        check(|_, line| Some(format!("AT\n{line}\n")), pace, "Peer answers \"AT\", which");
    }
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("free");
    let outcome = follow(plan(nobody.into(), Pace::Closed(1)));
    let End::Failed(why) = outcome.end else { panic!("{:?}", outcome.end) };
    assert!(why.starts_with(&format!("Peer cannot be reached: connect to {nobody}: ")), "{why}");
    assert!(why.ends_with("; wake it") && outcome.figures.is_none(), "{why}");
}

#[test]
fn who_says_much_and_answers_nothing_is_silent() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
    let address = listener.local_addr().expect("bound");
    let talker = thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        while stream.write_all(b"AT no end of it ").is_ok() {}
    });
    let outcome = follow(plan_of_one(address.into()));
    assert!(matches!(&outcome.end, End::Failed(why) if why.starts_with("Peer says nothing for ")), "{:?}", outcome.end);
    talker.join().expect("it was left");
}

#[test]
fn wrong_answers_are_counted_and_the_first_is_kept() {
    let moody: Manner =
        |number, line| Some(if number % 4 == 3 { format!("? {number}\n") } else { format!("AT {line}\n") });
    let plan = plan(peer(moody), Pace::Open(Rate(400)));
    let outcome = follow(Plan { connections: 1, clients: 1, ..plan });
    // One line makes the connection ready, then forty are due.
    assert_eq!((outcome.wrong.count, outcome.wrong.first.as_deref()), (10, Some(b"? 3".as_slice())));
    assert_eq!(outcome.figures.map(|figures| figures.answered), Some(40));
    let talkative: Manner = |number, line| Some(format!("AT {line}\n").repeat(if number == 2 { 3 } else { 1 }));
    let outcome = follow(plan_of_one(peer(talkative)));
    assert_eq!(outcome.wrong.first.as_deref(), Some(b"(more answers than lines)".as_slice()));
}

fn plan_of_one(target: Target) -> Plan {
    Plan { connections: 1, clients: 1, ..plan(target, Pace::Closed(1)) }
}

/// A peer that answers nothing for a tenth of a second delays every line that is due meanwhile, not only the one that it was given
/// first.
#[test]
fn an_open_loop_omits_nothing() {
    let slow: Manner = |number, _| match number {
        0 => Some("AT\n".to_owned()),
        1..=99 => Some(String::new()),
        100 => Some("AT\n".repeat(100)),
        _ => Some("AT\n".to_owned()),
    };
    let plan = plan(peer(slow), Pace::Open(Rate(1000)));
    let duration = Duration::from_millis(200);
    let outcome = follow(Plan { connections: 1, clients: 1, duration, expected: b"AT".to_vec(), ..plan });
    let figures = outcome.figures.expect("it was measured");
    assert_eq!(figures.answered, 200);
    assert!(figures.longest() >= 99_000.0, "{}", figures.longest());
    assert!(figures.quantile(0.75) >= 45_000.0, "{}", figures.quantile(0.75));
}

/// The first connection is not read from until most lines of the second have come: it is owed what it has no room for.
#[test]
fn a_connection_without_room_gets_its_lines_later() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("free");
    let address = listener.local_addr().expect("bound");
    let (sender, most) = mpsc::channel();
    thread::spawn(move || {
        let (first, _) = listener.accept().expect("somebody comes");
        let (second, _) = listener.accept().expect("somebody comes");
        let tell = move |number| {
            if number == 90_000 {
                sender.send(()).expect("the first waits for it");
            }
        };
        let of_second = thread::spawn(move || answer_each(&second, tell));
        answer_each(&first, |number| {
            if number == 1 {
                most.recv().expect("they come")
            }
        });
        of_second.join().expect("all were answered");
    });
    let plan = plan(address.into(), Pace::Open(Rate(1_000_000)));
    let outcome = follow(Plan {
        duration: Duration::from_millis(200),
        patience: PATIENCE,
        expected: b"AT".to_vec(),
        clients: 2,
        ..plan
    });
    assert!(matches!(outcome.end, End::InTime), "{:?}", outcome.end);
    assert_eq!((outcome.unanswered, outcome.figures.map(|figures| figures.answered)), (0, Some(200_000)));
}

/// Answers line by line; `before` is told the number of each.
fn answer_each(mut stream: &TcpStream, before: impl Fn(usize)) {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).enumerate();
    let mut answers = lines.map(|(number, _)| before(number));
    while answers.next().is_some_and(|()| stream.write_all(b"AT\n").is_ok()) {}
}

#[test]
fn lines_that_are_never_answered_count_as_long_as_they_were_waited_for() {
    let plan = plan(
        peer(|number, line| if number < 6 { right(number, line) } else { Some(String::new()) }),
        Pace::Open(Rate(100)),
    );
    let outcome = follow(Plan { connections: 1, clients: 1, ..plan });
    assert!(matches!(outcome.end, End::InTime), "{:?}", outcome.end);
    assert_eq!(outcome.unanswered, 5);
    let figures = outcome.figures.expect("it was measured");
    assert_eq!(figures.answered, 5);
    assert!(figures.longest() >= 300_000.0, "{}", figures.longest());
}

#[test]
fn the_same_in_json() {
    let outcome = follow(plan(peer(right), Pace::Closed(3)));
    let report = Report::of(&outcome).expect("it was measured");
    let json: BTreeMap<String, serde_json::Value> = serde_json::from_str(&report.json()).expect("an object");
    let text = report.to_string();
    assert!(text.contains(&format!("requests    {}\n", json["requests"])), "{text}");
    assert_eq!((&json["pipeline"], &json["rate"], &json["clients"]), (&3.into(), &().into(), &3.into()));
    let line = json["line_bytes"].as_f64().expect("a number");
    assert_eq!(line, "IAMAT load-0 +34.068930-118.445127 1520023934.918963997\n".len() as f64);
    let number = |name: &str| json[name].as_f64().expect("a number");
    assert!((number("requests") / number("seconds") - number("per_second")).abs() < 0.001);
    let latencies =
        ["p50", "p90", "p99", "p999", "max"].map(|name| json["latency_us"][name].as_f64().expect("a number"));
    assert!(latencies.is_sorted() && latencies[0] > 0.0, "{latencies:?}");
}
