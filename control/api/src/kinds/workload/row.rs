//! What the rows of all kinds that make pods have in common: their parts, what a write to each part keeps, and warnings
//! about templates. A new kind of this sort is its columns, its defaults and its rules, in one file.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part, Text};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::{object_meta, pod};
use crate::status::{FieldError, FieldPath};

/// What is special about a kind that makes pods.
pub(crate) trait Workload: Send + Sync + fmt::Debug + 'static {
    /// Where the template of its pods is.
    fn template_path(&self) -> &'static [&'static str] {
        &["spec", "template"]
    }

    /// Fills in what a client may leave out.
    fn default(&self, object: &mut Value);

    /// What creating one changes, besides starting generation and status and preparing the template.
    fn prepare_create(&self, _object: &mut Value) {}

    /// What an update of `part` changes, besides keeping the other part, preparing the template and counting generations.
    fn prepare_update(&self, _part: Part, _new: &mut Value, _old: &Value) {}

    /// What is wrong with an object; asked of new ones and of updated ones.
    fn validate(&self, object: &Value) -> Vec<FieldError>;

    /// What is wrong with an update, all told.
    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate(new);
        super::selector_stays(&mut errors, new, old);
        errors
    }

    /// What is wrong with an update of the status.
    fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError>;

    /// Texts for Warning headers, besides those about the template.
    fn warnings(&self, _new: &Value) -> Vec<String> {
        Vec::new()
    }

    /// What a write to the status resets.
    fn reset_with_status(&self) -> &'static [&'static str] {
        &["spec"]
    }

    /// Printer columns.
    fn columns(&self) -> &[Column];

    /// The cells of one row.
    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value>;

    /// Labels that a field selector may name.
    fn field_labels(&self) -> &'static [&'static str] {
        &[]
    }

    /// The value of one of these.
    fn field_value(&self, _object: &Value, _label: &str) -> String {
        String::new()
    }
}

#[derive(Debug)]
struct Row<W>(W);

/// A row with a status, listed among `all`.
pub(crate) fn row(
    (group, kind, plural): (&'static str, &'static str, &'static str),
    schema: &'static str,
    workload: impl Workload,
) -> Kind {
    Kind::new(Text::from(group), "v1", kind, plural, Row(workload)).schema(schema).categories(&["all"]).part(
        "status",
        Part::Status,
        PART_VERBS,
    )
}

/// The template of the pods, for changing it.
fn template_mut<'a>(workload: &impl Workload, object: &'a mut Value) -> Option<&'a mut Value> {
    workload.template_path().iter().try_fold(object, |value, name| value.get_mut(*name))
}

impl<W: Workload> Behaviour for Row<W> {
    fn default(&self, object: &mut Value) {
        self.0.default(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
        fields::set(object, "status", Value::Object(serde_json::Map::new()));
        if let Some(template) = template_mut(&self.0, object) {
            pod::prepare_template(template);
        }
        self.0.prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            super::prepare_status(new, old);
        } else {
            fields::copy_from(new, old, "status");
            if let Some(template) = template_mut(&self.0, new) {
                pod::prepare_template(template);
            }
            if !same(new.get("spec"), old.get("spec")) {
                object_meta::bump_generation(new, old);
            }
        }
        self.0.prepare_update(part, new, old);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        self.0.validate(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status { self.0.validate_status(new, old) } else { self.0.validate_update(new, old) }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let path = self.0.template_path();
        if let Some(template) = new.at(path)
            && !old.is_some_and(|old| same(Some(template), old.at(path)))
        {
            pod::warn_of_template(&mut warnings, &FieldPath::root(&path.join(".")), template);
        }
        warnings.extend(self.0.warnings(new));
        warnings
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { self.0.reset_with_status() } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        self.0.columns()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        self.0.cells(object, now)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        self.0.field_labels()
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        self.0.field_value(object, label)
    }
}
