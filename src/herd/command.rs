//! One line of a client, bytes, to one [`Command`]; what is no command is [`Command::Unknown`].
//!
//! White space is exactly space, `\t`, `\r`, `\n`, `\f` and `\v`; any other byte, UTF-8 or not, may stand in a client
//! ID. Nothing is copied and nothing is known here: whether a client exists is the node's question.

use crate::herd::decimal::{Decimal, EACH, word_at, write_number};
use crate::herd::position::Position;
use crate::herd::timestamp::Timestamp;

/// What a client's line asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command<'a> {
    /// "I am at": a client says where it is.
    Iamat(Iamat<'a>),
    /// "What is at": somebody asks what is near a client.
    Whatsat(Whatsat<'a>),
    /// Nothing but white space: no answer is due.
    Empty,
    /// Anything else: the line without white space at its ends.
    Unknown(&'a [u8]),
}

/// `IAMAT <client> <position> <timestamp>`. How the fields were spaced makes no difference.
#[derive(Clone, Copy, Debug)]
pub struct Iamat<'a> {
    /// The client's ID.
    pub client: &'a [u8],
    /// Where the client says that it is.
    pub position: Position<'a>,
    /// When the client says that it sent this.
    pub timestamp: Timestamp,
    /// The timestamp as it was sent.
    pub timestamp_text: &'a [u8],
    /// The three fields in one piece, if there was one space between them.
    pub(super) plain: Option<&'a [u8]>,
}

impl PartialEq for Iamat<'_> {
    fn eq(&self, other: &Self) -> bool {
        let fields = |iamat: &Self| (iamat.client, iamat.position, iamat.timestamp_text);
        fields(self) == fields(other)
    }
}

impl Eq for Iamat<'_> {}

/// `WHATSAT <client> <radius> <bound>`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Whatsat<'a> {
    /// The ID of the client to look around.
    pub client: &'a [u8],
    /// How far to look.
    pub radius: Radius,
    /// How many results to answer with.
    pub bound: Bound,
}

impl<'a> Command<'a> {
    /// The longest line, in bytes without its `\n`; a longer one is no command.
    pub const LIMIT: usize = 4096;

    /// Takes `line`, without its `\n`, for a command.
    pub fn parse(line: &'a [u8]) -> Self {
        if let Some(iamat) = Iamat::parse_plain(line) {
            return Self::Iamat(iamat);
        }
        let line = trim(line);
        if line.is_empty() {
            return Self::Empty;
        }
        fields(line).filter(|_| line.len() <= Self::LIMIT).and_then(Self::of_fields).unwrap_or(Self::Unknown(line))
    }

    /// Whether `line` may be an IAMAT as programs write it: for who has something to do for several of them at once.
    pub fn is_plain_iamat(line: &[u8]) -> bool {
        line.starts_with(PLAIN_IAMAT)
    }

    fn of_fields([word, client, third, fourth]: [&'a [u8]; 4]) -> Option<Self> {
        if client.len() > CLIENT_LIMIT {
            return None;
        }
        match word {
            b"IAMAT" => Some(Self::Iamat(Iamat {
                client,
                position: Position::parse(third)?,
                timestamp: Timestamp::parse(fourth)?,
                timestamp_text: fourth,
                plain: None,
            })),
            b"WHATSAT" => {
                Some(Self::Whatsat(Whatsat { client, radius: Radius::parse(third)?, bound: Bound::parse(fourth)? }))
            }
            _ => None,
        }
    }
}

impl<'a> Iamat<'a> {
    /// Takes `line` for an IAMAT as programs write it, with one space between fields and nothing else; `None` says nothing. Most
    /// lines are such, and this is several times as fast as looking at each byte for white space.
    fn parse_plain(line: &'a [u8]) -> Option<Self> {
        let fields = line.strip_prefix(PLAIN_IAMAT).filter(|_| line.len() <= Command::LIMIT)?;
        let (client, rest) = split_client(fields)?;
        let (position, rest) = Position::split(rest)?;
        let timestamp_text = rest.strip_prefix(b" ")?;
        let timestamp = Timestamp::parse(timestamp_text)?;
        Some(Self { client, position, timestamp, timestamp_text, plain: Some(fields) })
    }
}

/// A distance of 0 to 50 km, exact to 10^-17 km.
///
/// Equal distances are equal however they were written. Decimals after the 17th (they say less than an atom's nucleus
/// is wide) are dropped, but not before the limit was checked on all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Radius(u64);

impl Radius {
    /// The longest radius, in kilometres: what Google takes.
    pub const LIMIT_KM: u64 = 50;

    /// Takes `text` for a number of kilometres: digits, perhaps a point and more digits; no sign, no exponent.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let km = Decimal::parse(text).filter(|km| km.is_at_most(Self::LIMIT_KM))?;
        Some(Self(km.whole()? * 10_u64.pow(KM_PLACES as u32) + km.fraction(KM_PLACES)))
    }

    /// Appends the distance in metres, exactly, without needless zeros: `10000`, `0.5`.
    pub fn write_metres(self, text: &mut Vec<u8>) {
        write_number(text, self.0 / UNITS_PER_METRE, 1);
        let fraction = self.0 % UNITS_PER_METRE;
        if fraction > 0 {
            text.push(b'.');
            write_number(text, fraction, METRE_PLACES);
            let zeros = text.iter().rev().take_while(|digit| **digit == b'0').count();
            text.truncate(text.len() - zeros);
        }
    }

    /// The distance in metres, as near as an `f64` comes.
    pub fn metres_f64(self) -> f64 {
        self.0 as f64 / UNITS_PER_METRE as f64
    }
}

/// How many results an answer may hold: 0 to 20.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Bound(u8);

impl Bound {
    /// The highest bound: the results of one page of Google's.
    pub const LIMIT: u64 = 20;

    /// Takes `text` for a bound: nothing but digits, leading zeros allowed as in the other numbers.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.iter().all(u8::is_ascii_digit);
        let number = Decimal::parse(text).filter(|number| digits && number.is_at_most(Self::LIMIT))?;
        Some(Self(number.whole()? as u8))
    }

    /// The bound as a count.
    pub fn as_usize(self) -> usize {
        self.0.into()
    }
}

/// The client's ID that `text` begins with, up to a space, and what follows that; `None` if there is none, or it is too long, or white
/// space of another kind comes before.
#[inline]
pub(super) fn split_client(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        // All white space is among the bytes up to a space, which are looked for in eight bytes at once: the lowest is found.
        let word = word_at(text, end);
        let found = word.wrapping_sub(EACH * 0x21) & !word & (EACH * 0x80);
        end += found.trailing_zeros() as usize / 8;
        match *text.get(end)? {
            _ if found == 0 => {}
            b' ' => break,
            byte if is_white_space(byte) => return None,
            // Another control byte: an ID may have it.
            _ => end += 1,
        }
    }
    (1..=CLIENT_LIMIT).contains(&end).then(|| (&text[..end], &text[end + 1..]))
}

/// Whether `byte` separates fields.
pub(super) fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

/// `line` without the white space at its ends.
pub(super) fn trim(line: &[u8]) -> &[u8] {
    let Some(start) = line.iter().position(|byte| !is_white_space(*byte)) else { return &[] };
    let end = line.iter().rposition(|byte| !is_white_space(*byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

/// The fields of a trimmed line, if there are four.
fn fields(line: &[u8]) -> Option<[&[u8]; 4]> {
    let mut words = line.split(|byte| is_white_space(*byte)).filter(|word| !word.is_empty());
    let fields = [words.next()?, words.next()?, words.next()?, words.next()?];
    words.next().is_none().then_some(fields)
}

/// How an IAMAT begins, as programs write it.
const PLAIN_IAMAT: &[u8] = b"IAMAT ";

/// The longest client ID, in bytes.
pub(super) const CLIENT_LIMIT: usize = 255;

/// Decimals of a kilometre: 50 km in the last of them still fit `u64`.
const KM_PLACES: usize = 17;
const METRE_PLACES: usize = KM_PLACES - 3;
const UNITS_PER_METRE: u64 = 10_u64.pow(METRE_PLACES as u32);

#[cfg(test)]
mod tests {
    use super::*;

    const IAMAT: &[u8] = b"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997";

    fn iamat(client: &[u8]) -> Command<'_> {
        Command::Iamat(Iamat {
            client,
            position: Position::parse(b"+34.068930-118.445127").expect("a position"),
            timestamp: Timestamp::parse(b"1520023934.918963997").expect("a timestamp"),
            timestamp_text: b"1520023934.918963997",
            plain: None,
        })
    }

    fn whatsat<'a>(radius: &str, bound: &str) -> Command<'a> {
        let radius = Radius::parse(radius.as_bytes()).expect("a radius");
        Command::Whatsat(Whatsat { client: b"kiwi", radius, bound: Bound::parse(bound.as_bytes()).expect("a bound") })
    }

    fn check(line: impl AsRef<[u8]>, command: Command<'_>) {
        assert_eq!(Command::parse(line.as_ref()), command, "{}", line.as_ref().escape_ascii());
    }

    /// `line` is no command and has no white space at its ends.
    fn check_unknown(line: impl AsRef<[u8]>) {
        check(line.as_ref(), Command::Unknown(line.as_ref()));
    }

    #[test]
    fn an_iamat_has_four_fields() {
        check(IAMAT, iamat(b"kiwi.cs.ucla.edu"));
        check_unknown("IAMAT");
        check_unknown("IAMAT kiwi +1+1");
        check_unknown("IAMAT kiwi +1+1 1 1");
        check_unknown("IAMAT kiwi 1 +1+1");
        check_unknown("IAMAT kiwi +91+1 1");
        check_unknown("IAMAT kiwi +1+1 +1");
        check_unknown("iamat kiwi +1+1 1");
        check_unknown("IAMATT kiwi +1+1 1");
    }

    #[test]
    fn a_whatsat_has_four_fields() {
        check("WHATSAT kiwi 10 5", whatsat("10", "5"));
        check("WHATSAT kiwi 0 0", whatsat("0", "0"));
        check("WHATSAT kiwi 50 20", whatsat("50", "20"));
        check("WHATSAT kiwi 00.50 007", whatsat("0.5", "7"));
        check_unknown("WHATSAT kiwi 10");
        check_unknown("WHATSAT kiwi 10 5 5");
        check_unknown("WHATSAT kiwi 50.00000000000000000000000000001 5");
        check_unknown("WHATSAT kiwi 51 5");
        check_unknown("WHATSAT kiwi -1 5");
        check_unknown("WHATSAT kiwi +1 5");
        check_unknown("WHATSAT kiwi 1e1 5");
        check_unknown("WHATSAT kiwi .5 5");
        check_unknown("WHATSAT kiwi nan 5");
        check_unknown("WHATSAT kiwi 10 21");
        check_unknown("WHATSAT kiwi 10 -1");
        check_unknown("WHATSAT kiwi 10 +5");
        check_unknown("WHATSAT kiwi 10 5.0");
        check_unknown("WHATSAT kiwi 10 5.");
        check_unknown("WHATSAT kiwi 10 99999999999999999999999999");
    }

    #[test]
    fn white_space_is_six_bytes() {
        check("", Command::Empty);
        check(" \t\r\n\x0c\x0b", Command::Empty);
        check(b"\x0b\tIAMAT  kiwi \x0c +34.068930-118.445127\r\t1520023934.918963997\r\n", iamat(b"kiwi"));
        check("\u{a0}", Command::Unknown("\u{a0}".as_bytes()));
        check(" \0 ", Command::Unknown(b"\0"));
        check("\x1c", Command::Unknown(b"\x1c"));
        check("  two   words \r", Command::Unknown(b"two   words"));
    }

    #[test]
    fn a_client_is_any_other_bytes() {
        for client in [b"?".as_slice(), "\u{a0}".as_bytes(), "🥝".as_bytes(), b"\xff\xfe", b"\0", b"IAMAT", b"a\x1fb"]
        {
            let line = [b"IAMAT ", client, b" +34.068930-118.445127 1520023934.918963997"].concat();
            check(&line, iamat(client));
        }
    }

    #[test]
    fn a_client_has_at_most_255_bytes() {
        let client = [b'k'; CLIENT_LIMIT];
        check([b"IAMAT ", &client[..], &IAMAT[22..]].concat(), iamat(&client));
        check_unknown([b"IAMAT k", &client[..], &IAMAT[22..]].concat());
        check_unknown([b"WHATSAT k", &client[..], b" 10 5"].concat());
    }

    #[test]
    fn a_command_has_at_most_4096_bytes() {
        let line = |length: usize| {
            let mut line = b"WHATSAT kiwi 10.".to_vec();
            line.resize(length - 2, b'0');
            [&line[..], b" 5"].concat()
        };
        check(line(Command::LIMIT), whatsat("10", "5"));
        check_unknown(line(Command::LIMIT + 1));
    }

    #[test]
    fn servers_words_are_not_a_clients() {
        check_unknown("AT Goloman +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997");
        check_unknown("HERD 1 goloman Hands 0.1.0");
        check_unknown("PING");
    }

    #[test]
    fn metres_are_exact() {
        let check = |km: &str, written: &str, metres: f64| {
            let radius = Radius::parse(km.as_bytes()).expect("a radius");
            let mut text = b"radius=1000".to_vec();
            radius.write_metres(&mut text);
            assert_eq!(text.escape_ascii().to_string(), format!("radius=1000{written}"));
            assert_eq!(radius.metres_f64(), metres);
        };
        check("0", "0", 0.0);
        check("10", "10000", 10_000.0);
        check("50.000", "50000", 50_000.0);
        check("0.5", "500", 500.0);
        check("1.2345", "1234.5", 1234.5);
        check("0.0001", "0.1", 0.1);
        check("49.99999999999999999", "49999.99999999999999", 50_000.0);
        check("0.00000000000000001", "0.00000000000001", 1e-14);
        check("0.000000000000000019", "0.00000000000001", 1e-14);
    }

    #[test]
    fn equal_radii_are_equal() {
        let radius = |km: &str| Radius::parse(km.as_bytes());
        assert_eq!(radius("10"), radius("0010.000000000000000000000000"));
        assert_ne!(radius("10"), radius("10.00000000000000001"));
    }
}
