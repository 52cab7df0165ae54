//! Which pods of a StatefulSet to make and which to delete now.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};

use crate::history::HASH_LABEL;
use crate::observed::{Phase, Pod, Whole};

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) start: u32,
    pub(super) replicas: u32,
    /// All at once instead of one after the other.
    pub(super) parallel: bool,
    /// Ordinals below this one keep their template. None: nobody is updated but who is deleted.
    pub(super) partition: Option<u32>,
    pub(super) min_ready_seconds: i32,
    /// The revisions before and after the update that is under way.
    pub(super) current: String,
    pub(super) update: String,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Create {
        ordinal: u32,
        /// Of the newer of the two templates.
        updated: bool,
    },
    Delete(Arc<Pod>),
}

impl Wanted {
    pub(super) fn of(set: &Whole<StatefulSet>, current: String, update: String) -> Option<Self> {
        let spec = set.spec.as_ref()?;
        let strategy = spec.update_strategy.as_ref();
        let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let partition = rolling.and_then(|rolling| rolling.partition).unwrap_or(0);
        let positive = |number: i32| u32::try_from(number).unwrap_or(0);
        Some(Self {
            name: set.name().to_owned(),
            start: positive(spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0)),
            replicas: positive(spec.replicas.unwrap_or(1)),
            parallel: spec.pod_management_policy.as_deref() == Some("Parallel"),
            partition: (!on_delete).then(|| positive(partition)),
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            current,
            update,
        })
    }

    /// The ordinal that the pod's name says.
    pub(super) fn ordinal(&self, pod: &Pod) -> Option<u32> {
        ordinal(&self.name, &pod.meta.key.name)
    }

    fn is_wanted(&self, ordinal: u32) -> bool {
        ordinal >= self.start && ordinal - self.start < self.replicas
    }

    /// Whether a pod that is made now is of the newer template.
    fn is_updated(&self, ordinal: u32) -> bool {
        self.partition.is_none_or(|partition| ordinal >= self.start.saturating_add(partition))
    }

    fn is_healthy(&self, pod: &Pod, now: Timestamp) -> bool {
        pod.phase == Phase::Running && !pod.meta.deleting && pod.is_available(self.min_ready_seconds, now)
    }
}

/// The ordinal of a pod of the set of this name.
pub(super) fn ordinal(set: &str, pod: &str) -> Option<u32> {
    let digits = pod.strip_prefix(set)?.strip_prefix('-')?;
    digits.parse().ok().filter(|ordinal: &u32| ordinal.to_string() == digits)
}

/// Decides. A set that is not parallel goes on only when all pods before are healthy; all updates go one at a time, from the last
/// ordinal to the first.
pub(super) fn plan(wanted: &Wanted, pods: &[Arc<Pod>], now: Timestamp) -> Vec<Action> {
    let by_ordinal: BTreeMap<u32, &Arc<Pod>> =
        pods.iter().filter_map(|pod| Some((wanted.ordinal(pod)?, pod))).collect();
    let mut actions = Vec::new();
    for ordinal in (0..wanted.replicas).map(|place| wanted.start + place) {
        let healthy = match by_ordinal.get(&ordinal) {
            None => {
                actions.push(Action::Create { ordinal, updated: wanted.is_updated(ordinal) });
                false
            }
            Some(pod) if pod.finished && !pod.meta.deleting => {
                actions.push(Action::Delete((*pod).clone()));
                false
            }
            Some(pod) => wanted.is_healthy(pod, now),
        };
        if !healthy && !wanted.parallel {
            return actions;
        }
    }
    let settled = actions.is_empty();
    let condemned: Vec<&Arc<Pod>> =
        by_ordinal.iter().rev().filter(|(ordinal, _)| !wanted.is_wanted(**ordinal)).map(|(_, pod)| *pod).collect();
    if wanted.parallel {
        actions.extend(condemned.iter().filter(|pod| !pod.meta.deleting).map(|pod| Action::Delete((*pod).clone())));
    } else if let Some(last) = condemned.first() {
        return shrink(wanted, &condemned, last, now);
    }
    if settled && condemned.iter().all(|pod| pod.meta.deleting) {
        actions.extend(update(wanted, &by_ordinal, now));
    }
    actions
}

/// One goes at a time, the last ordinal first; one that is not healthy blocks the others unless it is to go itself.
fn shrink(wanted: &Wanted, condemned: &[&Arc<Pod>], last: &Arc<Pod>, now: Timestamp) -> Vec<Action> {
    // One that has ended will never be healthy, and nothing is lost with it.
    let is_sick = |pod: &Pod| !pod.finished && !wanted.is_healthy(pod, now);
    let first_unhealthy = condemned.iter().rev().find(|pod| is_sick(pod));
    let blocked = condemned.iter().any(|pod| pod.meta.deleting)
        || (is_sick(last) && first_unhealthy.is_some_and(|pod| pod.meta.uid != last.meta.uid));
    if blocked { Vec::new() } else { vec![Action::Delete(last.clone())] }
}

fn update(wanted: &Wanted, pods: &BTreeMap<u32, &Arc<Pod>>, now: Timestamp) -> Option<Action> {
    let partition = wanted.partition?;
    let first = wanted.start.saturating_add(partition);
    let candidates = pods.iter().rev().filter(|(ordinal, _)| **ordinal >= first && wanted.is_wanted(**ordinal));
    for (_, pod) in candidates {
        if revision(pod) != wanted.update && !pod.meta.deleting {
            return Some(Action::Delete((*pod).clone()));
        }
        if !wanted.is_healthy(pod, now) {
            return None;
        }
    }
    None
}

pub(super) fn revision(pod: &Pod) -> &str {
    pod.labels.get(HASH_LABEL).unwrap_or_default()
}

/// What the status says, and when a pod that is ready becomes available.
pub(super) fn status(
    set: &Whole<StatefulSet>,
    wanted: &Wanted,
    pods: &[Arc<Pod>],
    now: Timestamp,
) -> (StatefulSetStatus, Option<Timestamp>) {
    let known = set.status.clone().unwrap_or_default();
    let ours: Vec<&Arc<Pod>> = pods.iter().filter(|pod| wanted.ordinal(pod).is_some()).collect();
    let count = |counts: &dyn Fn(&Pod) -> bool| {
        i32::try_from(ours.iter().filter(|pod| counts(pod)).count()).unwrap_or(i32::MAX)
    };
    let ready = |pod: &Pod| pod.phase == Phase::Running && pod.is_ready();
    let of = |pod: &Pod, wanted: &str| !pod.meta.deleting && revision(pod) == wanted;
    let mut status = StatefulSetStatus {
        available_replicas: Some(count(&|pod| ready(pod) && pod.is_available(wanted.min_ready_seconds, now))),
        collision_count: known.collision_count.or(Some(0)),
        conditions: known.conditions,
        current_replicas: Some(count(&|pod| of(pod, &wanted.current))).filter(|count| *count > 0),
        current_revision: Some(wanted.current.clone()),
        observed_generation: set.generation(),
        ready_replicas: Some(count(&ready)).filter(|count| *count > 0),
        replicas: count(&|_| true),
        update_revision: Some(wanted.update.clone()),
        updated_replicas: Some(count(&|pod| of(pod, &wanted.update))).filter(|count| *count > 0),
    };
    let all = Some(status.replicas).filter(|count| *count > 0);
    let done = status.updated_replicas == all && status.ready_replicas == all;
    if wanted.partition.is_some() && done && wanted.current != wanted.update {
        status.current_revision = Some(wanted.update.clone());
        status.current_replicas = status.updated_replicas;
    }
    let soon = ours.iter().filter_map(|pod| pod.available_at(wanted.min_ready_seconds)).filter(|at| *at > now).min();
    (status, soon)
}

#[cfg(test)]
mod tests;
