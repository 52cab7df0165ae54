//! Between autoscaling/v1 and autoscaling/v2.

use serde_json::{Map, Value, json};

use crate::kinds::fields::{self, Fields};

use super::source;

pub(super) const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
pub(super) const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";
pub(super) const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
pub(super) const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";

/// Annotations, and the fields of the new form that the old form keeps in them.
const CARRIED: &[(&str, &str, &str)] = &[
    (METRICS, "spec", "metrics"),
    (BEHAVIOR, "spec", "behavior"),
    (CURRENT_METRICS, "status", "currentMetrics"),
    (CONDITIONS, "status", "conditions"),
];

/// Whether an object of the old form carries metrics in its annotation.
pub(super) fn has_other_metrics(object: &Value) -> bool {
    annotation(object, METRICS).is_some_and(|metrics| metrics.as_array().is_some_and(|metrics| !metrics.is_empty()))
}

fn annotation(object: &Value, name: &str) -> Option<Value> {
    serde_json::from_str(object.at(&["metadata", "annotations", name])?.as_str()?).ok()
}

/// A metric of resource `cpu` by its share of what is requested.
fn cpu_share(metric: &Value) -> Option<&Value> {
    let resource = metric.child("resource").filter(|_| metric.text("type") == "Resource")?;
    (resource.text("name") == "cpu").then(|| resource.at(&["target", "averageUtilization"])).flatten()
}

/// From v1 to v2.
pub(super) fn to_new(object: &mut Value) {
    fields::set(object, "apiVersion", "autoscaling/v2");
    for (name, part, field) in CARRIED {
        let Some(carried) = annotation(object, name) else { continue };
        let new = match *field {
            "metrics" => each(&carried, metric_to_new),
            "currentMetrics" => each(&carried, current_to_new),
            _ => carried,
        };
        if let Some(part) = fields::object_mut(object, part) {
            fields::set(part, field, new);
        }
    }
    drop_annotations(object);
    if let Some(spec) = fields::object_mut(object, "spec")
        && let Some(percent) = take(spec, "targetCPUUtilizationPercentage")
    {
        let target = json!({ "type": "Utilization", "averageUtilization": percent });
        let cpu = json!({ "type": "Resource", "resource": { "name": "cpu", "target": target } });
        let mut metrics = vec![cpu];
        metrics.extend(spec.list("metrics").iter().cloned());
        fields::set(spec, "metrics", metrics);
    }
    let Some(status) = object.get_mut("status") else { return };
    if let Some(percent) = take(status, "currentCPUUtilizationPercentage") {
        let current = json!({ "averageUtilization": percent });
        let mut metrics = vec![json!({ "type": "Resource", "resource": { "name": "cpu", "current": current } })];
        metrics.extend(status.list("currentMetrics").iter().cloned());
        fields::set(status, "currentMetrics", metrics);
    }
}

/// From v2 to v1.
pub(super) fn to_old(object: &mut Value) {
    fields::set(object, "apiVersion", "autoscaling/v1");
    let mut annotations = Map::new();
    let mut carry = |name: &str, value: &Value| {
        annotations.insert(name.to_owned(), Value::from(value.to_string()));
    };
    if let Some(spec) = fields::object_mut(object, "spec") {
        let mut others = Vec::new();
        let mut cpu = None;
        for metric in take(spec, "metrics").as_ref().and_then(Value::as_array).into_iter().flatten() {
            match cpu_share(metric) {
                Some(percent) if cpu.is_none() => cpu = Some(percent.clone()),
                _ => others.push(metric_to_old(metric)),
            }
        }
        if let Some(percent) = cpu {
            fields::set(spec, "targetCPUUtilizationPercentage", percent);
        }
        if !others.is_empty() {
            carry(METRICS, &Value::from(others));
        }
        if let Some(behavior) = take(spec, "behavior") {
            carry(BEHAVIOR, &behavior);
        }
    }
    if let Some(status) = fields::object_mut(object, "status") {
        let metrics = take(status, "currentMetrics");
        let metrics: Vec<Value> = metrics
            .as_ref()
            .map(|metrics| each(metrics, current_to_old))
            .as_ref()
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        if !metrics.is_empty() {
            carry(CURRENT_METRICS, &Value::from(metrics));
        }
        if let Some(conditions) = take(status, "conditions") {
            carry(CONDITIONS, &conditions);
        }
    }
    if annotations.is_empty() {
        return;
    }
    if let Some(own) = fields::object_mut(object, "metadata")
        .and_then(|metadata| fields::object_mut(metadata, "annotations"))
        .and_then(Value::as_object_mut)
    {
        own.extend(annotations);
    }
}

fn take(object: &mut Value, name: &str) -> Option<Value> {
    object.as_object_mut()?.remove(name).filter(|value| !value.is_null())
}

fn each(list: &Value, convert: fn(&Value) -> Value) -> Value {
    list.as_array().into_iter().flatten().map(convert).collect()
}

fn drop_annotations(object: &mut Value) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    for (name, ..) in CARRIED {
        annotations.remove(*name);
    }
    if annotations.is_empty() {
        fields::remove(metadata, "annotations");
    }
}

/// Copies fields under their other names; absent ones are left out.
fn renamed(from: &Value, names: &[(&[&str], &str)]) -> Value {
    let found = names.iter().filter_map(|(path, name)| Some(((*name).to_owned(), from.at(path)?.clone())));
    Value::Object(found.collect())
}

/// Where the new form has what the old form has flat, by type.
fn old_names(kind: &str) -> &'static [(&'static [&'static str], &'static str)] {
    match kind {
        "Resource" | "ContainerResource" => &[
            (&["name"], "name"),
            (&["container"], "container"),
            (&["target", "averageUtilization"], "targetAverageUtilization"),
            (&["target", "averageValue"], "targetAverageValue"),
        ],
        "Pods" => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["target", "averageValue"], "targetAverageValue"),
        ],
        "Object" => &[
            (&["describedObject"], "target"),
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["target", "value"], "targetValue"),
            (&["target", "averageValue"], "averageValue"),
        ],
        _ => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "metricSelector"),
            (&["target", "value"], "targetValue"),
            (&["target", "averageValue"], "targetAverageValue"),
        ],
    }
}

fn metric_to_old(metric: &Value) -> Value {
    let kind = metric.text("type");
    let Some(field) = source(kind) else { return metric.clone() };
    json!({ "type": kind, field: renamed(metric.child(field).unwrap_or(&Value::Null), old_names(kind)) })
}

fn metric_to_new(metric: &Value) -> Value {
    let kind = metric.text("type");
    let Some(field) = source(kind) else { return metric.clone() };
    let old = metric.child(field).unwrap_or(&Value::Null);
    let mut new = json!({});
    for (path, name) in old_names(kind) {
        if let Some(value) = old.child(name) {
            put(&mut new, path, value);
        }
    }
    if let Some(target) = fields::object_mut(&mut new, "target") {
        let kinds = [("averageUtilization", "Utilization"), ("value", "Value")];
        let kind = kinds.iter().find(|(field, _)| target.has(field)).map_or("AverageValue", |(_, kind)| kind);
        fields::set(target, "type", kind);
    }
    json!({ "type": kind, field: new })
}

fn put(object: &mut Value, path: &[&str], value: &Value) {
    match path {
        [] => {}
        [name] => fields::set(object, name, value.clone()),
        [name, rest @ ..] => {
            if let Some(child) = fields::object_mut(object, name) {
                put(child, rest, value);
            }
        }
    }
}

/// As `old_names`, of what is measured.
fn old_current_names(kind: &str) -> &'static [(&'static [&'static str], &'static str)] {
    match kind {
        "Resource" | "ContainerResource" => &[
            (&["name"], "name"),
            (&["container"], "container"),
            (&["current", "averageUtilization"], "currentAverageUtilization"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        "Pods" => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
        "Object" => &[
            (&["describedObject"], "target"),
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "selector"),
            (&["current", "value"], "currentValue"),
            (&["current", "averageValue"], "averageValue"),
        ],
        _ => &[
            (&["metric", "name"], "metricName"),
            (&["metric", "selector"], "metricSelector"),
            (&["current", "value"], "currentValue"),
            (&["current", "averageValue"], "currentAverageValue"),
        ],
    }
}

fn current_to_old(metric: &Value) -> Value {
    let kind = metric.text("type");
    let Some(field) = source(kind) else { return metric.clone() };
    json!({ "type": kind, field: renamed(metric.child(field).unwrap_or(&Value::Null), old_current_names(kind)) })
}

fn current_to_new(metric: &Value) -> Value {
    let kind = metric.text("type");
    let Some(field) = source(kind) else { return metric.clone() };
    let old = metric.child(field).unwrap_or(&Value::Null);
    let mut new = json!({ "current": {} });
    for (path, name) in old_current_names(kind) {
        if let Some(value) = old.child(name) {
            put(&mut new, path, value);
        }
    }
    json!({ "type": kind, field: new })
}
