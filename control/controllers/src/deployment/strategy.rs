//! How many pods a Deployment may have too many or too few, and what it keeps of itself in its ReplicaSets.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::hash::template_hash;
use crate::observed::Whole;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
pub(super) const REVISION_HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
pub(super) const MAX: &str = "deployment.kubernetes.io/max-replicas";
pub(super) const HASH_LABEL: &str = "pod-template-hash";
/// Annotations that are not handed down to ReplicaSets.
const OWN_ANNOTATIONS: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

pub(super) type Set = Arc<Whole<ReplicaSet>>;

pub(super) fn replicas(deployment: &Deployment) -> i32 {
    deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn is_recreating(deployment: &Deployment) -> bool {
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate")
}

/// Of so many, a number or a percentage of them.
pub(crate) fn scaled(value: Option<&IntOrString>, total: i32, round_up: bool) -> i32 {
    match value {
        None => 0,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(text)) => {
            let percent: i64 = text.trim_end_matches('%').parse().unwrap_or(0);
            let product = percent.saturating_mul(i64::from(total));
            let rounded = if round_up { product.saturating_add(99) } else { product };
            i32::try_from(rounded / 100).unwrap_or(i32::MAX)
        }
    }
}

/// How many more than asked for, and how many fewer, may be there during a rolling update.
pub(super) fn room(deployment: &Deployment) -> (i32, i32) {
    if is_recreating(deployment) {
        return (0, 0);
    }
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let total = replicas(deployment);
    let surge = scaled(rolling.and_then(|rolling| rolling.max_surge.as_ref()), total, true);
    let unavailable = scaled(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()), total, false);
    // Without any room nothing could ever move.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    (surge, unavailable.min(total))
}

pub(super) fn size(set: &Whole<ReplicaSet>) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn available(set: &Whole<ReplicaSet>) -> i32 {
    set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0)
}

pub(super) fn number(set: &Whole<ReplicaSet>, annotation: &str) -> Option<i32> {
    set.annotation(annotation)?.parse().ok()
}

pub(super) fn revision(set: &Whole<ReplicaSet>) -> i64 {
    set.annotation(REVISION).and_then(|revision| revision.parse().ok()).unwrap_or(0)
}

/// Whether two templates make the same pods; what tells the sets apart does not count.
fn same_template(one: &PodTemplateSpec, other: &PodTemplateSpec) -> bool {
    let labels = |template: &PodTemplateSpec| {
        let labels = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone());
        let mut labels = labels.unwrap_or_default();
        labels.remove(HASH_LABEL);
        labels
    };
    let annotations = |template: &PodTemplateSpec| {
        template.metadata.as_ref().and_then(|metadata| metadata.annotations.clone()).unwrap_or_default()
    };
    one.spec == other.spec && labels(one) == labels(other) && annotations(one) == annotations(other)
}

/// The set whose template is the Deployment's, and the others. Both are in the order of their age.
pub(super) fn split(deployment: &Deployment, sets: &[Set]) -> (Option<Set>, Vec<Set>) {
    let mut sets = sets.to_vec();
    sets.sort_by(|a, b| (a.meta.created, &a.meta.key).cmp(&(b.meta.created, &b.meta.key)));
    let Some(wanted) = deployment.spec.as_ref().map(|spec| &spec.template) else { return (None, sets) };
    let place = sets.iter().position(|set| {
        let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
        template.is_some_and(|template| same_template(template, wanted))
    });
    let new = place.map(|place| sets.remove(place));
    (new, sets)
}

pub(super) fn sizes(sets: &[Set]) -> i32 {
    sets.iter().map(|set| size(set)).sum()
}

/// The annotations that a ReplicaSet has from its Deployment.
pub(super) fn handed_down(deployment: &Deployment) -> BTreeMap<String, String> {
    let mut annotations = deployment.metadata.annotations.clone().unwrap_or_default();
    annotations.retain(|name, _| !OWN_ANNOTATIONS.contains(&name.as_str()));
    annotations
}

/// How many pods the newest set may have now, given all sets.
pub(super) fn new_size(deployment: &Deployment, old: &[Set], new: i32) -> i32 {
    let wanted = replicas(deployment);
    if is_recreating(deployment) {
        return wanted;
    }
    let most = wanted + room(deployment).0;
    let there = sizes(old) + new;
    if there >= most { new } else { new + (most - there).min(wanted - new) }
}

/// The ReplicaSet of the Deployment's present template.
pub(super) fn new_set(deployment: &Whole<Deployment>, old: &[Set], revision: i64) -> Option<ReplicaSet> {
    let spec = deployment.spec.as_ref()?;
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count);
    let hash = template_hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    let labels = template.metadata.get_or_insert_default().labels.get_or_insert_default();
    labels.insert(HASH_LABEL.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    selector.match_labels.get_or_insert_default().insert(HASH_LABEL.to_owned(), hash.clone());
    let wanted = replicas(deployment);
    let mut annotations = handed_down(deployment);
    annotations.insert(REVISION.to_owned(), revision.to_string());
    annotations.insert(DESIRED.to_owned(), wanted.to_string());
    annotations.insert(MAX.to_owned(), (wanted + room(deployment).0).to_string());
    Some(ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", deployment.name())),
            namespace: Some(deployment.namespace().to_owned()),
            labels: Some(labels),
            annotations: Some(annotations),
            owner_references: Some(vec![deployment.controller_reference()]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(new_size(deployment, old, 0)),
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
        }),
        status: None,
    })
}
