//! PriorityClass: a name for a number that says which pods come first.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{IMMUTABLE, one_of_if_set};
use crate::kinds::{columns, object_meta};
use crate::status::{FieldError, FieldPath};

/// The classes that every cluster has, and their values.
pub const SYSTEM: &[(&str, i64)] =
    &[("system-node-critical", 2_000_001_000), ("system-cluster-critical", 2_000_000_000)];
/// The largest value of a class that is not the system's.
const VALUE_MAX: i64 = 1_000_000_000;
const PREEMPTS: &str = "PreemptLowerPriority";

const VALUE: &str = "value represents the integer value of this priority class. This is the actual priority that pods receive when they have the name of this class in their pod spec.";
const GLOBAL_DEFAULT: &str = "globalDefault specifies whether this PriorityClass should be considered as the default priority for pods that do not have any priority class. Only one PriorityClass can be marked as `globalDefault`. However, if more than one PriorityClasses exists with their `globalDefault` field set to true, the smallest value of such global default PriorityClasses will be used as the default priority.";
const PREEMPTION: &str = "preemptionPolicy is the Policy for preempting pods with lower priority. One of Never, PreemptLowerPriority. Defaults to PreemptLowerPriority if unset.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        Column { kind: "integer".into(), ..columns::text("Value", VALUE) },
        Column { kind: "boolean".into(), ..columns::text("Global-Default", GLOBAL_DEFAULT) },
        columns::age(),
        columns::text("PreemptionPolicy", PREEMPTION),
    ]
});

#[derive(Debug)]
struct PriorityClass;

pub(super) fn kind() -> Kind {
    Kind::new("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", PriorityClass)
        .schema("io.k8s.api.scheduling.v1.PriorityClass")
        .short_names(&["pc"])
        .cluster_scoped()
}

impl Behaviour for PriorityClass {
    fn default(&self, object: &mut Value) {
        fields::set_default(object, "preemptionPolicy", PREEMPTS);
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let name = object.child("metadata").map(|metadata| metadata.text("name")).unwrap_or_default();
        let value = object.int("value").unwrap_or(0);
        if name.starts_with("system-") {
            if let Err(cause) = is_system(name, value, object.is_true("globalDefault")) {
                let detail = format!(
                    "priority class names with 'system-' prefix are reserved for system use only. error: {cause}"
                );
                errors.push(FieldError::forbidden("metadata.name", detail));
            }
        } else if value > VALUE_MAX {
            let detail = format!("maximum allowed value of a user defined priority is {VALUE_MAX}");
            errors.push(FieldError::forbidden("value", detail));
        }
        let policy = object.text_if_set("preemptionPolicy");
        let path = FieldPath::root("preemptionPolicy");
        match policy {
            Some("") => errors.push(FieldError::required(path, "")),
            policy => one_of_if_set(&mut errors, &path, policy, &[PREEMPTS, "Never"]),
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new.int("value") != old.int("value") {
            errors.push(FieldError::forbidden("value", "may not be changed in an update."));
        }
        let policy = new.text("preemptionPolicy");
        if policy != old.text("preemptionPolicy") {
            errors.push(FieldError::invalid("preemptionPolicy", policy, IMMUTABLE));
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![
            columns::name_cell(object),
            Value::from(object.int("value").unwrap_or(0)),
            Value::from(object.is_true("globalDefault")),
            columns::age_cell(object, now),
            Value::from(object.text_if_set("preemptionPolicy").unwrap_or(PREEMPTS)),
        ]
    }
}

fn is_system(name: &str, value: i64, is_default: bool) -> Result<(), String> {
    let Some((_, wanted)) = SYSTEM.iter().find(|(known, _)| *known == name) else {
        return Err(format!("{name} is not a known system priority class"));
    };
    if value != *wanted {
        return Err(format!("value of {name} PriorityClass must be {wanted}"));
    }
    if is_default {
        return Err(format!("globalDefault of {name} PriorityClass must be false"));
    }
    Ok(())
}
