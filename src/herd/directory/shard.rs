//! One of the small tables of a [`Directory`](super::Directory), and the oldest of its reports.

use hashbrown::HashTable;

use super::entry::{Entry, Key};
use crate::herd::report::Report;
use crate::herd::timestamp::Timestamp;

/// Some clients.
#[derive(Default)]
pub(super) struct Shard {
    entries: HashTable<Entry>,
    oldest: Oldest,
}

/// What is known of the oldest timestamp of a shard.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) enum Oldest {
    /// There are no reports.
    #[default]
    None,
    /// There is a report of this time, and none older.
    Is(Timestamp),
    /// None is older.
    NotBefore(Timestamp),
}

impl Oldest {
    /// No report of the shard is older.
    pub(super) fn bound(self) -> Option<Timestamp> {
        match self {
            Self::None => None,
            Self::Is(bound) | Self::NotBefore(bound) => Some(bound),
        }
    }
}

impl Shard {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(super) fn oldest(&self) -> Oldest {
        self.oldest
    }

    pub(super) fn find(&self, key: Key, client: &[u8]) -> Option<&Entry> {
        self.entries.find(key.spread(), |entry| entry.is(key, client))
    }

    /// The entries with this key: one, but for a collision.
    pub(super) fn find_all(&self, key: Key) -> impl Iterator<Item = &Entry> {
        self.entries.iter_hash(key.spread()).filter(move |entry| entry.key == key)
    }

    /// The entry, and what is known of the oldest, which is to be told what [went](Oldest::went).
    pub(super) fn find_mut(&mut self, key: Key, client: &[u8]) -> Option<(&mut Entry, &mut Oldest)> {
        let entry = self.entries.find_mut(key.spread(), |entry| entry.is(key, client))?;
        Some((entry, &mut self.oldest))
    }

    /// Adds a client; true if its report is older than all of the shard were.
    pub(super) fn insert(&mut self, entry: Entry) -> bool {
        let timestamp = entry.timestamp;
        self.entries.insert_unique(entry.key.spread(), entry, |entry| entry.key.spread());
        let is_older = self.oldest.bound().is_none_or(|bound| timestamp < bound);
        if is_older {
            self.oldest = Oldest::Is(timestamp);
        }
        is_older
    }

    pub(super) fn remove(&mut self, key: Key, client: &[u8]) -> Option<Entry> {
        let slot = self.entries.find_entry(key.spread(), |entry| entry.is(key, client)).ok()?;
        let (entry, _) = slot.remove();
        self.oldest.went(entry.timestamp);
        Some(entry)
    }

    /// Removes all reports from before `horizon`.
    pub(super) fn remove_before(&mut self, horizon: Timestamp, mut removed: impl FnMut(&Entry)) {
        self.entries.extract_if(|entry| entry.timestamp < horizon).for_each(|entry| removed(&entry));
        self.oldest = self.oldest.bound().map_or(Oldest::None, Oldest::NotBefore);
    }

    /// Finds out what the oldest timestamp is.
    pub(super) fn measure(&mut self) -> Option<Timestamp> {
        if !matches!(self.oldest, Oldest::Is(_)) {
            let oldest = self.entries.iter().map(|entry| entry.timestamp).min();
            self.oldest = oldest.map_or(Oldest::None, Oldest::Is);
        }
        self.oldest.bound()
    }

    /// The least of the reports of this time.
    pub(super) fn least_of(&self, timestamp: Timestamp) -> Option<Report<'_>> {
        self.entries.iter().filter(|entry| entry.timestamp == timestamp).map(Entry::report).min()
    }
}

impl Oldest {
    /// A report of this time is there no more.
    pub(super) fn went(&mut self, timestamp: Timestamp) {
        if *self == Self::Is(timestamp) {
            *self = Self::NotBefore(timestamp);
        }
    }
}
