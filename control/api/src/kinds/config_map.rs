//! ConfigMap: text and bytes by key, at most 1 MiB, optionally immutable.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::fields::{Fields, same, text_entries};
use crate::kinds::validation::{complain, config_key};
use crate::status::{FieldError, FieldPath};

/// Bytes that the values of a config map or secret may have together.
pub(crate) const BYTES_MAX: usize = 1024 * 1024;
/// What is said of a change to an immutable config map or secret.
pub(crate) const FROZEN: &str = "field is immutable when `immutable` is set";

const DATA: &str = "Data contains the configuration data. Each key must consist of alphanumeric characters, '-', '_' or '.'. Values with non-UTF-8 byte sequences must use the BinaryData field. The keys stored in Data must not overlap with the keys in the BinaryData field, this is enforced during validation process.";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Data", DATA), columns::age()]);

#[derive(Debug)]
struct ConfigMap;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "ConfigMap", "configmaps", ConfigMap)
        .schema("io.k8s.api.core.v1.ConfigMap")
        .short_names(&["cm"])
}

impl Behaviour for ConfigMap {
    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (data_path, binary_path) = (FieldPath::root("data"), FieldPath::root("binaryData"));
        let mut bytes = 0_usize;
        for (key, value) in text_entries(object.map("data")) {
            complain(&mut errors, &data_path.key(key), key, config_key(key));
            if object.map("binaryData").is_some_and(|binary| binary.contains_key(key)) {
                errors.push(FieldError::invalid(data_path.key(key), key, "duplicate of key present in binaryData"));
            }
            bytes = bytes.saturating_add(value.len());
        }
        for (key, value) in text_entries(object.map("binaryData")) {
            complain(&mut errors, &binary_path.key(key), key, config_key(key));
            bytes = bytes.saturating_add(decoded_length(value));
        }
        if bytes > BYTES_MAX {
            // Upstream prints the path of the whole object like this.
            errors.push(FieldError::too_long("[]", BYTES_MAX));
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if old.is_true("immutable") {
            if !new.is_true("immutable") {
                errors.push(FieldError::forbidden("immutable", FROZEN));
            }
            for field in ["data", "binaryData"] {
                if !same_map(new, old, field) {
                    errors.push(FieldError::forbidden(field, FROZEN));
                }
            }
        }
        errors.extend(self.validate_create(new));
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let count = |field: &str| object.map(field).map_or(0, serde_json::Map::len);
        vec![
            columns::name_cell(object),
            Value::from(count("data") + count("binaryData")),
            columns::age_cell(object, now),
        ]
    }
}

/// Equality of two maps of text; absent and empty are the same.
pub(crate) fn same_map(new: &Value, old: &Value, field: &str) -> bool {
    let map =
        |object: &Value| object.get(field).filter(|map| map.as_object().is_none_or(|map| !map.is_empty())).cloned();
    same(map(new).as_ref(), map(old).as_ref())
}

/// The number of bytes that base64 text stands for.
pub(crate) fn decoded_length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}
