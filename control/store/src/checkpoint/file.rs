//! The checkpoint file.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::backend::VfsBackend;
use crate::codec::{DecodeError, Put, Reader};
use crate::index::{Delta, IndexNumbers, Row, RowState};
use crate::log::LogIdentity;
use crate::vfs::Vfs;

/// Revision (big-endian, so that rows are in the order of revisions) and key -> what the key became.
const ROWS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("rows");

/// One row: everything but the rows, as JSON.
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const META_KEY: &str = "checkpoint";

const FORMAT: u32 = 1;

/// Why the checkpoint file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error("cannot {action} `{}`", .path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the database refused: {0}")]
    Database(#[from] redb::Error),
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
}

impl From<CheckpointError> for io::Error {
    fn from(error: CheckpointError) -> Self {
        let mut reason = error.to_string();
        if let Some(source) = std::error::Error::source(&error) {
            reason = format!("{reason}: {source}");
        }
        Self::other(reason)
    }
}

impl From<DecodeError> for CheckpointError {
    fn from(error: DecodeError) -> Self {
        Self::Damaged(format!("a row {error}"))
    }
}

/// All of a checkpoint but its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Meta<P> {
    format: u32,
    cluster: String,
    node: u64,
    revision: u64,
    compacted_revision: u64,
    history_floor: u64,
    /// How many rows there are.
    rows: u64,
    applied: P,
}

impl<P> Meta<P> {
    fn numbers(&self) -> IndexNumbers {
        IndexNumbers {
            revision: self.revision,
            compacted_revision: self.compacted_revision,
            history_floor: self.history_floor,
        }
    }
}

/// The file, open.
#[derive(Debug)]
pub(crate) struct CheckpointFile<P> {
    database: Arc<Database>,
    identity: LogIdentity,
    meta: Meta<P>,
}

/// The file as it was at one moment. Holding one keeps the file from reusing the space of what it shows.
pub(crate) struct CheckpointImage<P> {
    transaction: ReadTransaction,
    meta: Meta<P>,
}

impl<P: std::fmt::Debug> std::fmt::Debug for CheckpointImage<P> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("CheckpointImage").field("meta", &self.meta).finish_non_exhaustive()
    }
}

impl<P: DeserializeOwned> CheckpointImage<P> {
    /// Whatever was committed last. Description and rows come from one read transaction.
    pub(crate) fn latest(database: &Database) -> Result<Self, CheckpointError> {
        let transaction = database.begin_read().map_err(redb::Error::from)?;
        let meta = read_meta(&transaction)?;
        Ok(Self { transaction, meta })
    }
}

impl<P> CheckpointImage<P> {
    pub(crate) fn applied(&self) -> &P {
        &self.meta.applied
    }

    pub(crate) fn numbers(&self) -> IndexNumbers {
        self.meta.numbers()
    }

    /// All rows in the order of their revisions. Damage, and missing rows, come as an error: redb itself trusts the disk.
    pub(crate) fn rows(&self) -> Result<impl Iterator<Item = Result<Row, CheckpointError>>, CheckpointError> {
        let table = self.transaction.open_table(ROWS).map_err(redb::Error::from)?;
        let mut rows = table.range::<&[u8]>(..).map_err(redb::Error::from)?;
        let mut missing = Some(self.meta.rows);
        Ok(std::iter::from_fn(move || match rows.next() {
            Some(row) => {
                missing = missing.and_then(|missing| missing.checked_sub(1));
                Some(read_row(row))
            }
            None => match missing.replace(0) {
                Some(0) => None,
                _ => Some(Err(CheckpointError::Damaged("it has not as many rows as it says".to_owned()))),
            },
        }))
    }
}

/// A row as redb's iterator yields it.
type RawRow<'a> = (redb::AccessGuard<'a, &'static [u8]>, redb::AccessGuard<'a, &'static [u8]>);

fn read_row(row: Result<RawRow<'_>, redb::StorageError>) -> Result<Row, CheckpointError> {
    let (key, state) = row.map_err(redb::Error::from)?;
    Ok(decode_row(key.value(), state.value())?)
}

fn path(directory: &Path) -> PathBuf {
    directory.join("state.redb")
}

fn temporary_path(directory: &Path) -> PathBuf {
    directory.join("state.redb.tmp")
}

impl<P: Clone + Serialize + DeserializeOwned> CheckpointFile<P> {
    /// Opens the file in `directory`; none when no checkpoint was ever finished there.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`], also when the file belongs to another store.
    pub(crate) fn open(
        vfs: &dyn Vfs,
        directory: &Path,
        identity: LogIdentity,
        cache_bytes: usize,
    ) -> Result<Option<Self>, CheckpointError> {
        let failed = |action, path: PathBuf| move |source| CheckpointError::Io { action, path, source };
        let leftover = temporary_path(directory);
        match vfs.remove(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed("remove", leftover)(error)),
            _ => {}
        }
        let path = path(directory);
        let file = match vfs.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            result => result.map_err(failed("open", path.clone()))?,
        };
        if file.len().map_err(failed("read", path))? == 0 {
            return Err(CheckpointError::Damaged("it is empty".to_owned()));
        }
        let database = database(VfsBackend(file), cache_bytes)?;
        let meta = read_meta(&database.begin_read().map_err(redb::Error::from)?)?;
        if meta.format != FORMAT {
            return Err(CheckpointError::Damaged(format!("it has format {}, and {FORMAT} is known", meta.format)));
        }
        if meta.cluster != cluster_name(identity) || meta.node != identity.node {
            return Err(CheckpointError::Damaged("it belongs to another store".to_owned()));
        }
        Ok(Some(Self { database: Arc::new(database), identity, meta }))
    }

    /// Makes the file with a first checkpoint in it. It comes under its name only when that is durable.
    pub(crate) fn create(
        vfs: &dyn Vfs,
        directory: &Path,
        identity: LogIdentity,
        cache_bytes: usize,
        checkpoint: NewCheckpoint<'_, P>,
    ) -> Result<Self, CheckpointError> {
        let (temporary, path) = (temporary_path(directory), path(directory));
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { action, path, source }
        };
        let file = vfs.create(&temporary).map_err(failed("make", &temporary))?;
        let database = database(VfsBackend(file), cache_bytes)?;
        let mut meta = meta(identity, checkpoint.numbers, checkpoint.applied);
        write(&database, &mut meta, |transaction| put_rows(transaction, checkpoint.delta, 0, 0))?;
        vfs.rename(&temporary, &path).map_err(failed("rename", &temporary))?;
        vfs.sync_dir(directory).map_err(failed("sync", directory))?;
        Ok(Self { database: Arc::new(database), identity, meta })
    }

    /// Adds a checkpoint.
    pub(crate) fn write(&mut self, checkpoint: NewCheckpoint<'_, P>) -> Result<(), CheckpointError> {
        let mut meta = meta(self.identity, checkpoint.numbers, checkpoint.applied);
        let Meta { revision, rows, .. } = self.meta;
        write(&self.database, &mut meta, |transaction| put_rows(transaction, checkpoint.delta, revision, rows))?;
        self.meta = meta;
        Ok(())
    }

    /// Puts another store's state in place of this one's.
    pub(crate) fn replace(&mut self, image: &CheckpointImage<P>) -> Result<(), CheckpointError> {
        let mut meta = meta(self.identity, image.numbers(), image.applied().clone());
        write(&self.database, &mut meta, |transaction| {
            let mut table = transaction.open_table(ROWS).map_err(redb::Error::from)?;
            table.retain(|_, _| false).map_err(redb::Error::from)?;
            let mut count = 0;
            for row in image.rows()? {
                insert(&mut table, &row?)?;
                count += 1;
            }
            Ok(count)
        })?;
        self.meta = meta;
        Ok(())
    }

    /// For looking at the latest checkpoint while the next one is written.
    pub(crate) fn database(&self) -> Arc<Database> {
        Arc::clone(&self.database)
    }

    /// The latest checkpoint.
    pub(crate) fn image(&self) -> Result<CheckpointImage<P>, CheckpointError> {
        CheckpointImage::latest(&self.database)
    }

    /// Whether a checkpoint would say what the latest one says.
    pub(crate) fn is_current(&self, numbers: IndexNumbers, applied: &P) -> bool
    where
        P: PartialEq,
    {
        self.meta.numbers() == numbers && self.meta.applied == *applied
    }
}

/// What a checkpoint consists of.
#[derive(Debug)]
pub(crate) struct NewCheckpoint<'a, P> {
    pub(crate) numbers: IndexNumbers,
    pub(crate) applied: P,
    pub(crate) delta: &'a Delta,
}

fn database(backend: VfsBackend, cache_bytes: usize) -> Result<Database, CheckpointError> {
    let database = Database::builder().set_cache_size(cache_bytes).create_with_backend(backend);
    Ok(database.map_err(redb::Error::from)?)
}

fn cluster_name(identity: LogIdentity) -> String {
    format!("{:032x}", identity.cluster)
}

fn meta<P>(identity: LogIdentity, numbers: IndexNumbers, applied: P) -> Meta<P> {
    Meta {
        format: FORMAT,
        cluster: cluster_name(identity),
        node: identity.node,
        revision: numbers.revision,
        compacted_revision: numbers.compacted_revision,
        history_floor: numbers.history_floor,
        rows: 0,
        applied,
    }
}

fn read_meta<P: DeserializeOwned>(transaction: &ReadTransaction) -> Result<Meta<P>, CheckpointError> {
    let table = transaction.open_table(META).map_err(redb::Error::from)?;
    let json = table.get(META_KEY).map_err(redb::Error::from)?;
    let json = json.ok_or_else(|| CheckpointError::Damaged("it has no description".to_owned()))?;
    serde_json::from_slice(json.value())
        .map_err(|error| CheckpointError::Damaged(format!("its description cannot be read: {error}")))
}

/// One transaction with the rows that `rows` writes (and then counts), and the description that fits them.
fn write<P: Serialize>(
    database: &Database,
    meta: &mut Meta<P>,
    rows: impl FnOnce(&WriteTransaction) -> Result<u64, CheckpointError>,
) -> Result<(), CheckpointError> {
    let mut transaction = database.begin_write().map_err(redb::Error::from)?;
    transaction.set_durability(Durability::Immediate).map_err(redb::Error::from)?;
    transaction.set_two_phase_commit(true);
    transaction.set_quick_repair(true);
    meta.rows = rows(&transaction)?;
    let json = serde_json::to_vec(meta).map_err(|error| CheckpointError::Damaged(error.to_string()))?;
    {
        let mut table = transaction.open_table(META).map_err(redb::Error::from)?;
        table.insert(META_KEY, json.as_slice()).map_err(redb::Error::from)?;
    }
    transaction.commit().map_err(redb::Error::from)?;
    Ok(())
}

/// Rows that came and went between two checkpoints never reach the file. Returns how many there are now, when there were
/// `count` in the last checkpoint, which was taken at `last_revision`.
fn put_rows(
    transaction: &WriteTransaction,
    delta: &Delta,
    last_revision: u64,
    mut count: u64,
) -> Result<u64, CheckpointError> {
    let mut table = transaction.open_table(ROWS).map_err(redb::Error::from)?;
    let garbage: HashSet<(u64, &[u8])> =
        delta.garbage.iter().map(|(revision, key)| (*revision, key.as_ref())).collect();
    for row in delta.rows.iter().filter(|row| !garbage.contains(&(row.revision, row.key.as_ref()))) {
        insert(&mut table, row)?;
        count += 1;
    }
    for (revision, key) in garbage.into_iter().filter(|(revision, _)| *revision <= last_revision) {
        let removed = table.remove(row_key(revision, key).as_slice()).map_err(redb::Error::from)?;
        if removed.is_none() || count == 0 {
            return Err(CheckpointError::Damaged(format!("a row of revision {revision} is missing")));
        }
        count -= 1;
    }
    Ok(count)
}

fn insert(table: &mut redb::Table<'_, &'static [u8], &'static [u8]>, row: &Row) -> Result<(), CheckpointError> {
    let (key, state) = encode_row(row);
    table.insert(key.as_slice(), state.as_slice()).map_err(redb::Error::from)?;
    Ok(())
}

fn row_key(revision: u64, key: &[u8]) -> Vec<u8> {
    [&revision.to_be_bytes(), key].concat()
}

/// A checksum of key and state, and the state: nothing for a deletion.
fn encode_row(row: &Row) -> (Vec<u8>, Vec<u8>) {
    let key = row_key(row.revision, &row.key);
    let mut out = vec![0; 4];
    if let RowState::Present { value, create_revision, version } = &row.state {
        out.put_u64(*create_revision);
        out.put_u64(*version);
        out.extend_from_slice(value);
    }
    let crc = row_crc(&key, &out[4..]);
    out[..4].copy_from_slice(&crc.to_le_bytes());
    (key, out)
}

fn row_crc(key: &[u8], state: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), state)
}

fn decode_row(key: &[u8], state: &[u8]) -> Result<Row, DecodeError> {
    let mut reader = Reader::new(state);
    let crc = reader.u32()?;
    if crc != row_crc(key, &state[4..]) {
        return Err(DecodeError("has a wrong checksum"));
    }
    let (revision, key) = key.split_first_chunk::<8>().ok_or(DecodeError("ends too early"))?;
    let (revision, key) = (u64::from_be_bytes(*revision), Bytes::copy_from_slice(key));
    if reader.is_empty() {
        return Ok(Row { revision, key, state: RowState::Deleted });
    }
    let (create_revision, version) = (reader.u64()?, reader.u64()?);
    let value = Bytes::copy_from_slice(reader.rest());
    Ok(Row { revision, key, state: RowState::Present { value, create_revision, version } })
}
