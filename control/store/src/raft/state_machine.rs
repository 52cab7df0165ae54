//! openraft's state machine on the index.

use std::io;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::type_config::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::{EntryPayload, OptionalSend};
use serde::{Deserialize, Serialize};

use super::{Command, CommandOutcome, LogId, RaftEntry, StoredMembership, Types};
use crate::checkpoint::{CheckpointImage, Checkpointer};
use crate::index::{Position, SharedIndex};
use crate::types::Operation;

/// So many entries are applied before readers get their turn.
const APPLY_ENTRIES_MAX: usize = 64;

/// How far the log has been applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Applied {
    pub(crate) log_id: Option<LogId>,
    pub(crate) membership: StoredMembership,
}

/// What openraft calls a snapshot: the checkpoint file as it was at one moment. Nothing is read until it is asked for.
pub(crate) type Image = CheckpointImage<Applied>;

/// The state machine. openraft owns it; the rest of the store shares the index.
#[derive(Debug)]
pub(crate) struct StateMachine {
    index: Arc<SharedIndex<Applied>>,
    checkpointer: Checkpointer<Applied>,
    /// When this many bytes are in no checkpoint, applying waits for one.
    delta_bytes_max: usize,
}

impl StateMachine {
    pub(crate) fn new(
        index: Arc<SharedIndex<Applied>>,
        checkpointer: Checkpointer<Applied>,
        delta_bytes_max: usize,
    ) -> Self {
        Self { index, checkpointer, delta_bytes_max }
    }
}

/// Bytes of an operation's key and value.
pub(crate) fn operation_bytes(operation: &Operation) -> usize {
    match operation {
        Operation::Put { key, value } => key.len() + value.len(),
        Operation::Delete { key } => key.len(),
    }
}

fn apply(state: &mut Position<Applied>, entry: RaftEntry) -> CommandOutcome {
    state.applied.log_id = Some(entry.log_id);
    match entry.payload {
        EntryPayload::Blank => CommandOutcome::Done,
        EntryPayload::Normal(Command::Transact(transaction)) => {
            CommandOutcome::Transaction(state.index.apply(&transaction))
        }
        EntryPayload::Normal(Command::Compact { revision }) => {
            state.index.compact(revision);
            CommandOutcome::Done
        }
        EntryPayload::Membership(membership) => {
            state.applied.membership = StoredMembership::new(Some(entry.log_id), membership);
            CommandOutcome::Done
        }
    }
}

impl RaftStateMachine<Types> for StateMachine {
    type SnapshotData = Image;
    type SnapshotBuilder = SnapshotBuilder;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let state = self.index.read();
        Ok((state.applied.log_id, state.applied.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<Types>, io::Error>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.ready_chunks(APPLY_ENTRIES_MAX);
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.into_iter().collect::<Result<Vec<_>, _>>()?;
            let mut answers = Vec::with_capacity(chunk.len());
            let delta_bytes = self.index.change(|state| {
                for (entry, responder) in chunk {
                    let outcome = apply(state, entry);
                    answers.extend(responder.map(|responder| (responder, outcome)));
                }
                state.index.delta_bytes()
            });
            // Whoever hears of the outcome finds it in the index.
            answers.into_iter().for_each(|(responder, outcome)| responder.send(outcome));
            if delta_bytes > self.delta_bytes_max {
                self.checkpointer.write().await?;
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder {
        SnapshotBuilder { checkpointer: self.checkpointer.clone() }
    }

    async fn install_snapshot(&mut self, _meta: &SnapshotMetaOf<Types>, snapshot: Image) -> Result<(), io::Error> {
        self.checkpointer.replace(snapshot).await
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<SnapshotOf<Types, Image>>, io::Error> {
        Ok(self.checkpointer.current()?.map(snapshot))
    }
}

/// Writes a checkpoint when it is asked to build.
#[derive(Debug)]
pub(crate) struct SnapshotBuilder {
    checkpointer: Checkpointer<Applied>,
}

impl RaftSnapshotBuilder<Types> for SnapshotBuilder {
    type SnapshotData = Image;

    async fn build_snapshot(&mut self) -> Result<SnapshotOf<Types, Image>, io::Error> {
        self.checkpointer.write().await.map(snapshot)
    }
}

fn snapshot(image: Image) -> SnapshotOf<Types, Image> {
    let applied = image.applied();
    let meta = SnapshotMetaOf::<Types> { last_log_id: applied.log_id, last_membership: applied.membership.clone() };
    SnapshotOf::<Types, Image> { meta, snapshot: image }
}
