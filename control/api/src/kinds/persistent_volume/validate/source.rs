//! The kinds of storage that a volume can be. A volume is exactly one.

use serde_json::Value;

use crate::kinds::fields::{Fields, text_entries};
use crate::kinds::validation::{complain, one_of_if_set};
use crate::kinds::workload;
use crate::names;
use crate::status::{FieldError, FieldPath};

const MORE_THAN_ONE: &str = "may not specify more than 1 volume type";
const PARTITION: &str = "must be between 1 and 255, inclusive";
/// Longest name of a Quobyte tenant, in bytes.
const TENANT_BYTES_MAX: usize = 64;
const ISCSI_NAME: &str = "must be valid format";
/// Most characters of a volume's name, a colon and the portal of its target together.
const ISCSI_PORTAL_MAX: usize = 64;

/// Every source in the order in which upstream looks for it.
pub(super) const NAMES: &[&str] = &[
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
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];

/// The fields that each source must have.
const NEEDED: &[(&str, &[&str])] = &[
    ("hostPath", &["path"]),
    ("gcePersistentDisk", &["pdName"]),
    ("awsElasticBlockStore", &["volumeID"]),
    ("glusterfs", &["endpoints", "path"]),
    ("nfs", &["server", "path"]),
    ("iscsi", &["targetPortal", "iqn"]),
    ("cinder", &["volumeID"]),
    ("flexVolume", &["driver"]),
    ("azureFile", &["secretName", "shareName"]),
    ("vsphereVolume", &["volumePath"]),
    ("photonPersistentDisk", &["pdID"]),
    ("portworxVolume", &["volumeID"]),
    ("azureDisk", &["diskName", "diskURI"]),
    ("scaleIO", &["gateway", "system", "volumeName"]),
    ("local", &["path"]),
];

pub(super) fn exactly_one(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value, volume: &str) {
    let mut found = false;
    for name in NAMES {
        let Some(source) = spec.child(name) else { continue };
        if found && *name != "flexVolume" {
            let shown = if *name == "cephfs" { "cephFS" } else { name };
            errors.push(FieldError::forbidden(path.child(shown), MORE_THAN_ONE));
            continue;
        }
        found = true;
        // Upstream calls this one by a shorter name here.
        let at = path.child(if *name == "gcePersistentDisk" { "persistentDisk" } else { name });
        let needed = NEEDED.iter().find(|(source, _)| source == name).map_or(&[][..], |(_, fields)| fields);
        for field in needed {
            if source.text(field).is_empty() {
                errors.push(FieldError::required(at.child(field), ""));
            }
        }
        one(errors, &at, name, source, volume);
        if *name == "local" && !spec.has("nodeAffinity") {
            errors.push(FieldError::required(path.child("nodeAffinity"), "Local volume requires node affinity"));
        }
    }
    if !found {
        errors.push(FieldError::required(path, "must specify a volume type"));
    }
    let directory = workload::part(spec, "hostPath").text("path");
    let is_root = !directory.is_empty() && directory.split('/').all(|step| matches!(step, "" | "."));
    if is_root && directory.starts_with('/') && spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let detail = "may not be 'recycle' for a hostPath mount of '/'";
        errors.push(FieldError::forbidden(path.child("persistentVolumeReclaimPolicy"), detail));
    }
}

fn one(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str, source: &Value, volume: &str) {
    match name {
        "hostPath" if !source.text("path").is_empty() => host_path(errors, path, source),
        "local" if !source.text("path").is_empty() => no_backsteps(errors, &path.child("path"), source.text("path")),
        "gcePersistentDisk" | "awsElasticBlockStore" => {
            if let Some(partition) = source.int("partition").filter(|partition| !(0..=255).contains(partition)) {
                errors.push(FieldError::invalid(path.child("partition"), partition, PARTITION));
            }
        }
        "glusterfs" => namespace_of_endpoints(errors, &path.child("endpointsNamespace"), source),
        "nfs" if !source.text("path").starts_with('/') => {
            errors.push(FieldError::invalid(path.child("path"), source.text("path"), "must be an absolute path"));
        }
        "rbd" | "cephfs" => {
            if source.list("monitors").is_empty() {
                errors.push(FieldError::required(path.child("monitors"), ""));
            }
            if name == "rbd" && source.text("image").is_empty() {
                errors.push(FieldError::required(path.child("image"), ""));
            }
        }
        "quobyte" => quobyte(errors, path, source),
        "iscsi" => iscsi(errors, path, source, volume),
        "cinder" | "azureFile" | "scaleIO" => secrets(errors, path, name, source),
        "fc" => fibre_channel(errors, path, source),
        "flocker" => flocker(errors, path, source),
        "flexVolume" => flex_options(errors, &path.child("options"), source),
        "azureDisk" => azure_disk(errors, path, source),
        "csi" => csi(errors, path, source),
        "storageos" => storage_os(errors, path, source, &["name", "namespace"]),
        _ => {}
    }
}

fn host_path(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    const TYPES: &[&str] =
        &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];
    no_backsteps(errors, &path.child("path"), source.text("path"));
    one_of_if_set(errors, &path.child("type"), source.text_if_set("type"), TYPES);
}

fn no_backsteps(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, directory: &str) {
    if directory.split('/').any(|step| step == "..") {
        errors.push(FieldError::invalid(path, directory, "must not contain '..'"));
    }
}

fn namespace_of_endpoints(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    match source.text_if_set("endpointsNamespace") {
        None => {}
        Some("") => {
            let detail = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.push(FieldError::invalid(path, "", detail));
        }
        Some(namespace) => complain(errors, path, namespace, names::dns_label(namespace)),
    }
}

fn iscsi(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value, volume: &str) {
    let (portal, name) = (source.text("targetPortal"), source.text("iqn"));
    let initiator = source.text_if_set("initiatorName");
    if initiator.is_some() && volume.len() + 1 + portal.len() > ISCSI_PORTAL_MAX {
        let detail = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        errors.push(FieldError::invalid(path.child("targetportal"), portal, detail));
    }
    if !name.is_empty() && !is_iscsi_name(name) {
        errors.push(FieldError::invalid(path.child("iqn"), name, ISCSI_NAME));
    }
    if let Some(lun) = source.int("lun").filter(|lun| !(0..=255).contains(lun)) {
        errors.push(FieldError::invalid(path.child("lun"), lun, names::out_of_range(0, 255)));
    }
    let chap = source.is_true("chapAuthDiscovery") || source.is_true("chapAuthSession");
    match source.child("secretRef") {
        None if chap => errors.push(FieldError::required(path.child("secretRef"), "")),
        Some(secret) if secret.text("name").is_empty() => {
            errors.push(FieldError::required(path.child("secretRef").child("name"), ""));
        }
        _ => {}
    }
    if let Some(initiator) = initiator.filter(|initiator| !is_iscsi_name(initiator)) {
        errors.push(FieldError::invalid(path.child("initiatorname"), initiator, ISCSI_NAME));
    }
}

/// `iqn.2001-04.com.example:storage`, `eui.` and 16 letters or digits, or `naa.` and 32 of them.
pub(in crate::kinds) fn is_iscsi_name(name: &str) -> bool {
    let is_word =
        |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if let Some(rest) = name.strip_prefix("iqn.") {
        let mut bytes = rest.bytes();
        let is_dated = b"dddd-dd.".iter().all(|shape| match (shape, bytes.next()) {
            (b'd', Some(byte)) => byte.is_ascii_digit(),
            (shape, byte) => Some(*shape) == byte,
        });
        let Some((owner, target)) = rest.get(8..).and_then(|rest| rest.split_once(':')) else { return false };
        let owner_fits = owner.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        let target_fits = !target.chars().any(|character| ",;*&$|".contains(character) || character.is_whitespace());
        return is_dated && !owner.is_empty() && owner_fits && !target.is_empty() && target_fits;
    }
    name.strip_prefix("eui.").is_some_and(|rest| is_word(rest, 16))
        || name.strip_prefix("naa.").is_some_and(|rest| is_word(rest, 32))
}

fn secrets(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str, source: &Value) {
    if name == "azureFile" {
        if source.text_if_set("secretNamespace") == Some("") {
            errors.push(FieldError::required(path.child("secretNamespace"), ""));
        }
        return;
    }
    let Some(secret) = source.child("secretRef") else { return };
    let fields: &[&str] = if name == "cinder" { &["name", "namespace"] } else { &[] };
    for field in fields {
        if secret.text(field).is_empty() {
            errors.push(FieldError::required(path.child("secretRef").child(field), ""));
        }
    }
}

pub(in crate::kinds) fn fibre_channel(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    let (wide, ids) = (source.texts("targetWWNs"), source.texts("wwids"));
    let at = path.child("targetWWNs");
    if wide.is_empty() && ids.is_empty() {
        errors.push(FieldError::required(at, "must specify either targetWWNs or wwids, but not both"));
    }
    if !wide.is_empty() && !ids.is_empty() {
        let detail = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(FieldError::invalid(at, serde_json::json!(wide), detail));
    }
    if wide.is_empty() {
        return;
    }
    match source.int("lun") {
        None => errors.push(FieldError::required(path.child("lun"), "lun is required if targetWWNs is specified")),
        Some(lun) if !(0..=255).contains(&lun) => {
            errors.push(FieldError::invalid(path.child("lun"), lun, names::out_of_range(0, 255)));
        }
        Some(_) => {}
    }
}

pub(in crate::kinds) fn flocker(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    let (name, id) = (source.text("datasetName"), source.text("datasetUUID"));
    if name.is_empty() && id.is_empty() {
        errors.push(FieldError::required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !id.is_empty() {
        let detail = "datasetName and datasetUUID can not be specified simultaneously";
        errors.push(FieldError::invalid(path, "resource", detail));
    }
    if name.contains('/') {
        errors.push(FieldError::invalid(path.child("datasetName"), name, "must not contain '/'"));
    }
}

pub(in crate::kinds) fn quobyte(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let (registry, at) = (source.text("registry"), path.child("registry"));
    if registry.is_empty() {
        errors.push(FieldError::required(at, PAIRS));
    } else if source.text("tenant").len() > TENANT_BYTES_MAX {
        let detail = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(FieldError::required(path.child("tenant"), detail));
    } else {
        for _ in registry.split(',').filter(|pair| !is_pair(pair)) {
            errors.push(FieldError::invalid(at, registry, PAIRS));
        }
    }
    if source.text("volume").is_empty() {
        errors.push(FieldError::required(path.child("volume"), ""));
    }
}

/// `host:port`, an IPv6 address in brackets.
fn is_pair(pair: &str) -> bool {
    let Some((host, port)) = pair.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let has_brackets = |text: &str| text.contains(['[', ']']);
    !has_brackets(port) && bare.map_or_else(|| !host.contains(':') && !has_brackets(host), |bare| !has_brackets(bare))
}

pub(in crate::kinds) fn flex_options(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    for (key, _) in text_entries(source.map("options")) {
        let namespace = key.split_once('/').map_or(key, |(namespace, _)| namespace);
        let dotted = format!(".{}", namespace.to_lowercase());
        if dotted.ends_with(".kubernetes.io") || dotted.ends_with(".k8s.io") {
            let detail = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(FieldError::invalid(path.key(key), key, detail));
        }
    }
}

pub(in crate::kinds) fn azure_disk(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    const MANAGED: &str =
        "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}";
    const BLOB: &str = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd";
    let (mode, kind) = (source.text_if_set("cachingMode"), source.text_if_set("kind"));
    one_of_if_set(errors, &path.child("cachingMode"), mode, &["None", "ReadOnly", "ReadWrite"]);
    one_of_if_set(errors, &path.child("kind"), kind, &["Dedicated", "Managed", "Shared"]);
    let (place, at) = (source.text("diskURI"), path.child("diskURI"));
    if kind == Some("Managed") && !place.starts_with("/subscriptions/") {
        errors.push(FieldError::not_supported(at, place, [MANAGED]));
    }
    if kind.is_some_and(|kind| kind != "Managed") && !place.starts_with("https://") && !place.is_empty() {
        errors.push(FieldError::not_supported(at, place, [BLOB]));
    }
}

/// `secret_fields` are those that the reference to a secret must have.
pub(in crate::kinds) fn storage_os(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    source: &Value,
    secret_fields: &[&str],
) {
    match source.text("volumeName") {
        "" => errors.push(FieldError::required(path.child("volumeName"), "")),
        name => complain(errors, &path.child("volumeName"), name, names::dns_label(name)),
    }
    let namespace = source.text("volumeNamespace");
    if !namespace.is_empty() {
        complain(errors, &path.child("volumeNamespace"), namespace, names::dns_label(namespace));
    }
    let Some(secret) = source.child("secretRef") else { return };
    for field in secret_fields {
        if secret.text(field).is_empty() {
            errors.push(FieldError::required(path.child("secretRef").child(field), ""));
        }
    }
}

fn csi(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, source: &Value) {
    crate::kinds::storage::driver_name(errors, &path.child("driver"), source.text("driver"));
    if source.text("volumeHandle").is_empty() {
        errors.push(FieldError::required(path.child("volumeHandle"), ""));
    }
    for field in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let Some(secret) = source.child(field) else { continue };
        let path = path.child(field);
        for part in ["name", "namespace"] {
            match secret.text(part) {
                "" => errors.push(FieldError::required(path.child(part), "")),
                text if part == "name" => complain(errors, &path.child(part), text, names::dns_subdomain(text)),
                text => complain(errors, &path.child(part), text, names::dns_label(text)),
            }
        }
    }
}
