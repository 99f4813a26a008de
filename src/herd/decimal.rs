//! Decimal numbers as text: digits, perhaps a point and more digits, read and written without rounding.
//!
//! No sign, no exponent. A point needs a digit before it, not after it: `34.` is a number, `.5` is none. Leading zeros
//! change nothing. Digits are found, read and written eight at a time, as the bytes of one word: each IAMAT has dozens of them.

/// An unsigned decimal number, still text.
#[derive(Clone, Copy)]
pub(super) struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl<'a> Decimal<'a> {
    /// The number that `bytes` begin with and what follows it, or `None` if they begin with no digit.
    #[inline]
    pub(super) fn split(bytes: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (whole, rest) = split_digits(bytes);
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => split_digits(rest),
            None => (&rest[..0], rest),
        };
        (!whole.is_empty()).then_some((Self { whole, fraction }, rest))
    }

    /// Takes all of `bytes` for a number.
    #[inline]
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (decimal, rest) = Self::split(bytes)?;
        rest.is_empty().then_some(decimal)
    }

    /// The digits before the point as a number, or `None` if there are more than [`WHOLE_DIGITS`] after leading zeros.
    #[inline]
    pub(super) fn whole(self) -> Option<u64> {
        if self.whole.len() <= WHOLE_DIGITS {
            return Some(number(self.whole));
        }
        let zeros = self.whole.iter().take_while(|digit| **digit == b'0').count();
        let digits = &self.whole[zeros..];
        (digits.len() <= WHOLE_DIGITS).then(|| number(digits))
    }

    /// How many digits follow the point.
    pub(super) fn places(self) -> usize {
        self.fraction.len()
    }

    /// The first `places` digits after the point (at most [`WHOLE_DIGITS`]), as a count of units of the last of them.
    #[inline]
    pub(super) fn fraction(self, places: usize) -> u64 {
        let digits = &self.fraction[..self.fraction.len().min(places)];
        (digits.len()..places).fold(number(digits), |number, _| number * 10)
    }

    /// Whether the number is `limit` or less, exactly, however many digits it has.
    #[inline]
    pub(super) fn is_at_most(self, limit: u64) -> bool {
        self.whole()
            .is_some_and(|whole| whole < limit || (whole == limit && self.fraction.iter().all(|digit| *digit == b'0')))
    }
}

/// Appends `number` in decimal, with leading zeros to at least `width` digits, at least one.
pub(super) fn write_number(text: &mut Vec<u8>, number: u64, width: usize) {
    if number < 10 && width == 1 {
        text.push(b'0' + number as u8);
    } else if number < EIGHT_DIGITS && width <= 8 {
        let digits = eight_digits(number);
        let zeros = (u64::from_le_bytes(digits) - EACH * 0x30).trailing_zeros() as usize / 8;
        text.extend_from_slice(&digits[zeros.min(8 - width)..]);
    } else {
        write_number(text, number / EIGHT_DIGITS, width.saturating_sub(8).max(1));
        text.extend_from_slice(&eight_digits(number % EIGHT_DIGITS));
    }
}

/// The value of eight to sixteen bytes, if all are digits.
#[inline]
pub(super) fn parse_digits<const LENGTH: usize>(digits: &[u8; LENGTH]) -> Option<u64> {
    // The last word has some digits of the first, too: all but these.
    let power = const { 10_u64.pow(LENGTH as u32 - 8) };
    let (first, last) = (digits.first_chunk()?, digits.last_chunk()?);
    let are_digits = [first, last].iter().all(|word| leading_digits(u64::from_le_bytes(**word)) == 8);
    are_digits.then(|| eight_digits_value(*first) * power + eight_digits_value(*last) % power)
}

/// The digits that `bytes` begin with, perhaps none, and the rest.
#[inline]
pub(super) fn split_digits(bytes: &[u8]) -> (&[u8], &[u8]) {
    let mut end = 0;
    loop {
        let count = leading_digits(word_at(bytes, end));
        end += count;
        if count < 8 {
            return bytes.split_at(end);
        }
    }
}

/// How many of the eight bytes of `word`, the first one lowest, are digits before the first that is none.
#[inline]
fn leading_digits(word: u64) -> usize {
    // A digit's high half is 3, and still is when 6 is added: nothing else has both.
    let high = word ^ (EACH * 0x30);
    let higher = word.wrapping_add(EACH * 0x06) ^ (EACH * 0x30);
    ((high | higher) & (EACH * 0xf0)).trailing_zeros() as usize / 8
}

/// The eight bytes at this place, the first one lowest; zeros after the end.
#[inline]
pub(super) fn word_at(bytes: &[u8], start: usize) -> u64 {
    let rest = &bytes[start..];
    if let Some(word) = rest.first_chunk() {
        return u64::from_le_bytes(*word);
    }
    match bytes.last_chunk() {
        // It begins before this place, with bytes that are shifted out.
        Some(_) if rest.is_empty() => 0,
        Some(word) => u64::from_le_bytes(*word) >> (64 - 8 * rest.len()),
        None => rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The value of digits, at most [`WHOLE_DIGITS`].
#[inline]
fn number(digits: &[u8]) -> u64 {
    let (words, last) = digits.as_chunks();
    let value = words.iter().fold(0, |value, word| value * EIGHT_DIGITS + eight_digits_value(*word));
    last.iter().fold(value, |value, digit| value * 10 + u64::from(digit - b'0'))
}

/// The value of eight digits: neighbours are put together, then pairs, then fours.
fn eight_digits_value(digits: [u8; 8]) -> u64 {
    let ones = u64::from_le_bytes(digits) - EACH * 0x30;
    let tens = (ones * 10 + (ones >> 8)) & 0x00ff_00ff_00ff_00ff;
    let hundreds = (tens * 100 + (tens >> 16)) & 0x0000_ffff_0000_ffff;
    (hundreds * 10_000 + (hundreds >> 32)) & 0xffff_ffff
}

/// The digits of a number below 10^8: fours are taken apart into pairs, then pairs.
fn eight_digits(number: u64) -> [u8; 8] {
    let fours = (number / 10_000) | ((number % 10_000) << 32);
    let high = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let pairs = high | ((fours - high * 100) << 16);
    let high = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let ones = high | ((pairs - high * 10) << 8);
    (ones + EACH * 0x30).to_le_bytes()
}

/// One in each byte of a word.
pub(super) const EACH: u64 = 0x0101_0101_0101_0101;
const EIGHT_DIGITS: u64 = 100_000_000;

/// The most digits of a part of a number that is read: all such numbers fit `u64`.
const WHOLE_DIGITS: usize = 19;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
        check(99_999_999, 1, "99999999");
        check(100_000_000, 1, "100000000");
        check(9_999_999_999_999_999, 1, "9999999999999999");
        check(10_000_000_000_000_000, 20, "00010000000000000000");
        check(u64::MAX, 1, "18446744073709551615");
    }

    proptest! {
        #[test]
        fn digits_are_what_std_says(number: u64, shift in 0..64, width in 1..=20_usize, rest in "[0-9]{0,3}[^0-9].{0,9}|") {
            let number = number >> shift;
            let mut text = Vec::new();
            write_number(&mut text, number, width);
            let expected = format!("{number:0width$}");
            prop_assert_eq!(&text, expected.as_bytes());
            if number <= 9_999_999_999_999_999_999 {
                let digits = number.to_string();
                prop_assert_eq!(Decimal::parse(digits.as_bytes()).and_then(Decimal::whole), Some(number));
            }
            for start in 0..=text.len() {
                let word: Vec<u8> = text[start..].iter().copied().chain([0; 8]).take(8).collect();
                prop_assert_eq!(word_at(&text, start).to_le_bytes().to_vec(), word);
            }
            for byte in 0..=u8::MAX {
                let word = u64::from_le_bytes([b'7', byte, 0, 0, 0, 0, 0, 0]);
                prop_assert_eq!(leading_digits(word), 1 + usize::from(byte.is_ascii_digit()));
            }
            let expected = text.len() + rest.bytes().take_while(u8::is_ascii_digit).count();
            let bytes = [&text, rest.as_bytes()].concat();
            prop_assert_eq!(split_digits(&bytes).0.len(), expected);
        }
    }
}
