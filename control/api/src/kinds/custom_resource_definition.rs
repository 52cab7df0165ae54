//! CustomResourceDefinition: a kind that users bring. What its objects are is in [`crate::custom`].

mod schema_rules;
pub mod status;
mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::custom::{FINALIZER, GROUP, PLURAL};
use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::{columns, object_meta, spec_status};
use crate::status::FieldError;

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![columns::name(), Column { kind: "date".into(), ..columns::text("Created At", columns::AGE) }]
});

#[derive(Debug)]
struct CustomResourceDefinition;

pub(super) fn kind() -> Kind {
    Kind::new(GROUP, "v1", "CustomResourceDefinition", PLURAL, CustomResourceDefinition)
        .schema("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition")
        .short_names(&["crd", "crds"])
        .categories(&["api-extensions"])
        .cluster_scoped()
        .keeps_empty_lists()
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for CustomResourceDefinition {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        if let Some(names) = fields::object_mut(spec, "names") {
            let kind = names.text("kind").to_owned();
            fields::set_text_default(names, "singular", &kind.to_lowercase());
            if !kind.is_empty() {
                fields::set_text_default(names, "listKind", &format!("{kind}List"));
            }
        }
        fields::set_default(spec, "conversion", json!({"strategy": "None"}));
        let webhook = fields::object_mut(spec, "conversion").and_then(|conversion| conversion.get_mut("webhook"));
        let client = webhook.and_then(|webhook| webhook.get_mut("clientConfig"));
        if let Some(service) = client.and_then(|client| client.get_mut("service")).filter(|service| service.is_object())
        {
            fields::set_default(service, "port", 443);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
        fields::remove(object, "status");
        note_storage_version(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::prepare_update(part, new, old);
        if part == Part::Status {
            object_meta::keep_for_part(new, old);
        } else {
            note_storage_version(new);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::validate(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status { Vec::new() } else { validate::validate_update(new, old) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["metadata", "spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        columns::name_and_created_at_cells(object)
    }

    /// A definition goes only after its objects: the first DELETE marks it and adds the finalizer.
    fn holds_deletion(&self, object: &Value) -> bool {
        !object.child("metadata").is_some_and(|metadata| metadata.has("deletionTimestamp"))
    }

    fn mark_deleted(&self, object: &mut Value) {
        let at = object.at(&["metadata", "deletionTimestamp"]).cloned().unwrap_or(Value::Null);
        if let Some(metadata) = fields::object_mut(object, "metadata") {
            let mut finalizers: Vec<Value> = metadata.list("finalizers").to_vec();
            if !finalizers.iter().any(|name| name == FINALIZER) {
                finalizers.push(Value::from(FINALIZER));
            }
            fields::set(metadata, "finalizers", finalizers);
        }
        let message = "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon";
        status::set_condition(object, "Terminating", true, ("InstanceDeletionPending", message), &at);
    }
}

/// Every version that objects were ever stored in is remembered.
fn note_storage_version(object: &mut Value) {
    let versions = object.child("spec").map(|spec| spec.list("versions")).unwrap_or_default();
    let storage = versions.iter().find(|version| version.is_true("storage"));
    let Some(name) = storage.map(|version| version.text("name").to_owned()) else { return };
    let Some(status) = fields::object_mut(object, "status") else { return };
    let mut stored: Vec<Value> = status.list("storedVersions").to_vec();
    if !stored.iter().any(|stored| *stored == name) {
        stored.push(Value::from(name));
    }
    fields::set(status, "storedVersions", stored);
}
