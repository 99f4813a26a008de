//! Repair between two directories, without a network: whatever each holds, in the end both hold the same, and only what differs
//! was sent, the newest first.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;
use proxy_herd::herd::directory::{Directory, Merged};
use proxy_herd::herd::repair::{Heard, Lesson, Repair};
use proxy_herd::herd::report::Report;

/// One end of a link.
struct End {
    directory: Directory,
    repair: Repair,
    /// What the other end has said and we have not heard.
    inbox: VecDeque<Vec<u8>>,
    /// The reports that have come, and how many of them were news.
    came: Vec<String>,
    fresh: usize,
    in_step: Option<u64>,
    /// How many bytes it has said that are no reports.
    spent: usize,
}

impl End {
    fn new(seed: u64, lines: impl IntoIterator<Item = String>) -> Self {
        let mut directory = Directory::new(seed);
        for line in lines {
            merge(&mut directory, line.as_bytes());
        }
        let (repair, inbox) = (Repair::default(), VecDeque::new());
        Self { directory, repair, inbox, came: Vec::new(), fresh: 0, in_step: None, spent: 0 }
    }

    fn holds(&self) -> BTreeSet<String> {
        self.directory.iter().map(|report| text(report.line())).collect()
    }

    /// Begins a lesson; the line that asks.
    fn ask(&mut self, lesson: u32) -> Vec<u8> {
        let mut text = Vec::new();
        self.repair.ask(Lesson(lesson));
        self.repair.work(&self.directory, &mut text);
        text
    }

    fn hear(&mut self, line: &[u8]) {
        let Some(words) = line.strip_prefix(b"DIGEST ") else {
            self.came.push(text(line));
            self.fresh += usize::from(merge(&mut self.directory, line));
            return;
        };
        match self.repair.hear(&self.directory, words) {
            Ok(Heard::InStep(reports)) => self.in_step = Some(reports),
            Ok(Heard::Nothing) => {}
            other => panic!("{other:?} to {}", text(line)),
        }
    }
}

/// Both ends ask at once, as at link-up; then each says a slice in turn, until nobody has anything to say. After each round
/// `meddle` may change what they hold.
fn converse(ends: &mut [End; 2], lesson: u32, mut meddle: impl FnMut(usize, &mut [End; 2])) {
    for place in [0, 1] {
        let text = ends[place].ask(lesson + place as u32);
        say(ends, place, &text);
    }
    for round in 0.. {
        let mut quiet = true;
        for place in [0, 1] {
            while let Some(line) = ends[place].inbox.pop_front() {
                quiet = false;
                ends[place].hear(&line);
            }
            let End { directory, repair, .. } = &mut ends[place];
            if repair.has_work() {
                quiet = false;
                let mut text = Vec::new();
                repair.work(directory, &mut text);
                assert!(text.len() < 32 * 1024, "a slice of {} bytes", text.len());
                say(ends, place, &text);
            }
        }
        meddle(round, ends);
        if quiet {
            return;
        }
    }
}

fn say(ends: &mut [End; 2], place: usize, text: &[u8]) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").expect("whole lines");
        assert!(line.len() <= Report::LIMIT);
        ends[place].spent += if line.starts_with(b"DIGEST ") { line.len() } else { 0 };
        ends[1 - place].inbox.push_back(line.to_vec());
    }
}

/// Whether it was news.
fn merge(directory: &mut Directory, line: &[u8]) -> bool {
    directory.merge(&Report::parse(line).expect("a report")) == Merged::Fresh
}

fn text(line: &[u8]) -> String {
    String::from_utf8(line.to_vec()).expect("these tests are text")
}

fn line(client: u32, stamp: u32) -> String {
    format!("AT Ball +0.500000000 k{client} +1+1 {stamp}")
}

/// The greatest of each client, as both must hold it in the end.
fn union(ends: &[End; 2]) -> BTreeSet<String> {
    let mut all = BTreeMap::new();
    for line in ends.iter().flat_map(End::holds) {
        let client = line.split(' ').nth(3).expect("a client").to_owned();
        let entry = all.entry(client).or_insert_with(|| line.clone());
        if Report::parse(line.as_bytes()) > Report::parse(entry.as_bytes()) {
            *entry = line;
        }
    }
    all.into_values().collect()
}

fn check(first: Vec<String>, second: Vec<String>, lesson: u32) -> [End; 2] {
    let mut ends = [End::new(1, first), End::new(2, second)];
    let expected = union(&ends);
    converse(&mut ends, lesson, |_, _| {});
    for end in &ends {
        assert_eq!(end.holds(), expected);
        assert!(!end.repair.is_learning());
        assert_eq!(end.in_step, Some(end.came.len() as u64));
    }
    ends
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_two_directories_become_equal(
        first in prop::collection::vec((0_u32..300, 0_u32..4), 0..400),
        second in prop::collection::vec((0_u32..300, 0_u32..4), 0..400),
        lesson: u32,
    ) {
        let lines = |reports: Vec<(u32, u32)>| reports.into_iter().map(|(client, stamp)| line(client, stamp)).collect();
        check(lines(first), lines(second), lesson / 2);
    }

    #[test]
    fn no_line_of_a_neighbour_does_harm(
        lines in prop::collection::vec("(AGAIN|END|DONE|SAME|BUCKETS|PARTS|)( (0|1|2|4|7|8|fff|ffffffffffffffff)){0,6}", 0..30),
        known in 0_u32..50,
    ) {
        let mut end = End::new(1, (0..known).map(|client| line(client, 1)));
        let mut said = end.ask(1);
        for line in lines {
            let _ = end.repair.hear(&end.directory, line.trim_start().as_bytes());
            for _ in 0..10 {
                end.repair.work(&end.directory, &mut said);
            }
        }
        assert!(said.len() < 200_000);
    }
}

#[test]
fn only_what_differs_is_sent() {
    let all = |clients: u32| (0..clients).map(|client| line(client, 1));
    let [one, other] = check(all(20_000).collect(), all(20_000).collect(), 7);
    assert_eq!((one.came.len(), other.came.len()), (0, 0));
    assert!(one.spent < 50, "it asked, and agreed");

    let [one, other] = check(all(20_000).collect(), all(20_000).chain([line(7, 2), line(30_000, 1)]).collect(), 7);
    assert_eq!(other.came, [line(7, 1)], "nobody knows who of the two is behind");
    assert_eq!(one.fresh, 2);
    assert!(one.came.len() <= 6, "clients of the same parts come along: {:?}", one.came);

    // All that a side has not got is news, and little besides is sent.
    let [one, other] = check(all(20_000).collect(), (20_000..40_000).map(|client| line(client, 1)).collect(), 7);
    assert_eq!((one.fresh, other.fresh), (20_000, 20_000));
    assert_eq!((one.came.len(), other.came.len()), (20_000, 20_000));
    let reports = 20_000 * line(20_000, 1).len();
    assert!(one.spent < reports / 2, "{} bytes to find out about {reports}", one.spent);
}

#[test]
fn who_holds_nothing_is_sent_everything_at_once() {
    let [one, other] = check(Vec::new(), (0..10_000).map(|client| line(client, client)).collect(), 7);
    assert_eq!((one.came.len(), other.came.len()), (10_000, 0));
    assert!(one.spent + other.spent < 100, "no sums were told");
}

#[test]
fn the_newest_comes_first() {
    let [one, _] = check(vec![line(1, 1)], (0..1_000).map(|client| line(client, client * 7919 % 1_000)).collect(), 7);
    let stamps: Vec<u32> = one
        .came
        .iter()
        .map(|line| line.rsplit(' ').next().map(str::parse))
        .map(|stamp| stamp.expect("one").expect("a number"))
        .collect();
    assert!(stamps.len() >= 999 && stamps.is_sorted_by(|one, next| one >= next), "{stamps:?}");
}

#[test]
fn what_changes_meanwhile_is_left_to_the_flood() {
    let lines = |stamp: u32| (0..5_000).map(move |client| line(client, stamp));
    let mut ends = [End::new(1, lines(1)), End::new(2, lines(2))];
    // Whatever is said on one side is flooded to the other, which here takes no time.
    converse(&mut ends, 7, |round, ends| {
        for client in (round as u32 * 100..).take(50) {
            let news = line(client % 6_000, 3);
            for end in &mut *ends {
                merge(&mut end.directory, news.as_bytes());
            }
        }
    });
    assert_eq!(ends[0].holds(), ends[1].holds());
    assert!(ends[0].came.len() < 5_000, "what was replaced before its turn was not sent");
}

#[test]
fn an_interrupted_lesson_is_forgotten_and_the_next_one_repairs() {
    let mut ends = [End::new(1, []), End::new(2, (0..5_000).map(|client| line(client, 1)))];
    converse(&mut ends, 7, |round, ends| {
        if round == 3 {
            ends[1].repair.interrupt();
        }
    });
    assert!(ends[0].repair.is_learning() && ends[0].in_step.is_none(), "it still waits");
    assert!((1..5_000).contains(&ends[0].came.len()));
    converse(&mut ends, 9, |_, _| {});
    assert_eq!((ends[0].holds(), ends[0].repair.is_learning()), (ends[1].holds(), false));
}

#[test]
fn lines_of_another_lesson_are_let_pass() {
    let mut end = End::new(1, [line(1, 1)]);
    end.ask(7);
    for stale in ["SAME 6", "DONE 6 1", "BUCKETS 6 1 4 0 1 2 3 4", "PARTS 6 0 1 2", "END 6"] {
        assert_eq!(end.repair.hear(&end.directory, stale.as_bytes()), Ok(Heard::Nothing), "{stale}");
    }
    assert!(end.repair.is_learning() && !end.repair.has_work());
}

#[test]
fn a_teacher_and_a_learner_are_held_to_the_form() {
    let refused = |lines: &[&str]| {
        let mut end = End::new(1, (0..100).map(|client| line(client, 1)));
        end.ask(7);
        let mut outcome = Ok(Heard::Nothing);
        for words in lines {
            assert_eq!(outcome, Ok(Heard::Nothing), "{words} is the last of {lines:?}");
            outcome = end.repair.hear(&end.directory, words.as_bytes());
            (0..10).for_each(|_| end.repair.work(&end.directory, &mut Vec::new()));
        }
        assert_eq!(outcome, Err("this DIGEST makes no sense here"), "{lines:?}");
    };
    let mut most = End::new(1, [line(1, 1)]);
    most.ask(7);
    assert_eq!(most.repair.hear(&most.directory, b"BUCKETS 7 ffffffffffffffff 4 0 1 2 3 4"), Ok(Heard::Nothing));
    assert_eq!(most.repair.hear(&most.directory, b"6 ffffffffffffffff 1"), Ok(Heard::Nothing));
    (0..10).for_each(|_| most.repair.work(&most.directory, &mut Vec::new()));
    refused(&["x"]);
    refused(&["BUCKETS 7 1 3 0 1 2 3"]);
    refused(&["BUCKETS 7 1 2000 0 1 2 3"]);
    refused(&["BUCKETS 7 1 0 0"]);
    refused(&["BUCKETS 7 1 4 1 1 2"]);
    refused(&["BUCKETS 7 1 4 0 1 2", "BUCKETS 7 1 4 0 1 2"]);
    refused(&["BUCKETS 7 1 4 0 1 2", "BUCKETS 7 1 8 2 1 2"]);
    refused(&["BUCKETS 7 1 4 0 1 2 3 4 5"]);
    refused(&["6 1 1", "PARTS 6 8 1 2"]);
    refused(&["6 1 1", "PARTS 6 0 1"]);
    refused(&["6 1 1", "PARTS 6 0 1 2 3"]);
    refused(&["6 1 1", "PARTS 6 0 1 100000000"]);
    refused(&["6 1 1", "PARTS 6 1 1 2", "PARTS 6 1 1 2"]);
    refused(&["6 1 1", "PARTS 6 1 1 2", "PARTS 6 2 1 2 3 4"]);
}
