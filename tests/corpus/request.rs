//! What holds for whatever the stand-in is asked: any split gives the same requests within the limits, each says in one way
//! where it ends, and none is shorter than it was said to be.

use proxy_herd::wire::http::{HttpError, Limits, Status};
use proxy_herd::wire::http_request::{Request, RequestDecoder, RequestHead};

use crate::framing::{self, Framing};
use crate::messages::{Messages, messages};
use crate::pieces;

/// Takes `bytes` for what one asks who connects to the stand-in.
///
/// # Panics
/// If something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let (requests, ending) = conversation([bytes].into_iter());
    for pieces in pieces::splits(bytes) {
        assert_eq!(conversation(pieces.into_iter()), (requests.clone(), ending));
    }
    for (request, place) in &requests {
        check_request(request, &bytes[place.clone()]);
        check_cuts(&bytes[place.clone()]);
    }
    if let Err(error) = ending {
        assert!((400..500).contains(&error.status()), "the client's fault: {error}");
        assert!(
            !matches!(error, HttpError::CutShort | HttpError::Silent),
            "a decoder of requests is not told of an end"
        );
    }
}

fn conversation<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Messages<Request> {
    let mut decoder = RequestDecoder::new(LIMITS);
    messages(pieces, |piece| decoder.decode(piece))
}

/// It is what its bytes say, and within the limits.
fn check_request(request: &Request, bytes: &[u8]) {
    let head = framing::head(bytes);
    let words: Vec<_> = head[0].split(|byte| *byte == b' ').collect();
    let [method, target, version] = words[..] else { panic!("three words") };
    assert_eq!((request.method.as_bytes(), request.target.as_bytes()), (method, target));
    for name in ["Host", "x-goog-api-key", "X-GOOG-FIELDMASK", "Content-Type"] {
        assert_eq!(request.headers.find(name), framing::values(&head, name).first().copied(), "{name}");
    }
    let hosts = framing::values(&head, "Host");
    assert!(hosts.len() == 1 || hosts.is_empty() && version == b"HTTP/1.0", "{} hosts", hosts.len());
    assert!(!request.keep_alive || version == b"HTTP/1.1");
    assert!(request.body.len() <= LIMITS.body);
    if Framing::of(bytes) == Framing::Unsaid {
        assert_eq!(request.body, b"", "a request without a length has no body");
    }
    check_written(request);
}

/// What can be written of it is read back.
fn check_written(request: &Request) {
    let host = request.headers.find("Host").and_then(|host| str::from_utf8(host).ok()).unwrap_or("h");
    let Ok(head) = RequestHead::post(host, &request.target) else { return };
    let bytes = head.finish_with(&request.body);
    let (mut written, ending) = conversation([&bytes[..]].into_iter());
    if ending == Err(HttpError::HeadTooLong) {
        return;
    }
    let (again, place) = written.pop().expect("it is a request");
    assert_eq!((written.len(), ending, place), (0, Ok(()), 0..bytes.len()));
    assert_eq!((again.target, again.body), (request.target.clone(), request.body.clone()));
    assert_eq!(again.headers.find("host"), Some(host.as_bytes()));
}

/// However a request is cut, it is none: a few of its cuts, the last ones too.
fn check_cuts(request: &[u8]) {
    for length in [request.len() - 1, request.len().saturating_sub(2), request.len() / 2, request.len() / 3] {
        assert_eq!(RequestDecoder::new(LIMITS).decode(&request[..length]), Ok(Status::Partial));
    }
}

/// Small ones, so that what is too long is still a small file.
const LIMITS: Limits = Limits { head: 2 * 1024, body: 4 * 1024 };
