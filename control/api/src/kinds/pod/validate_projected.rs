//! Volumes that several sources share: config maps, secrets, fields of the pod, tokens.

use std::collections::BTreeSet;

use serde_json::Value;

use super::validate_volumes::{downward_file, key_files, local_path};
use crate::kinds::fields::Fields;
use crate::status::{FieldError, FieldPath};

const TOKEN_SECONDS_MIN: i64 = 10 * 60;
const TOKEN_SECONDS_MAX: i64 = 1 << 32;
const TWICE: &str = "conflicting duplicate paths";
const KINDS: [&str; 4] = ["secret", "configMap", "downwardAPI", "serviceAccountToken"];

/// `path` is that of the projected volume; upstream reports paths used twice there.
pub(super) fn sources(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, sources: &[Value]) {
    let mut files = BTreeSet::new();
    let list_path = path.child("sources");
    for (index, source) in sources.iter().enumerate() {
        let item = list_path.index(index);
        for kind in ["secret", "configMap"] {
            if let Some(keys) = source.child(kind) {
                named_keys(errors, path, &item.child(kind), keys, &mut files);
            }
        }
        if let Some(downward) = source.child("downwardAPI") {
            let item_path = item.child("downwardAPI");
            for file in downward.list("items") {
                downward_file(errors, &item_path, file);
                used_once(errors, path, file.text("path"), file.text("path"), &mut files);
            }
        }
        if let Some(token) = source.child("serviceAccountToken") {
            self::token(errors, path, &item.child("serviceAccountToken"), token);
        }
        if KINDS.iter().filter(|kind| source.has(kind)).count() > 1 {
            errors.push(FieldError::forbidden(item, "may not specify more than 1 volume type per source"));
        }
    }
}

fn named_keys<'a>(
    errors: &mut Vec<FieldError>,
    volume: &FieldPath<'_>,
    path: &FieldPath<'_>,
    keys: &'a Value,
    files: &mut BTreeSet<&'a str>,
) {
    let name = keys.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    }
    key_files(errors, path, keys.list("items"));
    for item in keys.list("items") {
        used_once(errors, volume, item.text("path"), name, files);
    }
}

fn used_once<'a>(
    errors: &mut Vec<FieldError>,
    volume: &FieldPath<'_>,
    file: &'a str,
    shown: &str,
    files: &mut BTreeSet<&'a str>,
) {
    if !file.is_empty() && !files.insert(file) {
        errors.push(FieldError::invalid(volume, shown, TWICE));
    }
}

fn token(errors: &mut Vec<FieldError>, volume: &FieldPath<'_>, path: &FieldPath<'_>, token: &Value) {
    let seconds = token.int("expirationSeconds").unwrap_or(0);
    let seconds_path = path.child("expirationSeconds");
    if seconds < TOKEN_SECONDS_MIN {
        let detail = "may not specify a duration less than 10 minutes";
        errors.push(FieldError::invalid(seconds_path, seconds, detail));
    }
    if seconds > TOKEN_SECONDS_MAX {
        let detail = "may not specify a duration larger than 2^32 seconds";
        errors.push(FieldError::invalid(seconds_path, seconds, detail));
    }
    match token.text("path") {
        "" => errors.push(FieldError::required(volume.child("path"), "")),
        target => local_path(errors, &volume.child("path"), target),
    }
}
