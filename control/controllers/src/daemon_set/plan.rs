//! Which nodes lack their pod, and which pods go.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use super::nodes::Eligible;
use crate::deployment::scaled;
use crate::history::HASH_LABEL;
use crate::observed::{Phase, Pod, Whole};

/// How long a pod that failed is left to be looked at before its place is filled again.
const FAILED_STAYS: SignedDuration = SignedDuration::from_secs(10);

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// The hash of the present template.
    pub(super) hash: String,
    pub(super) min_ready_seconds: i32,
    /// Pods that may be missing, and pods that may be there twice, during an update. None: nobody is updated but who is deleted.
    pub(super) rolling: Option<(usize, usize)>,
}

/// One node and the pods that are there or on their way there.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) node: Arc<str>,
    pub(super) eligible: Eligible,
    pub(super) pods: Vec<Arc<Pod>>,
}

/// What to do.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) create_on: Vec<Arc<str>>,
    pub(super) delete: Vec<Arc<Pod>>,
    /// Those of `delete` that failed.
    pub(super) failed: Vec<Arc<Pod>>,
    pub(super) look_again: Option<Timestamp>,
}

impl Wanted {
    pub(super) fn of(set: &DaemonSet, hash: String, desired: usize) -> Option<Self> {
        let spec = set.spec.as_ref()?;
        let strategy = spec.update_strategy.as_ref();
        let on_delete = strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("OnDelete");
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let total = i32::try_from(desired).unwrap_or(i32::MAX);
        let count = |value| usize::try_from(scaled(value, total, true)).unwrap_or(0);
        let surge = count(rolling.and_then(|rolling| rolling.max_surge.as_ref()));
        let unavailable = count(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()));
        // Without any room nothing could ever move.
        let unavailable = if surge == 0 { unavailable.max(1) } else { unavailable };
        Some(Self {
            hash,
            min_ready_seconds: spec.min_ready_seconds.unwrap_or(0),
            rolling: (!on_delete).then_some((unavailable, surge)),
        })
    }

    fn is_new(&self, pod: &Pod) -> bool {
        pod.labels.get(HASH_LABEL) == Some(&self.hash)
    }

    fn is_available(&self, pod: &Pod, now: Timestamp) -> bool {
        pod.phase == Phase::Running && !pod.meta.deleting && pod.is_available(self.min_ready_seconds, now)
    }

    fn surges(&self) -> bool {
        self.rolling.is_some_and(|(_, surge)| surge > 0)
    }
}

/// Decides.
pub(super) fn plan(wanted: &Wanted, places: &[Place], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    for place in places {
        fill(wanted, place, &mut plan, now);
    }
    if wanted.rolling.is_some() && plan.delete.is_empty() && plan.create_on.is_empty() {
        if wanted.surges() { surge(wanted, places, &mut plan, now) } else { replace(wanted, places, &mut plan, now) }
    }
    let soon = places.iter().flat_map(|place| &place.pods).filter_map(|pod| pod.available_at(wanted.min_ready_seconds));
    plan.look_again = plan.look_again.into_iter().chain(soon.filter(|at| *at > now)).min();
    plan
}

/// One pod where one belongs, none where none belongs.
fn fill(wanted: &Wanted, place: &Place, plan: &mut Plan, now: Timestamp) {
    if !place.eligible.stay {
        plan.delete.extend(place.pods.iter().filter(|pod| !pod.meta.deleting).cloned());
        return;
    }
    if place.pods.is_empty() {
        if place.eligible.run {
            plan.create_on.push(place.node.clone());
        }
        return;
    }
    let (ended, mut alive): (Vec<_>, Vec<_>) =
        place.pods.iter().cloned().partition(|pod| pod.finished && !pod.meta.deleting);
    for pod in ended {
        let at = pod.meta.created.checked_add(FAILED_STAYS).unwrap_or(Timestamp::MAX);
        if pod.phase == Phase::Failed && at > now {
            plan.look_again = Some(plan.look_again.map_or(at, |known| known.min(at)));
            continue;
        }
        if pod.phase == Phase::Failed {
            plan.failed.push(pod.clone());
        }
        plan.delete.push(pod);
    }
    // Of several the oldest stays; while an update surges, one of each template.
    alive.sort_by(|a, b| (a.meta.created, &a.meta.key).cmp(&(b.meta.created, &b.meta.key)));
    let mut kept: Vec<&Arc<Pod>> = Vec::new();
    for pod in &alive {
        let rival = kept.iter().any(|kept| !wanted.surges() || wanted.is_new(kept) == wanted.is_new(pod));
        if rival && !pod.meta.deleting {
            plan.delete.push(pod.clone());
        } else {
            kept.push(pod);
        }
    }
}

/// Old pods go, as long as not too many are missing; then new ones come in their places.
fn replace(wanted: &Wanted, places: &[Place], plan: &mut Plan, now: Timestamp) {
    let (unavailable_max, _) = wanted.rolling.unwrap_or_default();
    let mut unavailable = 0;
    let mut candidates = Vec::new();
    for place in places.iter().filter(|place| place.eligible.run) {
        let new = place.pods.iter().find(|pod| wanted.is_new(pod));
        let old = place.pods.iter().find(|pod| !wanted.is_new(pod));
        match (new, old) {
            (Some(new), _) => unavailable += usize::from(!wanted.is_available(new, now)),
            (None, None) => unavailable += 1,
            (None, Some(old)) if wanted.is_available(old, now) => candidates.push(old.clone()),
            (None, Some(old)) => {
                // Nothing is lost with a pod that does nothing.
                unavailable += 1;
                plan.delete.extend((!old.meta.deleting).then(|| old.clone()));
            }
        }
    }
    plan.delete.extend(candidates.into_iter().take(unavailable_max.saturating_sub(unavailable)));
}

/// New pods come beside old ones, as long as not too many are there twice; an old one goes when its new one is available.
fn surge(wanted: &Wanted, places: &[Place], plan: &mut Plan, now: Timestamp) {
    let (_, surge_max) = wanted.rolling.unwrap_or_default();
    let mut surging = 0;
    let mut candidates = Vec::new();
    for place in places.iter().filter(|place| place.eligible.run) {
        let new = place.pods.iter().find(|pod| wanted.is_new(pod));
        let Some(old) = place.pods.iter().find(|pod| !wanted.is_new(pod)) else { continue };
        match new {
            Some(new) if wanted.is_available(new, now) => plan.delete.extend((!old.meta.deleting).then(|| old.clone())),
            Some(_) => surging += 1,
            None if wanted.is_available(old, now) => candidates.push(place.node.clone()),
            None => plan.create_on.push(place.node.clone()),
        }
    }
    plan.create_on.extend(candidates.into_iter().take(surge_max.saturating_sub(surging)));
}

/// What the status says.
pub(super) fn status(set: &Whole<DaemonSet>, wanted: &Wanted, places: &[Place], now: Timestamp) -> DaemonSetStatus {
    let known = set.status.clone().unwrap_or_default();
    let count = |counts: &dyn Fn(&Place) -> bool| {
        i32::try_from(places.iter().filter(|place| counts(place)).count()).unwrap_or(i32::MAX)
    };
    let any =
        |place: &Place, which: &dyn Fn(&Pod) -> bool| place.eligible.run && place.pods.iter().any(|pod| which(pod));
    let desired = count(&|place| place.eligible.run);
    let available = count(&|place| any(place, &|pod| wanted.is_available(pod, now)));
    let some = |count: i32| Some(count).filter(|count| *count > 0);
    DaemonSetStatus {
        collision_count: known.collision_count,
        conditions: known.conditions,
        current_number_scheduled: count(&|place| any(place, &|_| true)),
        desired_number_scheduled: desired,
        number_available: some(available),
        number_misscheduled: count(&|place| !place.eligible.run && !place.pods.is_empty()),
        number_ready: count(&|place| any(place, &|pod| pod.phase == Phase::Running && pod.is_ready())),
        number_unavailable: some(desired - available),
        observed_generation: set.generation(),
        updated_number_scheduled: some(count(&|place| any(place, &|pod| wanted.is_new(pod)))),
    }
}

/// Sorts pods to the nodes that they are on or on their way to. Nodes without a place get one where nothing belongs.
pub(super) fn places(nodes: BTreeMap<Arc<str>, Eligible>, pods: &[Arc<Pod>]) -> Vec<Place> {
    let mut places: BTreeMap<Arc<str>, Place> =
        nodes.into_iter().map(|(node, eligible)| (node.clone(), Place { node, eligible, pods: Vec::new() })).collect();
    for pod in pods {
        if let Some(place) = pod.destination().and_then(|node| places.get_mut(node)) {
            place.pods.push(pod.clone());
        }
    }
    places.into_values().collect()
}

#[cfg(test)]
mod tests;
