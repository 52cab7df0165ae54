//! What a client may leave out of a service.

use serde_json::{Value, json};

use crate::kinds::fields::{self, Fields, items_mut};

/// Seconds that a client stays with the same pod, where it does.
const AFFINITY_SECONDS: i64 = 10_800;

pub(super) fn service(object: &mut Value) {
    load_balancer_modes(object);
    let Some(spec) = fields::object_mut(object, "spec") else { return };
    fields::set_text_default(spec, "sessionAffinity", "None");
    match spec.text("sessionAffinity") {
        "None" => fields::remove(spec, "sessionAffinityConfig"),
        "ClientIP" => {
            let seconds = ["sessionAffinityConfig", "clientIP", "timeoutSeconds"];
            if spec.at(&seconds).is_none() {
                let config = json!({ "clientIP": { "timeoutSeconds": AFFINITY_SECONDS } });
                fields::set(spec, "sessionAffinityConfig", config);
            }
        }
        _ => {}
    }
    fields::set_text_default(spec, "type", "ClusterIP");
    for port in items_mut(spec, "ports") {
        fields::set_text_default(port, "protocol", "TCP");
        let target = port.child("targetPort");
        let missing = target.is_none_or(|target| target.as_str() == Some("") || target.as_i64() == Some(0));
        if missing {
            let number = port.int("port").unwrap_or(0);
            fields::set(port, "targetPort", number);
        }
    }
    if super::is_external(spec) {
        fields::set_text_default(spec, "externalTrafficPolicy", "Cluster");
    }
    if super::needs_address(spec) {
        fields::set_default(spec, "internalTrafficPolicy", "Cluster");
    }
    if spec.text("type") == "LoadBalancer" {
        fields::set_default(spec, "allocateLoadBalancerNodePorts", true);
    }
}

/// An address of a load balancer is by default one that the nodes see as the destination.
fn load_balancer_modes(object: &mut Value) {
    let is_balanced = object.at(&["spec", "type"]).and_then(Value::as_str) == Some("LoadBalancer");
    let balancer = object.get_mut("status").and_then(|status| status.get_mut("loadBalancer"));
    let Some(balancer) = balancer.filter(|_| is_balanced) else { return };
    for ingress in items_mut(balancer, "ingress") {
        if !ingress.text("ip").is_empty() {
            fields::set_default(ingress, "ipMode", "VIP");
        }
    }
}
