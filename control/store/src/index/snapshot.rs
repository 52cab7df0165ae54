//! Immutable views of the index.

use std::ops::Bound;

use super::{Index, Root};
use crate::types::Entry;
use crate::watch::WatchEvent;

/// All entries as they were at one revision. Taking and cloning one is a reference count; it stays as it is for as long as it
/// is held, and keeps the entries that were changed since in memory.
#[derive(Clone, Debug)]
pub struct Snapshot {
    root: Root,
    revision: u64,
}

/// Why [`Store::snapshot_at`](crate::Store::snapshot_at) has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotAtError {
    /// The revision is no longer known; `oldest` is the smallest that is.
    #[error("the revision has been compacted; the oldest one is {oldest}")]
    Compacted { oldest: u64 },
    /// The revision is not applied yet.
    #[error("the revision is still to come; the current one is {current}")]
    Future { current: u64 },
}

impl Snapshot {
    pub(super) fn new(root: Root, revision: u64) -> Self {
        Self { root, revision }
    }

    /// The revision of this view.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The entry of `key`.
    pub fn get(&self, key: &[u8]) -> Option<Entry> {
        self.root.get(key).cloned()
    }

    /// The entries whose keys begin with `prefix`, in key order. An empty prefix gives all.
    pub fn prefix<'a>(&'a self, prefix: &[u8]) -> impl Iterator<Item = Entry> + use<'a> {
        self.prefix_after(prefix, &[])
    }

    /// The entries whose keys begin with `prefix` and are greater than `after`, in key order: the next page of a list.
    pub fn prefix_after<'a>(&'a self, prefix: &[u8], after: &[u8]) -> impl Iterator<Item = Entry> + use<'a> {
        let start = if after < prefix { Bound::Included(prefix) } else { Bound::Excluded(after) };
        let end = prefix_end(prefix);
        self.range(start, end.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
    }

    /// The entries between two bounds, in key order. None when the bounds are the wrong way round.
    pub fn range<'a>(&'a self, start: Bound<&[u8]>, end: Bound<&[u8]>) -> impl Iterator<Item = Entry> + use<'a> {
        let empty = match (start, end) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(start), Bound::Included(end)) => start > end,
            (Bound::Included(start) | Bound::Excluded(start), Bound::Included(end) | Bound::Excluded(end)) => {
                start >= end
            }
        };
        let entries = (!empty).then(|| self.root.range::<_, [u8]>((start, end)));
        entries.into_iter().flatten().map(|(_, entry)| entry.clone())
    }

    /// How many keys begin with `prefix`. Walks over them.
    pub fn prefix_count(&self, prefix: &[u8]) -> usize {
        let end = prefix_end(prefix);
        let end = end.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.root.range::<_, [u8]>((Bound::Included(prefix), end)).count()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.root.len()
    }

    /// Whether there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// The state before `events`, which must be in the order of their revisions and end with this snapshot's.
    pub(super) fn undo(mut self, events: impl DoubleEndedIterator<Item = WatchEvent>, revision: u64) -> Self {
        for event in events.rev() {
            match event {
                WatchEvent::Put { previous: Some(previous), .. } | WatchEvent::Delete { previous, .. } => {
                    self.root.insert(previous.key.clone(), previous);
                }
                WatchEvent::Put { entry, previous: None } => {
                    self.root.remove(&entry.key);
                }
            }
        }
        self.revision = revision;
        self
    }
}

/// The smallest key that is greater than every key with this prefix; none when there is no such key.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

impl Index {
    /// What [`Snapshot::undo`] needs to go back from `newer` to `revision`.
    pub(super) fn events_between(&self, revision: u64, newer: u64) -> Vec<WatchEvent> {
        self.history.from(revision + 1).take_while(|event| event.revision() <= newer).cloned().collect()
    }
}
