//! What lines led to, as data: replies, floods, questions; in order, and without an allocation for each.

use crate::herd::command::{Bound, Radius};
use crate::herd::position::Position;
use crate::herd::report::Report;

use super::NeighbourId;

/// One thing to be done.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Effect<'a> {
    /// Answer the client with this whole reply, its `\n` included.
    Reply(&'a [u8]),
    /// Say this AT line, its `\n` included, on every link but one.
    Flood {
        /// The line.
        line: &'a [u8],
        /// The neighbour that it came from.
        except: Option<NeighbourId>,
    },
    /// Find out what is near, and answer the client with the report, the places as JSON and two newlines.
    Ask {
        /// The AT line of the client asked about, its `\n` included.
        report: &'a [u8],
        /// Where that client is.
        position: Position<'a>,
        /// How far to look.
        radius: Radius,
        /// How many results to answer with.
        bound: Bound,
    },
    /// The neighbour broke the protocol, like this: say so and close the link.
    Violation(&'static str),
}

/// What is to be done, in order. Meant to be kept, and cleared between lines or batches of lines: once it has grown to
/// what a batch needs, it allocates nothing.
#[derive(Default)]
pub struct Effects {
    text: Vec<u8>,
    entries: Vec<Entry>,
}

impl Effects {
    /// Nothing to do.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets everything, but keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.entries.clear();
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many things there are to do.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All the lines in a row, each with its `\n`: those to answer with, to flood, or to ask about.
    pub fn lines(&self) -> &[u8] {
        &self.text
    }

    /// What is to be flooded, and the neighbour that it came from: reports that stand one after the other and go the same ways at
    /// once, each line with its `\n`.
    pub fn floods(&self) -> impl Iterator<Item = (&[u8], Option<NeighbourId>)> {
        let floods = |entry: &Entry| match *entry {
            Entry::Flood { line, except } => Some((line, except)),
            Entry::Reply(_) | Entry::Ask { .. } | Entry::Violation(_) => None,
        };
        let mut floods = self.entries.iter().filter_map(floods).peekable();
        std::iter::from_fn(move || {
            let (mut run, except) = floods.next()?;
            while let Some((next, _)) = floods.next_if(|(next, others)| next.start == run.end && *others == except) {
                run.end = next.end;
            }
            Some((self.slice(run), except))
        })
    }

    /// What is to be done, in order.
    pub fn iter(&self) -> impl Iterator<Item = Effect<'_>> {
        self.since(0)
    }

    /// What is to be done, in order, but for the first `count` things.
    pub fn since(&self, count: usize) -> impl Iterator<Item = Effect<'_>> {
        self.entries[count..].iter().map(|entry| match *entry {
            Entry::Reply(span) => Effect::Reply(self.slice(span)),
            Entry::Flood { line, except } => Effect::Flood { line: self.slice(line), except },
            Entry::Ask { report: line, radius, bound } => {
                let line = self.slice(line);
                let report = Report::parse(&line[..line.len() - 1]).expect("only reports are asked about");
                Effect::Ask { report: line, position: report.position(), radius, bound }
            }
            Entry::Violation(why) => Effect::Violation(why),
        })
    }

    pub(super) fn refuse(&mut self, command: &[u8]) {
        let reply = self.line(|text| [b"? ", command].iter().for_each(|part| text.extend_from_slice(part)));
        self.entries.push(Entry::Reply(reply));
    }

    /// A reply is what `write` appends, without its `\n`; it is flooded first if that says so.
    pub(super) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let mut is_news = false;
        let line = self.line(|text| is_news = write(text));
        if is_news {
            self.entries.push(Entry::Flood { line, except: None });
        }
        self.entries.push(Entry::Reply(line));
    }

    pub(super) fn pass_on(&mut self, report: &[u8], from: NeighbourId) {
        let line = self.line(|text| text.extend_from_slice(report));
        self.entries.push(Entry::Flood { line, except: Some(from) });
    }

    pub(super) fn ask(&mut self, report: &[u8], radius: Radius, bound: Bound) {
        let report = self.line(|text| text.extend_from_slice(report));
        self.entries.push(Entry::Ask { report, radius, bound });
    }

    pub(super) fn object(&mut self, why: &'static str) {
        self.entries.push(Entry::Violation(why));
    }

    /// A line of what `write` appends.
    fn line(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let start = self.text.len();
        write(&mut self.text);
        self.text.push(b'\n');
        Span { start, end: self.text.len() }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.text[span.start..span.end]
    }
}

/// An [`Effect`] whose bytes are in [`Effects::text`].
enum Entry {
    Reply(Span),
    Flood { line: Span, except: Option<NeighbourId> },
    Ask { report: Span, radius: Radius, bound: Bound },
    Violation(&'static str),
}

#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}
