//! openraft's own tests of a log and a state machine, on ours; also with everything closed and opened again in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::{LogStore, StateMachine, Types};
use crate::checkpoint::CheckpointThread;
use crate::config::StoreConfig;
use crate::failure::Failure;
use crate::log::Log;
use crate::open::{Parts, open};
use crate::raft::{Applied, Payload};
use crate::vfs::RealVfs;

/// Makes a new store each time; `reopen` says whether it was closed once before it is handed over.
struct Builder {
    reopen: bool,
    built: AtomicU64,
}

/// Keeps a store's parts alive for as long as a test uses it.
struct Guard {
    _directory: TempDir,
    threads: Option<(Log<Payload>, CheckpointThread<Applied>)>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some((log, checkpoint_thread)) = self.threads.take() else { return };
        // The threads are ended from a thread that may block.
        let ending = std::thread::spawn(move || {
            log.close();
            checkpoint_thread.stop();
        });
        ending.join().expect("the threads end");
    }
}

fn open_parts(config: &StoreConfig) -> Parts {
    let (config, failure) = (config.clone(), Failure::default());
    let opening = std::thread::spawn(move || open(&config, &(Arc::new(RealVfs) as _), &failure));
    opening.join().expect("opening does not panic").expect("the store opens")
}

fn close_parts(parts: Parts) {
    let ending = std::thread::spawn(move || {
        parts.log.close();
        parts.checkpoint_thread.stop();
    });
    ending.join().expect("the threads end");
}

impl StoreBuilder<Types, LogStore, StateMachine, Guard> for Builder {
    async fn build(&self) -> Result<(Guard, LogStore, StateMachine), StorageError<Types>> {
        self.built.fetch_add(1, Ordering::Relaxed);
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = StoreConfig { segment_bytes: 4096, ..StoreConfig::new(directory.path()) };
        if self.reopen {
            close_parts(open_parts(&config));
        }
        let parts = open_parts(&config);
        let state_machine = StateMachine::new(parts.index, parts.checkpointer, usize::MAX);
        let guard = Guard { _directory: directory, threads: Some((parts.log, parts.checkpoint_thread)) };
        Ok((guard, parts.log_store, state_machine))
    }
}

#[tokio::test]
async fn openrafts_suite_passes_on_a_new_store() {
    Suite::test_all(Builder { reopen: false, built: AtomicU64::new(0) }).await.expect("the suite passes");
}

#[tokio::test]
async fn openrafts_suite_passes_on_a_store_that_was_closed_and_opened() {
    Suite::test_all(Builder { reopen: true, built: AtomicU64::new(0) }).await.expect("the suite passes");
}
