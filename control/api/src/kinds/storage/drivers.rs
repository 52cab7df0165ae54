//! CSIDriver, CSINode, CSIStorageCapacity and VolumeAttachment: who makes volumes, where, and for which node.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Part};
use crate::kinds::fields::{self, Fields, same, text_entries};
use crate::kinds::persistent_volume::validate as volume;
use crate::kinds::validation::resources::amount;
use crate::kinds::validation::{
    IMMUTABLE, NEGATIVE, dns_subdomain, immutable, labels, not_negative, one_of_if_set, qualified_name,
};
use crate::kinds::{columns, object_meta, spec_status};
use crate::status::{FieldError, FieldPath};

use super::driver_name;

const NODE_ID_BYTES_MAX: usize = 256;
/// Most bytes of what an attachment's driver says of it.
const METADATA_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of the message of an error; a longer one is told the limit of the metadata, upstream's slip.
const MESSAGE_BYTES_MAX: usize = 1024;

const ATTACH: &str = "attachRequired indicates this CSI volume driver requires an attach operation (because it implements the CSI ControllerPublishVolume() method), and that the Kubernetes attach detach controller should call the attach volume interface which checks the volumeattachment status and waits until the volume is attached before proceeding to mounting. The CSI external-attacher coordinates with CSI volume driver and updates the volumeattachment status when the attach operation is complete. If the value is specified to false, the attach operation will be skipped. Otherwise the attach operation will be called.\n\nThis field is immutable.";
const POD_INFO: &str = "podInfoOnMount indicates this CSI volume driver requires additional pod information (like podName, podUID, etc.) during mount operations, if set to true. If set to false, pod information will not be passed on mount. Default is false.\n\nThe CSI driver specifies podInfoOnMount as part of driver deployment. If true, Kubelet will pass pod information as VolumeContext in the CSI NodePublishVolume() calls. The CSI driver is responsible for parsing and validating the information passed in as VolumeContext.\n\nThe following VolumeContext will be passed if podInfoOnMount is set to true. This list might grow, but the prefix will be used. \"csi.storage.k8s.io/pod.name\": pod.Name \"csi.storage.k8s.io/pod.namespace\": pod.Namespace \"csi.storage.k8s.io/pod.uid\": string(pod.UID) \"csi.storage.k8s.io/ephemeral\": \"true\" if the volume is an ephemeral inline volume\n                                defined by a CSIVolumeSource, otherwise \"false\"\n\n\"csi.storage.k8s.io/ephemeral\" is a new feature in Kubernetes 1.16. It is only required for drivers which support both the \"Persistent\" and \"Ephemeral\" VolumeLifecycleMode. Other drivers can leave pod info disabled and/or ignore this field. As Kubernetes 1.15 doesn't support this field, drivers can only support one mode when deployed on such a cluster and the deployment determines which mode that is, for example via a command line parameter of the driver.\n\nThis field was immutable in Kubernetes < 1.29 and now is mutable.";
const CAPACITY_TRACKED: &str = "storageCapacity indicates that the CSI volume driver wants pod scheduling to consider the storage capacity that the driver deployment will report by creating CSIStorageCapacity objects with capacity information, if set to true.\n\nThe check can be enabled immediately when deploying a driver. In that case, provisioning new volumes with late binding will pause until the driver deployment has published some suitable CSIStorageCapacity object.\n\nAlternatively, the driver can be deployed with the field unset or false and it can be flipped later when storage capacity information has been published.\n\nThis field was immutable in Kubernetes <= 1.22 and now is mutable.";
const TOKENS: &str = "tokenRequests indicates the CSI driver needs pods' service account tokens it is mounting volume for to do necessary authentication. Kubelet will pass the tokens in VolumeContext in the CSI NodePublishVolume calls. The CSI driver should parse and validate the following VolumeContext: \"csi.storage.k8s.io/serviceAccount.tokens\": {\n  \"<audience>\": {\n    \"token\": <token>,\n    \"expirationTimestamp\": <expiration timestamp in RFC3339>,\n  },\n  ...\n}\n\nNote: Audience in each TokenRequest should be different and at most one token is empty string. To receive a new token after expiry, RequiresRepublish can be used to trigger NodePublishVolume periodically.";
const REPUBLISH: &str = "requiresRepublish indicates the CSI driver wants `NodePublishVolume` being periodically called to reflect any possible change in the mounted volume. This field defaults to false.\n\nNote: After a successful initial NodePublishVolume call, subsequent calls to NodePublishVolume should only update the contents of the volume. New mount points will not be seen by a running container.";
const MODES: &str = "volumeLifecycleModes defines what kind of volumes this CSI volume driver supports. The default if the list is empty is \"Persistent\", which is the usage defined by the CSI specification and implemented in Kubernetes via the usual PV/PVC mechanism.\n\nThe other mode is \"Ephemeral\". In this mode, volumes are defined inline inside the pod spec with CSIVolumeSource and their lifecycle is tied to the lifecycle of that pod. A driver has to be aware of this because it is only going to get a NodePublishVolume call for such a volume.\n\nFor more information about implementing this mode, see https://kubernetes-csi.github.io/docs/ephemeral-local-volumes.html A driver can support one or more of these modes and more modes may be added in the future.\n\nThis field is beta. This field is immutable.";
const CLASS: &str = "storageClassName represents the name of the StorageClass that the reported capacity applies to. It must meet the same requirements as the name of a StorageClass object (non-empty, DNS subdomain). If that object no longer exists, the CSIStorageCapacity object is obsolete and should be removed by its creator. This field is immutable.";
const CAPACITY: &str = "capacity is the value reported by the CSI driver in its GetCapacityResponse for a GetCapacityRequest with topology and parameters that match the previous fields.\n\nThe semantic is currently (CSI spec 1.2) defined as: The available capacity, in bytes, of the storage that can be used to provision volumes. If not set, that information is currently unavailable.";
const ATTACHER: &str = "attacher indicates the name of the volume driver that MUST handle this request. This is the name returned by GetPluginName().";
const VOLUME: &str = "persistentVolumeName represents the name of the persistent volume to attach.";
const NODE: &str = "nodeName represents the node that the volume should be attached to.";
const ATTACHED: &str = "attached indicates the volume is successfully attached. This field must only be set by the entity completing the attach operation, i.e. the external-attacher.";

static DRIVER_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let flag = |name, description| Column { kind: "boolean".into(), ..columns::text(name, description) };
    vec![
        columns::name(),
        flag("AttachRequired", ATTACH),
        flag("PodInfoOnMount", POD_INFO),
        flag("StorageCapacity", CAPACITY_TRACKED),
        columns::text("TokenRequests", TOKENS),
        flag("RequiresRepublish", REPUBLISH),
        columns::text("Modes", MODES),
        columns::age(),
    ]
});

static NODE_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    let drivers = "Drivers indicates the number of CSI drivers registered on the node";
    vec![columns::name(), Column { kind: "integer".into(), ..columns::text("Drivers", drivers) }, columns::age()]
});

static CAPACITY_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![columns::name(), columns::text("StorageClassName", CLASS), columns::text("Capacity", CAPACITY)]
});

static ATTACHMENT_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        Column { format: "name".into(), ..columns::text("Attacher", ATTACHER) },
        columns::text("PV", VOLUME),
        columns::text("Node", NODE),
        Column { kind: "boolean".into(), ..columns::text("Attached", ATTACHED) },
        columns::age(),
    ]
});

#[derive(Debug)]
pub(super) struct Driver;

#[derive(Debug)]
pub(super) struct Node;

#[derive(Debug)]
pub(super) struct Capacity;

#[derive(Debug)]
pub(super) struct Attachment;

impl Behaviour for Driver {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        fields::set_default(spec, "attachRequired", true);
        fields::set_default(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
        for field in ["podInfoOnMount", "requiresRepublish", "seLinuxMount", "storageCapacity"] {
            fields::set_default(spec, field, false);
        }
        if spec.list("volumeLifecycleModes").is_empty() {
            fields::set(spec, "volumeLifecycleModes", json!(["Persistent"]));
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        drop_update_period(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        drop_update_period(new);
        let changed = ["tokenRequests", "requiresRepublish", "seLinuxMount"]
            .iter()
            .any(|field| !same(new.at(&["spec", field]), old.at(&["spec", field])));
        if changed {
            object_meta::bump_generation(new, old);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        // The first name is upstream's slip.
        let needed = [
            ("attachRequired", "attachedRequired"),
            ("podInfoOnMount", "podInfoOnMount"),
            ("storageCapacity", "storageCapacity"),
            ("seLinuxMount", "seLinuxMount"),
        ];
        for (field, shown) in needed {
            if !spec.has(field) {
                errors.push(FieldError::required(path.child(shown), ""));
            }
        }
        let policies = ["File", "None", "ReadWriteOnceWithFSType"];
        one_of_if_set(&mut errors, &path.child("fsGroupPolicy"), spec.text_if_set("fsGroupPolicy"), &policies);
        let mut audiences = BTreeSet::new();
        for (index, request) in spec.list("tokenRequests").iter().enumerate() {
            let path = path.child("tokenRequests");
            let path = path.index(index);
            let audience = request.text("audience");
            if !audiences.insert(audience) {
                errors.push(FieldError::duplicate(path.child("audience"), audience));
                continue;
            }
            let at = path.child("expirationSeconds");
            match request.int("expirationSeconds") {
                Some(seconds) if seconds < 600 => {
                    errors.push(FieldError::invalid(at, seconds, "may not specify a duration less than 10 minutes"));
                }
                Some(seconds) if seconds > 1 << 32 => {
                    errors.push(FieldError::invalid(
                        at,
                        seconds,
                        "may not specify a duration larger than 2^32 seconds",
                    ));
                }
                _ => {}
            }
        }
        let modes = ["Persistent", "Ephemeral"];
        for mode in spec.texts("volumeLifecycleModes") {
            one_of_if_set(&mut errors, &path.child("volumeLifecycleModes"), Some(mode), &modes);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
        let path = FieldPath::root("spec");
        for (field, shown) in [("attachRequired", "attachedRequired"), ("volumeLifecycleModes", "volumeLifecycleModes")]
        {
            let (new, old) = (new.at(&["spec", field]), old.at(&["spec", field]));
            immutable(&mut errors, &path.child(shown), new, old);
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &DRIVER_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let flag = |field: &str, default: bool| Value::from(spec.flag(field).unwrap_or(default));
        let audiences: Vec<&str> = spec.list("tokenRequests").iter().map(|request| request.text("audience")).collect();
        let tokens = if audiences.is_empty() { "<unset>".to_owned() } else { audiences.join(",") };
        vec![
            columns::name_cell(object),
            flag("attachRequired", true),
            flag("podInfoOnMount", false),
            flag("storageCapacity", false),
            Value::from(tokens),
            flag("requiresRepublish", false),
            columns::or_none(&spec.texts("volumeLifecycleModes").join(",")),
            columns::age_cell(object, now),
        ]
    }
}

/// A field of a feature that 1.34 ships switched off.
fn drop_update_period(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        fields::remove(spec, "nodeAllocatableUpdatePeriodSeconds");
    }
}

impl Behaviour for Node {
    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("spec");
        let path = path.child("drivers");
        let mut seen = BTreeSet::new();
        for (index, driver) in drivers(object).iter().enumerate() {
            let path = path.index(index);
            let name = driver.text("name");
            driver_name(&mut errors, &path.child("name"), name);
            let id = driver.text("nodeID");
            if id.is_empty() {
                errors.push(FieldError::required(path.child("nodeID"), id));
            }
            if id.len() > NODE_ID_BYTES_MAX {
                let detail = format!("must be {NODE_ID_BYTES_MAX} characters or less");
                errors.push(FieldError::invalid(path.child("nodeID"), id, detail));
            }
            let count = driver.at(&["allocatable", "count"]).and_then(Value::as_i64);
            not_negative(&mut errors, &path.child("allocatable").child("count"), count);
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            let mut keys = BTreeSet::new();
            for key in driver.texts("topologyKeys") {
                if key.is_empty() {
                    errors.push(FieldError::required(path, ""));
                }
                if !keys.insert(key) {
                    errors.push(FieldError::duplicate(path, key));
                }
                qualified_name(&mut errors, &path, key);
            }
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
        let path = FieldPath::root("spec");
        let path = path.child("drivers");
        for known in drivers(old) {
            for driver in drivers(new).iter().filter(|driver| driver.text("name") == known.text("name")) {
                if !same(Some(known), Some(driver)) {
                    errors.push(FieldError::invalid(path, go_driver(driver), IMMUTABLE));
                }
            }
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &NODE_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(drivers(object).len()), columns::age_cell(object, now)]
    }
}

/// A driver as upstream's messages show it: with the names of its Go fields.
fn go_driver(driver: &Value) -> Value {
    let allocatable = driver.child("allocatable").map(|room| json!({ "Count": room.child("count") }));
    json!({
        "Name": driver.text("name"),
        "NodeID": driver.text("nodeID"),
        "TopologyKeys": driver.child("topologyKeys"),
        "Allocatable": allocatable,
    })
}

fn drivers(object: &Value) -> &[Value] {
    object.child("spec").map(|spec| spec.list("drivers")).unwrap_or_default()
}

impl Behaviour for Capacity {
    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        labels::selector(&mut errors, &FieldPath::root("nodeTopology"), object.child("nodeTopology"));
        dns_subdomain(&mut errors, &FieldPath::root("storageClassName"), object.text("storageClassName"));
        if let Some(value) = object.child("capacity")
            && amount(value).is_some_and(|amount| amount.is_negative())
        {
            errors.push(FieldError::invalid("capacity", value.clone(), NEGATIVE));
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
        for field in ["nodeTopology", "storageClassName"] {
            immutable(&mut errors, &FieldPath::root(field), new.child(field), old.child(field));
        }
        errors
    }

    fn columns(&self) -> &[Column] {
        &CAPACITY_COLUMNS
    }

    fn cells(&self, object: &Value, _now: Timestamp) -> Vec<Value> {
        let capacity = object.text_if_set("capacity").unwrap_or("<unset>");
        vec![columns::name_cell(object), Value::from(object.text("storageClassName")), Value::from(capacity)]
    }
}

impl Behaviour for Attachment {
    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        spec_status::keep_other_part(part, new, old);
        if part == Part::Status {
            object_meta::keep_for_part(new, old);
        }
    }

    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = attachment(object);
        // What version v1 asks beyond the older ones, of new objects only.
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        driver_name(&mut errors, &FieldPath::root("spec.attacher"), spec.text("attacher"));
        if let Some(volume) = spec.at(&["source", "persistentVolumeName"]).and_then(Value::as_str) {
            dns_subdomain(&mut errors, &FieldPath::root("spec.source.persistentVolumeName"), volume);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = attachment(new);
        if !same(new.child("spec"), old.child("spec")) {
            let shown = new.child("spec").map_or(Value::Null, go_attachment);
            errors.push(FieldError::invalid("spec", shown, IMMUTABLE));
        }
        errors
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields_with_metadata(part)
    }

    fn columns(&self) -> &[Column] {
        &ATTACHMENT_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let text = |path: &[&str]| object.at(path).and_then(Value::as_str).unwrap_or_default();
        vec![
            columns::name_cell(object),
            Value::from(text(&["spec", "attacher"])),
            Value::from(text(&["spec", "source", "persistentVolumeName"])),
            Value::from(text(&["spec", "nodeName"])),
            Value::from(object.at(&["status", "attached"]).and_then(Value::as_bool).unwrap_or(false)),
            columns::age_cell(object, now),
        ]
    }
}

/// What must hold of an attachment at any time.
fn attachment(object: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    let path = FieldPath::root("spec");
    if spec.text("attacher").is_empty() {
        errors.push(FieldError::required(path.child("attacher"), ""));
    }
    let source = spec.child("source").unwrap_or(&null);
    let at = path.child("source");
    let detail = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (source.child("inlineVolumeSpec"), source.text_if_set("persistentVolumeName")) {
        (None, None) => errors.push(FieldError::required(at, detail)),
        (Some(_), Some(_)) => errors.push(FieldError::forbidden(at, detail)),
        (None, Some("")) => {
            let detail = "must specify non empty persistentVolumeName";
            errors.push(FieldError::required(at.child("persistentVolumeName"), detail));
        }
        (None, Some(_)) => {}
        (Some(inline), None) => volume::inline_spec(&mut errors, &at.child("inlineVolumeSpec"), inline),
    }
    dns_subdomain(&mut errors, &path.child("nodeName"), spec.text("nodeName"));
    let path = FieldPath::root("status");
    let status = object.child("status").unwrap_or(&null);
    let bytes: usize = text_entries(status.map("attachmentMetadata")).map(|(key, value)| key.len() + value.len()).sum();
    if bytes > METADATA_BYTES_MAX {
        errors.push(FieldError::too_long(path.child("attachmentMetadata"), METADATA_BYTES_MAX));
    }
    for field in ["attachError", "detachError"] {
        if status.child(field).is_some_and(|error| error.text("message").len() > MESSAGE_BYTES_MAX) {
            errors.push(FieldError::too_long(path.child(field).child("message"), METADATA_BYTES_MAX));
        }
    }
    errors
}

/// A spec as upstream's messages show it: with the names of its Go fields.
fn go_attachment(spec: &Value) -> Value {
    let source = spec.child("source").unwrap_or(&Value::Null);
    json!({
        "Attacher": spec.text("attacher"),
        "Source": {
            "PersistentVolumeName": source.child("persistentVolumeName"),
            "InlineVolumeSpec": source.child("inlineVolumeSpec"),
        },
        "NodeName": spec.text("nodeName"),
    })
}
