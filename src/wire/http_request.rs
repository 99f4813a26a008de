//! A request of HTTP/1.1: written for Places, and decoded by the stand-in.
//!
//! - What is written is checked byte by byte, so that nothing in a target or a header can begin another line.
//! - A target and a header may hold a key: a [`Request`] shows only its path.
//!
//! What it does not do: it writes no body in chunks, and knows no `Expect`.

use std::error::Error;
use std::fmt;

use crate::wire::http::{Body, End, Framing, HEADERS_LIMIT, Head, HttpError, Limits, Status, parsed};

/// A request's head, being written.
pub struct RequestHead(Vec<u8>);

impl RequestHead {
    /// `GET target` for `host`, a name or address with its port if that is not the scheme's own, accepting JSON.
    ///
    /// # Errors
    /// If the host or the target has a byte that is not a visible ASCII character, or the target does not start with `/`.
    pub fn get(host: &str, target: &str) -> Result<Self, Unwritable> {
        Self::begin("GET", host, target)
    }

    /// `POST target`, likewise, for [`finish_with`](Self::finish_with) a body.
    ///
    /// # Errors
    /// As of [`get`](Self::get).
    pub fn post(host: &str, target: &str) -> Result<Self, Unwritable> {
        Self::begin("POST", host, target)
    }

    fn begin(method: &str, host: &str, target: &str) -> Result<Self, Unwritable> {
        if !target.starts_with('/') || ![host, target].into_iter().all(is_word) {
            return Err(Unwritable);
        }
        Self(format!("{method} {target} HTTP/1.1\r\n").into_bytes())
            .header("Host", host)?
            .header("Accept", "application/json")?
            .header("User-Agent", USER_AGENT)?
            .header("Connection", "keep-alive")
    }

    /// Adds a header.
    ///
    /// # Errors
    /// If the value has a byte that is not a visible ASCII character.
    pub fn header(mut self, name: &'static str, value: &str) -> Result<Self, Unwritable> {
        if !is_word(value) {
            return Err(Unwritable);
        }
        for part in [name, ": ", value, "\r\n"] {
            self.0.extend_from_slice(part.as_bytes());
        }
        Ok(self)
    }

    /// The bytes to send, for a request without a body.
    pub fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }

    /// The bytes to send, for a request with this JSON as its body.
    pub fn finish_with(mut self, json: &[u8]) -> Vec<u8> {
        let length = json.len();
        self.0.extend_from_slice(
            format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        );
        self.0.extend_from_slice(json);
        self.0
    }
}

/// A target, host or header value that would not stay in its place on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unwritable;

impl fmt::Display for Unwritable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a part of an HTTP request is empty, or has a byte that is not a visible ASCII character")
    }
}

impl Error for Unwritable {}

/// A whole request.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent: `GET`.
    pub method: String,
    /// The target, as sent: `/path?query`.
    pub target: String,
    /// The headers, in their order.
    pub headers: Headers,
    /// The body, without any transfer coding.
    pub body: Vec<u8>,
    /// Whether the client wants the connection to stay.
    pub keep_alive: bool,
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Also of somebody who has forgotten the question mark.
        let path = self.target.split(['?', '&']).next().unwrap_or_default();
        write!(formatter, "{} {path} ({} bytes)", self.method, self.body.len())
    }
}

/// The headers of a message. They may hold a key: not for `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// The value of the first header of this name, in whatever case.
    pub fn find(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_slice())
    }
}

/// For those who make a request by hand.
impl FromIterator<(String, Vec<u8>)> for Headers {
    fn from_iter<Each: IntoIterator<Item = (String, Vec<u8>)>>(headers: Each) -> Self {
        Self(headers.into_iter().collect())
    }
}

/// Turns bytes into requests.
pub struct RequestDecoder {
    limits: Limits,
    head: Head,
    begun: Option<(Request, Body)>,
}

impl RequestDecoder {
    /// A decoder at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { limits, head: Head::new(limits.head), begun: None }
    }

    /// Takes the next bytes, up to the end of one request; bytes after it (`consumed < data.len()`) are the next one's.
    ///
    /// # Errors
    /// What the bytes lack to be a request within the limits. Answer [`HttpError::status`] and close.
    pub fn decode(&mut self, data: &[u8]) -> Result<Status<Request>, HttpError> {
        let mut consumed = 0;
        if self.begun.is_none() {
            let Some(taken) = self.head.push(data)? else { return Ok(Status::Partial) };
            consumed = taken;
            self.begun = Some(begin(self.head.bytes(), self.limits)?);
            self.head = Head::new(self.limits.head);
        }
        let (request, mut body) = self.begun.take().expect("begun above, or by an earlier call");
        match body.push(&data[consumed..])? {
            Some(taken) => {
                let message = Request { body: body.into_bytes(), ..request };
                Ok(Status::Complete { message, consumed: consumed + taken })
            }
            None => {
                self.begun = Some((request, body));
                Ok(Status::Partial)
            }
        }
    }
}

/// What a whole head begins.
fn begin(head: &[u8], limits: Limits) -> Result<(Request, Body), HttpError> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_LIMIT];
    let mut request = httparse::Request::new(&mut headers);
    parsed(request.parse(head))?;
    let framing = Framing::read(request.version, request.headers, limits)?;
    let hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host")).count();
    let (Some(method), Some(target), Some(version)) = (request.method, request.path, request.version) else {
        return Err(HttpError::BadHead);
    };
    // RFC 9112, 3.2: exactly one Host, and a server must say so.
    if hosts > 1 || hosts == 0 && version == 1 {
        return Err(HttpError::BadHead);
    }
    let (method, target) = (method.to_owned(), target.to_owned());
    let headers = request.headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect();
    let request = Request { method, target, headers, body: Vec::new(), keep_alive: framing.keep_alive };
    Ok((request, Body::new(framing.body(End::Length(0)), limits)))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

const USER_AGENT: &str = concat!("proxy-herd/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    const LIMITS: Limits = Limits { head: 256, body: 10 };

    fn requests<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Request>, HttpError> {
        let mut decoder = RequestDecoder::new(LIMITS);
        let mut requests = Vec::new();
        for mut piece in pieces {
            while let Status::Complete { message, consumed } = decoder.decode(piece)? {
                requests.push(message);
                piece = &piece[consumed..];
            }
        }
        Ok(requests)
    }

    /// `expected`: the requests as `method target body`, one that keeps the connection ending with `+`.
    fn check(text: &str, expected: Result<&[&str], HttpError>) {
        let whole = requests([text.as_bytes()].into_iter());
        assert_eq!(requests(text.as_bytes().chunks(1)), whole, "{text:?} by bytes");
        let shown = whole.map(|requests| {
            let show = |Request { method, target, body, keep_alive, .. }: &Request| {
                format!("{method} {target} {}{}", String::from_utf8_lossy(body), if *keep_alive { "+" } else { "" })
            };
            requests.iter().map(show).collect::<Vec<_>>()
        });
        assert_eq!(shown, expected.map(|texts| texts.iter().map(|text| text.to_string()).collect()), "{text:?}");
    }

    #[test]
    fn requests_follow_each_other() {
        let get = "GET /a?b=c HTTP/1.1\r\nHost: h\r\n\r\n";
        let post = "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
        let chunked = "POST /q HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        check(get, Ok(&["GET /a?b=c +"]));
        check(
            &format!("{get}{post}{chunked}{get}"),
            Ok(&["GET /a?b=c +", "POST /p abc+", "POST /q a+", "GET /a?b=c +"]),
        );
        check(&format!("\r\n{get}"), Ok(&["GET /a?b=c +"]));
        check("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", Ok(&["GET / "]));
        check("GET / HTTP/1.0\r\n\r\n", Ok(&["GET / "]));
        check("GET / HTTP/1.1\r\nHost: h\r\n", Ok(&[]));
        check("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na", Ok(&[]));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        check("GET / HTTP/1.1\r\n\r\n", Err(HttpError::BadHead));
        check("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", Err(HttpError::BadHead));
        check("GET / HTTP/2.0\r\nHost: h\r\n\r\n", Err(HttpError::BadHead));
        check("\x16\x03\x01\n\n", Err(HttpError::BadHead));
        check(
            "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            Err(HttpError::BadFraming),
        );
        let sized = |length: &str| format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n0123456789a");
        check(&sized("11"), Err(HttpError::BodyTooLong));
        let padded = |pad| format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "h".repeat(pad));
        let most = LIMITS.head - padded(0).len();
        check(&padded(most), Ok(&["GET / +"]));
        check(&padded(most + 1), Err(HttpError::HeadTooLong));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let bytes = RequestHead::get("example.org:8080", "/a?b=c").expect("writable").finish();
        let version = env!("CARGO_PKG_VERSION");
        let expected = format!(
            "GET /a?b=c HTTP/1.1\r\nHost: example.org:8080\r\nAccept: application/json\r\nUser-Agent: proxy-herd/{version}\r\n\
             Connection: keep-alive\r\n\r\n"
        );
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        check(&expected, Ok(&["GET /a?b=c +"]));

        let head = RequestHead::post("h", "/a").and_then(|head| head.header("X-Key", "k")).expect("writable");
        let read = requests([&head.finish_with(b"{\"a\":1}")[..]].into_iter()).expect("a request");
        let [request] = &read[..] else { panic!("{read:?}") };
        assert_eq!((request.method.as_str(), &request.body[..]), ("POST", &b"{\"a\":1}"[..]));
        let find = |name| request.headers.find(name);
        assert_eq!(find("x-key"), Some(&b"k"[..]));
        assert_eq!(find("CONTENT-TYPE"), Some(&b"application/json"[..]));
        assert_eq!(find("X-Other"), None);
    }

    #[test]
    fn nothing_written_can_leave_its_place() {
        for bad in ["", "/a b", "/a\r\nX: y", "/a\n", "/\0", "/é", "a"] {
            assert!(RequestHead::get("h", bad).is_err(), "target {bad:?}");
        }
        for bad in ["", "a b", "a\r\nX: y", "a\n", "é"] {
            assert!(RequestHead::get(bad, "/").is_err(), "host {bad:?}");
            assert!(RequestHead::get("h", "/").and_then(|head| head.header("X-Key", bad)).is_err(), "value {bad:?}");
        }
    }

    #[test]
    fn a_request_does_not_show_its_query_nor_its_headers() {
        for target in ["/a?key=secret", "/a&key=secret"] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\nX-Key: secret\r\n\r\n");
            let request = requests([request.as_bytes()].into_iter()).expect("a request");
            assert_eq!(format!("{request:?}"), "[GET /a (0 bytes)]");
        }
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_requests(
            lines in proptest::collection::vec(select(vec![
                "GET / HTTP/1.1\r\n", "POST /a HTTP/1.1\r\n", "Host: h\r\n", "Content-Length: 2\r\n", "\r\n", "\r\nab", "\r", "x",
                "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", "0\r\n\r\n",
            ]), 0..12),
            size in 1..40usize,
        ) {
            let bytes = lines.concat().into_bytes();
            prop_assert_eq!(requests(bytes.chunks(size)), requests([&bytes[..]].into_iter()));
        }
    }
}
