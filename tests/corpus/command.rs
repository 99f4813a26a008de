//! What holds for whatever a client says: any split gives the same commands, and what is understood can be written back.

use std::str;
use std::time::{Duration, SystemTime};

use proxy_herd::herd::command::{Bound, Command, Iamat, Radius, Whatsat};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::position::Position;
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::places::question::Question;

use crate::lines;

/// Takes `bytes` for what a client says until it ends.
///
/// # Panics
/// If something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    for line in lines::of(bytes, Command::LIMIT) {
        check_line(line);
    }
}

fn check_line(line: &[u8]) {
    let words = words(line);
    let command = Command::parse(line);
    let tidy = words.join(&b' ');
    match command {
        Command::Empty => assert!(words.is_empty()),
        Command::Unknown(copy) => {
            assert_eq!(copy, trimmed(line));
            assert_eq!(Command::parse(&tidy), Command::Unknown(&tidy), "white space makes no command");
        }
        Command::Iamat(iamat) => {
            let Iamat { client, position, timestamp_text, .. } = iamat;
            assert_eq!(words, [b"IAMAT", client, position.as_bytes(), timestamp_text]);
            assert_eq!(Command::parse(&tidy), command);
            check_iamat(&iamat);
        }
        Command::Whatsat(whatsat) => {
            assert_eq!(words[..2], [b"WHATSAT", whatsat.client]);
            assert_eq!(words.len(), 4);
            assert_eq!(Command::parse(&tidy), command);
            check_whatsat(&whatsat, &words);
        }
    }
}

/// It makes an AT line that any server reads as it was meant.
fn check_iamat(iamat: &Iamat<'_>) {
    let Iamat { client, position, timestamp, timestamp_text, .. } = *iamat;
    check_position(&position);
    assert_eq!(Timestamp::parse(timestamp_text), Some(timestamp));
    let origin = ServerName::parse(&[b'n'; ServerName::LIMIT]).expect("a name");
    let mut text = Vec::new();
    let now = Timestamp::from(SystemTime::UNIX_EPOCH + Duration::from_nanos(1_520_023_934_918_963_997));
    let line = Report::write(&mut text, &origin, iamat, now).line();
    let report = Report::parse(line).expect("what a client may say, a server may");
    assert_eq!((report.origin(), report.client()), (origin.as_str().as_bytes(), client));
    assert_eq!((report.position(), report.timestamp()), (position, timestamp));
    let end = [client, position.as_bytes(), timestamp_text].join(&b' ');
    assert!(line.ends_with(&end), "{}", line.escape_ascii());
}

/// Nothing of it is lost, and Places can be asked about it.
fn check_position(position: &Position<'_>) {
    let (latitude, longitude) = (position.latitude(), position.longitude());
    let text = [latitude, longitude].concat();
    assert_eq!(text, position.as_bytes().strip_suffix(b"/").unwrap_or(position.as_bytes()));
    assert!(position.latitude_degrees().abs() <= 90.0 && position.longitude_degrees().abs() <= 180.0);
    assert!(Question::new(latitude, longitude, b"1").is_some(), "Places can be asked");
}

fn check_whatsat(whatsat: &Whatsat<'_>, words: &[&[u8]]) {
    let text = |word: usize| str::from_utf8(words[word]).expect("a number is ASCII");
    let kilometres: f64 = text(2).parse().expect("a number");
    let mut metres = Vec::new();
    whatsat.radius.write_metres(&mut metres);
    let written: f64 = str::from_utf8(&metres).expect("ASCII").parse().expect("a number");
    assert!((0.0..=1_000.0 * Radius::LIMIT_KM as f64).contains(&written));
    assert!((written - 1_000.0 * kilometres).abs() < 1e-6, "{kilometres} km are not {written} m");
    assert!(Question::new(b"+0", b"-0", &metres).is_some(), "Places can be asked");
    let bound: u64 = text(3).parse().expect("a number");
    assert!(bound <= Bound::LIMIT);
    assert_eq!(whatsat.bound.as_usize() as u64, bound);
}

/// The words of a line, told apart by the six bytes of white space.
fn words(line: &[u8]) -> Vec<&[u8]> {
    line.split(|byte| WHITE_SPACE.contains(byte)).filter(|word| !word.is_empty()).collect()
}

fn trimmed(mut line: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = line
        && WHITE_SPACE.contains(first)
    {
        line = rest;
    }
    while let [rest @ .., last] = line
        && WHITE_SPACE.contains(last)
    {
        line = rest;
    }
    line
}

const WHITE_SPACE: &[u8] = b" \t\r\n\x0b\x0c";
