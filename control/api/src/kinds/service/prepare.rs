//! What an update of a service keeps of what was allocated, and what a change of its type drops.

use serde_json::{Value, json};

use super::{is_external, needs_address, needs_health_port, needs_node_ports};
use crate::kinds::fields::{self, Fields, items_mut, same};
use crate::kinds::workload;

/// Clients of old know one address only.
pub(super) fn create(service: &mut Value) {
    let Some(spec) = service.get_mut("spec") else { return };
    let address = spec.text("clusterIP").to_owned();
    if !address.is_empty() && spec.list("clusterIPs").is_empty() {
        fields::set(spec, "clusterIPs", json!([address]));
    }
}

pub(super) fn update(new: &mut Value, old: &Value) {
    let old = workload::part(old, "spec");
    let Some(new) = fields::object_mut(new, "spec") else { return };
    keep_allocated(new, old);
    follow_address(new, old);
    drop_what_the_type_has_not(new, old);
    if old.list("clusterIPs").is_empty() && new.list("clusterIPs").is_empty() {
        let address = new.text("clusterIP").to_owned();
        if !address.is_empty() {
            fields::set(new, "clusterIPs", json!([address]));
        }
    }
}

/// Values that the server chose and the client left out stay.
fn keep_allocated(new: &mut Value, old: &Value) {
    if needs_address(new) && needs_address(old) {
        if new.text("clusterIP").is_empty() {
            fields::copy_from(new, old, "clusterIP");
        }
        if new.list("clusterIPs").is_empty() && new.text("clusterIP") == old.text("clusterIP") {
            fields::copy_from(new, old, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if !new.has(field) {
                fields::copy_from(new, old, field);
            }
        }
    }
    if needs_node_ports(new) && needs_node_ports(old) {
        keep_node_ports(new, old);
    }
    if needs_health_port(new) && needs_health_port(old) && new.int("healthCheckNodePort").unwrap_or(0) == 0 {
        fields::copy_from(new, old, "healthCheckNodePort");
    }
}

/// A port of the same name keeps its port on the nodes, unless another port has taken that over.
fn keep_node_ports(new: &mut Value, old: &Value) {
    let ports = |spec: &Value| -> Vec<i64> {
        spec.list("ports").iter().filter_map(|port| port.int("nodePort")).filter(|port| *port != 0).collect()
    };
    let mut used = ports(new);
    for port in items_mut(new, "ports") {
        if port.int("nodePort").unwrap_or(0) != 0 {
            continue;
        }
        let before = old.list("ports").iter().find(|old| old.text("name") == port.text("name"));
        if let Some(number) = before.and_then(|old| old.int("nodePort")).filter(|number| *number != 0)
            && !used.contains(&number)
        {
            fields::set(port, "nodePort", number);
            used.push(number);
        }
    }
}

/// A client that changes `clusterIP` alone means the list as well.
fn follow_address(new: &mut Value, old: &Value) {
    let (address, before) = (new.text("clusterIP").to_owned(), old.text("clusterIP"));
    if address == before || !same(new.child("clusterIPs"), old.child("clusterIPs")) {
        return;
    }
    if address.is_empty() {
        fields::remove(new, "clusterIPs");
    } else {
        fields::set(new, "clusterIPs", json!([address]));
    }
}

/// What the new type cannot have goes, unless the client has changed it: then it means it, and is told.
fn drop_what_the_type_has_not(new: &mut Value, old: &Value) {
    let unchanged = |new: &Value, field: &str| same(new.child(field), old.child(field));
    if needs_address(old) && !needs_address(new) {
        if unchanged(new, "clusterIPs") {
            fields::remove(new, "clusterIP");
            fields::remove(new, "clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if unchanged(new, field) {
                fields::remove(new, field);
            }
        }
    }
    if needs_node_ports(old) && !needs_node_ports(new) && same_node_ports(new, old) {
        for port in items_mut(new, "ports") {
            fields::remove(port, "nodePort");
        }
    }
    if needs_health_port(old) && !needs_health_port(new) && unchanged(new, "healthCheckNodePort") {
        fields::remove(new, "healthCheckNodePort");
    }
    if old.text("type") == "LoadBalancer" && new.text("type") != "LoadBalancer" {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if unchanged(new, field) {
                fields::remove(new, field);
            }
        }
    }
    if is_external(old) && !is_external(new) && unchanged(new, "externalTrafficPolicy") {
        fields::remove(new, "externalTrafficPolicy");
    }
}

fn same_node_ports(new: &Value, old: &Value) -> bool {
    let ports = |spec: &Value| {
        let mut ports: Vec<i64> = spec.list("ports").iter().filter_map(|port| port.int("nodePort")).collect();
        ports.sort_unstable();
        ports
    };
    ports(new) == ports(old)
}
