//! Namespace: it goes only after its content has gone, which `spec.finalizers` stands for.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part, Verb};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields};
use crate::kinds::object_meta::{self, FINALIZER_KUBERNETES};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::qualified_name;
use crate::status::{FieldError, FieldPath};

/// The label that every namespace has with its own name, so that selectors can name one.
pub const LABEL_NAME: &str = "kubernetes.io/metadata.name";

/// All but deletecollection, which namespaces do not have.
const VERBS: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::List, Verb::Patch, Verb::Update, Verb::Watch];

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Status", "The status of the namespace"), columns::age()]);

#[derive(Debug)]
struct Namespace;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Namespace", "namespaces", Namespace)
        .schema("io.k8s.api.core.v1.Namespace")
        .short_names(&["ns"])
        .cluster_scoped()
        .verbs(VERBS)
        .name_rule(NameRule::Label)
        .part("finalize", Part::Finalize, &[Verb::Update])
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for Namespace {
    fn default(&self, object: &mut Value) {
        label_with_name(object);
        fields::object_mut(object, "spec");
        if let Some(status) = fields::object_mut(object, "status") {
            fields::set_text_default(status, "phase", "Active");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        // The name may have been generated since defaulting.
        label_with_name(object);
        fields::set(object, "status", json!({ "phase": "Active" }));
        if let Some(spec) = fields::object_mut(object, "spec")
            && !spec.texts("finalizers").contains(&FINALIZER_KUBERNETES)
        {
            let mut finalizers = spec.list("finalizers").to_vec();
            finalizers.push(Value::from(FINALIZER_KUBERNETES));
            fields::set(spec, "finalizers", finalizers);
        }
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        match part {
            Part::Status => fields::copy_from(new, old, "spec"),
            Part::Finalize => fields::copy_from(new, old, "status"),
            Part::Object | Part::EphemeralContainers | Part::Resize | Part::Approval => {
                fields::copy_from(new, old, "spec");
                fields::copy_from(new, old, "status");
            }
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        finalizers(object)
    }

    fn validate_update(&self, part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        match part {
            Part::Status => phase_fits_deletion(new),
            Part::Finalize => finalizers(new),
            Part::Object | Part::EphemeralContainers | Part::Resize | Part::Approval => Vec::new(),
        }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        match part {
            Part::Status => &["spec"],
            Part::Object | Part::Finalize | Part::EphemeralContainers | Part::Resize | Part::Approval => &["status"],
        }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(phase(object)), columns::age_cell(object, now)]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["status.phase"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        phase(object).to_owned()
    }

    fn holds_deletion(&self, object: &Value) -> bool {
        object.child("spec").is_some_and(|spec| !spec.list("finalizers").is_empty())
    }

    fn mark_deleted(&self, object: &mut Value) {
        if let Some(status) = fields::object_mut(object, "status") {
            fields::set(status, "phase", "Terminating");
        }
    }
}

fn phase(object: &Value) -> &str {
    object.child("status").map(|status| status.text("phase")).unwrap_or_default()
}

fn label_with_name(object: &mut Value) {
    let name = object.child("metadata").map(|metadata| metadata.text("name")).unwrap_or_default().to_owned();
    if name.is_empty() {
        return;
    }
    if let Some(labels) = fields::object_mut(object, "metadata").and_then(|meta| fields::object_mut(meta, "labels")) {
        fields::set(labels, LABEL_NAME, name);
    }
}

fn finalizers(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(spec) = object.child("spec") else { return errors };
    let path = FieldPath::root("spec");
    let path = path.child("finalizers");
    for (index, finalizer) in spec.texts("finalizers").into_iter().enumerate() {
        qualified_name(&mut errors, &path.index(index), finalizer);
        object_meta::finalizer_is_known(&mut errors, &path.index(index), finalizer);
    }
    errors
}

fn phase_fits_deletion(object: &Value) -> Vec<FieldError> {
    let (phase, deleted) = (phase(object), object.at(&["metadata", "deletionTimestamp"]).is_some());
    let detail = match (deleted, phase) {
        (false, "Active") | (true, "Terminating") => return Vec::new(),
        (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    vec![FieldError::invalid("status.Phase", phase, detail)]
}
