//! EndpointSlice: some of the addresses behind a service.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::fields::{self, Fields, same};
use crate::kinds::validation::{
    IMMUTABLE, addresses, complain, dns_label, dns_subdomain, labels, one_of, parse_ip, qualified_name,
};
use crate::kinds::{columns, object_meta};
use crate::names;
use crate::status::{FieldError, FieldPath};

const ENDPOINTS_MAX: usize = 1000;
const ADDRESSES_MAX: usize = 100;
const TOPOLOGY_MAX: usize = 16;
const HINTS_MAX: usize = 8;
const PORTS_MAX: usize = 20_000;
/// Ports or addresses that a table shows.
const SHOWN_MAX: usize = 3;

const ADDRESS_TYPE: &str = "addressType specifies the type of address carried by this EndpointSlice. All addresses in this slice must be the same type. This field is immutable after creation. The following address types are currently supported: * IPv4: Represents an IPv4 Address. * IPv6: Represents an IPv6 Address. * FQDN: Represents a Fully Qualified Domain Name.";
const PORTS: &str = "ports specifies the list of network ports exposed by each endpoint in this slice. Each port must have a unique name. When ports is empty, it indicates that there are no defined ports. When a port is defined with a nil port value, it indicates \"all ports\". Each slice may include a maximum of 100 ports.";
const ENDPOINTS: &str =
    "endpoints is a list of unique endpoints in this slice. Each slice may include a maximum of 1000 endpoints.";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("AddressType", ADDRESS_TYPE),
        columns::text("Ports", PORTS),
        columns::text("Endpoints", ENDPOINTS),
        columns::age(),
    ]
});

#[derive(Debug)]
struct EndpointSlice;

pub(super) fn kind() -> Kind {
    Kind::new("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices", EndpointSlice)
        .schema("io.k8s.api.discovery.v1.EndpointSlice")
}

impl Behaviour for EndpointSlice {
    fn default(&self, object: &mut Value) {
        for port in fields::items_mut(object, "ports") {
            fields::set_default(port, "name", "");
            fields::set_default(port, "protocol", "TCP");
        }
    }

    fn prepare_create(&self, object: &mut Value) {
        object_meta::first_generation(object);
    }

    fn prepare_update(&self, _part: Part, new: &mut Value, old: &Value) {
        let changed = ["addressType", "endpoints", "ports"].iter().any(|field| !same(new.get(*field), old.get(*field)));
        let labels = |object: &Value| object.at(&["metadata", "labels"]).cloned();
        if changed || !same(labels(new).as_ref(), labels(old).as_ref()) {
            object_meta::bump_generation(new, old);
        }
    }

    fn validates_metadata_on_update(&self) -> bool {
        false
    }

    fn revalidates_metadata(&self, _part: Part) -> bool {
        true
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let kind = object.text("addressType");
        one_of(&mut errors, &FieldPath::root("addressType"), kind, &["FQDN", "IPv4", "IPv6"]);
        endpoints(&mut errors, object.list("endpoints"), kind);
        ports(&mut errors, object.list("ports"));
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, old: &Value) -> Vec<FieldError> {
        let mut errors = self.validate_create(new);
        let kind = new.text("addressType");
        if kind != old.text("addressType") {
            errors.push(FieldError::invalid("addressType", kind, IMMUTABLE));
        }
        errors
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        if new.text("addressType") == "FQDN" {
            return vec!["addressType: FQDN endpoints are deprecated".to_owned()];
        }
        let path = FieldPath::root("endpoints");
        let mut warnings = Vec::new();
        for (index, endpoint) in new.list("endpoints").iter().enumerate() {
            let path = path.index(index);
            let path = path.child("addresses");
            for (index, address) in endpoint.texts("addresses").into_iter().enumerate() {
                warnings.extend(addresses::ip_warning(&path.index(index), address));
            }
        }
        warnings
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let ports = object.list("ports").iter().map(|port| match port.int("port") {
            Some(number) => number.to_string(),
            None => "*".to_owned(),
        });
        let addresses = object.list("endpoints").iter().flat_map(|endpoint| endpoint.texts("addresses"));
        vec![
            columns::name_cell(object),
            Value::from(object.text("addressType")),
            Value::from(first_few(&ports.collect::<Vec<_>>())),
            Value::from(first_few(&addresses.map(str::to_owned).collect::<Vec<_>>())),
            columns::age_cell(object, now),
        ]
    }
}

fn first_few(all: &[String]) -> String {
    let text = all[..all.len().min(SHOWN_MAX)].join(",");
    match all.len() {
        0 => "<unset>".to_owned(),
        count if count > SHOWN_MAX => format!("{text} + {} more...", count - SHOWN_MAX),
        _ => text,
    }
}

fn endpoints(errors: &mut Vec<FieldError>, endpoints: &[Value], kind: &str) {
    let path = FieldPath::root("endpoints");
    if endpoints.len() > ENDPOINTS_MAX {
        errors.push(FieldError::too_many(path, endpoints.len(), ENDPOINTS_MAX));
        return;
    }
    for (index, endpoint) in endpoints.iter().enumerate() {
        let path = path.index(index);
        let given = endpoint.texts("addresses");
        let at = path.child("addresses");
        if given.is_empty() {
            errors.push(FieldError::required(at, "must contain at least 1 address"));
        } else if given.len() > ADDRESSES_MAX {
            errors.push(FieldError::too_many(at, given.len(), ADDRESSES_MAX));
        }
        for (index, text) in given.into_iter().enumerate() {
            address(errors, &at.index(index), text, kind);
        }
        if let Some(node) = endpoint.text_if_set("nodeName") {
            dns_subdomain(errors, &path.child("nodeName"), node);
        }
        let topology = endpoint.map("deprecatedTopology");
        if let Some(count) = topology.map(serde_json::Map::len).filter(|count| *count > TOPOLOGY_MAX) {
            errors.push(FieldError::too_many(path.child("deprecatedTopology"), count, TOPOLOGY_MAX));
        }
        labels::labels(errors, &path.child("deprecatedTopology"), topology);
        if let Some(given) = endpoint.child("hints") {
            hints(errors, &path.child("hints"), given);
        }
        if let Some(host) = endpoint.text_if_set("hostname") {
            dns_label(errors, &path.child("hostname"), host);
        }
    }
}

fn address(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, address: &str, kind: &str) {
    let parsed = parse_ip(address);
    match kind {
        "IPv4" if parsed.is_none_or(|ip| !ip.is_ipv4()) => {
            errors.push(FieldError::invalid(path, address, "must be a valid IPv4 address"));
        }
        "IPv6" if parsed.is_none_or(|ip| !ip.is_ipv6()) => {
            errors.push(FieldError::invalid(path, address, "must be a valid IPv6 address"));
        }
        "FQDN" => return domain(errors, path, address),
        "IPv4" | "IPv6" => {}
        _ => return,
    }
    match parsed {
        Some(ip) => addresses::not_special(errors, path, address, ip),
        None => errors.push(FieldError::invalid(path, address, "must be a valid IP address")),
    }
}

/// A domain of two labels or more; a dot at its end is allowed.
fn domain(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let before = errors.len();
    dns_subdomain(errors, path, name);
    if errors.len() > before {
        return;
    }
    if name.split('.').count() < 2 {
        let detail = "should be a domain with at least two segments separated by dots";
        errors.push(FieldError::invalid(path, name, detail));
        return;
    }
    let bad = name.split('.').map(|label| (label, names::dns_label(label))).find(|(_, bad)| !bad.is_empty());
    if let Some((label, complaints)) = bad {
        errors.push(FieldError::invalid(path, label, complaints.join(",")));
    }
}

/// For whom an endpoint is: zones, and nodes.
fn hints(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, hints: &Value) {
    for (field, rule) in
        [("forZones", names::label_value as fn(&str) -> Vec<String>), ("forNodes", names::dns_subdomain)]
    {
        let path = path.child(field);
        let hints = hints.list(field);
        if hints.len() > HINTS_MAX {
            errors.push(FieldError::too_many(path, hints.len(), HINTS_MAX));
            continue;
        }
        let mut seen = BTreeSet::new();
        for (index, hint) in hints.iter().enumerate() {
            let path = path.index(index);
            let name = hint.text("name");
            if !seen.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            complain(errors, &path.child("name"), name, rule(name));
        }
    }
}

fn ports(errors: &mut Vec<FieldError>, ports: &[Value]) {
    let path = FieldPath::root("ports");
    if ports.len() > PORTS_MAX {
        errors.push(FieldError::too_many(path, ports.len(), PORTS_MAX));
        return;
    }
    let mut seen = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            dns_label(errors, &path.child("name"), name);
        }
        if !seen.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        one_of(errors, &path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
        if let Some(protocol) = port.text_if_set("appProtocol") {
            qualified_name(errors, &path.child("appProtocol"), protocol);
        }
    }
}
