//! Google's answer as the text that a client gets: Google's own bytes, with at most as many results as the client wants.
//!
//! - Nothing is written anew: results past the bound are left out of the text with their commas, everything else stays,
//!   `next_page_token` and the white space before `]` included. An array cut to nothing is `[]`, as Google writes an empty one.
//! - The text ends with two newlines, and nowhere else are two in a row: that is how a client knows the end. A newline is `\n`
//!   or `\r\n`; of a run of them the first stays. At the start none does: the line before the text has ended with one. No JSON
//!   string can hold one, so no value changes.
//! - What is not UTF-8, not JSON, or not an object with one string `status` and at most one array `results` is
//!   [`Nonsense`], however deeply it is nested. Any status is an answer, good news or bad.
//!
//! The HTTP status is not looked at: Google tells its errors in the body.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::places::layout::{self, Json, object};

/// An answer, read once and cut for any number of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    text: String,
    status: String,
    error_message: String,
    results: Results,
}

/// Where the results stand in the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Results {
    /// Between the brackets; nothing if there is no result.
    inside: Range<usize>,
    /// Where the first results end, at most [`Answer::RESULTS_LIMIT`] of them.
    ends: Vec<usize>,
    /// Where the last result ends.
    end: usize,
}

impl Answer {
    /// The most results in a text: a page of Google's, and the greatest bound of a client.
    pub const RESULTS_LIMIT: usize = 20;
    /// The status of an answer that Places did not give; Google may also say it itself.
    pub const UNKNOWN_ERROR: &str = "UNKNOWN_ERROR";
    /// The status of an answer to one who asks too much, or too often.
    pub const OVER_QUERY_LIMIT: &str = "OVER_QUERY_LIMIT";
    /// The status of an answer to one who may not ask.
    pub const REQUEST_DENIED: &str = "REQUEST_DENIED";

    /// Reads a response's body.
    ///
    /// # Errors
    /// What the body lacks to be an answer.
    pub fn read(body: Vec<u8>) -> Result<Self, Nonsense> {
        let text = squeezed(String::from_utf8(body).map_err(|_| Nonsense::NotText)?);
        let mut deserializer = serde_json::Deserializer::from_str(&text);
        let Members { status, error_message, results } = deserializer.deserialize_map(MembersVisitor(&text))?;
        deserializer.end()?;
        let results = results.unwrap_or_default();
        let error_message = error_message.and_then(|value| serde_json::from_str(value.get()).ok()).unwrap_or_default();
        Ok(Self { status, error_message, results, text })
    }

    /// The answer that we give when Places gives none. `message` is for the client to read: no key, no URL.
    pub fn unknown_error(message: &str) -> Self {
        Self::failure(Self::UNKNOWN_ERROR, message)
    }

    /// The answer that we give when Places is not to be asked now. `message` is for the client to read.
    pub fn over_query_limit(message: &str) -> Self {
        Self::failure(Self::OVER_QUERY_LIMIT, message)
    }

    fn failure(status: &str, message: &str) -> Self {
        let page = object! {
            "error_message": message,
            "html_attributions": Json::Array(Vec::new()),
            "results": Json::Array(Vec::new()),
            "status": status,
        };
        Self::read(layout::write(&page)).expect("the layout is JSON with a status")
    }

    /// Google's `status`: `OK`, `ZERO_RESULTS`, `REQUEST_DENIED`, ...
    pub fn status(&self) -> &str {
        &self.status
    }

    /// Whether Places has answered the question: with places, that there are none, or that it is no question.
    pub fn is_good(&self) -> bool {
        matches!(self.status(), "OK" | "ZERO_RESULTS" | "INVALID_REQUEST")
    }

    /// Google's `error_message`; empty if there is none, or it is no string.
    pub fn error_message(&self) -> &str {
        &self.error_message
    }

    /// The text with at most `bound` results (more than [`Answer::RESULTS_LIMIT`] means that), ended by two newlines.
    pub fn text(&self, bound: usize) -> Vec<u8> {
        let cut = self.results.cut(bound.min(Self::RESULTS_LIMIT));
        [&self.text[..cut.start], &self.text[cut.end..], "\n\n"].concat().into_bytes()
    }
}

/// Why a body is no answer. Says nothing of what is in the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nonsense {
    /// It is not UTF-8.
    NotText,
    /// It is not JSON.
    NotJson,
    /// It is JSON, but not an object with one string `status` and at most one array `results`.
    NotPlaces,
    /// It would be longer than a body may be, as a client is told it.
    TooLong,
    /// It shows the key, which is not for those who ask.
    ShowsKey,
}

impl fmt::Display for Nonsense {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotText => "the answer is not UTF-8",
            Self::NotJson => "the answer is not JSON",
            Self::NotPlaces => "the answer is JSON, but not one of Places",
            Self::TooLong => "the answer is too long in the legacy shape",
            Self::ShowsKey => "the answer shows the key",
        })
    }
}

impl Error for Nonsense {}

impl From<serde_json::Error> for Nonsense {
    fn from(error: serde_json::Error) -> Self {
        match error.classify() {
            Category::Data => Self::NotPlaces,
            Category::Syntax | Category::Eof | Category::Io => Self::NotJson,
        }
    }
}

impl Results {
    /// What to leave out so that `bound` results stay.
    fn cut(&self, bound: usize) -> Range<usize> {
        match bound.checked_sub(1) {
            None => self.inside.clone(),
            Some(last) => self.ends.get(last).map_or(0..0, |start| *start..self.end),
        }
    }
}

/// The members of an answer that matter here.
struct Members<'text> {
    status: String,
    error_message: Option<&'text RawValue>,
    results: Option<Results>,
}

/// Reads a text.
struct MembersVisitor<'text>(&'text str);

impl<'text> Visitor<'text> for MembersVisitor<'text> {
    type Value = Members<'text>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with a status")
    }

    fn visit_map<A: MapAccess<'text>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let (mut status, mut error_message, mut results) = (None, None, None);
        while let Some(key) = members.next_key::<String>()? {
            let repeated = match key.as_str() {
                "status" => status.replace(members.next_value()?).is_some(),
                "results" => results.replace(members.next_value_seed(ResultsVisitor(self.0))?).is_some(),
                // Whatever it is, and however often: nothing hangs on it.
                "error_message" => error_message.replace(members.next_value()?).is_some_and(|_: &RawValue| false),
                _ => members.next_value::<IgnoredAny>().map(|_| false)?,
            };
            if repeated {
                return Err(de::Error::custom("a member twice"));
            }
        }
        let status = status.ok_or_else(|| de::Error::missing_field("status"))?;
        Ok(Members { status, error_message, results })
    }
}

/// Finds where the elements of an array end in a text.
struct ResultsVisitor<'text>(&'text str);

impl<'text> DeserializeSeed<'text> for ResultsVisitor<'text> {
    type Value = Results;

    fn deserialize<D: Deserializer<'text>>(self, deserializer: D) -> Result<Results, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'text> Visitor<'text> for ResultsVisitor<'text> {
    type Value = Results;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of results")
    }

    fn visit_seq<A: SeqAccess<'text>>(self, mut elements: A) -> Result<Results, A::Error> {
        let Self(text) = self;
        let mut results = Results::default();
        while let Some(element) = elements.next_element::<&RawValue>()? {
            let Range { start, end } = range(element, text);
            if results.ends.is_empty() {
                results.inside.start = text[..start].trim_end().len();
            }
            if results.ends.len() < Answer::RESULTS_LIMIT {
                results.ends.push(end);
            }
            results.end = end;
        }
        if !results.ends.is_empty() {
            results.inside.end = text.len() - text[results.end..].trim_start().len();
        }
        Ok(results)
    }
}

/// Where a value stands in the text that it was read from.
fn range(value: &RawValue, text: &str) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

/// The text without its empty lines, of which the first may be one, and without newlines at its end.
fn squeezed(mut text: String) -> String {
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    // As it is nearly always: then it is not copied.
    if !text.starts_with(['\r', '\n']) && !text.contains("\n\n") && !text.contains("\n\r\n") {
        return text;
    }
    text.split_inclusive('\n').filter(|line| !matches!(*line, "\n" | "\r\n")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;
    use serde_json::Value;

    use super::*;
    use crate::places::layout_check::looks_like_googles;

    fn text(body: &str, bound: usize) -> Result<String, Nonsense> {
        let text = Answer::read(body.as_bytes().to_vec())?.text(bound);
        Ok(String::from_utf8(text).expect("cut between characters"))
    }

    const BODY: &str = r#"{
   "next_page_token" : "t",
   "results" : [
      {
         "a" : "],"
      },
      [ 2, 3 ] ,
      4
   ],
   "status" : "OK"
}
"#;

    #[test]
    fn results_past_the_bound_are_left_out() {
        let check = |bound, left_out: &str| {
            let (before, after) = BODY.split_once(left_out).expect("a piece of the body");
            assert_eq!(text(BODY, bound), Ok(format!("{before}{after}\n")), "{bound}");
        };
        check(0, "\n      {\n         \"a\" : \"],\"\n      },\n      [ 2, 3 ] ,\n      4\n   ");
        check(1, ",\n      [ 2, 3 ] ,\n      4");
        check(2, " ,\n      4");
        check(3, "");
        check(4, "");
        check(usize::MAX, "");
    }

    #[test]
    fn no_text_has_more_results_than_a_page() {
        let body = format!("{{\"results\":[0{}],\"status\":\"OK\"}}", ",0".repeat(Answer::RESULTS_LIMIT));
        let count = |bound| text(&body, bound).map(|text| text.matches('0').count());
        assert_eq!(count(Answer::RESULTS_LIMIT - 1), Ok(Answer::RESULTS_LIMIT - 1));
        assert_eq!(count(Answer::RESULTS_LIMIT), Ok(Answer::RESULTS_LIMIT));
        assert_eq!(count(Answer::RESULTS_LIMIT + 1), Ok(Answer::RESULTS_LIMIT));
    }

    #[test]
    fn bytes_are_kept_and_newlines_are_squeezed() {
        let check = |body: &str, expected: &str| assert_eq!(text(body, 20).as_deref(), Ok(expected), "{body:?}");
        check("{\"status\":\"OK\"}", "{\"status\":\"OK\"}\n\n");
        check("{\"status\":\"OK\"}\n\n\n", "{\"status\":\"OK\"}\n\n");
        check("{\n\n\n\"status\"\n\n:\n\"OK\"}\r\n", "{\n\"status\"\n:\n\"OK\"}\n\n");
        check("{\r\n\r\n\"status\":\"OK\"\n\r\n}", "{\r\n\"status\":\"OK\"\n}\n\n");
        // The text follows a line.
        for start in ["\n", "\r\n", "\n\n", "\r\n\n"] {
            check(&[start, "{\n\"status\":\"OK\"}"].concat(), "{\n\"status\":\"OK\"}\n\n");
        }
        check("{\n \n\"status\":\"OK\"}", "{\n \n\"status\":\"OK\"}\n\n");
        check(
            "{\"n\":1.50e+01,\"\\u003c\":\"\\u003c\\n\\n\",\"status\":\"O\\u004b\"}",
            "{\"n\":1.50e+01,\"\\u003c\":\"\\u003c\\n\\n\",\"status\":\"O\\u004b\"}\n\n",
        );
        check(
            "{\"results\" : [ ],\"status\" : \"ZERO_RESULTS\"}",
            "{\"results\" : [ ],\"status\" : \"ZERO_RESULTS\"}\n\n",
        );
        assert_eq!(
            text("{\"results\":[ ],\"status\":\"\"}", 0).as_deref(),
            Ok("{\"results\":[ ],\"status\":\"\"}\n\n")
        );
    }

    #[test]
    fn nonsense_has_a_name() {
        let check = |body: &[u8], expected| assert_eq!(Answer::read(body.to_vec()).err(), expected, "{body:?}");
        check(b"{\"status\":\"REQUEST_DENIED\"}", None);
        check(b"{\"status\":\"\xff\"}", Some(Nonsense::NotText));
        check(b"", Some(Nonsense::NotJson));
        check(b"<html></html>", Some(Nonsense::NotJson));
        check(b"{\"status\":\"OK\"", Some(Nonsense::NotJson));
        check(b"{\"status\":\"OK\"}{}", Some(Nonsense::NotJson));
        check(b"{\"status\":\"OK\",\"results\":[1,]}", Some(Nonsense::NotJson));
        check(b"{\"status\":\"O\nK\"}", Some(Nonsense::NotJson));
        check(b"[]", Some(Nonsense::NotPlaces));
        check(b"null", Some(Nonsense::NotPlaces));
        check(b"{}", Some(Nonsense::NotPlaces));
        check(b"{\"status\":1}", Some(Nonsense::NotPlaces));
        check(b"{\"status\":\"OK\",\"results\":{}}", Some(Nonsense::NotPlaces));
        check(b"{\"status\":\"OK\",\"stat\\u0075s\":\"OK\"}", Some(Nonsense::NotPlaces));
        check(b"{\"status\":\"OK\",\"results\":[],\"results\":[]}", Some(Nonsense::NotPlaces));
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = |open: &str, close: &str| format!("{}{}", open.repeat(500_000), close.repeat(500_000));
        let body = |value: &str| format!("{{\"a\":{value},\"results\":[{value}],\"status\":\"OK\"}}");
        assert!(text(&body(&deep("[", "]")), 1).is_ok());
        assert_eq!(text(&body(&deep("[", "")), 1), Err(Nonsense::NotJson));
        assert_eq!(text(&deep("[", "]"), 1), Err(Nonsense::NotPlaces));
    }

    #[test]
    fn our_own_answer_looks_like_googles() {
        let answer = Answer::unknown_error("Places \"timed out\".\n\n");
        let expected = r#"{
   "error_message" : "Places \"timed out\".\n\n",
   "html_attributions" : [],
   "results" : [],
   "status" : "UNKNOWN_ERROR"
}"#;
        let text = String::from_utf8(answer.text(5)).expect("text");
        assert_eq!(looks_like_googles(&text), Ok(()));
        assert_eq!((answer.status(), text), ("UNKNOWN_ERROR", format!("{expected}\n\n")));
    }

    proptest! {
        #[test]
        fn no_body_panics(body in proptest::collection::vec(any::<u8>(), 0..64), bound: usize) {
            let _ = Answer::read(body).map(|answer| answer.text(bound));
        }

        #[test]
        fn a_cut_text_is_the_whole_with_fewer_results(
            results in proptest::collection::vec(
                (select(vec![r#"[1, "]"]"#, r#"{"a": {}}"#, r#""é\"""#, "-0.5e1"]), select(vec!["", " ", "\n\n", "\r\n"])),
                0..25,
            ),
            bound in 0..25usize,
        ) {
            let results: Vec<String> = results.iter().map(|(result, space)| format!("{space}{result}{space}")).collect();
            let body = format!("{{\n\n\"results\" : [{}], \"status\": \"OK\"}}\n", results.join(","));
            let text = text(&body, bound);
            let text = text.as_deref().expect("JSON with a status");
            let (json, end) = text.split_at(text.len() - 2);
            prop_assert_eq!(end, "\n\n");
            prop_assert!(!json.contains("\n\n") && !json.ends_with('\n'));
            let mut whole: Value = serde_json::from_str(&body).expect("JSON");
            let kept = bound.min(Answer::RESULTS_LIMIT);
            whole["results"].as_array_mut().expect("an array").truncate(kept);
            prop_assert_eq!(serde_json::from_str::<Value>(json).expect("JSON"), whole);
        }
    }
}
