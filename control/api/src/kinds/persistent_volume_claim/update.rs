//! What may change in a claim.

use serde_json::Value;

use super::{class, is_empty, validate};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::validation::resources::{amount_of, amounts, resource_amount};
use crate::kinds::validation::{immutable, qualified_name};
use crate::kinds::workload;
use crate::status::{FieldError, FieldPath};

const FROZEN: &str =
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims";

pub(super) fn object(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate::create(new);
    let (new_spec, old_spec) = (workload::part(new, "spec"), workload::part(old, "spec"));
    let mut allowed = old_spec.clone();
    // A claim that is bound now is so by the name of its volume.
    if old_spec.text("volumeName").is_empty() {
        fields::copy_from(&mut allowed, new_spec, "volumeName");
    }
    if old_spec.text("storageClassName").is_empty() && class(old) == class(new) {
        fields::copy_from(&mut allowed, new_spec, "storageClassName");
    }
    // A class may be given later to a claim that came before there was a default one.
    if !old_spec.has("storageClassName") && new_spec.has("storageClassName") {
        fields::copy_from(&mut allowed, new_spec, "storageClassName");
    }
    let bound = workload::part(old, "status").text("phase") == "Bound";
    if bound {
        resize(&mut errors, &mut allowed, new_spec, workload::part(old, "status"));
        fields::copy_from(&mut allowed, new_spec, "volumeAttributesClassName");
    }
    for field in ["dataSource", "dataSourceRef"] {
        if !old_spec.has(field) && !new_spec.has(field) {
            fields::remove(&mut allowed, field);
        }
    }
    if !same(Some(&allowed), Some(new_spec)) {
        errors.push(FieldError::forbidden("spec", FROZEN));
    }
    let path = FieldPath::root("spec");
    immutable(&mut errors, &path.child("volumeMode"), new_spec.child("volumeMode"), old_spec.child("volumeMode"));
    errors
}

/// A bound claim may ask for more, and for less again as long as that is more than what it has.
fn resize(errors: &mut Vec<FieldError>, allowed: &mut Value, new: &Value, old_status: &Value) {
    let old_request = amount_of(allowed.at(&["resources", "requests"]), "storage");
    let new_request = amount_of(new.at(&["resources", "requests"]), "storage");
    if let Some(resources) = fields::object_mut(allowed, "resources") {
        fields::copy_from(resources, workload::part(new, "resources"), "requests");
    }
    let (Some(old), Some(new)) = (old_request, new_request) else { return };
    if new < old && amount_of(old_status.child("capacity"), "storage").is_none_or(|capacity| new <= capacity) {
        let detail = "field can not be less than status.capacity";
        errors.push(FieldError::forbidden("spec.resources.requests.storage", detail));
    }
}

pub(super) fn status(new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let (spec, status) = (workload::part(new, "spec"), workload::part(new, "status"));
    if !spec.has("resources") || is_empty(spec.map("resources")) {
        errors.push(FieldError::required("spec.resources", ""));
    }
    for field in ["capacity", "allocatedResources"] {
        let path = path.child(field);
        for (name, amount) in amounts(status.child(field)) {
            qualified_name(&mut errors, &path.key(name), name);
            resource_amount(&mut errors, &path.key(name), name, &amount);
        }
    }
    errors
}
