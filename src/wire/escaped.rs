//! Bytes from a stranger, fit to be shown: printable ASCII as it is, all else as an escape.
//!
//! One line in, one line out, and nothing that a terminal obeys. Not reversible: a backslash stays as it is, so that what is
//! shown looks like what was sent. Each line of the log goes through here, so bytes are looked at many at a time.

use std::fmt;

/// Shows bytes from the wire in a log line, an error or on a terminal: `\n`, `\r` and `\t` by name, any other byte that is not
/// printable ASCII as `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        loop {
            let (text, others) = rest.split_at(count_printable(rest));
            formatter.write_str(std::str::from_utf8(text).expect("printable bytes are ASCII"))?;
            let Some((strange, next)) = others.split_first() else { return Ok(()) };
            write_escape(*strange, formatter)?;
            rest = next;
        }
    }
}

fn write_escape(byte: u8, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    match byte {
        b'\n' => formatter.write_str("\\n"),
        b'\r' => formatter.write_str("\\r"),
        b'\t' => formatter.write_str("\\t"),
        _ => write!(formatter, "\\x{byte:02x}"),
    }
}

/// How many bytes there are before the first that is not printable ASCII.
#[inline]
pub fn count_printable(bytes: &[u8]) -> usize {
    let (chunks, _) = bytes.as_chunks();
    let whole = chunks.iter().position(|chunk| !is_all_printable(chunk)).unwrap_or(chunks.len());
    // What remains is the end of the last chunk that fits, mostly.
    if whole == chunks.len() && bytes.last_chunk().is_some_and(is_all_printable) {
        return bytes.len();
    }
    let rest = &bytes[whole * CHUNK..];
    let count = rest.iter().position(|byte| !is_printable(*byte)).unwrap_or(rest.len());
    whole * CHUNK + count
}

/// No way out in the middle: so the compiler looks at all bytes at once.
#[inline]
fn is_all_printable(chunk: &[u8; CHUNK]) -> bool {
    chunk.iter().fold(true, |all, byte| all & is_printable(*byte))
}

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// How many bytes are looked at together: a vector of the processor or two.
const CHUNK: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_printable_ascii_is_shown_as_it_is() {
        let check = |bytes: &[u8], expected: &str| assert_eq!(Escaped(bytes).to_string(), expected, "{bytes:?}");
        check(b"", "");
        check(b"IAMAT kiwi ~", "IAMAT kiwi ~");
        check(b"two\r\nlines\t", "two\\r\\nlines\\t");
        check(b"\x1b[31m\0\x7f", "\\x1b[31m\\x00\\x7f");
        check("café".as_bytes(), "caf\\xc3\\xa9");
        check(b"\xff\xfe", "\\xff\\xfe");
        check(br"C:\n", r"C:\n");
    }

    #[test]
    fn every_byte_is_shown_in_one_line_of_ascii() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        let shown = Escaped(&all).to_string();
        assert!(shown.bytes().all(is_printable), "{shown}");
    }

    proptest! {
        #[test]
        fn bytes_together_are_shown_as_each_by_itself(bytes in mostly_printable()) {
            let by_itself: String = bytes.iter().map(|byte| Escaped(&[*byte]).to_string()).collect();
            prop_assert_eq!(Escaped(&bytes).to_string(), by_itself);
            let count = bytes.iter().take_while(|byte| (0x20..0x7f).contains(*byte)).count();
            prop_assert_eq!(count_printable(&bytes), count);
        }
    }

    /// Long enough for a few chunks, with few others and at any place.
    fn mostly_printable() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![40 => b' '..=b'~', 1 => any::<u8>(), 1 => prop::sample::select(&b"\x1f\x7f\x80\n"[..])];
        prop::collection::vec(byte, 0..5 * CHUNK)
    }
}
