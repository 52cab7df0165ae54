//! What is refused in a volume, and what may change in it.

use serde_json::Value;

use crate::kinds::fields::{Fields, same};
use crate::kinds::persistent_volume_claim::validate::access_modes;
use crate::kinds::pod::validate_scheduling::node_selector;
use crate::kinds::validation::resources::{amount_of, resource_amount};
use crate::kinds::validation::{complain, immutable, one_of_if_set};
use crate::kinds::workload;
use crate::names;
use crate::status::{FieldError, FieldPath};

/// The kinds of storage that a volume can be; a volume is exactly one.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "azureDisk",
    "portworxVolume",
    "storageos",
    "local",
    "csi",
    "scaleIO",
];

pub(super) fn create(volume: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = workload::part(volume, "spec");
    let path = FieldPath::root("spec");
    if spec.list("accessModes").is_empty() {
        errors.push(FieldError::required(path.child("accessModes"), ""));
    }
    access_modes(&mut errors, &path.child("accessModes"), spec);
    capacity(&mut errors, &path.child("capacity"), spec.child("capacity"));
    if let Some(policy) = spec.text_if_set("persistentVolumeReclaimPolicy") {
        let path = path.child("persistentVolumeReclaimPolicy");
        one_of_if_set(&mut errors, &path, Some(policy), &["Delete", "Recycle", "Retain"]);
    }
    affinity(&mut errors, &path, spec);
    source(&mut errors, &path, spec);
    let class = spec.text("storageClassName");
    if !class.is_empty() {
        complain(&mut errors, &path.child("storageClassName"), class, names::dns_subdomain(class));
    }
    one_of_if_set(&mut errors, &path.child("volumeMode"), spec.text_if_set("volumeMode"), &["Block", "Filesystem"]);
    if let Some(class) = spec.text_if_set("volumeAttributesClassName") {
        let path = path.child("volumeAttributesClassName");
        if class.is_empty() {
            errors.push(FieldError::required(path, "an empty string is disallowed"));
        } else {
            complain(&mut errors, &path, class, names::dns_subdomain(class));
        }
        if !spec.has("csi") {
            let detail = "has to be specified when using volumeAttributesClassName";
            errors.push(FieldError::required(FieldPath::root("spec").child("csi"), detail));
        }
    }
    errors
}

fn capacity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, capacity: Option<&Value>) {
    let entries = capacity.and_then(Value::as_object);
    if entries.is_none_or(serde_json::Map::is_empty) {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let Some(amount) = amount_of(capacity, "storage").filter(|_| entries.is_some_and(|map| map.len() == 1)) else {
        let shown = capacity.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::not_supported(path, shown, ["storage"]));
        return;
    };
    let path = path.key("storage");
    resource_amount(errors, &path, "storage", &amount);
    if amount.is_zero() || amount.is_negative() {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be greater than zero"));
    }
}

fn affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let path = path.child("nodeAffinity");
    let affinity = spec.child("nodeAffinity");
    match affinity.map(|affinity| affinity.child("required")) {
        None => {
            if spec.has("local") {
                errors.push(FieldError::required(path, "Local volume requires node affinity"));
            }
        }
        Some(None) => {
            errors.push(FieldError::required(path.child("required"), "must specify required node constraints"));
        }
        Some(Some(required)) => node_selector(errors, &path.child("required"), required),
    }
}

fn source(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let mut found = SOURCES.iter().filter(|source| spec.has(source));
    let Some(first) = found.next() else {
        errors.push(FieldError::required(path, "must specify a volume type"));
        return;
    };
    for second in found {
        errors.push(FieldError::forbidden(path.child(second), "may not specify more than 1 volume type"));
    }
    let value = workload::part(spec, first);
    let path = path.child(first);
    let mut need = |field: &str| {
        if value.text(field).is_empty() {
            errors.push(FieldError::required(path.child(field), ""));
        }
    };
    match *first {
        "hostPath" | "local" => need("path"),
        "nfs" => ["server", "path"].into_iter().for_each(&mut need),
        "csi" => ["driver", "volumeHandle"].into_iter().for_each(&mut need),
        "iscsi" => ["targetPortal", "iqn"].into_iter().for_each(&mut need),
        _ => {}
    }
    let host_path = spec.at(&["hostPath", "path"]).and_then(Value::as_str).unwrap_or_default();
    for (source, directory) in [("hostPath", host_path), ("local", workload::part(spec, "local").text("path"))] {
        if *first == source && directory.split('/').any(|step| step == "..") {
            errors.push(FieldError::invalid(path.child("path"), directory, "must not contain '..'"));
        }
    }
    if host_path == "/" && spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden("spec.persistentVolumeReclaimPolicy", detail));
    }
}

pub(super) fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = create(new);
    let (new, old) = (workload::part(new, "spec"), workload::part(old, "spec"));
    let path = FieldPath::root("spec");
    if SOURCES.iter().any(|source| !same(new.child(source), old.child(source))) {
        errors.push(FieldError::forbidden(
            path.child("persistentvolumesource"),
            "spec.persistentvolumesource is immutable after creation",
        ));
    }
    immutable(&mut errors, &path.child("volumeMode"), new.child("volumeMode"), old.child("volumeMode"));
    if old.has("nodeAffinity") {
        let path = path.child("nodeAffinity");
        immutable(&mut errors, &path, new.child("nodeAffinity"), old.child("nodeAffinity"));
    }
    errors
}
