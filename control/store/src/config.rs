//! Settings of a store, with all defaults in one place.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of one [`Store`](crate::Store). [`StoreConfig::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The data directory; made when absent. One process at a time may hold it.
    pub directory: PathBuf,
    /// A checkpoint is written when this much time has passed since a change that is in no checkpoint. Bounds what has to be
    /// replayed at start, together with `checkpoint_bytes`.
    pub checkpoint_interval: Duration,
    /// A checkpoint is written when the log has grown by this many bytes since the last one.
    pub checkpoint_bytes: u64,
    /// How many events are kept for watchers that resume and for reads at an old revision.
    pub history_events_max: usize,
    /// How many bytes those events, their keys and their new values may take. What they keep in memory of older values comes on top: at
    /// most one value for each key.
    pub history_bytes_max: usize,
    /// The size of a log segment file, which is written full of zeros before it is used. The first segment of a start is
    /// smaller, so that an empty store opens at once.
    pub segment_bytes: u64,
    /// The most bytes of keys and values in one transaction.
    pub transaction_bytes_max: usize,
    /// The most conditions and operations, each, in one transaction.
    pub transaction_operations_max: usize,
    /// Memory that redb may use for pages of the checkpoint file.
    pub checkpoint_cache_bytes: usize,
}

impl StoreConfig {
    /// The defaults for a store in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            checkpoint_interval: Duration::from_secs(30),
            checkpoint_bytes: 16 << 20,
            history_events_max: 50_000,
            history_bytes_max: 16 << 20,
            segment_bytes: 16 << 20,
            transaction_bytes_max: 8 << 20,
            transaction_operations_max: 1024,
            checkpoint_cache_bytes: 4 << 20,
        }
    }
}
