//! openraft's log on our log: entries are kept in memory until they are purged, and everything that changes is written.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::entry::RaftEntry as _;
use openraft::storage::{IOFlushed, LogState, RaftLogStorage};
use openraft::{OptionalSend, RaftLogReader};
use tokio::sync::oneshot;

use super::{LogId, Payload, RaftEntry, RaftVote, Types, to_log_id, to_position, to_raft_vote, to_vote};
use crate::log::{LogSender, Position, Record, Recovered, Summary, purge, truncate_after};

/// A follower is sent about this much at a time.
const READ_BYTES_MAX: usize = 2 << 20;

/// The log as openraft writes and reads it. Clones share it; openraft writes through one of them only.
#[derive(Clone, Debug)]
pub(crate) struct LogStore {
    view: Arc<Mutex<View>>,
    sender: LogSender<Payload>,
}

/// What the log holds, whether it is durable already or not.
#[derive(Debug)]
struct View {
    summary: Summary,
    /// Without a gap.
    entries: VecDeque<(Position, Payload)>,
}

impl LogStore {
    pub(crate) fn new(sender: LogSender<Payload>, recovered: Recovered<Payload>) -> Self {
        let view = View { summary: recovered.summary, entries: recovered.entries };
        Self { view: Arc::new(Mutex::new(view)), sender }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over a record that must become durable soon, but that nobody waits for.
    async fn write(&self, record: Record<Payload>) -> Result<(), io::Error> {
        self.sender.append(vec![record], Box::new(|_| {})).await.map_err(io::Error::other)
    }
}

impl View {
    fn last(&self) -> Option<Position> {
        self.entries.back().map(|(position, _)| *position).or(self.summary.purged)
    }

    /// The entries with an index in `start..end`.
    fn range(&self, start: u64, end: u64) -> impl Iterator<Item = RaftEntry> {
        let first = self.entries.front().map_or(0, |(position, _)| position.index);
        let offset = |index: u64| usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX);
        let (start, end) = (offset(start).min(self.entries.len()), offset(end).min(self.entries.len()));
        self.entries
            .range(start..end.max(start))
            .map(|(position, payload)| RaftEntry::new(to_log_id(position), payload.clone()))
    }
}

/// About how much memory an entry stands for.
fn payload_bytes(payload: &Payload) -> usize {
    match payload {
        openraft::EntryPayload::Normal(super::Command::Transact(transaction)) => {
            transaction.operations.iter().map(super::state_machine::operation_bytes).sum::<usize>() + 64
        }
        _ => 64,
    }
}

impl RaftLogReader<Types> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<RaftEntry>, io::Error> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => u64::MAX,
        };
        Ok(self.view().range(start, end).collect())
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> Result<Vec<RaftEntry>, io::Error> {
        let mut bytes = 0;
        let view = self.view();
        let limited = view.range(start, end).take_while(|entry| {
            let more = bytes < READ_BYTES_MAX;
            bytes += payload_bytes(&entry.payload);
            more
        });
        Ok(limited.collect())
    }

    async fn read_vote(&mut self) -> Result<Option<RaftVote>, io::Error> {
        Ok(self.view().summary.vote.as_ref().map(to_raft_vote))
    }
}

impl RaftLogStorage<Types> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, io::Error> {
        let view = self.view();
        Ok(LogState {
            last_purged_log_id: view.summary.purged.as_ref().map(to_log_id),
            last_log_id: view.last().as_ref().map(to_log_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &RaftVote) -> Result<(), io::Error> {
        let vote = to_vote(vote);
        let (sender, written) = oneshot::channel();
        let completion = Box::new(move |result| {
            // When openraft is gone nobody needs to know.
            let _ = sender.send(result);
        });
        self.sender.append(vec![Record::Vote(vote)], completion).await.map_err(io::Error::other)?;
        written.await.map_err(io::Error::other)??;
        self.view().summary.vote = Some(vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        let committed = committed.as_ref().map(to_position);
        self.view().summary.committed = committed;
        self.sender.append_lazily(Record::Committed(committed)).await.map_err(io::Error::other)
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.view().summary.committed.as_ref().map(to_log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = RaftEntry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<(Position, Payload)> =
            entries.into_iter().map(|entry| (to_position(&entry.log_id), entry.payload)).collect();
        let records =
            entries.iter().map(|(position, payload)| Record::Entry { position: *position, payload: payload.clone() });
        let records = records.collect();
        self.view().entries.extend(entries);
        // A log that was closed has told the callback so; openraft stops because of that.
        let _ = self.sender.append(records, Box::new(move |result| callback.io_completed(result))).await;
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> Result<(), io::Error> {
        let last = last_log_id.as_ref().map(to_position);
        truncate_after(&mut self.view().entries, last);
        self.write(Record::TruncateAfter(last)).await
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), io::Error> {
        let purged = to_position(&log_id);
        {
            let mut view = self.view();
            view.summary.purged = Some(purged);
            purge(&mut view.entries, Some(purged));
            if view.entries.is_empty() {
                view.entries.shrink_to(64);
            }
        }
        self.write(Record::Purge(purged)).await
    }
}
