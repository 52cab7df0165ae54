//! Node: a machine that runs pods.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part, Verb};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields, text_entries};
use crate::kinds::validation::resources::{self, amounts};
use crate::kinds::validation::{cidr, parse_cidr, qualified_name};
use crate::names;
use crate::status::{FieldError, FieldPath};

const ADDRESSES: &str = "List of addresses reachable to the node. Queried from cloud provider, if available. More info: https://kubernetes.io/docs/reference/node/node-status/#addresses Note: This field is declared as mergeable, but the merge key is not sufficiently unique, which can cause data corruption when it is merged. Callers should instead use a full-replacement patch. See https://pr.k8s.io/79391 for an example. Consumers should assume that addresses can change during the lifetime of a Node. However, there are some exceptions where this may not be possible, such as Pods that inherit a Node's address in its own status or consumers of the downward API (status.hostIP).";

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";
/// What an empty machine fact is shown as.
const UNKNOWN: &str = "<unknown>";
const POD_CIDR_FROZEN: &str = "node updates may not change podCIDR except from \"\" to valid";
const PROVIDER_FROZEN: &str = "node updates may not change providerID except from \"\" to valid";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Status", "The status of the node"),
        columns::text("Roles", "The roles of the node"),
        columns::age(),
        columns::text("Version", "Kubelet Version reported by the node."),
        columns::wide("Internal-IP", ADDRESSES),
        columns::wide("External-IP", ADDRESSES),
        columns::wide(
            "OS-Image",
            "OS Image reported by the node from /etc/os-release (e.g. Debian GNU/Linux 7 (wheezy)).",
        ),
        columns::wide(
            "Kernel-Version",
            "Kernel Version reported by the node from 'uname -r' (e.g. 3.16.0-0.bpo.4-amd64).",
        ),
        columns::wide(
            "Container-Runtime",
            "ContainerRuntime Version reported by the node through runtime remote API (e.g. containerd://1.4.2).",
        ),
    ]
});

#[derive(Debug)]
struct Node;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Node", "nodes", Node)
        .schema("io.k8s.api.core.v1.Node")
        .short_names(&["no"])
        .cluster_scoped()
        .subresource(
            "proxy",
            ("", "", "NodeProxyOptions"),
            &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update],
        )
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for Node {
    fn default(&self, object: &mut Value) {
        if let Some(spec) = fields::object_mut(object, "spec") {
            join_pod_cidrs(spec);
        }
        if let Some(status) = fields::object_mut(object, "status") {
            default_status(status);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        drop_dynamic_configuration(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        match part {
            Part::Status => fields::copy_from(new, old, "spec"),
            Part::Object | Part::Finalize | Part::EphemeralContainers | Part::Resize | Part::Approval => {
                fields::copy_from(new, old, "status");
            }
        }
        drop_dynamic_configuration(new);
    }

    fn revalidates_metadata(&self, part: Part) -> bool {
        part == Part::Object
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        taints(&mut errors, object);
        status_resources(&mut errors, object);
        pod_cidrs(&mut errors, object);
        errors
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if part == Part::Object {
            errors.extend(self.validate_create(new));
        }
        status_resources(&mut errors, new);
        addresses_are_unique(&mut errors, new);
        frozen_spec(&mut errors, new, old);
        taints(&mut errors, new);
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        match new.child("spec").map(|spec| spec.text("externalID")) {
            None | Some("") => Vec::new(),
            Some(_) => vec!["spec.externalID: this field is deprecated, and is unused by Kubernetes".to_owned()],
        }
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let info = |field: &str| object.at(&["status", "nodeInfo", field]).and_then(Value::as_str).unwrap_or_default();
        let fact = |field: &str| Value::from(Some(info(field)).filter(|text| !text.is_empty()).unwrap_or(UNKNOWN));
        vec![
            columns::name_cell(object),
            Value::from(readiness(object)),
            Value::from(roles(object)),
            columns::age_cell(object, now),
            Value::from(info("kubeletVersion")),
            columns::or_none(address(object, "InternalIP")),
            columns::or_none(address(object, "ExternalIP")),
            fact("osImage"),
            fact("kernelVersion"),
            fact("containerRuntimeVersion"),
        ]
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.unschedulable"]
    }

    fn field_value(&self, object: &Value, _label: &str) -> String {
        unschedulable(object).to_string()
    }
}

fn unschedulable(object: &Value) -> bool {
    object.child("spec").is_some_and(|spec| spec.is_true("unschedulable"))
}

/// `podCIDR` is the first of `podCIDRs`, whichever of the two a client sets.
fn join_pod_cidrs(spec: &mut Value) {
    let single = spec.text("podCIDR").to_owned();
    let first = spec.texts("podCIDRs").first().map(|first| (*first).to_owned());
    match first {
        _ if !single.is_empty() && first.as_deref() != Some(single.as_str()) => {
            fields::set(spec, "podCIDRs", json!([single]));
        }
        Some(first) => fields::set(spec, "podCIDR", first),
        None => {}
    }
}

/// The parts of a node's status that upstream always writes out, and allocatable from capacity.
fn default_status(status: &mut Value) {
    if let Some(kubelet) = fields::object_mut(status, "daemonEndpoints")
        .and_then(|endpoints| fields::object_mut(endpoints, "kubeletEndpoint"))
    {
        fields::set_default(kubelet, "Port", 0);
    }
    if let Some(info) = fields::object_mut(status, "nodeInfo") {
        for field in [
            "architecture",
            "bootID",
            "containerRuntimeVersion",
            "kernelVersion",
            "kubeProxyVersion",
            "kubeletVersion",
            "machineID",
            "operatingSystem",
            "osImage",
            "systemUUID",
        ] {
            fields::set_default(info, field, "");
        }
    }
    for list in ["capacity", "allocatable"] {
        resources::round_up_to_milli(status.get_mut(list));
    }
    if let Some(capacity) = status.child("capacity").cloned() {
        fields::set_default(status, "allocatable", capacity);
    }
}

/// Configuration of a kubelet from a config map, a feature that is long gone.
fn drop_dynamic_configuration(object: &mut Value) {
    if let Some(spec) = object.get_mut("spec") {
        fields::remove(spec, "configSource");
    }
    if let Some(status) = object.get_mut("status") {
        fields::remove(status, "config");
    }
}

fn taints(errors: &mut Vec<FieldError>, object: &Value) {
    let Some(spec) = object.child("spec") else { return };
    let path = FieldPath::root("metadata");
    // Upstream reports them under metadata, and clients have got used to it.
    let path = path.child("taints");
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, taint) in spec.list("taints").iter().enumerate() {
        let path = path.index(index);
        qualified_name(errors, &path.child("key"), taint.text("key"));
        let value = taint.text("value");
        let complaints = names::label_value(value);
        if !complaints.is_empty() {
            errors.push(FieldError::invalid(path.child("value"), value, complaints.join(";")));
        }
        taint_effect(errors, &path.child("effect"), taint.text("effect"));
        if !seen.insert((taint.text("effect"), taint.text("key"))) {
            errors.push(
                FieldError::duplicate(path, taint.clone()).with_detail("taints must be unique by key and effect pair"),
            );
        }
    }
}

/// What a taint does to pods that do not tolerate it.
pub(crate) fn taint_effect(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, effect: &str) {
    const EFFECTS: &[&str] = &["NoSchedule", "PreferNoSchedule", "NoExecute"];
    crate::kinds::validation::one_of(errors, path, effect, EFFECTS);
}

fn status_resources(errors: &mut Vec<FieldError>, object: &Value) {
    let Some(status) = object.child("status") else { return };
    let path = FieldPath::root("status");
    for list in ["capacity", "allocatable"] {
        let path = path.child(list);
        for (name, amount) in amounts(status.child(list)) {
            resources::resource_amount(errors, &path.child(name), name, &amount);
        }
    }
}

fn pod_cidrs(errors: &mut Vec<FieldError>, object: &Value) {
    let Some(spec) = object.child("spec") else { return };
    let path = FieldPath::root("spec");
    let path = path.child("podCIDRs");
    let blocks = spec.texts("podCIDRs");
    for (index, block) in blocks.iter().enumerate() {
        cidr(errors, &path.index(index), block);
    }
    let families: Vec<bool> = blocks.iter().filter_map(|block| parse_cidr(block)).map(|(ip, _)| ip.is_ipv4()).collect();
    let both = families.contains(&true) && families.contains(&false);
    if blocks.len() > 2 || (blocks.len() == 2 && families.len() == 2 && !both) {
        errors.push(FieldError::invalid(path, json!(blocks), "may specify no more than one CIDR for each IP family"));
    }
}

fn addresses_are_unique(errors: &mut Vec<FieldError>, object: &Value) {
    let Some(status) = object.child("status") else { return };
    let path = FieldPath::root("status");
    let path = path.child("addresses");
    let mut seen: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (index, address) in status.list("addresses").iter().enumerate() {
        if !seen.insert((address.text("type"), address.text("address"))) {
            errors.push(FieldError::duplicate(path.index(index), address.clone()));
        }
    }
}

fn frozen_spec(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    let null = Value::Null;
    let (new, old) = (new.child("spec").unwrap_or(&null), old.child("spec").unwrap_or(&null));
    let path = FieldPath::root("spec");
    let blocks = old.texts("podCIDRs");
    if !blocks.is_empty() && blocks != new.texts("podCIDRs") {
        errors.push(FieldError::forbidden(path.child("podCIDRs"), POD_CIDR_FROZEN));
    }
    let provider = old.text("providerID");
    if !provider.is_empty() && provider != new.text("providerID") {
        errors.push(FieldError::forbidden(path.child("providerID"), PROVIDER_FROZEN));
    }
    if old.text("externalID") != new.text("externalID") {
        errors.push(FieldError::forbidden(path.child("externalID"), "may not be updated"));
    }
}

/// `Ready`, `NotReady,SchedulingDisabled` and so on.
fn readiness(object: &Value) -> String {
    let ready = object
        .child("status")
        .and_then(|status| status.list("conditions").iter().rev().find(|condition| condition.text("type") == "Ready"));
    let mut words = match ready {
        Some(condition) if condition.text("status") == "True" => "Ready".to_owned(),
        Some(_) => "NotReady".to_owned(),
        None => "Unknown".to_owned(),
    };
    if unschedulable(object) {
        words.push_str(",SchedulingDisabled");
    }
    words
}

fn roles(object: &Value) -> String {
    let labels = object.at(&["metadata", "labels"]).and_then(Value::as_object);
    let roles: BTreeSet<&str> = text_entries(labels)
        .filter_map(|(key, value)| match key.strip_prefix(ROLE_PREFIX) {
            Some(role) => Some(role),
            None => (key == ROLE_LABEL).then_some(value),
        })
        .filter(|role| !role.is_empty())
        .collect();
    if roles.is_empty() { columns::NONE.to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

fn address<'a>(object: &'a Value, kind: &str) -> &'a str {
    object
        .child("status")
        .and_then(|status| status.list("addresses").iter().find(|address| address.text("type") == kind))
        .map(|address| address.text("address"))
        .unwrap_or_default()
}
