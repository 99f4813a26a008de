//! What a response of Places means: for those who asked, and for how often Places may be asked. No I/O.
//!
//! A status of HTTP counts only where there is no answer in the body, and where it says that there were too many questions.
//! Whether another upstream is asked instead, and for how long nobody is, is decided elsewhere.

use crate::places::answer::Answer;
use crate::server::provider::Upstream;
use crate::wire::escaped::Escaped;
use crate::wire::http_response::Response;
use crate::wire::retry_after::RetryAfter;

/// What comes of a question that was answered.
pub(super) struct Outcome {
    /// What those who asked are told.
    pub(super) answer: Answer,
    /// What the log says of an answer without places.
    pub(super) detail: String,
    /// What Places says of it itself, for the log; empty if nothing.
    pub(super) said: String,
    /// The upstream's API is not enabled for the key's project.
    pub(super) is_not_enabled: bool,
    /// Places has had too many questions.
    pub(super) is_too_much: bool,
    /// When it wants the next one, if it says so.
    pub(super) retry_after: Option<RetryAfter>,
}

impl Outcome {
    /// Of this response of `upstream`.
    pub(super) fn of(response: Response, upstream: &Upstream) -> Self {
        let Response { status, body, retry_after, .. } = response;
        let is_too_much = status == TOO_MANY_REQUESTS || status == SERVICE_UNAVAILABLE && retry_after.is_some();
        match upstream.read(status, body) {
            Ok(answer) => Self {
                is_not_enabled: upstream.is_not_enabled(&answer),
                is_too_much: is_too_much || answer.status() == Answer::OVER_QUERY_LIMIT,
                detail: complaint(&answer, upstream),
                said: shown(answer.error_message()),
                retry_after,
                answer,
            },
            Err(nonsense) => Self {
                answer: match status {
                    TOO_MANY_REQUESTS => {
                        Answer::over_query_limit("Places has had too many questions. Ask again later.")
                    }
                    _ => Answer::unknown_error("Places gave an answer that makes no sense."),
                },
                detail: match status {
                    300..=399 => format!("HTTP {status}: a redirect, and those are not followed; look at places.url"),
                    _ => format!("HTTP {status}: {nonsense}"),
                },
                said: String::new(),
                is_not_enabled: false,
                is_too_much,
                retry_after,
            },
        }
    }
}

/// What the log says of an answer without places: whose word it is, and what to look at.
fn complaint(answer: &Answer, upstream: &Upstream) -> String {
    let remedy = match answer.status() {
        Answer::REQUEST_DENIED => {
            "; look at the key, at its restrictions, and at what is enabled and billed in its project"
        }
        Answer::OVER_QUERY_LIMIT => "; look at the quotas of the key's project, or set places.rate",
        _ => "",
    };
    format!("says {}{remedy}", upstream.api())
}

/// A message of Places, fit to be logged.
fn shown(message: &str) -> String {
    Escaped(&message.as_bytes()[..message.len().min(MESSAGE_SHOWN)]).to_string()
}

/// How much of a message of Places is logged, in bytes.
const MESSAGE_SHOWN: usize = 512;

/// RFC 6585, 4.
const TOO_MANY_REQUESTS: u16 = 429;

/// RFC 9110, 15.6.4: with Retry-After, it is about us, too.
const SERVICE_UNAVAILABLE: u16 = 503;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::herd::topology::{self, Places, Url};
    use crate::places::key::Key;
    use crate::server::provider::Provider;

    const KEY: &str = "AIzaCanary-of-outcomes-0123456789abcdef";

    fn upstream(provider: topology::Provider) -> Provider {
        let url = Some(Url::parse("http://127.0.0.1:9").expect("a URL"));
        let places = Places { provider, url, ..Places::default() };
        Provider::google(&places, Key::new(KEY).expect("a key")).expect("no TLS is needed")
    }

    /// `expected`: the status that is told, and whether it is too much.
    #[track_caller]
    fn check(status: u16, seconds: Option<u64>, body: &str, expected: (&str, bool)) {
        let Provider::Google(google) = upstream(topology::Provider::Legacy) else { panic!("it is Google") };
        let retry_after = seconds.map(|seconds| RetryAfter::In(Duration::from_secs(seconds)));
        let response = Response { status, body: body.as_bytes().to_vec(), keep_alive: true, retry_after };
        let outcome = Outcome::of(response, &google.upstream);
        assert_eq!((outcome.answer.status(), outcome.is_too_much), expected, "{status} {seconds:?} {body}");
        assert!(!outcome.detail.contains(KEY) && !outcome.is_not_enabled);
        assert_eq!(outcome.retry_after, retry_after);
    }

    const GOOD: &str = r#"{"status":"OK"}"#;

    #[test]
    fn places_that_come_with_a_complaint_are_told_and_the_complaint_is_heard() {
        check(200, None, GOOD, ("OK", false));
        check(200, Some(5), GOOD, ("OK", false));
        check(403, Some(5), GOOD, ("OK", false));
        check(429, None, GOOD, ("OK", true));
        check(503, None, GOOD, ("OK", false));
        check(503, Some(5), GOOD, ("OK", true));
        check(200, None, r#"{"status":"OVER_QUERY_LIMIT"}"#, ("OVER_QUERY_LIMIT", true));
        check(500, Some(5), r#"{"status":"OVER_QUERY_LIMIT"}"#, ("OVER_QUERY_LIMIT", true));
    }

    /// What the log says of a response of the new API: in our words, and in its own.
    fn logged(status: u16, body: &str) -> [String; 2] {
        let Provider::Google(google) = upstream(topology::Provider::New) else { panic!("it is Google") };
        let body = body.as_bytes().to_vec();
        let response = Response { status, body, keep_alive: true, retry_after: None };
        let Outcome { detail, said, .. } = Outcome::of(response, &google.upstream);
        [detail, said]
    }

    #[test]
    fn the_log_says_what_to_look_at() {
        let check = |status: &str, message: &str, [remedy, said]: [&str; 2]| {
            let body = serde_json::json!({ "error": { "message": message, "status": status } }).to_string();
            assert_eq!(logged(200, &body), [format!("says Places API (New){remedy}"), said.to_owned()]);
        };
        let denied = "; look at the key, at its restrictions, and at what is enabled and billed in its project";
        check("PERMISSION_DENIED", "no\n\u{e9}", [denied, "no\\n\\xc3\\xa9"]);
        check("RESOURCE_EXHAUSTED", "", ["; look at the quotas of the key's project, or set places.rate", ""]);
        check("INTERNAL", &"x".repeat(MESSAGE_SHOWN), ["", &"x".repeat(MESSAGE_SHOWN)]);
        check("INTERNAL", &"x".repeat(MESSAGE_SHOWN + 1), ["", &"x".repeat(MESSAGE_SHOWN)]);
        assert_eq!(
            logged(503, "<html>"),
            ["HTTP 503: the answer is not JSON", ""],
            "what we say is not said by Places"
        );
    }

    #[test]
    fn what_is_no_answer_has_one_in_its_place() {
        check(200, None, "", ("UNKNOWN_ERROR", false));
        check(403, Some(5), "<html>", ("UNKNOWN_ERROR", false));
        check(429, None, "<html>", ("OVER_QUERY_LIMIT", true));
        check(429, Some(0), &format!(r#"{{"status":"OK","a":"{KEY}"}}"#), ("OVER_QUERY_LIMIT", true));
        check(503, Some(5), "<html>", ("UNKNOWN_ERROR", true));
        check(503, None, "<html>", ("UNKNOWN_ERROR", false));
    }
}
