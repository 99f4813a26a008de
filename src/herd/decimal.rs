//! Decimal numbers as text: digits, perhaps a point and more digits, read and written without rounding.
//!
//! No sign, no exponent. A point needs a digit before it, not after it: `34.` is a number, `.5` is none. Leading zeros
//! change nothing.

/// An unsigned decimal number, still text.
#[derive(Clone, Copy)]
pub(super) struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// The number that `bytes` begin with and what follows it, or `None` if they begin with no digit.
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (whole, rest) = split_digits(bytes);
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => split_digits(rest),
            None => (&rest[..0], rest),
        };
        (!whole.is_empty()).then_some((Self { whole, fraction }, rest))
    }

    /// Takes all of `bytes` for a number.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (decimal, rest) = Self::split(bytes)?;
        rest.is_empty().then_some(decimal)
    }

    /// The digits before the point as a number, or `None` if there are more than [`WHOLE_DIGITS`] after leading zeros.
    pub(super) fn whole(self) -> Option<u64> {
        let zeros = self.whole.iter().take_while(|digit| **digit == b'0').count();
        let digits = &self.whole[zeros..];
        (digits.len() <= WHOLE_DIGITS).then(|| number(digits))
    }

    /// How many digits follow the point.
    pub(super) fn places(self) -> usize {
        self.fraction.len()
    }

    /// The first `places` digits after the point (at most [`WHOLE_DIGITS`]), as a count of units of the last of them.
    pub(super) fn fraction(self, places: usize) -> u64 {
        let digits = &self.fraction[..self.fraction.len().min(places)];
        (digits.len()..places).fold(number(digits), |number, _| number * 10)
    }

    /// Whether the number is `limit` or less, exactly, however many digits it has.
    pub(super) fn is_at_most(self, limit: u64) -> bool {
        self.whole()
            .is_some_and(|whole| whole < limit || (whole == limit && self.fraction.iter().all(|digit| *digit == b'0')))
    }
}

/// Appends `number` in decimal, with leading zeros to at least `width` digits (at most [`WRITTEN_DIGITS`]).
pub(super) fn write_number(text: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; WRITTEN_DIGITS];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
    }
    text.extend_from_slice(&digits[start.min(digits.len() - width)..]);
}

/// The digits that `bytes` begin with, perhaps none, and the rest.
pub(super) fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(bytes.len());
    bytes.split_at(end)
}

fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
}

/// The most digits of a part of a number that is read: all such numbers fit `u64`.
const WHOLE_DIGITS: usize = 19;

/// The most digits that `u64` has.
const WRITTEN_DIGITS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_ends_where_its_digits_end() {
        let check = |text: &str, rest: Option<&str>| {
            let split = Decimal::split(text.as_bytes()).map(|(_, rest)| rest);
            assert_eq!(split, rest.map(str::as_bytes), "{text}");
        };
        check("1", Some(""));
        check("1.", Some(""));
        check("1.5-7", Some("-7"));
        check("1.5.5", Some(".5"));
        check("1e5", Some("e5"));
        check("", None);
        check(".5", None);
        check("-1", None);
        check("+1", None);
    }

    #[test]
    fn the_limit_is_exact() {
        let check = |text: &str, fits: bool| {
            let decimal = Decimal::parse(text.as_bytes()).expect("a number");
            assert_eq!(decimal.is_at_most(90), fits, "{text}");
        };
        check("0", true);
        check("89.99999999999999999999999999999999", true);
        check("0000000000000000000000000090.000", true);
        check("90.00000000000000000000000000000001", false);
        check("91", false);
        check("99999999999999999999999999999999999", false);
    }

    #[test]
    fn a_number_is_written_as_it_is_read() {
        let check = |number: u64, width: usize, written: &str| {
            let mut text = Vec::new();
            write_number(&mut text, number, width);
            assert_eq!(text, written.as_bytes());
        };
        check(0, 1, "0");
        check(0, 9, "000000000");
        check(7, 3, "007");
        check(12_345, 3, "12345");
        check(u64::MAX, 1, "18446744073709551615");
    }
}
