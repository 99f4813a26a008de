//! What somebody says by the door for peers who is no server, but says that it is one.

use fastrand::Rng;

use crate::words::Words;

/// A line of a link; most are right by themselves, and many are out of place.
#[derive(Clone, Debug)]
pub(crate) enum Gossip {
    /// What a client has said to a server, it says: the server is numbered as in the topology, and counts as told.
    Report { origin: usize, words: Words, difference: u8 },
    /// A line of repair. It may speak of the lesson that it was asked for last.
    Digest { line: String, speaks_of: Lesson },
    /// No line of a link.
    Nonsense(u8),
}

/// A lesson of a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Lesson {
    /// That which was asked for.
    Asked,
    /// One that nobody has asked for.
    Other,
}

impl Gossip {
    pub(crate) fn draw_some(dice: &mut Rng, servers: usize) -> Vec<Self> {
        (0..dice.usize(1..12)).map(|_| Self::draw(dice, servers)).collect()
    }

    fn draw(dice: &mut Rng, servers: usize) -> Self {
        match dice.u8(..40) {
            0 => Self::Nonsense(dice.u8(..NONSENSE.len() as u8)),
            1..20 => loop {
                let words = if dice.u8(..4) == 0 { Words::draw_many(dice, 1).remove(0) } else { Words::draw(dice) };
                if words.report().is_some() {
                    return Self::Report { origin: dice.usize(..servers), words, difference: dice.u8(..5) };
                }
            },
            _ => {
                let speaks_of = if dice.bool() { Lesson::Asked } else { Lesson::Other };
                Self::Digest { line: digest(dice), speaks_of }
            }
        }
    }

    /// The line, said to `names` after what was `heard` of one of them.
    pub(crate) fn line(&self, names: &[&str], heard: &[u8]) -> Vec<u8> {
        match self {
            Self::Report { origin, words, difference } => {
                let report = words.report().expect("it was chosen so");
                format!("AT {} +{difference}.000000000 {report}\n", names[*origin]).into()
            }
            Self::Digest { line, speaks_of } => {
                let asked = asked(heard).filter(|_| *speaks_of == Lesson::Asked).unwrap_or("5");
                format!("DIGEST {}\n", line.replace('?', asked)).into()
            }
            Self::Nonsense(which) => NONSENSE[usize::from(*which)].to_vec(),
        }
    }
}

/// The number of the lesson that was asked for last.
fn asked(heard: &[u8]) -> Option<&str> {
    let lines = heard.split(|byte| *byte == b'\n').rev();
    let mut asked = lines.filter_map(|line| str::from_utf8(line).ok()?.strip_prefix("DIGEST ")?.split(' ').next());
    asked.find(|lesson| u32::from_str_radix(lesson, 16).is_ok())
}

/// What stands behind `DIGEST`, with `?` for the lesson's number.
fn digest(dice: &mut Rng) -> String {
    let (few, sum) = (dice.u8(..4), dice.u64(..));
    match dice.u8(..12) {
        0..3 => format!("? {few:x} {sum:x}"),
        3 => "? 0 0".to_owned(),
        4 => "SAME ?".to_owned(),
        5 => format!("DONE ? {few:x}"),
        6 => "AGAIN".to_owned(),
        7 => "END ?".to_owned(),
        8 => format!("PARTS ? {few:x} {:x}", sum as u32),
        9 => format!("BUCKETS ? {few:x} 1 0 {sum:x}"),
        10 => format!("BUCKETS ? ffffffff {:x} 0 {sum:x} {sum:x}", 1 << few),
        _ => "?".to_owned(),
    }
}

const NONSENSE: [&[u8]; 5] = [b"HERD 1 drawn Ada 0\n", b"\n", b"AT Ada\n", b"\xff\0\n", b"IAMAT c1 +1+1 5\n"];
