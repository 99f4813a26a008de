//! Lines that are said again and again, each time of another client and a nanosecond later: each is news.
//!
//! Clients come in an order that no cache foresees.

use std::ops::Range;

use super::parts::OPERATIONS;
use crate::common::herd::{STRIDE, write_digits};

/// As many lines as a round has.
pub(super) struct Speech {
    text: Vec<u8>,
    line: usize,
    client: Range<usize>,
    nanoseconds: Range<usize>,
    known: u64,
    said: u64,
}

impl Speech {
    /// IAMATs of so many clients.
    pub(super) fn iamat(known: u64) -> Self {
        Self::of("IAMAT client-0000000 +34.068930-118.445127 1520023934.000000000\n", known)
    }

    /// AT lines of the server Hands, of so many clients.
    pub(super) fn at(known: u64) -> Self {
        Self::of("AT Hands +0.263873386 client-0000000 +34.068930-118.445127 1520023934.000000000\n", known)
    }

    fn of(line: &str, known: u64) -> Self {
        let client = line.find("client-").expect("it stands there") + "client-".len();
        let nanoseconds = line.len() - 1 - 9..line.len() - 1;
        let text = line.repeat(OPERATIONS).into_bytes();
        Self { text, line: line.len(), client: client..client + 7, nanoseconds, known, said: 0 }
    }

    /// Makes all of them others.
    pub(super) fn renew(&mut self) {
        for line in self.text.chunks_exact_mut(self.line) {
            write_digits(&mut line[self.client.clone()], self.said * STRIDE % self.known);
            write_digits(&mut line[self.nanoseconds.clone()], self.said);
            self.said += 1;
        }
    }

    /// All lines, each with its end.
    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// `count` lines at a time, each with its end.
    pub(super) fn batches(&self, count: usize) -> impl Iterator<Item = &[u8]> {
        self.text.chunks_exact(count * self.line)
    }

    /// The lines, without their ends.
    pub(super) fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.batches(1).map(|line| &line[..line.len() - 1])
    }

    /// How many rounds it takes until each client was named.
    pub(super) fn rounds(&self) -> u64 {
        self.known.div_ceil(OPERATIONS as u64)
    }
}
