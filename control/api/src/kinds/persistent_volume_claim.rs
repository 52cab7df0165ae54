//! PersistentVolumeClaim: storage that a pod asks for.

mod update;
pub(crate) mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::go_text;
use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::resources;
use crate::kinds::{columns, workload};
use crate::status::FieldError;

/// Where the class of a claim or volume was before it had a field.
pub(crate) const CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

const MODES: &str = "accessModes contains the actual access modes the volume backing the PVC has. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes-1";
const MODE: &str = "volumeMode defines what type of volume is required by the claim. Value of Filesystem is implied when not included in claim spec.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Status", "phase represents the current phase of PersistentVolumeClaim."),
        columns::text("Volume", "volumeName is the binding reference to the PersistentVolume backing this claim."),
        columns::text("Capacity", "capacity represents the actual resources of the underlying volume."),
        columns::text("Access Modes", MODES),
        columns::text("StorageClass", "StorageClass of the pvc"),
        columns::text("VolumeAttributesClass", "VolumeAttributesClass of the pvc"),
        columns::age(),
        columns::wide("VolumeMode", MODE),
    ]
});

#[derive(Debug)]
struct PersistentVolumeClaim;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims", PersistentVolumeClaim)
        .schema("io.k8s.api.core.v1.PersistentVolumeClaim")
        .short_names(&["pvc"])
        .returns_what_it_deletes()
        .part("status", Part::Status, PART_VERBS)
}

/// Defaults of a claim, stored or as a template.
pub(super) fn default(claim: &mut Value) {
    if let Some(status) = fields::object_mut(claim, "status") {
        fields::set_text_default(status, "phase", "Pending");
    }
    if let Some(spec) = fields::object_mut(claim, "spec") {
        fields::set_text_default(spec, "volumeMode", "Filesystem");
        if let Some(requirements) = fields::object_mut(spec, "resources") {
            for list in ["limits", "requests"] {
                resources::round_up_to_milli(requirements.get_mut(list));
            }
        }
        keep_sources_alike(spec);
    }
}

/// What a volume is filled from has two fields, of which the younger may name more kinds.
fn keep_sources_alike(spec: &mut Value) {
    let source = spec.child("dataSource").cloned();
    let reference = spec.child("dataSourceRef").cloned();
    match (source, reference) {
        (Some(source), None) => {
            let known = ["PersistentVolumeClaim", "VolumeSnapshot"].contains(&source.text("kind"));
            if known {
                fields::set(spec, "dataSourceRef", source);
            }
        }
        (None, Some(reference)) if reference.text("namespace").is_empty() => {
            let known = ["PersistentVolumeClaim", "VolumeSnapshot"].contains(&reference.text("kind"));
            if known {
                let mut source = reference;
                fields::remove(&mut source, "namespace");
                fields::set(spec, "dataSource", source);
            }
        }
        _ => {}
    }
}

impl Behaviour for PersistentVolumeClaim {
    fn default(&self, object: &mut Value) {
        default(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::set(object, "status", json!({ "phase": "Pending" }));
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            workload::prepare_status(new, old);
        } else {
            fields::copy_from(new, old, "status");
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::create(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status { update::status(new) } else { update::object(new, old) }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = class_annotation_warning(new);
        warnings.extend(fraction_warning("", new));
        warnings
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let (spec, status) = (workload::part(object, "spec"), workload::part(object, "status"));
        let being_deleted = workload::part(object, "metadata").has("deletionTimestamp");
        let bound = !spec.text("volumeName").is_empty();
        let capacity = if bound { workload::part(status, "capacity").text("storage") } else { "" };
        let modes = if bound { access_modes(status) } else { String::new() };
        vec![
            columns::name_cell(object),
            Value::from(if being_deleted { "Terminating" } else { status.text("phase") }),
            Value::from(spec.text("volumeName")),
            Value::from(capacity),
            Value::from(modes),
            Value::from(class(object)),
            Value::from(spec.text_if_set("volumeAttributesClassName").unwrap_or("<unset>")),
            columns::age_cell(object, now),
            Value::from(spec.text_if_set("volumeMode").unwrap_or("<unset>")),
        ]
    }
}

/// The storage class of a claim or volume.
pub(crate) fn class(object: &Value) -> String {
    let annotation = object.at(&["metadata", "annotations", CLASS_ANNOTATION]).and_then(Value::as_str);
    annotation.unwrap_or_else(|| workload::part(object, "spec").text("storageClassName")).to_owned()
}

/// The warning about a claim, or the template of one, that asks for part of a byte. `path` is where it stands.
pub(crate) fn fraction_warning(path: &str, claim: &Value) -> Option<String> {
    let amount = resources::amount_of(claim.at(&["spec", "resources", "requests"]), "storage")?;
    let quoted = go_text::quote(&amount.to_string());
    let field = format!("{path}spec.resources.requests[storage]");
    (amount.milli_value() % 1000 != 0)
        .then(|| format!("{field}: fractional byte value {quoted} is invalid, must be an integer"))
}

/// The warning about a class that is still named by an annotation.
pub(crate) fn class_annotation_warning(object: &Value) -> Vec<String> {
    let named = object.at(&["metadata", "annotations", CLASS_ANNOTATION]).is_some();
    let advice = "deprecated since v1.8; use \"storageClassName\" attribute instead";
    if named { vec![format!("metadata.annotations[{CLASS_ANNOTATION}]: {advice}")] } else { Vec::new() }
}

/// Access modes in short: `RWO,ROX`.
pub(crate) fn access_modes(object: &Value) -> String {
    let modes = object.texts("accessModes");
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let shown: Vec<&str> = short.iter().filter(|(mode, _)| modes.contains(mode)).map(|(_, short)| *short).collect();
    shown.join(",")
}
