//! Bytes from a stranger, fit to be shown: printable ASCII as it is, all else as an escape.
//!
//! One line in, one line out, and nothing that a terminal obeys. Not reversible: a backslash stays as it is, so that what is
//! shown looks like what was sent.

use std::fmt;

/// Shows bytes from the wire in a log line, an error or on a terminal: `\n`, `\r` and `\t` by name, any other byte that is not
/// printable ASCII as `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while !rest.is_empty() {
            let printable = rest.iter().position(|byte| !is_printable(*byte)).unwrap_or(rest.len());
            let (text, others) = rest.split_at(printable);
            formatter.write_str(std::str::from_utf8(text).expect("printable bytes are ASCII"))?;
            let strange = others.iter().position(|byte| is_printable(*byte)).unwrap_or(others.len());
            let (strange, next) = others.split_at(strange);
            strange.iter().try_for_each(|byte| write_escape(*byte, formatter))?;
            rest = next;
        }
        Ok(())
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

fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

#[cfg(test)]
mod tests {
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
}
