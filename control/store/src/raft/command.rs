//! What the replicated log says to the state machine, and its bytes.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use openraft::{EntryPayload, Membership};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Payload;
use crate::codec::{DecodeError, Put, Reader};
use crate::log::EncodePayload;
use crate::types::{Condition, Entry, Operation, Transaction, TransactionOutcome};

/// A replicated command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Shared, because the log, its writer and the state machine all hold it for a while.
    Transact(Arc<Transaction>),
    Compact {
        revision: u64,
    },
}

/// What the state machine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CommandOutcome {
    /// To what is no transaction.
    Done,
    Transaction(TransactionOutcome),
}

impl fmt::Display for Command {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transact(transaction) => write!(formatter, "transaction of {}", transaction.operations.len()),
            Self::Compact { revision } => write!(formatter, "compaction at {revision}"),
        }
    }
}

mod kind {
    pub(super) const BLANK: u8 = 0;
    pub(super) const TRANSACT: u8 = 1;
    pub(super) const COMPACT: u8 = 2;
    pub(super) const MEMBERSHIP: u8 = 3;

    pub(super) const PUT: u8 = 1;
    pub(super) const DELETE: u8 = 2;

    pub(super) const MOD_REVISION: u8 = 1;

    pub(super) const DONE: u8 = 0;
    pub(super) const APPLIED: u8 = 1;
    pub(super) const CONFLICT: u8 = 2;
}

impl EncodePayload for Payload {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            EntryPayload::Blank => out.put_u8(kind::BLANK),
            EntryPayload::Normal(command) => command.encode(out),
            EntryPayload::Membership(membership) => {
                out.put_u8(kind::MEMBERSHIP);
                // Maps with integer keys, sets and strings: nothing in there fails to serialize into memory.
                out.extend_from_slice(&serde_json::to_vec(membership).unwrap_or_default());
            }
        }
    }
}

/// The reverse of [`EncodePayload::encode`].
pub(crate) fn decode_payload(bytes: &[u8]) -> Result<Payload, DecodeError> {
    match bytes.split_first() {
        Some((&kind::BLANK, [])) => Ok(EntryPayload::Blank),
        Some((&kind::MEMBERSHIP, json)) => {
            let membership: Membership<_, _> =
                serde_json::from_slice(json).map_err(|_| DecodeError("is not a membership"))?;
            Ok(EntryPayload::Membership(membership))
        }
        _ => Command::decode(bytes).map(EntryPayload::Normal),
    }
}

impl Command {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Transact(transaction) => {
                out.put_u8(kind::TRANSACT);
                put_count(out, transaction.conditions.len());
                for Condition::ModRevision { key, revision } in &transaction.conditions {
                    out.put_u8(kind::MOD_REVISION);
                    out.put_bytes(key);
                    out.put_u64(*revision);
                }
                put_count(out, transaction.operations.len());
                for operation in &transaction.operations {
                    put_operation(out, operation);
                }
            }
            Self::Compact { revision } => {
                out.put_u8(kind::COMPACT);
                out.put_u64(*revision);
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let command = match reader.u8()? {
            kind::TRANSACT => {
                let conditions = list(&mut reader, condition)?;
                let operations = list(&mut reader, operation)?;
                Self::Transact(Arc::new(Transaction { conditions, operations }))
            }
            kind::COMPACT => Self::Compact { revision: reader.u64()? },
            _ => return Err(DecodeError("is of unknown kind")),
        };
        reader.end()?;
        Ok(command)
    }
}

impl CommandOutcome {
    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Done => out.put_u8(kind::DONE),
            Self::Transaction(TransactionOutcome::Applied { revision }) => {
                out.put_u8(kind::APPLIED);
                out.put_u64(*revision);
            }
            Self::Transaction(TransactionOutcome::Conflict { revision, current }) => {
                out.put_u8(kind::CONFLICT);
                out.put_u64(*revision);
                put_count(out, current.len());
                for entry in current {
                    put_entry(out, entry.as_ref());
                }
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let outcome = match reader.u8()? {
            kind::DONE => Self::Done,
            kind::APPLIED => Self::Transaction(TransactionOutcome::Applied { revision: reader.u64()? }),
            kind::CONFLICT => {
                let revision = reader.u64()?;
                Self::Transaction(TransactionOutcome::Conflict { revision, current: list(&mut reader, entry)? })
            }
            _ => return Err(DecodeError("is of unknown kind")),
        };
        reader.end()?;
        Ok(outcome)
    }
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

fn put_operation(out: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Put { key, value } => {
            out.put_u8(kind::PUT);
            out.put_bytes(key);
            out.put_bytes(value);
        }
        Operation::Delete { key } => {
            out.put_u8(kind::DELETE);
            out.put_bytes(key);
        }
    }
}

fn put_entry(out: &mut Vec<u8>, entry: Option<&Entry>) {
    out.put_u8(u8::from(entry.is_some()));
    if let Some(entry) = entry {
        out.put_bytes(&entry.key);
        out.put_bytes(&entry.value);
        out.put_u64(entry.create_revision);
        out.put_u64(entry.mod_revision);
        out.put_u64(entry.version);
    }
}

fn list<T>(
    reader: &mut Reader<'_>,
    item: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    // No capacity is taken from the count: it may be wrong, and the bytes decide.
    (0..reader.u32()?).map(|_| item(reader)).collect()
}

fn condition(reader: &mut Reader<'_>) -> Result<Condition, DecodeError> {
    match reader.u8()? {
        kind::MOD_REVISION => Ok(Condition::ModRevision { key: reader.owned()?, revision: reader.u64()? }),
        _ => Err(DecodeError("has a condition of unknown kind")),
    }
}

fn operation(reader: &mut Reader<'_>) -> Result<Operation, DecodeError> {
    match reader.u8()? {
        kind::PUT => Ok(Operation::Put { key: reader.owned()?, value: reader.owned()? }),
        kind::DELETE => Ok(Operation::Delete { key: reader.owned()? }),
        _ => Err(DecodeError("has an operation of unknown kind")),
    }
}

fn entry(reader: &mut Reader<'_>) -> Result<Option<Entry>, DecodeError> {
    if reader.u8()? == 0 {
        return Ok(None);
    }
    let (key, value): (Bytes, Bytes) = (reader.owned()?, reader.owned()?);
    let (create_revision, mod_revision, version) = (reader.u64()?, reader.u64()?, reader.u64()?);
    Ok(Some(Entry { key, value, create_revision, mod_revision, version }))
}

// openraft wants its messages to be serializable; commands and outcomes travel as the same bytes that the log holds.

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <Vec<u8>>::deserialize(deserializer)?;
        Self::decode(&bytes).map_err(serde::de::Error::custom)
    }
}

impl Serialize for CommandOutcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        self.encode(&mut bytes);
        serializer.serialize_bytes(&bytes)
    }
}

impl<'de> Deserialize<'de> for CommandOutcome {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = <Vec<u8>>::deserialize(deserializer)?;
        Self::decode(&bytes).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
