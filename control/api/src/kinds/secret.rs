//! Secret: bytes by key, with a type that never changes and that demands certain keys.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::config_map::{BYTES_MAX, FROZEN, decoded_length, same_map};
use crate::kinds::fields::{self, Fields, text_entries};
use crate::kinds::validation::{IMMUTABLE, complain, config_key};
use crate::status::{FieldError, FieldPath};

const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
const TYPE: &str = "Used to facilitate programmatic handling of secret data. More info: https://kubernetes.io/docs/concepts/configuration/secret/#secret-types";
const DATA: &str = "Data contains the secret data. Each key must consist of alphanumeric characters, '-', '_' or '.'. The serialized form of the secret data is a base64 encoded string, representing the arbitrary (possibly non-string) data value here. Described in https://tools.ietf.org/html/rfc4648#section-4";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Type", TYPE), columns::text("Data", DATA), columns::age()]);

#[derive(Debug)]
struct Secret;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Secret", "secrets", Secret).schema("io.k8s.api.core.v1.Secret")
}

impl Behaviour for Secret {
    fn default(&self, object: &mut Value) {
        fields::set_text_default(object, "type", "Opaque");
        move_string_data(object);
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("data");
        let mut bytes = 0_usize;
        for (key, value) in text_entries(object.map("data")) {
            complain(&mut errors, &path.key(key), key, config_key(key));
            bytes = bytes.saturating_add(decoded_length(value));
        }
        if bytes > BYTES_MAX {
            errors.push(FieldError::too_long(path, BYTES_MAX));
        }
        keys_of_type(&mut errors, &path, object);
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new.text("type") != old.text("type") {
            errors.push(FieldError::invalid("type", new.text("type"), IMMUTABLE));
        }
        if old.is_true("immutable") {
            if !new.is_true("immutable") {
                errors.push(FieldError::forbidden("immutable", FROZEN));
            }
            if !same_map(new, old, "data") {
                errors.push(FieldError::forbidden("data", FROZEN));
            }
        }
        errors.extend(self.validate_create(new));
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name_cell(object),
            Value::from(object.text("type")),
            Value::from(object.map("data").map_or(0, Map::len)),
            columns::age_cell(object, now),
        ]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["type"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        object.text("type").to_owned()
    }
}

/// `stringData` is a way to write: its texts become bytes in `data`, and it is never read back.
fn move_string_data(object: &mut Value) {
    let Some(map) = object.as_object_mut() else { return };
    let Some(Value::Object(texts)) = map.remove("stringData") else { return };
    if texts.is_empty() {
        return;
    }
    if let Some(data) = fields::object_mut(object, "data").and_then(Value::as_object_mut) {
        for (key, value) in texts {
            if let Value::String(text) = value {
                data.insert(key, Value::from(BASE64.encode(text)));
            }
        }
    }
}

fn keys_of_type(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, object: &Value) {
    let data = |key: &str| object.map("data").and_then(|data| data.get(key)).and_then(Value::as_str);
    let mut required = |key: &str| errors.push(FieldError::required(path.key(key), ""));
    match object.text("type") {
        "kubernetes.io/service-account-token" => {
            let name = object.at(&["metadata", "annotations", ACCOUNT_NAME]).and_then(Value::as_str);
            if name.unwrap_or_default().is_empty() {
                errors.push(FieldError::required(format!("metadata.annotations[{ACCOUNT_NAME}]"), ""));
            }
        }
        "kubernetes.io/dockercfg" => json_key(errors, path, ".dockercfg", data(".dockercfg")),
        "kubernetes.io/dockerconfigjson" => json_key(errors, path, ".dockerconfigjson", data(".dockerconfigjson")),
        "kubernetes.io/basic-auth" if data("username").is_none() && data("password").is_none() => {
            required("username");
            required("password");
        }
        "kubernetes.io/ssh-auth" if data("ssh-privatekey").unwrap_or_default().is_empty() => {
            required("ssh-privatekey");
        }
        "kubernetes.io/tls" => {
            for key in ["tls.crt", "tls.key"] {
                if data(key).is_none() {
                    required(key);
                }
            }
        }
        _ => {}
    }
}

/// A key that must be there and hold a JSON object.
fn json_key(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, key: &str, value: Option<&str>) {
    let Some(value) = value else {
        errors.push(FieldError::required(path.key(key), ""));
        return;
    };
    let bytes = BASE64.decode(value).unwrap_or_default();
    let detail = match serde_json::from_slice::<Value>(&bytes) {
        Ok(Value::Object(_) | Value::Null) => return,
        Ok(other) => {
            format!("json: cannot unmarshal {} into Go value of type map[string]interface {{}}", json_type(&other))
        }
        Err(_) if bytes.is_empty() => "unexpected end of JSON input".to_owned(),
        Err(error) => error.to_string(),
    };
    errors.push(FieldError::invalid(path.key(key), "<secret contents redacted>", detail));
}

fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
