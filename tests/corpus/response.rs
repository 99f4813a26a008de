//! What holds for whatever Places says: any split gives the same responses within the limits, none is shorter than it was
//! said to be, when to ask again is what it says, and of an answer no more than the wanted results and nothing else is lost.

use std::ops::Range;
use std::time::{Duration, SystemTime};

use proxy_herd::places::answer::Answer;
use proxy_herd::places::mapping;
use proxy_herd::wire::http::{HttpError, Limits, Status};
use proxy_herd::wire::http_response::{Response, ResponseDecoder};
use proxy_herd::wire::retry_after::RetryAfter;
use serde_json::Value;

use crate::framing::{self, Framing};
use crate::messages::messages;
use crate::pieces;

/// Takes `bytes` for what Places says until it ends.
///
/// # Panics
/// If something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let said = conversation([bytes].into_iter());
    for pieces in pieces::splits(bytes) {
        assert_eq!(conversation(pieces.into_iter()), said);
    }
    for (response, place) in &said.responses {
        let bytes = &bytes[place.clone()];
        check_response(response);
        check_retry_after(response, bytes);
        let has_body = !matches!(response.status, 204 | 304);
        assert!(Framing::of(bytes) != Framing::Unsaid || !has_body, "it did not say where it ends");
        check_cuts(bytes);
    }
    if let Ok(response) = &said.ending {
        let bytes = &bytes[said.taken()..];
        assert!(!response.keep_alive, "its end was the connection's");
        check_response(response);
        check_retry_after(response, bytes);
        assert_eq!(Framing::of(bytes), Framing::Unsaid, "its end is not the connection's");
    }
}

#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Conversation {
    /// Those that ended by themselves, and where they stand.
    pub(crate) responses: Vec<(Response, Range<usize>)>,
    /// What the end of the bytes, or the first thing wrong with them, makes of the others.
    pub(crate) ending: Result<Response, HttpError>,
}

impl Conversation {
    /// Where the last response ends that ended by itself.
    pub(crate) fn taken(&self) -> usize {
        self.responses.last().map_or(0, |(_, place)| place.end)
    }
}

/// What is said in these pieces until the connection ends.
pub(crate) fn conversation<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Conversation {
    let mut decoder = ResponseDecoder::new(LIMITS);
    let (responses, said) = messages(pieces, |piece| decoder.decode(piece));
    Conversation { responses, ending: said.and_then(|()| decoder.finish()) }
}

/// It keeps the limits, and is understood.
fn check_response(response: &Response) {
    assert!((200..1_000).contains(&response.status));
    assert!(response.body.len() <= LIMITS.body);
    assert!(!matches!(response.status, 204 | 304) || response.body.is_empty());
    check_answer(&response.body);
    // An answer of the new API is one of the legacy API when it is mapped.
    if let Ok(legacy) = mapping::legacy(&response.body) {
        assert!(Answer::read(legacy).is_ok());
    }
}

/// It is the first header's, and what is neither seconds nor a date is nothing.
fn check_retry_after(response: &Response, bytes: &[u8]) {
    let said = framing::values(&framing::head(bytes), "Retry-After").first().copied().unwrap_or_default();
    let is_number = !said.is_empty() && said.iter().all(u8::is_ascii_digit);
    match response.retry_after {
        Some(RetryAfter::In(time)) => {
            let seconds = str::from_utf8(said).expect("digits").parse().unwrap_or(u64::MAX);
            assert!(is_number && time == Duration::from_secs(seconds));
        }
        Some(when @ RetryAfter::At(time)) => {
            assert!(said.len() >= "Sun Nov  6 08:49:37 1994".len(), "{} is no date", said.escape_ascii());
            let epoch = SystemTime::UNIX_EPOCH;
            assert_eq!(
                (when.wait(epoch), when.wait(time)),
                (time.duration_since(epoch).expect("later"), Duration::ZERO)
            );
        }
        None => assert!(!is_number, "{} is a number", said.escape_ascii()),
    }
}

/// However a response that ends by itself is cut, it is none: a few of its cuts, the last ones too.
fn check_cuts(response: &[u8]) {
    for length in [response.len() - 1, response.len().saturating_sub(2), response.len() / 2, response.len() / 3] {
        let mut decoder = ResponseDecoder::new(LIMITS);
        assert_eq!(decoder.decode(&response[..length]), Ok(Status::Partial));
        let ending = decoder.finish();
        assert!(matches!(ending, Err(HttpError::CutShort | HttpError::Silent)), "cut at {length}: {ending:?}");
    }
}

fn check_answer(body: &[u8]) {
    let Ok(answer) = Answer::read(body.to_vec()) else { return };
    for bound in [0, 1, 2, 5, 19, 20, 21] {
        let text = answer.text(bound);
        let (json, end) = text.split_at(text.len() - 2);
        assert_eq!(end, b"\n\n");
        assert!(!json.ends_with(b"\n") && !json.windows(2).any(|pair| pair == b"\n\n"));
        let again = Answer::read(text.clone()).expect("an answer stays one");
        assert_eq!((again.status(), again.text(bound)), (answer.status(), text.clone()));
        // What nests too deeply, or has a number that no float holds, is Google's and the client's business.
        let (Ok(whole), Ok(cut)) = (serde_json::from_slice::<Value>(body), serde_json::from_slice::<Value>(json))
        else {
            continue;
        };
        assert_eq!(cut, with_at_most(whole, bound.min(Answer::RESULTS_LIMIT)));
    }
}

fn with_at_most(mut answer: Value, bound: usize) -> Value {
    if let Some(results) = answer.get_mut("results").and_then(Value::as_array_mut) {
        results.truncate(bound);
    }
    answer
}

/// Small ones, so that what is too long is still a small file.
pub(crate) const LIMITS: Limits = Limits { head: 2 * 1024, body: 4 * 1024 };
