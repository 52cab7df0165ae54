//! What is refused in a volume, and what may change in it.

pub(in crate::kinds) mod source;

use serde_json::Value;

use crate::kinds::fields::{self, Fields, same};
use crate::kinds::persistent_volume_claim::validate::access_modes;
use crate::kinds::pod::go_form;
use crate::kinds::pod::validate_scheduling::node_selector;
use crate::kinds::validation::resources::{amounts, not_negative_amount};
use crate::kinds::validation::{complain, immutable, one_of_if_set};
use crate::kinds::workload;
use crate::names;
use crate::status::{FieldError, FieldPath};

const NOT_INLINE: &str = "may not be specified in the context of inline volumes";

/// Where a spec stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// In a volume of this name.
    Volume(&'a str),
    /// In an attachment, instead of the name of a volume.
    Inline,
}

pub(super) fn create(volume: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = workload::part(volume, "metadata").text("name");
    spec(&mut errors, &FieldPath::root("spec"), workload::part(volume, "spec"), Place::Volume(name));
    errors
}

/// The spec of a volume that an attachment describes instead of naming it.
pub(in crate::kinds) fn inline_spec(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, given: &Value) {
    for field in ["claimRef", "capacity"] {
        let set = given.child(field).is_some_and(|value| value.as_object().is_none_or(|map| !map.is_empty()));
        if set {
            errors.push(FieldError::forbidden(path.child(field), NOT_INLINE));
        }
    }
    if !given.has("csi") {
        let detail = "has to be specified in the context of inline volumes";
        errors.push(FieldError::required(path.child("csi"), detail));
    }
    spec(errors, path, given, Place::Inline);
}

fn spec(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, place: Place<'_>) {
    if spec.list("accessModes").is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    access_modes(errors, &path.child("accessModes"), spec);
    if place != Place::Inline {
        capacity(errors, &path.child("capacity"), spec.child("capacity"));
    }
    reclaim_policy(errors, &path.child("persistentVolumeReclaimPolicy"), spec, place);
    affinity(errors, &path.child("nodeAffinity"), spec, place);
    source::exactly_one(errors, path, spec, if let Place::Volume(name) = place { name } else { "" });
    class_and_mode(errors, path, spec, place);
    if let Some(class) = spec.text_if_set("volumeAttributesClassName") {
        let at = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.push(FieldError::required(at, "an empty string is disallowed"));
        } else {
            complain(errors, &at, class, names::dns_subdomain(class));
        }
        if !spec.has("csi") {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required(path.child("csi"), detail));
        }
    }
}

fn capacity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, capacity: Option<&Value>) {
    let entries = capacity.and_then(Value::as_object).filter(|entries| !entries.is_empty());
    if entries.is_none() {
        errors.push(FieldError::required(path, ""));
    }
    if entries.is_none_or(|entries| !entries.contains_key("storage") || entries.len() > 1) {
        let shown = entries.map_or(Value::Null, |entries| Value::Object(entries.clone()));
        errors.push(FieldError::not_supported(path, shown, ["storage"]));
    }
    for (name, amount) in amounts(capacity) {
        let path = path.key(name);
        not_negative_amount(errors, &path, &amount);
        if amount.is_zero() || amount.is_negative() {
            errors.push(FieldError::invalid(path, amount.to_string(), "must be greater than zero"));
        }
    }
}

fn reclaim_policy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, place: Place<'_>) {
    let policy = spec.text("persistentVolumeReclaimPolicy");
    match place {
        _ if policy.is_empty() => {}
        Place::Inline if policy != "Retain" => {
            errors.push(FieldError::forbidden(path, "may only be Retain in the context of inline volumes"));
        }
        Place::Inline => {}
        Place::Volume(_) => one_of_if_set(errors, path, Some(policy), &["Delete", "Recycle", "Retain"]),
    }
}

fn affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, place: Place<'_>) {
    let Some(affinity) = spec.child("nodeAffinity") else { return };
    match (place, affinity.child("required")) {
        (Place::Inline, _) => errors.push(FieldError::forbidden(path, NOT_INLINE)),
        (Place::Volume(_), Some(required)) => node_selector(errors, &path.child("required"), required),
        (Place::Volume(_), None) => {
            errors.push(FieldError::required(path.child("required"), "must specify required node constraints"));
        }
    }
}

fn class_and_mode(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, place: Place<'_>) {
    let (class, at) = (spec.text("storageClassName"), path.child("storageClassName"));
    match place {
        _ if class.is_empty() => {}
        Place::Inline => errors.push(FieldError::forbidden(at, NOT_INLINE)),
        Place::Volume(_) => complain(errors, &at, class, names::dns_subdomain(class)),
    }
    let (mode, at) = (spec.text_if_set("volumeMode"), path.child("volumeMode"));
    match (place, mode) {
        (Place::Inline, Some(mode)) if mode != "Filesystem" => {
            let detail = "may not specify volumeMode other than Filesystem in the context of inline volumes";
            errors.push(FieldError::forbidden(at, detail));
        }
        (Place::Inline, _) => {}
        (Place::Volume(_), mode) => one_of_if_set(errors, &at, mode, &["Block", "Filesystem"]),
    }
}

pub(super) fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = create(new);
    let (new, old) = (workload::part(new, "spec"), workload::part(old, "spec"));
    let secret = ["csi", "controllerExpandSecretRef"];
    let mut allowed = new.clone();
    if old.has("csi")
        && old.at(&secret).is_none()
        && let Some(csi) = allowed.get_mut("csi")
    {
        // A driver may learn later how to make volumes larger.
        fields::remove(csi, "controllerExpandSecretRef");
    }
    if source::NAMES.iter().any(|source| !same(allowed.child(source), old.child(source))) {
        let difference = go_form::difference("PersistentVolumeSource", old, &allowed);
        let detail = format!("spec.persistentvolumesource is immutable after creation\n{difference}");
        errors.push(FieldError::forbidden("spec.persistentvolumesource", detail));
    }
    immutable(&mut errors, &FieldPath::root("volumeMode"), new.child("volumeMode"), old.child("volumeMode"));
    if let Some(affinity) = old.child("nodeAffinity")
        && !same(new.child("nodeAffinity"), Some(affinity))
    {
        let shown = new.child("nodeAffinity").map_or(Value::Null, |new| go_form::value("VolumeNodeAffinity", new));
        errors.push(FieldError::invalid("nodeAffinity", shown, crate::kinds::validation::IMMUTABLE));
    }
    let class = "volumeAttributesClassName";
    if old.has(class) && !new.has(class) {
        let detail = "update from non-nil value to nil is forbidden";
        errors.push(FieldError::forbidden(format!("spec.{class}"), detail));
    }
    errors
}
