//! Job: pods that run until enough of them have succeeded.
//!
//! `validate` has what is refused, `update` what may change.

mod update;
pub(crate) mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::kind::{Column, Kind};
use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::workload::Workload;
use crate::kinds::{age, columns, workload};
use crate::status::FieldError;

/// Labels with the job's name, the one of old first.
pub(crate) const NAME_LABELS: [&str; 2] = ["job-name", "batch.kubernetes.io/job-name"];
/// Labels with the job's uid, the one of old first.
pub(crate) const UID_LABELS: [&str; 2] = ["controller-uid", "batch.kubernetes.io/controller-uid"];

const BACKOFFS: i64 = 6;
const COMPLETIONS: &str = "The number of pods which reached phase Succeeded. The value increases monotonically for a given spec. However, it may decrease in reaction to scale down of elastic indexed jobs.";
pub(crate) const SELECTOR: &str = "A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Status", "Status of the job."),
        columns::text("Completions", COMPLETIONS),
        columns::text("Duration", "Time required to complete the job."),
        columns::age(),
        columns::wide("Containers", workload::CONTAINERS),
        columns::wide("Images", workload::IMAGES),
        columns::wide("Selector", SELECTOR),
    ]
});

#[derive(Debug)]
struct Job;

pub(super) fn kind() -> Kind {
    workload::row(("batch", "Job", "jobs"), "io.k8s.api.batch.v1.Job", Job).orphans_dependents()
}

impl Workload for Job {
    fn default(&self, object: &mut Value) {
        labels_from_template(object);
        if let Some(spec) = fields::object_mut(object, "spec") {
            default_spec(spec);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        if !workload::part(object, "spec").is_true("manualSelector") {
            generate_selector(object);
        }
    }

    fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::create(object)
    }

    fn validate_update(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        update::object(new, old)
    }

    fn validate_status(&self, new: &Value, old: &Value) -> Vec<FieldError> {
        update::status(new, old)
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let [containers, images] = workload::container_cells(spec.child("template"));
        vec![
            columns::name_cell(object),
            Value::from(state(object)),
            Value::from(completions(spec, status)),
            Value::from(duration(status, now)),
            columns::age_cell(object, now),
            containers,
            images,
            workload::selector_cell(spec.child("selector")),
        ]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.successful"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        workload::part(object, "status").int("succeeded").unwrap_or(0).to_string()
    }
}

fn default_spec(spec: &mut Value) {
    if !spec.has("parallelism") {
        fields::set_default(spec, "completions", 1);
    }
    fields::set_default(spec, "parallelism", 1);
    let backoffs = if spec.has("backoffLimitPerIndex") { i64::from(i32::MAX) } else { BACKOFFS };
    fields::set_default(spec, "backoffLimit", backoffs);
    fields::set_default(spec, "completionMode", "NonIndexed");
    fields::set_default(spec, "suspend", false);
    fields::set_default(spec, "manualSelector", false);
    let replacement = if spec.has("podFailurePolicy") { "Failed" } else { "TerminatingOrFailed" };
    fields::set_default(spec, "podReplacementPolicy", replacement);
    workload::default_template(spec);
    if let Some(policy) = spec.get_mut("podFailurePolicy") {
        for rule in items_mut(policy, "rules") {
            for pattern in items_mut(rule, "onPodConditions") {
                fields::set_text_default(pattern, "status", "True");
            }
        }
    }
}

/// A job without labels has those of its template.
fn labels_from_template(object: &mut Value) {
    let labels = object.at(&["spec", "template", "metadata", "labels"]).and_then(Value::as_object).cloned();
    if let Some(labels) = labels
        && let Some(metadata) = fields::object_mut(object, "metadata")
        && metadata.map("labels").is_none_or(Map::is_empty)
    {
        fields::set(metadata, "labels", labels);
    }
}

/// Makes the selector and the template's labels such that only this job's pods match. Labels that the user has set stay,
/// and are refused by validation if they are others.
fn generate_selector(object: &mut Value) {
    let metadata = workload::part(object, "metadata");
    let (name, uid) = (metadata.text("name").to_owned(), metadata.text("uid").to_owned());
    let Some(spec) = fields::object_mut(object, "spec") else { return };
    if let Some(labels) = fields::object_mut(spec, "template")
        .and_then(|template| fields::object_mut(template, "metadata"))
        .and_then(|metadata| fields::object_mut(metadata, "labels"))
    {
        for label in NAME_LABELS {
            fields::set_default(labels, label, name.as_str());
        }
        for label in UID_LABELS {
            fields::set_default(labels, label, uid.as_str());
        }
    }
    if let Some(labels) =
        fields::object_mut(spec, "selector").and_then(|selector| fields::object_mut(selector, "matchLabels"))
    {
        fields::set_default(labels, UID_LABELS[1], uid);
    }
}

/// Whether a condition of this type is true.
pub(crate) fn has_condition(status: &Value, kind: &str) -> bool {
    status
        .list("conditions")
        .iter()
        .any(|condition| condition.text("type") == kind && condition.text("status") == "True")
}

fn state(object: &Value) -> &'static str {
    let status = workload::part(object, "status");
    let has = |kind| has_condition(status, kind);
    if has("Complete") {
        "Complete"
    } else if has("Failed") {
        "Failed"
    } else if workload::part(object, "metadata").has("deletionTimestamp") {
        "Terminating"
    } else if has("Suspended") {
        "Suspended"
    } else if has("FailureTarget") {
        "FailureTarget"
    } else {
        "Running"
    }
}

fn completions(spec: &Value, status: &Value) -> String {
    let succeeded = status.int("succeeded").unwrap_or(0);
    match (spec.int("completions"), spec.int("parallelism").unwrap_or(0)) {
        (Some(completions), _) => format!("{succeeded}/{completions}"),
        (None, parallelism) if parallelism > 1 => format!("{succeeded}/1 of {parallelism}"),
        (None, _) => format!("{succeeded}/1"),
    }
}

fn duration(status: &Value, now: Timestamp) -> String {
    let Some(start) = age::time(status.child("startTime")) else { return String::new() };
    let end = age::time(status.child("completionTime")).unwrap_or(now);
    age::human(end.as_second().saturating_sub(start.as_second()))
}
