//! What servers know, watched: it never goes back, is never invented, and in the end is the same everywhere.

use std::collections::HashSet;

use proxy_herd::herd::directory::Directory;
use proxy_herd::herd::report::Report;
use proxy_herd::herd::timestamp::Timestamp;
use proxy_herd::server::limits::SWEEP_EVERY;

use crate::violation::{Promise, Violation};
use crate::words::{CLIENTS, Words};

/// What was seen of it. Servers are numbered as in the topology.
pub(crate) struct Knowledge {
    /// By server and client: the line that was seen last.
    latest: Vec<[Vec<u8>; CLIENTS as usize]>,
    /// By server: how each AT line can end that it may have made.
    said: HashSet<(Vec<u8>, Vec<u8>)>,
}

impl Knowledge {
    pub(crate) fn new(servers: usize) -> Self {
        Self { latest: (0..servers).map(|_| Default::default()).collect(), said: HashSet::new() }
    }

    /// A client tells this server.
    pub(crate) fn told(&mut self, server: &str, words: &Words) {
        if let Some(report) = words.report() {
            self.said.insert((server.into(), report.into()));
        }
    }

    /// A server has forgotten everything.
    pub(crate) fn restarted(&mut self, server: usize) {
        self.latest[server] = Default::default();
    }

    /// Looks at what a server knows of those who speak often.
    ///
    /// A client that one does not know any more may have been forgotten for newer ones, if there are `most_clients`, or is
    /// over; then nothing older is heard of it.
    pub(crate) fn look(&mut self, server: usize, name: &str, known: Known<'_>) -> Result<(), Violation> {
        let (directory, all) = (known.directory, known);
        for (client, latest) in (b'0'..).zip(&mut self.latest[server]) {
            let known = directory.find(&[b'c', client]);
            let line = known.map_or(&[][..], |report| report.line());
            Violation::unless(known.is_none_or(|report| !all.is_long_over(&report)), Promise::NothingOver, || {
                format!("{name} still knows {}", line.escape_ascii())
            })?;
            let is_over = Report::parse(latest).is_some_and(|report| all.is_over(&report));
            let is_forgotten = known.is_none() && (is_over || directory.len() == all.most_clients);
            if line == latest.as_slice() || is_forgotten {
                continue;
            }
            Violation::unless(Report::parse(latest) < known, Promise::NoWayBack, || {
                format!("{name} knows {} after {}", line.escape_ascii(), latest.escape_ascii())
            })?;
            latest.clear();
            latest.extend_from_slice(line);
        }
        Ok(())
    }

    /// Looks at everything that a server knows: whether a client has said so.
    pub(crate) fn look_through(&self, name: &str, directory: &Directory) -> Result<(), Violation> {
        for report in directory.iter() {
            let tail = report.line().splitn(4, |byte| *byte == b' ').last().expect("there is a last one");
            let was_said = self.said.contains(&(report.origin().to_vec(), tail.to_vec()));
            Violation::unless(was_said, Promise::NothingInvented, || {
                format!("{name} knows {}", report.line().escape_ascii())
            })?;
        }
        Ok(())
    }
}

/// What a server knows.
#[derive(Clone, Copy)]
pub(crate) struct Known<'d> {
    pub(crate) directory: &'d Directory,
    /// How many clients it remembers at the most.
    pub(crate) most_clients: usize,
    /// What is older counts as over, if anything does.
    pub(crate) horizon: Option<Timestamp>,
}

impl Known<'_> {
    fn is_over(self, report: &Report<'_>) -> bool {
        self.horizon.is_some_and(|horizon| report.timestamp() < horizon)
    }

    /// Whether it is over for longer than a server that does nothing else may take to see it.
    fn is_long_over(self, report: &Report<'_>) -> bool {
        self.horizon.is_some_and(|horizon| report.timestamp() < horizon.saturating_sub(2 * SWEEP_EVERY))
    }

    /// Whether it knows this much, or better, or has forgotten it for what is newer, or as it is over. Only times count: of two reports with one
    /// time, it may have been told the lesser one first, and have answered, but not kept, the greater.
    pub(crate) fn covers(self, report: &Report<'_>) -> bool {
        if self.is_over(report) {
            return true;
        }
        match self.directory.find(report.client()) {
            Some(known) => known.timestamp() >= report.timestamp(),
            None => {
                let is_as_new = |known: Report<'_>| known.timestamp() >= report.timestamp();
                self.directory.len() == self.most_clients && self.directory.iter().all(is_as_new)
            }
        }
    }
}

/// Whether all know the same, but for what is over for one of them: each is a server's name and what it knows.
pub(crate) fn agree(known: &[(&str, Known<'_>)]) -> Result<(), Violation> {
    let Some((first, rest)) = known.split_first() else { return Ok(()) };
    let horizon = known.iter().filter_map(|(_, known)| known.horizon).max();
    for other in rest {
        for [(one, this), (other, that)] in [[first, other], [other, first]] {
            let counts = |report: &Report<'_>| horizon.is_none_or(|horizon| report.timestamp() >= horizon);
            for report in this.directory.iter().filter(counts) {
                let found = that.directory.find(report.client()).map_or(&b"nothing"[..], |report| report.line());
                Violation::unless(found == report.line(), Promise::Agreement, || {
                    let [line, found] = [report.line(), found].map(|line| line[..line.len().min(100)].escape_ascii());
                    format!("{one} knows {line}, but {other} {found}")
                })?;
            }
        }
    }
    Ok(())
}
