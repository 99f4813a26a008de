//! In which shard of a [`Directory`](super::Directory) the least report of all is, found without looking at all shards.
//!
//! For each shard with reports there is a note with its bound; what was noted before and is not its bound any more counts no
//! more. Bounds are whole reports: clients choose the timestamps, which may all be the same.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use super::shard::{Bound, Shard};
use crate::herd::report::Report;

/// Bounds and their shards, the least first.
#[derive(Default)]
pub(super) struct Elders(BinaryHeap<Reverse<(Bound, usize)>>);

impl Elders {
    /// The bound of a shard is this now.
    pub(super) fn note(&mut self, bound: Bound, shard: usize, shards: &[Shard]) {
        if self.0.len() >= NOTES_PER_SHARD * shards.len() {
            let bounds = shards.iter().enumerate();
            self.0 = bounds.filter_map(|(shard, other)| Some(Reverse((other.bound()?.clone(), shard)))).collect();
        }
        self.0.push(Reverse((bound, shard)));
    }

    /// The least report of all, which is in this shard; `None` if `than` is less.
    pub(super) fn least(&mut self, shards: &mut [Shard], than: &Report<'_>) -> Option<(usize, Bound)> {
        while let Some(mut note) = self.0.peek_mut() {
            let Reverse((bound, place)) = &mut *note;
            if than.rank() < bound.rank() {
                return None;
            }
            let shard = &mut shards[*place];
            let counts = shard.bound() == Some(bound);
            match counts.then(|| shard.measure()).flatten() {
                Some(exact) if exact == *bound => return Some((*place, exact)),
                Some(exact) => *bound = exact,
                None => drop(PeekMut::pop(note)),
            }
        }
        None
    }
}

/// How many notes there may be for each shard; with more, all are made anew.
const NOTES_PER_SHARD: usize = 4;
