//! Endpoints: the addresses behind a service, in the form of old that `EndpointSlice` has replaced.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::{Behaviour, Column, Kind, Part};
use crate::kinds::columns;
use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::validation::{addresses, complain, dns_label, dns_subdomain, ip, one_of, parse_ip, port_number};
use crate::status::{FieldError, FieldPath};

/// Addresses that a table shows before it says how many more there are.
const SHOWN_MAX: usize = 3;
const SUBSETS: &str = "The set of all endpoints is the union of all subsets. Addresses are placed into subsets according to the IPs they share. A single address with multiple ports, some of which are ready and some of which are not (because they come from different containers) will result in the address being displayed in different subsets for the different ports. No address will appear in both Addresses and NotReadyAddresses in the same subset. Sets of addresses and ports that comprise a service.";

static COLUMNS: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![columns::name(), columns::text("Endpoints", SUBSETS), columns::age()]);

#[derive(Debug)]
struct Endpoints;

pub(super) fn kind() -> Kind {
    Kind::new("", "v1", "Endpoints", "endpoints", Endpoints)
        .schema("io.k8s.api.core.v1.Endpoints")
        .short_names(&["ep"])
        .deprecated("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice")
        .creates_on_update()
}

impl Behaviour for Endpoints {
    fn default(&self, object: &mut Value) {
        for subset in items_mut(object, "subsets") {
            for port in items_mut(subset, "ports") {
                fields::set_text_default(port, "protocol", "TCP");
            }
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let path = FieldPath::root("subsets");
        for (index, subset) in object.list("subsets").iter().enumerate() {
            self::subset(&mut errors, &path.index(index), subset);
        }
        errors
    }

    fn validate_update(&self, _part: Part, new: &Value, _old: &Value) -> Vec<FieldError> {
        self.validate_create(new)
    }

    fn warnings(&self, new: &Value, _old: Option<&Value>) -> Vec<String> {
        let mut warnings = Vec::new();
        let path = FieldPath::root("subsets");
        for (index, subset) in new.list("subsets").iter().enumerate() {
            let path = path.index(index);
            for list in ["addresses", "notReadyAddresses"] {
                let path = path.child(list);
                for (index, address) in subset.list(list).iter().enumerate() {
                    let path = path.index(index);
                    warnings.extend(addresses::ip_warning(&path.child("ip"), address.text("ip")));
                }
            }
        }
        warnings
    }

    fn columns(&self) -> &[Column] {
        &COLUMNS
    }

    fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        vec![columns::name_cell(object), Value::from(shown_addresses(object)), columns::age_cell(object, now)]
    }
}

fn subset(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, subset: &Value) {
    let lists = ["addresses", "notReadyAddresses"];
    if lists.iter().all(|list| subset.list(list).is_empty()) {
        errors.push(FieldError::required(path, "must specify `addresses` or `notReadyAddresses`"));
    }
    for list in lists {
        let path = path.child(list);
        for (index, address) in subset.list(list).iter().enumerate() {
            self::address(errors, &path.index(index), address);
        }
    }
    let ports = subset.list("ports");
    let path = path.child("ports");
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.text("name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(FieldError::required(path.child("name"), ""));
            }
        } else {
            dns_label(errors, &path.child("name"), name);
        }
        let number = port.int("port").unwrap_or(0);
        complain(errors, &path.child("port"), number, port_number(number));
        one_of(errors, &path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
    }
}

fn address(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, address: &Value) {
    let text = address.text("ip");
    ip(errors, &path.child("ip"), text);
    if !address.text("hostname").is_empty() {
        dns_label(errors, &path.child("hostname"), address.text("hostname"));
    }
    if let Some(node) = address.text_if_set("nodeName") {
        dns_subdomain(errors, &path.child("nodeName"), node);
    }
    if let Some(parsed) = parse_ip(text) {
        addresses::not_special(errors, &path.child("ip"), text, parsed);
    }
}

/// `10.0.0.1:80,10.0.0.2:80 + 3 more...`.
fn shown_addresses(object: &Value) -> String {
    let mut shown = Vec::new();
    let mut count = 0_usize;
    for subset in object.list("subsets") {
        let ports = subset.list("ports");
        let ready = subset.list("addresses");
        if ports.is_empty() {
            count = count.saturating_add(ready.len());
            let rest = SHOWN_MAX.saturating_sub(shown.len());
            shown.extend(ready.iter().take(rest).map(|address| address.text("ip").to_owned()));
        }
        for port in ports {
            count = count.saturating_add(ready.len());
            let number = port.int("port").unwrap_or(0);
            let rest = SHOWN_MAX.saturating_sub(shown.len());
            shown.extend(ready.iter().take(rest).map(|address| match address.text("ip") {
                ip if ip.contains(':') => format!("[{ip}]:{number}"),
                ip => format!("{ip}:{number}"),
            }));
        }
    }
    let mut text = shown.join(",");
    if count > shown.len() {
        text.push_str(&format!(" + {} more...", count - shown.len()));
    }
    if text.is_empty() { columns::NONE.to_owned() } else { text }
}
