//! A place on Earth as ISO 6709 decimal degrees: validated text, kept as text.
//!
//! Nothing is rounded: the limits are checked in the digits, and what was sent is what is stored, echoed and asked
//! with.

use std::{fmt, str};

use crate::herd::decimal::Decimal;

/// A position, `±D+(.D*)?±D+(.D*)?` and perhaps a final `/`: |latitude| <= 90, |longitude| <= 180 (ISO 6709, annex H).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Position<'a> {
    text: &'a [u8],
    latitude_length: usize,
}

impl<'a> Position<'a> {
    /// Takes `text` for a position, or `None` if it is anything else.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        Self::split(text).filter(|(_, rest)| rest.is_empty()).map(|(position, _)| position)
    }

    /// The position that `text` begins with and what follows it, or `None` if it begins with none.
    #[inline]
    pub(super) fn split(text: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let rest = skip_degrees(text, 90)?;
        let latitude_length = text.len() - rest.len();
        let rest = skip_degrees(rest, 180)?;
        let rest = rest.strip_prefix(b"/").unwrap_or(rest);
        let (text, rest) = text.split_at(text.len() - rest.len());
        Some((Self { text, latitude_length }, rest))
    }

    /// The whole text, as it was sent.
    pub fn as_bytes(&self) -> &'a [u8] {
        self.text
    }

    /// The latitude's text in degrees, its sign included; north is positive.
    pub fn latitude(&self) -> &'a [u8] {
        &self.text[..self.latitude_length]
    }

    /// The longitude's text in degrees, its sign included; east is positive.
    pub fn longitude(&self) -> &'a [u8] {
        let longitude = &self.text[self.latitude_length..];
        longitude.strip_suffix(b"/").unwrap_or(longitude)
    }

    /// The latitude in degrees, as near as an `f64` comes.
    pub fn latitude_degrees(&self) -> f64 {
        degrees(self.latitude())
    }

    /// The longitude in degrees, as near as an `f64` comes.
    pub fn longitude_degrees(&self) -> f64 {
        degrees(self.longitude())
    }
}

impl fmt::Debug for Position<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(self.text))
    }
}

/// What follows a sign and at most `limit` degrees at the start of `text`.
#[inline]
fn skip_degrees(text: &[u8], limit: u64) -> Option<&[u8]> {
    let unsigned = text.strip_prefix(b"+").or_else(|| text.strip_prefix(b"-"))?;
    let (degrees, rest) = Decimal::split(unsigned)?;
    degrees.is_at_most(limit).then_some(rest)
}

fn degrees(text: &[u8]) -> f64 {
    let text = str::from_utf8(text).expect("a position is ASCII");
    text.parse().expect("a signed decimal number is a float")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_two_signed_numbers_and_nothing_else() {
        let check = |text: &str, parts: Option<(&str, &str)>| {
            let position = Position::parse(text.as_bytes());
            let found = position.map(|position| (position.latitude(), position.longitude()));
            assert_eq!(found, parts.map(|(latitude, longitude)| (latitude.as_bytes(), longitude.as_bytes())), "{text}");
            assert!(position.is_none_or(|position| position.as_bytes() == text.as_bytes()));
        };
        check("+34.068930-118.445127", Some(("+34.068930", "-118.445127")));
        check("+34.068930-118.445127/", Some(("+34.068930", "-118.445127")));
        check("-0+0", Some(("-0", "+0")));
        check("+34.-118.", Some(("+34.", "-118.")));
        check("+90-180", Some(("+90", "-180")));
        check("-090.0+00180.000", Some(("-090.0", "+00180.000")));
        check("+90.000000000000000000000000000001+0", None);
        check("+0-180.000000000000000000000000000001", None);
        check("-91+0", None);
        check("+0+181", None);
        check("", None);
        check("/", None);
        check("+34.068930", None);
        check("+34.068930/", None);
        check("34.068930-118.445127", None);
        check("+34.068930 -118.445127", None);
        check("+34.068930,-118.445127", None);
        check("+34.068930--118.445127", None);
        check("+.5-118.4", None);
        check("+34.0-118.4//", None);
        check("+34.0-118.4/x", None);
        check("+34.0-118.4+100", None);
        check("+3e1-118.4", None);
        check("+nan+inf", None);
        check("+٣-1", None);
    }

    #[test]
    fn degrees_are_the_nearest_floats() {
        let check = |text: &str, latitude: f64, longitude: f64| {
            let position = Position::parse(text.as_bytes()).expect("a position");
            assert_eq!((position.latitude_degrees(), position.longitude_degrees()), (latitude, longitude), "{text}");
        };
        check("+34.068930-118.445127/", 34.068930, -118.445127);
        check("-090.+0180.", -90.0, 180.0);
        check("+0-0", 0.0, 0.0);
    }
}
