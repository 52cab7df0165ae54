//! The claims of a StatefulSet's pods: their names, and who takes them along when it goes.

use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, PodSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Value, json};

use crate::observed::{Pod, Whole};

fn templates(set: &StatefulSet) -> impl Iterator<Item = &PersistentVolumeClaim> {
    set.spec.as_ref().and_then(|spec| spec.volume_claim_templates.as_ref()).into_iter().flatten()
}

fn claim_name(set: &Whole<StatefulSet>, template: &PersistentVolumeClaim, ordinal: u32) -> String {
    format!("{}-{}-{ordinal}", template.metadata.name.as_deref().unwrap_or_default(), set.name())
}

pub(super) fn names(set: &Whole<StatefulSet>, ordinal: u32) -> Vec<String> {
    templates(set).map(|template| claim_name(set, template, ordinal)).collect()
}

/// The claims that the pod of this ordinal needs.
pub(super) fn of_pod(set: &Whole<StatefulSet>, ordinal: u32) -> Vec<PersistentVolumeClaim> {
    let selected = set.spec.as_ref().and_then(|spec| spec.selector.match_labels.clone());
    let claim = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        claim.status = None;
        claim.metadata.name = Some(claim_name(set, template, ordinal));
        claim.metadata.namespace = Some(set.namespace().to_owned());
        claim.metadata.labels.get_or_insert_default().extend(selected.clone().unwrap_or_default());
        if deletes(set).0 {
            claim.metadata.owner_references = Some(vec![set.controller_reference()]);
        }
        claim
    };
    templates(set).map(claim).collect()
}

/// Puts the claims in the place of the template's volumes of their names.
pub(super) fn mount(set: &Whole<StatefulSet>, spec: &mut PodSpec, ordinal: u32) {
    let volumes = spec.volumes.get_or_insert_default();
    for template in templates(set) {
        let name = template.metadata.name.clone().unwrap_or_default();
        volumes.retain(|volume| volume.name != name);
        let claim_name = claim_name(set, template, ordinal);
        let source = PersistentVolumeClaimVolumeSource { claim_name, read_only: Some(false) };
        volumes.push(Volume { name, persistent_volume_claim: Some(source), ..Volume::default() });
    }
    if volumes.is_empty() {
        spec.volumes = None;
    }
}

/// Whether claims go with the set, and whether they go with a pod that is scaled away.
fn deletes(set: &StatefulSet) -> (bool, bool) {
    let policy = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.as_ref());
    let deletes = |policy: Option<&String>| policy.is_some_and(|policy| policy == "Delete");
    (
        deletes(policy.and_then(|policy| policy.when_deleted.as_ref())),
        deletes(policy.and_then(|policy| policy.when_scaled.as_ref())),
    )
}

/// The patch that gives the claim the owners that the policy asks for; none when it has them.
pub(super) fn owners_patch(
    set: &Whole<StatefulSet>,
    pod: &Pod,
    ordinal: u32,
    claim: &Whole<PersistentVolumeClaim>,
) -> Option<Value> {
    let (when_deleted, when_scaled) = deletes(set);
    let spec = set.spec.as_ref()?;
    let start = spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0);
    let place = i64::from(ordinal) - i64::from(start);
    let condemned = place < 0 || place >= i64::from(spec.replicas.unwrap_or(1));
    let with_pod = when_scaled && condemned;
    let with_set = when_deleted && !with_pod;
    let known = claim.metadata().owner_references.clone().unwrap_or_default();
    let ours = |owner: &OwnerReference| owner.uid == *set.meta.uid || owner.uid == *pod.meta.uid;
    // Somebody else decides about this claim.
    if known.iter().any(|owner| owner.controller == Some(true) && !ours(owner)) {
        return None;
    }
    let mut wanted: Vec<OwnerReference> = known.iter().filter(|owner| !ours(owner)).cloned().collect();
    if with_set {
        wanted.push(set.controller_reference());
    }
    if with_pod {
        wanted.push(OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            name: pod.meta.key.name.to_string(),
            uid: pod.meta.uid.to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        });
    }
    let version = &claim.metadata().resource_version;
    (wanted != known).then(|| json!({"metadata": {"ownerReferences": wanted, "resourceVersion": version}}))
}
