//! A protocol that writes down what it is told, and does what a test says.
//!
//! Data that came in several pieces is one line, since where bytes are split means nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use proxy_herd::event_loop::{AfterEof, ConnId, Loop, Lost, Protocol, Transport};

/// What all the protocols of a loop were told, in order.
#[derive(Default)]
pub(crate) struct Journal {
    lines: Vec<(String, Line)>,
    ids: BTreeMap<String, ConnId>,
    accepted: usize,
    length: usize,
}

enum Line {
    Data(Vec<u8>),
    Other(String),
}

impl Journal {
    pub(crate) fn note(&mut self, who: &str, what: impl Into<String>) {
        self.length += 1;
        self.lines.push((who.to_owned(), Line::Other(what.into())));
    }

    fn data(&mut self, who: &str, data: &[u8]) {
        self.length += data.len();
        match self.lines.iter_mut().rev().find(|(name, _)| name == who) {
            Some((_, Line::Data(before))) => before.extend_from_slice(data),
            _ => self.lines.push((who.to_owned(), Line::Data(data.to_vec()))),
        }
    }

    /// What `who` was told, as `made`, `data hello`, `data 100000 bytes`, `eof`, `paused`, `lost ConnectionReset`.
    pub(crate) fn of(&self, who: &str) -> Vec<String> {
        self.lines.iter().filter(|(name, _)| name == who).map(|(_, line)| line.shown()).collect()
    }

    /// What everybody was told, with the name before it.
    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.iter().map(|(name, line)| format!("{name} {}", line.shown())).collect()
    }

    /// All data that `who` got.
    pub(crate) fn bytes_of(&self, who: &str) -> Vec<u8> {
        let mine = self.lines.iter().filter(|(name, _)| name == who);
        mine.filter_map(|(_, line)| if let Line::Data(data) = line { Some(data.as_slice()) } else { None })
            .collect::<Vec<_>>()
            .concat()
    }

    /// How much data `who` got.
    pub(crate) fn count_of(&self, who: &str) -> usize {
        let mine = self.lines.iter().filter(|(name, _)| name == who);
        mine.map(|(_, line)| if let Line::Data(data) = line { data.len() } else { 0 }).sum()
    }

    /// How often `who` was told this.
    pub(crate) fn times(&self, who: &str, line: &str) -> usize {
        self.lines.iter().filter(|(name, told)| name == who && told.shown() == line).count()
    }

    /// Grows with everything that anybody is told.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    pub(crate) fn is_lost(&self, who: &str) -> bool {
        let mut mine = self.lines.iter().filter(|(name, _)| name == who);
        mine.any(|(_, line)| matches!(line, Line::Other(what) if what.starts_with("lost")))
    }

    /// The connection of `who`, once it was made.
    pub(crate) fn id(&self, who: &str) -> ConnId {
        self.ids[who]
    }

    /// From now on `who` has this connection.
    pub(crate) fn introduce(&mut self, who: &str, id: ConnId) {
        self.ids.insert(who.to_owned(), id);
    }

    /// The name of the next accepted connection: `s1`, `s2`, ...
    pub(crate) fn next_name(&mut self) -> String {
        self.accepted += 1;
        format!("s{}", self.accepted)
    }
}

impl Line {
    fn shown(&self) -> String {
        match self {
            Self::Data(data) if data.len() <= 64 => format!("data {}", data.escape_ascii()),
            Self::Data(data) => format!("data {} bytes", data.len()),
            Self::Other(what) => what.clone(),
        }
    }
}

/// What a [`Recorder`] was called with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum On<'a> {
    Made,
    Data(&'a [u8]),
    Eof,
    Paused,
    Resumed,
    TimedOut,
    Woken,
    TlsStarted,
}

/// What a test does with a connection.
pub(crate) type Act = fn(&mut Transport<'_, Journal>);

type React = Box<dyn FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal)>;

/// See the file's head.
pub(crate) struct Recorder {
    name: String,
    react: React,
    after_eof: AfterEof,
}

impl Recorder {
    pub(crate) fn new(
        name: &str,
        react: impl FnMut(On<'_>, &mut Transport<'_, Journal>, &mut Journal) + 'static,
    ) -> Self {
        Self { name: name.to_owned(), react: Box::new(react), after_eof: AfterEof::Close }
    }

    /// Stays after the peer's end.
    pub(crate) fn that_stays(self) -> Self {
        Self { after_eof: AfterEof::KeepOpen, ..self }
    }

    fn told(&mut self, what: &str, on: On<'_>, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        journal.note(&self.name, what);
        (self.react)(on, transport, journal);
    }
}

impl Protocol<Journal> for Recorder {
    fn connection_made(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        journal.introduce(&self.name, transport.id());
        self.told("made", On::Made, transport, journal);
    }

    fn data_received(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal, data: &[u8]) {
        assert!(!data.is_empty(), "data is never empty");
        journal.data(&self.name, data);
        (self.react)(On::Data(data), transport, journal);
    }

    fn eof_received(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) -> AfterEof {
        self.told("eof", On::Eof, transport, journal);
        self.after_eof
    }

    fn pause_writing(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.told("paused", On::Paused, transport, journal);
    }

    fn resume_writing(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.told("resumed", On::Resumed, transport, journal);
    }

    fn timed_out(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.told("timed out", On::TimedOut, transport, journal);
    }

    fn woken(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.told("woken", On::Woken, transport, journal);
    }

    fn tls_started(&mut self, transport: &mut Transport<'_, Journal>, journal: &mut Journal) {
        self.told("tls started", On::TlsStarted, transport, journal);
    }

    fn connection_lost(&mut self, _: &mut Loop<'_, Journal>, journal: &mut Journal, lost: Lost) {
        journal.note(&self.name, lost.why.map_or("lost".to_owned(), |why| format!("lost {:?}: {why}", why.kind())));
    }
}

/// The addresses of a connection that was made: the peer's, ours.
pub(crate) fn ends(transport: &Transport<'_, Journal>) -> [SocketAddr; 2] {
    [transport.peer_addr(), transport.local_addr()].map(|address| address.expect("the connection was made"))
}

/// Does nothing of its own.
pub(crate) fn listen_only(_: On<'_>, _: &mut Transport<'_, Journal>, _: &mut Journal) {}

/// Sends everything back.
pub(crate) fn echo(on: On<'_>, transport: &mut Transport<'_, Journal>, _: &mut Journal) {
    if let On::Data(data) = on {
        transport.write(data);
    }
}
