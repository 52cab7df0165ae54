//! Starting openraft, and asking it for checkpoints.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openraft::impls::BasicNode;
use openraft::{Config, ReadPolicy, SnapshotPolicy};
use tokio::sync::watch;

use crate::index::SharedIndex;
use crate::log::LogGrowth;
use crate::raft::{Applied, LogStore, NoPeers, Raft, StateMachine};

/// Longer than any start should take: an election and two syncs.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A checkpoint that takes longer than this is not waited for any more, only for asking again.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(60);

/// openraft's settings, and why they are not its defaults.
fn config() -> Config {
    Config {
        cluster_name: "coracle".to_owned(),
        // A sync may take most of a second on a busy disk: that must not depose anybody.
        heartbeat_interval: 250,
        election_timeout_min: 1500,
        election_timeout_max: 3000,
        // This is also the time that a whole snapshot transfer may take.
        install_snapshot_timeout: 300_000,
        // Checkpoints are asked for by time and bytes, not by entries.
        snapshot_policy: SnapshotPolicy::Never,
        // With one voter nobody needs entries that are in a checkpoint.
        max_in_snapshot_log_to_keep: 0,
        // A leader that only remembers being one could serve stale reads.
        enable_leader_restore: Some(false),
        enable_pre_vote: Some(true),
        ..Config::default()
    }
}

/// Starts openraft and waits until this node leads and everything in its log is applied.
///
/// # Errors
///
/// Why not, in words; openraft is shut down then.
pub(super) async fn start(node: u64, log_store: LogStore, state_machine: StateMachine) -> Result<Raft, String> {
    let config = config().validate().map_err(|error| error.to_string())?;
    let raft = Raft::new(node, Arc::new(config), NoPeers, log_store, state_machine)
        .await
        .map_err(|error| error.to_string())?;
    let leading = tokio::time::timeout(START_TIMEOUT, lead(&raft, node)).await;
    match leading.unwrap_or_else(|_| Err("no leader was elected in time".to_owned())) {
        Ok(()) => Ok(raft),
        Err(reason) => {
            // It failed already; that it cannot be ended properly adds nothing.
            let _ = raft.shutdown().await;
            Err(reason)
        }
    }
}

async fn lead(raft: &Raft, node: u64) -> Result<(), String> {
    if raft.is_initialized().await.map_err(|error| error.to_string())? {
        // The only voter need not wait for a leader that cannot be.
        if raft.voter_ids().eq([node]) {
            raft.trigger().elect(false).await.map_err(|error| error.to_string())?;
        }
    } else {
        let members = BTreeMap::from([(node, BasicNode::default())]);
        raft.initialize(members).await.map_err(|error| error.to_string())?;
    }
    raft.wait(Some(START_TIMEOUT))
        .current_leader(node, "the only voter leads")
        .await
        .map_err(|error| error.to_string())?;
    raft.ensure_linearizable(ReadPolicy::ReadIndex).await.map_err(|error| error.to_string())?;
    Ok(())
}

/// Has a checkpoint written when something has waited for one for `interval`, or when the log has grown enough.
pub(super) async fn checkpoint_when_due(
    raft: Raft,
    index: Arc<SharedIndex<Applied>>,
    mut written: watch::Receiver<u64>,
    growth: Arc<LogGrowth>,
    interval: Duration,
) {
    let mut revisions = index.revisions();
    let mut checkpointed = *revisions.borrow();
    loop {
        tokio::select! {
            // Both only wait, and are asked anew every time round.
            () = changed_for(&mut revisions, checkpointed, interval) => {}
            () = growth.reached() => {}
        }
        growth.reset();
        checkpointed = *revisions.borrow();
        written.mark_unchanged();
        if raft.trigger().snapshot().await.is_err() {
            // openraft has stopped, and whoever writes finds out why.
            return;
        }
        if let Ok(Err(_)) = tokio::time::timeout(CHECKPOINT_TIMEOUT, written.changed()).await {
            return;
        }
    }
}

/// Waits for a change after `revision`, and then for a while.
async fn changed_for(revisions: &mut watch::Receiver<u64>, revision: u64, interval: Duration) {
    if revisions.wait_for(|current| *current > revision).await.is_err() {
        std::future::pending().await
    }
    tokio::time::sleep(interval).await;
}
