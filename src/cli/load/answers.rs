//! What a connection is told: bytes to answers, each right or wrong, none of them kept.
//!
//! An answer is one line. That to a question has places after its line, up to an empty one; unless it is wrong, as a refusal
//! is one line, too. Of an answer only its beginning is looked at, so its length needs no limit.

use memchr::memchr;

/// The answers of one connection, in whatever pieces they come.
#[derive(Default)]
pub(super) struct Answers {
    /// The beginning of a line whose end has not come yet.
    head: Vec<u8>,
    within: Within,
}

/// What the next line belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
enum Within {
    #[default]
    FirstLine,
    Places,
}

/// What was answered to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Where a client is.
    Report,
    /// What is near one.
    Question,
}

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    Right,
    /// It does not begin as it must; this is its beginning.
    Wrong(Vec<u8>),
}

impl Answers {
    /// Takes an answer off the front of `data`; `None`, and all of `data`, if it is not complete. It is to a line of this kind, and
    /// must begin with `expected`, at most [`HEAD`] bytes.
    pub(super) fn take(&mut self, data: &mut &[u8], kind: Kind, expected: &[u8]) -> Option<Answer> {
        loop {
            let Some(end) = memchr(b'\n', data) else {
                self.keep(data);
                *data = &[];
                return None;
            };
            let (mut line, rest) = data.split_at(end + 1);
            *data = rest;
            if !self.head.is_empty() {
                self.keep(line);
                line = &self.head;
            }
            let answer = match (self.within, kind) {
                (Within::FirstLine, _) if !line.starts_with(expected) => {
                    let line = line.strip_suffix(b"\n").unwrap_or(line);
                    Some(Answer::Wrong(line[..line.len().min(HEAD)].to_vec()))
                }
                (Within::FirstLine, Kind::Question) => {
                    self.within = Within::Places;
                    None
                }
                (Within::Places, _) if line != b"\n" => None,
                (Within::FirstLine, Kind::Report) | (Within::Places, _) => {
                    self.within = Within::FirstLine;
                    Some(Answer::Right)
                }
            };
            self.head.clear();
            if answer.is_some() {
                return answer;
            }
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let room = HEAD - self.head.len();
        self.head.extend_from_slice(&part[..part.len().min(room)]);
    }
}

/// How many bytes of a line are looked at, or shown.
pub(super) const HEAD: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    /// The answers, and what is left, however the bytes are cut.
    #[track_caller]
    fn check(kind: Kind, text: &str, expected: &[Option<&str>]) {
        for size in 1..=text.len() {
            let mut answers = Answers::default();
            let mut found = Vec::new();
            for mut piece in text.as_bytes().chunks(size) {
                while let Some(answer) = answers.take(&mut piece, kind, b"AT ") {
                    found.push(match answer {
                        Answer::Right => None,
                        Answer::Wrong(head) => Some(String::from_utf8(head).expect("text")),
                    });
                }
                assert!(piece.is_empty());
            }
            assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{text:?} by {size}");
        }
    }

    #[test]
    fn an_answer_to_a_report_is_a_line() {
        check(Kind::Report, "AT", &[]);
        check(Kind::Report, "AT \nAT Goloman", &[None]);
        check(Kind::Report, "AT x\n? no\n\nAT y\n", &[None, Some("? no"), Some(""), None]);
        check(Kind::Report, "A\n", &[Some("A")]);
    }

    #[test]
    fn an_answer_to_a_question_ends_with_an_empty_line() {
        check(Kind::Question, "AT x\n{\n}\n", &[]);
        check(Kind::Question, "AT x\n{\n  1\n}\n\nAT y\n\n", &[None, None]);
        check(Kind::Question, "? no\nAT y\n{}\n\n? no\n", &[Some("? no"), None, Some("? no")]);
    }

    #[test]
    fn the_head_of_a_line_is_enough() {
        let long = "x".repeat(HEAD);
        check(Kind::Report, &format!("{long}\n"), &[Some(&long)]);
        check(Kind::Report, &format!("{long}x\nAT {long}{long}\n"), &[Some(&long), None]);
    }
}
