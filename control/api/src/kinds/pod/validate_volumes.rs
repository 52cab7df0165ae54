//! Volumes: exactly one source each, and that one right.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::validate::Owner;
use super::{validate_environment, validate_projected};
use crate::kinds::fields::Fields;
use crate::kinds::persistent_volume::validate::source as storage;
use crate::kinds::persistent_volume_claim::validate as claim;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::resources::amount;
use crate::kinds::validation::{dns_label, dns_subdomain, labels, one_of_if_set};
use crate::names;
use crate::quantity::Quantity;
use crate::status::{FieldError, FieldPath};

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";
/// What is said of permissions that are none.
pub(super) const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const FILE_MODE_MAX: i64 = 0o777;

/// Every source in the order in which upstream looks for it, the name it has in the error about a second source, and
/// the fields that it must have.
const SOURCES: &[(&str, &str, &[&str])] = &[
    ("emptyDir", "emptyDir", &[]),
    ("hostPath", "hostPath", &["path"]),
    ("gitRepo", "gitRepo", &["repository"]),
    ("gcePersistentDisk", "gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", "awsElasticBlockStore", &["volumeID"]),
    ("secret", "secret", &["secretName"]),
    ("nfs", "nfs", &["server", "path"]),
    ("iscsi", "iscsi", &["targetPortal", "iqn"]),
    ("glusterfs", "glusterfs", &["endpoints", "path"]),
    ("flocker", "flocker", &[]),
    ("persistentVolumeClaim", "persistentVolumeClaim", &["claimName"]),
    ("rbd", "rbd", &[]),
    ("cinder", "cinder", &["volumeID"]),
    ("cephfs", "cephFS", &[]),
    ("quobyte", "quobyte", &[]),
    ("downwardAPI", "downwarAPI", &[]),
    ("fc", "fc", &[]),
    ("flexVolume", "flexVolume", &["driver"]),
    ("configMap", "configMap", &["name"]),
    ("azureFile", "azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", "vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", "photonPersistentDisk", &["pdID"]),
    ("portworxVolume", "portworxVolume", &["volumeID"]),
    ("azureDisk", "azureDisk", &["diskName", "diskURI"]),
    ("storageos", "storageos", &[]),
    ("projected", "projected", &[]),
    ("scaleIO", "scaleIO", &["gateway", "system", "volumeName"]),
    ("csi", "csi", &[]),
    ("ephemeral", "ephemeral", &[]),
    ("image", "image", &["reference"]),
];

/// Checks the volumes and returns the valid ones by name.
pub(super) fn volumes<'a>(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    volumes: &'a [Value],
    owner: Owner<'_>,
) -> BTreeMap<&'a str, &'a Value> {
    let pod_name = match owner {
        Owner::Pod(metadata) => metadata.text("name"),
        Owner::Template => "",
    };
    let made_claims: BTreeSet<String> = volumes
        .iter()
        .filter(|volume| volume.has("ephemeral") && !pod_name.is_empty())
        .map(|volume| format!("{pod_name}-{}", volume.text("name")))
        .collect();
    let mut valid = BTreeMap::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = path.index(index);
        let name = volume.text("name");
        let mut found = Vec::new();
        source(&mut found, &path, volume, pod_name);
        if name.is_empty() {
            found.push(FieldError::required(path.child("name"), ""));
        } else {
            dns_label(&mut found, &path.child("name"), name);
        }
        if valid.contains_key(name) {
            found.push(FieldError::duplicate(path.child("name"), name));
        }
        if found.is_empty() {
            valid.insert(name, volume);
        }
        errors.append(&mut found);
        let claim = volume.child("persistentVolumeClaim").map(|claim| claim.text("claimName")).unwrap_or_default();
        if made_claims.contains(claim) {
            errors.push(FieldError::invalid(
                path.child("persistentVolumeClaim.claimName"),
                claim,
                "must not reference a PVC that gets created for an ephemeral volume",
            ));
        }
    }
    valid
}

fn source(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, volume: &Value, pod_name: &str) {
    let mut found = false;
    for (field, shown, required) in SOURCES {
        let Some(source) = volume.child(field) else { continue };
        if found {
            errors.push(FieldError::forbidden(path.child(shown), MORE_THAN_ONE));
            continue;
        }
        found = true;
        // Upstream calls this one by a shorter name here.
        let name = if *field == "gcePersistentDisk" { "persistentDisk" } else { field };
        let source_path = path.child(name);
        for field in *required {
            if source.text(field).is_empty() {
                errors.push(FieldError::required(source_path.child(field), ""));
            }
        }
        one_source(errors, &source_path, field, source);
        if *field == "ephemeral" && !pod_name.is_empty() && !volume.text("name").is_empty() {
            claim_name(errors, &path.child("name"), volume.text("name"), pod_name);
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
}

/// A claim made for a volume is named for pod and volume; that name must be valid too.
fn claim_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, volume: &str, pod: &str) {
    let name = format!("{pod}-{volume}");
    for complaint in NameRule::Subdomain.complaints(&name, false) {
        let detail = format!("PVC name {}: {complaint}", crate::go_text::quote(&name));
        errors.push(FieldError::invalid(path, volume, detail));
    }
}

fn one_source(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, field: &str, source: &Value) {
    match field {
        "emptyDir" if source.child("sizeLimit").and_then(amount).is_some_and(|limit| limit < Quantity::ZERO) => {
            errors.push(FieldError::forbidden(
                path.child("sizeLimit"),
                "SizeLimit field must be a valid resource quantity",
            ));
        }
        "hostPath" => host_path(errors, path, source),
        "gitRepo" => relative_path(errors, &path.child("directory"), source.text("directory")),
        "secret" | "configMap" => {
            file_mode(errors, &path.child("defaultMode"), source.int("defaultMode"));
            key_files(errors, path, source.list("items"));
        }
        "downwardAPI" => {
            file_mode(errors, &path.child("defaultMode"), source.int("defaultMode"));
            for item in source.list("items") {
                downward_file(errors, path, item);
            }
        }
        "projected" => {
            file_mode(errors, &path.child("defaultMode"), source.int("defaultMode"));
            validate_projected::sources(errors, path, source.list("sources"));
        }
        "nfs" => absolute_path(errors, &path.child("path"), source.text("path")),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            if let Some(partition) = source.int("partition").filter(|partition| !(0..=255).contains(partition)) {
                errors.push(FieldError::invalid(path.child("partition"), partition, names::out_of_range(1, 255)));
            }
        }
        "rbd" | "cephfs" => {
            if source.list("monitors").is_empty() {
                errors.push(FieldError::required(path.child("monitors"), ""));
            }
            if field == "rbd" && source.text("image").is_empty() {
                errors.push(FieldError::required(path.child("image"), ""));
            }
        }
        "ephemeral" => claim_template(errors, path, source),
        "image" => {
            let policy = source.text_if_set("pullPolicy").filter(|policy| !policy.is_empty());
            one_of_if_set(errors, &path.child("pullPolicy"), policy, &["Always", "IfNotPresent", "Never"]);
        }
        "iscsi" => iscsi(errors, path, source),
        "fc" => storage::fibre_channel(errors, path, source),
        "flocker" => storage::flocker(errors, path, source),
        "quobyte" => storage::quobyte(errors, path, source),
        "flexVolume" => storage::flex_options(errors, &path.child("options"), source),
        "azureDisk" => storage::azure_disk(errors, path, source),
        "storageos" => storage::storage_os(errors, path, source, &["name"]),
        "cinder" if source.child("secretRef").is_some_and(|secret| secret.text("name").is_empty()) => {
            errors.push(FieldError::required(path.child("secretRef.name"), ""));
        }
        "csi" => csi(errors, path, source),
        _ => {}
    }
}

fn host_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    let target = source.text("path");
    if target.is_empty() {
        return;
    }
    no_backsteps(errors, &path.child("path"), target);
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    one_of_if_set(errors, &path.child("type"), source.text_if_set("type"), TYPES);
}

fn iscsi(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    let name = source.text("iqn");
    if !name.is_empty() {
        iscsi_name(errors, &path.child("iqn"), name);
    }
    if let Some(lun) = source.int("lun").filter(|lun| !(0..=255).contains(lun)) {
        errors.push(FieldError::invalid(path.child("lun"), lun, names::out_of_range(0, 255)));
    }
    let chap = source.is_true("chapAuthDiscovery") || source.is_true("chapAuthSession");
    if chap && !source.has("secretRef") {
        errors.push(FieldError::required(path.child("secretRef"), ""));
    }
    if let Some(initiator) = source.text_if_set("initiatorName") {
        iscsi_name(errors, &path.child("initiatorname"), initiator);
    }
}

fn iscsi_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if !["iqn", "eui", "naa"].iter().any(|prefix| name.starts_with(prefix)) {
        errors.push(FieldError::invalid(path, name, "must be valid format starting with iqn, eui, or naa"));
    } else if !storage::is_iscsi_name(name) {
        errors.push(FieldError::invalid(path, name, "must be valid format"));
    }
}

fn csi(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    crate::kinds::storage::driver_name(errors, &path.child("driver"), source.text("driver"));
    let Some(secret) = source.child("nodePublishSecretRef") else { return };
    match secret.text("name") {
        "" => errors.push(FieldError::required(path.child("nodePublishSecretRef.name"), "")),
        name => dns_subdomain(errors, &path.child("name"), name),
    }
}

/// What the metadata of a claim template may not say, as upstream's program calls it.
const NOT_IN_TEMPLATES: &[(&str, &str)] = &[
    ("name", "Name"),
    ("generateName", "GenerateName"),
    ("namespace", "Namespace"),
    ("selfLink", "SelfLink"),
    ("uid", "UID"),
    ("resourceVersion", "ResourceVersion"),
    ("generation", "Generation"),
    ("creationTimestamp", "CreationTimestamp"),
    ("deletionTimestamp", "DeletionTimestamp"),
    ("deletionGracePeriodSeconds", "DeletionGracePeriodSeconds"),
    ("ownerReferences", "OwnerReferences"),
    ("finalizers", "Finalizers"),
    ("managedFields", "ManagedFields"),
];

/// The claim that is made for a volume with the pod.
fn claim_template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    let path = path.child("volumeClaimTemplate");
    let Some(template) = source.child("volumeClaimTemplate") else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    let null = Value::Null;
    let metadata = template.child("metadata").unwrap_or(&null);
    let meta_path = path.child("metadata");
    labels::annotations(errors, &meta_path.child("annotations"), metadata.map("annotations"));
    labels::labels(errors, &meta_path.child("labels"), metadata.map("labels"));
    for (field, shown) in NOT_IN_TEMPLATES {
        if metadata
            .child(field)
            .is_some_and(|value| *value != "" && *value != 0 && value.as_array().is_none_or(|items| !items.is_empty()))
        {
            errors.push(FieldError::forbidden(meta_path.child(shown), "cannot be set for an ephemeral volume"));
        }
    }
    claim::spec(errors, &path.child("spec"), template.child("spec").unwrap_or(&null));
}

/// `items` of a source: which key becomes which file.
pub(super) fn key_files(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, items: &[Value]) {
    let path = path.child("items");
    for (index, item) in items.iter().enumerate() {
        let path = path.index(index);
        for field in ["key", "path"] {
            if item.text(field).is_empty() {
                errors.push(FieldError::required(path.child(field), ""));
            }
        }
        local_path(errors, &path.child("path"), item.text("path"));
        file_mode(errors, &path.child("mode"), item.int("mode"));
    }
}

/// A file that shows a field of the pod.
pub(super) fn downward_file(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, item: &Value) {
    let target = item.text("path");
    if target.is_empty() {
        errors.push(FieldError::required(path.child("path"), ""));
    }
    local_path(errors, &path.child("path"), target);
    match (item.child("fieldRef"), item.child("resourceFieldRef")) {
        (Some(reference), resource) => {
            validate_environment::field_reference(
                errors,
                &path.child("fieldRef"),
                reference,
                validate_environment::FILE_FIELDS,
            );
            if resource.is_some() {
                let detail = "fieldRef and resourceFieldRef can not be specified simultaneously";
                errors.push(FieldError::invalid(path, "resource", detail));
            }
        }
        (None, Some(reference)) => {
            validate_environment::resource_reference(errors, &path.child("resourceFieldRef"), reference, true);
        }
        (None, None) => errors.push(FieldError::required(path, "one of fieldRef and resourceFieldRef is required")),
    }
    file_mode(errors, &path.child("mode"), item.int("mode"));
}

fn file_mode(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, mode: Option<i64>) {
    if let Some(mode) = mode.filter(|mode| !(0..=FILE_MODE_MAX).contains(mode)) {
        errors.push(FieldError::invalid(path, mode, FILE_MODE));
    }
}

pub(super) fn has_backstep(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}

fn no_backsteps(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, target: &str) {
    if has_backstep(target) {
        errors.push(FieldError::invalid(path, target, "must not contain '..'"));
    }
}

fn absolute_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, target: &str) {
    if !target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be an absolute path"));
    }
}

/// A path below some directory.
pub(super) fn relative_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, target: &str) {
    if target.starts_with('/') {
        errors.push(FieldError::invalid(path, target, "must be a relative path"));
    }
    no_backsteps(errors, path, target);
}

/// A path below a volume's directory; names that begin with two dots are the host's own.
pub(super) fn local_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, target: &str) {
    relative_path(errors, path, target);
    if target.starts_with("..") && !target.starts_with("../") {
        errors.push(FieldError::invalid(path, target, "must not start with '..'"));
    }
}
