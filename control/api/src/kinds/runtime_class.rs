//! RuntimeClass: which handler runs a pod's containers, and what that costs.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::fields::Fields;
use crate::kinds::pod;
use crate::kinds::validation::resources::{amounts, container_resource_name, resource_amount};
use crate::kinds::validation::{IMMUTABLE, complain, labels};
use crate::names;
use crate::status::{FieldError, FieldPath};

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Handler", ""), columns::age()]);

#[derive(Debug)]
struct RuntimeClass;

pub(super) fn kind() -> Kind {
    Kind::new("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", RuntimeClass)
        .schema("io.k8s.api.node.v1.RuntimeClass")
        .cluster_scoped()
        .creates_on_update()
        .updates_need_a_version()
}

impl Behaviour for RuntimeClass {
    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let handler = object.text("handler");
        complain(&mut errors, &FieldPath::root("handler"), handler, names::dns_label(handler));
        if let Some(overhead) = object.child("overhead") {
            let path = FieldPath::root("overhead");
            let path = path.child("limits");
            for (name, amount) in amounts(overhead.child("podFixed")) {
                container_resource_name(&mut errors, &path.key(name), name);
                resource_amount(&mut errors, &path.key(name), name, &amount);
            }
        }
        if let Some(scheduling) = object.child("scheduling") {
            let path = FieldPath::root("scheduling");
            labels::labels(&mut errors, &path.child("nodeSelector"), scheduling.map("nodeSelector"));
            pod::validate_scheduling::tolerations(
                &mut errors,
                &path.child("tolerations"),
                scheduling.list("tolerations"),
            );
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let handler = new.text("handler");
        if handler == old.text("handler") {
            return Vec::new();
        }
        vec![FieldError::invalid("handler", handler, IMMUTABLE)]
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(object.text("handler")), columns::age_cell(object, now)]
    }
}
