//! The newest report of each client, each AT line stored once.
//!
//! The key of an entry is a slice of its line, so a client costs its line and at most 200 bytes (about 100, measured
//! at a million clients). Client IDs are hostile: the hash is keyed by a seed, all of it secret to clients. The same
//! seed and the same reports give the same directory in the same order of iteration, so that a simulation repeats. It
//! neither reads a clock nor knows who sent what.

use std::cmp::Ordering;
use std::hash::Hasher;

use foldhash::SharedSeed;
use foldhash::fast::FoldHasher;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;
use crate::mutation::Rule;

/// What a server knows of where clients are.
pub struct Directory {
    entries: HashTable<Entry>,
    keys: HashKeys,
}

/// What became of a report that was offered to a [`Directory`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// The directory holds it now.
    Fresh,
    /// The directory is unchanged: it knew as much, or better.
    Stale,
}

impl Directory {
    /// An empty directory whose hash is keyed by `seed`: unpredictable for a server, repeated for a simulation.
    pub fn new(seed: u64) -> Self {
        Self { entries: HashTable::new(), keys: HashKeys::new(seed) }
    }

    /// Keeps `report` if it is greater than what is known of its client, in the total order of reports.
    pub fn merge(&mut self, report: &Report<'_>) -> Merged {
        self.merge_if(report, |entry| match report.timestamp().cmp(&entry.timestamp) {
            Ordering::Equal => Rule::TieBreak.holds() && *report > entry.report(),
            order => order.is_gt(),
        })
    }

    /// Keeps `report` if its timestamp is greater than what is known of its client: the rule for what a client says
    /// itself, so that repeating a command changes nothing.
    pub fn merge_strictly_newer(&mut self, report: &Report<'_>) -> Merged {
        self.merge_if(report, |entry| report.timestamp() > entry.timestamp)
    }

    fn merge_if(&mut self, report: &Report<'_>, replaces: impl FnOnce(&Entry) -> bool) -> Merged {
        let hash = self.keys.hash(report.client());
        match self.entries.entry(spread(hash), |entry| entry.is(hash, report.client()), |entry| spread(entry.hash)) {
            Slot::Occupied(slot) if !replaces(slot.get()) => return Merged::Stale,
            Slot::Occupied(mut slot) => slot.get_mut().replace(report),
            Slot::Vacant(slot) => {
                slot.insert(Entry::new(hash, report));
            }
        }
        Merged::Fresh
    }

    /// What is known of `client`.
    pub fn find(&self, client: &[u8]) -> Option<Report<'_>> {
        let hash = self.keys.hash(client);
        self.entries.find(spread(hash), |entry| entry.is(hash, client)).map(Entry::report)
    }

    /// How many clients are known.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no client is known.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that is known, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Report<'_>> {
        self.entries.iter().map(Entry::report)
    }
}

/// One client: a report's line, and of the rest only what most lookups need without reading the line. 40 bytes.
struct Entry {
    timestamp: Timestamp,
    /// The line, then perhaps what is left of a longer one: a client that reports again seldom needs a new allocation.
    text: Box<[u8]>,
    hash: u32,
    length: u16,
    client_start: u8,
    client_length: u8,
}

impl Entry {
    fn new(hash: u32, report: &Report<'_>) -> Self {
        let (length, client_start, client_length) = Self::measure(report);
        let (timestamp, text) = (report.timestamp(), report.line().into());
        Self { timestamp, text, hash, length, client_start, client_length }
    }

    fn replace(&mut self, report: &Report<'_>) {
        let line = report.line();
        match self.text.get_mut(..line.len()) {
            Some(text) => text.copy_from_slice(line),
            None => self.text = line.into(),
        }
        (self.length, self.client_start, self.client_length) = Self::measure(report);
        self.timestamp = report.timestamp();
    }

    fn measure(report: &Report<'_>) -> (u16, u8, u8) {
        (
            u16::try_from(report.line().len()).expect("a report has at most 8192 bytes"),
            u8::try_from(report.client_start()).expect("a client's ID begins in the first hundred bytes"),
            u8::try_from(report.client().len()).expect("a client's ID has at most 255 bytes"),
        )
    }

    fn is(&self, hash: u32, client: &[u8]) -> bool {
        self.hash == hash && self.text[self.client_start.into()..][..self.client_length.into()] == *client
    }

    fn report(&self) -> Report<'_> {
        Report::parse(&self.text[..self.length.into()]).expect("only lines of reports are stored")
    }
}

/// The secrets of the hash. All of foldhash's seeds come from ours: were only the hasher's own one secret, IDs could
/// be made that collide whatever it is.
struct HashKeys {
    seed: u64,
    others: SharedSeed,
}

impl HashKeys {
    fn new(seed: u64) -> Self {
        Self { seed, others: SharedSeed::from_u64(seed) }
    }

    /// 32 bits are kept with each entry, so that growing does not read the lines.
    fn hash(&self, client: &[u8]) -> u32 {
        let mut hasher = FoldHasher::with_seed(self.seed, &self.others);
        hasher.write(client);
        hasher.finish() as u32
    }
}

/// The table takes a place from the low bits of 64 and a tag from the high ones.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 7;

    fn report(line: &str) -> Report<'_> {
        Report::parse(line.as_bytes()).expect(line)
    }

    fn lines(directory: &Directory) -> Vec<&[u8]> {
        directory.iter().map(|report| report.line()).collect()
    }

    #[test]
    fn the_greatest_report_of_a_client_is_kept() {
        let mut directory = Directory::new(SEED);
        let mut check = |line: &str, merged: Merged, kept: &str| {
            assert_eq!(directory.merge(&report(line)), merged, "{line}");
            assert_eq!(directory.find(b"k"), Some(report(kept)), "{line}");
            assert_eq!(directory.len(), 1);
        };
        let first = "AT Ball +0.500000000 k +1+1 10";
        let longer = "AT Ball +0.500000000 k +1.000+1.000 10.000000001";
        let shorter = "AT Clark +0.500000000 k +1+1 11";
        let greater_line = "AT Clark +0.500000000 k +2+1 11";
        check(first, Merged::Fresh, first);
        check(first, Merged::Stale, first);
        check("AT Wilkes +0.500000000 k +1+1 9", Merged::Stale, first);
        check("AT Alford +0.500000000 k +1+1 10.0", Merged::Stale, first);
        check(longer, Merged::Fresh, longer);
        check(shorter, Merged::Fresh, shorter);
        check(greater_line, Merged::Fresh, greater_line);
        check(shorter, Merged::Stale, greater_line);
    }

    #[test]
    fn a_client_itself_must_be_strictly_newer() {
        let mut directory = Directory::new(SEED);
        let mut check = |line: &str, merged: Merged| assert_eq!(directory.merge_strictly_newer(&report(line)), merged);
        check("AT Ball +0.500000000 k +1+1 10", Merged::Fresh);
        check("AT Ball +0.600000000 k +1+1 10", Merged::Stale);
        check("AT Wilkes +0.500000000 k +1+1 10.0", Merged::Stale);
        check("AT Ball +0.500000000 k +1+1 10.000000001", Merged::Fresh);
    }

    #[test]
    fn clients_are_told_apart_by_every_byte() {
        let mut directory = Directory::new(SEED);
        let clients = ["k", "K", "kk", "kiwi", "kiwi.", "\u{a0}", "?"];
        for client in clients {
            let line = format!("AT Ball +0.500000000 {client} +1+1 10");
            assert_eq!(directory.merge(&report(&line)), Merged::Fresh, "{client}");
        }
        assert_eq!(directory.len(), clients.len());
        for client in clients {
            assert_eq!(directory.find(client.as_bytes()).map(|report| report.client()), Some(client.as_bytes()));
        }
        assert_eq!(directory.find(b"kiw"), None);
    }

    #[test]
    fn equal_seeds_give_equal_orders() {
        let directory = |seed: u64| {
            let mut directory = Directory::new(seed);
            for client in 0..100 {
                directory.merge(&report(&format!("AT Ball +0.500000000 k{client} +1+1 10")));
            }
            directory
        };
        assert_eq!(lines(&directory(1)), lines(&directory(1)));
        assert_ne!(lines(&directory(1)), lines(&directory(2)));
    }

    #[test]
    fn a_client_costs_little_more_than_its_line() {
        const CLIENTS: usize = 1_000_000;
        // What a table grown to so many has, without putting them in; and what an allocator adds to a line at most.
        let table = HashTable::<Entry>::with_capacity(CLIENTS).allocation_size() / CLIENTS;
        let allocation = 2 * size_of::<usize>() + 15;
        assert!(table + allocation <= 200, "{table} + {allocation} bytes");
    }

    #[test]
    fn a_line_of_the_same_length_needs_no_new_memory() {
        let mut directory = Directory::new(SEED);
        directory.merge(&report("AT Ball +0.500000000 k +1+1 10"));
        let place = |directory: &Directory| directory.find(b"k").map(|report| report.line().as_ptr());
        let before = place(&directory);
        directory.merge(&report("AT Ball +0.500000000 k +1+1 11"));
        assert_eq!(place(&directory), before);
    }
}
