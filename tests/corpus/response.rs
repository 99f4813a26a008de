//! What holds for whatever Places says: any split gives the same responses within the limits, none is shorter than it was
//! said to be, and of an answer no more than the wanted results and nothing else is lost.

use std::ops::Range;

use proxy_herd::places::answer::Answer;
use proxy_herd::wire::http::{HttpError, Limits, Status};
use proxy_herd::wire::http_response::{Response, ResponseDecoder};
use serde_json::Value;

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
        check_response(response);
        check_framing(&bytes[place.clone()]);
        check_cuts(&bytes[place.clone()]);
    }
    if let Ok(response) = &said.ending {
        let start = said.responses.last().map_or(0, |(_, place)| place.end);
        assert!(!response.keep_alive, "its end was the connection's");
        check_response(response);
        check_framing(&bytes[start..]);
    }
}

#[derive(PartialEq, Eq, Debug)]
struct Conversation {
    /// Those that ended by themselves, and where they stand.
    responses: Vec<(Response, Range<usize>)>,
    /// What the end of the bytes, or the first thing wrong with them, makes of the others.
    ending: Result<Response, HttpError>,
}

fn conversation<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Conversation {
    let mut decoder = ResponseDecoder::new(LIMITS);
    let mut responses: Vec<(Response, Range<usize>)> = Vec::new();
    let mut fed = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let (message, consumed) = match decoder.decode(piece) {
                Ok(Status::Partial) => (None, piece.len()),
                Ok(Status::Complete { message, consumed }) => (Some(message), consumed),
                Err(error) => return Conversation { responses, ending: Err(error) },
            };
            assert!((1..=piece.len()).contains(&consumed), "a message has a byte at least");
            fed += consumed;
            piece = &piece[consumed..];
            let start = responses.last().map_or(0, |(_, place)| place.end);
            responses.extend(message.map(|message| (message, start..fed)));
        }
    }
    Conversation { responses, ending: decoder.finish() }
}

/// It keeps the limits, and is the same when it is written and read again.
fn check_response(response: &Response) {
    assert!((200..1_000).contains(&response.status));
    assert!(response.body.len() <= LIMITS.body);
    assert!(!matches!(response.status, 204 | 304) || response.body.is_empty());
    let mut written = Vec::new();
    response.write_to("application/json", &mut written);
    let Conversation { responses, ending } = conversation([&written[..]].into_iter());
    assert_eq!(responses, [(response.clone(), 0..written.len())]);
    assert_eq!(ending, Err(HttpError::Silent));
    check_answer(&response.body);
}

/// Its head says where it ends by a length or by one coding, never by both.
fn check_framing(response: &[u8]) {
    let lines = response.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
    let head = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    let names = head.filter_map(|line| line.split(|byte| *byte == b':').next()).map(<[u8]>::to_ascii_lowercase);
    let (mut lengths, mut codings) = (0, 0);
    for name in names {
        lengths += usize::from(name == b"content-length");
        codings += usize::from(name == b"transfer-encoding");
    }
    assert!(codings == 0 || (codings, lengths) == (1, 0), "{lengths} lengths beside {codings} codings");
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
const LIMITS: Limits = Limits { head: 2 * 1024, body: 4 * 1024 };
