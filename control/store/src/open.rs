//! Opening a data directory: everything that happens before openraft starts, with blocking file operations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::checkpoint::{CheckpointError, CheckpointFile, CheckpointSettings, CheckpointThread, Checkpointer};
use crate::config::StoreConfig;
use crate::failure::Failure;
use crate::identity;
use crate::index::{HistoryBounds, Index, SharedIndex};
use crate::log::{
    Log, LogGrowth, LogIdentity, LogSettings, LogSurroundings, OpenLogError, Recovered, discard_unused, is_present,
};
use crate::raft::{Applied, LogStore, Payload, decode_payload, to_position};
use crate::vfs::Vfs;

/// The first segment of a new log is no larger than this: it is written full before the store is open.
const FIRST_SEGMENT_BYTES: u64 = 1 << 20;

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

impl From<OpenLogError> for OpenStoreError {
    fn from(error: OpenLogError) -> Self {
        match error {
            OpenLogError::Io { action, path, source } => Self::Io { action, path, source },
            OpenLogError::Damaged { .. } => Self::Damaged { reason: error.to_string() },
        }
    }
}

impl From<CheckpointError> for OpenStoreError {
    fn from(error: CheckpointError) -> Self {
        match error {
            CheckpointError::Io { action, path, source } => Self::Io { action, path, source },
            CheckpointError::Database(_) | CheckpointError::Damaged(_) => Self::Damaged { reason: error.to_string() },
        }
    }
}

/// All parts that live on files, running.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) identity: LogIdentity,
    pub(crate) index: Arc<SharedIndex<Applied>>,
    pub(crate) log: Log<Payload>,
    pub(crate) log_store: LogStore,
    pub(crate) growth: Arc<LogGrowth>,
    pub(crate) checkpointer: Checkpointer<Applied>,
    pub(crate) checkpoint_thread: CheckpointThread<Applied>,
}

/// Opens the directory, or makes one. Blocks.
pub(crate) fn open(config: &StoreConfig, vfs: &Arc<dyn Vfs>, failure: &Failure) -> Result<Parts, OpenStoreError> {
    let directory = &config.directory;
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| OpenStoreError::Io { action, path, source }
    };
    vfs.create_dir_all(directory).map_err(failed("make", directory))?;
    let lock_path = directory.join("lock");
    let lock = vfs.lock(&lock_path).map_err(failed("lock", &lock_path))?;
    let lock = lock.ok_or_else(|| OpenStoreError::InUse { directory: directory.clone() })?;
    // After `kill -9` a name may be there and not be durable. Nothing may be built on it before it is.
    vfs.sync_dir(directory).map_err(failed("sync", directory))?;

    let known = identity::read(vfs.as_ref(), directory).map_err(failed("read `id.json` in", directory))?;
    let identity = known.unwrap_or_else(identity::draw);
    check_presence(vfs.as_ref(), directory, known.is_some())?;
    let checkpoint = CheckpointFile::open(vfs.as_ref(), directory, identity, config.checkpoint_cache_bytes)?;
    let (index, applied) = load(config, checkpoint.as_ref())?;
    let growth = Arc::new(LogGrowth::new(config.checkpoint_bytes));
    let surroundings = LogSurroundings {
        vfs: Arc::clone(vfs),
        growth: Arc::clone(&growth),
        failure: failure.clone(),
        lock: Some(Arc::clone(&lock)),
    };
    let (log, recovered) = open_log(config, identity, surroundings)?;
    if let Err(reason) = check_continuity(&recovered, &applied) {
        log.close();
        return Err(OpenStoreError::Damaged { reason });
    }
    if known.is_none() {
        identity::write(vfs.as_ref(), directory, identity).map_err(failed("write `id.json` in", directory))?;
    }
    let index = Arc::new(SharedIndex::new(index, applied));
    let settings = CheckpointSettings {
        vfs: Arc::clone(vfs),
        directory: directory.clone(),
        identity,
        cache_bytes: config.checkpoint_cache_bytes,
        history: history_bounds(config),
    };
    let (checkpointer, checkpoint_thread) =
        Checkpointer::start(settings, checkpoint, Arc::clone(&index), failure.clone(), lock)
            .map_err(failed("start the checkpoint thread for", directory))?;
    let log_store = LogStore::new(log.sender(), recovered);
    Ok(Parts { identity, index, log, log_store, growth, checkpointer, checkpoint_thread })
}

/// `id.json` is the last file that a first start writes. Before it there may be an unused log; after it there must be one.
fn check_presence(vfs: &dyn Vfs, directory: &Path, identity_known: bool) -> Result<(), OpenStoreError> {
    let log_directory = log_directory(directory);
    let log_present = is_present(vfs, &log_directory)?;
    if identity_known && !log_present {
        let reason = format!("there is no log in `{}`", log_directory.display());
        return Err(OpenStoreError::Damaged { reason });
    }
    if !identity_known && log_present {
        discard_unused(vfs, &log_directory)?;
    }
    Ok(())
}

pub(crate) fn log_directory(directory: &Path) -> PathBuf {
    directory.join("wal")
}

fn history_bounds(config: &StoreConfig) -> HistoryBounds {
    HistoryBounds { events_max: config.history_events_max, bytes_max: config.history_bytes_max }
}

fn load(
    config: &StoreConfig,
    checkpoint: Option<&CheckpointFile<Applied>>,
) -> Result<(Index, Applied), OpenStoreError> {
    let bounds = history_bounds(config);
    let Some(checkpoint) = checkpoint else { return Ok((Index::new(bounds), Applied::default())) };
    let image = checkpoint.image()?;
    let index = Index::load(bounds, image.numbers(), image.rows()?)?;
    Ok((index, image.applied().clone()))
}

fn open_log(
    config: &StoreConfig,
    identity: LogIdentity,
    surroundings: LogSurroundings,
) -> Result<(Log<Payload>, Recovered<Payload>), OpenStoreError> {
    let settings = LogSettings {
        identity,
        first_segment_bytes: config.segment_bytes.min(FIRST_SEGMENT_BYTES),
        segment_bytes: config.segment_bytes,
    };
    Ok(Log::open(surroundings, &log_directory(&config.directory), settings, decode_payload)?)
}

/// Between what the checkpoint holds and where the log begins nothing may be missing.
fn check_continuity(log: &Recovered<Payload>, applied: &Applied) -> Result<(), String> {
    let applied = applied.log_id.as_ref().map(to_position);
    let next = applied.map_or(0, |applied| applied.index + 1);
    let first = match (log.entries.front(), log.summary.purged) {
        (Some((first, _)), _) => first.index,
        (None, Some(purged)) => purged.index + 1,
        (None, None) => return Ok(()),
    };
    if first > next {
        return Err(format!("the log begins with entry {first}, but entry {next} is not in the checkpoint"));
    }
    Ok(())
}
