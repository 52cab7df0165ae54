//! The addresses and node ports of services: which the server chooses, and which a service holds.
//!
//! A service holds a claim on each of its addresses and node ports, and no two services hold the same claim; how that
//! is kept true is told at [`crate::kind::Behaviour::claims`]. The low end of each range is used last when the server
//! chooses, so that it is free for people who choose themselves.

use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::{is_headless, needs_address, needs_health_port, needs_node_ports};
use crate::kind::Pool;
use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::validation::parse_ip;
use crate::kinds::workload;
use crate::status::{FieldError, FieldPath};

/// First address of the services' range, 10.0.0.0/16: kube-apiserver's default begins there too. It belongs to nobody,
/// and the last one neither.
const ADDRESSES_START: u32 = 0x0a00_0000;
const ADDRESSES: u64 = 1 << 16;
/// Addresses at the low end that are given out last.
const ADDRESSES_LOW: u64 = 256;
/// Ports on the nodes, and how many at the low end are given out last.
const PORTS_START: u64 = 30_000;
const PORTS_END: u64 = 32_767;
const PORTS_LOW: u64 = 86;
/// Random choices before every value is looked at in order.
const DRAWS: usize = 32;

/// The address of the service `default/kubernetes`: the first of the range.
pub const KUBERNETES_ADDRESS: Ipv4Addr = Ipv4Addr::from_bits(ADDRESSES_START + 1);

/// What a service holds.
pub(super) fn claims(service: &Value) -> Vec<String> {
    let spec = workload::part(service, "spec");
    let mut claims = Vec::new();
    if needs_address(spec) {
        let addresses = spec.texts("clusterIPs").into_iter().filter_map(parse_ip);
        claims.extend(addresses.map(|address| format!("serviceips/{address}")));
    }
    let ports = spec.list("ports").iter().filter_map(|port| port.int("nodePort"));
    let health = spec.int("healthCheckNodePort").filter(|_| needs_health_port(spec));
    claims.extend(ports.chain(health).filter(|port| *port > 0).map(port_claim));
    claims.sort_unstable();
    claims.dedup();
    claims
}

fn port_claim(port: i64) -> String {
    format!("servicenodeports/{port}")
}

/// Chooses what is missing and says what cannot be had.
pub(super) fn service(new: &mut Value, old: Option<&Value>, pool: &mut dyn Pool) -> Vec<FieldError> {
    let held = old.map(claims).unwrap_or_default();
    let had_address = old.is_some_and(|old| needs_address(workload::part(old, "spec")));
    let Some(spec) = fields::object_mut(new, "spec") else { return Vec::new() };
    let mut errors = Vec::new();
    if needs_address(spec) {
        errors.extend(families(spec));
        if errors.is_empty() && !had_address && !is_headless(spec) {
            errors.extend(address(spec, pool));
        }
    }
    if errors.is_empty() {
        errors.extend(node_ports(spec, &held, pool));
    }
    errors
}

/// This cluster has IPv4 addresses only. A headless service whose endpoints are made by hand may say what it likes.
fn families(spec: &mut Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let by_hand = is_headless(spec) && spec.map("selector").is_none_or(serde_json::Map::is_empty);
    if by_hand {
        fields::set_default(spec, "ipFamilyPolicy", "RequireDualStack");
        let single = spec.text("ipFamilyPolicy") == "SingleStack";
        match (spec.texts("ipFamilies").as_slice(), single) {
            ([], true) => fields::set(spec, "ipFamilies", json!(["IPv4"])),
            ([], false) | (["IPv4"], false) => fields::set(spec, "ipFamilies", json!(["IPv4", "IPv6"])),
            (["IPv6"], false) => fields::set(spec, "ipFamilies", json!(["IPv6", "IPv4"])),
            _ => {}
        }
        return errors;
    }
    fields::set_default(spec, "ipFamilyPolicy", "SingleStack");
    if spec.text("ipFamilyPolicy") == "RequireDualStack" {
        errors.push(FieldError::invalid(
            "spec.ipFamilyPolicy",
            "RequireDualStack",
            "this cluster is not configured for dual-stack services",
        ));
    }
    let path = FieldPath::root("spec");
    let path = path.child("ipFamilies");
    for (index, family) in spec.texts("ipFamilies").into_iter().enumerate() {
        if family == "IPv6" {
            errors.push(FieldError::invalid(path.index(index), family, "not configured on this cluster"));
        }
    }
    if spec.list("ipFamilies").is_empty() {
        let first = spec.texts("clusterIPs").first().and_then(|address| parse_ip(address));
        let family = if first.is_some_and(|address| address.is_ipv6()) { "IPv6" } else { "IPv4" };
        if family == "IPv6" {
            errors.push(FieldError::invalid(path.index(0), family, "not configured on this cluster"));
        }
        fields::set(spec, "ipFamilies", json!([family]));
    }
    errors
}

/// The address that the client wants, or a free one.
fn address(spec: &mut Value, pool: &mut dyn Pool) -> Vec<FieldError> {
    let wanted = spec.texts("clusterIPs").first().map(|address| (*address).to_owned());
    let Some(wanted) = wanted.filter(|address| !address.is_empty()) else {
        let Some(address) = free_address(pool) else {
            return vec![FieldError::internal("spec.clusterIPs", "failed to allocate a serviceIP: range is full")];
        };
        fields::set(spec, "clusterIP", address.to_string());
        fields::set(spec, "clusterIPs", json!([address.to_string()]));
        return Vec::new();
    };
    // What is no address is for validation to tell.
    let Some(address) = parse_ip(&wanted) else { return Vec::new() };
    let why = match address {
        std::net::IpAddr::V4(v4) if is_in_range(v4) => {
            pool.is_taken(&format!("serviceips/{v4}")).then_some("provided IP is already allocated")
        }
        _ => Some("the provided network does not match the current range"),
    };
    let Some(why) = why else { return Vec::new() };
    let shown = spec.get("clusterIPs").cloned().unwrap_or(Value::Null);
    vec![FieldError::invalid("spec.clusterIPs", shown, format!("failed to allocate IP {wanted}: {why}"))]
}

fn is_in_range(address: Ipv4Addr) -> bool {
    let offset = u64::from(address.to_bits().wrapping_sub(ADDRESSES_START));
    offset > 0 && offset < ADDRESSES - 1
}

fn free_address(pool: &mut dyn Pool) -> Option<Ipv4Addr> {
    let at = |offset: u64| Ipv4Addr::from_bits(ADDRESSES_START + u32::try_from(offset).unwrap_or(0));
    free(pool, (1, ADDRESSES_LOW, ADDRESSES - 2), |offset| format!("serviceips/{}", at(offset))).map(at)
}

fn free_port(pool: &mut dyn Pool, held_here: &[i64]) -> Option<i64> {
    let range = (PORTS_START, PORTS_START + PORTS_LOW, PORTS_END);
    let found = free(pool, range, |port| {
        let port = i64::try_from(port).unwrap_or(0);
        // A port that this same write gives to something else counts as taken; an empty claim always is.
        if held_here.contains(&port) { String::new() } else { port_claim(port) }
    });
    found.and_then(|port| i64::try_from(port).ok())
}

/// A value that nobody has: drawn from `middle..=end`, else the first one there, else the first one of `start..middle`.
fn free(pool: &mut dyn Pool, (start, middle, end): (u64, u64, u64), claim: impl Fn(u64) -> String) -> Option<u64> {
    let is_free = |pool: &dyn Pool, value: u64| {
        let claim = claim(value);
        !claim.is_empty() && !pool.is_taken(&claim)
    };
    for _ in 0..DRAWS {
        let value = middle + pool.random() % (end - middle + 1);
        if is_free(pool, value) {
            return Some(value);
        }
    }
    (middle..=end).chain(start..middle).find(|value| is_free(pool, *value))
}

fn node_ports(spec: &mut Value, held: &[String], pool: &mut dyn Pool) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let path = FieldPath::root("spec");
    let (wants_ports, wants_health) = (needs_node_ports(spec), needs_health_port(spec));
    // (port, protocol, node port): the same port may have the same node port in several protocols.
    let mut given: Vec<(i64, String, i64)> = Vec::new();
    let row =
        |port: &Value, node_port: i64| (port.int("port").unwrap_or(0), port.text("protocol").to_owned(), node_port);
    let ports_path = path.child("ports");
    for (index, port) in spec.list("ports").iter().enumerate() {
        let node_port = port.int("nodePort").unwrap_or(0);
        if node_port != 0 {
            given.push(row(port, node_port));
            if wants_ports && let Some(why) = refusal(node_port, held, pool) {
                errors.push(FieldError::invalid(ports_path.index(index).child("nodePort"), node_port, why));
            }
        }
    }
    let health = spec.int("healthCheckNodePort").unwrap_or(0);
    if wants_health
        && health != 0
        && let Some(why) = refusal(health, held, pool)
    {
        let detail = format!("failed to allocate requested HealthCheck NodePort {health}: {why}");
        errors.push(FieldError::invalid(path.child("healthCheckNodePort"), health, detail));
    }
    if !errors.is_empty() {
        return errors;
    }
    let mut numbers: Vec<i64> = given.iter().map(|(_, _, number)| *number).chain([health]).collect();
    if wants_ports {
        for port in items_mut(spec, "ports") {
            if port.int("nodePort").unwrap_or(0) != 0 {
                continue;
            }
            let (number, protocol, _) = row(port, 0);
            let twin = given.iter().find(|(other, _, node_port)| {
                *other == number && !given.iter().any(|(_, used, same)| same == node_port && *used == protocol)
            });
            let Some(node_port) = twin.map(|(_, _, port)| *port).or_else(|| free_port(pool, &numbers)) else {
                errors.push(FieldError::internal("spec.ports", "failed to allocate a nodePort: range is full"));
                return errors;
            };
            fields::set(port, "nodePort", node_port);
            given.push((number, protocol, node_port));
            numbers.push(node_port);
        }
    }
    if wants_health && health == 0 {
        match free_port(pool, &numbers) {
            Some(port) => fields::set(spec, "healthCheckNodePort", port),
            None => errors.push(FieldError::internal(path.child("healthCheckNodePort"), "range is full")),
        }
    }
    errors
}

/// Why a node port that the client chose cannot be had.
fn refusal(port: i64, held: &[String], pool: &dyn Pool) -> Option<String> {
    let claim = port_claim(port);
    if held.contains(&claim) {
        return None;
    }
    if !u64::try_from(port).is_ok_and(|port| (PORTS_START..=PORTS_END).contains(&port)) {
        let range = format!("{PORTS_START}-{PORTS_END}");
        return Some(format!("provided port is not in the valid range. The range of valid ports is {range}"));
    }
    pool.is_taken(&claim).then(|| "provided port is already allocated".to_owned())
}

#[cfg(test)]
mod tests;
