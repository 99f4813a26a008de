//! What is known of one client: its AT line, both ways, and the total order of reports.
//!
//! `AT <server> <difference> <client> <position> <timestamp>`, one space between fields, no `\n`: it is added where
//! the line leaves. A report borrows its line; keeping it is the directory's job.

use std::cmp::Ordering;

use memchr::memchr;

use crate::herd::command::{Iamat, split_client};
use crate::herd::name::ServerName;
use crate::herd::position::Position;
use crate::herd::timestamp::{Difference, Timestamp};

/// Where a client was, when, and which server it told.
///
/// Reports are ordered by timestamp, then by the origin's name, then by the whole line, all as bytes. Of two reports
/// of one client the greater is kept, so servers that have seen the same reports agree, whatever the order they came
/// in.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    line: &'a [u8],
    origin_length: usize,
    client_start: usize,
    client_length: usize,
    position: Position<'a>,
    timestamp: Timestamp,
}

impl<'a> Report<'a> {
    /// The longest AT line, in bytes without its `\n`: room for what any command can make.
    pub const LIMIT: usize = 8192;

    /// How each AT line begins.
    pub const START: &'static [u8] = b"AT ";

    /// Takes `line` for a report, as strictly as servers write them; `None` if it is not one.
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let rest = line.strip_prefix(Self::START).filter(|_| line.len() <= Self::LIMIT)?;
        let (origin, rest) = split_field(rest)?;
        let (difference, rest) = split_field(rest)?;
        let (client, rest) = split_client(rest)?;
        let (position, rest) = Position::split(rest)?;
        // In a timestamp, the last field, there is no space.
        let timestamp = rest.strip_prefix(b" ")?;
        let well_formed = ServerName::is_valid(origin) && Difference::is_written(difference);
        Some(Self {
            line,
            origin_length: origin.len(),
            client_start: client_start(origin, difference.len()),
            client_length: client.len(),
            position,
            timestamp: Timestamp::parse(timestamp)?,
        })
        .filter(|_| well_formed)
    }

    /// Appends the AT line with which `origin` answers `iamat`, received at `now`, and takes that for a report.
    pub fn write(text: &'a mut Vec<u8>, origin: &ServerName, iamat: &Iamat<'a>, now: Timestamp) -> Self {
        let origin = origin.as_str().as_bytes();
        let start = text.len();
        text.extend_from_slice(Self::START);
        text.extend_from_slice(origin);
        text.push(b' ');
        let difference_start = text.len();
        (now - iamat.timestamp).write(text);
        let difference_length = text.len() - difference_start;
        match iamat.plain {
            Some(fields) => {
                text.push(b' ');
                text.extend_from_slice(fields);
            }
            None => {
                for field in [iamat.client, iamat.position.as_bytes(), iamat.timestamp_text] {
                    text.push(b' ');
                    text.extend_from_slice(field);
                }
            }
        }
        Self {
            line: &text[start..],
            origin_length: origin.len(),
            client_start: client_start(origin, difference_length),
            client_length: iamat.client.len(),
            position: iamat.position,
            timestamp: iamat.timestamp,
        }
    }

    /// The whole AT line, without `\n`.
    pub fn line(&self) -> &'a [u8] {
        self.line
    }

    /// The name of the server that the client told.
    pub fn origin(&self) -> &'a [u8] {
        &self.line[ORIGIN_START..][..self.origin_length]
    }

    /// The client's ID.
    pub fn client(&self) -> &'a [u8] {
        &self.line[self.client_start..][..self.client_length]
    }

    /// Where the client's ID begins in the line; never past byte 100, as names and differences are short.
    pub(super) fn client_start(&self) -> usize {
        self.client_start
    }

    /// Where the client said that it is.
    pub fn position(&self) -> Position<'a> {
        self.position
    }

    /// By which reports are ordered. The lines themselves are in the order of their origins: a name ends with a space, which is
    /// less than every byte of a name.
    pub(super) fn rank(&self) -> Rank<'a> {
        (self.timestamp, self.line)
    }

    /// When the client said so.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

/// A report's place in the total order: its timestamp and its line.
pub(super) type Rank<'a> = (Timestamp, &'a [u8]);

impl Ord for Report<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Report<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Report<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.line == other.line
    }
}

impl Eq for Report<'_> {}

/// What is before the first space, and what after it.
fn split_field(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', line)?;
    Some((&line[..end], &line[end + 1..]))
}

fn client_start(origin: &[u8], difference_length: usize) -> usize {
    ORIGIN_START + origin.len() + 1 + difference_length + 1
}

const ORIGIN_START: usize = Report::START.len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::herd::command::{CLIENT_LIMIT, Command};

    const LINE: &str = "AT Goloman +0.263873386 kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997";

    fn report(line: &str) -> Report<'_> {
        Report::parse(line.as_bytes()).expect(line)
    }

    #[test]
    fn a_report_is_read_from_its_line() {
        let report = report(LINE);
        assert_eq!(report.line(), LINE.as_bytes());
        assert_eq!(report.origin(), b"Goloman");
        assert_eq!(report.client(), b"kiwi.cs.ucla.edu");
        assert_eq!(report.position().as_bytes(), b"+34.068930-118.445127");
        assert_eq!(report.timestamp(), Timestamp::parse(b"1520023934.918963997").expect("a timestamp"));
    }

    #[test]
    fn a_report_written_is_the_report_read() {
        let check = |command: &str, now: &str, line: &str| {
            let Command::Iamat(iamat) = Command::parse(command.as_bytes()) else { panic!("{command}") };
            let now = Timestamp::parse(now.as_bytes()).expect(now);
            let mut text = b"before\n".to_vec();
            let written = Report::write(&mut text, &ServerName::parse(b"Goloman").expect("a name"), &iamat, now);
            assert_eq!(written.line().escape_ascii().to_string(), line.as_bytes().escape_ascii().to_string());
            let read = report(line);
            assert_eq!(written, read);
            assert_eq!((written.origin(), written.client()), (read.origin(), read.client()));
            assert_eq!((written.position(), written.timestamp()), (read.position(), read.timestamp()));
        };
        check("IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 1520023934.918963997", "1520023935.182837383", LINE);
        check("\tIAMAT  🥝  +1.-01/   -00.50", "0", "AT Goloman +0.500000000 🥝 +1.-01/ -00.50");
        check("IAMAT k +1+1 3600", "1", "AT Goloman -3599.000000000 k +1+1 3600");
    }

    #[test]
    fn the_longest_command_makes_a_report() {
        let mut command = b"IAMAT k +1+1.".to_vec();
        command.resize(Command::LIMIT - 2, b'0');
        command.extend_from_slice(b" 1");
        let Command::Iamat(iamat) = Command::parse(&command) else { panic!("a command at the limit") };
        let mut text = Vec::new();
        let name = ServerName::parse(&[b'n'; ServerName::LIMIT]).expect("a name");
        let now = Timestamp::parse(b"-9223372036854775807").expect("a timestamp");
        let line = Report::write(&mut text, &name, &iamat, now).line();
        assert!(Report::parse(line).is_some());
    }

    #[test]
    fn a_neighbours_line_is_read_strictly() {
        let check = |from: &str, to: &str| {
            let line = LINE.replacen(from, to, 1);
            assert_ne!(line, LINE);
            assert_eq!(Report::parse(line.as_bytes()), None, "{line}");
        };
        check("AT ", "at ");
        check("AT ", "");
        check("AT ", " AT ");
        check("AT ", "AT  ");
        check("Goloman", "4oloman");
        check("Goloman", "Golo.man");
        check("Goloman ", " ");
        check("+0.263873386", "0.263873386");
        check("+0.263873386", "+0.26387338");
        check("kiwi.cs", "kiwi\tcs");
        check("kiwi.cs", "kiwi\rcs");
        check("kiwi.cs", "kiwi cs");
        check("+34.068930", "+94.068930");
        check("1520023934.918963997", "1520023934.9189639970");
        check("1520023934.918963997", "1520023934.918963997 ");
        check("1520023934.918963997", "1520023934.918963997\r");
        check("1520023934.918963997", "1520023934.918963997 1");
    }

    #[test]
    fn a_report_has_limits() {
        let check = |client: usize, zeros: usize, fits: bool| {
            let (client, zeros) = ("k".repeat(client), "0".repeat(zeros));
            let line = format!("AT a +0.000000000 {client} +1+1 {zeros}1");
            assert_eq!(Report::parse(line.as_bytes()).is_some(), fits);
        };
        check(CLIENT_LIMIT, 0, true);
        check(CLIENT_LIMIT + 1, 0, false);
        check(0, 0, false);
        let rest = "AT a +0.000000000 k +1+1 1".len();
        check(1, Report::LIMIT - rest, true);
        check(1, Report::LIMIT - rest + 1, false);
    }

    #[test]
    fn reports_are_ordered_by_time_then_origin_then_line() {
        let ordered = [
            "AT Wilkes +9.000000000 k +9+9 -1.5",
            "AT Wilkes +9.000000000 k +9+9 9",
            "AT Alford +0.000000000 k +0+0 10",
            "AT Alford +0.000000000 k +0+0 10.0",
            "AT Alford +0.000000001 k +0+0 10",
            "AT Ball +0.000000000 k +0+0 10",
            "AT Ball-2 +0.000000000 k +0+0 10",
            "AT Alford +0.000000000 k +0+0 10.000000001",
        ];
        assert!(ordered.is_sorted_by(|a, b| report(a) < report(b)));
    }
}
