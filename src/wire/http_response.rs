//! A response of HTTP/1.1, decoded from whatever arrived.
//!
//! - The decoder is for answers to GET and POST: interim (1xx) heads are skipped, 204 and 304 have no body, every other
//!   status has one (RFC 9112, 6.3). `101 Switching Protocols` is an error: nobody asked for it.
//! - A body without a length runs until the connection ends. Over TLS only a clean end may be told to
//!   [`ResponseDecoder::finish`]: without close_notify the body was cut short.
//!
//! Redirects are responses like others. Headers are read for the framing and for `Retry-After`, and then forgotten.

use crate::wire::http::{Body, End, Framing, HEADERS_LIMIT, Head, HttpError, Limits, Status, parsed};
use crate::wire::retry_after::RetryAfter;

/// A whole response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code, 200 to 999.
    pub status: u16,
    /// The body, without any transfer coding.
    pub body: Vec<u8>,
    /// Whether the connection can take another request.
    pub keep_alive: bool,
    /// When to ask again, if it says so in a way that can be understood.
    pub retry_after: Option<RetryAfter>,
}

/// Turns bytes into responses.
pub struct ResponseDecoder {
    limits: Limits,
    head: Head,
    begun: Option<Begun>,
}

/// A response whose head is known.
struct Begun {
    status: u16,
    keep_alive: bool,
    retry_after: Option<RetryAfter>,
    body: Body,
}

impl ResponseDecoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, head: Head::new(limits.head), begun: None }
    }

    /// Takes the next bytes, up to the end of one response. Bytes after it (`consumed < data.len()`) are the next one's:
    /// if no other request is out, the server is not to be trusted with one.
    ///
    /// # Errors
    /// What the bytes lack to be a response within the limits. Drop the decoder with its connection.
    pub fn decode(&mut self, data: &[u8]) -> Result<Status<Response>, HttpError> {
        let mut consumed = 0;
        loop {
            let rest = &data[consumed..];
            if let Some(begun) = &mut self.begun {
                let Some(taken) = begun.body.push(rest)? else { return Ok(Status::Partial) };
                let Begun { status, keep_alive, retry_after, body } =
                    self.begun.take().expect("matched two lines above");
                let message = Response { status, keep_alive, retry_after, body: body.into_bytes() };
                return Ok(Status::Complete { message, consumed: consumed + taken });
            }
            let Some(taken) = self.head.push(rest)? else { return Ok(Status::Partial) };
            consumed += taken;
            self.begun = begin(self.head.bytes(), self.limits)?;
            if self.begun.is_some() {
                self.head = Head::new(self.limits.head);
            } else {
                self.head.clear();
            }
        }
    }

    /// The connection has ended, cleanly: a body without a length is whole now.
    ///
    /// # Errors
    /// [`HttpError::Silent`] between responses, [`HttpError::CutShort`] within one.
    pub fn finish(self) -> Result<Response, HttpError> {
        match self.begun {
            Some(Begun { status, keep_alive, retry_after, body }) => {
                Ok(Response { status, keep_alive, retry_after, body: body.finish()? })
            }
            None if self.head.is_untouched() => Err(HttpError::Silent),
            None => Err(HttpError::CutShort),
        }
    }
}

/// What a whole head begins; `None` if it is an interim one.
fn begin(head: &[u8], limits: Limits) -> Result<Option<Begun>, HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
    let mut response = httparse::Response::new(&mut headers);
    parsed(response.parse(head))?;
    let framing = Framing::read(response.version, response.headers, limits)?;
    let status = response.code.ok_or(HttpError::BadHead)?;
    let end = match status {
        0..=99 | 101 => return Err(HttpError::BadHead),
        100..=199 => return Ok(None),
        204 | 304 => End::Length(0),
        _ => framing.body(End::Close),
    };
    let keep_alive = framing.keep_alive && !matches!(end, End::Close);
    let mut headers = response.headers.iter();
    let retry_after = headers.find(|header| header.name.eq_ignore_ascii_case("retry-after"));
    let retry_after = retry_after.and_then(|header| RetryAfter::parse(header.value));
    Ok(Some(Begun { status, keep_alive, retry_after, body: Body::new(end, limits) }))
}

/// The phrase for a person who reads the wire; empty for statuses that are seldom sent (RFC 9112, 4).
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        413 => "Content Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { head: 256, body: 10 };

    /// Everything that a server says until it closes: the responses, then how it ended.
    fn conversation<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Response>, Result<(), HttpError>) {
        let mut decoder = ResponseDecoder::new(LIMITS);
        let mut responses = Vec::new();
        for mut piece in pieces {
            loop {
                match decoder.decode(piece) {
                    Ok(Status::Partial) => break,
                    Ok(Status::Complete { message, consumed }) => {
                        assert!(message.body.len() <= LIMITS.body);
                        responses.push(message);
                        piece = &piece[consumed..];
                    }
                    Err(error) => return (responses, Err(error)),
                }
            }
            assert!(decoder.head.bytes().len() <= LIMITS.head);
        }
        match decoder.finish() {
            Ok(last) => responses.push(last),
            Err(HttpError::Silent) => {}
            Err(error) => return (responses, Err(error)),
        }
        (responses, Ok(()))
    }

    fn bytewise(text: &str) -> (Vec<Response>, Result<(), HttpError>) {
        conversation(text.as_bytes().chunks(1))
    }

    /// `expected`: the responses as `status body`, an answer that keeps the connection ending with `+`.
    fn check(text: &str, expected: &[&str], end: Result<(), HttpError>) {
        let (responses, ended) = conversation([text.as_bytes()].into_iter());
        let shown: Vec<String> = responses
            .iter()
            .map(|response| {
                let body = String::from_utf8_lossy(&response.body);
                format!("{} {body}{}", response.status, if response.keep_alive { "+" } else { "" })
            })
            .collect();
        assert_eq!((shown, ended), (expected.iter().map(|text| text.to_string()).collect(), end), "{text:?}");
        assert_eq!(bytewise(text), (responses, ended), "{text:?} by bytes");
    }

    #[test]
    fn a_length_chunks_or_the_end_of_the_connection_end_a_body() {
        check("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", &["200 abc+"], Ok(()));
        check("HTTP/1.1 200\r\ncontent-length:0\r\n\r\n", &["200 +"], Ok(()));
        check("HTTP/1.1 200 OK\nContent-Length: 1\n\na", &["200 a+"], Ok(()));
        check("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n", &["200 a+"], Ok(()));
        check("HTTP/1.1 200 OK\r\n\r\nabc", &["200 abc"], Ok(()));
        check("HTTP/1.1 200 OK\r\n\r\n", &["200 "], Ok(()));
        check("HTTP/1.1 204 No Content\r\n\r\n", &["204 +"], Ok(()));
        check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", &["304 +"], Ok(()));
        check("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", &["302 +"], Ok(()));
        check("", &[], Ok(()));
    }

    #[test]
    fn one_after_another_on_one_connection() {
        let a = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na";
        let b = "HTTP/1.1 500 Oh\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nb\r\n0\r\nT: t\r\n\r\n";
        let c = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 1\r\n\r\nc";
        check(&format!("{a}{b}{a}{c}"), &["200 a+", "500 b+", "200 a+", "200 c"], Ok(()));
        check(&format!("{a}\r\n\r\n{b}"), &["200 a+", "500 b+"], Ok(()));
        check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", &["200 a"], Ok(()));
        check("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", &["200 a"], Ok(()));
    }

    #[test]
    fn interim_answers_are_skipped_but_not_for_ever() {
        let interim = "HTTP/1.1 100 Continue\r\n\r\n";
        let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        check(&format!("{interim}HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n{last}"), &["200 +"], Ok(()));
        check(interim, &[], Err(HttpError::CutShort));
        check(&interim.repeat(LIMITS.head / interim.len() + 1), &[], Err(HttpError::HeadTooLong));
        check("HTTP/1.1 101 Switching Protocols\r\n\r\n", &[], Err(HttpError::BadHead));
        check("HTTP/1.1 099 Low\r\n\r\n", &[], Err(HttpError::BadHead));
    }

    #[test]
    fn a_response_cut_short_is_an_error() {
        for cut in [
            "H",
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n",
        ] {
            check(cut, &[], Err(HttpError::CutShort));
        }
    }

    #[test]
    fn framing_that_can_be_read_in_two_ways_is_refused() {
        let check = |headers: &str, end: Result<(), HttpError>| {
            let expected: &[&str] = if end.is_ok() { &["200 abc+"] } else { &[] };
            check(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\nabc"), expected, end);
        };
        check("Content-Length: 3", Ok(()));
        check("Content-Length: 3\r\nContent-Length: 3", Ok(()));
        check("Content-Length: 3, 3", Ok(()));
        check("Content-Length: 3\r\nContent-Length: 2", Err(HttpError::BadFraming));
        check("Content-Length: 3, 2", Err(HttpError::BadFraming));
        check("Content-Length:", Err(HttpError::BadFraming));
        check("Content-Length: three", Err(HttpError::BadFraming));
        check("Content-Length: 3\r\nTransfer-Encoding: chunked", Err(HttpError::BadFraming));
        check("Transfer-Encoding: gzip", Err(HttpError::BadFraming));
        check("Transfer-Encoding: gzip, chunked", Err(HttpError::BadFraming));
        check("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", Err(HttpError::BadFraming));
        check("Content-Length : 3", Err(HttpError::BadHead));
        check("A: b\r\n folded: c", Err(HttpError::BadHead));
        check("nonsense", Err(HttpError::BadHead));
    }

    #[test]
    fn limits_hold_at_the_limit_and_one_past_it() {
        let padded = |pad| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: {}\r\n\r\n", "x".repeat(pad));
        let most = LIMITS.head - padded(0).len();
        check(&padded(most), &["200 +"], Ok(()));
        check(&padded(most + 1), &[], Err(HttpError::HeadTooLong));
        let framed = |framing: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{framing}\r\n{body}");
        check(&framed("Content-Length: 10\r\n", "0123456789"), &["200 0123456789+"], Ok(()));
        check(&framed("Content-Length: 11\r\n", "0123456789a"), &[], Err(HttpError::BodyTooLong));
        check(&framed("", "0123456789"), &["200 0123456789"], Ok(()));
        check(&framed("", "0123456789a"), &[], Err(HttpError::BodyTooLong));
        let chunked = "Transfer-Encoding: chunked\r\n";
        check(&framed(chunked, "a\r\n0123456789\r\n0\r\n\r\n"), &["200 0123456789+"], Ok(()));
        check(&framed(chunked, "a\r\n0123456789\r\n1\r\na\r\n0\r\n\r\n"), &[], Err(HttpError::BodyTooLong));
    }

    #[test]
    fn headers_have_a_number_too() {
        let decode = |count| {
            let text = format!("HTTP/1.1 204 No Content\r\n{}\r\n", "a:\r\n".repeat(count));
            ResponseDecoder::new(Limits::default()).decode(text.as_bytes())
        };
        assert!(matches!(decode(HEADERS_LIMIT), Ok(Status::Complete { .. })));
        assert_eq!(decode(HEADERS_LIMIT + 1), Err(HttpError::HeadTooLong));
    }

    /// Pieces of responses, good and bad, that meet the decoder in any order.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
            Just(b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
            Just(b"Content-Length: 2\r\n".to_vec()),
            Just(b"Transfer-Encoding: chunked\r\n\r\n".to_vec()),
            Just(b"1\r\na\r\n".to_vec()),
            Just(b"0\r\n\r\n".to_vec()),
            Just(b"\r\n".to_vec()),
            Just(b"\r\nab".to_vec()),
            proptest::collection::vec(any::<u8>(), 0..4),
        ]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_conversation(
            pieces in proptest::collection::vec(piece(), 0..12),
            cuts in proptest::collection::vec(1..40usize, 1..40),
        ) {
            let bytes = pieces.concat();
            let (mut rest, mut split) = (&bytes[..], Vec::new());
            for cut in cuts.iter().cycle() {
                let (piece, after) = rest.split_at(rest.len().min(*cut));
                split.push(piece);
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(conversation(split.into_iter()), conversation([&bytes[..]].into_iter()));
        }
    }
}
