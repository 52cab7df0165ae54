//! ReplicaSet: a number of equal pods.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Column, Kind};
use crate::kinds::fields::{self, Fields};
use crate::kinds::workload::Workload;
use crate::kinds::{columns, workload};
use crate::status::{FieldError, FieldPath};

const DESIRED: &str = "Replicas is the number of desired pods. This is a pointer to distinguish between explicit zero and unspecified. Defaults to 1. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset";
const CURRENT: &str = "Replicas is the most recently observed number of non-terminating pods. More info: https://kubernetes.io/docs/concepts/workloads/controllers/replicaset";
const READY: &str = "The number of non-terminating pods targeted by this ReplicaSet with a Ready Condition.";
const SELECTOR: &str = "Selector is a label query over pods that should match the replica count. If the selector is empty, it is defaulted to the labels present on the pod template. Label keys and values that must match in order to be controlled by this replica set. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        workload::number("Desired", DESIRED),
        workload::number("Current", CURRENT),
        workload::number("Ready", READY),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", SELECTOR),
    ]
});

#[derive(Debug)]
struct ReplicaSet;

pub(super) fn kind() -> Kind {
    workload::row(("apps", "ReplicaSet", "replicasets"), "io.k8s.api.apps.v1.ReplicaSet", ReplicaSet)
        .short_names(&["rs"])
        .scalable(workload::scale_paths())
}

impl Workload for ReplicaSet {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "replicas", 1);
        workload::default_template(spec);
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (path, spec) = (FieldPath::root("spec"), workload::part(object, "spec"));
        workload::not_negatives(&mut errors, &path, spec, &["replicas", "minReadySeconds"]);
        workload::selector(&mut errors, &path.child("selector"), spec.child("selector"), "deployment");
        workload::replicated_template(&mut errors, &path, spec, "invalid label selector");
        errors
    }

    fn validate_status(&self, new: &Value, _old: &Value) -> Vec<FieldError> {
        replica_status(workload::part(new, "status"))
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let selector = workload::selector_cell(object.at(&["spec", "selector"]));
        replica_cells(object, selector, now)
    }
}

/// What a set of replicas may report.
pub(super) fn replica_status(status: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let counts = ["replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration"];
    workload::not_negatives(&mut errors, &FieldPath::root("status"), status, &counts);
    let counts = ["fullyLabeledReplicas", "readyReplicas", "availableReplicas"];
    workload::replica_counts(&mut errors, status, &counts, "readyReplicas");
    errors
}

/// The row of a set of replicas.
pub(super) fn replica_cells(object: &Value, selector: Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
    let [containers, images] = workload::container_cells(spec.child("template"));
    vec![
        columns::name_cell(object),
        workload::count_cell(spec, "replicas"),
        workload::count_cell(status, "replicas"),
        workload::count_cell(status, "readyReplicas"),
        columns::age_cell(object, now),
        containers,
        images,
        selector,
    ]
}
