//! The faults that there are: how each is written, what it decides of an answer, what it does, and what the help says of it.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Faults, Framing, Length, Saying, Version};

/// What there is to know of a fault.
pub(super) struct Row {
    pub(super) word: &'static str,
    pub(super) value: Value,
    pub(super) decides: &'static [Aspect],
    /// Sets it; the number is what [`number`](Row::number) gave.
    pub(super) set: fn(&mut Faults, u64),
    pub(super) help: &'static str,
}

/// What may stand after the word and a `=`.
pub(super) enum Value {
    None,
    Number(&'static str, RangeInclusive<u64>),
    /// This number, or nothing, which stands for the other one.
    Perhaps(u64, u64),
}

/// What there is to decide of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aspect {
    Legacy,
    New,
    Framing,
    Version,
    Interim,
    Head,
    Body,
    RetryAfter,
    Start,
    Pace,
    Cut,
}

impl Row {
    /// How it is written.
    pub(super) fn form(&self) -> String {
        match &self.value {
            Value::None => self.word.to_owned(),
            Value::Number(name, _) => format!("{}={name}", self.word),
            Value::Perhaps(number, _) => format!("{}[={number}]", self.word),
        }
    }

    /// The number that the value stands for; `None` if it cannot be.
    pub(super) fn number(&self, value: Option<&str>) -> Option<u64> {
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?;
        match (&self.value, value) {
            (Value::None, None) => Some(0),
            (Value::Number(_, range), Some(text)) => digits(text).filter(|number| range.contains(number)),
            (Value::Perhaps(number, _), Some(text)) => digits(text).filter(|found| found == number),
            (Value::Perhaps(_, otherwise), None) => Some(*otherwise),
            (Value::None, Some(_)) | (Value::Number(..), None) => None,
        }
    }

    /// How to write it, for somebody who has not.
    pub(super) fn remedy(&self) -> String {
        match &self.value {
            Value::Number(name, range) => {
                format!("write {}, where {name} is a number from {} to {}", self.form(), range.start(), range.end())
            }
            Value::Perhaps(number, _) => format!("write {0} or {0}={number}", self.word),
            Value::None => format!("write {}, which takes no value", self.word),
        }
    }
}

impl Aspect {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Legacy => "what the legacy API says",
            Self::New => "what the new API says",
            Self::Framing => "how the end of the body is told",
            Self::Version => "the HTTP version",
            Self::Interim => "what comes before the answer",
            Self::Head => "how long the head is",
            Self::Body => "how long the body is",
            Self::RetryAfter => "when to ask again",
            Self::Start => "when the answer begins",
            Self::Pace => "how fast it comes",
            Self::Cut => "after how many bytes it ends",
        }
    }
}

fn say(faults: &mut Faults, saying: Saying) {
    faults.legacy = saying;
    faults.new = saying;
}

/// A status, which the table limits to three digits.
fn status(number: u64) -> u16 {
    u16::try_from(number).expect("the table has no longer one")
}

/// All faults, the more usual ones first.
pub(super) const TABLE: &[Row] = &[
    Row {
        word: "delay",
        value: Value::Number("MS", 0..=LONGEST_WAIT),
        decides: &[Aspect::Start],
        set: |faults, number| faults.delay = Duration::from_millis(number),
        help: "the answer begins after so many milliseconds",
    },
    Row {
        word: "drip",
        value: Value::Number("MS", 1..=LONGEST_WAIT),
        decides: &[Aspect::Pace],
        set: |faults, number| faults.drip = Some(Duration::from_millis(number)),
        help: "a byte comes, and the next one so many milliseconds later",
    },
    Row {
        word: "cut",
        value: Value::Number("N", 0..=LATEST_CUT),
        decides: &[Aspect::Cut],
        set: |faults, number| faults.cut = usize::try_from(number).ok(),
        help: "the connection ends in good order after N bytes, the head's included",
    },
    Row {
        word: "status",
        value: Value::Number("N", 200..=599),
        decides: &[Aspect::Legacy, Aspect::New],
        set: |faults, number| say(faults, Saying::Page(status(number))),
        help: "this HTTP status, and a page in HTML as Google's front end has them",
    },
    Row {
        word: "quota",
        value: Value::None,
        decides: &[Aspect::Legacy, Aspect::New],
        set: |faults, _| say(faults, Saying::OverQuota),
        help: "too many questions: OVER_QUERY_LIMIT (HTTP 200); new: RESOURCE_EXHAUSTED (429)",
    },
    Row {
        word: "retry-after",
        value: Value::Number("S", 0..=u32::MAX as u64),
        decides: &[Aspect::RetryAfter],
        set: |faults, number| faults.retry_after = Some(number),
        help: "a Retry-After of so many seconds; with quota or status=429",
    },
    Row {
        word: "no-legacy",
        value: Value::Perhaps(403, 200),
        decides: &[Aspect::Legacy],
        set: |faults, number| faults.legacy = Saying::NotEnabled(status(number)),
        help: "the legacy API is not enabled for the project: REQUEST_DENIED (HTTP 200, or 403)",
    },
    Row {
        word: "no-new",
        value: Value::None,
        decides: &[Aspect::New],
        set: |faults, _| faults.new = Saying::NotEnabled(403),
        help: "the new API is not enabled for the project: PERMISSION_DENIED (HTTP 403)",
    },
    Row {
        word: "echo-key",
        value: Value::None,
        decides: &[Aspect::Legacy, Aspect::New],
        set: |faults, _| say(faults, Saying::Key),
        help: "REQUEST_DENIED (new: PERMISSION_DENIED) whose message has the key that was sent",
    },
    Row {
        word: "redirect",
        value: Value::None,
        decides: &[Aspect::Legacy, Aspect::New],
        set: |faults, _| say(faults, Saying::Elsewhere),
        help: "302, with a Location on this host where the answer is",
    },
    Row {
        word: "chunked",
        value: Value::None,
        decides: &[Aspect::Framing],
        set: |faults, _| faults.framing = Framing::Chunked,
        help: "chunks of 1, 2, 3, 5, 8, ... bytes, with extensions and a trailer",
    },
    Row {
        word: "until-close",
        value: Value::None,
        decides: &[Aspect::Framing],
        set: |faults, _| faults.framing = Framing::UntilClose,
        help: "a body without a length, until the connection ends in good order",
    },
    Row {
        word: "no-close-notify",
        value: Value::None,
        decides: &[Aspect::Framing],
        set: |faults, _| faults.framing = Framing::CutOff,
        help: "the same, but without TLS close_notify: over TLS it may be cut short",
    },
    Row {
        word: "two-lengths",
        value: Value::None,
        decides: &[Aspect::Framing],
        set: |faults, _| faults.framing = Framing::TwoLengths,
        help: "both Content-Length and Transfer-Encoding",
    },
    Row {
        word: "http-1.0",
        value: Value::None,
        decides: &[Aspect::Version],
        set: |faults, _| faults.version = Version::Http10,
        help: "HTTP/1.0, and the connection ends",
    },
    Row {
        word: "continue",
        value: Value::None,
        decides: &[Aspect::Interim],
        set: |faults, _| faults.interim = true,
        help: "100 Continue and 103 Early Hints come before the answer",
    },
    Row {
        word: "long-head",
        value: Value::None,
        decides: &[Aspect::Head],
        set: |faults, _| faults.head = Length::Long,
        help: "a head of more than 16 KiB",
    },
    Row {
        word: "long-body",
        value: Value::None,
        decides: &[Aspect::Body],
        set: |faults, _| faults.body = Length::Long,
        help: "a body of more than 2 MiB: the usual one, and spaces",
    },
    Row {
        word: "garbage",
        value: Value::None,
        decides: &[
            Aspect::Legacy,
            Aspect::New,
            Aspect::Framing,
            Aspect::Version,
            Aspect::Interim,
            Aspect::Head,
            Aspect::Body,
            Aspect::RetryAfter,
        ],
        set: |faults, _| say(faults, Saying::Garbage),
        help: "no HTTP at all; only with delay, drip and cut",
    },
    Row {
        word: "silent",
        value: Value::None,
        decides: &[
            Aspect::Legacy,
            Aspect::New,
            Aspect::Framing,
            Aspect::Version,
            Aspect::Interim,
            Aspect::Head,
            Aspect::Body,
            Aspect::RetryAfter,
            Aspect::Start,
            Aspect::Pace,
            Aspect::Cut,
        ],
        set: |faults, _| say(faults, Saying::Nothing),
        help: "the request is read and never answered; only by itself",
    },
];

/// The longest `delay`, and the longest time from byte to byte, in milliseconds: ten minutes.
const LONGEST_WAIT: u64 = 600_000;

/// The latest byte to cut after; no answer is as long.
const LATEST_CUT: u64 = 1 << 30;
