//! Environment variables of a container, and references to the pod's own fields.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::resources::amount;
use crate::kinds::validation::{complain, config_key, environment_name, qualified_name};
use crate::quantity::Quantity;
use crate::status::{FieldError, FieldPath};

/// Fields of the pod that an environment variable may show.
const VARIABLE_FIELDS: &[&str] = &[
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Fields of the pod that a file of a volume may show.
pub(super) const FILE_FIELDS: &[&str] =
    &["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

/// All fields that have a name in version v1 at all.
const KNOWN_FIELDS: &[&str] = &[
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Resources of a container that can be shown.
const RESOURCES: &[&str] = &[
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

const SIZES: &[&str] = &["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
const NOT_BOTH: &str = "may not have more than one field specified at a time";

pub(super) fn variables(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, variables: &[Value]) {
    for (index, variable) in variables.iter().enumerate() {
        let path = path.index(index);
        let name = variable.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(path.child("name"), ""));
        } else {
            complain(errors, &path.child("name"), name, environment_name(name));
        }
        if let Some(source) = variable.child("valueFrom") {
            value_from(errors, &path.child("valueFrom"), source, variable.text("value"));
        }
    }
}

fn value_from(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value, value: &str) {
    let mut sources = 0;
    if let Some(reference) = source.child("fieldRef") {
        sources += 1;
        field_reference(errors, &path.child("fieldRef"), reference, VARIABLE_FIELDS);
    }
    if let Some(reference) = source.child("resourceFieldRef") {
        sources += 1;
        resource_reference(errors, &path.child("resourceFieldRef"), reference, false);
    }
    for field in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(reference) = source.child(field) {
            sources += 1;
            key_reference(errors, &path.child(field), reference);
        }
    }
    let detail = if sources == 0 {
        "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`"
    } else if !value.is_empty() {
        "may not be specified when `value` is not empty"
    } else if sources > 1 {
        NOT_BOTH
    } else {
        return;
    };
    errors.push(FieldError::invalid(path, "", detail));
}

fn key_reference(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, reference: &Value) {
    let (name, key) = (reference.text("name"), reference.text("key"));
    complain(errors, &path.child("name"), name, NameRule::Subdomain.complaints(name, false));
    if key.is_empty() {
        errors.push(FieldError::required(path.child("key"), ""));
    } else {
        complain(errors, &path.child("key"), key, config_key(key));
    }
}

pub(super) fn sources(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, sources: &[Value]) {
    for (index, source) in sources.iter().enumerate() {
        let item = path.index(index);
        let prefix = source.text("prefix");
        if !prefix.is_empty() {
            complain(errors, &item.child("prefix"), prefix, environment_name(prefix));
        }
        let mut count = 0;
        for field in ["configMapRef", "secretRef"] {
            let Some(reference) = source.child(field) else { continue };
            count += 1;
            let path = item.child(field);
            match reference.text("name") {
                "" => errors.push(FieldError::required(path.child("name"), "")),
                name => complain(errors, &path.child("name"), name, NameRule::Subdomain.complaints(name, true)),
            }
        }
        match count {
            0 => errors.push(FieldError::invalid(path, "", "must specify one of: `configMapRef` or `secretRef`")),
            1 => {}
            _ => errors.push(FieldError::invalid(path, "", NOT_BOTH)),
        }
    }
}

/// A reference to a field of the pod, which must be one of `allowed`, or one label or annotation.
pub(super) fn field_reference(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, reference: &Value, allowed: &[&str]) {
    let (version, field) = (reference.text("apiVersion"), reference.text("fieldPath"));
    for (name, value) in [("apiVersion", version), ("fieldPath", field)] {
        if value.is_empty() {
            errors.push(FieldError::required(path.child(name), ""));
            return;
        }
    }
    let subscript = field.split_once("['").and_then(|(field, rest)| Some((field, rest.strip_suffix("']")?)));
    let known = version == "v1"
        && match subscript {
            Some((field, _)) => matches!(field, "metadata.annotations" | "metadata.labels"),
            None => KNOWN_FIELDS.contains(&field) || field == "spec.host",
        };
    if !known {
        let cause = match (version, subscript) {
            ("v1", Some(_)) => format!("field label does not support subscript: {field}"),
            ("v1", None) => format!("field label not supported: {field}"),
            _ => format!("unsupported pod version: {version}"),
        };
        let detail = format!("error converting fieldPath: {cause}");
        errors.push(FieldError::invalid(path.child("fieldPath"), field, detail));
        return;
    }
    // A name of old for the same field.
    let field = if field == "spec.host" { "spec.nodeName" } else { field };
    match subscript {
        Some(("metadata.annotations", key)) => qualified_name(errors, path, &key.to_lowercase()),
        Some((_, key)) => qualified_name(errors, path, key),
        None if allowed.contains(&field) => {}
        None => errors.push(FieldError::not_supported(path.child("fieldPath"), field, allowed)),
    }
}

/// A reference to a resource of a container; in a volume it must say of which.
pub(super) fn resource_reference(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    reference: &Value,
    in_volume: bool,
) {
    let resource = reference.text("resource");
    let huge_page = ["limits.hugepages-", "requests.hugepages-"].iter().any(|prefix| resource.starts_with(prefix));
    if in_volume && reference.text("containerName").is_empty() {
        errors.push(FieldError::required(path.child("containerName"), ""));
    } else if resource.is_empty() {
        errors.push(FieldError::required(path.child("resource"), ""));
    } else if !RESOURCES.contains(&resource) && !huge_page {
        errors.push(FieldError::not_supported(path.child("resource"), resource, RESOURCES));
    }
    let divisor = reference.child("divisor").and_then(amount).unwrap_or(Quantity::ZERO);
    if divisor.is_zero() {
        return;
    }
    let (allowed, what): (&[&str], &str) = match resource {
        "limits.cpu" | "requests.cpu" => (&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => (SIZES, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => (SIZES, "local ephemeral storage"),
        _ if huge_page => (SIZES, "hugepages"),
        _ => return,
    };
    if !allowed.contains(&divisor.to_string().as_str()) {
        let list = if what == "cpu" { "1m and 1".to_owned() } else { SIZES.join(", ") };
        let detail = format!("only divisor's values {list} are supported with the {what} resource");
        errors.push(FieldError::invalid(path.child("divisor"), resource, detail));
    }
}

/// Variables from files must name an empty directory of the pod.
pub(super) fn file_references(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let volumes: BTreeMap<&str, &Value> =
        spec.list("volumes").iter().map(|volume| (volume.text("name"), volume)).collect();
    for (list, index, container) in super::containers(spec) {
        let path = path.child(list);
        let path = path.index(index);
        let path = path.child("env");
        for (index, variable) in container.list("env").iter().enumerate() {
            let Some(reference) = variable.at(&["valueFrom", "fileKeyRef"]) else { continue };
            let path = path.index(index);
            let path = path.child("valueFrom.fileKeyRef.volumeName");
            let name = reference.text("volumeName");
            match volumes.get(name) {
                None => errors.push(FieldError::not_found(path, name)),
                Some(volume) if !volume.has("emptyDir") => {
                    errors.push(FieldError::invalid(path, name, "referenced volume must be of type emptyDir"));
                }
                Some(_) => {}
            }
        }
    }
}
