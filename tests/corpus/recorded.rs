//! What holds for each recorded response: it becomes what the table says, wherever it is split and whatever follows it, and
//! no answer when it is cut short.
//!
//! The responses are the fuzzers' corpus. One that is not in the table is a failure, and so is one that is only there.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use proxy_herd::wire::http::HttpError::{self, BodyTooLong, CutShort, HeadTooLong, Silent};
use proxy_herd::wire::http::{Limits, Status};
use proxy_herd::wire::http_response::ResponseDecoder;

use crate::framing::Framing;
use crate::outcomes::{Ending, OUTCOMES, Shown};
use crate::response::{Conversation, conversation};

#[test]
fn each_recorded_response_becomes_what_is_written_here() {
    let files = crate::files("response");
    let mut unknown: BTreeSet<_> = files.keys().map(String::as_str).collect();
    for (name, answers, ending) in OUTCOMES {
        assert!(unknown.remove(name), "{name} is not there, or twice in the table");
        let said = conversation([&files[*name][..]].into_iter());
        let responses: Vec<_> = said.responses.into_iter().map(|(response, _)| Shown::of(response)).collect();
        let expected: Vec<_> = answers.iter().map(|answer| answer.shown(name, &files)).collect();
        assert_eq!(responses, expected, "{name}");
        assert_eq!(said.ending.map(Shown::of), ending.map(|answer| answer.shown(name, &files)), "{name}");
    }
    assert!(unknown.is_empty(), "what becomes of these is not in the table: {unknown:?}");
}

#[test]
fn wherever_a_response_is_cut_in_two_it_stays_the_same() {
    for (name, bytes) in crate::files("response") {
        let said = conversation([&bytes[..]].into_iter());
        for at in 0..=bytes.len() {
            let (before, after) = bytes.split_at(at);
            assert_eq!(conversation([before, after].into_iter()), said, "{name} at {at}");
        }
        assert_eq!(conversation(bytes.chunks(1)), said, "{name} byte by byte");
    }
}

#[test]
fn what_is_cut_short_is_no_shorter_answer() {
    for (name, bytes) in crate::files("response") {
        let said = conversation([&bytes[..]].into_iter());
        for at in 0..bytes.len() {
            let cut = conversation([&bytes[..at]].into_iter());
            let whole = said.responses.iter().take_while(|(_, place)| place.end <= at);
            assert!(cut.responses.iter().eq(whole), "{name} until {at}: {cut:?}");
            match cut.ending {
                // The one kind that the decoder cannot know to be cut: TLS tells, by how it ends.
                Ok(_) => assert_eq!(Framing::of(&bytes[cut.taken()..at]), Framing::Unsaid, "{name} until {at}"),
                Err(Silent | CutShort) => {}
                Err(error) => assert_eq!(said.ending, Err(error), "{name} until {at}"),
            }
        }
    }
}

#[test]
fn what_is_too_long_by_the_usual_limits_is_refused() {
    let Limits { head, body } = Limits::default();
    let ending = |said: &str, size: usize| {
        let mut decoder = ResponseDecoder::new(Limits::default());
        let status =
            said.as_bytes().chunks(size).map(|piece| decoder.decode(piece)).find(|it| *it != Ok(Status::Partial));
        match status {
            Some(Ok(Status::Complete { message, .. })) => Ok(message.body.len()),
            Some(Err(error)) => Err(error),
            _ => decoder.finish().map(|response| response.body.len()),
        }
    };
    let check = |said: &str, expected: Result<usize, HttpError>| {
        for size in [1, 16 * 1024, usize::MAX] {
            assert_eq!(ending(said, size), expected, "{} by {size}", said[..100].escape_debug());
        }
    };
    let start = "HTTP/1.1 200 OK\r\n";
    let padded = |length: usize| {
        let length = length - start.len() - "Content-Length: 0\r\nX: \r\n\r\n".len();
        format!("{start}Content-Length: 0\r\nX: {}\r\n\r\n", "x".repeat(length))
    };
    check(&padded(head), Ok(0));
    check(&padded(head + 1), Err(HeadTooLong));
    let filled = |headers: &str, length: usize| format!("{start}{headers}\r\n{}", "x".repeat(length));
    check(&filled("", body), Ok(body));
    check(&filled("", body + 1), Err(BodyTooLong));
    check(&filled(&format!("Content-Length: {body}\r\n"), body), Ok(body));
    check(&filled(&format!("Content-Length: {}\r\n", body + 1), body + 1), Err(BodyTooLong));
    let chunked = |length: usize| {
        format!("{}\r\n0\r\n\r\n", filled(&format!("Transfer-Encoding: chunked\r\n\r\n{length:x}"), length))
    };
    check(&chunked(body), Ok(body));
    check(&chunked(body + 1), Err(BodyTooLong));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn responses_in_any_pieces_follow_each_other(
        whole in proptest::collection::vec(select(names(|ending| matches!(ending, Err(Silent)))), 0..4),
        last in select(names(|_| true)),
        lengths in proptest::collection::vec(prop_oneof![0..4usize, 1..100usize, 1..3_000usize], 1..60),
    ) {
        let files = crate::files("response");
        let names = whole.iter().chain([&last]);
        let each: Vec<_> = names.clone().map(|name| conversation([&files[*name][..]].into_iter())).collect();
        let bytes = names.map(|name| &files[*name][..]).collect::<Vec<_>>().concat();
        let (mut rest, mut pieces) = (&bytes[..], Vec::new());
        for length in lengths.iter().cycle().take(bytes.len()) {
            let (piece, after) = rest.split_at(rest.len().min(*length));
            pieces.push(piece);
            rest = after;
        }
        pieces.push(rest);
        let said = conversation(pieces.into_iter());
        prop_assert_eq!(&said, &conversation([&bytes[..]].into_iter()));
        let responses = |said: &Conversation| -> Vec<_> { said.responses.iter().map(|(one, _)| one.clone()).collect() };
        prop_assert_eq!(responses(&said), each.iter().flat_map(responses).collect::<Vec<_>>());
        prop_assert_eq!(said.ending, each.into_iter().next_back().expect("the last").ending);
    }
}

fn names(is_wanted: fn(&Ending) -> bool) -> Vec<&'static str> {
    OUTCOMES.iter().filter(|(_, _, ending)| is_wanted(ending)).map(|(name, ..)| *name).collect()
}
