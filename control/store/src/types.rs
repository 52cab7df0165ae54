//! What callers hand in and get back.

use bytes::Bytes;

/// A key: any bytes but none at all. Keys are ordered bytewise.
pub type Key = Bytes;

/// One key's current state. Cloning copies two reference counts, not the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key,
    pub value: Bytes,
    /// The revision at which the key came into being (after its last deletion).
    pub create_revision: u64,
    /// The revision of the last write to the key.
    pub mod_revision: u64,
    /// How often the key was written since it came into being; 1 after the first write.
    pub version: u64,
}

/// Something that must hold for a [`Transaction`] to be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// The key's `mod_revision` must be `revision`; 0 means that the key must be absent.
    ModRevision { key: Key, revision: u64 },
}

/// One change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    Put {
        key: Key,
        value: Bytes,
    },
    /// Deleting an absent key changes nothing.
    Delete {
        key: Key,
    },
}

impl Operation {
    /// The key that this operation changes.
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

/// Changes that are made together, in one revision, when all conditions hold, and not at all otherwise.
///
/// A key may be named by at most one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    pub conditions: Vec<Condition>,
    pub operations: Vec<Operation>,
}

/// What became of a [`Transaction`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// All conditions held. `revision` is the one in which the changes were made, or the current one when there was nothing
    /// to change (no operations, or only deletions of absent keys).
    Applied { revision: u64 },
    /// A condition did not hold, and nothing was changed. `current` has the state of each condition's key, in the order of
    /// the conditions, at `revision`.
    Conflict { revision: u64, current: Vec<Option<Entry>> },
}
