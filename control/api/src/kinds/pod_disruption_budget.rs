//! PodDisruptionBudget: how many of a selection of pods must stay while others are evicted.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::Fields;
use crate::kinds::validation::{labels, not_negative};
use crate::kinds::{columns, spec_status};
use crate::names;
use crate::status::{FieldError, FieldPath};

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Min Available", "The minimum number of pods that must be available."),
        columns::text("Max Unavailable", "The maximum number of pods that may be unavailable."),
        Column {
            kind: "integer".into(),
            ..columns::text("Allowed Disruptions", "Calculated number of pods that may be disrupted at this time.")
        },
        columns::age(),
    ]
});

#[derive(Debug)]
struct PodDisruptionBudget;

pub(super) fn kind() -> Kind {
    Kind::new("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", PodDisruptionBudget)
        .schema("io.k8s.api.policy.v1.PodDisruptionBudget")
        .short_names(&["pdb"])
        .updates_need_a_version()
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for PodDisruptionBudget {
    fn prepare_create(&self, object: &mut Value) {
        spec_status::prepare_create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update(part, new, old);
    }

    fn validates_metadata(&self) -> bool {
        false
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        if spec.has("minAvailable") && spec.has("maxUnavailable") {
            let detail = "minAvailable and maxUnavailable cannot be both set";
            errors.push(FieldError::invalid(path, in_go(spec), detail));
        }
        for field in ["minAvailable", "maxUnavailable"] {
            if let Some(amount) = spec.child(field) {
                count_or_percent(&mut errors, &path.child(field), amount);
            }
        }
        labels::selector(&mut errors, &path.child("selector"), spec.child("selector"));
        if let Some(policy) = spec.text_if_set("unhealthyPodEvictionPolicy")
            && !matches!(policy, "AlwaysAllow" | "IfHealthyBudget")
        {
            let supported = ["AlwaysAllow", "IfHealthyBudget"];
            errors.push(FieldError::not_supported(path.child("unhealthyPodEvictionPolicy"), policy, supported));
        }
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part != Part::Status {
            return self.validate_create(new);
        }
        let mut errors = Vec::new();
        let path = FieldPath::root("status");
        let Some(status) = new.child("status") else { return errors };
        for field in ["disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods"] {
            not_negative(&mut errors, &path.child(field), status.int(field));
        }
        errors
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let amount = |field: &str| match object.at(&["spec", field]) {
            None => Value::from("N/A"),
            Some(Value::String(percent)) => Value::from(percent.as_str()),
            Some(count) => Value::from(count.to_string()),
        };
        let allowed = object.at(&["status", "disruptionsAllowed"]).and_then(Value::as_i64).unwrap_or(0);
        vec![
            columns::name_cell(object),
            amount("minAvailable"),
            amount("maxUnavailable"),
            Value::from(allowed),
            columns::age_cell(object, now),
        ]
    }
}

/// The spec with the names that upstream's messages have.
fn in_go(spec: &Value) -> Value {
    let field = |name: &str| spec.child(name).cloned().unwrap_or(Value::Null);
    serde_json::json!({
        "MinAvailable": field("minAvailable"),
        "Selector": field("selector"),
        "MaxUnavailable": field("maxUnavailable"),
        "UnhealthyPodEvictionPolicy": field("unhealthyPodEvictionPolicy"),
    })
}

/// A number from zero, or a percentage up to 100%.
fn count_or_percent(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, amount: &Value) {
    let Some(text) = amount.as_str() else { return not_negative(errors, path, amount.as_i64()) };
    let digits = text.strip_suffix('%').unwrap_or_default();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let words = "a valid percent string must be a numeric string followed by an ending '%'";
        errors.push(FieldError::invalid(path, text, names::format_words(words, "[0-9]+%", &["1%", "93%"])));
    } else if digits.parse::<u32>().map_or(true, |percent| percent > 100) {
        errors.push(FieldError::invalid(path, text, "must not be greater than 100%"));
    }
}
