//! What a custom resource does where built-in kinds have code of their own.

use std::fmt;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::Conversion;
use super::json_path::{JsonPath, shown};
use super::printer::Printer;
use super::rules::Rules;
use crate::go_text;
use crate::kind::{Behaviour, Column, Part};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::object_meta;
use crate::schema::structural::{Correlation, Structural};
use crate::schema::{Schema, TypeRef};
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldErrorKind, FieldPath};

/// One version of a custom resource.
pub(super) struct Custom {
    pub(super) api_version: String,
    /// The version in which objects are written.
    pub(super) storage_version: String,
    pub(super) conversion: Option<Conversion>,
    pub(super) schema: Schema,
    pub(super) published: Value,
    pub(super) has_status: bool,
    /// The scale subresource as the definition has it.
    pub(super) scale: Option<Value>,
    pub(super) printer: Printer,
    /// Labels of field selectors, and where their values are.
    pub(super) selectable: Vec<(String, JsonPath)>,
    pub(super) rules: Option<Rules>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Custom").field("api_version", &self.api_version).finish_non_exhaustive()
    }
}

impl Custom {
    fn structural(&self) -> Option<&Structural> {
        self.schema.root().and_then(TypeRef::structural)
    }

    fn validate(&self, new: &Value, old: Option<&Value>) -> Vec<FieldError> {
        let Some(structural) = self.structural() else { return Vec::new() };
        let mut errors = structural.validate_object(new, Correlation::new(old));
        if let Some(scale) = &self.scale {
            validate_scale(new, scale, &mut errors);
        }
        errors.extend(structural.validate_lists(new));
        let Some(rules) = &self.rules else { return errors };
        let blocks = |error: &FieldError| {
            matches!(
                error.kind,
                FieldErrorKind::Required
                    | FieldErrorKind::TooLong
                    | FieldErrorKind::TooMany
                    | FieldErrorKind::TypeInvalid
            )
        };
        if errors.iter().any(blocks) {
            let detail = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            errors.push(FieldError::invalid(FieldPath::empty(), Value::Null, detail));
        } else {
            errors.extend(rules.validate(new, old));
        }
        errors
    }
}

impl Behaviour for Custom {
    fn prepare_create(&self, object: &mut Value) {
        if self.has_status {
            fields::remove(object, "status");
        }
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            keep_all_but_status(new, old);
            return;
        }
        if self.has_status {
            fields::copy_from(new, old, "status");
        }
        let content = |value: &Value| -> Map<String, Value> {
            let fields = value.as_object().into_iter().flatten();
            let fields = fields.filter(|(name, _)| !matches!(name.as_str(), "metadata" | "apiVersion"));
            fields.map(|(name, value)| (name.clone(), value.clone())).collect()
        };
        if !same(Some(&Value::Object(content(new))), Some(&Value::Object(content(old)))) {
            object_meta::bump_generation(new, old);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        self.validate(object, None)
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        self.validate(new, Some(old))
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        match part {
            Part::Status => &["metadata", "spec"],
            _ if self.has_status => &["status"],
            _ => &[],
        }
    }

    fn columns(&self) -> &[Column] {
        self.printer.columns()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.printer.cells(object, now)
    }

    fn has_field_label(&self, label: &str) -> bool {
        self.selectable.iter().any(|(name, _)| name == label)
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        let path = self.selectable.iter().find(|(name, _)| name == label);
        path.and_then(|(_, path)| path.first(object)).map(shown).unwrap_or_default()
    }

    fn custom_type(&self) -> Option<TypeRef<'_>> {
        self.schema.root()
    }

    fn published_schema(&self) -> Option<&Value> {
        Some(&self.published)
    }

    fn may_be_slow(&self) -> bool {
        self.rules.as_ref().is_some_and(Rules::may_be_slow)
    }

    fn conversion(&self) -> Option<&Conversion> {
        self.conversion.as_ref()
    }

    fn to_stored(&self, object: &mut Value) {
        fields::set(object, "apiVersion", self.storage_version.as_str());
    }

    fn from_stored(&self, object: &mut Value) {
        // What a webhook converts keeps the version that it has until then.
        if self.conversion.is_none() {
            fields::set(object, "apiVersion", self.api_version.as_str());
        }
    }
}

/// A write to the status changes nothing else but the record of who did it.
fn keep_all_but_status(new: &mut Value, old: &Value) {
    let mut kept = old.clone();
    fields::copy_from(&mut kept, new, "status");
    if let (Some(metadata), Some(given)) = (kept.get_mut("metadata"), new.get("metadata")) {
        fields::copy_from(metadata, given, "managedFields");
        fields::copy_from(metadata, given, "resourceVersion");
    }
    *new = kept;
}

fn validate_scale(object: &Value, scale: &Value, errors: &mut Vec<FieldError>) {
    for name in ["specReplicasPath", "statusReplicasPath"] {
        let path = scale.text(name);
        match at(object, path) {
            None => {}
            Some(value) => match value.as_i64() {
                None => {
                    let detail = format!(
                        "{path} accessor error: {} is of the type {}, expected int64",
                        go_text::display(value),
                        go_text::type_name(value)
                    );
                    errors.push(FieldError::invalid(path, 0, detail));
                }
                Some(count) if count < 0 => {
                    errors.push(FieldError::invalid(path, count, "should be a non-negative integer"));
                }
                Some(count) if count > i64::from(i32::MAX) => {
                    let detail = format!("should be less than or equal to {}", i32::MAX);
                    errors.push(FieldError::invalid(path, count, detail));
                }
                Some(_) => {}
            },
        }
    }
    let path = scale.text("labelSelectorPath");
    if let Some(text) = at(object, path).and_then(Value::as_str)
        && let Err(error) = LabelSelector::parse(text)
    {
        errors.push(FieldError::invalid(path, text, error.to_string()));
    }
}

/// The value at a path of the form `.spec.replicas`.
fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let names = path.strip_prefix('.')?;
    names.split('.').try_fold(object, |value, name| value.get(name)).filter(|value| !value.is_null())
}
