//! What holds for bytes that are lines, however they are split and whenever the lines are taken.

use proxy_herd::wire::lines::{Feed, Line, LineBuffer};

use crate::pieces;

/// The lines in `bytes`, the unfinished last one too, as a [`LineBuffer`] gives them.
///
/// # Panics
/// If for any split it gives others than splitting the bytes at each `\n` gives, or keeps more than the limit.
pub(crate) fn of(bytes: &[u8], limit: usize) -> Vec<&[u8]> {
    let (lines, too_long) = expected(bytes, limit);
    for pieces in pieces::splits(bytes) {
        for consumer in [Consumer::Eager, Consumer::OneLineAtATime] {
            let heard = heard(&pieces, limit, consumer);
            assert_eq!(heard.0, lines, "{consumer:?}");
            assert_eq!(heard.1.as_deref(), too_long, "{consumer:?}");
        }
    }
    lines
}

/// The lines, and the start of the one that is too long, if there is one; that is the last.
fn expected(bytes: &[u8], limit: usize) -> (Vec<&[u8]>, Option<&[u8]>) {
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > limit {
            return (lines, Some(&line[..limit]));
        }
        lines.push(line);
    }
    (lines, None)
}

/// How soon lines are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Consumer {
    Eager,
    /// One for each piece, and the others when no piece comes any more.
    OneLineAtATime,
}

fn heard(pieces: &[&[u8]], limit: usize, consumer: Consumer) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
    let mut buffer = LineBuffer::new(limit);
    let mut heard = (Vec::new(), None);
    let mut fed = 0;
    for piece in pieces {
        fed += piece.len();
        let mut feed = buffer.feed(piece);
        while take(&mut feed, &mut heard) && consumer == Consumer::Eager {}
        drop(feed);
        assert!(buffer.len() <= if consumer == Consumer::Eager { limit } else { fed }, "{} bytes kept", buffer.len());
    }
    while take(&mut buffer.feed(b""), &mut heard) {}
    assert!(buffer.len() <= limit, "{} bytes kept", buffer.len());
    heard.0.extend(buffer.take_last());
    heard
}

/// Takes a line; false if there is none.
fn take(feed: &mut Feed<'_>, (lines, too_long): &mut (Vec<Vec<u8>>, Option<Vec<u8>>)) -> bool {
    match feed.next() {
        Some(Line::Whole(line)) => lines.push(line.to_vec()),
        Some(Line::TooLong(start)) => assert_eq!(too_long.replace(start.to_vec()), None, "it is the last"),
        None => return false,
    }
    true
}
