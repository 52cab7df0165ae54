//! ReplicationController: what a ReplicaSet was before it had a name of its own. Its selector is a map of labels.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use super::replica_set::{replica_cells, replica_status};
use crate::kind::{Column, Kind};
use crate::kinds::fields::{self, Fields};
use crate::kinds::workload::Workload;
use crate::kinds::{columns, pod, workload};
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

const DESIRED: &str = "Replicas is the number of desired replicas. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller";
const CURRENT: &str = "Replicas is the most recently observed number of replicas. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicationcontroller#what-is-a-replicationcontroller";
const SELECTOR: &str = "Selector is a label query over pods that should match the Replicas count. If Selector is empty, it is defaulted to the labels present on the Pod template. Label keys and values that must match in order to be controlled by this replication controller, if empty defaulted to labels on Pod template. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        workload::number("Desired", DESIRED),
        workload::number("Current", CURRENT),
        workload::number("Ready", "The number of ready replicas for this replication controller."),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", SELECTOR),
    ]
});

#[derive(Debug)]
struct ReplicationController;

pub(super) fn kind() -> Kind {
    workload::row(
        ("", "ReplicationController", "replicationcontrollers"),
        "io.k8s.api.core.v1.ReplicationController",
        ReplicationController,
    )
    .short_names(&["rc"])
    .orphans_dependents()
    .scalable(workload::scale_paths())
}

impl Workload for ReplicationController {
    fn default(&self, object: &mut Value) {
        labels_from_template(object);
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "replicas", 1);
        if spec.has("template") {
            workload::default_template(spec);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (path, spec) = (FieldPath::root("spec"), workload::part(object, "spec"));
        workload::not_negatives(&mut errors, &path, spec, &["minReadySeconds"]);
        let selector = spec.child("selector");
        if selector.and_then(Value::as_object).is_none_or(serde_json::Map::is_empty) {
            errors.push(FieldError::required(path.child("selector"), ""));
        }
        workload::not_negatives(&mut errors, &path, spec, &["replicas"]);
        template(&mut errors, &path.child("template"), spec.child("template"), selector);
        errors
    }

    fn validate_update(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate(new)
    }

    fn validate_status(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        replica_status(workload::part(new, "status"))
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let selector = workload::labels_cell(object.at(&["spec", "selector"]));
        replica_cells(object, selector, now)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.replicas"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        object.at(&["status", "replicas"]).and_then(Value::as_i64).unwrap_or(0).to_string()
    }
}

/// Selector and labels are those of the template where they are not given.
fn labels_from_template(object: &mut Value) {
    let labels = object.at(&["spec", "template", "metadata", "labels"]).and_then(Value::as_object).cloned();
    let Some(labels) = labels else { return };
    let is_empty = |map: Option<&serde_json::Map<String, Value>>| map.is_none_or(serde_json::Map::is_empty);
    if let Some(spec) = fields::object_mut(object, "spec")
        && is_empty(spec.map("selector"))
    {
        fields::set(spec, "selector", labels.clone());
    }
    if let Some(metadata) = fields::object_mut(object, "metadata")
        && is_empty(metadata.map("labels"))
    {
        fields::set(metadata, "labels", labels);
    }
}

fn template(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, template: Option<&Value>, selector: Option<&Value>) {
    let Some(template) = template else {
        errors.push(FieldError::required(path, ""));
        return;
    };
    let selector = serde_json::json!({ "matchLabels": selector });
    if let Ok(selector) = LabelSelector::from_object(Some(&selector)) {
        workload::template_is_selected(errors, path, template, &selector);
    }
    pod::validate::template(errors, path, template);
    workload::lasting_template(errors, path, template, "ReplicationController");
}
