//! StorageClass and VolumeAttributesClass: what kinds of volumes there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Part};
use crate::kinds::columns;
use crate::kinds::config_map::same_map;
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{immutable, one_of_if_set, qualified_name};
use crate::status::{FieldError, FieldPath};

use super::parameters;

/// Either marks the class that claims without a class get.
const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// Marks the attributes class that claims without one get.
const DEFAULT_ATTRIBUTES_CLASS: &str = "volumeattributesclass.alpha.kubernetes.io/is-default-class";

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
        provisioner(&mut errors, &FieldPath::root("provisioner"), object.text("provisioner"));
        parameters(&mut errors, object, false);
        let reclaim = object.text_if_set("reclaimPolicy").filter(|policy| !policy.is_empty());
        one_of_if_set(&mut errors, &FieldPath::root("reclaimPolicy"), reclaim, &["Delete", "Retain"]);
        let (modes, path) = (["Immediate", "WaitForFirstConsumer"], FieldPath::root("volumeBindingMode"));
        match object.text_if_set("volumeBindingMode") {
            None => errors.push(FieldError::required(path, "")),
            mode => one_of_if_set(&mut errors, &path, mode, &modes),
        }
        topologies(&mut errors, &FieldPath::root("allowedTopologies"), object.list("allowedTopologies"));
        errors
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
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
        vec![
            class_name_cell(object, &DEFAULT_CLASS),
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
        provisioner(&mut errors, &FieldPath::root("driverName"), object.text("driverName"));
        parameters(&mut errors, object, true);
        errors
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
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
        let name = class_name_cell(object, &[DEFAULT_ATTRIBUTES_CLASS]);
        vec![name, Value::from(object.text("driverName")), columns::age_cell(object, now)]
    }
}

/// The name, and whether this class is for those who name none.
fn class_name_cell(object: &Value, marks: &[&str]) -> Value {
    let marked = |name: &&str| object.at(&["metadata", "annotations", name]).is_some_and(|value| value == "true");
    let name = object.child("metadata").map(|metadata| metadata.text("name")).unwrap_or_default();
    Value::from(if marks.iter().any(marked) { format!("{name} (default)") } else { name.to_owned() })
}

/// Who makes the volumes: a qualified name in which case does not matter.
fn provisioner(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
    } else {
        qualified_name(errors, path, &name.to_lowercase());
    }
}

/// Terms that say where volumes of a class may be. No two may say the same.
fn topologies(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, terms: &[Value]) {
    // Upstream starts with as many empty terms as there are terms, so that an empty one repeats all of these.
    let mut seen: Vec<BTreeMap<&str, BTreeSet<&str>>> = vec![BTreeMap::new(); terms.len()];
    for (index, term) in terms.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("matchLabelExpressions");
        let mut requirements = BTreeMap::new();
        for (index, requirement) in term.list("matchLabelExpressions").iter().enumerate() {
            let path = path.index(index);
            let (key, values) = (requirement.text("key"), requirement.texts("values"));
            if values.is_empty() {
                errors.push(FieldError::required(path.child("values"), ""));
            }
            let mut distinct = BTreeSet::new();
            for (index, value) in values.into_iter().enumerate() {
                if !distinct.insert(value) {
                    errors.push(FieldError::duplicate(path.child("values").index(index), value));
                }
            }
            qualified_name(errors, &path.child("key"), key);
            if requirements.insert(key, distinct).is_some() {
                errors.push(FieldError::duplicate(path.child("key"), key));
            }
        }
        errors.extend(seen.iter().filter(|term| **term == requirements).map(|_| FieldError::duplicate(path, "")));
        seen.push(requirements);
    }
}
