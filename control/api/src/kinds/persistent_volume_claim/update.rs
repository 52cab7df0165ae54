//! What may change in a claim.

use serde_json::Value;

use super::{CLASS_ANNOTATION, validate};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::pod::go_form;
use crate::kinds::validation::resources::{amount_of, amounts, is_native, not_negative_amount, resource_amount};
use crate::kinds::validation::{IMMUTABLE, immutable, one_of_if_set, qualified_name};
use crate::kinds::workload;
use crate::quantity::Quantity;
use crate::status::{FieldError, FieldPath};

const FROZEN: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";
/// What can be said of the resizing of a claim's volume.
const RESIZE_STATES: &[&str] = &[
    "ControllerResizeInfeasible",
    "ControllerResizeInProgress",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

pub(super) fn object(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate::create(new);
    let (new_spec, old_spec) = (workload::part(new, "spec"), workload::part(old, "spec"));
    // What is left to compare when everything that may change is made alike.
    let (mut wanted, mut kept) = (new_spec.clone(), old_spec.clone());
    // A claim that is bound now is so by the name of its volume.
    if old_spec.text("volumeName").is_empty() {
        fields::copy_from(&mut kept, new_spec, "volumeName");
    }
    storage_class(&mut errors, &mut wanted, new, old);
    let bound = workload::part(new, "status").text("phase") == "Bound";
    if bound && let Some(requests) = wanted.pointer_mut("/resources/requests").and_then(Value::as_object_mut) {
        let size = old_spec.at(&["resources", "requests", "storage"]).cloned();
        requests.insert("storage".to_owned(), size.unwrap_or(Value::from("0")));
    }
    fields::copy_from(&mut wanted, old_spec, "volumeAttributesClassName");
    if !same(Some(&wanted), Some(&kept)) {
        let difference = go_form::difference("PersistentVolumeClaimSpec", &kept, &wanted);
        errors.push(FieldError::forbidden("spec", format!("{FROZEN}\n{difference}")));
    }
    shrink(&mut errors, new_spec, old);
    let mode = "volumeMode";
    immutable(&mut errors, &FieldPath::root(mode), new_spec.child(mode), old_spec.child(mode));
    let attributes = "volumeAttributesClassName";
    if old_spec.has(attributes) {
        let detail = match new_spec.text_if_set(attributes) {
            None => "update from non-nil value to nil is forbidden",
            Some("") => "update from non-nil value to an empty string is forbidden",
            Some(_) => return errors,
        };
        if !same(old_spec.child(attributes), new_spec.child(attributes)) {
            errors.push(FieldError::forbidden(format!("spec.{attributes}"), detail));
        }
    }
    errors
}

fn class_annotation(claim: &Value) -> Option<&str> {
    claim.at(&["metadata", "annotations", CLASS_ANNOTATION]).and_then(Value::as_str)
}

/// The class may move from the annotation to the field, and come later to a claim that had none.
fn storage_class(errors: &mut Vec<FieldError>, wanted: &mut Value, new: &Value, old: &Value) {
    let class = |claim: &Value| claim.at(&["spec", "storageClassName"]).and_then(Value::as_str).map(str::to_owned);
    let (new_class, old_class) = (class(new), class(old));
    let (new_mark, old_mark) = (class_annotation(new), class_annotation(old));
    let moved = old_mark.is_some()
        && old_class.is_none()
        && new_class.as_deref() == old_mark
        && new_mark.is_none_or(|mark| Some(mark) == old_mark);
    if moved {
        fields::remove(wanted, "storageClassName");
        return;
    }
    if new_mark.unwrap_or_default() != old_mark.unwrap_or_default() {
        let path = format!("metadata.annotations.{CLASS_ANNOTATION}");
        errors.push(FieldError::invalid(path, new_mark.unwrap_or_default(), IMMUTABLE));
    }
    let first = new_class.is_some() && old_class.is_none();
    if first && old_mark.is_none_or(|mark| new_class.as_deref() == Some(mark)) {
        fields::remove(wanted, "storageClassName");
    }
}

/// A claim may ask for less again, as long as that is more than what it has.
fn shrink(errors: &mut Vec<FieldError>, new_spec: &Value, old: &Value) {
    let size = |spec: &Value| amount_of(spec.at(&["resources", "requests"]), "storage").unwrap_or(Quantity::ZERO);
    let (wanted, asked) = (size(new_spec), size(workload::part(old, "spec")));
    let has = amount_of(old.at(&["status", "capacity"]), "storage").unwrap_or(Quantity::ZERO);
    if wanted < asked && wanted <= has {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
}

pub(super) fn status(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let (spec, status) = (workload::part(new, "spec"), workload::part(new, "status"));
    if spec.list("accessModes").is_empty() {
        errors.push(FieldError::required("Spec.accessModes", ""));
    }
    for (name, amount) in amounts(status.child("capacity")) {
        not_negative_amount(&mut errors, &path.child("capacity").key(name), &amount);
    }
    let states = path.child("allocatedResourceStatus");
    for (name, state) in fields::text_entries(status.map("allocatedResourceStatuses")) {
        resource_key(&mut errors, &states, name);
        if !RESIZE_STATES.contains(&state) {
            one_of_if_set(&mut errors, &states, Some(name), RESIZE_STATES);
        }
    }
    let allocated = path.child("allocatedResources");
    for (name, amount) in amounts(status.child("allocatedResources")) {
        if !resource_key(&mut errors, &allocated, name) {
            continue;
        }
        if amount.is_negative() {
            not_negative_amount(&mut errors, &allocated.key(name), &amount);
        } else {
            resource_amount(&mut errors, &allocated.key(name), "storage", &amount);
        }
    }
    errors
}

/// The name of a resource that a claim can have: storage, or a foreign one.
fn resource_key(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) -> bool {
    let before = errors.len();
    qualified_name(errors, path, name);
    if errors.len() == before && is_native(name) && name != "storage" {
        errors.push(FieldError::not_supported(path, name, ["storage"]));
    }
    errors.len() == before
}
