//! TaintNodesByCondition: a new node takes no pods before the node controller has seen it ready.

use serde_json::{Value, json};

use super::{Action, Request};

const NOT_READY: &str = "node.kubernetes.io/not-ready";

pub(super) fn admit(request: &Request<'_>, node: &mut Value) {
    if request.action != Action::Create || !request.is_core("nodes") {
        return;
    }
    let Some(node) = node.as_object_mut() else { return };
    let spec = node.entry("spec").or_insert_with(|| json!({}));
    let Some(spec) = spec.as_object_mut() else { return };
    let taints = spec.entry("taints").or_insert_with(|| json!([]));
    if !taints.is_array() {
        *taints = json!([]);
    }
    let Some(taints) = taints.as_array_mut() else { return };
    let there = taints.iter().any(|taint| {
        taint.get("key").and_then(Value::as_str) == Some(NOT_READY)
            && taint.get("effect").and_then(Value::as_str) == Some("NoSchedule")
    });
    if !there {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
}
