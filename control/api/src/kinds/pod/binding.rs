//! Binding a pod to a node: what `pods/NAME/binding` does to the stored pod.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::object_meta;
use crate::meta;

/// Why a pod cannot be bound. All are conflicts (409) with the state of the pod.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindPodError {
    /// The pod is being deleted.
    #[error("pod {pod} is being deleted, cannot be assigned to a host")]
    Deleted {
        /// The pod's name.
        pod: String,
    },
    /// The pod has a node already.
    #[error("pod {pod} is already assigned to node {node:?}")]
    Assigned {
        /// The pod's name.
        pod: String,
        /// The node it has.
        node: String,
    },
    /// Somebody still holds the pod back.
    #[error("pod {pod} has non-empty .spec.schedulingGates")]
    Gated {
        /// The pod's name.
        pod: String,
    },
    /// The binding was made for an earlier pod of the same name.
    #[error(
        "the UID in the precondition ({wanted}) does not match the UID in record ({found}). The object might have been deleted and then recreated"
    )]
    OtherPod {
        /// The uid in the binding.
        wanted: String,
        /// The uid of the pod.
        found: String,
    },
}

/// Assigns the pod to the node that the (valid) binding names, takes over the binding's labels and annotations, and
/// sets the condition `PodScheduled`.
///
/// # Errors
/// When the pod may not be bound; it is then unchanged.
pub fn bind(pod: &mut Value, binding: &Value, now: Timestamp) -> Result<(), BindPodError> {
    let null = Value::Null;
    let spec = pod.child("spec").unwrap_or(&null);
    let name = || meta::name(pod).to_owned();
    let wanted = binding.child("metadata").map(|metadata| metadata.text("uid")).unwrap_or_default();
    if !wanted.is_empty() && wanted != meta::uid(pod) {
        return Err(BindPodError::OtherPod { wanted: wanted.to_owned(), found: meta::uid(pod).to_owned() });
    }
    if meta::is_being_deleted(pod) {
        return Err(BindPodError::Deleted { pod: name() });
    }
    if !spec.text("nodeName").is_empty() {
        return Err(BindPodError::Assigned { pod: name(), node: spec.text("nodeName").to_owned() });
    }
    if !spec.list("schedulingGates").is_empty() {
        return Err(BindPodError::Gated { pod: name() });
    }
    let node = binding.child("target").map(|target| target.text("name")).unwrap_or_default();
    let before = pod.clone();
    if let Some(spec) = fields::object_mut(pod, "spec") {
        fields::set(spec, "nodeName", node);
    }
    object_meta::bump_generation(pod, &before);
    for field in ["labels", "annotations"] {
        merge_metadata(pod, binding, field);
    }
    set_scheduled(pod, now);
    Ok(())
}

fn merge_metadata(pod: &mut Value, binding: &Value, field: &str) {
    let Some(added) = binding.child("metadata").and_then(|metadata| metadata.map(field)).filter(|map| !map.is_empty())
    else {
        return;
    };
    if let Some(map) = fields::object_mut(pod, "metadata").and_then(|metadata| fields::object_mut(metadata, field)) {
        for (key, value) in added {
            fields::set(map, key, value.clone());
        }
    }
}

fn set_scheduled(pod: &mut Value, now: Timestamp) {
    let scheduled = json!({
        "type": "PodScheduled",
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": meta::format_time(now),
    });
    let Some(status) = fields::object_mut(pod, "status") else { return };
    let existing =
        items_mut(status, "conditions").iter_mut().find(|condition| condition.text("type") == "PodScheduled");
    if let Some(condition) = existing {
        *condition = scheduled;
        return;
    }
    let mut conditions = status.list("conditions").to_vec();
    conditions.push(scheduled);
    fields::set(status, "conditions", conditions);
}

#[cfg(test)]
mod tests;
