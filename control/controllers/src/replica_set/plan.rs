//! How many pods to make, or which of them go, and what the status says.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::observed::{Phase, Pod};
use crate::selector::selects_map;
use crate::workload::BURST_MAX;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub(super) replicas: usize,
    pub(super) min_ready_seconds: i32,
    pub(super) template_labels: BTreeMap<String, String>,
}

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Scaling {
    None,
    Create(usize),
    Delete(Vec<Arc<Pod>>),
}

/// What the status counts.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) replicas: i32,
    pub(super) fully_labeled: i32,
    pub(super) ready: i32,
    pub(super) available: i32,
    /// When a pod that is ready becomes available.
    pub(super) look_again: Option<Timestamp>,
}

/// The condition ReplicaFailure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) since: Option<Time>,
}

/// Compares the pods that there are with those that are wanted. `related` gives the pods of all sets of the same owner; it is asked only
/// when some have to go.
pub(super) fn plan(
    wanted: &Wanted,
    pods: &[Arc<Pod>],
    related: impl FnOnce() -> Vec<Arc<Pod>>,
    now: Timestamp,
) -> Scaling {
    let active: Vec<&Arc<Pod>> = pods.iter().filter(|pod| pod.is_active()).collect();
    match active.len().cmp(&wanted.replicas) {
        Ordering::Equal => Scaling::None,
        Ordering::Less => Scaling::Create((wanted.replicas - active.len()).min(BURST_MAX)),
        Ordering::Greater => {
            let surplus = (active.len() - wanted.replicas).min(BURST_MAX);
            let mut ranked: Vec<Arc<Pod>> = active.into_iter().cloned().collect();
            if wanted.replicas > 0 {
                rank(&mut ranked, &crowds(&related()), now);
            }
            ranked.truncate(surplus);
            Scaling::Delete(ranked)
        }
    }
}

/// How many of these pods each node carries.
fn crowds(pods: &[Arc<Pod>]) -> HashMap<Arc<str>, usize> {
    let mut crowds = HashMap::new();
    for node in pods.iter().filter(|pod| pod.is_active()).filter_map(|pod| pod.node_name.clone()) {
        *crowds.entry(node).or_default() += 1;
    }
    crowds
}

/// Sorts pods so that those that should go first come first, by upstream's rules: unbound, pending, unknown, not ready, cheap, crowded,
/// ready for a short time, often restarted, young.
fn rank(pods: &mut [Arc<Pod>], crowds: &HashMap<Arc<str>, usize>, now: Timestamp) {
    let crowd = |pod: &Pod| pod.node_name.as_ref().and_then(|node| crowds.get(node)).copied().unwrap_or(0);
    let phase = |pod: &Pod| match pod.phase {
        Phase::Pending => 0,
        Phase::Unknown => 1,
        Phase::Running | Phase::Succeeded | Phase::Failed => 2,
    };
    // Ages count by their logarithm, so that of pods of about the same age not always the youngest goes.
    let age = |time: Option<Timestamp>| {
        let seconds = time.map_or(0, |time| now.duration_since(time).as_secs());
        u64::try_from(seconds).unwrap_or(0).checked_ilog2().map_or(0, |log| log + 1)
    };
    pods.sort_by_cached_key(|pod| {
        let first = (pod.node_name.is_some(), phase(pod), pod.is_ready(), pod.deletion_cost, Reverse(crowd(pod)));
        let ready_age = if pod.is_ready() { age(pod.ready_since) } else { 0 };
        (first, ready_age, Reverse(pod.restarts), age(Some(pod.meta.created)), pod.meta.uid.clone())
    });
}

/// Counts the pods that have not ended and are not being deleted.
pub(super) fn counts(wanted: &Wanted, pods: &[Arc<Pod>], now: Timestamp) -> Counts {
    let mut counts = Counts::default();
    for pod in pods.iter().filter(|pod| pod.is_active()) {
        counts.replicas += 1;
        counts.fully_labeled += i32::from(selects_map(&wanted.template_labels, &pod.labels));
        counts.ready += i32::from(pod.is_ready());
        match pod.available_at(wanted.min_ready_seconds) {
            Some(at) if at <= now => counts.available += 1,
            Some(at) => counts.look_again = Some(counts.look_again.map_or(at, |known| known.min(at))),
            None => {}
        }
    }
    counts
}

/// The condition ReplicaFailure: it comes with an error and goes when none came.
pub(super) fn condition_after(
    failed: Option<(&'static str, String)>,
    known: Option<Failure>,
    now: Timestamp,
) -> Option<Failure> {
    let (reason, message) = failed?;
    // Upstream leaves a condition alone as long as it is there.
    Some(known.unwrap_or_else(|| Failure { reason: reason.to_owned(), message, since: Some(Time(now)) }))
}

#[cfg(test)]
mod tests;
