//! The store itself: what the rest of Coracle calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::config::StoreConfig;
use crate::index::{HistoryBounds, Index, SharedIndex, Snapshot, SnapshotAtError};
use crate::types::{Transaction, TransactionOutcome};
use crate::watch::{Watch, WatchError};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    /// Another process, or another store of this one, holds the directory.
    #[error("the data directory `{}` is in use by another process", .directory.display())]
    InUse { directory: PathBuf },
    /// The file system said no.
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// What is in the directory cannot be trusted; nothing was changed.
    #[error("the data directory is damaged: {reason}")]
    Damaged { reason: String },
    /// The parts started, and one failed.
    #[error("the store did not start: {reason}")]
    Start { reason: String },
}

/// Why a write has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The request is wrong in itself, and would be every time.
    #[error("the transaction is invalid: {reason}")]
    Invalid { reason: String },
    /// More bytes, conditions or operations than a transaction may have.
    #[error("the transaction is too large: {size} {unit}, and at most {max} are allowed")]
    TooLarge { size: usize, max: usize, unit: &'static str },
    /// The store cannot take writes at the moment (no leader). The write was not made.
    #[error("the store takes no writes at the moment: {reason}")]
    Unavailable { reason: String },
    /// The store was closed or has failed. Whether the write was made is not known.
    #[error(transparent)]
    Stopped(#[from] StoreFailure),
}

/// Why a linearizable read has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store cannot confirm that it is current (no leader).
    #[error("the store cannot serve consistent reads at the moment: {reason}")]
    Unavailable { reason: String },
    /// The store was closed or has failed.
    #[error(transparent)]
    Stopped(#[from] StoreFailure),
}

/// Why the store stopped for good. The process must report this and end: only a restart finds out what is on the disk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreFailure {
    #[error("the store is closed")]
    Closed,
    #[error("the store has failed and stopped: {reason}")]
    Failed { reason: String },
}

/// A handle on an open store; clones share it.
#[derive(Clone, Debug)]
pub struct Store {
    index: Arc<SharedIndex<()>>,
}

impl Store {
    /// Opens the store in `config.directory`, or makes a new one there. When this returns, everything that was ever
    /// acknowledged is applied and the store takes writes. Must be called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`OpenStoreError`]; nothing is left running.
    pub async fn open(config: StoreConfig) -> Result<Self, OpenStoreError> {
        let bounds = HistoryBounds { events_max: config.history_events_max, bytes_max: config.history_bytes_max };
        Ok(Self { index: Arc::new(SharedIndex::new(Index::new(bounds), ())) })
    }

    /// The applied revision. 1 when nothing was ever written.
    pub fn revision(&self) -> u64 {
        self.index.revision()
    }

    /// The applied state, as this process knows it. Costs no more than a lock.
    pub fn snapshot(&self) -> Snapshot {
        self.index.snapshot()
    }

    /// The state with every write that was acknowledged, anywhere, before this call.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when that cannot be guaranteed.
    pub async fn linearizable_snapshot(&self) -> Result<Snapshot, ReadError> {
        Ok(self.snapshot())
    }

    /// The state at an older revision. Cheap when few changes lie between, or when it was asked for before.
    ///
    /// # Errors
    ///
    /// [`SnapshotAtError`] when the revision is not known, no longer or not yet.
    pub fn snapshot_at(&self, revision: u64) -> Result<Snapshot, SnapshotAtError> {
        self.index.snapshot_at(revision)
    }

    /// Waits until `revision` is applied, at most for `timeout`; says whether it is.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it only waits.
    pub async fn wait_for_revision(&self, revision: u64, timeout: Duration) -> bool {
        let mut revisions = self.index.revisions();
        let reached = revisions.wait_for(|current| *current >= revision);
        matches!(tokio::time::timeout(timeout, reached).await, Ok(Ok(_)))
    }

    /// Compares and writes. When this returns, the outcome is durable and every read of this store shows it.
    ///
    /// # Errors
    ///
    /// [`WriteError`]. Only with [`WriteError::Stopped`] it is not known whether the write was made.
    ///
    /// # Cancel safety
    ///
    /// When the future is dropped the write may be made all the same.
    pub async fn transact(&self, transaction: Transaction) -> Result<TransactionOutcome, WriteError> {
        Ok(self.index.change(|state| state.index.apply(&transaction)))
    }

    /// Every event under `prefix` with a revision greater than `after_revision`, each once, in order.
    ///
    /// # Errors
    ///
    /// [`WatchError`] when the events from there on are not known, no longer or not yet.
    pub fn watch(&self, prefix: &[u8], after_revision: u64) -> Result<Watch, WatchError> {
        Watch::new(&self.index, prefix, after_revision)
    }

    /// Forgets what only serves reads before `revision` and watches of events before it. Old or repeated requests change
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`WriteError`], as for [`Self::transact`]; a revision that is still to come is invalid.
    pub async fn compact(&self, revision: u64) -> Result<(), WriteError> {
        self.index.change(|state| state.index.compact(revision));
        Ok(())
    }

    /// Waits until the store has failed or was closed, and says why. The process that owns the store watches this.
    pub async fn failed(&self) -> StoreFailure {
        std::future::pending().await
    }

    /// Writes a checkpoint, ends all tasks and threads and gives the directory free. Watches end, writes are refused. Further
    /// calls, on any clone, wait for the same end.
    pub async fn close(&self) {
        self.index.watchers().close();
    }
}
