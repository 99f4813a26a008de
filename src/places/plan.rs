//! How an answer is played: its bytes in steps, with pauses, and what becomes of the connection.
//!
//! - A [`Plan`] is data: whoever has the connection and the clock plays it.
//! - Without [`Faults`] it is one step, an HTTP/1.1 response with a length.
//!
//! What the answer says was decided before.

use std::collections::VecDeque;
use std::time::Duration;

use crate::places::faults::{Faults, Framing, Length, Version};
use crate::wire::http_response::reason;

/// An answer to a request, to be played from the first step to the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// What is done, in this order.
    pub steps: VecDeque<Step>,
    /// What follows.
    pub end: End,
    /// The HTTP status that it says, for a log; `None` if it is no HTTP.
    pub status: Option<u16>,
}

/// What is done at once, or what is waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Nothing, for this time.
    Wait(Duration),
    /// These bytes are sent.
    Send(Vec<u8>),
    /// One of these bytes is sent, then nothing for this time, then the next one; there may be millions.
    Drip(VecDeque<u8>, Duration),
}

/// What becomes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// It stays, for the next request.
    KeepOpen,
    /// It ends in good order, once all is sent.
    Close,
    /// It ends once all is sent, over TLS without a close_notify.
    CutOff,
    /// It stays, and nothing is said on it any more.
    Hang,
}

/// What is answered, before anything goes wrong with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Where else to ask.
    pub(super) location: Option<String>,
    pub(super) body: Vec<u8>,
}

impl Plan {
    /// `reply`, with these faults; `keep_alive`: the client wants the connection to stay.
    pub(super) fn new(reply: Reply, keep_alive: bool, faults: &Faults) -> Self {
        let end = match (faults.framing, faults.version) {
            (Framing::CutOff, _) => End::CutOff,
            (Framing::UntilClose, _) | (_, Version::Http10) => End::Close,
            _ if keep_alive => End::KeepOpen,
            _ => End::Close,
        };
        let status = reply.status;
        Self::of_bytes(response(reply, end, faults), end, faults, Some(status))
    }

    /// What is no HTTP.
    pub(super) fn garbage(faults: &Faults) -> Self {
        Self::of_bytes(GARBAGE.to_vec(), End::Close, faults, None)
    }

    /// Nothing, for ever.
    pub(super) fn silence() -> Self {
        Self { steps: VecDeque::new(), end: End::Hang, status: None }
    }

    fn of_bytes(bytes: Vec<u8>, end: End, faults: &Faults, status: Option<u16>) -> Self {
        let mut steps = VecDeque::new();
        let mut left = faults.cut.unwrap_or(usize::MAX);
        let mut send = |mut bytes: Vec<u8>, steps: &mut VecDeque<Step>| {
            bytes.truncate(left);
            left -= bytes.len();
            match faults.drip {
                _ if bytes.is_empty() => {}
                None => steps.push_back(Step::Send(bytes)),
                Some(time) => steps.push_back(Step::Drip(bytes.into(), time)),
            }
        };
        if faults.interim {
            send(INTERIM.to_vec(), &mut steps);
        }
        if !faults.delay.is_zero() {
            steps.push_back(Step::Wait(faults.delay));
        }
        send(bytes, &mut steps);
        let end = if faults.cut.is_some() && end == End::KeepOpen { End::Close } else { end };
        Self { steps, end, status }
    }
}

/// Status line, headers, body.
fn response(reply: Reply, end: End, faults: &Faults) -> Vec<u8> {
    let Reply { status, content_type, location, mut body } = reply;
    if faults.body == Length::Long && body.len() < LONG_BODY {
        body.resize(LONG_BODY, b' ');
    }
    let version = match faults.version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    };
    let mut head = format!("HTTP/{version} {status} {}\r\nContent-Type: {content_type}\r\n", reason(status));
    let length = format!("Content-Length: {}\r\n", body.len());
    match faults.framing {
        // RFC 9110, 8.6 and 15.4.5: these have no body, whatever is said.
        _ if matches!(status, 204 | 304) => body.clear(),
        Framing::Length => head += &length,
        Framing::UntilClose | Framing::CutOff => {}
        Framing::Chunked => head += CHUNKED,
        Framing::TwoLengths => head += &[&length, CHUNKED].concat(),
    }
    if faults.version == Version::Http11 {
        head += if end == End::KeepOpen { "Connection: keep-alive\r\n" } else { "Connection: close\r\n" };
    }
    if let Some(seconds) = faults.retry_after {
        head += &format!("Retry-After: {seconds}\r\n");
    }
    if let Some(location) = location {
        head += &format!("Location: {location}\r\n");
    }
    if faults.head == Length::Long {
        head += &format!("X-Padding: {}\r\n", "x".repeat(LONG_HEAD));
    }
    head += "\r\n";
    let mut bytes = head.into_bytes();
    match faults.framing {
        Framing::Chunked | Framing::TwoLengths if !body.is_empty() => write_chunks(&body, &mut bytes),
        _ => bytes.append(&mut body),
    }
    bytes
}

/// The body in chunks as a reader seldom sees them, and may: each as long as the two before it.
fn write_chunks(body: &[u8], out: &mut Vec<u8>) {
    let (mut rest, mut size, mut next) = (body, 1, 2);
    let mut looks = [(false, ""), (true, ";name=value"), (false, ";name=\"a;\\\"b\";other"), (true, "")].iter().cycle();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(size));
        let (upper, extension) = looks.next().expect("they go on for ever");
        let digits = if *upper { format!("{:X}", chunk.len()) } else { format!("{:x}", chunk.len()) };
        out.extend_from_slice(format!("{digits}{extension}\r\n").as_bytes());
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
        (rest, size, next) = (after, next, size + next);
    }
    out.extend_from_slice(b"0;last\r\nX-Trailer: that is all\r\n\r\n");
}

const CHUNKED: &str = "Transfer-Encoding: chunked\r\nTrailer: X-Trailer\r\n";

const INTERIM: &[u8] =
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";

/// No HTTP, no text, and with a byte of zero.
const GARBAGE: &[u8] = b"\x15\x03\x03\0\x02\x02\x28 this is no HTTP\r\n\xff\xfe\r\n\r\n{\"status\" : \"OK\"}\n";

/// How much a long head is padded with, in bytes: alone more than the 16 KiB that most readers take.
const LONG_HEAD: usize = 16 * 1024;

/// How long a long body is, in bytes: more than 2 MiB.
const LONG_BODY: usize = 2 * 1024 * 1024 + 1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{HttpError, Limits, Status};
    use crate::wire::http_response::ResponseDecoder;

    fn reply() -> Reply {
        Reply { status: 200, content_type: "text/plain", location: None, body: b"0123456789abcdefghijk".to_vec() }
    }

    fn plan(faults: &str) -> Plan {
        Plan::new(reply(), true, &Faults::parse(faults).expect("faults"))
    }

    /// All that is sent, and how long it takes.
    fn sent(plan: &Plan) -> (String, Duration) {
        let (mut bytes, mut time) = (Vec::new(), Duration::ZERO);
        for step in &plan.steps {
            match step {
                Step::Wait(pause) => time += *pause,
                Step::Send(some) => bytes.extend_from_slice(some),
                Step::Drip(some, pause) => {
                    time += *pause * some.len() as u32;
                    bytes.extend(some);
                }
            }
        }
        (String::from_utf8_lossy(&bytes).into_owned(), time)
    }

    #[track_caller]
    fn check(faults: &str, expected: &str, end: End) {
        let plan = plan(faults);
        assert_eq!((sent(&plan).0.as_str(), plan.end), (expected, end), "{faults}");
    }

    const LENGTH: &str = "Content-Length: 21\r\n";
    const BODY: &str = "0123456789abcdefghijk";
    const CHUNKS: &str = "1\r\n0\r\n2;name=value\r\n12\r\n3;name=\"a;\\\"b\";other\r\n345\r\n5\r\n6789a\r\n8\r\nbcdefghi\r\n\
                          2;name=value\r\njk\r\n0;last\r\nX-Trailer: that is all\r\n\r\n";

    /// A response of HTTP/1.1 with this framing, connection header, what follows it, and body.
    fn text([framing, connection, more, body]: [&str; 4]) -> String {
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n{framing}Connection: {connection}\r\n{more}\r\n{body}")
    }

    #[test]
    fn every_fault_has_its_bytes() {
        let good = text([LENGTH, "keep-alive", "", BODY]);
        check("", &good, End::KeepOpen);
        check("delay=5,drip=1", &good, End::KeepOpen);
        check("chunked", &text([CHUNKED, "keep-alive", "", CHUNKS]), End::KeepOpen);
        check("until-close", &text(["", "close", "", BODY]), End::Close);
        check("no-close-notify", &text(["", "close", "", BODY]), End::CutOff);
        check("two-lengths", &text([&[LENGTH, CHUNKED].concat(), "keep-alive", "", CHUNKS]), End::KeepOpen);
        let old =
            |framing: &str, body: &str| format!("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n{framing}\r\n{body}");
        check("http-1.0", &old(LENGTH, BODY), End::Close);
        check("http-1.0,until-close", &old("", BODY), End::Close);
        check("http-1.0,no-close-notify", &old("", BODY), End::CutOff);
        check("retry-after=0", &text([LENGTH, "keep-alive", "Retry-After: 0\r\n", BODY]), End::KeepOpen);
        let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n";
        check("continue", &[interim, &good].concat(), End::KeepOpen);
        let padding = format!("X-Padding: {}\r\n", "x".repeat(16 * 1024));
        check("long-head", &text([LENGTH, "keep-alive", &padding, BODY]), End::KeepOpen);
        let long = [BODY, &" ".repeat(2 * 1024 * 1024 + 1 - BODY.len())].concat();
        check("long-body", &text(["Content-Length: 2097153\r\n", "keep-alive", "", &long]), End::KeepOpen);
        check("cut=20", &good[..20], End::Close);
        check("cut=0", "", End::Close);
        check(&format!("cut={}", good.len() - 1), &good[..good.len() - 1], End::Close);
        check("cut=1000000", &good, End::Close);
        check("cut=30,continue", &[interim, &good].concat()[..30], End::Close);
        check("cut=3,no-close-notify", "HTT", End::CutOff);
    }

    #[test]
    fn what_is_not_http_is_played_likewise() {
        let faults = Faults::parse("cut=4,delay=7").expect("faults");
        let expected = [Step::Wait(Duration::from_millis(7)), Step::Send(b"\x15\x03\x03\0".to_vec())];
        assert_eq!(Plan::garbage(&faults), Plan { steps: expected.into(), end: End::Close, status: None });
        let mut decoder = ResponseDecoder::new(Limits::default());
        assert_eq!(decoder.decode(GARBAGE), Err(HttpError::BadHead));
        assert_eq!(Plan::silence(), Plan { steps: VecDeque::new(), end: End::Hang, status: None });
    }

    #[test]
    fn time_passes_where_it_was_asked_for() {
        let (bytes, time) = sent(&plan("delay=30,drip=2"));
        assert_eq!(time, Duration::from_millis(30 + 2 * bytes.len() as u64));
        let mut steps = plan("continue,delay=30").steps;
        assert!(matches!(steps.make_contiguous(), [Step::Send(_), Step::Wait(_), Step::Send(_)]));
    }

    #[test]
    fn a_client_that_wants_the_end_gets_it() {
        let plan = Plan::new(reply(), false, &Faults::default());
        assert_eq!((sent(&plan).0, plan.end), (text([LENGTH, "close", "", BODY]), End::Close));
    }

    #[test]
    fn a_status_without_a_body_has_none() {
        for faults in ["", "chunked", "long-body"] {
            let reply = Reply { status: 304, ..reply() };
            let plan = Plan::new(reply, true, &Faults::parse(faults).expect("faults"));
            let expected = "HTTP/1.1 304 \r\nContent-Type: text/plain\r\nConnection: keep-alive\r\n\r\n";
            assert_eq!((sent(&plan).0.as_str(), plan.end), (expected, End::KeepOpen), "{faults}");
        }
    }

    #[test]
    fn what_is_odd_and_right_is_read_as_it_was_meant() {
        for faults in ["chunked", "continue", "continue,chunked,retry-after=3", "http-1.0"] {
            let mut decoder = ResponseDecoder::new(Limits::default());
            let Ok(Status::Complete { message, .. }) = decoder.decode(sent(&plan(faults)).0.as_bytes()) else {
                panic!("{faults}")
            };
            assert_eq!(message.body, BODY.as_bytes(), "{faults}");
        }
        for (faults, error) in [
            ("two-lengths", HttpError::BadFraming),
            ("long-head", HttpError::HeadTooLong),
            ("long-body", HttpError::BodyTooLong),
        ] {
            let mut decoder = ResponseDecoder::new(Limits::default());
            assert_eq!(decoder.decode(sent(&plan(faults)).0.as_bytes()), Err(error), "{faults}");
        }
    }
}
