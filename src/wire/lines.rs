//! Bytes to whole lines, with a limit, never scanning a byte twice while its line is incomplete.
//!
//! A line ends with `\n`, which is not part of it. Lines that lie whole in what was received are handed out in place;
//! only what must wait is copied: an unfinished line, or the lines that a consumer has stopped before. It does not
//! know what a line says, and trims nothing.

use std::mem;

use arrayvec::ArrayVec;
use memchr::memchr;

/// What was received and not yet handed out. Holds no memory while that is nothing. Its places are short: there is one for each
/// connection, and what it keeps is much less than 4 GiB.
pub struct LineBuffer {
    limit: u32,
    stage: Stage,
    /// Bytes before `start` have been handed out; those before `searched` hold no `\n` that has not been.
    kept: Vec<u8>,
    start: u32,
    searched: u32,
}

/// A line, or that there will be none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Line<'a> {
    /// A whole line, without its `\n`.
    Whole(&'a [u8]),
    /// The first bytes, as many as the limit, of a line that is longer. It is the last: all bytes after are thrown
    /// away.
    TooLong(&'a [u8]),
}

impl LineBuffer {
    /// A buffer for lines of at most `limit` bytes, their `\n` not counted. Panics if that is 4 GiB or more.
    pub const fn new(limit: usize) -> Self {
        assert!(limit < u32::MAX as usize, "a line is shorter than 4 GiB");
        Self { limit: limit as u32, stage: Stage::Reading, kept: Vec::new(), start: 0, searched: 0 }
    }

    /// Takes in `data`, which may be empty, and lends out the whole lines that there are now.
    ///
    /// What the consumer leaves, because it has enough for now, is kept when the [`Feed`] is dropped. Then at most
    /// what is left of `data` is added to what was kept before; a consumer that feeds only after taking all lines
    /// keeps at most the limit and one `data`.
    pub fn feed<'a>(&'a mut self, data: &'a [u8]) -> Feed<'a> {
        let data = match self.stage {
            Stage::Reading => data,
            Stage::Over => &[],
        };
        let lines = Lines::new(data, self.limit as usize);
        Feed { buffer: self, lines }
    }

    /// Whether nothing is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes are kept.
    pub fn len(&self) -> usize {
        self.kept.len() - self.start as usize
    }

    /// At the end of the bytes: the last line, if it is unfinished. `None` also while whole lines before it wait for
    /// [`LineBuffer::feed`].
    pub fn take_last(&mut self) -> Option<Vec<u8>> {
        if self.is_empty() || memchr(b'\n', &self.kept[self.searched as usize..]).is_some() {
            return None;
        }
        let mut last = mem::take(&mut self.kept);
        last.drain(..mem::take(&mut self.start) as usize);
        self.searched = 0;
        Some(last)
    }

    fn forget(&mut self) {
        self.kept.clear();
        self.start = 0;
        self.searched = 0;
    }
}

/// The whole lines in what a [`LineBuffer`] has kept and what it was fed.
pub struct Feed<'a> {
    buffer: &'a mut LineBuffer,
    lines: Lines<'a>,
}

impl<'a> Feed<'a> {
    /// The next lines that lie whole in what was received, as [`Lines::fill`] takes them. That there are none says nothing of
    /// [`next`](Self::next).
    pub fn fill(&mut self, batch: &mut Batch<'a>, suits: impl Fn(&[u8]) -> bool) {
        batch.clear();
        if self.buffer.is_empty() {
            self.lines.fill(batch, suits);
        }
    }

    /// The next line, or `None` if it has not ended yet.
    #[expect(clippy::should_implement_trait, reason = "an iterator cannot lend from itself")]
    pub fn next(&mut self) -> Option<Line<'_>> {
        if self.buffer.is_empty() {
            self.buffer.forget();
            self.next_in_data()
        } else {
            self.next_in_kept()
        }
    }

    fn next_in_data(&mut self) -> Option<Line<'_>> {
        let line = self.lines.next()?;
        if let Line::TooLong(_) = line {
            self.buffer.stage = Stage::Over;
        }
        Some(line)
    }

    fn next_in_kept(&mut self) -> Option<Line<'_>> {
        let Self { buffer, lines: Lines { data, .. } } = self;
        let LineBuffer { limit, stage, kept, start, searched } = &mut **buffer;
        let (line, limit) = (*start as usize, *limit as usize);
        match search(&kept[line..], *searched as usize - line, limit) {
            Search::End(end) => {
                *start = place(line + end + 1);
                *searched = *start;
                return Some(Line::Whole(&kept[line..][..end]));
            }
            Search::TooLong => {}
            Search::Unfinished => {
                // The line goes on in `data`: only as far as its end, or the limit, is copied.
                let room = limit - (kept.len() - line);
                match search(data, 0, room) {
                    Search::End(end) => {
                        kept.extend_from_slice(&data[..end]);
                        *data = &data[end + 1..];
                        *start = place(kept.len());
                        return Some(Line::Whole(&kept[line..]));
                    }
                    Search::Unfinished => {
                        kept.extend_from_slice(data);
                        *data = &[];
                        *searched = place(kept.len());
                        return None;
                    }
                    Search::TooLong => kept.extend_from_slice(&data[..room]),
                }
            }
        }
        *data = &[];
        *stage = Stage::Over;
        *start = place(kept.len());
        Some(Line::TooLong(&kept[line..][..limit]))
    }
}

impl Drop for Feed<'_> {
    fn drop(&mut self) {
        let Self { buffer, lines: Lines { data, searched, .. } } = self;
        if buffer.is_empty() {
            buffer.forget();
            buffer.searched = place(*searched);
        }
        buffer.kept.extend_from_slice(data);
        if buffer.is_empty() {
            buffer.kept = Vec::new();
        } else if buffer.start as usize > buffer.kept.len() / 2 {
            // What is copied is less than what was handed out since the last time, so all copying is linear.
            buffer.kept = buffer.kept[buffer.start as usize..].to_vec();
            buffer.searched -= mem::take(&mut buffer.start);
        }
    }
}

/// The lines in one slice, and what is left of it.
pub struct Lines<'a> {
    data: &'a [u8],
    /// The first so many bytes of `data` hold no `\n`.
    searched: usize,
    limit: usize,
}

/// Lines that came together, for who does for several at once what costs less so.
pub type Batch<'a> = ArrayVec<&'a [u8], BATCH>;

/// How many lines a [`Batch`] has, at the most.
pub const BATCH: usize = 16;

impl<'a> Lines<'a> {
    /// The lines of at most `limit` bytes in `data`.
    pub fn new(data: &'a [u8], limit: usize) -> Self {
        Self { data, searched: 0, limit }
    }

    /// Takes the next whole lines, without their `\n`, in place of what is in `batch`: as long as they are such as `suits` says, which
    /// is shown all from there on, and there are not too many for a [`Batch`], nor 4 KiB of them. There may be none.
    pub fn fill(&mut self, batch: &mut Batch<'a>, suits: impl Fn(&[u8]) -> bool) {
        let mut left = BATCH_BYTES;
        batch.clear();
        while left > 0
            && !batch.is_full()
            && suits(self.data)
            && let Search::End(end) = self.search()
        {
            batch.push(self.take(end));
            left = left.saturating_sub(end);
        }
    }

    /// What was not taken.
    pub fn rest(&self) -> &'a [u8] {
        self.data
    }

    fn search(&mut self) -> Search {
        let found = search(self.data, self.searched, self.limit);
        if let Search::Unfinished = found {
            self.searched = self.data.len();
        }
        found
    }

    fn take(&mut self, end: usize) -> &'a [u8] {
        let line = &self.data[..end];
        self.data = &self.data[end + 1..];
        self.searched = 0;
        line
    }
}

/// After a line that is too long there is nothing.
impl<'a> Iterator for Lines<'a> {
    type Item = Line<'a>;

    fn next(&mut self) -> Option<Line<'a>> {
        match self.search() {
            Search::End(end) => Some(Line::Whole(self.take(end))),
            Search::Unfinished => None,
            Search::TooLong => {
                let start = &self.data[..self.limit];
                (self.data, self.searched) = (&[], 0);
                Some(Line::TooLong(start))
            }
        }
    }
}

/// From so many bytes on a batch is full.
const BATCH_BYTES: usize = 4096;

/// In what a [`LineBuffer`] keeps.
fn place(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("what is kept is less than 4 GiB")
}

enum Stage {
    Reading,
    /// A line was too long.
    Over,
}

enum Search {
    /// A line ends after so many bytes.
    End(usize),
    Unfinished,
    TooLong,
}

/// Looks for the end of the line of at most `limit` bytes that `bytes` begin with; the first `searched` bytes hold
/// none.
fn search(bytes: &[u8], searched: usize, limit: usize) -> Search {
    let window = &bytes[..bytes.len().min(limit + 1)];
    match memchr(b'\n', &window[searched..]) {
        Some(end) => Search::End(searched + end),
        None if window.len() > limit => Search::TooLong,
        None => Search::Unfinished,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT: usize = 8;

    /// Feeds `pieces` and compares the lines, each shown with its `\n`, or with `…` if it was too long, and at the end
    /// the unfinished line.
    fn check(pieces: &[&str], expected: &[&str]) {
        let mut buffer = LineBuffer::new(LIMIT);
        let mut lines = Vec::new();
        for piece in pieces {
            take(&mut buffer.feed(piece.as_bytes()), usize::MAX, &mut lines);
        }
        lines.extend(buffer.take_last());
        assert_eq!(buffer.kept.capacity(), 0);
        let lines: Vec<_> = lines.into_iter().map(|line| String::from_utf8(line).expect("text")).collect();
        assert_eq!(lines, expected, "{pieces:?}");
    }

    /// Takes at most `count` lines and tells how many there were.
    fn take(feed: &mut Feed<'_>, count: usize, lines: &mut Vec<Vec<u8>>) -> usize {
        for taken in 0..count {
            match feed.next() {
                Some(Line::Whole(line)) => lines.push([line, b"\n"].concat()),
                Some(Line::TooLong(line)) => lines.push([line, "…".as_bytes()].concat()),
                None => return taken,
            }
        }
        count
    }

    #[test]
    fn a_line_is_whole_wherever_it_is_split() {
        check(&[], &[]);
        check(&[""], &[]);
        check(&["\n"], &["\n"]);
        check(&["one\ntwo\n"], &["one\n", "two\n"]);
        check(&["on", "", "e", "\n", "\ntwo\nth", "r", "ee"], &["one\n", "\n", "two\n", "three"]);
        check(&["a\0\r\u{a0}\n"], &["a\0\r\u{a0}\n"]);
    }

    #[test]
    fn a_line_has_a_limit() {
        check(&["12345678\n", "12345678", "\n", "12345678"], &["12345678\n", "12345678\n", "12345678"]);
        check(&["123456789\nx\n", "x\n"], &["12345678…"]);
        check(&["123456789"], &["12345678…"]);
        check(&["12345678", "9", "0"], &["12345678…"]);
        check(&["1234567", "89\n"], &["12345678…"]);
        check(&["a\n1234", "56789"], &["a\n", "12345678…"]);
    }

    #[test]
    fn nothing_is_kept_that_is_not_needed() {
        let mut buffer = LineBuffer::new(LIMIT);
        let mut check = |piece: &str, kept: usize| {
            take(&mut buffer.feed(piece.as_bytes()), usize::MAX, &mut Vec::new());
            assert_eq!((buffer.len(), buffer.is_empty(), buffer.kept.capacity() == 0), (kept, kept == 0, kept == 0));
        };
        check("one\n", 0);
        check("one\ntwo", 3);
        check("three", 8);
        check("\n", 0);
        check("12345678", 8);
        check("9", 0);
        check("more\nand more", 0);
    }

    #[test]
    fn no_byte_is_searched_twice() {
        let mut buffer = LineBuffer::new(LIMIT);
        for piece in ["a\nb", "c", "d\nef", "gh"] {
            take(&mut buffer.feed(piece.as_bytes()), usize::MAX, &mut Vec::new());
            assert_eq!(buffer.searched as usize, buffer.kept.len(), "{piece}");
        }
    }

    #[test]
    fn a_whole_line_is_lent_in_place() {
        let mut buffer = LineBuffer::new(LIMIT);
        let data = b"one\ntwo\n";
        let mut feed = buffer.feed(data);
        assert!(matches!(feed.next(), Some(Line::Whole(line)) if std::ptr::eq(line, &data[..3])));
        assert!(matches!(feed.next(), Some(Line::Whole(line)) if std::ptr::eq(line, &data[4..7])));
    }

    #[test]
    fn what_a_consumer_leaves_is_kept() {
        let mut buffer = LineBuffer::new(LIMIT);
        let mut lines = Vec::new();
        take(&mut buffer.feed(b"one\ntwo\nthree\nfo"), 1, &mut lines);
        assert_eq!((buffer.len(), buffer.take_last()), (12, None));
        take(&mut buffer.feed(b"ur\n"), 2, &mut lines);
        assert_eq!(lines.concat(), b"one\ntwo\nthree\n");
        take(&mut buffer.feed(b""), 9, &mut lines);
        assert_eq!(lines.concat(), b"one\ntwo\nthree\nfour\n");
        assert!(buffer.is_empty());
    }

    /// How many lines each batch has of so many lines of so many bytes.
    #[test]
    fn a_batch_has_limits() {
        let check = |count: usize, length: usize, expected: &[usize]| {
            let text = [&*b"a".repeat(length), b"\n"].concat().repeat(count);
            let (mut lines, mut batch, mut sizes) = (Lines::new(&text, length), Batch::new(), Vec::new());
            while !lines.rest().is_empty() {
                lines.fill(&mut batch, |_| true);
                assert!(batch.iter().all(|line| line.len() == length));
                sizes.push(batch.len());
            }
            assert_eq!(sizes, expected, "{count} lines of {length}");
        };
        check(BATCH, 1, &[BATCH]);
        check(BATCH + 1, 1, &[BATCH, 1]);
        check(3, BATCH_BYTES / 2, &[2, 1]);
        check(3, BATCH_BYTES / 2 - 1, &[3]);
        check(2, BATCH_BYTES, &[1, 1]);
        check(2, BATCH_BYTES - 1, &[2]);
    }

    proptest! {
        /// Whatever is taken in batches, waits, or is too long.
        #[test]
        fn batches_and_single_lines_are_the_lines(
            pieces in prop::collection::vec(("[ab\n]{0,40}", 0_usize..9), 0..10),
        ) {
            let (mut one_by_one, mut together) = (LineBuffer::new(LIMIT), LineBuffer::new(LIMIT));
            let (mut expected, mut lines) = (Vec::new(), Vec::new());
            for (piece, steps) in pieces.iter().map(|(piece, steps)| (piece.as_str(), *steps)).chain([("", usize::MAX)]) {
                let mut batch = Batch::new();
                let mut feed = together.feed(piece.as_bytes());
                for _ in 0..steps {
                    feed.fill(&mut batch, |line| line.starts_with(b"a"));
                    prop_assert!(batch.iter().all(|line| line.starts_with(b"a") && line.len() <= LIMIT));
                    lines.extend(batch.iter().map(|line| [line, &b"\n"[..]].concat()));
                    if batch.is_empty() && take(&mut feed, 1, &mut lines) == 0 {
                        break;
                    }
                }
                drop(feed);
                take(&mut one_by_one.feed(piece.as_bytes()), usize::MAX, &mut expected);
            }
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(together.take_last(), one_by_one.take_last());
        }

        #[test]
        fn any_split_and_any_pauses_give_the_same_lines(
            pieces in prop::collection::vec(("[ab\n]{0,12}", 0_usize..4), 0..20),
        ) {
            let whole: String = pieces.iter().map(|(piece, _)| piece.as_str()).collect();
            let mut expected = Vec::new();
            let mut buffer = LineBuffer::new(LIMIT);
            take(&mut buffer.feed(whole.as_bytes()), usize::MAX, &mut expected);
            expected.extend(buffer.take_last());

            let mut lines = Vec::new();
            let mut buffer = LineBuffer::new(LIMIT);
            for (piece, count) in &pieces {
                take(&mut buffer.feed(piece.as_bytes()), *count, &mut lines);
            }
            while take(&mut buffer.feed(b""), 1, &mut lines) > 0 {}
            prop_assert!(buffer.len() <= LIMIT);
            lines.extend(buffer.take_last());
            prop_assert_eq!(lines, expected);
            prop_assert_eq!(buffer.kept.capacity(), 0);
        }

        #[test]
        fn the_lines_are_those_that_splitting_the_text_gives(text in "[ab\n]{0,60}") {
            let mut lines = Vec::new();
            let mut buffer = LineBuffer::new(60);
            take(&mut buffer.feed(text.as_bytes()), usize::MAX, &mut lines);
            lines.extend(buffer.take_last());
            let expected: Vec<_> = text.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
            prop_assert_eq!(lines, expected);
        }
    }
}
