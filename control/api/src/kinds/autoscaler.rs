//! HorizontalPodAutoscaler: one storage, two faces. The stored form is autoscaling/v2; v1 knows one metric, the use of CPU,
//! and carries the rest in annotations.

mod conversion;
mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::{columns, spec_status};
use crate::status::FieldError;

const GROUP: &str = "autoscaling";
const PLURAL: &str = "horizontalpodautoscalers";
/// Metrics that a table shows.
const METRICS_SHOWN_MAX: usize = 2;
const UNKNOWN: &str = "<unknown>";

const REFERENCE: &str = "scaleTargetRef points to the target resource to scale, and is used to the pods for which metrics should be collected, as well as to actually change the replica count.";
const TARGETS: &str = "metrics contains the specifications for which to use to calculate the desired replica count (the maximum replica count across all metrics will be used).  The desired replica count is calculated multiplying the ratio between the target value and the current value by the current number of pods.  Ergo, metrics used must decrease as the pod count is increased, and vice-versa.  See the individual metric source types for more information about how each type of metric must respond.";
const MIN_PODS: &str = "minReplicas is the lower limit for the number of replicas to which the autoscaler can scale down.  It defaults to 1 pod.  minReplicas is allowed to be 0 if the alpha feature gate HPAScaleToZero is enabled and at least one Object or External metric is configured.  Scaling is active as long as at least one metric value is available.";
const MAX_PODS: &str = "maxReplicas is the upper limit for the number of replicas to which the autoscaler can scale up. It cannot be less that minReplicas.";
const REPLICAS: &str =
    "currentReplicas is current number of replicas of pods managed by this autoscaler, as last seen by the autoscaler.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Reference", REFERENCE),
        columns::text("Targets", TARGETS),
        columns::text("MinPods", MIN_PODS),
        columns::text("MaxPods", MAX_PODS),
        columns::text("Replicas", REPLICAS),
        columns::age(),
    ]
});

/// autoscaling/v2.
#[derive(Debug)]
struct Autoscaler;

/// autoscaling/v1.
#[derive(Debug)]
struct OldAutoscaler;

pub(super) fn kind() -> Kind {
    finish(Kind::new(GROUP, "v2", "HorizontalPodAutoscaler", PLURAL, Autoscaler))
        .schema("io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler")
}

pub(super) fn old_kind() -> Kind {
    finish(Kind::new(GROUP, "v1", "HorizontalPodAutoscaler", PLURAL, OldAutoscaler))
        .schema("io.k8s.api.autoscaling.v1.HorizontalPodAutoscaler")
        .stored_as(GROUP, PLURAL)
        .version_annotations(&[
            conversion::METRICS,
            conversion::BEHAVIOR,
            conversion::CURRENT_METRICS,
            conversion::CONDITIONS,
        ])
}

fn finish(kind: Kind) -> Kind {
    kind.short_names(&["hpa"]).categories(&["all"]).part("status", Part::Status, PART_VERBS)
}

impl Behaviour for Autoscaler {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "minReplicas", 1);
        if spec.list("metrics").is_empty() {
            let target = json!({ "type": "Utilization", "averageUtilization": 80 });
            fields::set(
                spec,
                "metrics",
                json!([{ "type": "Resource", "resource": { "name": "cpu", "target": target } }]),
            );
        }
        let Some(behavior) = spec.get_mut("behavior").filter(|behavior| behavior.is_object()) else { return };
        let policies = |pods: bool| {
            let mut policies = vec![json!({ "type": "Percent", "value": 100, "periodSeconds": 15 })];
            if pods {
                policies.insert(0, json!({ "type": "Pods", "value": 4, "periodSeconds": 15 }));
            }
            policies
        };
        for direction in ["scaleUp", "scaleDown"] {
            let Some(rules) = fields::object_mut(behavior, direction) else { continue };
            let up = direction == "scaleUp";
            fields::set_default(rules, "selectPolicy", "Max");
            fields::set_default(rules, "policies", policies(up));
            if up {
                fields::set_default(rules, "stabilizationWindowSeconds", 0);
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
        drop_tolerance(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::keep_other_part(part, new, old);
        drop_tolerance(new);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part == Part::Object
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::spec(object)
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        if part == Part::Status { validate::status(new) } else { validate::spec(new) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        cells(object, now)
    }
}

impl Behaviour for OldAutoscaler {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = fields::object_mut(object, "spec") {
            fields::set_default(spec, "minReplicas", 1);
        }
        // What conversion to the stored form and back fills in: the default metric.
        if !conversion::has_other_metrics(object)
            && let Some(spec) = fields::object_mut(object, "spec")
        {
            fields::set_default(spec, "targetCPUUtilizationPercentage", 80);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::keep_other_part(part, new, old);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part == Part::Object
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::spec(&stored(object))
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        Autoscaler.validate_update(part, &stored(new), &stored(old))
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        cells(&stored(object), now)
    }

    fn to_stored(&self, object: &mut Value) {
        conversion::to_new(object);
        Autoscaler.default(object);
        if let Some(status) = fields::object_mut(object, "status") {
            fields::set_default(status, "currentMetrics", Value::Null);
            fields::set_default(status, "desiredReplicas", 0);
            // Only the old form writes this out when it is nothing.
            if status.int("currentReplicas") == Some(0) {
                fields::remove(status, "currentReplicas");
            }
        }
    }

    fn from_stored(&self, object: &mut Value) {
        conversion::to_old(object);
        if let Some(status) = fields::object_mut(object, "status") {
            fields::set_default(status, "currentReplicas", 0);
            fields::set_default(status, "desiredReplicas", 0);
        }
    }
}

fn stored(object: &Value) -> Value {
    let mut object = object.clone();
    OldAutoscaler.to_stored(&mut object);
    object
}

/// A field of a feature that 1.34 ships switched off.
fn drop_tolerance(object: &mut Value) {
    let Some(behavior) = object.get_mut("spec").and_then(|spec| spec.get_mut("behavior")) else { return };
    for direction in ["scaleUp", "scaleDown"] {
        if let Some(rules) = behavior.get_mut(direction) {
            fields::remove(rules, "tolerance");
        }
    }
}

/// The name of the field that has the details of a metric of this type.
fn source(kind: &str) -> Option<&'static str> {
    match kind {
        "ContainerResource" => Some("containerResource"),
        "External" => Some("external"),
        "Object" => Some("object"),
        "Pods" => Some("pods"),
        "Resource" => Some("resource"),
        _ => None,
    }
}

fn cells(object: &Value, now: Timestamp) -> Vec<Value> {
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    let status = object.child("status").unwrap_or(&null);
    let target = spec.child("scaleTargetRef").unwrap_or(&null);
    vec![
        columns::name_cell(object),
        Value::from(format!("{}/{}", target.text("kind"), target.text("name"))),
        Value::from(metrics(spec.list("metrics"), status.list("currentMetrics"))),
        Value::from(spec.int("minReplicas").map_or_else(|| "<unset>".to_owned(), |count| count.to_string())),
        Value::from(spec.int("maxReplicas").unwrap_or(0)),
        Value::from(status.int("currentReplicas").unwrap_or(0)),
        columns::age_cell(object, now),
    ]
}

fn metrics(specs: &[Value], statuses: &[Value]) -> String {
    let shown: Vec<String> = specs
        .iter()
        .take(METRICS_SHOWN_MAX)
        .enumerate()
        .map(|(index, spec)| metric(spec, statuses.get(index).unwrap_or(&Value::Null)))
        .collect();
    let text = shown.join(", ");
    match specs.len() {
        0 => columns::NONE.to_owned(),
        count if count > METRICS_SHOWN_MAX => format!("{text} + {} more...", count - METRICS_SHOWN_MAX),
        _ => text,
    }
}

/// `cpu: 20%/80%`: what is and what is wanted.
fn metric(spec: &Value, status: &Value) -> String {
    let kind = spec.text("type");
    let Some(field) = source(kind) else { return "<unknown type>".to_owned() };
    let null = Value::Null;
    let details = spec.child(field).unwrap_or(&null);
    let target = details.child("target").unwrap_or(&null);
    let current = status.at(&[field, "current"]).filter(|_| status.text("type") == kind).unwrap_or(&null);
    let text = |holder: &Value, name: &str| holder.text_if_set(name).map(str::to_owned);
    let known = |value: Option<String>| value.unwrap_or_else(|| UNKNOWN.to_owned());
    let average = text(target, "averageValue");
    match kind {
        "Resource" | "ContainerResource" => {
            let name = details.text("name");
            if let Some(wanted) = average {
                return format!("{name}: {}/{wanted}", known(text(current, "averageValue")));
            }
            let percent = |holder: &Value| holder.int("averageUtilization").map(|value| format!("{value}%"));
            let wanted = percent(target).unwrap_or_else(|| "<auto>".to_owned());
            format!("{name}: {}/{wanted}", known(percent(current)))
        }
        "Pods" => format!("{}/{}", known(text(current, "averageValue")), average.unwrap_or_default()),
        _ => match average {
            Some(wanted) => format!("{}/{wanted} (avg)", known(text(current, "averageValue"))),
            None => format!("{}/{}", known(text(current, "value")), text(target, "value").unwrap_or_default()),
        },
    }
}

#[cfg(test)]
mod tests;
