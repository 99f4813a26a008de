//! What the load says: lines made of a template, without formatting machinery and without text kept for each client.
//!
//! - A line is a copy of a frame, its fields written over: the client's number, a position, the decimals of a timestamp. There is a
//!   frame for each length of a number, with the second in it; once a second they are made anew.
//! - A position follows from the client's number and that of the report, by two small tables: clients move, and a million of them cost
//!   no more memory than one.
//! - Timestamps are the clock of the turn, and always grow: of two lines the later one is the newer report.
//!
//! What it does not do: it sends nothing, and does not know which client is whose turn.

use std::ops::Range;
use std::str::FromStr;
use std::time::SystemTime;

use crate::server::limits::CLIENT_LINE;

/// A line with placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    Field(Field),
}

/// What differs from line to line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Field {
    /// The digits that follow [`PREFIX`].
    Client,
    Latitude,
    Longitude,
    /// In a frame, the decimals: the second stands there already.
    Time,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("a line says something".to_owned());
        }
        if text.contains(['\n', '\r']) {
            return Err("a line has no line break; one is added".to_owned());
        }
        if text.len() > TEMPLATE_LIMIT {
            return Err(format!("a template has at most {TEMPLATE_LIMIT} bytes"));
        }
        let mut template = Self(Vec::new());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            template.text(before);
            rest = match after.strip_prefix('{') {
                Some(after) => {
                    template.text("{");
                    after
                }
                None => {
                    let (name, after) =
                        after.split_once('}').ok_or_else(|| format!("{{{after} has no end; {{{{ is a brace"))?;
                    template.placeholder(name)?;
                    after
                }
            };
        }
        template.text(rest);
        template.text("\n");
        Ok(template)
    }
}

impl Template {
    fn placeholder(&mut self, name: &str) -> Result<(), String> {
        match name {
            "client" => {
                self.text(PREFIX);
                self.0.push(Piece::Field(Field::Client));
            }
            "position" => self.0.extend([Field::Latitude, Field::Longitude].map(Piece::Field)),
            "latitude" => self.0.push(Piece::Field(Field::Latitude)),
            "longitude" => self.0.push(Piece::Field(Field::Longitude)),
            "time" => self.0.push(Piece::Field(Field::Time)),
            _ => {
                return Err(format!(
                    "there is no {{{name}}}; there are {{client}}, {{position}}, {{latitude}}, {{longitude}} and {{time}}, and \
                     {{{{ is a brace"
                ));
            }
        }
        Ok(())
    }

    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(before)) => before.extend_from_slice(text.as_bytes()),
            _ if text.is_empty() => {}
            _ => self.0.push(Piece::Text(text.into())),
        }
    }

    /// A line for clients whose number has so many digits, at this second.
    fn frame(&self, digits: usize, second: u64) -> Frame {
        let mut frame = Frame { text: Vec::new(), fields: Vec::new() };
        for piece in &self.0 {
            let field = match piece {
                Piece::Text(text) => {
                    frame.text.extend_from_slice(text);
                    continue;
                }
                Piece::Field(field) => *field,
            };
            let length = match field {
                Field::Client => digits,
                Field::Latitude => LATITUDE,
                Field::Longitude => LONGITUDE,
                Field::Time => {
                    frame.text.extend_from_slice(format!("{second}.").as_bytes());
                    DECIMALS
                }
            };
            let start = frame.text.len();
            frame.text.resize(start + length, b'0');
            frame.fields.push((field, start..start + length));
        }
        frame
    }
}

/// A line to be written over.
struct Frame {
    text: Vec<u8>,
    fields: Vec<(Field, Range<usize>)>,
}

/// Writes a batch of lines.
pub(super) struct Lines {
    template: Template,
    /// By how many digits a client's number has, less one.
    frames: Vec<Frame>,
    stamps: Stamps,
    latitudes: Vec<[u8; LATITUDE]>,
    longitudes: Vec<[u8; LONGITUDE]>,
    /// How many reports there were.
    reports: usize,
    batch: Vec<u8>,
}

impl Lines {
    pub(super) fn new(template: Template) -> Self {
        Self {
            template,
            frames: Vec::new(),
            stamps: Stamps::default(),
            latitudes: coordinates(85_000_000),
            longitudes: coordinates(180_000_000),
            reports: 0,
            batch: Vec::new(),
        }
    }

    /// A new batch, of this time.
    pub(super) fn begin(&mut self, wall: SystemTime) {
        self.batch.clear();
        if self.stamps.advance(wall) || self.frames.is_empty() {
            self.make_frames();
        }
    }

    /// One more line, which reports where `client` is.
    pub(super) fn report(&mut self, client: Client) {
        if self.stamps.grow() {
            self.make_frames();
        }
        let number = client.0 as usize;
        // Another place than the last time, also if all clients come as often as one of the tables is long.
        let place = number.wrapping_add(self.reports);
        self.reports = self.reports.wrapping_add(1);
        let frame = &self.frames[number.checked_ilog10().unwrap_or(0) as usize];
        let start = self.batch.len();
        self.batch.extend_from_slice(&frame.text);
        let line = &mut self.batch[start..];
        for (field, range) in &frame.fields {
            let text = &mut line[range.clone()];
            match field {
                Field::Client => write_number(text, client.0),
                Field::Latitude => text.copy_from_slice(&self.latitudes[place % TABLE]),
                Field::Longitude => text.copy_from_slice(&self.longitudes[place / TABLE % TABLE]),
                Field::Time => text.copy_from_slice(&self.stamps.decimals),
            }
        }
    }

    /// One more line, which asks what is near `client`.
    pub(super) fn ask(&mut self, client: Client) {
        self.batch.extend_from_slice(b"WHATSAT ");
        self.batch.extend_from_slice(PREFIX.as_bytes());
        let start = self.batch.len();
        self.batch.resize(start + client.0.checked_ilog10().unwrap_or(0) as usize + 1, b'0');
        write_number(&mut self.batch[start..], client.0);
        self.batch.extend_from_slice(QUESTION);
    }

    /// The batch.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.batch
    }

    fn make_frames(&mut self) {
        self.frames = (1..=NUMBER).map(|digits| self.template.frame(digits, self.stamps.second)).collect();
    }
}

/// One of those that are reported: `load-` and this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client(pub(super) u32);

/// Timestamps that always grow, also if the clock does not.
#[derive(Default)]
struct Stamps {
    /// The last that was given: seconds since 1970, and nanoseconds of that second.
    second: u64,
    nanosecond: u64,
    /// The nanoseconds as text.
    decimals: [u8; DECIMALS],
}

impl Stamps {
    /// It is this time now. Whether another second has begun.
    fn advance(&mut self, wall: SystemTime) -> bool {
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let before = self.second;
        (self.second, self.nanosecond) =
            (self.second, self.nanosecond).max((wall.as_secs(), u64::from(wall.subsec_nanos())));
        write_number(&mut self.decimals, self.nanosecond);
        before != self.second
    }

    /// A nanosecond later, counted in the text itself, where seldom more than one digit changes. Whether another second has begun.
    fn grow(&mut self) -> bool {
        self.nanosecond += 1;
        for digit in self.decimals.iter_mut().rev() {
            if *digit != b'9' {
                *digit += 1;
                return false;
            }
            *digit = b'0';
        }
        self.second += 1;
        self.nanosecond = 0;
        true
    }
}

/// So many, evenly spread over what is between plus and minus `limit` millionths of a degree, and well mixed: a sign, degrees, a point
/// and six decimals.
fn coordinates<const LENGTH: usize>(limit: i64) -> Vec<[u8; LENGTH]> {
    let coordinate = |index: usize| {
        let mixed = index * 97 % TABLE;
        let millionths = (2 * limit * mixed as i64) / TABLE as i64 - limit + 123_457;
        let mut text = [b'0'; LENGTH];
        let point = LENGTH - 7;
        text[0] = if millionths < 0 { b'-' } else { b'+' };
        write_number(&mut text[1..point], millionths.unsigned_abs() / 1_000_000);
        text[point] = b'.';
        write_number(&mut text[point + 1..], millionths.unsigned_abs() % 1_000_000);
        text
    };
    (0..TABLE).map(coordinate).collect()
}

/// Fills a place with the last digits of a number.
fn write_number(place: &mut [u8], number: impl Into<u64>) {
    let mut number = number.into();
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// What a client is called, before its number.
const PREFIX: &str = "load-";

/// How a question ends: 10 km around, five places.
const QUESTION: &[u8] = b" 10 5\n";

/// The longest template, in bytes: what a server takes for a line.
const TEMPLATE_LIMIT: usize = CLIENT_LINE;

/// How many latitudes there are, and longitudes: so there are 65,536 positions.
const TABLE: usize = 256;

/// How many digits a client's number has at most.
const NUMBER: usize = 10;

/// `+34.068930`, `-118.445127`, and the decimals of a timestamp.
const LATITUDE: usize = 10;
const LONGITUDE: usize = 11;
const DECIMALS: usize = 9;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::herd::command::Command;

    fn lines(template: &str) -> Lines {
        Lines::new(template.parse().expect("a template"))
    }

    fn at(nanoseconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_nanos(nanoseconds)
    }

    #[test]
    fn a_line_is_a_template_filled_in() {
        let check = |template: &str, expected: &str| {
            let mut lines = lines(template);
            lines.begin(at(1_520_023_934_000_000_041));
            lines.report(Client(1_002_003));
            assert_eq!(String::from_utf8_lossy(lines.as_bytes()), expected, "{template}");
        };
        check("{time}", "1520023934.000000042\n");
        check("set {client}", "set load-1002003\n");
        check("{client}{client}", "load-1002003load-1002003\n");
        check("{{{client}}", "{load-1002003}\n");
        check("}", "}\n");
        let mut pair = lines("{position} {latitude}{longitude}");
        pair.begin(at(0));
        pair.report(Client(7));
        let (position, both) = pair.as_bytes().split_at(21);
        assert_eq!(&both[1..22], position);
    }

    #[test]
    fn what_is_no_template_is_told() {
        let check = |text: &str, part: &str| {
            let why = text.parse::<Template>().expect_err("no template");
            assert!(why.contains(part), "{text:?}: {why}");
        };
        check("", "says something");
        check(" ", "says something");
        check("a\nb", "no line break");
        check("{clent}", "there is no {clent}; there are {client}, ");
        check("{}", "there is no {}");
        check("a {client", "{client has no end");
        assert!("x".repeat(TEMPLATE_LIMIT).parse::<Template>().is_ok());
        check(&"x".repeat(TEMPLATE_LIMIT + 1), "at most 4096 bytes");
    }

    #[test]
    fn every_line_is_a_command_of_the_herd() {
        let mut lines = lines("IAMAT {client} {position} {time}");
        for client in (0..100_000).step_by(97).chain([u32::MAX]) {
            lines.begin(at(u64::from(client)));
            lines.report(Client(client));
            lines.ask(Client(client));
            let mut said = lines.as_bytes().split(|byte| *byte == b'\n').map(Command::parse);
            let is_right = matches!((said.next(), said.next()), (Some(Command::Iamat(_)), Some(Command::Whatsat(_))));
            assert!(is_right, "{}", String::from_utf8_lossy(lines.as_bytes()));
        }
    }

    #[test]
    fn clients_move() {
        for clients in [1, 2, TABLE as u32, 1_000] {
            let mut lines = lines("{position}");
            let mut round = || {
                lines.begin(at(0));
                (0..clients).for_each(|client| lines.report(Client(client)));
                lines.as_bytes().to_vec()
            };
            let (first, second) = (round(), round());
            let mut pairs = first.split(|byte| *byte == b'\n').zip(second.split(|byte| *byte == b'\n'));
            assert!(pairs.by_ref().take(clients as usize).all(|(before, after)| before != after), "{clients} clients");
        }
    }

    #[test]
    fn timestamps_grow_whatever_the_clock_does() {
        let mut lines = lines("{time}");
        let mut last = String::new();
        for clock in [0, 5, 1_999_999_998, 3, 0, 9_999_999_998, 1_520_023_934_918_963_997, 1_520_023_934_999_999_998, 7]
        {
            for _ in 0..3 {
                lines.begin(at(clock));
                lines.report(Client(0));
                let text = String::from_utf8(lines.as_bytes().to_vec()).expect("digits");
                let is_later = (text.len(), &text) > (last.len(), &last);
                assert!(is_later, "{text:?} after {last:?}");
                last = text;
            }
        }
        assert_eq!(last, "1520023935.000000004\n");
    }
}
