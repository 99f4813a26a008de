//! What a directory holds in a few numbers: how many reports, and sums of the hashes of their lines.
//!
//! A sum does not depend on the order, and one report is added to it or taken away at the cost of hashing its line. Two
//! directories with equal digests are taken for equal: by chance they are not once in 2^64 times. All servers must count alike,
//! so the hash is XXH3 (64 bits, no seed), whose results are fixed for good. It is no secret: a client could make reports whose
//! differences cancel out, and would keep those, its own, from being repaired.

use xxhash_rust::xxh3::xxh3_64;

/// How many reports a directory holds, and the sum of their hashes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Digest {
    /// How many.
    pub count: u64,
    /// The sum of all hashes, modulo 2^64.
    pub sum: u64,
}

/// Where a client stands in every directory alike: a hash of its ID. The buckets of a digest are ranges of places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(u32);

impl Place {
    pub(super) fn of(client: &[u8]) -> Self {
        Self((xxh3_64(client) >> 32) as u32)
    }

    /// In which of `count` buckets, a power of two.
    pub(super) fn bucket(self, count: usize) -> usize {
        ((u64::from(self.0) * count as u64) >> 32) as usize
    }
}

/// What a line adds to the sums.
pub(super) fn hash_of(line: &[u8]) -> u64 {
    xxh3_64(line)
}

/// The sum of all lines, and those of the buckets.
pub(super) struct Sums {
    all: u64,
    buckets: Box<[u64]>,
}

impl Sums {
    pub(super) fn new() -> Self {
        Self { all: 0, buckets: vec![0; MOST_BUCKETS].into() }
    }

    pub(super) fn all(&self) -> u64 {
        self.all
    }

    pub(super) fn add(&mut self, place: Place, hash: u64) {
        self.all = self.all.wrapping_add(hash);
        let bucket = &mut self.buckets[place.bucket(MOST_BUCKETS)];
        *bucket = bucket.wrapping_add(hash);
    }

    pub(super) fn take_away(&mut self, place: Place, hash: u64) {
        self.add(place, hash.wrapping_neg());
    }

    /// Takes one away and adds the other, at the cost of one.
    pub(super) fn replace(&mut self, place: Place, old: u64, new: u64) {
        self.add(place, new.wrapping_sub(old));
    }

    /// The sums of `count` buckets, a power of two up to [`MOST_BUCKETS`].
    pub(super) fn of_buckets(&self, count: usize) -> Vec<u64> {
        let sum = |sums: &[u64]| sums.iter().fold(0, |all: u64, sum| all.wrapping_add(*sum));
        self.buckets.chunks_exact(MOST_BUCKETS / count).map(sum).collect()
    }
}

/// How many buckets have sums of their own that are always up to date.
pub(super) const MOST_BUCKETS: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_do_not_depend_on_the_order_and_can_be_taken_back() {
        let lines: Vec<(Place, u64)> =
            (0..100_u32).map(|n| (Place::of(&n.to_be_bytes()), hash_of(&n.to_le_bytes()))).collect();
        let (mut one, mut other) = (Sums::new(), Sums::new());
        lines.iter().for_each(|(place, hash)| one.add(*place, *hash));
        lines.iter().rev().for_each(|(place, hash)| other.add(*place, *hash));
        assert_eq!((one.all(), one.of_buckets(8)), (other.all(), other.of_buckets(8)));
        one.replace(lines[3].0, lines[3].1, 5);
        other.take_away(lines[3].0, lines[3].1);
        other.add(lines[3].0, 5);
        assert_eq!((one.all(), one.of_buckets(8)), (other.all(), other.of_buckets(8)));
        other.take_away(lines[7].0, lines[7].1);
        let differ = |count: usize| {
            let pairs = one.of_buckets(count).into_iter().zip(other.of_buckets(count));
            pairs.enumerate().filter(|(_, (one, other))| one != other).map(|(bucket, _)| bucket).collect::<Vec<_>>()
        };
        for count in [1, 2, 64, MOST_BUCKETS] {
            assert_eq!(differ(count), [lines[7].0.bucket(count)]);
        }
        assert_ne!(one.all(), other.all());
    }

    #[test]
    fn the_hash_never_changes() {
        assert_eq!(hash_of(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash_of(b"AT Hands +0.5 k +1+1 10"), xxh3_64(b"AT Hands +0.5 k +1+1 10"));
        assert_eq!(Place::of(b""), Place(0x2d06_8005));
    }
}
