//! ControllerRevision: a version of something that a controller keeps, to go back to.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::Fields;
use crate::kinds::validation::{immutable, not_negative};
use crate::kinds::{columns, workload};
use crate::status::{FieldError, FieldPath};

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Controller", "Controller of the object"),
        columns::text("Revision", "revision indicates the revision of the state represented by Data."),
        columns::age(),
    ]
});

#[derive(Debug)]
struct ControllerRevision;

pub(super) fn kind() -> Kind {
    Kind::new("apps", "v1", "ControllerRevision", "controllerrevisions", ControllerRevision)
        .schema("io.k8s.api.apps.v1.ControllerRevision")
}

impl Behaviour for ControllerRevision {
    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if !object.has("data") {
            errors.push(FieldError::required("data", "data is mandatory"));
        }
        not_negative(&mut errors, &FieldPath::root("revision"), object.int("revision"));
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        immutable(&mut errors, &FieldPath::root("data"), new.child("data"), old.child("data"));
        not_negative(&mut errors, &FieldPath::root("revision"), new.int("revision"));
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let owners = workload::part(object, "metadata").list("ownerReferences");
        let controller = owners.iter().find(|owner| owner.is_true("controller")).map(resource_name);
        vec![
            columns::name_cell(object),
            columns::or_none(&controller.unwrap_or_default()),
            workload::count_cell(object, "revision"),
            columns::age_cell(object, now),
        ]
    }
}

/// `statefulset.apps/web`.
fn resource_name(owner: &Value) -> String {
    let kind = owner.text("kind").to_lowercase();
    match owner.text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{}/{}", group.to_lowercase(), owner.text("name")),
        None => format!("{kind}/{}", owner.text("name")),
    }
}
