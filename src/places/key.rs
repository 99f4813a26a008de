//! Google's key: taken, hidden, put into requests, and found where it has been shown.
//!
//! Nothing shows it but the bytes of a request: there is no `Display`, and `Debug` hides it.

use std::borrow::Cow;
use std::fmt;

use memchr::{memchr, memmem};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

/// Google's key, which pays for the answers.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Takes `text` without the white space around it; `None` if that is not one word of visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let word = text.trim();
        (!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic())).then(|| Self(word.to_owned()))
    }

    /// Whether `text` shows the key: as it is, as it stands in a URL, in JSON, or in a URL in JSON, whichever characters are
    /// escaped. A key too short to be one is not looked for: it would be found in any text.
    pub fn is_in(&self, text: &[u8]) -> bool {
        let Self(key) = self;
        let shows = |text: &[u8]| memmem::find(text, key.as_bytes()).is_some();
        if key.len() < TELLING {
            return false;
        }
        let told = unescaped(text);
        // Most texts have no percent sign: then there is no third one to look through.
        shows(text) || shows(&told) || memchr(b'%', &told).is_some() && shows(&Cow::from(percent_decode(&told)))
    }

    /// As it stands in a query.
    pub(super) fn in_query(&self) -> String {
        utf8_percent_encode(&self.0, QUERY).to_string()
    }

    /// As it stands in a header.
    pub(super) fn in_header(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Key(hidden)")
    }
}

/// The text without JSON's escapes of single bytes, wherever they stand.
fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    let mut told = Vec::new();
    let mut rest = text;
    while let Some(at) = memchr(b'\\', rest) {
        let after = &rest[at + 1..];
        let (byte, length) = escape(after).unwrap_or((b'\\', 0));
        told.extend_from_slice(&rest[..at]);
        told.push(byte);
        rest = &after[length..];
    }
    if told.is_empty() {
        return Cow::Borrowed(text);
    }
    told.extend_from_slice(rest);
    Cow::Owned(told)
}

/// The byte that is meant by what comes after a backslash (RFC 8259, 7), if a key can have it, and how long that is.
fn escape(after: &[u8]) -> Option<(u8, usize)> {
    match after {
        [b'u', b'0', b'0', high, low, ..] => {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            Some((u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?, 5))
        }
        [byte @ (b'/' | b'\\' | b'"'), ..] => Some((*byte, 1)),
        _ => None,
    }
}

/// What is escaped in a query: all but RFC 3986's unreserved characters.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The shortest key that is looked for in what Places says; Google's have 39 characters.
const TELLING: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_of_ascii() {
        assert_eq!(Key::new(" k/+ \n").map(|key| key.in_header().to_owned()).as_deref(), Some("k/+"));
        for bad in [" \n", "", "two words", "k\0", "é", "k\r\nX: y"] {
            assert_eq!(Key::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_found_where_it_is_shown() {
        let long = format!("{}/", "k".repeat(TELLING - 1));
        let check = |key: &str, text: &str, expected| {
            assert_eq!(Key::new(key).expect("a key").is_in(text.as_bytes()), expected, "{key} in {text}");
        };
        check(&long, &format!("<{long}>"), true);
        check(&long, &format!("?key={}%2F&", &long[..TELLING - 1]), true);
        check(&long, &long[..TELLING - 1], false);
        check(&long[1..], &long, false);
        let odd = "AIza+k/%2B\\\"=012~";
        for shown in [
            odd,
            "AIza%2Bk%2F%252B%5C%22%3D012~",
            "AIza%2bk%2f%252B%5c%22%3d012%7E",
            r#"AIza+k\/%2B\\\"\u003d012~"#,
            r#"\u0041\u0049za\u002Bk\u002f\u00252B\\\u0022=012~"#,
            r"AIza\u00252Bk%2F%252B%5C%22%3D012~",
        ] {
            check(odd, &format!("50% \\u00 {shown}"), true);
            check(odd, &shown[..shown.len() - 1], false);
        }
        for other in ["\\", "\\u", "\\u00", "\\u00g0", "\\u0141Iza", "%", "%4", "%zz", "%\\", "\\%"] {
            check(&long, other, false);
            check(&long, &format!("{other}{long}"), true);
        }
    }
}
