//! One client in a [`Directory`](super::Directory), and the keyed hash that finds it.
//!
//! An entry holds the report's line, and of the rest only what most lookups need without reading the line.

use std::hash::Hasher;
use std::hint::black_box;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;

use crate::herd::digest::{Place, hash_of};
use crate::herd::report::{Rank, Report};
use crate::herd::timestamp::Timestamp;

/// A report's line and what is looked at before it. 48 bytes.
pub(super) struct Entry {
    /// What the line adds to the sums of a digest.
    pub(super) line_hash: u64,
    pub(super) timestamp: Timestamp,
    pub(super) key: Key,
    /// The line, then perhaps what is left of a longer one: a client that reports again seldom needs a new allocation.
    text: Box<[u8]>,
    pub(super) place: Place,
    length: u16,
    client_start: u8,
    client_length: u8,
}

impl Entry {
    pub(super) fn new(key: Key, place: Place, report: &Report<'_>) -> Self {
        let (length, client_start, client_length) = Self::measure(report);
        let (line_hash, timestamp) = (hash_of(report.line()), report.timestamp());
        Self { line_hash, timestamp, key, text: report.line().into(), place, length, client_start, client_length }
    }

    pub(super) fn replace(&mut self, report: &Report<'_>) {
        let line = report.line();
        match self.text.get_mut(..line.len()) {
            Some(text) => text.copy_from_slice(line),
            None => self.text = line.into(),
        }
        (self.length, self.client_start, self.client_length) = Self::measure(report);
        (self.line_hash, self.timestamp) = (hash_of(line), report.timestamp());
    }

    fn measure(report: &Report<'_>) -> (u16, u8, u8) {
        (
            u16::try_from(report.line().len()).expect("a report has at most 8192 bytes"),
            u8::try_from(report.client_start()).expect("a client's ID begins in the first hundred bytes"),
            u8::try_from(report.client().len()).expect("a client's ID has at most 255 bytes"),
        )
    }

    pub(super) fn is(&self, key: Key, client: &[u8]) -> bool {
        self.key == key && *self.client() == *client
    }

    pub(super) fn client(&self) -> &[u8] {
        &self.text[self.client_start.into()..][..self.client_length.into()]
    }

    /// Has all of it brought into the processor's cache, where it is wanted soon. Reading it is all that safe code can do.
    pub(super) fn fetch(&self) {
        black_box(self.line_hash);
        for place in [0, CACHE_LINE] {
            black_box(self.text.get(place).copied());
        }
    }

    pub(super) fn line(&self) -> &[u8] {
        &self.text[..self.length.into()]
    }

    pub(super) fn rank(&self) -> Rank<'_> {
        (self.timestamp, self.line())
    }

    pub(super) fn report(&self) -> Report<'_> {
        Report::parse(self.line()).expect("only lines of reports are stored")
    }
}

/// How many bytes come into a cache together, on the processors of today.
const CACHE_LINE: usize = 64;

/// The hash of a client's ID. 32 bits are kept with each entry, so that growing does not read the lines; all are needed: which
/// shard (bits 15 to 24), where in its table (the low ones), and the table's tag (the seven highest).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::herd) struct Key(u32);

impl Key {
    /// Which of 1024 shards the client is in.
    pub(super) fn shard(self) -> usize {
        (self.0 >> 15) as usize & 1023
    }

    /// For the table, which takes a place from the low bits of 64 and a tag from the high ones.
    pub(super) fn spread(self) -> u64 {
        u64::from(self.0) << 32 | u64::from(self.0)
    }
}

/// The secrets of the hash. All of foldhash's seeds come from ours: were only the hasher's own one secret, IDs could
/// be made that collide whatever it is.
pub(super) struct HashKeys {
    seed: u64,
    others: SharedSeed,
}

impl HashKeys {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, others: SharedSeed::from_u64(seed) }
    }

    pub(super) fn key(&self, client: &[u8]) -> Key {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.others);
        hasher.write(client);
        Key(hasher.finish() as u32)
    }
}
