//! What requests and responses of HTTP/1.1 share: the limits, the errors, the head found in the bytes, the body's framing.
//!
//! - A decoder is fed whatever arrived and gives the same messages however the bytes were split.
//! - It holds at most its [`Limits`], as bytes and as room for bytes, and looks at every byte of a head once before the
//!   head is parsed.
//! - A body that ends early is an error, never a shorter body (RFC 9112, 8).
//! - Framing that two readers could read differently is an error (RFC 9112, 6.3): a length beside a transfer coding, two
//!   lengths that differ, a coding other than `chunked`.
//!
//! The messages are in [`http_request`](crate::wire::http_request) and [`http_response`](crate::wire::http_response).
//! Nothing here knows content codings, upgrades, `Expect` or HTTP/2.

use std::error::Error;
use std::fmt;

use httparse::Header;
use memchr::memchr_iter;

use crate::wire::bounded::Bounded;
use crate::wire::http_chunked::Chunked;

/// How many bytes of a message a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The head: start line, headers and the empty line. Interim (1xx) heads before a response count too.
    pub head: usize,
    /// The body, without its chunks' sizes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16 * 1024, body: 2 * 1024 * 1024 }
    }
}

/// What a decoder says to a slice of bytes.
#[derive(Debug, PartialEq, Eq)]
pub enum Status<Message> {
    /// The bytes are taken; the message goes on.
    Partial,
    /// A message ended inside the slice; the decoder is ready for the next one.
    Complete {
        /// The message.
        message: Message,
        /// How many bytes of this slice belonged to it; the others are the next message's.
        consumed: usize,
    },
}

/// Why bytes are no HTTP message. After one, the connection has no message boundary any more and must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The head is longer than [`Limits::head`] or has more than [`HEADERS_LIMIT`] headers.
    HeadTooLong,
    /// The body is, or says that it will be, longer than [`Limits::body`].
    BodyTooLong,
    /// The head is not HTTP/1.0 or HTTP/1.1.
    BadHead,
    /// The headers leave it open where the body ends, or say it in a way unknown here.
    BadFraming,
    /// A chunk's size, its line, or the trailer is not as it must be, or is longer than its limit.
    BadChunk,
    /// The connection ended within the message.
    CutShort,
    /// The connection ended before the message's first byte: on a connection kept open, the usual good-bye.
    Silent,
}

impl HttpError {
    /// The status with which a server answers such a request before it closes (RFC 9110, 15.5).
    pub fn status(self) -> u16 {
        match self {
            Self::HeadTooLong => 431,
            Self::BodyTooLong => 413,
            Self::BadHead | Self::BadFraming | Self::BadChunk | Self::CutShort | Self::Silent => 400,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HeadTooLong => "the HTTP head is too long",
            Self::BodyTooLong => "the HTTP body is too long",
            Self::BadHead => "this is no HTTP/1.1 head",
            Self::BadFraming => "the HTTP headers do not say where the body ends",
            Self::BadChunk => "an HTTP chunk is malformed",
            Self::CutShort => "the connection ended within an HTTP message",
            Self::Silent => "the connection ended before an HTTP message",
        })
    }
}

impl Error for HttpError {}

/// The most headers of one message.
pub const HEADERS_LIMIT: usize = 100;

/// The bytes of a head, until its empty line. There may be a key among them: not for `Debug`.
pub(super) struct Head {
    bytes: Bounded,
    /// Where the first line that is not empty starts: empty lines before a message are skipped (RFC 9112, 2.2).
    start: usize,
    /// Where the line starts that has not ended yet.
    line: usize,
    /// Whether an interim head was here before.
    interim: bool,
}

impl Head {
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Bounded::new(limit), start: 0, line: 0, interim: false }
    }

    /// Takes bytes up to the head's empty line. `Some(n)`: it was found, and `n` bytes of `data` belong to the head.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Option<usize>, HttpError> {
        let held = self.bytes.as_slice().len();
        let taken = &data[..data.len().min(self.bytes.room())];
        self.bytes.push(taken);
        for newline in memchr_iter(b'\n', taken).map(|at| held + at) {
            let line = &self.bytes.as_slice()[self.line..newline];
            let empty = matches!(line, b"" | b"\r");
            let first = self.line == self.start;
            self.line = newline + 1;
            if empty && first {
                self.start = self.line;
            } else if empty {
                self.bytes.truncate(self.line);
                return Ok(Some(self.line - held));
            }
        }
        if self.bytes.room() == 0 { Err(HttpError::HeadTooLong) } else { Ok(None) }
    }

    /// Whether nothing of a message has come: no byte but empty lines, and no interim head.
    pub(super) fn is_untouched(&self) -> bool {
        self.bytes.as_slice().len() == self.start && !self.interim
    }

    /// The whole head, after `push` found its end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes.as_slice()[self.start..]
    }

    /// Forgets an interim head, whose bytes stay counted: so endless interim answers end at the limit.
    pub(super) fn clear(&mut self) {
        self.bytes.spend();
        self.start = 0;
        self.line = 0;
        self.interim = true;
    }
}

/// What httparse's verdict on a complete head is to us.
pub(super) fn parsed(verdict: httparse::Result<usize>) -> Result<(), HttpError> {
    match verdict {
        Ok(httparse::Status::Complete(_)) => Ok(()),
        Ok(httparse::Status::Partial) => Err(HttpError::BadHead),
        Err(httparse::Error::TooManyHeaders) => Err(HttpError::HeadTooLong),
        Err(_) => Err(HttpError::BadHead),
    }
}

/// What a head's headers say about the message as a whole.
#[derive(Debug)]
pub(super) struct Framing {
    pub(super) length: Option<usize>,
    pub(super) chunked: bool,
    pub(super) keep_alive: bool,
}

impl Framing {
    /// Reads it from the headers of a message of HTTP/1.`version`.
    pub(super) fn read(version: Option<u8>, headers: &[Header<'_>], limits: Limits) -> Result<Self, HttpError> {
        let mut framing = Self { length: None, chunked: false, keep_alive: version == Some(1) };
        for header in headers {
            if header.name.eq_ignore_ascii_case("connection") {
                framing.keep_alive &= !elements(header.value).any(|token| token.eq_ignore_ascii_case(b"close"));
            } else if header.name.eq_ignore_ascii_case("content-length") {
                for element in elements(header.value) {
                    let length = length(element, limits.body)?;
                    if framing.length.replace(length).is_some_and(|other| other != length) {
                        return Err(HttpError::BadFraming);
                    }
                }
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                // Twice `chunked`, or any other coding, or one in HTTP/1.0: nobody sends that who means well.
                let usual = header.value.eq_ignore_ascii_case(b"chunked") && version == Some(1);
                if !usual || framing.chunked {
                    return Err(HttpError::BadFraming);
                }
                framing.chunked = true;
            }
        }
        if framing.chunked && framing.length.is_some() { Err(HttpError::BadFraming) } else { Ok(framing) }
    }

    /// The body that is to follow; `otherwise` if the headers do not announce one.
    pub(super) fn body(&self, otherwise: End) -> End {
        match self.length {
            Some(length) => End::Length(length),
            None if self.chunked => End::Chunked(Chunked::default()),
            None => otherwise,
        }
    }
}

/// A body that is arriving.
#[derive(Debug)]
pub(super) struct Body {
    bytes: Bounded,
    end: End,
}

/// How a body's end is known (RFC 9112, 6.3).
#[derive(Debug)]
pub(super) enum End {
    Length(usize),
    Chunked(Chunked),
    Close,
}

impl Body {
    pub(super) fn new(end: End, limits: Limits) -> Self {
        let limit = if let End::Length(length) = end { length } else { limits.body };
        Self { bytes: Bounded::new(limit), end }
    }

    /// Takes the body's bytes. `Some(n)`: it is whole, and `n` bytes of `data` belonged to it.
    pub(super) fn push(&mut self, data: &[u8]) -> Result<Option<usize>, HttpError> {
        match &mut self.end {
            End::Length(_) => {
                let taken = &data[..data.len().min(self.bytes.room())];
                self.bytes.push(taken);
                Ok((self.bytes.room() == 0).then_some(taken.len()))
            }
            End::Chunked(chunked) => chunked.push(data, &mut self.bytes),
            End::Close if self.bytes.room() < data.len() => Err(HttpError::BodyTooLong),
            End::Close => {
                self.bytes.push(data);
                Ok(None)
            }
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// The body, if the end of the connection is its end.
    pub(super) fn finish(self) -> Result<Vec<u8>, HttpError> {
        match self.end {
            End::Close => Ok(self.bytes.into_vec()),
            End::Length(_) | End::Chunked(_) => Err(HttpError::CutShort),
        }
    }
}

/// The elements of a header that is a list (RFC 9110, 5.6.1).
fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// One Content-Length: digits, nothing else, at most `limit`.
fn length(digits: &[u8], limit: usize) -> Result<usize, HttpError> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HttpError::BadFraming);
    }
    let add = |sum: usize, digit: &u8| sum.checked_mul(10)?.checked_add(usize::from(digit - b'0'));
    digits.iter().try_fold(0, add).filter(|length| *length <= limit).ok_or(HttpError::BodyTooLong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_digits_within_the_limit() {
        let check = |digits: &str, expected| assert_eq!(length(digits.as_bytes(), 100), expected, "{digits:?}");
        check("0", Ok(0));
        check("007", Ok(7));
        check("100", Ok(100));
        check("101", Err(HttpError::BodyTooLong));
        check("99999999999999999999999999", Err(HttpError::BodyTooLong));
        check("", Err(HttpError::BadFraming));
        check("+1", Err(HttpError::BadFraming));
        check("-1", Err(HttpError::BadFraming));
        check("0x1", Err(HttpError::BadFraming));
        check("1 1", Err(HttpError::BadFraming));
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_at_its_limit() {
        let check = |data: &str, limit, expected| {
            let mut whole = Head::new(limit);
            assert_eq!(whole.push(data.as_bytes()), expected, "{data:?}");
            let mut bytewise = Head::new(limit);
            let end =
                (0..data.len()).map(|at| bytewise.push(&data.as_bytes()[at..=at])).position(|end| end != Ok(None));
            assert_eq!(end.map(|at| at + 1), expected.map_or(Some(limit), |end| end), "{data:?} by bytes");
        };
        check("a\r\n\r\nbody", 16, Ok(Some(5)));
        check("a\n\nbody", 16, Ok(Some(3)));
        check("a\r\nb: c\n\r\n", 16, Ok(Some(10)));
        check("\r\n\n\r\na\r\n\r\n", 16, Ok(Some(10)));
        check("a\r\nb", 16, Ok(None));
        check("a\r\r\n", 16, Ok(None));
        check("12345\r\n\r\n", 9, Ok(Some(9)));
        check("123456\r\n\r\n", 9, Err(HttpError::HeadTooLong));
        check("\n\n\n\n\n\n\n\n\n\n", 9, Err(HttpError::HeadTooLong));
    }
}
