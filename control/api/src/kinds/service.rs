//! Service: one name and address for a changing set of pods.
//!
//! In reading order: `defaults` (what a client may leave out), `prepare` (what an update keeps and drops), `allocate`
//! (addresses and ports that the server chooses), `validate` and `update` (what is refused), `columns`.

pub mod allocate;
mod columns;
mod defaults;
mod prepare;
mod update;
mod validate;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, PART_VERBS, Part, Pool, Verb};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::addresses;
use crate::kinds::validation::names::NameRule;
use crate::kinds::workload;
use crate::status::{FieldError, FieldPath};

const PROXY: &[Verb] = &[Verb::Create, Verb::Delete, Verb::Get, Verb::Patch, Verb::Update];
/// The address of a service that wants none.
pub(crate) const HEADLESS: &str = "None";

#[derive(Debug)]
struct Service;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Service", "services", Service)
        .schema("io.k8s.api.core.v1.Service")
        .short_names(&["svc"])
        .categories(&["all"])
        .name_rule(NameRule::Label1035)
        .creates_on_update()
        .returns_what_it_deletes()
        .subresource("proxy", ("", "", "ServiceProxyOptions"), PROXY)
        .part("status", Part::Status, PART_VERBS)
}

impl Behaviour for Service {
    fn default(&self, object: &mut Value) {
        defaults::service(object);
    }

    fn prepare_create(&self, object: &mut Value) {
        fields::set(object, "status", Value::Object(serde_json::Map::new()));
        prepare::create(object);
    }

    fn prepare_update(&self, part: Part, new: &mut Value, old: &Value) {
        if part == Part::Status {
            workload::prepare_status(new, old);
        } else {
            fields::copy_from(new, old, "status");
            prepare::update(new, old);
        }
    }

    fn allocate(&self, new: &mut Value, old: Option<&Value>, pool: &mut dyn Pool) -> Vec<FieldError> {
        allocate::service(new, old, pool)
    }

    fn claims(&self, object: &Value) -> Vec<String> {
        allocate::claims(object)
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        validate::service(object)
    }

    fn validate_update(&self, part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        if part == Part::Status { update::status(new) } else { update::object(new, old) }
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        warnings(new)
    }

    fn reset_fields(&self, part: Part) -> &'static [&'static str] {
        if part == Part::Status { &["spec"] } else { &["status"] }
    }

    fn columns(&self) -> &[Column] {
        columns::columns()
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        columns::cells(object, now)
    }

    fn field_labels(&self) -> &'static [&'static str] {
        &["spec.clusterIP", "spec.type"]
    }

    fn field_value(&self, object: &Value, label: &str) -> String {
        let field = label.strip_prefix("spec.").unwrap_or_default();
        workload::part(object, "spec").text(field).to_owned()
    }
}

/// Of a type that has an address in the cluster.
pub(crate) fn needs_address(spec: &Value) -> bool {
    matches!(spec.text("type"), "ClusterIP" | "NodePort" | "LoadBalancer")
}

/// Of a type that has a port on every node.
pub(crate) fn needs_node_ports(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" => true,
        "LoadBalancer" => spec.flag("allocateLoadBalancerNodePorts") != Some(false),
        _ => false,
    }
}

/// Whether nodes tell a load balancer by a port of their own which of them have pods.
pub(crate) fn needs_health_port(spec: &Value) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

/// Reached from outside the cluster.
pub(crate) fn is_external(spec: &Value) -> bool {
    match spec.text("type") {
        "NodePort" | "LoadBalancer" => true,
        "ClusterIP" => !spec.list("externalIPs").is_empty(),
        _ => false,
    }
}

/// Without an address of its own: its name stands for the pods themselves.
pub(crate) fn is_headless(spec: &Value) -> bool {
    spec.texts("clusterIPs") == [HEADLESS]
}

/// The annotation of old about zones, and the present one.
const TOPOLOGY: [&str; 2] = ["service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode"];

fn warnings(service: &Value) -> Vec<String> {
    let (spec, path) = (workload::part(service, "spec"), FieldPath::root("spec"));
    let mut warnings = Vec::new();
    if service.at(&["metadata", "annotations", TOPOLOGY[0]]).is_some() {
        warnings.push(format!("annotation {} is deprecated, please use {} instead", TOPOLOGY[0], TOPOLOGY[1]));
    }
    let strange = |warnings: &mut Vec<String>, field: &str| {
        let path = path.child(field);
        for (index, address) in spec.texts(field).into_iter().enumerate() {
            warnings.extend(addresses::ip_warning(&path.index(index), address));
        }
    };
    if is_headless(spec) {
        let ignored = [
            ("spec.loadBalancerIP", !spec.text("loadBalancerIP").is_empty()),
            ("spec.externalIPs", !spec.list("externalIPs").is_empty()),
            ("spec.SessionAffinity", spec.text("sessionAffinity") != "None"),
        ];
        let ignored = ignored.iter().filter(|(_, set)| *set);
        warnings.extend(ignored.map(|(field, _)| format!("{field} is ignored for headless services")));
    } else {
        strange(&mut warnings, "clusterIPs");
    }
    strange(&mut warnings, "externalIPs");
    warnings.extend(addresses::ip_warning(&path.child("loadBalancerIP"), spec.text("loadBalancerIP")));
    let ranges = path.child("loadBalancerSourceRanges");
    for (index, range) in spec.texts("loadBalancerSourceRanges").into_iter().enumerate() {
        warnings.extend(addresses::cidr_warnings(&ranges.index(index), range));
    }
    let external = spec.text("type") == "ExternalName";
    if external && !spec.list("externalIPs").is_empty() {
        warnings.push("spec.externalIPs is ignored when spec.type is \"ExternalName\"".to_owned());
    }
    if !external && !spec.text("externalName").is_empty() {
        warnings.push("spec.externalName is ignored when spec.type is not \"ExternalName\"".to_owned());
    }
    warnings
}
