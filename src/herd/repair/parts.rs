//! The sums of the parts of some buckets, and the walk over a directory that fills them.

use crate::herd::digest::{MOST_BUCKETS, Place};
use crate::herd::directory::{Directory, Known, SHARDS};

/// Some buckets, each divided into as many parts, and a sum for each part.
pub(super) struct Parts {
    /// How many buckets there are in all.
    of: usize,
    /// How many parts each has.
    per: usize,
    /// The buckets that are meant, ascending.
    buckets: Vec<usize>,
    /// For each bucket of all: where its parts are in `sums`, or [`ABSENT`].
    starts: Vec<u32>,
    sums: Vec<u64>,
}

impl Parts {
    /// These buckets, ascending, of so many, with so many parts each: see [`is_shape`].
    pub(super) fn new(of: usize, per: usize, buckets: Vec<usize>) -> Self {
        let mut starts = vec![ABSENT; of];
        for (place, bucket) in buckets.iter().enumerate() {
            starts[*bucket] = start(place * per);
        }
        // Zeros that are there when they are first touched, not all at once.
        let sums = vec![0; buckets.len() * per];
        Self { of, per, buckets, starts, sums }
    }

    /// One more bucket, greater than those before.
    pub(super) fn push(&mut self, bucket: usize) {
        self.starts[bucket] = start(self.sums.len());
        self.buckets.push(bucket);
        self.sums.resize(self.sums.len() + self.per, 0);
    }

    pub(super) fn per(&self) -> usize {
        self.per
    }

    /// How many buckets are meant.
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    pub(super) fn last(&self) -> Option<usize> {
        self.buckets.last().copied()
    }

    /// The bucket at this place of those that are meant, and the sums of its parts.
    pub(super) fn get(&self, place: usize) -> (usize, &[u64]) {
        (self.buckets[place], &self.sums[place * self.per..][..self.per])
    }

    pub(super) fn sums(&self) -> &[u64] {
        &self.sums
    }

    /// In which part a client is, if its bucket is meant.
    pub(super) fn part(&self, place: Place) -> Option<usize> {
        let start = self.starts[place.bucket(self.of)];
        (start != ABSENT).then(|| start as usize + place.bucket(self.of * self.per) % self.per)
    }

    pub(super) fn add(&mut self, known: &Known<'_>) {
        if let Some(part) = self.part(known.place()) {
            self.sums[part] = self.sums[part].wrapping_add(known.line_hash());
        }
    }
}

fn start(part: usize) -> u32 {
    u32::try_from(part).expect("there are at most 2^20 parts")
}

/// A walk over a directory, some shards at a time. What changes meanwhile may be met before or after.
#[derive(Default)]
pub(super) struct Walk {
    next: usize,
}

impl Walk {
    /// Shows the next entries, some thousand; false if they were the last.
    pub(super) fn go_on(&mut self, directory: &Directory, mut visit: impl FnMut(Known<'_>)) -> bool {
        let mut seen = 0;
        while self.next < SHARDS && seen < SEEN_AT_ONCE {
            let shard = directory.shard(self.next);
            seen += shard.len();
            shard.for_each(&mut visit);
            self.next += 1;
        }
        self.next < SHARDS
    }
}

/// How many buckets serve for so many reports: about 16 in each.
pub(super) fn buckets_for(count: u64) -> usize {
    power_of_two(count / 16).clamp(4, MOST_BUCKETS)
}

/// How many parts a bucket of so many has: for each report two or more, so that few come along with one that differs.
pub(super) fn parts_for(count: u64, of: usize) -> usize {
    power_of_two(count.saturating_mul(2) / of as u64).clamp(2, MOST_PARTS)
}

/// Whether a directory may be divided so.
pub(super) fn is_shape(of: usize, per: usize) -> bool {
    let good = |count: usize, most: usize| count.is_power_of_two() && count <= most;
    good(of, MOST_BUCKETS) && good(per, MOST_PARTS) && per > 1
}

fn power_of_two(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX >> 1).clamp(1, MOST_BUCKETS).next_power_of_two()
}

const ABSENT: u32 = u32::MAX;

/// How many parts a bucket may have: what fits into a line, and 2^20 in all.
const MOST_PARTS: usize = 256;

/// How many entries are looked at in one go.
const SEEN_AT_ONCE: usize = 2000;
