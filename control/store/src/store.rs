//! The store itself: what the rest of Coracle calls.

mod start;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::errors::{ClientWriteError, LinearizableReadError, RaftError};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::checkpoint::{CheckpointThread, Checkpointer};
use crate::config::StoreConfig;
use crate::failure::{Failure, StoreFailure};
use crate::index::{SharedIndex, Snapshot, SnapshotAtError};
use crate::log::Log;
use crate::open::{OpenStoreError, open};
use crate::raft::{Applied, Command, CommandOutcome, Payload, Raft, StateMachine, Types, operation_bytes};
use crate::types::{Condition, Operation, Transaction, TransactionOutcome};
use crate::vfs::{RealVfs, Vfs};
use crate::watch::{Watch, WatchError};

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

/// A handle on an open store; clones share it. [`Store::close`] ends it; a store that is merely dropped loses nothing, but its
/// threads end only some time later.
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    config: StoreConfig,
    index: Arc<SharedIndex<Applied>>,
    raft: Raft,
    failure: Failure,
    /// What must be ended; taken by whoever closes first.
    running: Mutex<Option<Running>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Store").field("directory", &self.config.directory).finish_non_exhaustive()
    }
}

struct Running {
    log: Log<Payload>,
    checkpointer: Checkpointer<Applied>,
    checkpoint_thread: CheckpointThread<Applied>,
    tasks: JoinSet<()>,
}

impl Store {
    /// Opens the store in `config.directory`, or makes a new one there. When this returns, everything that was ever
    /// acknowledged is applied and the store takes writes. Must be called within a tokio runtime with time enabled.
    ///
    /// # Errors
    ///
    /// [`OpenStoreError`]; nothing is left running.
    pub async fn open(config: StoreConfig) -> Result<Self, OpenStoreError> {
        Self::open_on(config, Arc::new(RealVfs)).await
    }

    /// As [`Self::open`], on another file system.
    pub(crate) async fn open_on(config: StoreConfig, vfs: Arc<dyn Vfs>) -> Result<Self, OpenStoreError> {
        let failure = Failure::default();
        let opening = {
            let (config, failure) = (config.clone(), failure.clone());
            tokio::task::spawn_blocking(move || open(&config, &vfs, &failure))
        };
        let parts = opening.await.map_err(|error| OpenStoreError::Start { reason: error.to_string() })??;
        let delta_bytes_max = usize::try_from(config.checkpoint_bytes).unwrap_or(usize::MAX).saturating_mul(4);
        let state_machine = StateMachine::new(Arc::clone(&parts.index), parts.checkpointer.clone(), delta_bytes_max);
        let raft = match start::start(parts.identity.node, parts.log_store, state_machine).await {
            Ok(raft) => raft,
            Err(reason) => {
                stop_threads(parts.log, parts.checkpoint_thread).await;
                return Err(OpenStoreError::Start { reason });
            }
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(start::checkpoint_when_due(
            raft.clone(),
            Arc::clone(&parts.index),
            parts.checkpointer.written(),
            Arc::clone(&parts.growth),
            config.checkpoint_interval,
        ));
        let running = Running {
            log: parts.log,
            checkpointer: parts.checkpointer,
            checkpoint_thread: parts.checkpoint_thread,
            tasks,
        };
        let (index, running) = (parts.index, Mutex::new(Some(running)));
        Ok(Self { inner: Arc::new(Inner { config, index, raft, failure, running }) })
    }

    /// The applied revision. 1 when nothing was ever written.
    pub fn revision(&self) -> u64 {
        self.inner.index.revision()
    }

    /// The applied state, as this process knows it. Costs no more than a lock.
    pub fn snapshot(&self) -> Snapshot {
        self.inner.index.snapshot()
    }

    /// The state with every write that was acknowledged, anywhere, before this call.
    ///
    /// # Errors
    ///
    /// [`ReadError`] when that cannot be guaranteed.
    pub async fn linearizable_snapshot(&self) -> Result<Snapshot, ReadError> {
        self.check_running()?;
        self.inner.raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| self.read_error(&error))?;
        Ok(self.snapshot())
    }

    /// The state at an older revision. Cheap when few changes lie between, or when it was asked for before.
    ///
    /// # Errors
    ///
    /// [`SnapshotAtError`] when the revision is not known, no longer or not yet.
    pub fn snapshot_at(&self, revision: u64) -> Result<Snapshot, SnapshotAtError> {
        self.inner.index.snapshot_at(revision)
    }

    /// Waits until `revision` is applied, at most for `timeout`; says whether it is.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it only waits.
    pub async fn wait_for_revision(&self, revision: u64, timeout: Duration) -> bool {
        let mut revisions = self.inner.index.revisions();
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
        self.check_transaction(&transaction)?;
        match self.propose(Command::Transact(Arc::new(transaction))).await? {
            CommandOutcome::Transaction(outcome) => Ok(outcome),
            CommandOutcome::Done => Err(unexpected("a transaction was answered like something else")),
        }
    }

    /// Every event under `prefix` with a revision greater than `after_revision`, each once, in order.
    ///
    /// # Errors
    ///
    /// [`WatchError`] when the events from there on are not known, no longer or not yet.
    pub fn watch(&self, prefix: &[u8], after_revision: u64) -> Result<Watch, WatchError> {
        Watch::new(&self.inner.index, prefix, after_revision)
    }

    /// Forgets what only serves reads before `revision` and watches of events before it. Old or repeated requests change
    /// nothing.
    ///
    /// # Errors
    ///
    /// [`WriteError`], as for [`Self::transact`]; a revision that is still to come is invalid.
    pub async fn compact(&self, revision: u64) -> Result<(), WriteError> {
        let current = self.revision();
        if revision > current {
            let reason = format!("revision {revision} is still to come, the current one is {current}");
            return Err(WriteError::Invalid { reason });
        }
        self.propose(Command::Compact { revision }).await?;
        Ok(())
    }

    /// Waits until the store has failed or was closed, and says why. The process that owns the store watches this.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: it only waits.
    pub async fn failed(&self) -> StoreFailure {
        self.inner.failure.wait().await
    }

    /// Writes a checkpoint, ends all tasks and threads and gives the directory free. Watches end, writes are refused. Further
    /// calls, on any clone, wait for the same end.
    pub async fn close(&self) {
        let mut running = self.inner.running.lock().await;
        let Some(mut parts) = running.take() else { return };
        let failed = self.inner.failure.get().is_some();
        self.inner.failure.close();
        self.inner.index.watchers().close();
        parts.tasks.shutdown().await;
        if !failed && let Err(error) = parts.checkpointer.write().await {
            tracing::warn!(%error, "no checkpoint at the end; the next start replays the log");
        }
        if let Err(error) = self.inner.raft.shutdown().await {
            tracing::warn!(%error, "openraft did not end as it should");
        }
        drop(parts.checkpointer);
        stop_threads(parts.log, parts.checkpoint_thread).await;
    }

    #[cfg(test)]
    pub(crate) fn inner_failure(&self) -> Option<StoreFailure> {
        self.inner.failure.get()
    }

    async fn propose(&self, command: Command) -> Result<CommandOutcome, WriteError> {
        self.check_running()?;
        match self.inner.raft.client_write(command).await {
            Ok(response) => Ok(response.data),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward))) => {
                Err(WriteError::Unavailable { reason: forward.to_string() })
            }
            Err(error) => Err(WriteError::Stopped(self.stopped(&error))),
        }
    }

    fn check_running(&self) -> Result<(), StoreFailure> {
        self.inner.failure.get().map_or(Ok(()), Err)
    }

    /// openraft has stopped: with the reason of whoever failed first, or with its own.
    fn stopped(&self, error: &dyn std::fmt::Display) -> StoreFailure {
        self.inner.failure.fail(&format!("the consensus core stopped: {error}"));
        self.inner.failure.get().unwrap_or(StoreFailure::Closed)
    }

    fn read_error(&self, error: &RaftError<Types, LinearizableReadError<Types>>) -> ReadError {
        match error {
            RaftError::APIError(error) => ReadError::Unavailable { reason: error.to_string() },
            RaftError::Fatal(error) => ReadError::Stopped(self.stopped(error)),
        }
    }

    fn check_transaction(&self, transaction: &Transaction) -> Result<(), WriteError> {
        let Transaction { conditions, operations } = transaction;
        let max = self.inner.config.transaction_operations_max;
        for (size, unit) in [(conditions.len(), "conditions"), (operations.len(), "operations")] {
            if size > max {
                return Err(WriteError::TooLarge { size, max, unit });
            }
        }
        let condition_keys = conditions.iter().map(|Condition::ModRevision { key, .. }| key);
        let size = condition_keys.clone().map(Bytes::len).sum::<usize>()
            + operations.iter().map(operation_bytes).sum::<usize>();
        let max = self.inner.config.transaction_bytes_max;
        if size > max {
            return Err(WriteError::TooLarge { size, max, unit: "bytes" });
        }
        let mut keys = HashSet::new();
        if condition_keys.chain(operations.iter().map(Operation::key)).any(Bytes::is_empty) {
            return Err(WriteError::Invalid { reason: "a key may not be empty".to_owned() });
        }
        if let Some(operation) = operations.iter().find(|operation| !keys.insert(operation.key())) {
            let reason = format!("two operations on the key `{}`", operation.key().escape_ascii());
            return Err(WriteError::Invalid { reason });
        }
        Ok(())
    }
}

impl Drop for Inner {
    /// Watches hold the index and would wait for ever.
    fn drop(&mut self) {
        self.failure.close();
        self.index.watchers().close();
    }
}

async fn stop_threads(log: Log<Payload>, checkpoint_thread: CheckpointThread<Applied>) {
    let stopping = tokio::task::spawn_blocking(move || {
        log.close();
        checkpoint_thread.stop();
    });
    if let Err(error) = stopping.await {
        tracing::error!(%error, "ending the store's threads failed");
    }
}

fn unexpected(reason: &str) -> WriteError {
    WriteError::Stopped(StoreFailure::Failed { reason: reason.to_owned() })
}
