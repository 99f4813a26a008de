//! What the decoders of HTTP may hold: no more than their limits, whatever the other end says and in whatever pieces.
//!
//! They are told every response and request of the fuzzers' corpora, and long ones that are made here. What they hold is
//! counted between the pieces: it keeps the limits. While a buffer grows, the counter sees the old one beside the new, for
//! its realloc is that of [`GlobalAlloc`](std::alloc::GlobalAlloc), which copies; so what it sees at most has a limit of its
//! own. (The system's realloc moves the pages of a large buffer, and has no two.)

use std::fs;
use std::path::Path;

use proxy_herd::wire::http::{HEADERS_LIMIT, HttpError, Limits, Status};
use proxy_herd::wire::http_request::RequestDecoder;
use proxy_herd::wire::http_response::ResponseDecoder;

#[test]
fn no_response_makes_the_decoder_hold_more_than_its_limits() {
    let mut most = Held::default();
    for said in corpus("response").chain(long("HTTP/1.1 200 OK\r\n")) {
        for (limits, size) in ways() {
            let mut decoder = ResponseDecoder::new(limits);
            let held = held(&said, size, |piece| decoder.decode(piece));
            // A body begins when its head has been read and forgotten, and nothing else is kept.
            let limit = limits.head.max(limits.body);
            held.check(limit, limit + limit / 2, &said, size);
            most = most.max(held);
        }
    }
    println!("a response decoder held {most:?} bytes");
    assert_eq!(most.between, Limits::default().body as i64);
}

#[test]
fn no_request_makes_the_decoder_hold_more_than_its_limits() {
    let mut most = Held::default();
    for said in corpus("request").chain(long("POST / HTTP/1.1\r\nHost: h\r\n")) {
        for (limits, size) in ways() {
            let mut decoder = RequestDecoder::new(limits);
            let held = held(&said, size, |piece| decoder.decode(piece));
            // The parts of the head are kept, and beside them comes the body; or the whole head was there, a moment ago.
            let head = limits.head + HEADERS_LIMIT * size_of::<(String, Vec<u8>)>();
            held.check(head + limits.body, head + limits.head.max(limits.body + limits.body / 2), &said, size);
            most = most.max(held);
        }
    }
    println!("a request decoder held {most:?} bytes");
    assert!(most.between > Limits::default().body as i64, "the limit was not reached: {most:?}");
}

#[test]
fn a_length_that_is_only_announced_costs_nothing() {
    let Limits { body, .. } = Limits::default();
    let said = format!("HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n");
    let mut decoder = ResponseDecoder::new(Limits::default());
    let held = held(said.as_bytes(), said.len(), |piece| decoder.decode(piece));
    assert_eq!(held, Held { between: 0, within: said.len() as i64 });
}

/// What a decoder owns, in bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Held {
    /// At most, when it has taken in a piece.
    between: i64,
    /// At most, at any time.
    within: i64,
}

impl Held {
    #[track_caller]
    fn check(self, between: usize, within: usize, said: &[u8], size: usize) {
        let holds = self.between <= between as i64 && self.within <= within as i64;
        let start = said[..said.len().min(300)].escape_ascii();
        assert!(holds, "{self:?}, not {between} and {within}, of {start} in pieces of {size}");
    }

    fn max(self, other: Self) -> Self {
        Self { between: self.between.max(other.between), within: self.within.max(other.within) }
    }
}

/// Tells a decoder all that is `said`, until it is an error; a message is dropped when it is complete.
fn held<Message>(
    said: &[u8],
    size: usize,
    mut decode: impl FnMut(&[u8]) -> Result<Status<Message>, HttpError>,
) -> Held {
    let (mut held, mut now) = (Held::default(), 0);
    for mut piece in said.chunks(size) {
        while !piece.is_empty() {
            let mut status = Ok(Status::Partial);
            let cost = allocation_counter::measure(|| status = decode(piece));
            held.within = held.within.max(now + cost.bytes_max as i64);
            now += cost.bytes_current;
            held.between = held.between.max(now);
            piece = match status {
                Ok(Status::Partial) => &[],
                Ok(Status::Complete { message, consumed }) => {
                    now += allocation_counter::measure(|| drop(message)).bytes_current;
                    &piece[consumed..]
                }
                Err(_) => return held,
            };
        }
    }
    held
}

/// The limits that are tried, and sizes of pieces.
fn ways() -> impl Iterator<Item = (Limits, usize)> {
    let small = Limits { head: 2 * 1024, body: 4 * 1024 };
    [small, Limits::default()].into_iter().flat_map(|limits| [1, 7, 1_000, usize::MAX].map(|size| (limits, size)))
}

fn corpus(name: &str) -> impl Iterator<Item = Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = fs::read_dir(folder).expect("the corpus");
    files.map(|file| fs::read(file.expect("a readable folder").path()).expect("a readable file"))
}

/// Messages of this start that are as long as they may be, or longer, in each of the three ways to say where they end.
fn long(start: &str) -> impl Iterator<Item = Vec<u8>> {
    let Limits { head, body } = Limits::default();
    let padded =
        |length: usize| format!("{start}X: {}\r\n\r\n", "x".repeat(length - start.len() - "X: \r\n\r\n".len()));
    let sized = |length: usize| format!("{start}Content-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let chunked = |length: usize, count: usize| {
        let chunk = format!("{length:x};x=y\r\n{}\r\n", "x".repeat(length));
        format!("{start}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n", chunk.repeat(count))
    };
    let chunks = [chunked(body, 1), chunked(body, 2), chunked(body / 500, 501)];
    let close = format!("{start}\r\n{}", "x".repeat(body + 1));
    [padded(head), padded(head + 1), sized(body), sized(body / 2 + 1), sized(body + 1), close]
        .into_iter()
        .chain(chunks)
        .map(String::into_bytes)
}
