//! What the load says: lines made of a template, without formatting machinery and without text kept for each client.
//!
//! - A line is copied together from pieces: fixed text, the digits of the client's number, a position, a timestamp.
//! - A position follows from the client's number, by two small tables, so a million clients cost no more memory than one.
//! - Timestamps are the clock of the turn, and always grow: of two lines the later one is the newer report.
//!
//! What it does not do: it sends nothing, and does not know which client is whose turn.

use std::str::FromStr;
use std::time::SystemTime;

use crate::server::limits::CLIENT_LINE;

/// A line with placeholders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(Vec<u8>),
    /// The digits that follow [`PREFIX`].
    Client,
    Latitude,
    Longitude,
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
                self.0.push(Piece::Client);
            }
            "position" => self.0.extend([Piece::Latitude, Piece::Longitude]),
            "latitude" => self.0.push(Piece::Latitude),
            "longitude" => self.0.push(Piece::Longitude),
            "time" => self.0.push(Piece::Time),
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
}

/// Writes a batch of lines.
pub(super) struct Lines {
    template: Template,
    stamps: Stamps,
    latitudes: Vec<Coordinate<10>>,
    longitudes: Vec<Coordinate<11>>,
    batch: Vec<u8>,
}

impl Lines {
    pub(super) fn new(template: Template) -> Self {
        Self {
            template,
            stamps: Stamps::default(),
            latitudes: coordinates(85_000_000),
            longitudes: coordinates(180_000_000),
            batch: Vec::new(),
        }
    }

    /// A new batch, of this time.
    pub(super) fn begin(&mut self, wall: SystemTime) {
        self.batch.clear();
        self.stamps.advance(wall);
    }

    /// One more line, which reports where `client` is.
    pub(super) fn report(&mut self, client: Client) {
        for piece in &self.template.0 {
            match piece {
                Piece::Text(text) => self.batch.extend_from_slice(text),
                Piece::Client => push_number(&mut self.batch, client.0),
                Piece::Latitude => self.batch.extend_from_slice(&self.latitudes[client.0 as usize % TABLE]),
                Piece::Longitude => self.batch.extend_from_slice(&self.longitudes[client.0 as usize / TABLE % TABLE]),
                Piece::Time => self.batch.extend_from_slice(self.stamps.next()),
            }
        }
    }

    /// One more line, which asks what is near `client`.
    pub(super) fn ask(&mut self, client: Client) {
        self.batch.extend_from_slice(b"WHATSAT ");
        self.batch.extend_from_slice(PREFIX.as_bytes());
        push_number(&mut self.batch, client.0);
        self.batch.extend_from_slice(QUESTION);
    }

    /// The batch.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.batch
    }
}

/// One of those that are reported: `load-` and this number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Client(pub(super) u32);

/// Timestamps that always grow, also if the clock does not.
#[derive(Default)]
struct Stamps {
    /// The last that was given, in nanoseconds since 1970.
    last: u64,
    /// The same as text.
    text: Vec<u8>,
}

impl Stamps {
    fn advance(&mut self, wall: SystemTime) {
        let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let wall = u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX / 2);
        let now = wall.max(self.last);
        if now / SECOND != self.last / SECOND || self.text.is_empty() {
            self.text = format!("{}.{:09}", now / SECOND, now % SECOND).into_bytes();
        } else if now > self.last {
            let point = self.text.len() - 9;
            self.text[point..].copy_from_slice(&nine_digits(now % SECOND));
        }
        self.last = now;
    }

    /// A nanosecond later: counted in the text itself, where seldom more than a digit changes.
    fn next(&mut self) -> &[u8] {
        self.last += 1;
        for byte in self.text.iter_mut().rev() {
            match *byte {
                b'.' => {}
                b'9' => *byte = b'0',
                _ => {
                    *byte += 1;
                    return &self.text;
                }
            }
        }
        self.text.insert(0, b'1');
        &self.text
    }
}

/// A sign, degrees, a point and six decimals.
type Coordinate<const LENGTH: usize> = [u8; LENGTH];

/// So many, evenly spread over what is between plus and minus `limit` millionths of a degree, and well mixed.
fn coordinates<const LENGTH: usize>(limit: i64) -> Vec<Coordinate<LENGTH>> {
    let coordinate = |index: usize| {
        let mixed = index * 97 % TABLE;
        let millionths = (2 * limit * mixed as i64) / TABLE as i64 - limit + 123_457;
        let text = format!(
            "{}{:0width$}.{:06}",
            if millionths < 0 { '-' } else { '+' },
            millionths.abs() / 1_000_000,
            millionths.abs() % 1_000_000,
            width = LENGTH - 8,
        );
        text.into_bytes().try_into().expect("the width fills it up")
    };
    (0..TABLE).map(coordinate).collect()
}

fn push_number(batch: &mut Vec<u8>, mut number: u32) {
    let mut digits = [b'0'; 10];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return batch.extend_from_slice(&digits[start..]);
        }
    }
}

/// The last nine digits of a number.
fn nine_digits(mut number: u64) -> [u8; 9] {
    let mut digits = [b'0'; 9];
    for digit in digits.iter_mut().rev() {
        *digit += (number % 10) as u8;
        number /= 10;
    }
    digits
}

/// What a client is called, before its number.
const PREFIX: &str = "load-";

/// How a question ends: 10 km around, five places.
const QUESTION: &[u8] = b" 10 5\n";

/// The longest template, in bytes: what a server takes for a line.
const TEMPLATE_LIMIT: usize = CLIENT_LINE;

/// How many latitudes there are, and longitudes: so there are 65,536 positions.
const TABLE: usize = 256;

/// In nanoseconds.
const SECOND: u64 = 1_000_000_000;

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
