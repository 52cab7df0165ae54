//! NetworkPolicy: who may talk to the pods of a selector, and to whom they may talk.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::{addresses, cidr, complain, labels, parse_cidr, port_name, port_number};
use crate::kinds::{columns, object_meta, spec_status};
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

const POD_SELECTOR: &str = "Selects the pods to which this NetworkPolicy object applies.  The array of ingress rules is applied to any pods selected by this field. Multiple network policies can select the same set of pods.  In this case, the ingress rules for each are combined additively. This field is NOT optional and follows standard label selector semantics. An empty podSelector matches all pods in this namespace.";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Pod-Selector", POD_SELECTOR), columns::age()]);

#[derive(Debug)]
struct NetworkPolicy;

pub(super) fn kind() -> Kind {
    Kind::new("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", NetworkPolicy)
        .schema("io.k8s.api.networking.v1.NetworkPolicy")
        .short_names(&["netpol"])
}

impl Behaviour for NetworkPolicy {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        for direction in ["ingress", "egress"] {
            for rule in fields::items_mut(spec, direction) {
                for port in fields::items_mut(rule, "ports") {
                    fields::set_default(port, "protocol", "TCP");
                }
            }
        }
        if spec.list("policyTypes").is_empty() {
            let mut types = vec!["Ingress"];
            if !spec.list("egress").is_empty() {
                types.push("Egress");
            }
            fields::set(spec, "policyTypes", types);
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        spec_status::bump_if_changed(new, old, "spec");
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let null = Value::Null;
        let spec = object.child("spec").unwrap_or(&null);
        let path = FieldPath::root("spec");
        labels::selector(&mut errors, &path.child("podSelector"), spec.child("podSelector"));
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            for (index, rule) in spec.list(direction).iter().enumerate() {
                let path = path.child(direction);
                let path = path.index(index);
                for (index, given) in rule.list("ports").iter().enumerate() {
                    port(&mut errors, &path.child("ports").index(index), given);
                }
                for (index, given) in rule.list(peers).iter().enumerate() {
                    peer(&mut errors, &path.child(peers).index(index), given);
                }
            }
        }
        policy_types(&mut errors, &path.child("policyTypes"), &spec.texts("policyTypes"));
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let path = FieldPath::root("spec");
        for (direction, peers) in [("ingress", "from"), ("egress", "to")] {
            let rules = new.child("spec").map(|spec| spec.list(direction)).unwrap_or_default();
            for (index, rule) in rules.iter().enumerate() {
                let path = path.child(direction);
                let path = path.index(index);
                let path = path.child(peers);
                for (index, peer) in rule.list(peers).iter().enumerate() {
                    let Some(block) = peer.child("ipBlock") else { continue };
                    let path = path.index(index);
                    let path = path.child("ipBlock");
                    warnings.extend(addresses::cidr_warnings(&path.child("cidr"), block.text("cidr")));
                    let path = path.child("except");
                    for (index, except) in block.texts("except").into_iter().enumerate() {
                        warnings.extend(addresses::cidr_warnings(&path.index(index), except));
                    }
                }
            }
        }
        warnings
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let selector = object.at(&["spec", "podSelector"]);
        vec![columns::name_cell(object), selector_cell(selector), columns::age_cell(object, now)]
    }
}

fn selector_cell(selector: Option<&Value>) -> Value {
    match LabelSelector::from_object(selector) {
        Ok(selector) => columns::or_none(&selector.to_string()),
        Err(_) => Value::from("<error>"),
    }
}

fn policy_types(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, types: &[&str]) {
    if types.len() > 2 {
        errors.push(FieldError::invalid(path, Value::from(types), "may not specify more than two policyTypes"));
        return;
    }
    for (index, kind) in types.iter().enumerate() {
        if !matches!(*kind, "Ingress" | "Egress") {
            errors.push(FieldError::not_supported(path.index(index), *kind, ["Ingress", "Egress"]));
        }
    }
}

fn port(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, port: &Value) {
    if let Some(protocol) = port.text_if_set("protocol")
        && !matches!(protocol, "TCP" | "UDP" | "SCTP")
    {
        errors.push(FieldError::not_supported(path.child("protocol"), protocol, ["TCP", "UDP", "SCTP"]));
    }
    let end = port.int("endPort");
    let at_end = path.child("endPort");
    match port.child("port") {
        Some(Value::String(name)) => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is non-numeric";
                errors.push(FieldError::invalid(at_end, end, detail));
            }
            complain(errors, &path.child("port"), name.as_str(), port_name(name));
        }
        Some(number) => {
            let number = number.as_i64().unwrap_or(0);
            complain(errors, &path.child("port"), number, port_number(number));
            if let Some(end) = end {
                if end < number {
                    errors.push(FieldError::invalid(at_end, number, "must be greater than or equal to `port`"));
                }
                complain(errors, &at_end, end, port_number(end));
            }
        }
        None => {
            if let Some(end) = end {
                let detail = "may not be specified when `port` is not specified";
                errors.push(FieldError::invalid(at_end, end, detail));
            }
        }
    }
}

fn peer(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, peer: &Value) {
    let mut peers = 0;
    for field in ["podSelector", "namespaceSelector"] {
        if peer.has(field) {
            peers += 1;
            labels::selector(errors, &path.child(field), peer.child(field));
        }
    }
    if let Some(block) = peer.child("ipBlock") {
        ip_block(errors, &path.child("ipBlock"), block);
        if peers > 0 {
            errors.push(FieldError::forbidden(path, "may not specify both ipBlock and another peer"));
        }
    } else if peers == 0 {
        errors.push(FieldError::required(path, "must specify a peer"));
    }
}

fn ip_block(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, block: &Value) {
    let whole = block.text("cidr");
    if whole.is_empty() {
        errors.push(FieldError::required(path.child("cidr"), ""));
        return;
    }
    let Some((network, bits)) = parse_cidr(whole) else { return cidr(errors, &path.child("cidr"), whole) };
    for (index, except) in block.texts("except").into_iter().enumerate() {
        let path = path.child("except");
        let path = path.index(index);
        let Some((address, inner)) = parse_cidr(except) else {
            cidr(errors, &path, except);
            continue;
        };
        if inner <= bits || !contains(network, bits, address) {
            errors.push(FieldError::invalid(path, except, "must be a strict subset of `cidr`"));
        }
    }
}

/// Whether an address lies in a block.
fn contains(network: std::net::IpAddr, bits: u8, address: std::net::IpAddr) -> bool {
    use std::net::IpAddr;
    let shift = |width: u8| u32::from(width.saturating_sub(bits));
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let cut = |address: u32| address.checked_shr(shift(32)).unwrap_or(0);
            cut(network.to_bits()) == cut(address.to_bits())
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let cut = |address: u128| address.checked_shr(shift(128)).unwrap_or(0);
            cut(network.to_bits()) == cut(address.to_bits())
        }
        _ => false,
    }
}
