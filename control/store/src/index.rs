//! The versioned index: all current entries, the history of recent changes, and the rows that the next checkpoint must write.
//!
//! The index is a pure state machine: applying the same commands in the same order gives the same entries and revisions on
//! every machine. The current entries are a persistent ordered map, so that a [`Snapshot`] is one reference count. The history
//! is one bounded ring of events for the whole store; it feeds every watcher and gives old revisions back by undoing.
//!
//! A revision is either wholly in the history or not at all: events are evicted by revision, never one by one.

mod history;
mod shared;
mod snapshot;

use bytes::Bytes;
use imbl::OrdMap;

pub(crate) use history::{History, HistoryBounds};
pub(crate) use shared::{Position, SharedIndex};
pub use snapshot::{Snapshot, SnapshotAtError};

use crate::types::{Condition, Entry, Key, Operation, Transaction, TransactionOutcome};
use crate::watch::WatchEvent;

/// The revision of a store in which nothing was ever written. Kubernetes gives "0" a meaning of its own, so it is not 0.
pub(crate) const FIRST_REVISION: u64 = 1;

/// Entries by key; cloning is one reference count.
pub(crate) type Root = OrdMap<Key, Entry>;

/// One change as the checkpoint keeps it: what a key became in a revision. `entry` is `None` for a deletion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) revision: u64,
    pub(crate) key: Key,
    pub(crate) state: RowState,
}

/// What a key became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RowState {
    Present { value: Bytes, create_revision: u64, version: u64 },
    Deleted,
}

/// What changed since the last checkpoint was taken.
#[derive(Debug, Default)]
pub(crate) struct Delta {
    /// New rows, in the order of their revisions.
    pub(crate) rows: Vec<Row>,
    /// Rows, by revision and key, that nothing refers to any more.
    pub(crate) garbage: Vec<(u64, Key)>,
    /// Bytes of keys and values in `rows`.
    pub(crate) bytes: usize,
}

/// The numbers that describe an index beside its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IndexNumbers {
    pub(crate) revision: u64,
    /// The highest revision that was compacted on request; 0 for none.
    pub(crate) compacted_revision: u64,
    /// All events of this and later revisions are in the history.
    pub(crate) history_floor: u64,
}

/// The state machine.
#[derive(Debug)]
pub(crate) struct Index {
    root: Root,
    revision: u64,
    compacted_revision: u64,
    history: History,
    delta: Delta,
}

impl Index {
    /// An index in which nothing was ever written.
    pub(crate) fn new(bounds: HistoryBounds) -> Self {
        Self {
            root: Root::new(),
            revision: FIRST_REVISION,
            compacted_revision: 0,
            history: History::new(bounds, FIRST_REVISION + 1),
            delta: Delta::default(),
        }
    }

    /// Rebuilds an index from `rows`, which must come in the order of their revisions.
    ///
    /// # Errors
    ///
    /// The first error that `rows` yields.
    pub(crate) fn load<E>(
        bounds: HistoryBounds,
        numbers: IndexNumbers,
        rows: impl Iterator<Item = Result<Row, E>>,
    ) -> Result<Self, E> {
        let mut index = Self {
            root: Root::new(),
            revision: numbers.revision,
            compacted_revision: numbers.compacted_revision,
            history: History::new(bounds, numbers.history_floor),
            delta: Delta::default(),
        };
        for row in rows {
            index.load_row(row?, numbers.history_floor);
        }
        index.evict();
        Ok(index)
    }

    fn load_row(&mut self, row: Row, history_floor: u64) {
        let previous = self.root.get(&row.key).cloned();
        let event = match row.state {
            RowState::Present { value, create_revision, version } => {
                let entry = Entry { key: row.key.clone(), value, create_revision, mod_revision: row.revision, version };
                self.root.insert(row.key, entry.clone());
                WatchEvent::Put { entry, previous }
            }
            RowState::Deleted => {
                self.root.remove(&row.key);
                let Some(previous) = previous else { return };
                WatchEvent::Delete { revision: row.revision, previous }
            }
        };
        if row.revision >= history_floor {
            self.history.push(event);
        }
    }

    pub(crate) fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    pub(crate) fn numbers(&self) -> IndexNumbers {
        IndexNumbers {
            revision: self.revision,
            compacted_revision: self.compacted_revision,
            history_floor: self.history.floor(),
        }
    }

    /// The smallest revision that [`Self::snapshot_at`] can give back.
    pub(crate) fn oldest_snapshot(&self) -> u64 {
        self.compacted_revision.max(self.history.floor() - 1)
    }

    /// The smallest revision after which every event is known. One less than [`Self::oldest_snapshot`] after a compaction:
    /// the events of the compacted revision itself stay, so that a watcher that starts with them misses no deletion.
    pub(crate) fn oldest_watch(&self) -> u64 {
        self.history.floor() - 1
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.root.clone(), self.revision)
    }

    /// What changed since the last call.
    pub(crate) fn take_delta(&mut self) -> Delta {
        std::mem::take(&mut self.delta)
    }

    /// Bytes of keys and values that no checkpoint has taken yet.
    pub(crate) fn delta_bytes(&self) -> usize {
        self.delta.bytes
    }

    /// Compares and, when all conditions hold, changes. New events are at the end of the history.
    pub(crate) fn apply(&mut self, transaction: &Transaction) -> TransactionOutcome {
        if !transaction.conditions.iter().all(|condition| self.holds(condition)) {
            let current = transaction.conditions.iter().map(|condition| self.current(condition)).collect();
            return TransactionOutcome::Conflict { revision: self.revision, current };
        }
        let revision = self.revision + 1;
        let mut changed = false;
        for operation in &transaction.operations {
            changed |= self.change(revision, operation);
        }
        if changed {
            self.revision = revision;
            self.evict();
        }
        TransactionOutcome::Applied { revision: self.revision }
    }

    /// Forgets what only serves reads and watches before `revision`. A revision that was compacted before, or that is still
    /// to come, changes nothing.
    pub(crate) fn compact(&mut self, revision: u64) {
        if revision <= self.compacted_revision || revision > self.revision {
            return;
        }
        self.compacted_revision = revision;
        self.history.raise_floor(revision, |event| Self::discard(&mut self.delta, &event));
    }

    fn holds(&self, condition: &Condition) -> bool {
        let Condition::ModRevision { key, revision } = condition;
        self.root.get(key).map_or(0, |entry| entry.mod_revision) == *revision
    }

    fn current(&self, condition: &Condition) -> Option<Entry> {
        let Condition::ModRevision { key, .. } = condition;
        self.root.get(key).cloned()
    }

    fn change(&mut self, revision: u64, operation: &Operation) -> bool {
        match operation {
            Operation::Put { key, value } => {
                self.put(revision, key, value);
                true
            }
            Operation::Delete { key } => self.delete(revision, key),
        }
    }

    fn put(&mut self, revision: u64, key: &Key, value: &Bytes) {
        let previous = self.root.get(key).cloned();
        let entry = Entry {
            // The first key object stays for as long as the key lives, so that all of the key's entries share it.
            key: previous.as_ref().map_or_else(|| key.clone(), |previous| previous.key.clone()),
            value: value.clone(),
            create_revision: previous.as_ref().map_or(revision, |previous| previous.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(1, |previous| previous.version + 1),
        };
        self.delta.bytes += key.len() + value.len();
        self.delta.rows.push(Row {
            revision,
            key: entry.key.clone(),
            state: RowState::Present {
                value: value.clone(),
                create_revision: entry.create_revision,
                version: entry.version,
            },
        });
        self.root.insert(entry.key.clone(), entry.clone());
        self.history.push(WatchEvent::Put { entry, previous });
    }

    fn delete(&mut self, revision: u64, key: &Key) -> bool {
        let Some(previous) = self.root.remove(key) else { return false };
        self.delta.bytes += key.len();
        self.delta.rows.push(Row { revision, key: previous.key.clone(), state: RowState::Deleted });
        self.history.push(WatchEvent::Delete { revision, previous });
        true
    }

    /// Brings the history back into its bounds.
    fn evict(&mut self) {
        self.history.evict(|event| Self::discard(&mut self.delta, &event));
    }

    /// The state before an event that left the history is of no use to anybody, and neither is the mark of a deletion.
    fn discard(delta: &mut Delta, event: &WatchEvent) {
        match event {
            WatchEvent::Put { previous: Some(previous), .. } => {
                delta.garbage.push((previous.mod_revision, previous.key.clone()));
            }
            WatchEvent::Put { previous: None, .. } => {}
            WatchEvent::Delete { revision, previous } => {
                delta.garbage.push((previous.mod_revision, previous.key.clone()));
                delta.garbage.push((*revision, previous.key.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests;
