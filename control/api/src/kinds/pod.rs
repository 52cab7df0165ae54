//! Pod: containers that share a network address, volumes and a fate.
//!
//! In reading order: `defaults` (what a client may leave out), `prepare` (what the server decides), `app_armor`
//! (profiles named by annotation), `quality` (the quality-of-service class), `validate` and its parts (what is refused),
//! `update` (what may change), `status` (what a host may report), `warnings`, `columns` (how a table shows it) and
//! `binding`.

mod app_armor;
pub mod binding;
mod columns;
mod defaults;
pub(crate) mod go_form;
mod prepare;
pub(crate) mod quality;
mod status;
mod update;
pub(crate) mod validate;
mod validate_containers;
mod validate_environment;
mod validate_handlers;
mod validate_mounts;
mod validate_projected;
pub(crate) mod validate_scheduling;
mod validate_security;
mod validate_volumes;
pub(crate) mod warnings;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part, Verb};
use crate::kinds::fields::{self, Fields};
use crate::status::{FieldError, FieldPath};

const CONNECT: &[Verb] = &[Verb::Create, Verb::Get];
const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];

#[derive(Debug)]
struct Pod;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Pod", "pods", Pod)
        .schema("io.k8s.api.core.v1.Pod")
        .short_names(&["po"])
        .categories(&["all"])
        .returns_what_it_deletes()
        .subresource("attach", ("", "", "PodAttachOptions"), CONNECT)
        .subresource("binding", ("", "", "Binding"), &[Verb::Create])
        .part("ephemeralcontainers", Part::EphemeralContainers, PART_VERBS)
        .subresource("eviction", ("policy", "v1", "Eviction"), &[Verb::Create])
        .subresource("exec", ("", "", "PodExecOptions"), CONNECT)
        .subresource("log", ("", "", "Pod"), &[Verb::Get])
        .subresource("portforward", ("", "", "PodPortForwardOptions"), CONNECT)
        .subresource("proxy", ("", "", "PodProxyOptions"), PROXY)
        .part("resize", Part::Resize, PART_VERBS)
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for Pod {
    fn default(&self, object: &mut Value) {
        defaults::pod(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        prepare::create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        prepare::update(part, new, old);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part != Part::Status
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::create(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        match part {
            Part::Status => status::update(new, old),
            Part::EphemeralContainers => update::ephemeral_containers(new, old),
            Part::Resize => update::resize(new, old),
            Part::Object | Part::Finalize | Part::Approval => update::object(new, old),
        }
    }

    fn warnings(&self, new: &Value, old: Option<&Value>) -> Vec<String> {
        if old.is_some() { Vec::new() } else { warnings::of_new_pod(new) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        match part {
            Part::Status => &["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"],
            Part::Object | Part::Finalize | Part::EphemeralContainers | Part::Resize | Part::Approval => &["status"],
        }
    }

    fn columns(&self) -> &[Column] {
        columns::columns()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(object, now)
    }

    fn row_conditions(&self, object: &Value) -> Vec<Value> {
        columns::row_conditions(object)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ]
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        let Some((part, field)) = label.split_once('.') else { return String::new() };
        let null = Value::Null;
        let part = object.child(part).unwrap_or(&null);
        match field {
            "hostNetwork" => part.is_true(field).to_string(),
            // Upstream compares the first address under both names.
            "podIP" | "podIPs" => first_address(part).to_owned(),
            _ => part.text(field).to_owned(),
        }
    }

    fn graceful_deletion(&self, object: &Value, requested: Option<i64>) -> Option<i64> {
        Some(grace_seconds(object, requested))
    }
}

/// Seconds that a deleted pod gets: as asked for, or as the pod says; none where there is nobody to wait for.
fn grace_seconds(object: &Value, requested: Option<i64>) -> i64 {
    let null = Value::Null;
    let (spec, status) = (object.child("spec").unwrap_or(&null), object.child("status").unwrap_or(&null));
    let finished = matches!(status.text("phase"), "Failed" | "Succeeded");
    if spec.text("nodeName").is_empty() || finished {
        return 0;
    }
    let seconds = requested.or_else(|| spec.int("terminationGracePeriodSeconds")).unwrap_or(0);
    if seconds < 0 { 1 } else { seconds }
}

/// The pod's first address in its status, or empty text.
pub(crate) fn first_address(status: &Value) -> &str {
    match status.list("podIPs").first() {
        Some(first) => first.text("ip"),
        None => status.text("podIP"),
    }
}

/// Every container with the name of its list and its place in it: init, regular, then ephemeral ones, as upstream walks.
pub(crate) fn containers(spec: &Value) -> impl Iterator<Item = (&'static str, usize, &Value)> {
    ["initContainers", "containers", "ephemeralContainers"]
        .into_iter()
        .flat_map(|list| spec.list(list).iter().enumerate().map(move |(index, container)| (list, index, container)))
}

/// An init container that runs beside the others for the pod's whole life.
pub(crate) fn is_sidecar(container: &Value) -> bool {
    container.text("restartPolicy") == "Always"
}

/// Fills in what the template of a pod may leave out.
pub(crate) fn default_template(template: &mut Value) {
    if let Some(spec) = fields::object_mut(template, "spec") {
        defaults::spec(spec);
    }
}

/// Drops from a template what it may not say.
pub(crate) fn prepare_template(template: &mut Value) {
    if let Some(spec) = template.get_mut("spec") {
        prepare::drop_switched_off(spec);
    }
}

/// Warnings about a template at `path`.
pub(crate) fn warn_of_template(warnings: &mut Vec<String>, path: &FieldPath<'_>, template: &Value) {
    let null = Value::Null;
    let (metadata, spec) = (template.child("metadata").unwrap_or(&null), template.child("spec").unwrap_or(&null));
    warnings::of_spec(warnings, path, metadata, spec);
}
