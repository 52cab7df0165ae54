//! What a budget allows.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::deployment::scaled;
use crate::observed::{Pod, Whole};

/// An eviction that was allowed and did not happen within this time is forgotten.
const EVICTION_LASTS: SignedDuration = SignedDuration::from_secs(120);

/// The status, and when to look again.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) status: PodDisruptionBudgetStatus,
    pub(super) look_again: Option<Timestamp>,
}

/// Counts. `scale_of` says which workload owns a pod, and how many pods it wants.
pub(super) fn plan(
    budget: &Whole<PodDisruptionBudget>,
    pods: &[Arc<Pod>],
    scale_of: impl Fn(&Pod) -> Option<(Arc<str>, i32)>,
    now: Timestamp,
) -> Plan {
    let known = budget.status.clone().unwrap_or_default();
    let evicted = still_going(&known, pods, now);
    let (expected, desired) = wanted(budget, pods, scale_of);
    let healthy = pods
        .iter()
        .filter(|pod| !pod.meta.deleting && pod.is_ready() && !evicted.contains_key(&*pod.meta.key.name))
        .count();
    let healthy = i32::try_from(healthy).unwrap_or(i32::MAX);
    let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
    let look_again = evicted.values().filter_map(|since| since.0.checked_add(EVICTION_LASTS).ok()).min();
    let status = PodDisruptionBudgetStatus {
        conditions: Some(conditions(budget, &known, allowed, now)),
        current_healthy: healthy,
        desired_healthy: desired,
        disrupted_pods: Some(evicted).filter(|evicted| !evicted.is_empty()),
        disruptions_allowed: allowed,
        expected_pods: expected,
        observed_generation: budget.generation(),
    };
    Plan { status, look_again }
}

/// Pods whose eviction was allowed and that do not show it yet.
fn still_going(known: &PodDisruptionBudgetStatus, pods: &[Arc<Pod>], now: Timestamp) -> BTreeMap<String, Time> {
    let going = |name: &String, since: &Time| {
        let there = pods.iter().any(|pod| *pod.meta.key.name == **name && !pod.meta.deleting);
        there && since.0.checked_add(EVICTION_LASTS).is_ok_and(|until| until > now)
    };
    let evicted = known.disrupted_pods.clone().unwrap_or_default();
    evicted.into_iter().filter(|(name, since)| going(name, since)).collect()
}

/// How many pods there should be, and how many of them must be healthy.
fn wanted(
    budget: &PodDisruptionBudget,
    pods: &[Arc<Pod>],
    scale_of: impl Fn(&Pod) -> Option<(Arc<str>, i32)>,
) -> (i32, i32) {
    let spec = budget.spec.as_ref();
    let there = i32::try_from(pods.len()).unwrap_or(i32::MAX);
    let of_workloads = || {
        let scales: BTreeMap<Arc<str>, i32> = pods.iter().filter_map(|pod| scale_of(pod)).collect();
        scales.values().fold(0, |sum: i32, count| sum.saturating_add(*count))
    };
    if let Some(most) = spec.and_then(|spec| spec.max_unavailable.as_ref()) {
        let expected = of_workloads();
        return (expected, (expected - scaled(Some(most), expected, true)).max(0));
    }
    match spec.and_then(|spec| spec.min_available.as_ref()) {
        Some(IntOrString::Int(least)) => (there, *least),
        Some(percent) => {
            let expected = of_workloads();
            (expected, scaled(Some(percent), expected, true))
        }
        // Without any rule one pod may be missing at no time.
        None => (there, 1),
    }
}

fn conditions(
    budget: &Whole<PodDisruptionBudget>,
    known: &PodDisruptionBudgetStatus,
    allowed: i32,
    now: Timestamp,
) -> Vec<Condition> {
    const KIND: &str = "DisruptionAllowed";
    let (status, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let mut conditions = known.conditions.clone().unwrap_or_default();
    let before = conditions.iter().find(|condition| condition.type_ == KIND && condition.status == status);
    let since = before.map_or(Time(now), |condition| condition.last_transition_time.clone());
    conditions.retain(|condition| condition.type_ != KIND);
    conditions.push(Condition {
        type_: KIND.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
        observed_generation: budget.generation(),
        last_transition_time: since,
    });
    conditions
}

#[cfg(test)]
mod tests;
