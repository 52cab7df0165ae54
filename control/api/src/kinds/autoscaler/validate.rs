//! What an autoscaler must be, in the form of autoscaling/v2.

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::resources::amount;
use crate::kinds::validation::{complain, not_negative};
use crate::status::{FieldError, FieldPath};

use super::source;

const WINDOW_SECONDS_MAX: i64 = 3600;
const PERIOD_SECONDS_MAX: i64 = 1800;
/// Types of metrics, in the order in which upstream looks at their fields.
const TYPES: &[&str] = &["Object", "External", "Pods", "Resource", "ContainerResource"];

pub(super) fn spec(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    let (min, max) = (spec.int("minReplicas"), spec.int("maxReplicas").unwrap_or(0));
    if let Some(min) = min.filter(|min| *min < 1) {
        errors.push(FieldError::invalid(path.child("minReplicas"), min, "must be greater than or equal to 1"));
    }
    if max < 1 {
        errors.push(FieldError::invalid(path.child("maxReplicas"), max, "must be greater than 0"));
    }
    if min.is_some_and(|min| max < min) {
        let detail = "must be greater than or equal to `minReplicas`";
        errors.push(FieldError::invalid(path.child("maxReplicas"), max, detail));
    }
    reference(&mut errors, &path.child("scaleTargetRef"), spec.child("scaleTargetRef").unwrap_or(&null));
    for (index, given) in spec.list("metrics").iter().enumerate() {
        metric(&mut errors, &path.child("metrics").index(index), given);
    }
    if let Some(behavior) = spec.child("behavior") {
        let path = path.child("behavior");
        for direction in ["scaleUp", "scaleDown"] {
            if let Some(rules) = behavior.child(direction) {
                scaling_rules(&mut errors, &path.child(direction), rules);
            }
        }
    }
    errors
}

pub(super) fn status(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let Some(status) = object.child("status") else { return errors };
    for field in ["currentReplicas", "desiredReplicas"] {
        not_negative(&mut errors, &path.child(field), status.int(field));
    }
    errors
}

fn segment(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str, missing: &str) {
    if value.is_empty() {
        errors.push(FieldError::required(path, missing));
    } else {
        complain(errors, path, value, NameRule::PathSegment.complaints(value, false));
    }
}

fn reference(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, reference: &Value) {
    let (version, kind) = (reference.text("apiVersion"), reference.text("kind"));
    segment(errors, &path.child("kind"), kind, "");
    segment(errors, &path.child("name"), reference.text("name"), "");
    let detail = match version.split('/').collect::<Vec<_>>().as_slice() {
        ["v1"] if kind == "ReplicationController" => return,
        ["", _] | [_] => "apiVersion must specify API group".to_owned(),
        [_, _] => return,
        _ => format!("unexpected GroupVersion string: {version}"),
    };
    errors.push(FieldError::invalid(path.child("apiVersion"), version, detail));
}

fn metric(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, metric: &Value) {
    let kind = metric.text("type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric source type"));
    }
    let expected = source(kind);
    if expected.is_none() {
        let types = ["ContainerResource", "External", "Object", "Pods", "Resource"];
        errors.push(FieldError::not_supported(path.child("type"), kind, types));
    }
    let present: Vec<&str> = TYPES.iter().filter_map(|kind| source(kind)).filter(|field| metric.has(field)).collect();
    if let Some(first) = present.first()
        && let Some(details) = metric.child(first)
    {
        metric_source(errors, &path.child(first), first, details);
    }
    if let Some(expected) = expected.filter(|expected| !present.contains(expected)) {
        let detail = "must populate information for the given metric source";
        errors.push(FieldError::required(path.child(expected), detail));
    }
    if present.len() != 1 {
        for other in present.into_iter().filter(|field| Some(*field) != expected) {
            errors.push(FieldError::forbidden(path.child(other), "must populate the given metric source only"));
        }
    }
}

fn metric_source(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, field: &str, details: &Value) {
    let null = Value::Null;
    let target = details.child("target").unwrap_or(&null);
    let at = path.child("target");
    match field {
        "resource" | "containerResource" => {
            if details.text("name").is_empty() {
                errors.push(FieldError::required(path.child("name"), "must specify a resource name"));
            }
            if field == "containerResource" && details.text("container").is_empty() {
                errors.push(FieldError::required(path.child("container"), "must specify a container"));
            }
        }
        _ => {
            if field == "object" {
                reference(errors, &path.child("describedObject"), details.child("describedObject").unwrap_or(&null));
            }
            let name = details.child("metric").map(|metric| metric.text("name")).unwrap_or_default();
            segment(errors, &path.child("metric").child("name"), name, "must specify a metric name");
        }
    }
    metric_target(errors, &at, target);
    let (value, average, share) = (target.has("value"), target.has("averageValue"), target.has("averageUtilization"));
    let mut missing = |name: &str, detail: &str| errors.push(FieldError::required(at.child(name), detail));
    match field {
        "resource" | "containerResource" if !average && !share => {
            missing("averageUtilization", "must set either a target raw value or a target utilization");
        }
        "resource" | "containerResource" if average && share => {
            let detail = "may not set both a target raw value and a target utilization";
            errors.push(FieldError::forbidden(at.child("averageValue"), detail));
        }
        "pods"
            if target
                .child("averageValue")
                .and_then(amount)
                .is_none_or(|value| value.is_zero() || value.is_negative()) =>
        {
            missing("averageValue", "must specify a positive target averageValue");
        }
        "object" if !value && !average => missing("averageValue", "must set either a target value or averageValue"),
        "external" if !value && !average => {
            missing("averageValue", "must set either a target value for metric or a per-pod target");
        }
        "external" if value && average => {
            let detail = "may not set both a target value for metric and a per-pod target";
            errors.push(FieldError::forbidden(at.child("value"), detail));
        }
        _ => {}
    }
}

fn metric_target(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, target: &Value) {
    let kind = target.text("type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "must specify a metric target type"));
    }
    if !matches!(kind, "Utilization" | "Value" | "AverageValue") {
        let detail = "must be either Utilization, Value, or AverageValue";
        errors.push(FieldError::invalid(path.child("type"), kind, detail));
    }
    for field in ["value", "averageValue"] {
        if let Some(value) = target.child(field)
            && amount(value).is_some_and(|amount| amount.is_zero() || amount.is_negative())
        {
            errors.push(FieldError::invalid(path.child(field), value.clone(), "must be positive"));
        }
    }
    if let Some(percent) = target.int("averageUtilization").filter(|percent| *percent < 1) {
        errors.push(FieldError::invalid(path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn scaling_rules(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, rules: &Value) {
    if let Some(seconds) = rules.int("stabilizationWindowSeconds") {
        let at = path.child("stabilizationWindowSeconds");
        if seconds < 0 {
            errors.push(FieldError::invalid(at, seconds, "must be greater than or equal to zero"));
        }
        if seconds > WINDOW_SECONDS_MAX {
            let detail = format!("must be less than or equal to {WINDOW_SECONDS_MAX}");
            errors.push(FieldError::invalid(at, seconds, detail));
        }
    }
    if let Some(policy) = rules.text_if_set("selectPolicy")
        && !matches!(policy, "Disabled" | "Max" | "Min")
    {
        errors.push(FieldError::not_supported(path.child("selectPolicy"), policy, ["Disabled", "Max", "Min"]));
    }
    let path = path.child("policies");
    if rules.list("policies").is_empty() {
        errors.push(FieldError::required(path, "must specify at least one Policy"));
    }
    for (index, policy) in rules.list("policies").iter().enumerate() {
        let path = path.index(index);
        let kind = policy.text("type");
        if !matches!(kind, "Percent" | "Pods") {
            errors.push(FieldError::not_supported(path.child("type"), kind, ["Percent", "Pods"]));
        }
        for field in ["value", "periodSeconds"] {
            let value = policy.int(field).unwrap_or(0);
            if value <= 0 {
                errors.push(FieldError::invalid(path.child(field), value, "must be greater than zero"));
            }
        }
        if let Some(seconds) = policy.int("periodSeconds").filter(|seconds| *seconds > PERIOD_SECONDS_MAX) {
            let detail = format!("must be less than or equal to {PERIOD_SECONDS_MAX}");
            errors.push(FieldError::invalid(path.child("periodSeconds"), seconds, detail));
        }
    }
}
