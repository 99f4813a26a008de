//! The lines of a repair, both ways: what follows `DIGEST `.
//!
//! Numbers are hexadecimal, in small letters, without leading zeros.

use std::io::Write;

use crate::herd::digest::Digest;

/// The number of a lesson, chosen by the learner at random.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lesson(pub u32);

impl Lesson {
    /// Cuts a sum to 32 bits, differently in each lesson; nothing stays nothing.
    pub(super) fn cut(self, sum: u64) -> u32 {
        let odd = (u64::from(self.0) << 1 | 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (sum.wrapping_mul(odd) >> 32) as u32
    }
}

/// One line of a repair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DigestLine<'a> {
    /// "I hold this. What more do you?"
    Ask { lesson: Lesson, digest: Digest },
    /// "I hold the same."
    Same { lesson: Lesson },
    /// "These are the sums of some of my buckets."
    Buckets(Buckets<'a>),
    /// "These are the sums of the parts of that bucket of mine, cut."
    Parts { lesson: Lesson, bucket: u64, sums: Numbers<'a> },
    /// "That was all that differs."
    End { lesson: Lesson },
    /// "You have all of mine now; I have sent so many."
    Done { lesson: Lesson, sent: u64 },
    /// "I have dropped reports to you: ask."
    Again,
}

/// The sums of some of the teacher's buckets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Buckets<'a> {
    pub(super) lesson: Lesson,
    /// How many reports the teacher holds.
    pub(super) count: u64,
    /// How many buckets there are in all.
    pub(super) of: u64,
    /// Which of them the first sum is of.
    pub(super) first: u64,
    pub(super) sums: Numbers<'a>,
}

impl<'a> DigestLine<'a> {
    /// Takes `words` apart; `None` if they are no line of a repair.
    pub(super) fn parse(words: &'a [u8]) -> Option<Self> {
        let mut rest = Numbers(words);
        let line = match rest.word() {
            b"SAME" => Self::Same { lesson: rest.lesson()? },
            b"BUCKETS" => {
                let (lesson, count, of, first) = (rest.lesson()?, rest.number()?, rest.number()?, rest.number()?);
                return Some(Self::Buckets(Buckets { lesson, count, of, first, sums: rest }));
            }
            b"PARTS" => {
                let (lesson, bucket) = (rest.lesson()?, rest.number()?);
                return Some(Self::Parts { lesson, bucket, sums: rest });
            }
            b"END" => Self::End { lesson: rest.lesson()? },
            b"DONE" => Self::Done { lesson: rest.lesson()?, sent: rest.number()? },
            b"AGAIN" => Self::Again,
            lesson => {
                let lesson = Numbers(lesson).lesson()?;
                Self::Ask { lesson, digest: Digest { count: rest.number()?, sum: rest.number()? } }
            }
        };
        rest.0.is_empty().then_some(line)
    }

    /// Appends the whole line, `DIGEST` and `\n` included.
    pub(super) fn write(&self, text: &mut Vec<u8>) {
        let start = match *self {
            Self::Ask { lesson: Lesson(lesson), digest: Digest { count, sum } } => {
                write!(text, "DIGEST {lesson:x} {count:x} {sum:x}")
            }
            Self::Same { lesson: Lesson(lesson) } => write!(text, "DIGEST SAME {lesson:x}"),
            Self::Buckets(Buckets { lesson: Lesson(lesson), count, of, first, .. }) => {
                write!(text, "DIGEST BUCKETS {lesson:x} {count:x} {of:x} {first:x}")
            }
            Self::Parts { lesson: Lesson(lesson), bucket, .. } => write!(text, "DIGEST PARTS {lesson:x} {bucket:x}"),
            Self::End { lesson: Lesson(lesson) } => write!(text, "DIGEST END {lesson:x}"),
            Self::Done { lesson: Lesson(lesson), sent } => write!(text, "DIGEST DONE {lesson:x} {sent:x}"),
            Self::Again => write!(text, "DIGEST AGAIN"),
        };
        start.expect("a Vec takes everything");
        if let Self::Buckets(Buckets { sums, .. }) | Self::Parts { sums, .. } = self
            && !sums.0.is_empty()
        {
            text.push(b' ');
            text.extend_from_slice(sums.0);
        }
        text.push(b'\n');
    }
}

/// Hexadecimal numbers with one space between them; whoever walks them finds out whether they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    /// Writes numbers into `text`, which is empty, as a line holds them.
    pub(super) fn write(text: &'a mut Vec<u8>, numbers: impl IntoIterator<Item = u64>) -> Self {
        for number in numbers {
            if !text.is_empty() {
                text.push(b' ');
            }
            let digits = (u64::BITS - (number | 1).leading_zeros()).div_ceil(4);
            for place in (0..digits).rev() {
                text.push(DIGITS[(number >> (4 * place)) as usize & 15]);
            }
        }
        Self(text)
    }

    /// The next word; what follows it is left. Nothing may follow a last space.
    fn word(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == b' ').filter(|end| end + 1 < self.0.len());
        let (word, rest) = end.map_or((self.0, &b""[..]), |end| (&self.0[..end], &self.0[end + 1..]));
        self.0 = rest;
        word
    }

    /// The next word, if it is a number.
    fn number(&mut self) -> Option<u64> {
        let (mut number, mut digits) = (0, 0);
        while let Some((digit, rest)) = self.0.split_first() {
            let value = VALUES[usize::from(*digit)];
            if value > 15 {
                break;
            }
            // No zero leads, and no more digits than 64 bits have.
            if digits == 16 || digits > 0 && number == 0 {
                return None;
            }
            (number, digits, self.0) = (number << 4 | u64::from(value), digits + 1, rest);
        }
        match self.0 {
            [] if digits > 0 => {}
            [b' ', rest @ ..] if digits > 0 && !rest.is_empty() => self.0 = rest,
            _ => return None,
        }
        Some(number)
    }

    fn lesson(&mut self) -> Option<Lesson> {
        self.number()?.try_into().ok().map(Lesson)
    }
}

/// `None` is what is no number; nothing counts that follows it.
impl Iterator for Numbers<'_> {
    type Item = Option<u64>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() { None } else { Some(self.number()) }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// What each byte is worth as a digit; 16 if it is none.
const VALUES: [u8; 256] = {
    let mut values = [16; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value] as usize] = value as u8;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_is_written_the_same() {
        let mut numbers = Vec::new();
        let sums = Numbers::write(&mut numbers, [0, 0xffff_ffff_ffff_ffff, 10]);
        let lesson = Lesson(0xffff_ffff);
        let check = |line: DigestLine<'_>, expected: &str| {
            let mut text = Vec::new();
            line.write(&mut text);
            assert_eq!(String::from_utf8_lossy(&text), format!("DIGEST {expected}\n"));
            assert_eq!(DigestLine::parse(expected.as_bytes()), Some(line), "{expected}");
        };
        check(DigestLine::Ask { lesson: Lesson(0), digest: Digest { count: 0, sum: 16 } }, "0 0 10");
        check(DigestLine::Same { lesson }, "SAME ffffffff");
        check(
            DigestLine::Buckets(Buckets { lesson, count: 3, of: 8, first: 4, sums }),
            "BUCKETS ffffffff 3 8 4 0 ffffffffffffffff a",
        );
        check(DigestLine::Parts { lesson, bucket: 7, sums }, "PARTS ffffffff 7 0 ffffffffffffffff a");
        check(DigestLine::Parts { lesson, bucket: 7, sums: Numbers(b"") }, "PARTS ffffffff 7");
        check(DigestLine::End { lesson }, "END ffffffff");
        check(DigestLine::Done { lesson, sent: 12 }, "DONE ffffffff c");
        check(DigestLine::Again, "AGAIN");
        assert!(sums.eq([Some(0), Some(u64::MAX), Some(10)]));
        let first_fault = |text: &'static [u8]| Numbers(text).position(|number| number.is_none());
        assert_eq!(first_fault(b"1 02"), Some(1));
        assert_eq!(first_fault(b"1 0 00"), Some(2));
        assert_eq!(first_fault(b"1 2x 3"), Some(1));
        assert_eq!(first_fault(b"1 3 "), Some(1));
        assert_eq!(first_fault(b" 1"), Some(0));
        assert_eq!(first_fault(b"ffffffffffffffff 10000000000000000"), Some(1));
    }

    #[test]
    fn nothing_else_is_a_line() {
        for words in [
            "",
            " ",
            "1",
            "1 2",
            "1 2 3 4",
            "1 2 3 ",
            "1  2 3",
            "100000000 2 3",
            "1 2 G",
            "1 2 A",
            "1 2 03",
            "1 2 00",
            "1 2 10000000000000000",
            "-1 2 3",
            "SAME",
            "SAME 1 2",
            "SAME x",
            "BUCKETS 1 2 3",
            "PARTS 1",
            "PARTS 1 x 3",
            "END",
            "DONE 1",
            "AGAIN 1",
            "again",
        ] {
            assert_eq!(DigestLine::parse(words.as_bytes()), None, "{words:?}");
        }
    }

    #[test]
    fn a_cut_sum_depends_on_the_lesson_and_nothing_stays_nothing() {
        assert_eq!(Lesson(7).cut(0), 0);
        let escapes = (0..1000).filter(|lesson| Lesson(*lesson).cut(1 << 32) == 0).count();
        assert_eq!(escapes, 0);
        assert_ne!(Lesson(1).cut(1 << 40), Lesson(2).cut(1 << 40));
    }
}
