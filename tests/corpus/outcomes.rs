//! What becomes of each recorded response: its status and body, or what is wrong with it.
//!
//! It is read by limits of 2 KiB for a head and 4 KiB for a body.

use std::collections::BTreeMap;

use proxy_herd::wire::http::HttpError::{
    self, BadChunk, BadFraming, BadHead, BodyTooLong, CutShort, HeadTooLong, Silent,
};
use proxy_herd::wire::http_response::Response;
use proxy_herd::wire::retry_after::RetryAfter;

use self::Body::{Cafes, Filled, Rest, RestOf, Text};

/// By its name: the answers that end by themselves, and how the connection ends.
pub(crate) const OUTCOMES: &[(&str, &[Answer], Ending)] = &[
    ("answer-then-garbage", &[kept(200, BRACES)], Err(BadHead)),
    ("bad-gateway", &[kept(502, Rest)], Err(Silent)),
    ("bare-cr-in-head", &[], Err(BadHead)),
    ("bare-lf-head", &[kept(200, BRACES)], Err(Silent)),
    ("blank-lines-in-json", &[kept(200, Rest)], Err(Silent)),
    ("brackets-in-strings", &[kept(200, Rest)], Err(Silent)),
    ("byte-order-mark", &[kept(200, Rest)], Err(Silent)),
    ("chunked", &[kept(200, Cafes(3))], Err(Silent)),
    ("chunked-and-length", &[], Err(BadFraming)),
    ("chunked-at-limit", &[kept(200, Filled(4096))], Err(Silent)),
    ("chunked-bad-bare-lf", &[], Err(BadChunk)),
    ("chunked-bad-cr-after-data", &[], Err(BadChunk)),
    ("chunked-bad-cr-after-size", &[], Err(BadChunk)),
    ("chunked-bad-cr-at-the-end", &[], Err(BadChunk)),
    ("chunked-bad-cr-in-trailer", &[], Err(BadChunk)),
    ("chunked-bad-crlf-split", &[], Err(BadChunk)),
    ("chunked-bad-lf-in-extension", &[], Err(BadChunk)),
    ("chunked-bad-long-line", &[], Err(BadChunk)),
    ("chunked-bad-no-crlf-after-data", &[], Err(BadChunk)),
    ("chunked-bad-no-size", &[], Err(BadChunk)),
    ("chunked-bad-prefix", &[], Err(BadChunk)),
    ("chunked-bad-sign", &[], Err(BadChunk)),
    ("chunked-bad-trailer-lf", &[], Err(BadChunk)),
    ("chunked-bytes", &[kept(200, Cafes(0))], Err(Silent)),
    ("chunked-closing", &[closing(200, BRACES)], Err(Silent)),
    ("chunked-cut-after-size", &[], Err(CutShort)),
    ("chunked-cut-before-the-end", &[], Err(CutShort)),
    ("chunked-cut-in-data", &[], Err(CutShort)),
    ("chunked-endless-trailer", &[], Err(BadChunk)),
    ("chunked-extensions-and-trailer", &[kept(200, Cafes(1))], Err(Silent)),
    ("chunked-huge-size", &[], Err(BodyTooLong)),
    ("chunked-last-is-cut", &[], Err(CutShort)),
    ("chunked-odd", &[kept(200, Cafes(2))], Err(Silent)),
    ("chunked-over-limit", &[], Err(BodyTooLong)),
    ("chunked-size-overflows", &[], Err(BodyTooLong)),
    ("chunked-then-gzip", &[], Err(BadFraming)),
    ("chunked-twice", &[], Err(BadFraming)),
    ("chunked-two-responses", &[kept(200, Cafes(0)), kept(200, Cafes(0))], Err(Silent)),
    ("continue", &[kept(200, Cafes(1))], Err(Silent)),
    ("continue-and-early-hints", &[kept(200, BRACES)], Err(Silent)),
    ("continue-cut", &[], Err(CutShort)),
    ("continue-with-length", &[kept(200, BRACES)], Err(Silent)),
    ("continue-without-end", &[], Err(HeadTooLong)),
    ("cr-only-head", &[], Err(CutShort)),
    ("early-hints", &[kept(200, Cafes(0))], Err(Silent)),
    ("empty-lines-before", &[kept(200, Cafes(0))], Err(Silent)),
    ("empty-lines-only", &[], Err(Silent)),
    ("folded-first-header", &[], Err(BadHead)),
    ("folded-header", &[], Err(BadHead)),
    ("folded-length", &[], Err(BadHead)),
    ("forbidden", &[kept(200, Rest)], Err(Silent)),
    ("google-bad-gateway", &[], Ok(closing(502, Rest))),
    ("google-moved", &[kept(302, Text(b"<HTML><HEAD><TITLE>302 Moved</TITLE></HEAD></HTML>\r\n"))], Err(Silent)),
    ("google-not-found", &[kept(404, Rest)], Err(Silent)),
    ("gzip-encoded", &[kept(200, ZIPPED)], Err(Silent)),
    ("gzip-then-chunked", &[], Err(BadFraming)),
    ("gzip-transferred", &[], Err(BadFraming)),
    ("head-cut", &[], Err(CutShort)),
    ("head-too-long", &[], Err(HeadTooLong)),
    ("header-without-colon", &[], Err(BadHead)),
    ("header-without-name", &[], Err(BadHead)),
    ("http-1.0", &[], Ok(closing(200, Cafes(1)))),
    ("http-1.0-chunked", &[], Err(BadFraming)),
    ("http-1.0-keep-alive", &[closing(200, BRACES)], Err(Silent)),
    ("http-1.0-length", &[closing(200, Cafes(1))], Err(Silent)),
    ("http-2", &[], Err(BadHead)),
    ("http-2-frames", &[], Err(CutShort)),
    ("icy", &[], Err(BadHead)),
    ("legacy-invalid-request", &[kept(200, Rest)], Err(Silent)),
    ("legacy-not-enabled", &[kept(200, Rest)], Err(Silent)),
    ("legacy-not-enabled-403", &[kept(403, Rest)], Err(Silent)),
    ("legacy-not-enabled-chunked", &[kept(200, RestOf("legacy-not-enabled"))], Err(Silent)),
    ("legacy-ok", &[kept(200, Rest)], Err(Silent)),
    ("legacy-ok-chunked", &[kept(200, RestOf("legacy-ok"))], Err(Silent)),
    ("legacy-over-query-limit", &[kept(200, Rest)], Err(Silent)),
    ("legacy-zero-results-chunked", &[kept(200, RestOf("zero-results"))], Err(Silent)),
    ("length", &[kept(200, Cafes(3))], Err(Silent)),
    ("length-and-chunked", &[], Err(BadFraming)),
    ("length-and-more", &[kept(200, Cafes(0))], Err(CutShort)),
    ("length-as-list", &[kept(200, BRACES)], Err(Silent)),
    ("length-as-list-different", &[], Err(BadFraming)),
    ("length-at-limit", &[kept(200, Filled(4096))], Err(Silent)),
    ("length-beside-gzip", &[], Err(BadFraming)),
    ("length-closing", &[closing(200, Cafes(2))], Err(Silent)),
    ("length-cut", &[], Err(CutShort)),
    ("length-empty", &[], Err(BadFraming)),
    ("length-hex", &[], Err(BadFraming)),
    ("length-huge", &[], Err(BodyTooLong)),
    ("length-negative", &[], Err(BadFraming)),
    ("length-over-limit", &[], Err(BodyTooLong)),
    ("length-signed", &[], Err(BadFraming)),
    ("length-spaces", &[kept(200, BRACES)], Err(Silent)),
    ("length-tab-inside", &[], Err(BadFraming)),
    ("length-twice-different", &[], Err(BadFraming)),
    ("length-twice-the-same", &[kept(200, Cafes(0))], Err(Silent)),
    ("length-two-responses", &[kept(200, Cafes(1)), kept(200, Cafes(0))], Err(Silent)),
    ("length-zero", &[kept(200, NOTHING)], Err(Silent)),
    ("lf-and-crlf-head", &[kept(200, BRACES)], Err(Silent)),
    ("most-headers", &[kept(200, NOTHING)], Err(Silent)),
    ("nested-deeply", &[kept(200, Rest)], Err(Silent)),
    ("new-bad-request", &[kept(400, Rest)], Err(Silent)),
    ("new-exhausted", &[kept_until(429, Rest, "30")], Err(Silent)),
    ("new-exhausted-until", &[kept_until(429, RestOf("new-exhausted"), "Sat, 21 Nov 2026 20:53:00 GMT")], Err(Silent)),
    ("new-forbidden", &[kept(403, Rest)], Err(Silent)),
    ("new-nothing", &[kept(200, Text(b"{}\n"))], Err(Silent)),
    ("new-ok", &[kept(200, Rest)], Err(Silent)),
    ("new-ok-chunked", &[kept(200, RestOf("new-ok"))], Err(Silent)),
    ("no-content", &[kept(204, NOTHING), kept(304, NOTHING)], Err(Silent)),
    ("no-content-chunked", &[kept(204, NOTHING)], Err(BadHead)),
    ("no-content-then-answer", &[kept(204, NOTHING), kept(200, BRACES)], Err(Silent)),
    ("no-http", &[], Err(BadHead)),
    ("no-reason", &[kept(200, BRACES)], Err(Silent)),
    ("not-modified", &[kept(304, NOTHING)], Err(Silent)),
    ("not-utf-8", &[kept(200, Rest)], Err(Silent)),
    ("nul-in-header", &[], Err(BadHead)),
    ("nul-in-name", &[], Err(BadHead)),
    ("nul-in-start", &[], Err(BadHead)),
    ("number-no-float-holds", &[kept(200, Rest)], Err(Silent)),
    ("redirect", &[kept(302, NOTHING)], Err(Silent)),
    ("results-twice", &[kept(200, Rest)], Err(Silent)),
    ("retry-after-asctime-date", &[kept_until(503, NOTHING, "Sat, 21 Nov 2026 20:53:00 GMT")], Err(Silent)),
    ("retry-after-decimal", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-empty", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-far", &[kept_until(503, NOTHING, "Fri, 31 Dec 9999 23:59:59 GMT")], Err(Silent)),
    ("retry-after-huge", &[kept_until(503, NOTHING, "18446744073709551615")], Err(Silent)),
    ("retry-after-in-early-hints", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-negative", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-nonsense", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-nonsense-first", &[kept(503, NOTHING)], Err(Silent)),
    ("retry-after-obsolete-date", &[kept_until(503, NOTHING, "Sat, 21 Nov 2026 20:53:00 GMT")], Err(Silent)),
    ("retry-after-past", &[kept_until(503, NOTHING, "Fri, 31 Dec 1999 23:59:59 GMT")], Err(Silent)),
    ("retry-after-twice", &[kept_until(503, NOTHING, "1")], Err(Silent)),
    ("space-before-colon", &[], Err(BadHead)),
    ("status-000", &[], Err(BadHead)),
    ("status-999", &[kept(999, NOTHING)], Err(Silent)),
    ("switching-protocols", &[], Err(BadHead)),
    ("three-answers", &[kept(200, BRACES), kept(200, Text(b"[]"))], Ok(closing(200, Text(b"last")))),
    ("tls-alert", &[], Err(CutShort)),
    ("too-many-headers", &[], Err(HeadTooLong)),
    ("twenty-one-results", &[kept(200, Rest)], Err(Silent)),
    ("until-close", &[], Ok(closing(200, Cafes(2)))),
    ("until-close-at-limit", &[], Ok(closing(200, Filled(4096)))),
    ("until-close-empty", &[], Ok(closing(200, NOTHING))),
    ("until-close-over-limit", &[], Err(BodyTooLong)),
    ("zero-results", &[kept(200, Rest)], Err(Silent)),
];

/// What a response is to be.
#[derive(Clone, Copy)]
pub(crate) struct Answer {
    status: u16,
    body: Body,
    keep_alive: bool,
    retry_after: Option<&'static str>,
}

#[derive(Clone, Copy)]
enum Body {
    Text(&'static [u8]),
    /// Of so many times `x`.
    Filled(usize),
    /// What Google says of so many cafés.
    Cafes(usize),
    /// All the bytes of the file after its first empty line.
    Rest,
    /// The same of another file.
    RestOf(&'static str),
}

/// What the end of the connection, or the first thing wrong, makes of what follows the answers.
pub(crate) type Ending = Result<Answer, HttpError>;

const fn kept(status: u16, body: Body) -> Answer {
    Answer { status, body, keep_alive: true, retry_after: None }
}

const fn closing(status: u16, body: Body) -> Answer {
    Answer { keep_alive: false, ..kept(status, body) }
}

const fn kept_until(status: u16, body: Body, retry_after: &'static str) -> Answer {
    Answer { retry_after: Some(retry_after), ..kept(status, body) }
}

impl Answer {
    /// How it is shown, as one of the answers of the file of this name.
    pub(crate) fn shown(&self, name: &str, files: &BTreeMap<String, Vec<u8>>) -> Shown {
        let Self { status, body, keep_alive, retry_after } = *self;
        let body = match body {
            Text(text) => text.to_vec(),
            Filled(length) => vec![b'x'; length],
            Cafes(count) => cafes(count).into_bytes(),
            Rest => rest(&files[name]).to_vec(),
            RestOf(other) => rest(&files[other]).to_vec(),
        };
        Shown { status, body: body.escape_ascii().to_string(), keep_alive, retry_after: retry_after.map(str::to_owned) }
    }
}

/// A response as a person can read it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Shown {
    status: u16,
    body: String,
    keep_alive: bool,
    retry_after: Option<String>,
}

impl Shown {
    pub(crate) fn of(response: Response) -> Self {
        let Response { status, body, keep_alive, retry_after } = response;
        let retry_after = retry_after.map(|when| match when {
            RetryAfter::In(time) => time.as_secs().to_string(),
            RetryAfter::At(time) => httpdate::fmt_http_date(time),
        });
        Self { status, body: body.escape_ascii().to_string(), keep_alive, retry_after }
    }
}

fn rest(file: &[u8]) -> &[u8] {
    let end = file.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("an empty line");
    &file[end + 4..]
}

fn cafes(count: usize) -> String {
    let cafe = |number: usize| {
        format!(
            r#"
      {{
         "business_status" : "OPERATIONAL",
         "geometry" : {{
            "location" : {{
               "lat" : 34.0{number}8930,
               "lng" : -118.445127
            }}
         }},
         "name" : "Caf\u00e9 \u003c{number}\u003e",
         "types" : [ "cafe", "food" ],
         "vicinity" : "{number} Hilgard Avenue, Los Angeles"
      }}"#
        )
    };
    let results = (0..count).map(cafe).collect::<Vec<_>>().join(",");
    let end = if count > 0 { "\n   " } else { "" };
    let start = "{\n   \"html_attributions\" : [],\n   \"next_page_token\" : \"Aap_uEA7vb0DDYVJ\",\n   \"results\" : [";
    format!("{start}{results}{end}],\n   \"status\" : \"OK\"\n}}\n")
}

const NOTHING: Body = Text(b"");
const BRACES: Body = Text(b"{}");
/// By gzip, which nobody asked for.
const ZIPPED: Body = Text(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\xae\x05\x00C\xbf\xa6\xa3\x02\x00\x00\x00");
