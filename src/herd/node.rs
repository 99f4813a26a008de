//! The herd's state machine: a line, who said it and when, to what is to be done about it.
//!
//! No loop, no clock, no links: those are above, and carry out the [`Effects`]. A flood comes before the reply that it
//! belongs to, so that what a client was told, the neighbours hear no later.

mod effects;

use std::time::Duration;

use arrayvec::ArrayVec;

use crate::herd::command::{Command, Iamat, Whatsat, trim};
use crate::herd::directory::{Directory, Merged, Seat};
use crate::herd::name::ServerName;
use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;
use crate::herd::topology::Limits;
use crate::mutation::Rule;

pub use self::effects::{Effect, Effects};

/// One server's part in the herd: its name and what it knows.
pub struct Node {
    name: ServerName,
    directory: Directory,
    client_ttl: Option<Duration>,
    max_future: Option<Duration>,
}

/// Who said a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// A client, which speaks commands.
    Client,
    /// A neighbour, which speaks AT lines; the link takes care of its other lines.
    Neighbour(NeighbourId),
}

/// A neighbour: the index of its name among this server's neighbours.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NeighbourId(pub u16);

impl Node {
    /// A server that knows no client. `seed` keys the directory's hash and must be a secret to clients.
    pub fn new(name: ServerName, seed: u64) -> Self {
        Self { name, directory: Directory::new(seed), client_ttl: None, max_future: None }
    }

    /// The same, that remembers what `limits` say: so many clients, for so long, and none from further ahead.
    pub fn with_limits(self, limits: &Limits) -> Self {
        Self {
            directory: self.directory.with_max_clients(limits.max_clients),
            client_ttl: limits.client_ttl,
            max_future: limits.max_future,
            ..self
        }
    }

    /// The server's name.
    pub fn name(&self) -> &ServerName {
        &self.name
    }

    /// What the server knows.
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Takes in `line`, without its `\n`, received at `now` by the wall clock, and appends what is to be done to
    /// `effects`.
    pub fn handle(&mut self, from: Origin, line: &[u8], now: Timestamp, effects: &mut Effects) {
        let heard = self.take_apart(from, line);
        self.obey(&heard, now, effects);
    }

    /// The first half of [`handle`](Self::handle), for lines that came together: they are taken apart, and what they are about is
    /// looked up for all at once. The other half is [`obey`](Self::obey), for one after the other of `heard`, where they are added:
    /// to hand them back would cost as much as to take one of them apart.
    pub fn hear<'l, const MOST: usize>(
        &self,
        from: Origin,
        lines: &ArrayVec<&'l [u8], MOST>,
        heard: &mut ArrayVec<Heard<'l>, MOST>,
    ) {
        for line in lines {
            heard.push(self.take_apart(from, line));
        }
        if heard.len() > 1 {
            heard.iter_mut().filter_map(Heard::seat).for_each(|seat| self.directory.look_for(seat));
            heard.iter_mut().filter_map(Heard::seat).for_each(|seat| self.directory.fetch(*seat));
        }
    }

    /// Takes in a line that was [heard](Self::hear) at `now` by the wall clock, as [`handle`](Self::handle) does.
    pub fn obey(&mut self, heard: &Heard<'_>, now: Timestamp, effects: &mut Effects) {
        self.forget(now);
        match &heard.what {
            What::Iamat(iamat, _) if self.is_too_far_ahead(iamat.timestamp, now) => effects.refuse(trim(heard.line)),
            What::Iamat(iamat, seat) => self.locate(iamat, *seat, now, effects),
            What::Whatsat(whatsat) => self.look_around(whatsat, heard.line, effects),
            What::Nothing => {}
            What::Unknown(command) => effects.refuse(command),
            What::Report(neighbour, report, seat) => self.learn(*neighbour, report, *seat, effects),
            What::Malformed => effects.object(MALFORMED),
        }
    }

    fn take_apart<'l>(&self, from: Origin, line: &'l [u8]) -> Heard<'l> {
        let what = match from {
            Origin::Client => match Command::parse(line) {
                Command::Iamat(iamat) => What::Iamat(iamat, self.directory.seat(iamat.client)),
                Command::Whatsat(whatsat) => What::Whatsat(whatsat),
                Command::Empty => What::Nothing,
                Command::Unknown(command) => What::Unknown(command),
            },
            Origin::Neighbour(neighbour) => match Report::parse(line) {
                Some(report) => What::Report(neighbour, report, self.directory.seat(report.client())),
                None => What::Malformed,
            },
        };
        Heard { line, what }
    }

    /// Forgets what is over at `now`, and gives back some of the memory; true if there is more of it. Meant to be called every
    /// now and then: nothing that is over is found, whether it is called or not.
    pub fn sweep(&mut self, now: Timestamp) -> bool {
        self.forget(now);
        self.directory.sweep()
    }

    fn forget(&mut self, now: Timestamp) {
        if let Some(ttl) = self.client_ttl {
            self.directory.forget_before(now.saturating_sub(ttl));
        }
    }

    fn is_too_far_ahead(&self, timestamp: Timestamp, now: Timestamp) -> bool {
        self.max_future.is_some_and(|most| timestamp > now.saturating_add(most))
    }

    fn locate(&mut self, iamat: &Iamat<'_>, seat: Seat, now: Timestamp, effects: &mut Effects) {
        effects.answer(|text| {
            let report = Report::write(text, &self.name, iamat, now);
            self.directory.merge_strictly_newer(seat, &report) == Merged::Fresh
        });
    }

    fn look_around(&self, whatsat: &Whatsat<'_>, line: &[u8], effects: &mut Effects) {
        match self.directory.find(whatsat.client) {
            Some(report) => effects.ask(report.line(), whatsat.radius, whatsat.bound),
            None => effects.refuse(trim(line)),
        }
    }

    fn learn(&mut self, neighbour: NeighbourId, report: &Report<'_>, seat: Seat, effects: &mut Effects) {
        if self.directory.merge_at(seat, report) == Merged::Fresh || !Rule::DuplicateSuppression.holds() {
            effects.pass_on(report.line(), neighbour);
        }
    }
}

/// A line taken apart, and where what it is about was found.
pub struct Heard<'l> {
    line: &'l [u8],
    what: What<'l>,
}

enum What<'l> {
    Iamat(Iamat<'l>, Seat),
    Whatsat(Whatsat<'l>),
    Nothing,
    Unknown(&'l [u8]),
    Report(NeighbourId, Report<'l>, Seat),
    /// A neighbour's, and no report.
    Malformed,
}

impl<'l> Heard<'l> {
    /// The line, without its `\n`.
    pub fn line(&self) -> &'l [u8] {
        self.line
    }

    fn seat(&mut self) -> Option<&mut Seat> {
        match &mut self.what {
            What::Iamat(_, seat) | What::Report(_, _, seat) => Some(seat),
            What::Whatsat(_) | What::Nothing | What::Unknown(_) | What::Malformed => None,
        }
    }
}

const MALFORMED: &str = "a report is AT <server> <difference> <client> <position> <timestamp>";

#[cfg(test)]
mod tests {
    use super::*;

    const KIWI: &str = "IAMAT kiwi +34.068930-118.445127 1520023934.918963997";
    const KIWI_AT: &str = "AT Goloman +0.263873386 kiwi +34.068930-118.445127 1520023934.918963997";
    const NOW: &[u8] = b"1520023935.182837383";
    const HANDS: Origin = Origin::Neighbour(NeighbourId(0));

    fn node() -> Node {
        Node::new(ServerName::parse(b"Goloman").expect("a name"), 7)
    }

    /// Has `node` handle `line` and compares what is to be done, as text: `< reply`, `* flood`, `*0 flood except 0`,
    /// `@ position metres bound` after the report, `! violation`. Replies and floods must end their line.
    fn check(node: &mut Node, from: Origin, line: impl AsRef<[u8]>, expected: &[&str]) {
        let mut effects = Effects::new();
        node.handle(from, line.as_ref(), Timestamp::parse(NOW).expect("a timestamp"), &mut effects);
        let text = |line: &[u8]| {
            let line = line.strip_suffix(b"\n").expect("a whole line");
            String::from_utf8(line.into()).expect("these tests are text")
        };
        let found: Vec<String> = effects
            .iter()
            .flat_map(|effect| match effect {
                Effect::Reply(line) => vec![format!("< {}", text(line))],
                Effect::Flood { line, except: None } => vec![format!("* {}", text(line))],
                Effect::Flood { line, except: Some(NeighbourId(id)) } => vec![format!("*{id} {}", text(line))],
                Effect::Ask { report, position, radius, bound } => vec![
                    format!("< {}", text(report)),
                    format!("@ {position:?} {} {}", radius.metres_f64(), bound.as_usize()),
                ],
                Effect::Violation(why) => vec![format!("! {why}")],
            })
            .collect();
        assert_eq!(found, expected, "{}", line.as_ref().escape_ascii());
    }

    #[test]
    fn an_iamat_is_flooded_then_answered() {
        let (flood, reply) = (format!("* {KIWI_AT}"), format!("< {KIWI_AT}"));
        let mut node = node();
        check(&mut node, Origin::Client, KIWI, &[&flood, &reply]);
        assert_eq!(node.directory().find(b"kiwi").map(|report| report.line()), Some(KIWI_AT.as_bytes()));
    }

    #[test]
    fn an_iamat_that_is_not_newer_is_only_answered() {
        let mut node = node();
        node.handle(Origin::Client, KIWI.as_bytes(), Timestamp::parse(NOW).expect("a timestamp"), &mut Effects::new());
        check(
            &mut node,
            Origin::Client,
            "IAMAT kiwi +1+1 1520023934.918963997",
            &["< AT Goloman +0.263873386 kiwi +1+1 1520023934.918963997"],
        );
        check(
            &mut node,
            Origin::Client,
            "IAMAT kiwi +1+1 1520023934",
            &["< AT Goloman +1.182837383 kiwi +1+1 1520023934"],
        );
        assert_eq!(node.directory().find(b"kiwi").map(|report| report.line()), Some(KIWI_AT.as_bytes()));
        check(
            &mut node,
            Origin::Client,
            "IAMAT kiwi +1+1 1520023934.918963998",
            &[
                "* AT Goloman +0.263873385 kiwi +1+1 1520023934.918963998",
                "< AT Goloman +0.263873385 kiwi +1+1 1520023934.918963998",
            ],
        );
    }

    #[test]
    fn a_whatsat_answers_with_the_stored_report() {
        let mut node = node();
        check(
            &mut node,
            HANDS,
            "AT Ball -0.000000001 kiwi +34.068930-118.445127/ 5",
            &["*0 AT Ball -0.000000001 kiwi +34.068930-118.445127/ 5"],
        );
        check(
            &mut node,
            Origin::Client,
            "WHATSAT kiwi 10 5",
            &["< AT Ball -0.000000001 kiwi +34.068930-118.445127/ 5", "@ +34.068930-118.445127/ 10000 5"],
        );
        check(&mut node, Origin::Client, " WHATSAT  kiw 10 5\r", &["< ? WHATSAT  kiw 10 5"]);
    }

    /// A node with these limits.
    fn limited(limits: Limits) -> Node {
        node().with_limits(&limits)
    }

    #[test]
    fn a_client_is_forgotten_when_its_time_is_over() {
        let mut node = limited(Limits { client_ttl: Some(Duration::from_secs(10)), ..Limits::default() });
        let just = "AT Ball +0.500000000 just +1+1 1520023925.182837383";
        check(&mut node, HANDS, just, &[&format!("*0 {just}")]);
        check(&mut node, HANDS, "AT Ball +0.500000000 late +1+1 1520023925.182837382", &[]);
        check(&mut node, Origin::Client, "WHATSAT just 10 5", &[&format!("< {just}"), "@ +1+1 10000 5"]);
        check(&mut node, Origin::Client, "WHATSAT late 10 5", &["< ? WHATSAT late 10 5"]);
        check(
            &mut node,
            Origin::Client,
            "IAMAT late +1+1 1520023925.182837382",
            &["< AT Goloman +10.000000001 late +1+1 1520023925.182837382"],
        );
        let now = Timestamp::parse(NOW).expect("a timestamp");
        while node.sweep(now) {}
        assert_eq!(node.directory().len(), 1);
        while node.sweep(now.saturating_add(Duration::from_nanos(1))) {}
        assert!(node.directory().is_empty());
    }

    #[test]
    fn a_clock_that_is_too_far_ahead_is_refused_from_clients_only() {
        let mut node = limited(Limits { max_future: Some(Duration::from_secs(1)), ..Limits::default() });
        let at = "AT Goloman -1.000000000 kiwi +1+1 1520023936.182837383";
        let iamat = "IAMAT kiwi +1+1 1520023936.182837383";
        check(&mut node, Origin::Client, iamat, &[&format!("* {at}"), &format!("< {at}")]);
        let ahead = "IAMAT kiwi +1+1 1520023936.182837384";
        check(&mut node, Origin::Client, format!(" {ahead}\r"), &[&format!("< ? {ahead}")]);
        let theirs = "AT Ball -9.000000000 kiwi +1+1 1520023944";
        check(&mut node, HANDS, theirs, &[&format!("*0 {theirs}")]);
    }

    #[test]
    fn the_oldest_client_goes_for_a_newer_one() {
        let mut node = limited(Limits { max_clients: 1, ..Limits::default() });
        check(&mut node, HANDS, "AT Ball +0.500000000 a +1+1 1", &["*0 AT Ball +0.500000000 a +1+1 1"]);
        check(&mut node, HANDS, "AT Ball +0.500000000 b +1+1 2", &["*0 AT Ball +0.500000000 b +1+1 2"]);
        check(&mut node, HANDS, "AT Ball +0.500000000 a +1+1 1", &[]);
        check(&mut node, Origin::Client, "WHATSAT a 10 5", &["< ? WHATSAT a 10 5"]);
        assert_eq!(node.directory().len(), 1);
    }

    #[test]
    fn what_is_no_command_is_copied() {
        let mut node = node();
        check(&mut node, Origin::Client, "", &[]);
        check(&mut node, Origin::Client, " \t\r", &[]);
        check(&mut node, Origin::Client, "\tHELLO \t you ", &["< ? HELLO \t you"]);
        check(&mut node, Origin::Client, "?", &["< ? ?"]);
        check(&mut node, Origin::Client, KIWI_AT, &[&format!("< ? {KIWI_AT}")]);
        check(&mut node, Origin::Client, "HERD 1 goloman Hands 0.1.0", &["< ? HERD 1 goloman Hands 0.1.0"]);
        assert!(node.directory().is_empty());
    }

    #[test]
    fn a_neighbours_report_goes_on_if_it_is_fresh() {
        let mut node = node();
        let greater = "AT Hands +0.263873386 kiwi +34.068930-118.445127 1520023934.918963997";
        check(&mut node, HANDS, KIWI_AT, &[&format!("*0 {KIWI_AT}")]);
        check(&mut node, HANDS, KIWI_AT, &[]);
        check(&mut node, Origin::Neighbour(NeighbourId(1)), greater, &[&format!("*1 {greater}")]);
        check(&mut node, HANDS, KIWI_AT, &[]);
    }

    #[test]
    fn a_neighbour_that_speaks_otherwise_breaks_the_protocol() {
        let mut node = node();
        let violation = format!("! {MALFORMED}");
        for line in ["", "AT", KIWI, " AT Ball +0.500000000 k +1+1 1", "AT Ball 0.5 k +1+1 1"] {
            check(&mut node, HANDS, line, &[&violation]);
        }
        assert!(node.directory().is_empty());
    }

    #[test]
    fn effects_of_a_batch_keep_their_order() {
        let (mut node, mut effects) = (node(), Effects::new());
        let now = Timestamp::parse(NOW).expect("a timestamp");
        node.handle(Origin::Client, b"one", now, &mut effects);
        node.handle(Origin::Client, b"", now, &mut effects);
        node.handle(Origin::Client, b"two", now, &mut effects);
        assert!(effects.iter().eq([Effect::Reply(b"? one\n"), Effect::Reply(b"? two\n")]));
        effects.clear();
        assert!(effects.is_empty());
    }
}
