//! Who watches what, and how a change finds them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::index::Index;

/// One watch as those see it who apply changes.
#[derive(Debug)]
pub(crate) struct Watcher {
    prefix: Bytes,
    /// The revision of the first event that the watch has not read; 0 for none. Changed only under the index's lock: set by
    /// appliers (write), cleared by the watch (read).
    mark: AtomicU64,
    closed: AtomicBool,
    notify: Notify,
}

impl Watcher {
    pub(crate) fn matches(&self, key: &[u8]) -> bool {
        key.starts_with(&self.prefix)
    }

    /// Where unread events begin.
    pub(crate) fn mark(&self) -> Option<u64> {
        Some(self.mark.load(Ordering::Acquire)).filter(|mark| *mark != 0)
    }

    /// All events were read.
    pub(crate) fn clear(&self) {
        self.mark.store(0, Ordering::Release);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Waits for a mark or the end. One waiter at a time; a wake-up that comes before the wait is not lost.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }

    fn set(&self, revision: u64) {
        if self.mark().is_none() {
            self.mark.store(revision, Ordering::Release);
            self.notify.notify_one();
        }
    }

    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

/// All watches of a store, by prefix.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    by_prefix: HashMap<Bytes, Vec<Arc<Watcher>>>,
    /// How many prefixes there are of each length: a key is looked up once for each.
    lengths: BTreeMap<usize, usize>,
    closed: bool,
}

impl Watchers {
    pub(crate) fn register(&self, prefix: &[u8]) -> Arc<Watcher> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let watcher = Arc::new(Watcher {
            prefix: Bytes::copy_from_slice(prefix),
            mark: AtomicU64::new(0),
            closed: AtomicBool::new(table.closed),
            notify: Notify::new(),
        });
        let table = &mut *table;
        let watchers = table.by_prefix.entry(watcher.prefix.clone()).or_insert_with(|| {
            *table.lengths.entry(prefix.len()).or_default() += 1;
            Vec::new()
        });
        watchers.push(Arc::clone(&watcher));
        watcher
    }

    pub(crate) fn forget(&self, watcher: &Arc<Watcher>) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(watchers) = table.by_prefix.get_mut(&watcher.prefix) else { return };
        watchers.retain(|other| !Arc::ptr_eq(other, watcher));
        if !watchers.is_empty() {
            return;
        }
        table.by_prefix.remove(&watcher.prefix);
        let length = watcher.prefix.len();
        if let Some(count) = table.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                table.lengths.remove(&length);
            }
        }
    }

    /// Makes every watch look again from `revision`.
    pub(crate) fn mark_all(&self, revision: u64) {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_prefix.values().flatten().for_each(|watcher| watcher.set(revision));
    }

    /// Ends every watch, and those that are still to come.
    pub(crate) fn close(&self) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.closed = true;
        table.by_prefix.values().flatten().for_each(|watcher| watcher.close());
    }
}

/// Marks and wakes the watches of every event from `revision` on.
pub(crate) fn mark_since(watchers: &Watchers, index: &Index, revision: u64) {
    if index.history().floor() > revision {
        // Some of the new events have left the history already: whom they concerned is not known any more.
        watchers.mark_all(revision);
        return;
    }
    let table = watchers.table.lock().unwrap_or_else(PoisonError::into_inner);
    if table.by_prefix.is_empty() {
        return;
    }
    for event in index.history().from(revision) {
        let key = event.key();
        for length in table.lengths.keys().take_while(|length| **length <= key.len()) {
            if let Some(watchers) = table.by_prefix.get(&key[..*length]) {
                watchers.iter().for_each(|watcher| watcher.set(event.revision()));
            }
        }
    }
}
