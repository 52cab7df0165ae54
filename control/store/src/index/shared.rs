//! The index as the parts of the store share it: one lock, the announcement of new revisions, and old snapshots kept at hand.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::{Index, Snapshot, SnapshotAtError};
use crate::watch::{Watchers, mark_since};

/// So many old snapshots are kept for the next page of a list.
const OLD_SNAPSHOTS_MAX: usize = 8;

/// An old snapshot that was this cheap to make is not kept.
const UNDONE_EVENTS_CHEAP: usize = 64;

/// An index, and how far the log has been applied to it; `P` is the log's notion of a position.
#[derive(Debug)]
pub(crate) struct Position<P> {
    pub(crate) index: Index,
    pub(crate) applied: P,
}

/// The index behind its lock.
#[derive(Debug)]
pub(crate) struct SharedIndex<P> {
    state: RwLock<Position<P>>,
    watchers: Watchers,
    revision: watch::Sender<u64>,
    old_snapshots: Mutex<VecDeque<Snapshot>>,
}

impl<P> SharedIndex<P> {
    pub(crate) fn new(index: Index, applied: P) -> Self {
        let revision = watch::Sender::new(index.revision());
        Self {
            state: RwLock::new(Position { index, applied }),
            watchers: Watchers::default(),
            revision,
            old_snapshots: Mutex::default(),
        }
    }

    #[cfg(test)]
    pub(crate) fn into_index(self) -> Index {
        self.state.into_inner().unwrap().index
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// A panic while the lock was held is a bug that must not spread: the state is what the last complete step left.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Position<P>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Position<P>> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `change` on the index, tells the watchers of every event that it added, and announces the new revision.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Position<P>) -> T) -> T {
        let mut state = self.write();
        let before = state.index.revision();
        let result = change(&mut state);
        let after = state.index.revision();
        if after != before {
            mark_since(&self.watchers, &state.index, before + 1);
        }
        drop(state);
        if after != before {
            self.revision.send_replace(after);
        }
        result
    }

    /// Puts another state in place of this one. Every watcher looks again from where it was, and finds out whether it can go
    /// on.
    pub(crate) fn replace(&self, index: Index, applied: P) {
        let mut state = self.write();
        let before = state.index.revision();
        let after = index.revision();
        *state = Position { index, applied };
        self.watchers.mark_all(before + 1);
        drop(state);
        self.old_snapshots.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.revision.send_replace(after);
    }

    pub(crate) fn revision(&self) -> u64 {
        self.read().index.revision()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.read().index.snapshot()
    }

    /// Announces each new revision.
    pub(crate) fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// The state at `revision`: undone from the nearest newer state at hand.
    pub(crate) fn snapshot_at(&self, revision: u64) -> Result<Snapshot, SnapshotAtError> {
        let (base, events) = {
            let state = self.read();
            let current = state.index.revision();
            if revision > current {
                return Err(SnapshotAtError::Future { current });
            }
            let oldest = state.index.oldest_snapshot();
            if revision < oldest {
                return Err(SnapshotAtError::Compacted { oldest });
            }
            let base = self.nearest(revision, oldest).unwrap_or_else(|| state.index.snapshot());
            let events = state.index.events_between(revision, base.revision());
            (base, events)
        };
        let undone = events.len();
        let snapshot = base.undo(events.into_iter(), revision);
        if undone > UNDONE_EVENTS_CHEAP {
            self.keep(snapshot.clone());
        }
        Ok(snapshot)
    }

    fn nearest(&self, revision: u64, oldest: u64) -> Option<Snapshot> {
        let mut kept = self.old_snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|snapshot| snapshot.revision() >= oldest);
        kept.iter().filter(|kept| kept.revision() >= revision).min_by_key(|kept| kept.revision()).cloned()
    }

    fn keep(&self, snapshot: Snapshot) {
        let mut kept = self.old_snapshots.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == OLD_SNAPSHOTS_MAX {
            kept.pop_front();
        }
        kept.push_back(snapshot);
    }
}
