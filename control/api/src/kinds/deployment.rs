//! Deployment: a number of equal pods, replaced step by step when their template changes.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Column, Kind, Part};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::workload::Workload;
use crate::kinds::{columns, object_meta, workload};
use crate::status::{FieldError, FieldPath};

const SELECTOR: &str = "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment.";
const UPDATED: &str =
    "Total number of non-terminating pods targeted by this deployment that have the desired template spec.";
const AVAILABLE: &str =
    "Total number of available non-terminating pods (ready for at least minReadySeconds) targeted by this deployment.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Ready", "Number of the pod with ready state"),
        columns::text("Up-to-date", UPDATED),
        columns::text("Available", AVAILABLE),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", SELECTOR),
    ]
});

#[derive(Debug)]
struct Deployment;

pub(super) fn kind() -> Kind {
    workload::row(("apps", "Deployment", "deployments"), "io.k8s.api.apps.v1.Deployment", Deployment)
        .short_names(&["deploy"])
        .version_annotations(&["deprecated.deployment.rollback.to"])
        .scalable(workload::scale_paths())
}

impl Workload for Deployment {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "replicas", 1);
        fields::set_default(spec, "revisionHistoryLimit", 10);
        fields::set_default(spec, "progressDeadlineSeconds", 600);
        workload::default_template(spec);
        let Some(strategy) = fields::object_mut(spec, "strategy") else { return };
        fields::set_text_default(strategy, "type", "RollingUpdate");
        if strategy.text("type") == "RollingUpdate"
            && let Some(rolling) = fields::object_mut(strategy, "rollingUpdate")
        {
            fields::set_default(rolling, "maxUnavailable", "25%");
            fields::set_default(rolling, "maxSurge", "25%");
        }
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            if let (Some(new), Some(old)) = (new.get_mut("metadata"), old.get("metadata")) {
                fields::copy_from(new, old, "labels");
            }
            return;
        }
        // Its annotations go on to the replica sets, so they count as what is wanted.
        let annotations = ["metadata", "annotations"];
        if !same(new.at(&annotations), old.at(&annotations)) {
            object_meta::bump_generation(new, old);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self::spec(&mut errors, workload::part(object, "spec"));
        errors
    }

    fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        status(&mut errors, workload::part(new, "status"), workload::part(old, "status"));
        errors
    }

    fn reset_with_status(&self) -> &'static [&'static str] {
        &["spec", "metadata.labels"]
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let ready = format!("{}/{}", status.int("readyReplicas").unwrap_or(0), spec.int("replicas").unwrap_or(0));
        let [containers, images] = workload::container_cells(spec.child("template"));
        vec![
            columns::name_cell(object),
            Value::from(ready),
            workload::count_cell(status, "updatedReplicas"),
            workload::count_cell(status, "availableReplicas"),
            columns::age_cell(object, now),
            containers,
            images,
            workload::selector_cell(spec.child("selector")),
        ]
    }
}

fn spec(errors: &mut Vec<FieldError>, spec: &Value) {
    let path = FieldPath::root("spec");
    workload::not_negatives(errors, &path, spec, &["replicas"]);
    workload::selector(errors, &path.child("selector"), spec.child("selector"), "deployment");
    workload::replicated_template(errors, &path, spec, "invalid label selector");
    strategy(errors, &path.child("strategy"), workload::part(spec, "strategy"));
    workload::not_negatives(
        errors,
        &path,
        spec,
        &["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"],
    );
    if let Some(deadline) = spec.int("progressDeadlineSeconds")
        && deadline <= spec.int("minReadySeconds").unwrap_or(0)
    {
        let path = path.child("progressDeadlineSeconds");
        errors.push(FieldError::invalid(path, deadline, "must be greater than minReadySeconds"));
    }
}

fn strategy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, strategy: &Value) {
    let rolling_path = path.child("rollingUpdate");
    let rolling = strategy.child("rollingUpdate");
    match (strategy.text("type"), rolling) {
        ("Recreate", None) => {}
        ("Recreate", Some(_)) => {
            errors.push(FieldError::forbidden(rolling_path, "may not be specified when strategy `type` is 'Recreate'"))
        }
        ("RollingUpdate", None) => {
            errors.push(FieldError::required(rolling_path, "this should be defaulted and never be nil"));
        }
        ("RollingUpdate", Some(rolling)) => {
            let (unavailable, surge) = (rolling.child("maxUnavailable"), rolling.child("maxSurge"));
            let unavailable_path = rolling_path.child("maxUnavailable");
            workload::count_or_percent(errors, &unavailable_path, unavailable);
            workload::count_or_percent(errors, &rolling_path.child("maxSurge"), surge);
            if workload::is_nought(unavailable) && workload::is_nought(surge) {
                let shown = unavailable.cloned().unwrap_or(Value::Null);
                errors.push(FieldError::invalid(unavailable_path, shown, "may not be 0 when `maxSurge` is 0"));
            }
            workload::at_most_all(errors, &unavailable_path, unavailable);
        }
        (other, rolling) => {
            let shown = json!({ "Type": other, "RollingUpdate": rolling });
            errors.push(FieldError::not_supported(path, shown, ["Recreate", "RollingUpdate"]));
        }
    }
}

fn status(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    const COUNTS: &[&str] = &[
        "observedGeneration",
        "replicas",
        "updatedReplicas",
        "readyReplicas",
        "availableReplicas",
        "unavailableReplicas",
        "collisionCount",
    ];
    workload::not_negatives(errors, &FieldPath::root("status"), new, COUNTS);
    let counts = ["updatedReplicas", "readyReplicas", "availableReplicas"];
    workload::replica_counts(errors, new, &counts, "readyReplicas");
    workload::collisions_grow(errors, new, old);
}
