//! One of the small tables of a [`Directory`](super::Directory), and the least of its reports.

use std::cmp::Ordering;
use std::sync::Arc;

use hashbrown::HashTable;

use super::entry::{Entry, Key};
use crate::herd::report::{Rank, Report};
use crate::herd::timestamp::Timestamp;

/// Some clients.
#[derive(Default)]
pub(super) struct Shard {
    entries: HashTable<Entry>,
    least: Least,
}

/// What is known of the least report of a shard.
#[derive(Default)]
pub(super) enum Least {
    /// There are no reports.
    #[default]
    None,
    /// It is this.
    Is(Bound),
    /// None is less than this, which is there no more.
    NotBefore(Bound),
}

impl Least {
    /// A report is about to go.
    pub(super) fn goes(&mut self, entry: &Entry) {
        if let Self::Is(bound) = self
            && bound.rank() == entry.rank()
        {
            *self = Self::NotBefore(bound.clone());
        }
    }
}

/// A report that is, or was, the least of a shard. Ordered as reports are; copied cheaply.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bound {
    pub(super) timestamp: Timestamp,
    line: Arc<[u8]>,
}

impl Bound {
    fn of(entry: &Entry) -> Self {
        Self { timestamp: entry.timestamp, line: entry.line().into() }
    }

    pub(super) fn rank(&self) -> Rank<'_> {
        (self.timestamp, &self.line)
    }

    pub(super) fn report(&self) -> Report<'_> {
        Report::parse(&self.line).expect("only lines of reports are stored")
    }
}

impl Ord for Bound {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank())
    }
}

impl PartialOrd for Bound {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Shard {
    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Entry> {
        self.entries.iter()
    }

    /// No report of the shard is less.
    pub(super) fn bound(&self) -> Option<&Bound> {
        match &self.least {
            Least::None => None,
            Least::Is(bound) | Least::NotBefore(bound) => Some(bound),
        }
    }

    pub(super) fn find(&self, key: Key, client: &[u8]) -> Option<&Entry> {
        self.entries.find(key.spread(), |entry| entry.is(key, client))
    }

    /// The entries with this key: one, but for a collision.
    pub(super) fn find_all(&self, key: Key) -> impl Iterator<Item = &Entry> {
        self.entries.iter_hash(key.spread()).filter(move |entry| entry.key == key)
    }

    /// In which bucket of the table the entry with this key is; of another client, in a collision.
    pub(super) fn bucket(&self, key: Key) -> Option<usize> {
        self.entries.find_bucket_index(key.spread(), |entry| entry.key == key)
    }

    pub(super) fn in_bucket(&self, bucket: usize) -> Option<&Entry> {
        self.entries.get_bucket(bucket)
    }

    /// The entry, which may be in this bucket, or in another by now; and what is known of the least, which is to be told what
    /// [goes](Least::goes).
    pub(super) fn find_mut(
        &mut self,
        key: Key,
        client: &[u8],
        bucket: Option<usize>,
    ) -> Option<(&mut Entry, &mut Least)> {
        let Self { entries, least } = self;
        let is_it = |entry: &Entry| entry.is(key, client);
        let entry = match bucket.filter(|bucket| entries.get_bucket(*bucket).is_some_and(is_it)) {
            Some(bucket) => entries.get_bucket_mut(bucket)?,
            None => entries.find_mut(key.spread(), is_it)?,
        };
        Some((entry, least))
    }

    /// Adds a client; if its report is less than all of the shard were, it is the bound from now on.
    pub(super) fn insert(&mut self, entry: Entry) -> Option<Bound> {
        let bound = self.bound().is_none_or(|bound| entry.rank() < bound.rank()).then(|| Bound::of(&entry));
        if let Some(bound) = &bound {
            self.least = Least::Is(bound.clone());
        }
        self.entries.insert_unique(entry.key.spread(), entry, |entry| entry.key.spread());
        bound
    }

    pub(super) fn remove(&mut self, key: Key, client: &[u8]) -> Option<Entry> {
        let slot = self.entries.find_entry(key.spread(), |entry| entry.is(key, client)).ok()?;
        let (entry, _) = slot.remove();
        self.least.goes(&entry);
        Some(entry)
    }

    /// Removes all reports from before `horizon`.
    pub(super) fn remove_before(&mut self, horizon: Timestamp, mut removed: impl FnMut(&Entry)) {
        self.entries.extract_if(|entry| entry.timestamp < horizon).for_each(|entry| removed(&entry));
        self.least = self.bound().cloned().map_or(Least::None, Least::NotBefore);
    }

    /// Finds out which report is the least.
    pub(super) fn measure(&mut self) -> Option<Bound> {
        if !matches!(self.least, Least::Is(_)) {
            let least = self.entries.iter().min_by(|one, other| one.rank().cmp(&other.rank()));
            self.least = least.map_or(Least::None, |entry| Least::Is(Bound::of(entry)));
        }
        self.bound().cloned()
    }
}
