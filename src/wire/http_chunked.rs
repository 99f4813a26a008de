//! A chunked body: its data, without the sizes, extensions and trailer around them (RFC 9112, 7.1).
//!
//! - Lines end with CRLF only: a reader that also takes a bare LF can be made to disagree with one that does not.
//! - Extensions and trailer fields are read over, whatever they say, up to [`LINE_LIMIT`] and [`TRAILER_LIMIT`].
//! - A chunk that would overfill the body is refused when its size is known, before its data.
//!
//! It does not find out that a body is chunked: the head says so.

use crate::wire::bounded::Bounded;
use crate::wire::http::HttpError;

/// Where in a chunked body we are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a chunk's size, `line` bytes into its line.
    Size { size: usize, line: usize },
    /// In what follows the digits: blanks and extensions.
    Extension { size: usize, line: usize },
    /// Before the LF of the size's line.
    SizeEnd { size: usize },
    /// In the data.
    Data { left: usize },
    /// Before the CR after the data.
    DataCr,
    /// Before the LF after the data.
    DataLf,
    /// In the trailer, `spent` bytes into it and `line` bytes into one of its lines.
    Trailer { spent: usize, line: usize },
    /// Before the LF of a line of the trailer that was `line` bytes long.
    TrailerEnd { spent: usize, line: usize },
}

impl Default for Chunked {
    fn default() -> Self {
        Self::Size { size: 0, line: 0 }
    }
}

impl Chunked {
    /// Appends the data to `body`, up to its limit. `Some(n)`: the body is whole, `n` bytes of `data` were its.
    pub(super) fn push(&mut self, data: &[u8], body: &mut Bounded) -> Result<Option<usize>, HttpError> {
        let mut rest = data;
        while let [byte, after @ ..] = rest {
            if let Self::Data { left } = self {
                let (taken, after) = rest.split_at(rest.len().min(*left));
                *left -= taken.len();
                body.push(taken);
                rest = after;
                if *left == 0 {
                    *self = Self::DataCr;
                }
                continue;
            }
            rest = after;
            match self.step(*byte, body.room())? {
                Some(next) => *self = next,
                None => return Ok(Some(data.len() - rest.len())),
            }
        }
        Ok(None)
    }

    /// The state after one byte that is not data; `None` at the end of the body. `room` is what the body may still grow.
    fn step(&self, byte: u8, room: usize) -> Result<Option<Self>, HttpError> {
        Ok(Some(match (self, byte) {
            (&Self::Size { line: 0, .. }, b'\r' | b' ' | b'\t' | b';') => return Err(HttpError::BadChunk),
            (&Self::Size { size, .. } | &Self::Extension { size, .. }, b'\r') => Self::SizeEnd { size },
            (&Self::Size { line, .. } | &Self::Extension { line, .. }, _) if line == LINE_LIMIT => {
                return Err(HttpError::BadChunk);
            }
            (&Self::Size { size, line }, b' ' | b'\t' | b';') => Self::Extension { size, line: line + 1 },
            (&Self::Size { size, line }, digit) => {
                let digit = char::from(digit).to_digit(16).ok_or(HttpError::BadChunk)?;
                let size = size.checked_mul(16).ok_or(HttpError::BodyTooLong)? + digit as usize;
                if size > room {
                    return Err(HttpError::BodyTooLong);
                }
                Self::Size { size, line: line + 1 }
            }
            (&Self::Extension { .. }, b'\n') => return Err(HttpError::BadChunk),
            (&Self::Extension { size, line }, _) => Self::Extension { size, line: line + 1 },
            (&Self::SizeEnd { size: 0 }, b'\n') => Self::Trailer { spent: 0, line: 0 },
            (&Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (&Self::DataCr, b'\r') => Self::DataLf,
            (&Self::DataLf, b'\n') => Self::default(),
            (&Self::Trailer { spent, line }, b'\r') => Self::TrailerEnd { spent, line },
            (&Self::Trailer { spent: TRAILER_LIMIT, .. }, _) => return Err(HttpError::BadChunk),
            (&Self::Trailer { .. }, b'\n') => return Err(HttpError::BadChunk),
            (&Self::Trailer { spent, line }, _) => Self::Trailer { spent: spent + 1, line: line + 1 },
            (&Self::TrailerEnd { line: 0, .. }, b'\n') => return Ok(None),
            (&Self::TrailerEnd { spent, .. }, b'\n') => Self::Trailer { spent, line: 0 },
            (Self::SizeEnd { .. } | Self::DataCr | Self::DataLf | Self::TrailerEnd { .. }, _) => {
                return Err(HttpError::BadChunk);
            }
            (Self::Data { .. }, _) => unreachable!("push takes data in slices"),
        }))
    }
}

/// The longest line with a chunk's size and extensions, in bytes, without its CRLF.
const LINE_LIMIT: usize = 256;

/// The longest trailer, in bytes, all its lines together.
const TRAILER_LIMIT: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 20;

    fn decode(pieces: impl Iterator<Item = Vec<u8>>) -> Result<(Vec<u8>, Option<usize>), HttpError> {
        let (mut chunked, mut body, mut before) = (Chunked::default(), Bounded::new(ROOM), 0);
        for piece in pieces {
            if let Some(consumed) = chunked.push(&piece, &mut body)? {
                return Ok((body.into_vec(), Some(before + consumed)));
            }
            before += piece.len();
        }
        Ok((body.into_vec(), None))
    }

    /// `expected`: the body, and how many bytes of `data` stay for the next message (`None`: the body is not whole).
    fn check(data: &[u8], expected: Result<(&str, Option<usize>), HttpError>) {
        let expected = expected.map(|(body, rest)| (body.as_bytes().to_vec(), rest.map(|rest| data.len() - rest)));
        let shown = String::from_utf8_lossy(data);
        assert_eq!(decode([data.to_vec()].into_iter()), expected, "{shown:?}");
        assert_eq!(decode(data.iter().map(|byte| vec![*byte])), expected, "{shown:?} by bytes");
    }

    #[test]
    fn chunks_lose_their_wrapping() {
        check(b"0\r\n\r\n", Ok(("", Some(0))));
        check(b"3\r\nabc\r\n0\r\n\r\nnext", Ok(("abc", Some(4))));
        check(b"1\r\na\r\n2\r\nbc\r\n000\r\n\r\n", Ok(("abc", Some(0))));
        check(b"A\r\n0123456789\r\n0\r\n\r\n", Ok(("0123456789", Some(0))));
        check(b"a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n", Ok(("\r\n\r\n\r\n\r\n\r\n", Some(0))));
        check(b"1;name=\"v;\";x\r\na\r\n0 ;y\r\n\r\n", Ok(("a", Some(0))));
        check(b"1  \r\na\r\n0\r\nX: y\r\nZ:\r\n\r\n", Ok(("a", Some(0))));
        check(b"3\r\nab", Ok(("ab", None)));
        check(b"3\r\nabc\r\n0\r\n", Ok(("abc", None)));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [
            "\r\n",
            "g\r\n",
            "-1\r\n",
            "0x1\r\n",
            " 1\r\n",
            ";x\r\n",
            "1\n",
            "1\rx",
            "1;\n",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rx",
            "0\r\n\n",
            "0\r\nX\n",
            "0\r\n\rx",
        ] {
            check(bad.as_bytes(), Err(HttpError::BadChunk));
        }
    }

    #[test]
    fn sizes_lines_and_trailers_have_limits() {
        let long = |before: &str, count, after: &str| format!("{before}{}{after}", "0".repeat(count)).into_bytes();
        check(b"14\r\n01234567890123456789\r\n0\r\n\r\n", Ok(("01234567890123456789", Some(0))));
        check(b"15\r\n", Err(HttpError::BodyTooLong));
        check(b"13\r\n0123456789012345678\r\n2\r\n", Err(HttpError::BodyTooLong));
        check(b"ffffffffffffffffff\r\n", Err(HttpError::BodyTooLong));
        check(&long("0;", LINE_LIMIT - 2, "\r\n\r\n"), Ok(("", Some(0))));
        check(&long("0;", LINE_LIMIT - 1, "\r\n\r\n"), Err(HttpError::BadChunk));
        check(&long("", LINE_LIMIT, "\r\n\r\n"), Ok(("", Some(0))));
        check(&long("", LINE_LIMIT + 1, "\r\n\r\n"), Err(HttpError::BadChunk));
        check(&long("0\r\nX:", TRAILER_LIMIT - 2, "\r\n\r\n"), Ok(("", Some(0))));
        check(&long("0\r\nX:", TRAILER_LIMIT - 1, "\r\n\r\n"), Err(HttpError::BadChunk));
    }
}
