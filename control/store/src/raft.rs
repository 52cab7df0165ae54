//! openraft's part: which types it runs with, and the log, the state machine and the network that it is given.
//!
//! One machine is a cluster of one voter. Everything here is written for several; what a single voter does not need yet (a
//! network) refuses instead of pretending.

mod command;
mod log_store;
mod network;
mod state_machine;
#[cfg(test)]
mod tests;

use openraft::type_config::alias::{EntryOf, LogIdOf, StoredMembershipOf, VoteOf};

pub(crate) use command::{Command, CommandOutcome, decode_payload};
pub(crate) use log_store::LogStore;
pub(crate) use network::NoPeers;
pub(crate) use state_machine::{Applied, Image, StateMachine, operation_bytes};

use crate::log::{Position, Vote};

openraft::declare_raft_types!(
    /// The types that openraft runs with.
    pub(crate) Types:
        D = Command,
        R = CommandOutcome,
        NodeId = u64,
        Node = openraft::impls::BasicNode,
);

pub(crate) type Raft = openraft::Raft<Types, StateMachine>;
pub(crate) type LogId = LogIdOf<Types>;
pub(crate) type RaftVote = VoteOf<Types>;
pub(crate) type RaftEntry = EntryOf<Types>;
pub(crate) type StoredMembership = StoredMembershipOf<Types>;
pub(crate) type Payload = openraft::EntryPayload<Command, u64, openraft::impls::BasicNode>;

/// A log id as the log writes it.
pub(crate) fn to_position(log_id: &LogId) -> Position {
    Position {
        term: log_id.committed_leader_id().term,
        node: log_id.committed_leader_id().node_id,
        index: log_id.index(),
    }
}

/// The reverse of [`to_position`].
pub(crate) fn to_log_id(position: &Position) -> LogId {
    LogId::new(openraft::impls::leader_id_adv::LeaderId { term: position.term, node_id: position.node }, position.index)
}

pub(crate) fn to_vote(vote: &RaftVote) -> Vote {
    Vote { term: vote.leader_id.term, node: vote.leader_id.node_id, committed: vote.committed }
}

pub(crate) fn to_raft_vote(vote: &Vote) -> RaftVote {
    let leader_id = openraft::impls::leader_id_adv::LeaderId { term: vote.term, node_id: vote.node };
    RaftVote { leader_id, committed: vote.committed }
}
