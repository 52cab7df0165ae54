//! The store of Coracle's control plane: revisioned keys and bytes, with transactions, snapshots, watches and compaction.
//!
//! # Bird's-eye view
//!
//! A [`Store`] is a map from keys to values in which every change gets the next *revision*, a `u64` shared by all keys. A
//! [`Transaction`] compares the revisions of some keys and, when they all agree, writes and deletes some keys, all in one
//! revision. A [`Snapshot`] is the whole map at one revision and costs nothing to take. A [`Watch`] delivers every change
//! under a prefix, once and in order. The store knows no kinds: what a key or a value means is the API server's affair.
//!
//! A write travels like this: [`Store::transact`] -> openraft -> the log (one writer thread, one `fdatasync` for all who
//! wait) -> committed -> applied to the index in memory -> acknowledged; watchers are woken by the same apply. Reads and
//! watches never touch the disk. Beside that path a checkpoint thread writes what changed to a redb file from time to time,
//! and then the log before it can go.
//!
//! # Invariants
//!
//! * **The log is the only durability.** A write is acknowledged after its record was synced, and never when that failed: a
//!   failed write or sync stops the store for good ([`Store::failed`]), because after a failed `fsync` nobody knows what the
//!   disk holds.
//! * **Applied index and revision are one.** The index moves only by applying the committed log, in order. The checkpoint
//!   holds rows, revision, applied log id, membership and compacted revision of one moment, in one redb transaction.
//! * **A torn tail is not corruption, and corruption is not a torn tail.** The last write of a killed process may be cut off:
//!   nobody was told it was there. Damage before something valid is refused at start.
//! * **Nothing is dropped silently.** A watcher that is too slow is told that it lost the thread ([`WatchLost`]); it never
//!   misses an event without knowing.
//! * **Identity is written once.** The data directory has a cluster id and a node id drawn at random; a directory whose parts
//!   do not belong together is refused. A node id is never used for a second, empty log.
//!
//! # Alternatives refused
//!
//! * *The log inside redb*: measured 2 to 4 times the latency and up to 28 times the bytes of a preallocated file.
//! * *redb as the serving copy*: each durable commit stops the appliers for 60 to 800 ms under load; so memory serves, and
//!   redb is written beside it.
//! * *A queue per watcher*: one bounded history of recent changes is everybody's queue; a watcher is a position in it. Ten
//!   thousand idle watchers cost nothing, and there is one bound to reason about.
//! * *Retrying after a write error*: a page that failed to sync may be marked clean; the second sync would lie.

mod checkpoint;
mod codec;
mod config;
mod failure;
mod identity;
mod index;
mod log;
mod open;
mod raft;
mod store;
mod types;
mod vfs;

#[cfg(test)]
mod crash_tests;
mod watch;

pub use config::StoreConfig;
pub use failure::StoreFailure;
pub use index::{Snapshot, SnapshotAtError};
pub use open::OpenStoreError;
pub use store::{ReadError, Store, WriteError};
pub use types::{Condition, Entry, Key, Operation, Transaction, TransactionOutcome};
pub use watch::{Watch, WatchBatch, WatchError, WatchEvent, WatchLost};
