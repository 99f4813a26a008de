//! A question to Places, what is near this point?, and the HTTP requests that ask it, one for each of Google's APIs.
//!
//! - Coordinates and radius are text from the client to the request, digit for digit: no float rounds them on the way.
//! - How many results a client wants is not part of the question: two clients who ask the same are told the same answer, cut
//!   for each ([`Answer::text`](crate::places::answer::Answer::text)).
//! - The requests' bytes hold the [`Key`]. They are for the wire, never for a log.

use std::fmt;

use crate::herd::topology::Url;
use crate::places::answer::Answer;
use crate::places::key::Key;
use crate::places::mapping::FIELD_MASK;
use crate::wire::http_request::RequestHead;

/// What is near a point? Questions that are equal have one answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Question {
    latitude: String,
    longitude: String,
    metres: String,
}

impl Question {
    /// The question for a position's two numbers (`+34.068930`, `-118.445127`, a `+` is dropped) and a radius in metres.
    /// `None` if one of them is no decimal number: digits, perhaps with a point among or after them, and a sign before a
    /// coordinate. Whether the point is on the Earth is not asked.
    pub fn new(latitude: &[u8], longitude: &[u8], metres: &[u8]) -> Option<Self> {
        let unsigned = |number: &[u8]| !matches!(number.first(), Some(b'+' | b'-'));
        let (latitude, longitude) = (decimal(latitude)?, decimal(longitude)?);
        let metres = decimal(metres).filter(|_| unsigned(metres))?;
        Some(Self { latitude, longitude, metres })
    }

    /// The bytes of the request that asks Google's legacy Nearby Search, or what stands in for it at `upstream`.
    pub fn legacy_request(&self, upstream: &Url, key: &Key) -> Vec<u8> {
        let Self { latitude, longitude, metres } = self;
        let (path, key) = (&upstream.path, key.in_query());
        let target = format!("{path}{LEGACY_PATH}?location={latitude},{longitude}&radius={metres}&key={key}");
        RequestHead::get(&upstream.authority(), &target).expect(CHECKED).finish()
    }

    /// The bytes of the request that asks Places API (New), or what stands in for it at `upstream`, for a page of results.
    pub fn new_request(&self, upstream: &Url, key: &Key) -> Vec<u8> {
        let [latitude, longitude, metres] = [&self.latitude, &self.longitude, &self.metres].map(|text| json(text));
        let count = Answer::RESULTS_LIMIT;
        let body = format!(
            "{{\"maxResultCount\":{count},\"locationRestriction\":{{\"circle\":{{\
             \"center\":{{\"latitude\":{latitude},\"longitude\":{longitude}}},\"radius\":{metres}}}}}}}"
        );
        RequestHead::post(&upstream.authority(), &[&upstream.path, NEW_PATH].concat())
            .and_then(|head| head.header("X-Goog-Api-Key", key.in_header()))
            .and_then(|head| head.header("X-Goog-FieldMask", FIELD_MASK))
            .expect(CHECKED)
            .finish_with(body.as_bytes())
    }
}

/// Where and how far; without the key, so it may be logged.
impl fmt::Display for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { latitude, longitude, metres } = self;
        write!(formatter, "within {metres} m of {latitude},{longitude}")
    }
}

/// Google's path for the legacy Nearby Search with a JSON answer.
pub const LEGACY_PATH: &str = "/maps/api/place/nearbysearch/json";

/// Google's path for the Nearby Search of Places API (New).
pub const NEW_PATH: &str = "/v1/places:searchNearby";

const CHECKED: &str = "every part was checked where it was made";

/// A decimal number without its `+`.
fn decimal(number: &[u8]) -> Option<String> {
    let (number, digits) = match number {
        [b'+', digits @ ..] => (digits, digits),
        [b'-', digits @ ..] => (number, digits),
        _ => (number, number),
    };
    let mut parts = digits.split(|byte| *byte == b'.');
    let (whole, fraction) = (parts.next()?, parts.next().unwrap_or_default());
    let valid =
        !whole.is_empty() && parts.next().is_none() && [whole, fraction].concat().iter().all(u8::is_ascii_digit);
    if valid { String::from_utf8(number.to_vec()).ok() } else { None }
}

/// A decimal number as JSON has it: no zero too many before it, and no point without a digit after it.
fn json(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let digits = digits.trim_start_matches('0').trim_end_matches('.');
    let zero = if digits.is_empty() || digits.starts_with('.') { "0" } else { "" };
    [sign, zero, digits].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(latitude: &str, longitude: &str, metres: &str) -> Option<Question> {
        Question::new(latitude.as_bytes(), longitude.as_bytes(), metres.as_bytes())
    }

    #[test]
    fn a_question_becomes_a_request_digit_for_digit() {
        let check = |numbers: [&str; 3], expected: &str| {
            let [latitude, longitude, metres] = numbers;
            let question = question(latitude, longitude, metres).expect("three numbers");
            let request = question.legacy_request(&Url::google_legacy(), &Key::new("k").expect("a key"));
            let request = String::from_utf8(request).expect("ASCII");
            let line = format!("GET /maps/api/place/nearbysearch/json?{expected}&key=k HTTP/1.1\r\n");
            assert!(request.starts_with(&line), "{request}");
            assert!(
                request.contains("\r\nHost: maps.googleapis.com\r\n") && request.ends_with("\r\n\r\n"),
                "{request}"
            );
        };
        check(["+34.068930", "-118.445127", "10000"], "location=34.068930,-118.445127&radius=10000");
        check(["-00.10", "+005.", "0.5"], "location=-00.10,005.&radius=0.5");
        check(["+0", "-0", "0"], "location=0,-0&radius=0");
    }

    #[test]
    fn a_question_of_the_new_api_is_json_digit_for_digit() {
        let check = |numbers: [&str; 3], expected: [&str; 3]| {
            let [latitude, longitude, metres] = numbers;
            let question = question(latitude, longitude, metres).expect("three numbers");
            let upstream = Url::parse("https://h.example/proxy").expect("an upstream");
            let request = question.new_request(&upstream, &Key::new("k+").expect("a key"));
            let request = String::from_utf8(request).expect("ASCII");
            let (head, body) = request.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with("POST /proxy/v1/places:searchNearby HTTP/1.1\r\nHost: h.example\r\n"), "{head}");
            let length = format!("\r\nContent-Length: {}", body.len());
            let mask = format!("\r\nX-Goog-FieldMask: {FIELD_MASK}\r\n");
            for line in ["\r\nX-Goog-Api-Key: k+\r\n", &mask, &length] {
                assert!(head.contains(line), "{line} in {head}");
            }
            let [latitude, longitude, metres] = expected;
            let circle = format!(r#"{{"center":{{"latitude":{latitude},"longitude":{longitude}}},"radius":{metres}}}"#);
            assert_eq!(body, format!(r#"{{"maxResultCount":20,"locationRestriction":{{"circle":{circle}}}}}"#));
            assert!(serde_json::from_str::<serde_json::Value>(body).is_ok(), "{body}");
        };
        check(["+34.068930", "-118.445127", "10000"], ["34.068930", "-118.445127", "10000"]);
        check(["-00.10", "+005.", "0.5"], ["-0.10", "5", "0.5"]);
        check(["+0", "-0", "00."], ["0", "-0", "0"]);
    }

    #[test]
    fn only_numbers_reach_the_url() {
        for bad in ["", "+", "-", ".", ".5", "+-1", "1.2.3", "1e3", "nan", " 1", "1 ", "1&key=x", "1\r\n", "1,2", "١"]
        {
            assert_eq!(question(bad, "+1", "1"), None, "latitude {bad:?}");
            assert_eq!(question("+1", bad, "1"), None, "longitude {bad:?}");
            assert_eq!(question("+1", "+1", bad), None, "metres {bad:?}");
        }
        assert_eq!(question("+1", "+1", "-1"), None);
        assert_eq!(question("+1", "+1", "+1"), None);
    }

    #[test]
    fn equal_questions_are_equal() {
        assert_eq!(question("+1.5", "-2", "3"), question("1.5", "-2", "3"));
        assert_ne!(question("+1.5", "-2", "3"), question("+1.50", "-2", "3"));
    }

    #[test]
    fn a_key_is_only_in_the_request() {
        let key = Key::new(" s3cret/+&=% \n").expect("a key");
        assert_eq!(format!("{key:?} {:#?}", Some(&key)), "Key(hidden) Some(\n    Key(hidden),\n)");
        let upstream = Url::parse("http://[::1]:8080/proxy/").expect("an upstream");
        let request = question("+1", "+2", "3").expect("three numbers").legacy_request(&upstream, &key);
        let request = String::from_utf8(request).expect("ASCII");
        let start = "GET /proxy/maps/api/place/nearbysearch/json?location=1,2&radius=3&key=s3cret%2F%2B%26%3D%25 HTTP/1.1\r\n\
                     Host: [::1]:8080\r\n";
        assert!(request.starts_with(start), "{request}");
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_asked(number in "[+-]?[0-9.]{1,4}", url in "https?://[a:.0-9%/ é\\[\\]?-]{1,9}", key in "\\PC{1,9}") {
            let question = question(&number, &number, number.trim_start_matches(['+', '-']));
            let (upstream, key) = (Url::parse(&url).unwrap_or_else(|_| Url::google_legacy()), Key::new(&key));
            if let (Some(question), Some(key)) = (question, key) {
                let lines = |request: Vec<u8>| request.iter().filter(|byte| **byte == b'\n').count();
                prop_assert_eq!(lines(question.legacy_request(&upstream, &key)), 6);
                prop_assert_eq!(lines(question.new_request(&upstream, &key)), 10);
            }
        }
    }
}
