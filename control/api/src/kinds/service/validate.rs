//! What is refused in a service.

use serde_json::{Value, json};

use super::{HEADLESS, is_external, is_headless, needs_address, needs_health_port};
use crate::kinds::fields::Fields;
use crate::kinds::validation::{
    addresses, cidr, complain, dns_label, dns_subdomain, ip, labels, one_of, one_of_if_set, parse_ip, port_name,
    port_number, qualified_name,
};
use crate::kinds::workload;
use crate::status::{FieldError, FieldPath};

/// The port of a node's agent.
const KUBELET_PORT: i64 = 10_250;
const AFFINITY_SECONDS_MAX: i64 = 86_400;
const TYPES: &[&str] = &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const EXTERNAL_NAME_ONLY: &str = "may not be set for ExternalName services";
const LOAD_BALANCER_ONLY: &str = "may only be used when `type` is 'LoadBalancer'";

pub(super) fn service(service: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let spec = workload::part(service, "spec");
    let path = FieldPath::root("spec");
    of_type(&mut errors, &path, spec);
    ports(&mut errors, &path.child("ports"), spec);
    labels::labels(&mut errors, &path.child("selector"), spec.map("selector"));
    affinity(&mut errors, &path, spec);
    cluster_addresses(&mut errors, &path, spec);
    let externals = path.child("externalIPs");
    for (index, address) in spec.texts("externalIPs").into_iter().enumerate() {
        let path = externals.index(index);
        match parse_ip(address) {
            Some(parsed) => addresses::not_special(&mut errors, &path, address, parsed),
            None => ip(&mut errors, &path, address),
        }
    }
    one_of(&mut errors, &path.child("type"), spec.text("type"), TYPES);
    twice(&mut errors, &path.child("ports"), spec);
    balancer(&mut errors, &path, spec);
    traffic(&mut errors, &path, spec);
    errors
}

fn of_type(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let kind = spec.text("type");
    let headless = is_headless(spec);
    let ports_path = path.child("ports");
    if spec.list("ports").is_empty() && !headless && kind != "ExternalName" {
        errors.push(FieldError::required(ports_path, ""));
    }
    if kind == "LoadBalancer" {
        for (index, port) in spec.list("ports").iter().enumerate() {
            if port.int("port") == Some(KUBELET_PORT) {
                let detail = "may not expose port 10250 externally since it is used by kubelet";
                errors.push(FieldError::invalid(ports_path.index(index), KUBELET_PORT, detail));
            }
        }
    }
    if matches!(kind, "LoadBalancer" | "NodePort") && headless {
        let detail = format!("may not be set to 'None' for {kind} services");
        errors.push(FieldError::invalid(path.child("clusterIPs").index(0), HEADLESS, detail));
    }
    if kind != "ExternalName" {
        return;
    }
    for field in ["clusterIPs", "ipFamilies"] {
        if !spec.list(field).is_empty() {
            errors.push(FieldError::forbidden(path.child(field), EXTERNAL_NAME_ONLY));
        }
    }
    if spec.has("ipFamilyPolicy") {
        errors.push(FieldError::forbidden(path.child("ipFamilyPolicy"), EXTERNAL_NAME_ONLY));
    }
    let name = spec.text("externalName");
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.is_empty() {
        errors.push(FieldError::required(path.child("externalName"), ""));
    } else {
        dns_subdomain(errors, &path.child("externalName"), name);
    }
}

fn ports(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let ports = spec.list("ports");
    let mut names: Vec<&str> = Vec::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.text("name");
        if name.is_empty() {
            if ports.len() > 1 {
                errors.push(FieldError::required(path.child("name"), ""));
            }
        } else {
            dns_label(errors, &path.child("name"), name);
            if names.contains(&name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            names.push(name);
        }
        let number = port.int("port").unwrap_or(0);
        complain(errors, &path.child("port"), number, port_number(number));
        one_of(errors, &path.child("protocol"), port.text("protocol"), &["SCTP", "TCP", "UDP"]);
        match port.child("targetPort") {
            Some(Value::String(name)) => {
                complain(errors, &path.child("targetPort"), name.as_str(), port_name(name));
            }
            other => {
                let number = other.and_then(Value::as_i64).unwrap_or(0);
                complain(errors, &path.child("targetPort"), number, port_number(number));
            }
        }
        if let Some(protocol) = port.text_if_set("appProtocol") {
            qualified_name(errors, &path.child("appProtocol"), protocol);
        }
    }
}

/// Node ports where there are none, and ports that are there twice.
fn twice(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let mut seen: Vec<(&str, i64)> = Vec::new();
    let mut seen_on_nodes: Vec<(&str, i64)> = Vec::new();
    for (index, port) in spec.list("ports").iter().enumerate() {
        let path = path.index(index);
        let (protocol, node_port) = (port.text("protocol"), port.int("nodePort").unwrap_or(0));
        if node_port != 0 {
            if spec.text("type") == "ClusterIP" {
                let detail = "may not be used when `type` is 'ClusterIP'";
                errors.push(FieldError::forbidden(path.child("nodePort"), detail));
            }
            if seen_on_nodes.contains(&(protocol, node_port)) {
                errors.push(FieldError::duplicate(path.child("nodePort"), node_port));
            }
            seen_on_nodes.push((protocol, node_port));
        }
        let key = (protocol, port.int("port").unwrap_or(0));
        if seen.contains(&key) {
            let shown = json!({
                "Name": "", "Protocol": key.0, "AppProtocol": null, "Port": key.1, "TargetPort": 0, "NodePort": 0,
            });
            errors.push(FieldError::duplicate(path, shown));
        }
        seen.push(key);
    }
}

fn affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let affinity = spec.text("sessionAffinity");
    one_of(errors, &path.child("sessionAffinity"), affinity, &["ClientIP", "None"]);
    let path = path.child("sessionAffinityConfig");
    let config = spec.child("sessionAffinityConfig");
    if affinity == "None" && config.is_some() {
        errors.push(FieldError::forbidden(path, "must not be set when session affinity is None"));
    }
    if affinity != "ClientIP" {
        return;
    }
    const NEEDED: &str = "when session affinity type is ClientIP";
    let Some(config) = config else {
        errors.push(FieldError::required(path, NEEDED));
        return;
    };
    let path = path.child("clientIP");
    let Some(client) = config.child("clientIP") else {
        errors.push(FieldError::required(path, NEEDED));
        return;
    };
    let path = path.child("timeoutSeconds");
    match client.int("timeoutSeconds") {
        None => errors.push(FieldError::required(path, NEEDED)),
        Some(seconds) if !(1..=AFFINITY_SECONDS_MAX).contains(&seconds) => {
            let detail = format!("must be greater than 0 and less than {AFFINITY_SECONDS_MAX}");
            errors.push(FieldError::invalid(path, seconds, detail));
        }
        Some(_) => {}
    }
}

fn cluster_addresses(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    if spec.text("type") == "ExternalName" {
        return;
    }
    families(errors, path, spec);
    let (address, list) = (spec.text("clusterIP"), spec.texts("clusterIPs"));
    let shown = || spec.get("clusterIPs").cloned().unwrap_or(Value::Null);
    let path = path.child("clusterIPs");
    match (address, list.first()) {
        ("", Some(_)) => {
            errors.push(FieldError::required("spec.clusterIP", "must be set when `clusterIPs` is specified"))
        }
        (address, Some(first)) if address != *first => {
            errors.push(FieldError::invalid(path, shown(), "first value must match `clusterIP`"));
        }
        _ => {}
    }
    let before = errors.len();
    for (index, address) in list.iter().enumerate() {
        if index == 0 && *address == HEADLESS {
            if list.len() > 1 {
                errors.push(FieldError::invalid(path, shown(), "'None' must be the first and only value"));
            }
        } else {
            ip(errors, &path.index(index), address);
        }
    }
    if list.len() > 2 {
        errors.push(FieldError::invalid(path, shown(), "may only hold up to 2 values"));
    }
    if errors.len() > before || is_headless(spec) {
        return;
    }
    let parsed: Vec<_> = list.iter().filter_map(|address| parse_ip(address)).collect();
    if parsed.len() == 2 && parsed[0].is_ipv4() == parsed[1].is_ipv4() {
        let detail = "may specify no more than one IP for each IP family";
        errors.push(FieldError::invalid(path, shown(), detail));
    }
    for (index, (address, family)) in parsed.iter().zip(spec.texts("ipFamilies")).enumerate() {
        let wanted = if address.is_ipv4() { "IPv4" } else { "IPv6" };
        if family != wanted && matches!(family, "IPv4" | "IPv6") {
            let detail = format!("expected an {family} value as indicated by `ipFamilies[{index}]`");
            errors.push(FieldError::invalid(path.index(index), address.to_string(), detail));
        }
    }
}

fn families(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let families_path = path.child("ipFamilies");
    let families = spec.texts("ipFamilies");
    for (index, family) in families.iter().enumerate() {
        let path = families_path.index(index);
        one_of_if_set(errors, &path, Some(family), &["IPv4", "IPv6"]);
        if families.iter().take(index).any(|earlier| earlier == family) {
            errors.push(FieldError::duplicate(path, *family));
        }
    }
    let policies = ["PreferDualStack", "RequireDualStack", "SingleStack"];
    one_of_if_set(errors, &path.child("ipFamilyPolicy"), spec.text_if_set("ipFamilyPolicy"), &policies);
}

fn balancer(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let balanced = spec.text("type") == "LoadBalancer";
    let ranges = path.child("loadBalancerSourceRanges");
    if !spec.list("loadBalancerSourceRanges").is_empty() && !balanced {
        errors.push(FieldError::forbidden(ranges, LOAD_BALANCER_ONLY));
    }
    for (index, range) in spec.texts("loadBalancerSourceRanges").into_iter().enumerate() {
        cidr(errors, &ranges.index(index), range.trim());
    }
    let allocate = path.child("allocateLoadBalancerNodePorts");
    match (balanced, spec.has("allocateLoadBalancerNodePorts")) {
        (true, false) => errors.push(FieldError::required(allocate, "")),
        (false, true) => errors.push(FieldError::forbidden(allocate, LOAD_BALANCER_ONLY)),
        _ => {}
    }
    let path = path.child("loadBalancerClass");
    match spec.text_if_set("loadBalancerClass") {
        Some(_) if !balanced => errors.push(FieldError::forbidden(path, LOAD_BALANCER_ONLY)),
        Some(class) => qualified_name(errors, &path, class),
        None => {}
    }
}

fn traffic(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    const POLICIES: &[&str] = &["Cluster", "Local"];
    let external = spec.text("externalTrafficPolicy");
    let external_path = path.child("externalTrafficPolicy");
    if is_external(spec) {
        one_of(errors, &external_path, external, POLICIES);
    } else if !external.is_empty() {
        let detail = "may only be set for externally-accessible services";
        errors.push(FieldError::invalid(external_path, external, detail));
    }
    let health_path = path.child("healthCheckNodePort");
    match (needs_health_port(spec), spec.int("healthCheckNodePort").unwrap_or(0)) {
        (true, 0) => errors.push(FieldError::required(health_path, "")),
        (true, port) => complain(errors, &health_path, port, port_number(port)),
        (false, 0) => {}
        (false, port) => {
            let detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(FieldError::invalid(health_path, port, detail));
        }
    }
    let internal_path = path.child("internalTrafficPolicy");
    match spec.text_if_set("internalTrafficPolicy") {
        None if needs_address(spec) => errors.push(FieldError::required(internal_path, "")),
        policy => one_of_if_set(errors, &internal_path, policy, POLICIES),
    }
    let distributions = ["PreferClose", "PreferSameNode", "PreferSameZone"];
    one_of_if_set(errors, &path.child("trafficDistribution"), spec.text_if_set("trafficDistribution"), &distributions);
}
