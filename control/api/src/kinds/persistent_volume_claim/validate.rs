//! What is refused in a claim.

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::kinds::validation::resources::{amount_of, resource_amount};
use crate::kinds::validation::{complain, dns_subdomain, labels, one_of_if_set};
use crate::kinds::workload;
use crate::names;
use crate::status::{FieldError, FieldPath};

const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

/// A claim to be created.
pub(super) fn create(claim: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    spec(&mut errors, &FieldPath::root("spec"), workload::part(claim, "spec"));
    errors
}

/// The spec of a claim, wherever it stands.
pub(crate) fn spec(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let modes_path = path.child("accessModes");
    if spec.list("accessModes").is_empty() {
        errors.push(FieldError::required(modes_path, "at least 1 access mode is required"));
    }
    labels::selector(errors, &path.child("selector"), spec.child("selector"));
    access_modes(errors, &modes_path, spec);
    let resources_path = path.child("resources");
    let requests = spec.at(&["resources", "requests"]);
    match amount_of(requests, "storage") {
        None => errors.push(FieldError::required(resources_path.key("storage"), "")),
        Some(amount) => {
            let path = resources_path.key("storage");
            if amount.is_zero() || amount.is_negative() {
                errors.push(FieldError::invalid(path, amount.to_string(), "must be greater than zero"));
            } else {
                resource_amount(errors, &path, "storage", &amount);
            }
        }
    }
    if let Some(class) = spec.text_if_set("storageClassName").filter(|class| !class.is_empty()) {
        complain(errors, &path.child("storageClassName"), class, names::dns_subdomain(class));
    }
    let volume_mode = spec.text_if_set("volumeMode");
    one_of_if_set(errors, &path.child("volumeMode"), volume_mode, &["Block", "Filesystem"]);
    sources(errors, path, spec);
    if let Some(class) = spec.text_if_set("volumeAttributesClassName").filter(|class| !class.is_empty()) {
        dns_subdomain(errors, &path.child("volumeAttributesClassName"), class);
    }
}

/// Known access modes, of which the one for a single pod stands alone.
pub(crate) fn access_modes(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let modes = spec.texts("accessModes");
    for mode in &modes {
        one_of_if_set(errors, path, Some(mode), ACCESS_MODES);
    }
    let is_other = |mode: &&str| *mode != "ReadWriteOncePod" && ACCESS_MODES.contains(mode);
    if modes.contains(&"ReadWriteOncePod") && modes.iter().any(is_other) {
        let detail = "may not use ReadWriteOncePod with other access modes";
        errors.push(FieldError::forbidden(path, detail));
    }
}

fn sources(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    for field in ["dataSource", "dataSourceRef"] {
        let Some(source) = spec.child(field) else { continue };
        let path = path.child(field);
        let (name, kind, group) = (source.text("name"), source.text("kind"), source.text("apiGroup"));
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        if kind.is_empty() {
            errors.push(FieldError::required(path.child("kind"), ""));
        }
        if group.is_empty() && kind != "PersistentVolumeClaim" {
            let detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(FieldError::invalid(path, kind, detail));
        } else if !group.is_empty() {
            complain(errors, &path.child("apiGroup"), group, names::dns_subdomain(group));
        }
        if !source.text("namespace").is_empty() {
            let namespace = source.text("namespace");
            complain(errors, &path.child("namespace"), namespace, names::dns_label(namespace));
        }
    }
    let (source, reference) = (spec.child("dataSource"), spec.child("dataSourceRef"));
    let (Some(source), Some(reference)) = (source, reference) else { return };
    // Upstream shows a path as the value, which prints as an empty object.
    let shown = || Value::Object(serde_json::Map::new());
    if !reference.text("namespace").is_empty() {
        let detail = "may not be specified when dataSourceRef.namespace is specified";
        errors.push(FieldError::invalid(path, shown(), detail));
    } else if ["name", "kind", "apiGroup"].iter().any(|field| source.child(field) != reference.child(field)) {
        errors.push(FieldError::invalid(path, shown(), "must match dataSourceRef"));
    }
}
