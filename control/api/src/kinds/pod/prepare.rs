//! What the server decides about a pod, and what of a request it puts back before it looks further.

use serde_json::{Value, json};

use crate::kind::Part;
use crate::kinds::fields::{self, Fields, items_mut, same};
use crate::kinds::object_meta;

/// A new pod: pending, of a class, in its first generation.
pub(super) fn create(pod: &mut Value) {
    object_meta::first_generation(pod);
    if let Some(spec) = pod.get_mut("spec") {
        drop_switched_off(spec);
    }
    let null = Value::Null;
    let spec = pod.child("spec").unwrap_or(&null);
    let mut status = json!({ "phase": "Pending", "qosClass": super::quality::class(spec) });
    if !spec.list("schedulingGates").is_empty() {
        fields::set(
            &mut status,
            "conditions",
            json!([{
                "type": "PodScheduled",
                "status": "False",
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
                "lastProbeTime": null,
                "lastTransitionTime": null,
            }]),
        );
    }
    fields::set(pod, "status", status);
    merge_label_keys(pod);
    super::app_armor::fill_in(pod);
}

/// An update of one part of a pod.
pub(super) fn update(part: Part, new: &mut Value, old: &Value) {
    match part {
        Part::Status => {
            status(new, old);
            return;
        }
        Part::EphemeralContainers => keep_all_but(new, old, "ephemeralContainers"),
        Part::Resize => resize(new, old),
        Part::Object | Part::Finalize | Part::Approval => fields::copy_from(new, old, "status"),
    }
    if let Some(spec) = new.get_mut("spec") {
        drop_switched_off(spec);
    }
    if !same(new.get("spec"), old.get("spec")) {
        object_meta::bump_generation(new, old);
    }
}

/// A status update leaves the spec, the owners and a running deletion alone.
fn status(new: &mut Value, old: &Value) {
    fields::copy_from(new, old, "spec");
    if let (Some(new), Some(old)) = (new.get_mut("metadata"), old.get("metadata")) {
        for field in ["ownerReferences", "deletionTimestamp"] {
            fields::copy_from(new, old, field);
        }
    }
    let Some(old) = old.child("status") else { return };
    let Some(new) = fields::object_mut(new, "status") else { return };
    fields::set_text_default(new, "qosClass", old.text("qosClass"));
    if new.int("observedGeneration").unwrap_or(0) == 0 {
        fields::copy_from(new, old, "observedGeneration");
    }
    keep_observed_generations(new, old);
}

/// A condition that comes without `observedGeneration` keeps the one it had.
fn keep_observed_generations(new: &mut Value, old: &Value) {
    let mut left: Vec<&Value> = old.list("conditions").iter().collect();
    for condition in items_mut(new, "conditions") {
        let Some(position) = left.iter().position(|old| old.text("type") == condition.text("type")) else { continue };
        let old = left.remove(position);
        if condition.int("observedGeneration").unwrap_or(0) == 0 {
            fields::copy_from(condition, old, "observedGeneration");
        }
    }
}

/// Takes one field of the spec from the request and all the rest from the stored pod.
fn keep_all_but(new: &mut Value, old: &Value, field: &str) {
    let wanted = new.child("spec").and_then(|spec| spec.get(field)).cloned();
    fields::copy_from(new, old, "spec");
    fields::copy_from(new, old, "status");
    object_meta::keep_for_part(new, old);
    if let Some(spec) = new.get_mut("spec") {
        match wanted {
            Some(value) => fields::set(spec, field, value),
            None => fields::remove(spec, field),
        }
    }
}

/// Takes the resources of each container from the request. A request with other containers stays as it is and is
/// refused by validation.
fn resize(new: &mut Value, old: &Value) {
    let null = Value::Null;
    let (new_spec, old_spec) = (new.child("spec").unwrap_or(&null), old.child("spec").unwrap_or(&null));
    let lists = ["containers", "initContainers"];
    if lists.iter().any(|list| new_spec.list(list).len() != old_spec.list(list).len()) {
        return;
    }
    let mut spec = old_spec.clone();
    for list in lists {
        let renamed =
            new_spec.list(list).iter().zip(old_spec.list(list)).any(|(new, old)| new.text("name") != old.text("name"));
        if renamed {
            fields::copy_from(&mut spec, new_spec, list);
            continue;
        }
        for (container, wanted) in items_mut(&mut spec, list).iter_mut().zip(new_spec.list(list)) {
            for field in ["resources", "resizePolicy"] {
                fields::copy_from(container, wanted, field);
            }
        }
    }
    fields::set(new, "spec", spec);
    fields::copy_from(new, old, "status");
    object_meta::keep_for_part(new, old);
}

/// Fields of features that 1.34 ships switched off; upstream drops them in silence.
pub(super) fn drop_switched_off(spec: &mut Value) {
    fields::remove(spec, "hostnameOverride");
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items_mut(spec, list) {
            fields::remove(container, "restartPolicyRules");
            if let Some(lifecycle) = container.get_mut("lifecycle") {
                fields::remove(lifecycle, "stopSignal");
            }
            for variable in items_mut(container, "env") {
                if let Some(source) = variable.get_mut("valueFrom") {
                    fields::remove(source, "fileKeyRef");
                }
            }
        }
    }
    for volume in items_mut(spec, "volumes") {
        if let Some(projected) = volume.get_mut("projected") {
            for source in items_mut(projected, "sources") {
                fields::remove(source, "clusterTrustBundle");
                fields::remove(source, "podCertificate");
            }
        }
    }
}

/// `matchLabelKeys` and `mismatchLabelKeys` become expressions on the values that this pod has.
fn merge_label_keys(pod: &mut Value) {
    let labels = pod.at(&["metadata", "labels"]).cloned().unwrap_or(Value::Null);
    let Some(spec) = pod.get_mut("spec") else { return };
    for constraint in items_mut(spec, "topologySpreadConstraints") {
        merge_into_selector(constraint, &labels);
    }
    let Some(affinity) = spec.get_mut("affinity") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        let Some(affinity) = affinity.get_mut(kind) else { continue };
        for term in items_mut(affinity, "preferredDuringSchedulingIgnoredDuringExecution") {
            if let Some(term) = term.get_mut("podAffinityTerm") {
                merge_into_selector(term, &labels);
            }
        }
        for term in items_mut(affinity, "requiredDuringSchedulingIgnoredDuringExecution") {
            merge_into_selector(term, &labels);
        }
    }
}

fn merge_into_selector(term: &mut Value, labels: &Value) {
    let mut added = Vec::new();
    for (keys, operator) in [("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")] {
        for key in term.texts(keys) {
            if let Some(value) = labels.text_if_set(key) {
                added.push(json!({ "key": key, "operator": operator, "values": [value] }));
            }
        }
    }
    // No selector matches no pod, with or without more keys.
    let Some(selector) = term.get_mut("labelSelector").filter(|selector| selector.is_object()) else { return };
    if !added.is_empty() {
        let mut expressions = selector.list("matchExpressions").to_vec();
        expressions.extend(added);
        fields::set(selector, "matchExpressions", expressions);
    }
}
