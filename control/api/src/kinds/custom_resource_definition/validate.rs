//! What a definition must be.

use serde_json::Value;

use super::schema_rules::validate_schema;
use crate::custom::{JsonPath, is_condition_true};
use crate::kinds::admission_registration::client;
use crate::kinds::fields::{Fields, same};
use crate::names;
use crate::status::{FieldError, FieldPath};

const APPROVED: &str = "api-approved.kubernetes.io";

pub(super) fn validate(object: &Value) -> Vec<FieldError> {
    let null = Value::Null;
    let mut errors = Vec::new();
    let spec = object.child("spec").unwrap_or(&null);
    let names = spec.child("names").unwrap_or(&null);
    let name = object.at(&["metadata", "name"]).and_then(Value::as_str).unwrap_or_default();
    if name != format!("{}.{}", names.text("plural"), spec.text("group")) {
        errors.push(FieldError::invalid("metadata.name", name, "must be spec.names.plural+\".\"+spec.group"));
    }
    validate_spec(spec, &mut errors);
    approved(object, spec.text("group"), &mut errors);
    errors
}

pub(super) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate(new);
    if !is_condition_true(old, "Established") {
        return errors;
    }
    for field in [&["spec", "group"][..], &["spec", "scope"], &["spec", "names", "kind"], &["spec", "names", "plural"]]
    {
        if !same(new.at(field), old.at(field)) {
            let value = new.at(field).cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(field.join("."), value, "field is immutable"));
        }
    }
    let stored = new.child("status").map(|status| status.texts("storedVersions")).unwrap_or_default();
    let versions = new.child("spec").map(|spec| spec.list("versions")).unwrap_or_default();
    for (index, version) in stored.iter().enumerate() {
        if !versions.iter().any(|known| known.text("name") == *version) {
            let field = format!("status.storedVersions[{index}]");
            let detail = "missing from spec.versions; some custom resources may still be stored in this version";
            errors.push(FieldError::invalid(field, *version, detail));
        }
    }
    errors
}

/// Groups of Kubernetes itself need somebody's word.
fn approved(object: &Value, group: &str, errors: &mut Vec<FieldError>) {
    let protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    let given = object.at(&["metadata", "annotations", APPROVED]).is_some();
    if protected && !given {
        let detail = "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111";
        errors.push(FieldError::required(format!("metadata.annotations[{APPROVED}]"), detail));
    }
}

fn validate_spec(spec: &Value, errors: &mut Vec<FieldError>) {
    let path = FieldPath::root("spec");
    let group = spec.text("group");
    let group_path = path.child("group");
    if group.is_empty() {
        errors.push(FieldError::required(group_path, ""));
    } else {
        errors.extend(names::dns_subdomain(group).into_iter().map(|text| FieldError::invalid(group_path, group, text)));
        if !group.contains('.') {
            errors.push(FieldError::invalid(group_path, group, "should be a domain with at least one dot"));
        }
    }
    match spec.text("scope") {
        "" => errors.push(FieldError::required(path.child("scope"), "")),
        "Cluster" | "Namespaced" => {}
        other => errors.push(FieldError::not_supported(path.child("scope"), other, ["Cluster", "Namespaced"])),
    }
    if spec.is_true("preserveUnknownFields") {
        let detail =
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead";
        errors.push(FieldError::invalid(path.child("preserveUnknownFields"), true, detail));
    }
    validate_conversion(spec, &path, errors);
    validate_names(spec, &path, errors);
    validate_versions(spec, &path, errors);
}

fn validate_conversion(spec: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let path = path.child("conversion");
    let null = Value::Null;
    let conversion = spec.child("conversion").unwrap_or(&null);
    // Upstream flattens the webhook in its own form, and its messages name that.
    let client_path = path.child("webhookClientConfig");
    match conversion.text_if_set("strategy") {
        Some("") => errors.push(FieldError::required(path.child("strategy"), "")),
        Some("Webhook") => {
            let webhook = conversion.child("webhook").unwrap_or(&null);
            match webhook.child("clientConfig") {
                None => errors.push(FieldError::required(client_path, "required when strategy is set to Webhook")),
                Some(config) => client(errors, &client_path, config),
            }
            validate_review_versions(&webhook.texts("conversionReviewVersions"), &path, errors);
        }
        None | Some("None") => {
            let detail = "should not be set when strategy is not set to Webhook";
            if let Some(webhook) = conversion.child("webhook") {
                if webhook.child("clientConfig").is_some() {
                    errors.push(FieldError::forbidden(client_path, detail));
                }
                if !webhook.list("conversionReviewVersions").is_empty() {
                    errors.push(FieldError::forbidden(path.child("conversionReviewVersions"), detail));
                }
            }
        }
        Some(other) => errors.push(FieldError::not_supported(path.child("strategy"), other, ["None", "Webhook"])),
    }
}

fn validate_review_versions(versions: &[&str], path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let path = path.child("conversionReviewVersions");
    if versions.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    for (index, version) in versions.iter().enumerate() {
        if versions[..index].contains(version) {
            errors.push(FieldError::invalid(path.index(index), *version, "duplicate version"));
        }
        let complaints = names::dns_1035_label(version).into_iter();
        errors.extend(complaints.map(|complaint| FieldError::invalid(path.index(index), *version, complaint)));
    }
    if !versions.iter().any(|version| matches!(*version, "v1" | "v1beta1")) {
        let detail = "must include at least one of v1, v1beta1";
        errors.push(FieldError::invalid(path, Value::from(versions.to_vec()), detail));
    }
}

fn validate_names(spec: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let null = Value::Null;
    let names = spec.child("names").unwrap_or(&null);
    let path = path.child("names");
    for name in ["plural", "singular", "kind", "listKind"] {
        let text = names.text(name);
        if text.is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
            continue;
        }
        let mixed = name == "kind" || name == "listKind";
        let judged = if mixed { text.to_lowercase() } else { text.to_owned() };
        for complaint in names::dns_1035_label(&judged) {
            let detail =
                if mixed { format!("may have mixed case, but should otherwise match: {complaint}") } else { complaint };
            errors.push(FieldError::invalid(path.child(name), text, detail));
        }
    }
    for list in ["shortNames", "categories"] {
        for (index, text) in names.texts(list).into_iter().enumerate() {
            let complaints = names::dns_1035_label(text).into_iter();
            errors.extend(
                complaints.map(|complaint| FieldError::invalid(path.child(list).index(index), text, complaint)),
            );
        }
    }
    if !names.text("kind").is_empty() && names.text("kind") == names.text("listKind") {
        let detail = "kind and listKind may not be the same";
        errors.push(FieldError::invalid(path.child("listKind"), names.text("listKind"), detail));
    }
}

fn validate_versions(spec: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let versions = spec.list("versions");
    let list = path.child("versions");
    let mut seen = Vec::new();
    for (index, version) in versions.iter().enumerate() {
        let (path, name) = (list.index(index), version.text("name"));
        let complaints = names::dns_1035_label(name).into_iter();
        errors.extend(complaints.map(|text| FieldError::invalid(path.child("name"), name, text)));
        if seen.contains(&name) {
            errors.push(FieldError::invalid(list, Value::from(versions.to_vec()), "must contain unique version names"));
        }
        seen.push(name);
        if !version.at(&["schema"]).is_some_and(|schema| schema.has("openAPIV3Schema")) {
            errors.push(FieldError::required(path.child("schema.openAPIV3Schema"), "schemas are required"));
        }
    }
    if versions.iter().filter(|version| version.is_true("storage")).count() != 1 {
        let detail = "must have exactly one version marked as storage version";
        errors.push(FieldError::invalid(list, Value::from(versions.to_vec()), detail));
    }
    // Upstream keeps what all versions have alike in one place, and its messages name that place.
    let shared = |name: &str| versions.windows(2).all(|pair| same(pair[0].get(name), pair[1].get(name)));
    for (index, version) in versions.iter().enumerate() {
        let own = list.index(index);
        let place = |name: &str| if shared(name) { *path } else { own };
        let first = |name: &str| index == 0 || !shared(name);
        if let Some(schema) = version.at(&["schema", "openAPIV3Schema"]).filter(|_| first("schema")) {
            let base = place("schema");
            let field = if shared("schema") { base.child("validation") } else { base.child("schema") };
            validate_schema(schema, &field.child("openAPIV3Schema"), errors);
        }
        if first("additionalPrinterColumns") {
            validate_columns(version, &place("additionalPrinterColumns"), errors);
        }
        if let Some(scale) = version.at(&["subresources", "scale"]).filter(|_| first("subresources")) {
            validate_scale(scale, &place("subresources").child("subresources").child("scale"), errors);
        }
        for (index, field) in version.list("selectableFields").iter().enumerate() {
            let list = own.child("selectableFields");
            validate_path(field, &list.index(index), errors);
        }
    }
}

fn validate_columns(version: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let list = path.child("additionalPrinterColumns");
    for (index, column) in version.list("additionalPrinterColumns").iter().enumerate() {
        let path = list.index(index);
        if column.text("name").is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        }
        match column.text("type") {
            "" => errors
                .push(FieldError::required(path.child("type"), "must be one of boolean,date,integer,number,string")),
            "boolean" | "date" | "integer" | "number" | "string" => {}
            other => {
                let detail = "must be one of boolean,date,integer,number,string";
                errors.push(FieldError::invalid(path.child("type"), other, detail));
            }
        }
        validate_path(column, &path, errors);
    }
}

fn validate_path(object: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let text = object.text("jsonPath");
    if text.is_empty() {
        errors.push(FieldError::required(path.child("jsonPath"), ""));
    } else if !JsonPath::parse(text).is_valid() || !text.starts_with(['.', '[']) {
        let detail = "is an invalid path: must start with a dot and be a simple json path";
        errors.push(FieldError::invalid(path.child("jsonPath"), text, detail));
    }
}

fn validate_scale(scale: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    for (name, root) in [("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")] {
        let text = scale.text(name);
        if text.is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
        } else if !text.starts_with(root) {
            let detail = format!("should be a json path under {}", root.trim_end_matches('.'));
            errors.push(FieldError::invalid(path.child(name), text, detail));
        }
    }
    let text = scale.text("labelSelectorPath");
    if !text.is_empty() && !text.starts_with(".spec.") && !text.starts_with(".status.") {
        let detail = "should be a json path under either .status or .spec";
        errors.push(FieldError::invalid(path.child("labelSelectorPath"), text, detail));
    }
}
