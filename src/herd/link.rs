//! The lines that two neighbouring servers say to each other, both ways. Text, so that a person can read them.
//!
//! One space between words, `\n` at the end; no white space is trimmed, as no person types these. Nothing here has a
//! state: what may be said when is the link's business, and what an AT line says is [`Report`]'s.

use crate::herd::decimal::{Decimal, write_number};
use crate::herd::report::Report;

/// One line of a link, without its `\n`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LinkLine<'a> {
    /// The first line of both sides.
    Hello(Hello<'a>),
    /// The whole AT line of a report, not looked into.
    Report(&'a [u8]),
    /// What follows `DIGEST `: a summary of a directory.
    Digest(&'a [u8]),
    /// "Are you there?"
    Ping,
    /// "I am."
    Pong,
    /// Why the other side is about to close.
    Err(&'a [u8]),
    /// Anything else: the line.
    Unknown(&'a [u8]),
}

/// `HERD <version> <herd> <server> <software>`: who is speaking, and how.
///
/// The words are not validated: they are compared with what the topology says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hello<'a> {
    /// The version of this protocol; [`Hello::VERSION`] is spoken here.
    pub version: u64,
    /// The name of the herd.
    pub herd: &'a [u8],
    /// The name of the server.
    pub server: &'a [u8],
    /// The version of its software, and whatever later protocols add to the line.
    pub software: &'a [u8],
}

impl<'a> LinkLine<'a> {
    /// The longest line, in bytes without its `\n`.
    pub const LIMIT: usize = Report::LIMIT;

    /// Takes `line` apart, as far as the link needs.
    pub fn parse(line: &'a [u8]) -> Self {
        let (word, rest) = split_word(line);
        match (word, rest) {
            (b"AT", Some(_)) => Self::Report(line),
            (b"PING", None) => Self::Ping,
            (b"PONG", None) => Self::Pong,
            (b"DIGEST", Some(summary)) => Self::Digest(summary),
            (b"ERR", Some(why)) => Self::Err(why),
            (b"HERD", Some(rest)) => Hello::parse(rest).map_or(Self::Unknown(line), Self::Hello),
            _ => Self::Unknown(line),
        }
    }
}

impl<'a> Hello<'a> {
    /// The version of this protocol.
    pub const VERSION: u64 = 1;

    fn parse(words: &'a [u8]) -> Option<Self> {
        let (version, rest) = split_word(words);
        let (herd, rest) = split_word(rest?);
        let (server, software) = split_word(rest?);
        let digits = version.iter().all(u8::is_ascii_digit);
        let version = Decimal::parse(version).filter(|_| digits)?.whole()?;
        let software = software?;
        let complete = ![herd, server, software].contains(&b"".as_slice());
        complete.then_some(Self { version, herd, server, software })
    }

    /// Appends the line, its `\n` included.
    pub fn write(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"HERD ");
        write_number(text, self.version, 1);
        for word in [self.herd, self.server, self.software] {
            text.push(b' ');
            text.extend_from_slice(word);
        }
        text.push(b'\n');
    }
}

/// The line that asks whether the other side is there.
pub const PING: &[u8] = b"PING\n";

/// The answer to [`PING`].
pub const PONG: &[u8] = b"PONG\n";

/// Appends the line that says why the link is about to be closed. Control bytes in `why` become spaces, so that it
/// stays one line, and what does not fit into a line is left out.
pub fn write_err(text: &mut Vec<u8>, why: &str) {
    text.extend_from_slice(ERR);
    let room = LinkLine::LIMIT - ERR.len();
    text.extend(why.bytes().take(room).map(|byte| if byte.is_ascii_control() { b' ' } else { byte }));
    text.push(b'\n');
}

/// The bytes before the first space, and those after it if there is one.
fn split_word(line: &[u8]) -> (&[u8], Option<&[u8]>) {
    match line.iter().position(|byte| *byte == b' ') {
        Some(end) => (&line[..end], Some(&line[end + 1..])),
        None => (line, None),
    }
}

const ERR: &[u8] = b"ERR ";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_known_by_its_first_word() {
        let check = |line: &str, parsed: LinkLine<'_>| assert_eq!(LinkLine::parse(line.as_bytes()), parsed, "{line}");
        let hello =
            |version, software| LinkLine::Hello(Hello { version, herd: b"goloman", server: b"Hands", software });
        check("HERD 1 goloman Hands 0.1.0", hello(1, b"0.1.0"));
        check("HERD 2 goloman Hands 7 gzip", hello(2, b"7 gzip"));
        check("AT x", LinkLine::Report(b"AT x"));
        check("DIGEST 5 abc", LinkLine::Digest(b"5 abc"));
        check("PING", LinkLine::Ping);
        check("PONG", LinkLine::Pong);
        check("ERR wrong herd: alford", LinkLine::Err(b"wrong herd: alford"));
        check("ERR ", LinkLine::Err(b""));
        for line in [
            "",
            " ",
            "AT",
            "at x",
            "ATx",
            "PING ",
            " PING",
            "PINGPONG",
            "PONG 1",
            "DIGEST",
            "ERR",
            "ping",
            "\r",
            "PING\r",
            "HERD",
            "HERD 1",
            "HERD 1 goloman",
            "HERD 1 goloman Hands",
            "HERD 1 goloman Hands ",
            "HERD  goloman Hands 0.1.0",
            "HERD 1  Hands 0.1.0",
            "HERD 1.0 goloman Hands 0.1.0",
            "HERD -1 goloman Hands 0.1.0",
            "HERD 10000000000000000000 goloman Hands 0.1.0",
            "IAMAT k +1+1 1",
        ] {
            check(line, LinkLine::Unknown(line.as_bytes()));
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let check = |line: &[u8], parsed: LinkLine<'_>| {
            let line = line.strip_suffix(b"\n").expect("a whole line");
            assert_eq!(LinkLine::parse(line), parsed, "{}", line.escape_ascii());
        };
        let hello = Hello { version: Hello::VERSION, herd: b"goloman", server: b"Hands", software: b"0.1.0" };
        let mut text = Vec::new();
        hello.write(&mut text);
        assert_eq!(text, b"HERD 1 goloman Hands 0.1.0\n");
        check(&text, LinkLine::Hello(hello));
        check(PING, LinkLine::Ping);
        check(PONG, LinkLine::Pong);
        let mut text = Vec::new();
        write_err(&mut text, "two\nlines\r");
        check(&text, LinkLine::Err(b"two lines "));
    }

    #[test]
    fn a_reason_fits_into_a_line() {
        let check = |length: usize, written: usize| {
            let mut text = Vec::new();
            write_err(&mut text, &"x".repeat(length));
            assert_eq!(text.len(), written + "\n".len());
        };
        let room = LinkLine::LIMIT - ERR.len();
        check(room, LinkLine::LIMIT);
        check(room + 1, LinkLine::LIMIT);
    }
}
