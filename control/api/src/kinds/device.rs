//! The kinds of resource.k8s.io: devices that hosts have, classes of them, and claims on them. Here they are objects;
//! nothing allocates a device yet.

mod validate;

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part};
use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::{columns, object_meta, spec_status, workload};
use crate::status::FieldError;

const GROUP: &str = "resource.k8s.io";
const STATE: &str = "A summary of the current state (allocated, pending, reserved, etc.).";
const NODE: &str = "NodeName identifies the node which provides the resources in this pool. A field selector can be used to list only ResourceSlice objects belonging to a certain node.\n\nThis field can be used to limit access from nodes to ResourceSlices with the same node name. It also indicates to autoscalers that adding new nodes of the same type as some old node might also make new resources available.\n\nExactly one of NodeName, NodeSelector, AllNodes, and PerDeviceNodeSelection must be set. This field is immutable.";
const DRIVER: &str = "Driver identifies the DRA driver providing the capacity information. A field selector can be used to list only ResourceSlice objects with a certain driver name.\n\nMust be a DNS subdomain and should end with a DNS domain owned by the vendor of the driver. This field is immutable.";
const POOL: &str = "Name is used to identify the pool. For node-local devices, this is often the node name, but this is not required.\n\nIt must not be longer than 253 characters and must consist of one or more DNS sub-domains separated by slashes. This field is immutable.";

static NAME_AND_AGE: LazyLock<Vec<Column>> = LazyLock::new(|| vec![columns::name(), columns::age()]);
static CLAIM_COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("State", STATE), columns::age()]);
static SLICE_COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Node", NODE),
        columns::text("Driver", DRIVER),
        columns::text("Pool", POOL),
        columns::age(),
    ]
});

#[derive(Debug)]
struct Class;

#[derive(Debug)]
struct Claim;

#[derive(Debug)]
struct Template;

#[derive(Debug)]
struct Slice;

/// All of them, in discovery's order.
pub(super) fn kinds() -> [Kind; 4] {
    [
        Kind::new(GROUP, "v1", "DeviceClass", "deviceclasses", Class)
            .schema("io.k8s.api.resource.v1.DeviceClass")
            .cluster_scoped()
            .returns_what_it_deletes(),
        Kind::new(GROUP, "v1", "ResourceClaim", "resourceclaims", Claim)
            .schema("io.k8s.api.resource.v1.ResourceClaim")
            .returns_what_it_deletes()
            .part("status", Part::Status, PART_VERBS),
        Kind::new(GROUP, "v1", "ResourceClaimTemplate", "resourceclaimtemplates", Template)
            .schema("io.k8s.api.resource.v1.ResourceClaimTemplate")
            .returns_what_it_deletes(),
        Kind::new(GROUP, "v1", "ResourceSlice", "resourceslices", Slice)
            .schema("io.k8s.api.resource.v1.ResourceSlice")
            .cluster_scoped()
            .returns_what_it_deletes(),
    ]
}

/// Every request of a claim's spec that says what it wants: the exact ones and the alternatives.
fn each_request(spec: &mut Value, mut change: impl FnMut(&mut Value)) {
    let Some(devices) = spec.get_mut("devices") else { return };
    for request in items_mut(devices, "requests") {
        if let Some(exactly) = request.get_mut("exactly").filter(|exactly| exactly.is_object()) {
            change(exactly);
        }
        items_mut(request, "firstAvailable").iter_mut().for_each(&mut change);
    }
}

fn default_requests(spec: &mut Value) {
    each_request(spec, |request| {
        fields::set_text_default(request, "allocationMode", "ExactCount");
        if request.text("allocationMode") == "ExactCount" && request.int("count").unwrap_or(0) == 0 {
            fields::set(request, "count", 1);
        }
    });
}

/// Drops fields of features that 1.34 ships switched off.
fn drop_requests_of_later(spec: &mut Value) {
    each_request(spec, |request| {
        for field in ["tolerations", "capacity"] {
            fields::remove(request, field);
        }
    });
    if let Some(devices) = spec.get_mut("devices") {
        for constraint in items_mut(devices, "constraints") {
            fields::remove(constraint, "distinctAttribute");
        }
    }
}

impl Behaviour for Class {
    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
        drop_extended_name(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        drop_extended_name(new);
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::class(object)
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        validate::class(new)
    }

    fn columns(&self) -> &[Column] {
        &NAME_AND_AGE
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), columns::age_cell(object, now)]
    }
}

fn drop_extended_name(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        fields::remove(spec, "extendedResourceName");
    }
}

impl Behaviour for Claim {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec") {
            default_requests(spec);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::remove(object, "status");
        if let Some(spec) = object.get_mut("spec") {
            drop_requests_of_later(spec);
        }
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            workload::prepare_status(new, old);
            return;
        }
        fields::copy_from(new, old, "status");
        if let Some(spec) = new.get_mut("spec") {
            drop_requests_of_later(spec);
        }
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part != Part::Status
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::claim(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status { validate::claim_status(new, old) } else { validate::claim_update(new, old) }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        spec_status::reset_fields(part)
    }

    fn columns(&self) -> &[Column] {
        &CLAIM_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(state(object)), columns::age_cell(object, now)]
    }
}

/// `pending`, or what has become of the claim.
fn state(claim: &Value) -> String {
    let being_deleted = workload::part(claim, "metadata").has("deletionTimestamp");
    let status = workload::part(claim, "status");
    let allocated = status.has("allocation");
    let states = [
        ("deleted", being_deleted),
        ("pending", !allocated && !being_deleted),
        ("allocated", allocated),
        ("reserved", allocated && !status.list("reservedFor").is_empty()),
    ];
    states.iter().filter(|(_, holds)| *holds).map(|(state, _)| *state).collect::<Vec<_>>().join(",")
}

impl Behaviour for Template {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec").and_then(|template| template.get_mut("spec")) {
            default_requests(spec);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        if let Some(spec) = object.get_mut("spec").and_then(|template| template.get_mut("spec")) {
            drop_requests_of_later(spec);
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::template(object)
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::frozen_spec(new, old)
    }

    fn columns(&self) -> &[Column] {
        &NAME_AND_AGE
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), columns::age_cell(object, now)]
    }
}

impl Behaviour for Slice {
    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
        drop_devices_of_later(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        drop_devices_of_later(new);
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::slice(object, None)
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        validate::slice(new, Some(old))
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.nodeName", "spec.driver"]
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        let field = label.strip_prefix("spec.").unwrap_or(label);
        workload::part(object, "spec").text(field).to_owned()
    }

    fn columns(&self) -> &[Column] {
        &SLICE_COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let spec = workload::part(object, "spec");
        vec![
            columns::name_cell(object),
            Value::from(spec.text("nodeName")),
            Value::from(spec.text("driver")),
            Value::from(workload::part(spec, "pool").text("name")),
            columns::age_cell(object, now),
        ]
    }
}

/// Drops fields of features that 1.34 ships switched off.
fn drop_devices_of_later(object: &mut Value) {
    const LATER: &[&str] = &[
        "taints",
        "consumesCounters",
        "nodeName",
        "nodeSelector",
        "allNodes",
        "bindsToNode",
        "bindingConditions",
        "bindingFailureConditions",
        "allowMultipleAllocations",
    ];
    let Some(spec) = object.get_mut("spec") else { return };
    for field in ["sharedCounters", "perDeviceNodeSelection"] {
        fields::remove(spec, field);
    }
    for device in items_mut(spec, "devices") {
        for field in LATER {
            fields::remove(device, field);
        }
        let capacities = device.get_mut("capacity").and_then(Value::as_object_mut);
        for capacity in capacities.into_iter().flat_map(|capacities| capacities.values_mut()) {
            fields::remove(capacity, "requestPolicy");
        }
    }
}
