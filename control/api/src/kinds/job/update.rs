//! What may change in a job.

use serde_json::Value;

use super::validate;
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::validation::immutable;
use crate::kinds::workload;
use crate::status::{FieldError, FieldPath};

/// What of the template may change while the job has not been started.
const SCHEDULING: &[&str] = &["nodeSelector", "affinity", "tolerations", "schedulingGates"];

pub(super) fn object(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let (new_spec, old_spec) = (workload::part(new, "spec"), workload::part(old, "spec"));
    validate::spec(&mut errors, new_spec);
    let path = FieldPath::root("spec");
    completions(&mut errors, &path, new_spec, old_spec);
    let stays = |errors: &mut Vec<FieldError>, field: &str| {
        immutable(errors, &path.child(field), new_spec.child(field), old_spec.child(field));
    };
    stays(&mut errors, "selector");
    let mut template = workload::part(old_spec, "template").clone();
    if may_be_rescheduled(old) {
        reschedule(&mut template, workload::part(new_spec, "template"));
    }
    immutable(&mut errors, &path.child("template"), new_spec.child("template"), Some(&template));
    for field in ["completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"] {
        stays(&mut errors, field);
    }
    errors
}

/// An indexed job may change its size if completions and parallelism stay equal.
fn completions(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    let (wanted, before) = (new.child("completions"), old.child("completions"));
    let path = path.child("completions");
    if new.text("completionMode") != "Indexed" || wanted.is_none() || before.is_none() {
        immutable(errors, &path, wanted, before);
    } else if !same(wanted, before) && !same(wanted, new.child("parallelism")) {
        let shown = wanted.cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(path, shown, "can only be modified in tandem with spec.parallelism"));
    }
}

/// A suspended job that never started has no pods yet, so it does not matter where they would have gone.
fn may_be_rescheduled(old: &Value) -> bool {
    workload::part(old, "spec").is_true("suspend") && !workload::part(old, "status").has("startTime")
}

fn reschedule(template: &mut Value, new: &Value) {
    if let Some(spec) = fields::object_mut(template, "spec") {
        for field in SCHEDULING {
            fields::copy_from(spec, workload::part(new, "spec"), field);
        }
    }
    if let Some(metadata) = fields::object_mut(template, "metadata") {
        for field in ["labels", "annotations"] {
            fields::copy_from(metadata, workload::part(new, "metadata"), field);
        }
    }
}

pub(super) fn status(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("status");
    let (status, old) = (workload::part(new, "status"), workload::part(old, "status"));
    let counts = ["active", "succeeded", "failed", "terminating", "ready"];
    workload::not_negatives(&mut errors, &path, status, &counts);
    if let (Some(ready), Some(active)) = (status.int("ready"), Some(status.int("active").unwrap_or(0)))
        && ready > active
    {
        errors.push(FieldError::invalid(path.child("ready"), ready, "more ready pods than active"));
    }
    let conditions = path.child("conditions");
    for kind in ["Complete", "Failed"] {
        if super::has_condition(old, kind) && !super::has_condition(status, kind) {
            let shown = Value::from(status.list("conditions").to_vec());
            errors.push(FieldError::invalid(
                conditions,
                shown,
                format!("cannot disable the terminal {kind}=True condition"),
            ));
        }
    }
    if super::has_condition(status, "Complete") && super::has_condition(status, "Failed") {
        let shown = Value::from(status.list("conditions").to_vec());
        errors.push(FieldError::invalid(conditions, shown, "cannot set Complete=True and Failed=True conditions"));
    }
    if status.has("completionTime") && !super::has_condition(status, "Complete") {
        let shown = status.get("completionTime").cloned().unwrap_or(Value::Null);
        errors.push(FieldError::invalid(
            path.child("completionTime"),
            shown,
            "completionTime cannot be set when there is no Complete=True condition",
        ));
    }
    errors
}
