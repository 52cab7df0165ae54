//! Labels, annotations and label selectors inside objects.

use serde_json::{Map, Value};

use crate::kinds::fields::{Fields, text_entries};
use crate::names;
use crate::status::{FieldError, FieldPath};

use super::{complain, qualified_name};

/// Bytes that all annotations of an object may have together, keys included.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// A map of labels.
pub(crate) fn labels(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, labels: Option<&Map<String, Value>>) {
    for (key, value) in text_entries(labels) {
        qualified_name(errors, path, key);
        complain(errors, path, value, names::label_value(value));
    }
}

/// A map of annotations. Their keys are label keys in which case does not matter.
pub(crate) fn annotations(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    annotations: Option<&Map<String, Value>>,
) {
    let mut bytes = 0_usize;
    for (key, value) in text_entries(annotations) {
        complain(errors, path, key, names::qualified_name(&key.to_lowercase()));
        bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
    }
    if bytes > ANNOTATIONS_BYTES_MAX {
        errors.push(FieldError::too_long(path, ANNOTATIONS_BYTES_MAX));
    }
}

/// A `LabelSelector` object; absent is valid.
pub(crate) fn selector(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, selector: Option<&Value>) {
    let Some(selector) = selector else { return };
    labels(errors, &path.child("matchLabels"), selector.map("matchLabels"));
    let expressions = path.child("matchExpressions");
    for (index, expression) in selector.list("matchExpressions").iter().enumerate() {
        requirement(errors, &expressions.index(index), expression);
    }
}

fn requirement(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, expression: &Value) {
    let values_path = path.child("values");
    let values = expression.list("values");
    match expression.text("operator") {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.push(FieldError::required(values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                errors.push(FieldError::forbidden(
                    values_path,
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
        }
        operator => {
            errors.push(FieldError::invalid(path.child("operator"), operator, "not a valid selector operator"));
        }
    }
    qualified_name(errors, &path.child("key"), expression.text("key"));
    for (index, value) in values.iter().enumerate() {
        if let Some(value) = value.as_str() {
            complain(errors, &values_path.index(index), value, names::label_value(value));
        }
    }
}
