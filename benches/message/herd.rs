//! Parts without a loop: a line is split off, taken apart, written, and merged into what is known.

use std::hint::black_box;

use proxy_herd::herd::command::Command;
use proxy_herd::herd::directory::{Directory, Merged};
use proxy_herd::herd::name::ServerName;
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::wire::lines::{Line, LineBuffer};

use super::parts::{FEW, Meter, OPERATIONS, Round};
use super::speech::Speech;

/// Each line of one read.
pub(super) fn split() -> Round {
    let (speech, mut buffer) = (Speech::iamat(FEW), LineBuffer::new(Command::LIMIT));
    Box::new(move |meter| {
        meter(&mut || {
            let mut feed = buffer.feed(black_box(speech.text()));
            while let Some(Line::Whole(line)) = feed.next() {
                black_box(line);
            }
        });
    })
}

pub(super) fn parse_iamat() -> Round {
    let mut speech = Speech::iamat(FEW);
    Box::new(move |meter| {
        speech.renew();
        meter(&mut || {
            for line in speech.lines() {
                black_box(Command::parse(black_box(line)));
            }
        });
    })
}

pub(super) fn parse_whatsat() -> Round {
    Box::new(move |meter| {
        meter(&mut || {
            for _ in 0..OPERATIONS {
                black_box(Command::parse(black_box(WHATSAT)));
            }
        });
    })
}

pub(super) fn parse_at() -> Round {
    let mut speech = Speech::at(FEW);
    Box::new(move |meter| {
        speech.renew();
        meter(&mut || {
            for line in speech.lines() {
                black_box(Report::parse(black_box(line)));
            }
        });
    })
}

/// The AT lines that answer IAMATs.
pub(super) fn write() -> Round {
    let mut speech = Speech::iamat(FEW);
    let (name, now) = (ServerName::parse(b"Goloman").expect("a name"), Timestamp::parse(NOW).expect("a timestamp"));
    let mut text = Vec::new();
    Box::new(move |meter| {
        speech.renew();
        let commands = speech.lines().map(|line| match Command::parse(line) {
            Command::Iamat(iamat) => iamat,
            other => panic!("{other:?}"),
        });
        let commands: Vec<_> = commands.collect();
        meter(&mut || {
            for iamat in &commands {
                text.clear();
                black_box(Report::write(&mut text, &name, black_box(iamat), now));
            }
        });
    })
}

/// Reports of clients that are known, newer each time, one by one.
pub(super) fn merge(known: u64) -> Round {
    let (mut speech, mut directory) = (Speech::at(known), Directory::new(7));
    let rounds = speech.rounds();
    let mut round = move |meter: Meter<'_>| {
        speech.renew();
        let reports: Vec<_> = speech.lines().map(|line| Report::parse(line).expect("a report")).collect();
        meter(&mut || {
            for report in &reports {
                assert_eq!(directory.merge(black_box(report)), Merged::Fresh);
            }
        });
    };
    (0..rounds).for_each(|_| round(&mut |run| run()));
    Box::new(round)
}

const WHATSAT: &[u8] = b"WHATSAT kiwi.cs.ucla.edu 10 5";
const NOW: &[u8] = b"1520023935.182837383";
