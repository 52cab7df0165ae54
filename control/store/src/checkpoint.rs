//! Checkpoints: the index on disk as it was at one moment, so that the log before it can go.
//!
//! A checkpoint is a delta. It adds the rows that changed since the last one and removes those that nothing refers to any more,
//! in one redb transaction together with the revision, the applied log id, the membership, the compacted revision and the
//! history's floor: all of one moment, taken under the index's lock. Nothing on the serving path waits for it, except when
//! changes pile up faster than they can be written.
//!
//! Rows are ordered by revision, and reading them in that order rebuilds both the entries and the history: a row is kept as
//! long as it is the current state of its key, or the previous state of an event in the history, or the mark of a deletion in
//! the history. So every value is written once.
//!
//! Every commit is two-phase and saves redb's allocator state, from the first one on: mixing in one-phase commits opens a
//! window for losing one in a double crash, and without the saved state opening after a crash walks the whole file.

mod backend;
mod file;
mod thread;

pub(crate) use file::{CheckpointError, CheckpointFile, CheckpointImage};
pub(crate) use thread::{CheckpointSettings, CheckpointThread, Checkpointer};

#[cfg(test)]
mod tests;
