//! In which shard of a [`Directory`](super::Directory) the least report of all is, found without looking at all shards.
//!
//! For each shard with reports there is a note with its bound; what was noted before and is not its bound any more counts no
//! more.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::shard::Shard;
use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;

/// Bounds and their shards, the oldest first.
#[derive(Default)]
pub(super) struct Elders(BinaryHeap<Reverse<(Timestamp, usize)>>);

impl Elders {
    /// The bound of a shard is this now.
    pub(super) fn note(&mut self, bound: Timestamp, shard: usize, shards: &[Shard]) {
        if self.0.len() >= NOTES_PER_SHARD * shards.len() {
            let bounds = shards.iter().enumerate();
            self.0 = bounds.filter_map(|(shard, other)| Some(Reverse((other.oldest().bound()?, shard)))).collect();
        }
        self.0.push(Reverse((bound, shard)));
    }

    /// The least report of all, which is in this shard; `None` if it is greater than `than`, as far as their times go.
    pub(super) fn least<'s>(&mut self, shards: &'s mut [Shard], than: &Report<'_>) -> Option<(usize, Report<'s>)> {
        // All shards that have reports of the oldest time.
        let mut eldest: Vec<usize> = Vec::new();
        let mut oldest = None;
        while let Some(Reverse((bound, shard))) = self.0.peek().copied() {
            if oldest.unwrap_or(than.timestamp()) < bound {
                break;
            }
            self.0.pop();
            if shards[shard].oldest().bound() != Some(bound) || eldest.contains(&shard) {
                continue;
            }
            match shards[shard].measure() {
                Some(exact) if exact == bound => {
                    oldest = Some(bound);
                    eldest.push(shard);
                }
                Some(exact) => self.0.push(Reverse((exact, shard))),
                None => {}
            }
        }
        let oldest = oldest?;
        self.0.extend(eldest.iter().map(|shard| Reverse((oldest, *shard))));
        let least = |shard: usize| Some((shard, shards[shard].least_of(oldest)?));
        eldest.into_iter().filter_map(least).min_by(|(_, one), (_, other)| one.cmp(other))
    }
}

/// How many notes there may be for each shard; with more, all are made anew.
const NOTES_PER_SHARD: usize = 4;
