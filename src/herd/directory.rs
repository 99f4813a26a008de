//! The newest report of each client, each AT line stored once.
//!
//! - The key of an entry is a slice of its line, so a client costs its line and at most 200 bytes (about 100, measured
//!   at a million clients). Client IDs are hostile: the hash is keyed by a seed, all of it secret to clients. The same
//!   seed and the same reports give the same directory in the same order of iteration, so that a simulation repeats.
//! - There are 1024 small tables, the *shards*, and not one large: whatever has to look at every entry (a repair, expiry,
//!   eviction) does so a shard at a time, and no table is ever so large that its growth is felt.
//! - What is forgotten is a function of the reports alone: those that are older than the horizon, and beyond
//!   `max_clients` the least in the total order. So servers that have heard the same forget the same.
//!
//! It neither reads a clock nor knows who sent what.

mod elders;
mod entry;
mod shard;

use std::cmp::Ordering;

use self::elders::Elders;
use self::entry::{Entry, HashKeys};
use self::shard::Shard;
use crate::herd::digest::{Digest, Place, Sums};
use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;
use crate::mutation::Rule;

pub(super) use self::entry::Key;

/// What a server knows of where clients are.
pub struct Directory {
    shards: Box<[Shard]>,
    elders: Elders,
    count: usize,
    max_clients: usize,
    /// What is older is forgotten.
    horizon: Option<Timestamp>,
    /// The shard that is swept next.
    unswept: usize,
    sums: Sums,
    keys: HashKeys,
}

/// Where a client was found, if it was; it may have moved since, and is found all the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seat {
    key: Key,
    bucket: Option<usize>,
}

/// What became of a report that was offered to a [`Directory`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Merged {
    /// The directory holds it now.
    Fresh,
    /// The directory is unchanged: it knew as much, or better; or what is so old is forgotten.
    Stale,
}

impl Directory {
    /// An empty directory whose hash is keyed by `seed`: unpredictable for a server, repeated for a simulation.
    pub fn new(seed: u64) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Shard::default()).collect(),
            elders: Elders::default(),
            count: 0,
            max_clients: usize::MAX,
            horizon: None,
            unswept: 0,
            sums: Sums::new(),
            keys: HashKeys::new(seed),
        }
    }

    /// The same, of at most so many clients, at least 1: the oldest report goes for a newer one.
    pub fn with_max_clients(self, max_clients: usize) -> Self {
        Self { max_clients, ..self }
    }

    /// Keeps `report` if it is greater than what is known of its client, in the total order of reports.
    pub fn merge(&mut self, report: &Report<'_>) -> Merged {
        self.merge_at(self.seat(report.client()), report)
    }

    /// The same, for a client whose seat is known.
    pub(super) fn merge_at(&mut self, seat: Seat, report: &Report<'_>) -> Merged {
        self.merge_if(seat, report, |entry| match report.timestamp().cmp(&entry.timestamp) {
            Ordering::Equal => Rule::TieBreak.holds() && report.rank() > entry.rank(),
            order => order.is_gt(),
        })
    }

    /// Keeps `report` if its timestamp is greater than what is known of its client: the rule for what a client says
    /// itself, so that repeating a command changes nothing.
    pub(super) fn merge_strictly_newer(&mut self, seat: Seat, report: &Report<'_>) -> Merged {
        self.merge_if(seat, report, |entry| report.timestamp() > entry.timestamp)
    }

    fn merge_if(&mut self, seat: Seat, report: &Report<'_>, replaces: impl FnOnce(&Entry) -> bool) -> Merged {
        if self.is_over(report.timestamp()) {
            return Merged::Stale;
        }
        let Seat { key, bucket } = seat;
        match self.shards[key.shard()].find_mut(key, report.client(), bucket) {
            Some((entry, _)) if !replaces(entry) => return Merged::Stale,
            Some((entry, least)) => {
                least.goes(entry);
                let old = entry.line_hash;
                entry.replace(report);
                self.sums.replace(entry.place, old, entry.line_hash);
            }
            None => {
                if self.count >= self.max_clients && !self.make_room(report) {
                    return Merged::Stale;
                }
                let entry = Entry::new(key, Place::of(report.client()), report);
                self.sums.add(entry.place, entry.line_hash);
                self.count += 1;
                if let Some(bound) = self.shards[key.shard()].insert(entry) {
                    self.elders.note(bound, key.shard(), &self.shards);
                }
            }
        }
        Merged::Fresh
    }

    /// Where `client` is, or would be; it is not looked for.
    pub(super) fn seat(&self, client: &[u8]) -> Seat {
        Seat { key: self.keys.key(client), bucket: None }
    }

    /// Looks for the client of a seat. Meant to be called for several, one call right after the other: as none depends on what
    /// another found, the processor waits for memory once for all. With a million clients that waiting takes longer than all
    /// else that is done for one.
    pub(super) fn look_for(&self, seat: &mut Seat) {
        seat.bucket = self.shards[seat.key.shard()].bucket(seat.key);
    }

    /// Has what is known of the client of a seat brought into the processor's cache; likewise.
    pub(super) fn fetch(&self, Seat { key, bucket }: Seat) {
        if let Some(entry) = bucket.and_then(|bucket| self.shards[key.shard()].in_bucket(bucket)) {
            entry.fetch();
        }
    }

    /// What is known of `client`.
    pub fn find(&self, client: &[u8]) -> Option<Report<'_>> {
        let key = self.keys.key(client);
        let entry = self.shards[key.shard()].find(key, client)?;
        (!self.is_over(entry.timestamp)).then(|| entry.report())
    }

    /// How many clients are known; who is forgotten counts until [`sweep`](Self::sweep) has come to him.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether no client is known.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// All that is known, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = Report<'_>> {
        let entries = self.shards.iter().flat_map(Shard::iter);
        entries.filter(|entry| !self.is_over(entry.timestamp)).map(Entry::report)
    }

    /// From now on, reports with a timestamp before `horizon` are neither taken nor found. Their memory is given back by
    /// [`sweep`](Self::sweep).
    pub fn forget_before(&mut self, horizon: Timestamp) {
        self.horizon = Some(horizon);
    }

    /// Removes what is forgotten from the next 64 shards of the 1024; true while there are some left in this round.
    pub fn sweep(&mut self) -> bool {
        let Self { shards, elders, count, horizon, unswept, sums, .. } = self;
        let Some(horizon) = *horizon else { return false };
        for place in *unswept..*unswept + SWEPT_AT_ONCE {
            let shard = &mut shards[place];
            if shard.bound().is_some_and(|bound| bound.timestamp < horizon) {
                shard.remove_before(horizon, |entry| {
                    sums.take_away(entry.place, entry.line_hash);
                    *count -= 1;
                });
                if let Some(bound) = shard.measure() {
                    elders.note(bound, place, shards);
                }
            }
        }
        *unswept = (*unswept + SWEPT_AT_ONCE) % SHARDS;
        *unswept > 0
    }

    /// How many reports there are, and the sum of their hashes.
    pub fn digest(&self) -> Digest {
        Digest { count: self.count as u64, sum: self.sums.all() }
    }

    /// The sums of `count` buckets of places, a power of two up to `digest::MOST_BUCKETS`.
    pub(super) fn bucket_sums(&self, count: usize) -> Vec<u64> {
        self.sums.of_buckets(count)
    }

    /// The entries of one of [`SHARDS`] shards.
    pub(super) fn shard(&self, index: usize) -> impl ExactSizeIterator<Item = Known<'_>> {
        self.shards[index].iter().map(Known)
    }

    /// The lines of the clients with this key (one, but for a collision), if they are of this time.
    pub(super) fn find_known(&self, (timestamp, key): (Timestamp, Key)) -> impl Iterator<Item = &[u8]> {
        let entries = self.shards[key.shard()].find_all(key).filter(move |entry| entry.timestamp == timestamp);
        entries.filter(|entry| !self.is_over(entry.timestamp)).map(Entry::line)
    }

    fn is_over(&self, timestamp: Timestamp) -> bool {
        self.horizon.is_some_and(|horizon| timestamp < horizon)
    }

    /// Removes the least report of all for `report`; false if that is less itself.
    fn make_room(&mut self, report: &Report<'_>) -> bool {
        let Some((place, least)) = self.elders.least(&mut self.shards, report) else { return false };
        let client = least.report().client();
        let shard = &mut self.shards[place];
        let entry = shard.remove(self.keys.key(client), client).expect("it was found there");
        self.sums.take_away(entry.place, entry.line_hash);
        self.count -= 1;
        if let Some(bound) = shard.measure() {
            self.elders.note(bound, place, &self.shards);
        }
        true
    }
}

/// An entry, as a repair sees it.
pub(super) struct Known<'a>(&'a Entry);

impl Known<'_> {
    pub(super) fn place(&self) -> Place {
        self.0.place
    }

    pub(super) fn line_hash(&self) -> u64 {
        self.0.line_hash
    }

    /// By which it is found again, unless it changes.
    pub(super) fn name(&self) -> (Timestamp, Key) {
        (self.0.timestamp, self.0.key)
    }
}

/// How many small tables there are.
pub(super) const SHARDS: usize = 1024;

/// How many of them a call of [`Directory::sweep`] looks at.
const SWEPT_AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use hashbrown::HashTable;

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
        let mut check = |line: &str, merged: Merged| {
            assert_eq!(directory.merge_strictly_newer(directory.seat(b"k"), &report(line)), merged);
        };
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
        let shard = CLIENTS / SHARDS;
        let table = HashTable::<Entry>::with_capacity(shard).allocation_size() / shard;
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

    /// A directory of at most two clients.
    fn pair() -> Directory {
        Directory::new(SEED).with_max_clients(2)
    }

    #[test]
    fn of_too_many_the_least_goes() {
        let check = |offered: &[&str], kept: &[&str]| {
            let (mut forwards, mut backwards) = (pair(), pair());
            for (line, opposite) in offered.iter().zip(offered.iter().rev()) {
                forwards.merge(&report(line));
                backwards.merge(&report(opposite));
            }
            for directory in [forwards, backwards] {
                let mut lines: Vec<_> = lines(&directory).into_iter().map(<[u8]>::to_vec).collect();
                lines.sort();
                assert_eq!(lines, kept.iter().map(|line| line.as_bytes()).collect::<Vec<_>>());
                assert_eq!(directory.len(), kept.len());
            }
        };
        let [a, b, c] = ["a", "b", "c"].map(|client| format!("AT Ball +0.500000000 {client} +1+1 10"));
        let later = "AT Ball +0.500000000 a +1+1 11";
        let elsewhere = "AT Alford +0.500000000 d +1+1 10";
        check(&[&a, &b], &[&a, &b]);
        check(&[&a, &b, &c], &[&b, &c]);
        check(&[&c, elsewhere, &b], &[&b, &c]);
        check(&[later, &b, &c], &[later, &c]);
        check(&[later, &a, &b], &[later, &b]);
    }

    /// Against a model that sorts everything each time.
    #[test]
    fn the_greatest_stay_whatever_is_said_and_forgotten() {
        let mut dice = fastrand::Rng::with_seed(7);
        for round in 0..10 {
            let most = dice.usize(1..60);
            let mut directory = Directory::new(round).with_max_clients(most);
            let mut model: Vec<String> = Vec::new();
            for _ in 0..300 {
                let (client, stamp) = (dice.u32(..100), dice.u32(..40));
                let line = format!("AT Ball +0.500000000 k{client} +1+1 {stamp}");
                let before = model.clone();
                let is_same = |other: &String| other.contains(&format!(" k{client} "));
                match model.iter_mut().find(|other| is_same(other)) {
                    Some(other) if report(other) < report(&line) => other.clone_from(&line),
                    Some(_) => {}
                    None => model.push(line.clone()),
                }
                model.sort_by(|one, other| report(other).cmp(&report(one)));
                model.truncate(most);
                let merged = directory.merge(&report(&line));
                model.sort();
                assert_eq!(merged == Merged::Fresh, model.contains(&line) && !before.contains(&line));
                let mut kept: Vec<_> = directory.iter().map(|report| report.line().to_vec()).collect();
                kept.sort();
                assert!(kept.iter().map(Vec::as_slice).eq(model.iter().map(String::as_bytes)), "{line}");
            }
        }
    }

    #[test]
    fn what_was_evicted_does_not_come_back_and_newer_reports_find_room() {
        let mut directory = pair();
        let mut check = |line: &str, merged: Merged| assert_eq!(directory.merge(&report(line)), merged, "{line}");
        check("AT Ball +0.500000000 a +1+1 1", Merged::Fresh);
        check("AT Ball +0.500000000 b +1+1 2", Merged::Fresh);
        check("AT Ball +0.500000000 c +1+1 3", Merged::Fresh);
        check("AT Ball +0.500000000 a +1+1 1", Merged::Stale);
        check("AT Ball +0.500000000 b +1+1 4", Merged::Fresh);
        check("AT Ball +0.500000000 d +1+1 2.5", Merged::Stale);
        check("AT Ball +0.500000000 d +1+1 5", Merged::Fresh);
        assert_eq!(directory.find(b"c"), None);
        assert_eq!(directory.len(), 2);
    }

    #[test]
    fn what_is_before_the_horizon_is_forgotten_at_once_and_swept_later() {
        let mut directory = Directory::new(SEED);
        for second in 0..100 {
            directory.merge(&report(&format!("AT Ball +0.500000000 k{second} +1+1 {second}")));
        }
        let young = Directory::new(SEED);
        directory.forget_before(Timestamp::parse(b"50").expect("a timestamp"));
        assert_eq!(directory.find(b"k49"), None);
        assert!(directory.find(b"k50").is_some());
        assert_eq!(directory.iter().count(), 50);
        assert_eq!(directory.merge(&report("AT Ball +0.500000000 k1 +1+1 49.999999999")), Merged::Stale);
        let rounds = 1 + (0..).take_while(|_| directory.sweep()).count();
        assert_eq!((rounds, directory.len()), (SHARDS / SWEPT_AT_ONCE, 50));
        directory.forget_before(Timestamp::parse(b"100").expect("a timestamp"));
        while directory.sweep() {}
        assert!(directory.is_empty());
        assert_eq!(directory.digest(), young.digest());
    }

    #[test]
    fn equal_directories_have_equal_digests_whatever_led_to_them() {
        let mut one = Directory::new(1);
        let mut other = Directory::new(2);
        for client in 0..100 {
            one.merge(&report(&format!("AT Ball +0.500000000 k{client} +1+1 9")));
            one.merge(&report(&format!("AT Ball +0.500000000 k{client} +1.0+1.0 10")));
            other.merge(&report(&format!("AT Ball +0.500000000 k{} +1.0+1.0 10", 99 - client)));
        }
        assert_eq!(one.digest(), other.digest());
        assert_eq!(one.bucket_sums(64), other.bucket_sums(64));
        one.merge(&report("AT Ball +0.500000000 k7 +1.0+1.0 10.000000001"));
        assert_ne!(one.digest(), other.digest());
    }

    #[test]
    fn many_clients_spread_over_the_shards() {
        let mut directory = Directory::new(SEED);
        for client in 0..20 * SHARDS {
            directory.merge(&report(&format!("AT Ball +0.500000000 k{client} +1+1 10")));
        }
        let fullest = (0..SHARDS).map(|shard| directory.shard(shard).len()).max();
        assert!(fullest.is_some_and(|most| most < 60), "{fullest:?}");
        assert_eq!((0..SHARDS).map(|shard| directory.shard(shard).len()).sum::<usize>(), directory.len());
    }
}
