//! Where a container sees the pod's volumes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::validate_volumes::{has_backstep, relative_path};
use crate::kinds::fields::Fields;
use crate::kinds::validation::one_of_if_set;
use crate::status::{FieldError, FieldPath};

pub(super) fn mounts(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    container: &Value,
    volumes: &BTreeMap<&str, &Value>,
) {
    let devices = container.list("volumeDevices");
    let mut seen = BTreeSet::new();
    for (index, mount) in container.list("volumeMounts").iter().enumerate() {
        let item = path.index(index);
        let (name, target) = (mount.text("name"), mount.text("mountPath"));
        if name.is_empty() {
            errors.push(FieldError::required(item.child("name"), ""));
        }
        if !volumes.contains_key(name) {
            errors.push(FieldError::not_found(item.child("name"), name));
        }
        if target.is_empty() {
            errors.push(FieldError::required(item.child("mountPath"), ""));
        }
        if !seen.insert(target) {
            errors.push(FieldError::invalid(item.child("mountPath"), target, "must be unique"));
        }
        if devices.iter().any(|device| device.text("name") == name) {
            errors.push(FieldError::invalid(item.child("name"), name, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|device| device.text("devicePath") == target) {
            errors.push(FieldError::invalid(
                item.child("mountPath"),
                target,
                "must not already exist as a path in volumeDevices",
            ));
        }
        sub_paths(errors, path, &item, mount);
        propagation(errors, path, mount, container);
    }
}

/// Upstream reports these without the mount's place in the list.
fn sub_paths(errors: &mut Vec<FieldError>, list: &FieldPath<'_>, item: &FieldPath<'_>, mount: &Value) {
    let (plain, expression) = (mount.text("subPath"), mount.text("subPathExpr"));
    if !plain.is_empty() {
        relative_path(errors, &list.child("subPath"), plain);
    }
    if !expression.is_empty() {
        if !plain.is_empty() {
            errors.push(FieldError::invalid(
                item.child("subPathExpr"),
                expression,
                "subPathExpr and subPath are mutually exclusive",
            ));
        }
        relative_path(errors, &list.child("subPathExpr"), expression);
    }
}

fn propagation(errors: &mut Vec<FieldError>, list: &FieldPath<'_>, mount: &Value, container: &Value) {
    let mode = mount.text_if_set("mountPropagation");
    let path = list.child("mountPropagation");
    one_of_if_set(errors, &path, mode, &["Bidirectional", "HostToContainer", "None"]);
    let privileged = container.child("securityContext").is_some_and(|context| context.is_true("privileged"));
    if mode == Some("Bidirectional") && !privileged {
        errors.push(FieldError::forbidden(
            path,
            "Bidirectional mount propagation is available only to privileged containers",
        ));
    }
    let path = list.child("recursiveReadOnly");
    match mount.text_if_set("recursiveReadOnly") {
        None | Some("Disabled") => {}
        Some("Enabled" | "IfPossible") => {
            if !mount.is_true("readOnly") {
                errors.push(FieldError::forbidden(path, "may only be specified when readOnly is true"));
            }
            if mode.is_some_and(|mode| mode != "None") {
                errors.push(FieldError::forbidden(
                    path,
                    "may only be specified when mountPropagation is None or not specified",
                ));
            }
        }
        other => one_of_if_set(errors, &path, other, &["Disabled", "Enabled", "IfPossible"]),
    }
}

pub(super) fn devices(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    container: &Value,
    volumes: &BTreeMap<&str, &Value>,
) {
    let mounts = container.list("volumeMounts");
    let (mut names, mut targets) = (BTreeSet::new(), BTreeSet::new());
    for (index, device) in container.list("volumeDevices").iter().enumerate() {
        let path = path.index(index);
        let (name_path, target_path) = (path.child("name"), path.child("devicePath"));
        let (name, target) = (device.text("name"), device.text("devicePath"));
        if name.is_empty() {
            errors.push(FieldError::required(name_path, ""));
        }
        if names.contains(name) {
            errors.push(FieldError::invalid(name_path, name, "must be unique"));
        }
        match volumes.get(name) {
            None => errors.push(FieldError::not_found(name_path, name)),
            Some(volume) if volume.has("persistentVolumeClaim") || volume.has("ephemeral") => {}
            Some(_) => errors.push(FieldError::invalid(
                name_path,
                name,
                "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
            )),
        }
        if target.is_empty() {
            errors.push(FieldError::required(target_path, ""));
        }
        if targets.contains(target) {
            errors.push(FieldError::invalid(target_path, target, "must be unique"));
        }
        if has_backstep(target) {
            errors.push(FieldError::invalid(target_path, target, "can not contain backsteps ('..')"));
        } else {
            targets.insert(target);
        }
        if mounts.iter().any(|mount| mount.text("name") == name) {
            errors.push(FieldError::invalid(name_path, name, "must not already exist in volumeMounts"));
        }
        if mounts.iter().any(|mount| mount.text("mountPath") == target) {
            errors.push(FieldError::invalid(target_path, target, "must not already exist as a path in volumeMounts"));
        }
        if !name.is_empty() {
            names.insert(name);
        }
    }
}
