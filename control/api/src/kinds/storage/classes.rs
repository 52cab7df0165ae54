//! StorageClass and VolumeAttributesClass: what kinds of volumes there are.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Part};
use crate::kinds::columns;
use crate::kinds::config_map::same_map;
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{complain, immutable, one_of, one_of_if_set};
use crate::names;
use crate::status::{FieldError, FieldPath};

use super::{driver_name, parameters};

/// Either marks the class that claims without a class get.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

const BINDING_MODE: &str = "volumeBindingMode indicates how PersistentVolumeClaims should be provisioned and bound.  When unset, VolumeBindingImmediate is used. This field is only honored by servers that enable the VolumeScheduling feature.";
const RECLAIM: &str = "reclaimPolicy controls the reclaimPolicy for dynamically provisioned PersistentVolumes of this storage class. Defaults to Delete.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Provisioner", "provisioner indicates the type of the provisioner."),
        columns::text("ReclaimPolicy", RECLAIM),
        columns::text("VolumeBindingMode", BINDING_MODE),
        columns::text(
            "AllowVolumeExpansion",
            "allowVolumeExpansion shows whether the storage class allow volume expand.",
        ),
        columns::age(),
    ]
});

static ATTRIBUTES_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("DriverName", "Name of the CSI driver This field is immutable."),
        columns::age(),
    ]
});

#[derive(Debug)]
pub(super) struct StorageClass;

#[derive(Debug)]
pub(super) struct AttributesClass;

impl Behaviour for StorageClass {
    fn default(&self, object: &mut Value) {
        fields::set_default(object, "reclaimPolicy", "Delete");
        fields::set_default(object, "volumeBindingMode", "Immediate");
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let (provisioner, path) = (object.text("provisioner"), FieldPath::root("provisioner"));
        if provisioner.is_empty() {
            errors.push(FieldError::required(path, provisioner));
        } else {
            complain(&mut errors, &path, provisioner, names::qualified_name(&provisioner.to_lowercase()));
        }
        parameters(&mut errors, object, false);
        let reclaim = object.text_if_set("reclaimPolicy");
        one_of_if_set(&mut errors, &FieldPath::root("reclaimPolicy"), reclaim, &["Delete", "Retain"]);
        let modes = ["Immediate", "WaitForFirstConsumer"];
        one_of(&mut errors, &FieldPath::root("volumeBindingMode"), object.text("volumeBindingMode"), &modes);
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let mut frozen = |field: &str| {
            errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        };
        if !same_map(new, old, "parameters") {
            frozen("parameters");
        }
        for field in ["provisioner", "reclaimPolicy"] {
            if new.text(field) != old.text(field) {
                frozen(field);
            }
        }
        let mode = "volumeBindingMode";
        immutable(&mut errors, &FieldPath::root(mode), new.child(mode), old.child(mode));
        errors
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let marked = |name: &&str| object.at(&["metadata", "annotations", name]).is_some_and(|value| value == "true");
        let mut name = object.child("metadata").map(|metadata| metadata.text("name")).unwrap_or_default().to_owned();
        if DEFAULT_CLASS.iter().any(marked) {
            name.push_str(" (default)");
        }
        vec![
            Value::from(name),
            Value::from(object.text("provisioner")),
            Value::from(object.text_if_set("reclaimPolicy").unwrap_or("Delete")),
            Value::from(object.text_if_set("volumeBindingMode").unwrap_or("Immediate")),
            Value::from(object.is_true("allowVolumeExpansion")),
            columns::age_cell(object, now),
        ]
    }
}

impl Behaviour for AttributesClass {
    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        driver_name(&mut errors, &FieldPath::root("driverName"), object.text("driverName"));
        parameters(&mut errors, object, true);
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if new.text("driverName") != old.text("driverName") {
            errors.push(FieldError::forbidden("driverName", "updates to driverName are forbidden."));
        }
        if !same_map(new, old, "parameters") {
            errors.push(FieldError::forbidden("parameters", "updates to parameters are forbidden."));
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &ATTRIBUTES_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(object.text("driverName")), columns::age_cell(object, now)]
    }
}
