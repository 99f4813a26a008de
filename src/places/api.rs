//! Google's two APIs for what is near: how each is asked and read, and when the legacy one is not enabled for a project.
//!
//! Since October 2026 a new Google project can only enable Places API (New); keys of older projects keep the legacy one. What a
//! client is told has the legacy shape, whoever was asked.

use std::fmt;

use crate::herd::topology::Url;
use crate::places::answer::{Answer, Nonsense};
use crate::places::key::Key;
use crate::places::mapping;
use crate::places::question::Question;

/// Whom of Google is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Nearby Search (Legacy): a GET, the key in the URL; its answers are passed on.
    Legacy,
    /// Nearby Search (New): a POST, the key in a header; its answers are [`mapping::legacy`]'s.
    New,
}

impl Api {
    /// Where Google has it.
    pub fn google(self) -> Url {
        match self {
            Self::Legacy => Url::google_legacy(),
            Self::New => Url::google_new(),
        }
    }

    /// The bytes that ask `question` at `upstream`. They hold the key: for the wire, never for a log.
    pub fn request(self, question: &Question, upstream: &Url, key: &Key) -> Vec<u8> {
        match self {
            Self::Legacy => question.legacy_request(upstream, key),
            Self::New => question.new_request(upstream, key),
        }
    }

    /// Reads a response with this HTTP status and this body. The legacy API tells all in the body; the new one says `{}` of no
    /// places, which is nothing much to go by: so its HTTP status has to say that all is well, too.
    ///
    /// # Errors
    /// What they lack to be an answer.
    pub fn read(self, status: u16, body: Vec<u8>) -> Result<Answer, Nonsense> {
        match self {
            Self::Legacy => Answer::read(body),
            Self::New => {
                let answer = Answer::read(mapping::legacy(&body)?)?;
                let claims_success = matches!(answer.status(), "OK" | "ZERO_RESULTS");
                if claims_success && status != OK { Err(Nonsense::NotPlaces) } else { Ok(answer) }
            }
        }
    }

    /// Whether this says that the key's project cannot use the legacy API, or the key not for it, while the new one may do. Google
    /// tells it in words only, the status is that of a key that is no good.
    pub fn is_not_enabled(self, answer: &Answer) -> bool {
        let is_denied = self == Self::Legacy && answer.status() == Answer::REQUEST_DENIED;
        is_denied && {
            let words = answer.error_message().to_lowercase();
            NOT_ENABLED.iter().any(|why| words.contains(why))
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Legacy => "the legacy Places API",
            Self::New => "Places API (New)",
        })
    }
}

/// The HTTP status of an answer.
const OK: u16 = 200;

/// What Google says of a project that has not enabled the legacy API, of one that cannot, and of a key restricted to others.
const NOT_ENABLED: [&str; 3] = [
    "this api project is not authorized to use this api",
    "calling a legacy api, which is not enabled for your project",
    "this api key is not authorized to use this service or api",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_api_has_its_answers() {
        let check = |api: Api, status, body: &str, expected: Result<&str, Nonsense>| {
            let read = api.read(status, body.as_bytes().to_vec());
            let read = read.as_ref().map(Answer::status).map_err(|nonsense| *nonsense);
            assert_eq!(read, expected, "{api}, {status} {body}");
        };
        let legacy = r#"{"results":[{}],"status":"OK"}"#;
        check(Api::Legacy, 200, legacy, Ok("OK"));
        check(Api::Legacy, 403, legacy, Ok("OK"));
        check(Api::New, 200, legacy, Err(Nonsense::NotPlaces));
        let new = r#"{"places":[{"id":"1"}]}"#;
        check(Api::New, 200, new, Ok("OK"));
        check(Api::New, 500, new, Err(Nonsense::NotPlaces));
        check(Api::Legacy, 200, new, Err(Nonsense::NotPlaces));
        check(Api::New, 200, "{}", Ok("ZERO_RESULTS"));
        check(Api::New, 404, "{}", Err(Nonsense::NotPlaces));
        let error = r#"{"error":{"code":403,"message":"no","status":"PERMISSION_DENIED"}}"#;
        check(Api::New, 403, error, Ok("REQUEST_DENIED"));
        check(Api::New, 200, error, Ok("REQUEST_DENIED"));
    }

    #[test]
    fn the_legacy_api_is_not_enabled_for_some() {
        let check = |api: Api, status: &str, message: serde_json::Value, expected| {
            let body = json!({ "error_message": message, "results": [], "status": status }).to_string();
            let answer = Answer::read(body.into_bytes()).expect("an answer");
            assert_eq!(api.is_not_enabled(&answer), expected, "{message}");
        };
        for message in [
            "You're calling a legacy API, which is not enabled for your project. To get newer features and more \
             functionality, switch to the Places API (New) or Routes API. Learn more: \
             https://developers.google.com/maps/legacy#LegacyApiNotActivatedMapError",
            "You\u{2019}re calling a legacy API, which is not enabled for your project.",
            "This API project is not authorized to use this API.",
            "This API key is not authorized to use this service or API. Please check the API restrictions settings of \
             your API key in the Google Cloud Console.",
        ] {
            check(Api::Legacy, "REQUEST_DENIED", message.into(), true);
            check(Api::New, "REQUEST_DENIED", message.into(), false);
            check(Api::Legacy, "OK", message.into(), false);
        }
        for message in [
            "The provided API key is invalid.",
            "You must enable Billing on the Google Cloud Project",
            "This IP, site or mobile application is not authorized to use this API key.",
            "",
        ] {
            check(Api::Legacy, "REQUEST_DENIED", message.into(), false);
        }
        check(Api::Legacy, "REQUEST_DENIED", json!({ "legacy": true }), false);
    }
}
