//! The reports that are to be sent, the newest first.
//!
//! What a slice of a walk has found is sorted at once; the next to be sent is the newest of what each slice has left. So there is
//! no moment at which all of them are sorted, and the loop would wait.

use std::collections::BinaryHeap;

use crate::herd::directory::Key;
use crate::herd::timestamp::Timestamp;

/// By which a report is found again; the newest is the greatest.
pub(super) type Name = (Timestamp, Key);

/// Reports by their names, 16 bytes each.
#[derive(Default)]
pub(super) struct Chosen {
    /// Each sorted; the newest, which is the last, is in `newest`.
    runs: Vec<Vec<Name>>,
    /// The newest of each run, and which run that is.
    newest: BinaryHeap<(Name, usize)>,
}

impl Chosen {
    pub(super) fn add(&mut self, mut run: Vec<Name>) {
        run.sort_unstable();
        if let Some(newest) = run.pop() {
            self.newest.push((newest, self.runs.len()));
            self.runs.push(run);
        }
    }

    /// Takes out the newest of all.
    pub(super) fn pop(&mut self) -> Option<Name> {
        let (name, run) = self.newest.pop()?;
        if let Some(next) = self.runs[run].pop() {
            self.newest.push((next, run));
        }
        Some(name)
    }
}
