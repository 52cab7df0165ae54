//! PersistentVolume: a piece of storage of the cluster, which a claim can have.

pub(super) mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::persistent_volume_claim::{access_modes, class, class_annotation_warning};
use crate::kinds::validation::resources;
use crate::kinds::{columns, pod, workload};
use crate::status::{FieldError, FieldPath};

const CAPACITY: &str = "capacity is the description of the persistent volume's resources and capacity. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#capacity";
const MODES: &str = "accessModes contains all ways the volume can be mounted. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#access-modes";
const RECLAIM: &str = "persistentVolumeReclaimPolicy defines what happens to a persistent volume when released from its claim. Valid options are Retain (default for manually created PersistentVolumes), Delete (default for dynamically provisioned PersistentVolumes), and Recycle (deprecated). Recycle must be supported by the volume plugin underlying this PersistentVolume. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#reclaiming";
const PHASE: &str = "phase indicates if a volume is available, bound to a claim, or released by a claim. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#phase";
const CLAIM: &str = "claimRef is part of a bi-directional binding between PersistentVolume and PersistentVolumeClaim. Expected to be non-nil when bound. claim.VolumeName is the authoritative bind between PV and PVC. More info: https://kubernetes.io/docs/concepts/storage/persistent-volumes#binding";
const REASON: &str = "reason is a brief CamelCase string that describes any failure and is meant for machine parsing and tidy display in the CLI.";
const MODE: &str = "volumeMode defines if a volume is intended to be used with a formatted filesystem or to remain in raw block state. Value of Filesystem is implied when not included in spec.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Capacity", CAPACITY),
        columns::text("Access Modes", MODES),
        columns::text("Reclaim Policy", RECLAIM),
        columns::text("Status", PHASE),
        columns::text("Claim", CLAIM),
        columns::text("StorageClass", "StorageClass of the pv"),
        columns::text("VolumeAttributesClass", "VolumeAttributesClass of the pv"),
        columns::text("Reason", REASON),
        columns::age(),
        columns::wide("VolumeMode", MODE),
    ]
});

/// Volume sources of old.
const OLD_SOURCES: &[(&str, &str, &str)] = &[
    ("cephfs", "cephfs", "deprecated in v1.28, non-functional in v1.31+"),
    ("photonPersistentDisk", "photonPersistentDisk", "deprecated in v1.11, non-functional in v1.16+"),
    ("scaleIO", "scaleIO", "deprecated in v1.16, non-functional in v1.22+"),
    ("storageos", "storageOS", "deprecated in v1.22, non-functional in v1.25+"),
    ("glusterfs", "glusterfs", "deprecated in v1.25, non-functional in v1.26+"),
    ("rbd", "rbd", "deprecated in v1.28, non-functional in v1.31+"),
];

#[derive(Debug)]
struct PersistentVolume;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "PersistentVolume", "persistentvolumes", PersistentVolume)
        .schema("io.k8s.api.core.v1.PersistentVolume")
        .short_names(&["pv"])
        .cluster_scoped()
        .returns_what_it_deletes()
        .part("status", Part::Status, PART_VERBS)
}

fn warnings(volume: &Value) -> Vec<String> {
    let mut warnings = class_annotation_warning(volume);
    let (spec, path) = (workload::part(volume, "spec"), FieldPath::root("spec"));
    if spec.text("persistentVolumeReclaimPolicy") == "Recycle" {
        let field = path.child("persistentVolumeReclaimPolicy");
        warnings.push(format!(
            "{field}: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
        ));
    }
    let required = spec.at(&["nodeAffinity", "required"]).map(|required| required.list("nodeSelectorTerms"));
    let terms = path.child("nodeAffinity.required.nodeSelectorTerms");
    for (index, term) in required.unwrap_or_default().iter().enumerate() {
        pod::warnings::term_labels(&mut warnings, &terms.index(index), term);
    }
    for (source, shown, advice) in OLD_SOURCES {
        if spec.has(source) {
            warnings.push(format!("{}: {advice}", path.child(shown)));
        }
    }
    warnings
}

impl Behaviour for PersistentVolume {
    fn default(&self, object: &mut Value) {
        if let Some(status) = fields::object_mut(object, "status") {
            fields::set_text_default(status, "phase", "Pending");
        }
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_text_default(spec, "persistentVolumeReclaimPolicy", "Retain");
        fields::set_text_default(spec, "volumeMode", "Filesystem");
        resources::round_up_to_milli(spec.get_mut("capacity"));
        if let Some(path) = spec.get_mut("hostPath") {
            fields::set_default(path, "type", "");
        }
        let sources: [(&str, &[(&str, &str)]); 4] = [
            ("iscsi", &[("iscsiInterface", "default")]),
            ("rbd", &[("pool", "rbd"), ("user", "admin"), ("keyring", "/etc/ceph/keyring")]),
            ("azureDisk", &[("cachingMode", "ReadWrite"), ("fsType", "ext4"), ("kind", "Shared")]),
            ("scaleIO", &[("storageMode", "ThinProvisioned"), ("fsType", "xfs")]),
        ];
        for (name, values) in sources {
            if let Some(source) = spec.get_mut(name) {
                for (field, value) in values {
                    fields::set_text_default(source, field, value);
                }
            }
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        // Where it stands is for the volume controller to say; upstream has it pending until then.
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
        if part == Part::Status { Vec::new() } else { validate::update(new, old) }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings(new)
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
        let claim = spec.child("claimRef").map(|claim| format!("{}/{}", claim.text("namespace"), claim.text("name")));
        vec![
            columns::name_cell(object),
            Value::from(workload::part(spec, "capacity").text("storage")),
            Value::from(access_modes(spec)),
            Value::from(spec.text("persistentVolumeReclaimPolicy")),
            Value::from(if being_deleted { "Terminating" } else { status.text("phase") }),
            Value::from(claim.unwrap_or_default()),
            Value::from(class(object)),
            Value::from(spec.text_if_set("volumeAttributesClassName").unwrap_or("<unset>")),
            Value::from(status.text("reason")),
            columns::age_cell(object, now),
            Value::from(spec.text_if_set("volumeMode").unwrap_or("<unset>")),
        ]
    }
}
