//! A server's name: short, safe as a word on the wire, a file name and a DNS label.
//!
//! Compared byte by byte; the smaller name of two is the one that sorts first. Cloning is cheap (a counted pointer).

use std::fmt;
use std::sync::Arc;

/// The name of a server of the herd: 1 to [`ServerName::LIMIT`] ASCII letters, digits, `-` or `_`, a letter first.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerName(Arc<str>);

impl ServerName {
    /// The longest name, in bytes: what fits into one DNS label (RFC 1035, 2.3.4).
    pub const LIMIT: usize = 63;

    /// Takes `bytes` for a name, or `None` if they are not one.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if !Self::is_valid(bytes) {
            return None;
        }
        std::str::from_utf8(bytes).ok().map(|text| Self(text.into()))
    }

    /// Whether `bytes` are a name, found out without making one.
    pub fn is_valid(bytes: &[u8]) -> bool {
        bytes.len() <= Self::LIMIT
            && bytes.first().is_some_and(u8::is_ascii_alphabetic)
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for ServerName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_word_a_file_and_a_label() {
        let check = |bytes: &[u8], valid: bool| assert_eq!(ServerName::parse(bytes).is_some(), valid, "{bytes:?}");
        check(b"Goloman", true);
        check(b"a", true);
        check(b"rack-4_b", true);
        check(b"", false);
        check(b"4ever", false);
        check(b"two words", false);
        check(b"../etc", false);
        check("Jaquéz".as_bytes(), false);
        check(&[b'n'; ServerName::LIMIT], true);
        check(&[b'n'; ServerName::LIMIT + 1], false);
    }
}
