//! Watches: every event under a prefix, once and in order.
//!
//! A watch has no queue of its own. It is a position in the index's history, and the history's bounds are its buffer: a reader
//! that falls so far behind that its next event has left the history is told so and must list again. Whoever applies a change
//! marks the watches whose prefix matches (the revision of the first event that they have not seen) and wakes them; a watch
//! without a mark has seen all there is for it, up to the applied revision, however long it has been idle.

mod watchers;

use std::sync::Arc;

pub(crate) use watchers::{Watcher, Watchers, mark_since};

use crate::index::SharedIndex;
use crate::types::Entry;

/// A batch ends with the revision in which it reaches this many events.
const BATCH_EVENTS_MAX: usize = 256;

/// A batch ends with the revision in which it reaches this many bytes.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// So many events of the history are looked at before the lock is given back.
const SCAN_EVENTS_MAX: usize = 4096;

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WatchEvent {
    /// The key was written; `previous` is its state before, absent when the key is new.
    Put { entry: Entry, previous: Option<Entry> },
    /// The key was deleted in `revision`; `previous` is its last state.
    Delete { revision: u64, previous: Entry },
}

impl WatchEvent {
    /// The revision of the change.
    pub fn revision(&self) -> u64 {
        match self {
            Self::Put { entry, .. } => entry.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }

    /// The key that changed.
    pub fn key(&self) -> &[u8] {
        match self {
            Self::Put { entry, .. } | Self::Delete { previous: entry, .. } => &entry.key,
        }
    }

    /// What the history counts for this event. The state before it is in memory already, for the event that made it.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Put { entry, .. } => entry.key.len() + entry.value.len(),
                Self::Delete { previous, .. } => previous.key.len(),
            }
    }
}

/// Some events, in order. The events of one revision are never split between batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchBatch {
    /// Every event of the watch up to and including this revision has been delivered with this batch.
    pub revision: u64,
    pub events: Vec<WatchEvent>,
}

/// Why [`Store::watch`](crate::Store::watch) cannot begin there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// The events are no longer known; `oldest` is the smallest revision after which all are.
    #[error("the revision has been compacted; the oldest one to watch from is {oldest}")]
    Compacted { oldest: u64 },
    /// The revision is not applied yet.
    #[error("the revision is still to come; the current one is {current}")]
    Future { current: u64 },
}

/// Why a watch ended. Nothing was delivered twice or left out up to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WatchLost {
    /// The reader fell behind what the history holds, or the events that it was about to read were compacted. `oldest` is the
    /// smallest revision after which all events are still known.
    #[error("the watch fell behind: its next events are gone; the oldest revision to watch from is {oldest}")]
    Behind { oldest: u64 },
    /// The store was closed, or has failed.
    #[error("the store is closed")]
    Closed,
}

/// Where a watch reads from; hides the store's notion of a log position.
pub(crate) trait WatchSource: Send + Sync + std::fmt::Debug {
    /// Reads on for the watch at `watcher`, from `resume` when that is known.
    fn scan(&self, watcher: &Watcher, resume: Option<u64>) -> Result<Scan, WatchLost>;
    fn progress(&self, watcher: &Watcher) -> u64;
    fn forget(&self, watcher: &Arc<Watcher>);
}

/// What one look at the history found.
#[derive(Debug)]
pub(crate) struct Scan {
    /// Everything up to here was looked at.
    pub(crate) revision: u64,
    pub(crate) events: Vec<WatchEvent>,
    /// Where to go on; none when the watch has seen all there is.
    pub(crate) resume: Option<u64>,
}

/// A stream of events. Dropping it ends the watch.
#[derive(Debug)]
pub struct Watch {
    source: Arc<dyn WatchSource>,
    watcher: Arc<Watcher>,
    /// The first revision that was not looked at, while the watch is catching up.
    resume: Option<u64>,
}

impl Watch {
    pub(crate) fn new<P: Send + Sync + std::fmt::Debug + 'static>(
        index: &Arc<SharedIndex<P>>,
        prefix: &[u8],
        after_revision: u64,
    ) -> Result<Self, WatchError> {
        // Under the lock no event can come between the check and the registration.
        let state = index.read();
        let current = state.index.revision();
        if after_revision > current {
            return Err(WatchError::Future { current });
        }
        let oldest = state.index.oldest_watch();
        if after_revision < oldest {
            return Err(WatchError::Compacted { oldest });
        }
        let watcher = index.watchers().register(prefix);
        let resume = (after_revision < current).then_some(after_revision + 1);
        drop(state);
        Ok(Self { source: Arc::clone(index) as Arc<dyn WatchSource>, watcher, resume })
    }

    /// Waits for the next events. Sometimes there are none, and the batch only says that `revision` was reached.
    ///
    /// # Errors
    ///
    /// [`WatchLost`]: the watch is over, and every further call says so again.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped: events leave the watch only in the value that is returned.
    pub async fn next(&mut self) -> Result<WatchBatch, WatchLost> {
        loop {
            let scan = self.source.scan(&self.watcher, self.resume)?;
            self.resume = scan.resume;
            if !scan.events.is_empty() {
                return Ok(WatchBatch { revision: scan.revision, events: scan.events });
            }
            match self.resume {
                Some(_) => tokio::task::yield_now().await,
                None => self.watcher.woken().await,
            }
        }
    }

    /// The latest applied revision for which [`Self::next`] has returned every event: what a bookmark may say.
    pub fn progress(&self) -> u64 {
        match self.resume {
            Some(resume) => resume - 1,
            None => self.source.progress(&self.watcher),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.source.forget(&self.watcher);
    }
}

impl<P: Send + Sync + std::fmt::Debug> WatchSource for SharedIndex<P> {
    fn scan(&self, watcher: &Watcher, resume: Option<u64>) -> Result<Scan, WatchLost> {
        // Marks are made under the write lock, so that none can come while this lock is held.
        let state = self.read();
        if watcher.is_closed() {
            return Err(WatchLost::Closed);
        }
        let current = state.index.revision();
        let Some(from) = resume.or_else(|| watcher.mark()) else {
            return Ok(Scan { revision: current, events: Vec::new(), resume: None });
        };
        let history = state.index.history();
        if from < history.floor() {
            return Err(WatchLost::Behind { oldest: state.index.oldest_watch() });
        }
        let mut scan = Scan { revision: current, events: Vec::new(), resume: None };
        let mut bytes = 0;
        let mut looked_at = None;
        for (count, event) in history.from(from).enumerate() {
            let full = scan.events.len() >= BATCH_EVENTS_MAX || bytes >= BATCH_BYTES_MAX || count >= SCAN_EVENTS_MAX;
            if full && looked_at.is_some_and(|revision| revision < event.revision()) {
                scan.revision = event.revision() - 1;
                scan.resume = Some(event.revision());
                return Ok(scan);
            }
            looked_at = Some(event.revision());
            if watcher.matches(event.key()) {
                bytes += event.bytes();
                scan.events.push(event.clone());
            }
        }
        watcher.clear();
        Ok(scan)
    }

    fn progress(&self, watcher: &Watcher) -> u64 {
        let state = self.read();
        watcher.mark().map_or(state.index.revision(), |mark| mark - 1)
    }

    fn forget(&self, watcher: &Arc<Watcher>) {
        self.watchers().forget(watcher);
    }
}

#[cfg(test)]
mod tests;
