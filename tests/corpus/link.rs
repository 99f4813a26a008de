//! What holds for whatever a neighbour says: any split gives the same lines, lines are written back byte for byte, reports
//! are in a total order by which directories agree, and repair ends, whatever is asked and taught.

use std::cmp::Ordering;

use proxy_herd::herd::command::Command;
use proxy_herd::herd::directory::Directory;
use proxy_herd::herd::link::{self, LinkLine};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::repair::{Lesson, Repair};
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Difference;

use crate::{command, lines};

/// Takes `bytes` for what a neighbour says until it ends.
///
/// # Panics
/// If something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let lines = lines::of(bytes, LinkLine::LIMIT);
    lines.iter().for_each(|line| check_line(line));
    let reports: Vec<_> = lines.iter().filter_map(|line| Report::parse(line)).collect();
    reports.iter().for_each(check_report);
    let (few, _) = reports.split_at(reports.len().min(COMPARED));
    check_order(few);
    check_agreement(&reports);
    check_repair(&lines);
}

fn check_line(line: &[u8]) {
    let words = |words: [&[u8]; 2]| assert_eq!(words.join(&b' '), line);
    match LinkLine::parse(line) {
        LinkLine::Hello(hello) => {
            let mut text = Vec::new();
            hello.write(&mut text);
            let written = text.strip_suffix(b"\n").expect("a whole line");
            assert_eq!(LinkLine::parse(written), LinkLine::Hello(hello));
            if !line.starts_with(b"HERD 0") {
                assert_eq!(written, line);
            }
        }
        LinkLine::Report(all) | LinkLine::Unknown(all) => assert_eq!(all, line),
        LinkLine::Digest(summary) => words([b"DIGEST", summary]),
        LinkLine::Err(why) => words([b"ERR", why]),
        LinkLine::Ping => assert_eq!([line, b"\n"].concat(), link::PING),
        LinkLine::Pong => assert_eq!([line, b"\n"].concat(), link::PONG),
    }
    let mut text = Vec::new();
    let why = String::from_utf8_lossy(line);
    link::write_err(&mut text, &why);
    let text = text.strip_suffix(b"\n").expect("a whole line");
    assert!(text.len() <= LinkLine::LIMIT && !text.iter().any(u8::is_ascii_control));
    assert!(matches!(LinkLine::parse(text), LinkLine::Err(_)));
}

/// It is the line that a server writes for what a client may say.
fn check_report(report: &Report<'_>) {
    let line = report.line();
    assert!(line.len() <= Report::LIMIT && matches!(LinkLine::parse(line), LinkLine::Report(_)));
    let fields: Vec<_> = line.split(|byte| *byte == b' ').collect();
    let [word, origin, difference, client, position, timestamp] = fields[..] else { panic!("six fields") };
    assert_eq!((word, origin), (b"AT".as_slice(), report.origin()));
    assert!(ServerName::is_valid(origin) && Difference::is_written(difference));
    assert_eq!((client, position), (report.client(), report.position().as_bytes()));
    let said = [b"IAMAT", client, position, timestamp].join(&b' ');
    if said.len() <= Command::LIMIT {
        let Command::Iamat(iamat) = Command::parse(&said) else { panic!("a client can say so") };
        assert_eq!(iamat.timestamp, report.timestamp());
        command::check(&said);
    }
}

fn check_order(reports: &[Report<'_>]) {
    let mut sorted = reports.to_vec();
    sorted.sort();
    for (place, one) in sorted.iter().enumerate() {
        for other in &sorted[place..] {
            assert_eq!(one.cmp(other), other.cmp(one).reverse());
            let same = one.line() == other.line();
            assert_eq!(one.cmp(other), if same { Ordering::Equal } else { Ordering::Less });
            assert!(one.timestamp() <= other.timestamp());
        }
    }
}

/// Whatever the order in which they come, the greatest report of each client stays.
fn check_agreement(reports: &[Report<'_>]) {
    let (mut first, mut other) = (Directory::new(1), Directory::new(2));
    for (report, reverse) in reports.iter().zip(reports.iter().rev()) {
        first.merge(report);
        other.merge(reverse);
    }
    assert_eq!(first.len(), other.len());
    for report in reports {
        let greatest = reports.iter().filter(|one| one.client() == report.client()).max();
        for directory in [&first, &other] {
            assert_eq!(directory.find(report.client()).as_ref(), greatest);
        }
    }
}

/// With a server that has asked for a lesson: what it says in a slice is little, and has an end.
fn check_repair(lines: &[&[u8]]) {
    let (mut directory, mut repair, mut text) = (Directory::new(3), Repair::default(), Vec::new());
    repair.ask(LESSON);
    repair.work(&directory, &mut text);
    for line in lines {
        match LinkLine::parse(line) {
            LinkLine::Digest(words) => {
                let Ok(_) = repair.hear(&directory, words) else { return };
            }
            LinkLine::Report(line) => {
                let Some(report) = Report::parse(line) else { return };
                directory.merge(&report);
            }
            _ => {}
        }
        let mut slices = 0;
        while repair.has_work() {
            text.clear();
            repair.work(&directory, &mut text);
            assert!(text.len() <= SLICE, "{} bytes at once", text.len());
            text.split_inclusive(|byte| *byte == b'\n').for_each(|line| check_taught(line, &directory));
            slices += 1;
            assert!(slices <= SLICES, "it never ends");
        }
    }
}

/// A line of repair is whole, keeps the limit, and is a report only if that is known.
fn check_taught(line: &[u8], directory: &Directory) {
    let line = line.strip_suffix(b"\n").expect("a whole line");
    assert!(line.len() <= LinkLine::LIMIT);
    match LinkLine::parse(line) {
        LinkLine::Digest(_) => {}
        LinkLine::Report(line) => {
            let report = Report::parse(line).expect("as servers write it");
            assert_eq!(directory.find(report.client()), Some(report));
        }
        _ => panic!("{} is no line of repair", line.escape_ascii()),
    }
}

/// The lesson that is asked for; the corpus answers it.
const LESSON: Lesson = Lesson(1);

/// What may be said at once: a slice of teaching and one of learning, each with the line that goes over its end.
const SLICE: usize = 2 * (Repair::SLICE + LinkLine::LIMIT + 1);

/// In how many slices all must be said.
const SLICES: usize = 10_000;

/// How many reports are compared each with each.
const COMPARED: usize = 64;
