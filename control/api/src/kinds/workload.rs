//! What the kinds that make pods share: selectors, templates, counts, and how tables show them.

mod row;

pub(crate) use row::{Workload, row};

use serde_json::Value;

use crate::kind::{Column, ScalePaths};
use crate::kinds::fields::{self, Fields, text_entries};
use crate::kinds::validation::{self, complain, labels, not_negative};
use crate::kinds::{columns, pod};
use crate::names;
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

pub(crate) const MORE_THAN_REPLICAS: &str = "cannot be greater than status.replicas";
pub(crate) const CONTAINERS: &str = "Names of each container in the template.";
pub(crate) const IMAGES: &str = "Images referenced by each container in the template.";
const NO_MATCH: &str = "`selector` does not match template `labels`";

/// A column of numbers.
pub(crate) fn number(name: &'static str, description: &'static str) -> Column {
    Column { kind: "integer".into(), ..columns::text(name, description) }
}

/// `/spec/replicas`, `/status/replicas` and `/spec/selector`, where every workload of upstream has them.
pub(crate) fn scale_paths() -> ScalePaths {
    ScalePaths {
        spec_replicas: "/spec/replicas".into(),
        status_replicas: "/status/replicas".into(),
        selector: Some("/spec/selector".into()),
    }
}

/// The object's part of this name, or null.
pub(crate) fn part<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.child(name).unwrap_or(&Value::Null)
}

/// Fills in what a template at `spec.template` may leave out.
pub(crate) fn default_template(spec: &mut Value) {
    if let Some(template) = fields::object_mut(spec, "template") {
        pod::default_template(template);
    }
}

/// An update of the status: everything else stays, but for metadata that any writer may change.
pub(crate) fn prepare_status(new: &mut Value, old: &Value) {
    fields::copy_from(new, old, "spec");
}

/// The fields of `object` are at least zero, in this order.
pub(crate) fn not_negatives(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, object: &Value, names: &[&str]) {
    for name in names {
        not_negative(errors, &path.child(name), object.int(name));
    }
}

/// Each of the fields is at most the field `bound`; `detail` says so.
pub(crate) fn at_most(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    status: &Value,
    (names, bound, detail): (&[&str], &str, &str),
) {
    let bound = status.int(bound).unwrap_or(0);
    for name in names {
        if let Some(value) = status.int(name).filter(|value| *value > bound) {
            errors.push(FieldError::invalid(path.child(name), value, detail));
        }
    }
}

/// A count of hash collisions only grows.
pub(crate) fn collisions_grow(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    let Some(old) = old.int("collisionCount") else { return };
    let path = FieldPath::root("status");
    match new.int("collisionCount") {
        Some(new) if new >= old => {}
        new => errors.push(FieldError::invalid(path.child("collisionCount"), new, "cannot be decremented")),
    }
}

/// The counts that a set of replicas reports. `counts` go together with `replicas`, `ready` is the name in the message.
pub(crate) fn replica_counts(errors: &mut Vec<FieldError>, status: &Value, counts: &[&str], ready: &str) {
    let path = FieldPath::root("status");
    at_most(errors, &path, status, (counts, "replicas", MORE_THAN_REPLICAS));
    let detail = format!("cannot be greater than {ready}");
    at_most(errors, &path, status, (&["availableReplicas"], "readyReplicas", &detail));
}

/// A selector that has to be there, to be valid and to select something. `kind` is for the message.
pub(crate) fn selector(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, selector: Option<&Value>, kind: &str) {
    let Some(selector) = selector else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    labels::selector(errors, path, Some(selector));
    if is_empty_selector(selector) {
        errors.push(FieldError::invalid(path, selector.clone(), format!("empty selector is invalid for {kind}")));
    }
}

/// A label selector object without any requirement.
pub(crate) fn is_empty_selector(selector: &Value) -> bool {
    selector.map("matchLabels").is_none_or(serde_json::Map::is_empty) && selector.list("matchExpressions").is_empty()
}

/// The template makes pods that the selector selects. Says so at `path` (of the template).
pub(crate) fn template_is_selected(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    template: &Value,
    selector: &LabelSelector,
) {
    let labels = template.at(&["metadata", "labels"]);
    if !selector.matches(labels.and_then(Value::as_object)) {
        let path = path.child("metadata");
        let shown = labels.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(path.child("labels"), shown, NO_MATCH));
    }
}

/// A template whose pods run until someone stops them. `kind` is for the message.
pub(crate) fn lasting_template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, template: &Value, kind: &str) {
    let spec = part(template, "spec");
    let path = path.child("spec");
    let policy = spec.text("restartPolicy");
    if policy != "Always" {
        errors.push(FieldError::not_supported(path.child("restartPolicy"), policy, ["Always"]));
    }
    if spec.has("activeDeadlineSeconds") {
        errors.push(FieldError::forbidden(
            path.child("activeDeadlineSeconds"),
            format!("activeDeadlineSeconds in {kind} is not Supported"),
        ));
    }
}

/// Selector and template of a kind that keeps a number of pods running.
pub(crate) fn replicated_template(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    spec: &Value,
    invalid_selector: &str,
) {
    let template = part(spec, "template");
    match LabelSelector::from_object(spec.child("selector")) {
        Err(_) => {
            let shown = spec.get("selector").cloned().unwrap_or(Value::Null);
            errors.push(FieldError::invalid(path.child("selector"), shown, invalid_selector));
        }
        Ok(selector) => {
            let path = path.child("template");
            if !selector.is_empty() {
                template_is_selected(errors, &path, template, &selector);
            }
            pod::validate::template(errors, &path, template);
            lasting_template(errors, &path, template, "ReplicaSet");
        }
    }
}

/// A number of at least zero, or a percentage.
pub(crate) fn count_or_percent(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: Option<&Value>) {
    match value {
        Some(Value::String(text)) => {
            let digits = text.strip_suffix('%').unwrap_or_default();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                let words = "a valid percent string must be a numeric string followed by an ending '%'";
                let complaint = names::format_words(words, "[0-9]+%", &["1%", "93%"]);
                complain(errors, path, text.as_str(), vec![complaint]);
            }
        }
        other => not_negative(errors, path, other.and_then(Value::as_i64)),
    }
}

/// A percentage is at most 100.
pub(crate) fn at_most_all(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: Option<&Value>) {
    if let Some(text) = value.and_then(Value::as_str)
        && percent(text).is_some_and(|percent| percent > 100)
    {
        errors.push(FieldError::invalid(path, text, "must not be greater than 100%"));
    }
}

fn percent(text: &str) -> Option<u64> {
    let digits = text.strip_suffix('%')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Whether a count or percentage is zero (or nothing that counts).
pub(crate) fn is_nought(value: Option<&Value>) -> bool {
    match value {
        Some(Value::String(text)) => percent(text).unwrap_or(0) == 0,
        other => other.and_then(Value::as_i64).unwrap_or(0) == 0,
    }
}

/// `spec.selector` stays as it is.
pub(crate) fn selector_stays(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    let path = FieldPath::root("spec");
    let selector = ["spec", "selector"];
    validation::immutable(errors, &path.child("selector"), new.at(&selector), old.at(&selector));
}

/// Names and images of the containers of a template's spec, as two cells.
pub(crate) fn container_cells(template: Option<&Value>) -> [Value; 2] {
    let containers = template.and_then(|template| template.child("spec")).map(|spec| spec.list("containers"));
    let joined = |field: &str| {
        let texts: Vec<&str> = containers.unwrap_or_default().iter().map(|container| container.text(field)).collect();
        Value::from(texts.join(","))
    };
    [joined("name"), joined("image")]
}

/// A label selector object as a cell.
pub(crate) fn selector_cell(selector: Option<&Value>) -> Value {
    match LabelSelector::from_object(selector) {
        Ok(selector) => columns::or_none(&selector.to_string()),
        Err(_) => Value::from("<error>"),
    }
}

/// A map of labels as a cell.
pub(crate) fn labels_cell(labels: Option<&Value>) -> Value {
    columns::or_none(&labels_text(labels))
}

/// A map of labels as a selector's text.
pub(crate) fn labels_text(labels: Option<&Value>) -> String {
    let labels: Vec<String> =
        text_entries(labels.and_then(Value::as_object)).map(|(key, value)| format!("{key}={value}")).collect();
    labels.join(",")
}

/// A number as a cell; absent is 0.
pub(crate) fn count_cell(object: &Value, name: &str) -> Value {
    Value::from(object.int(name).unwrap_or(0))
}
