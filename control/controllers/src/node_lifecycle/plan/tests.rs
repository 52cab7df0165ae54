use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Changes, Readiness, is_doubtful, plan};
use crate::observed::{Node, Pod};

const NOW: &str = "2026-01-01T01:00:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn node(conditions: &[(&str, &str)], spec: &Value) -> Node {
    let conditions: Vec<Value> = conditions
        .iter()
        .map(|(kind, status)| json!({"type": kind, "status": status, "lastTransitionTime": "2026-01-01T00:30:00Z"}))
        .collect();
    let object = json!({"metadata": {"name": "a"}, "spec": spec, "status": {"conditions": conditions}});
    Node::from_api(&serde_json::from_value(object).expect("a Node"))
}

fn taints(changes: &Changes) -> Vec<String> {
    let taint = |taint: &k8s_openapi::api::core::v1::Taint| {
        let stamp = if taint.time_added.is_some() { "@" } else { "" };
        format!("{}:{}{stamp}", taint.key.trim_start_matches("node.kubernetes.io/"), taint.effect)
    };
    changes.taints.iter().flatten().map(taint).collect()
}

#[test]
fn a_ready_node_is_left_alone() {
    let ready = node(
        &[("Ready", "True"), ("MemoryPressure", "False")],
        &json!({"taints": [{"key": "team", "effect": "NoSchedule"}]}),
    );
    assert!(plan(&ready, false, now()).is_empty());
}

#[test]
fn silence_makes_a_node_unknown_and_unreachable() {
    let changes = plan(&node(&[("Ready", "True"), ("DiskPressure", "False")], &json!({})), true, now());
    let lines: Vec<String> = changes
        .conditions
        .iter()
        .map(|c| format!("{} {} {}", c.type_, c.status, c.reason.as_deref().unwrap()))
        .collect();
    assert_eq!(
        lines,
        [
            "Ready Unknown NodeStatusUnknown",
            "MemoryPressure Unknown NodeStatusNeverUpdated",
            "DiskPressure Unknown NodeStatusUnknown",
            "PIDPressure Unknown NodeStatusNeverUpdated",
        ]
    );
    assert_eq!(taints(&changes), ["unreachable:NoSchedule", "unreachable:NoExecute@"]);
}

#[test]
fn taints_follow_the_conditions_and_spare_those_of_others() {
    let team = json!({"key": "team", "effect": "NoExecute"});
    let unreachable = json!({"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"});
    let back = node(
        &[("Ready", "False"), ("MemoryPressure", "True")],
        &json!({"taints": [team, unreachable], "unschedulable": true}),
    );
    assert_eq!(
        taints(&plan(&back, false, now())),
        [
            "team:NoExecute",
            "not-ready:NoSchedule",
            "not-ready:NoExecute@",
            "memory-pressure:NoSchedule",
            "unschedulable:NoSchedule"
        ]
    );
    let recovered = node(&[("Ready", "True")], &json!({"taints": [team, unreachable]}));
    assert_eq!(taints(&plan(&recovered, false, now())), ["team:NoExecute"]);
}

#[test]
fn a_node_that_said_nothing_yet_takes_no_new_pods() {
    assert_eq!(taints(&plan(&node(&[], &json!({})), false, now())), ["not-ready:NoSchedule"]);
}

#[test]
fn readiness_is_doubted_only_where_nobody_can_vouch_for_it() {
    let pod = |since: &str| {
        let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": since}]);
        let object = json!({"metadata": {"name": "p"}, "spec": {"nodeName": "a", "containers": []}, "status": {"conditions": ready}});
        Pod::from_api(&serde_json::from_value(object).expect("a Pod"))
    };
    let (before, after) = (pod("2026-01-01T00:00:00Z"), pod("2026-01-01T00:45:00Z"));
    let doubtful = |status: &str, pod: &Pod| is_doubtful(pod, &node(&[("Ready", status)], &json!({})));
    assert!(!doubtful("True", &before));
    assert!(doubtful("Unknown", &before) && doubtful("Unknown", &after));
    assert!(doubtful("False", &before));
    assert!(!doubtful("False", &after), "the host said so after it stopped being ready itself");
}

proptest! {
    /// Carrying out a plan leaves nothing to plan, and never touches a taint of somebody else.
    #[test]
    fn plans_converge(
        statuses in prop::collection::vec(prop::sample::select(vec!["True", "False", "Unknown"]), 4),
        present in prop::collection::vec(any::<bool>(), 4),
        tainted in prop::collection::vec(any::<bool>(), 4),
        silent: bool,
        unschedulable: bool,
    ) {
        let kinds = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];
        let conditions: Vec<_> = (0..4).filter(|i| present[*i]).map(|i| (kinds[i], statuses[i])).collect();
        let keys = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/disk-pressure", "team"];
        let taints: Vec<Value> = (0..4).filter(|i| tainted[*i]).map(|i| json!({"key": keys[i], "effect": "NoSchedule"})).collect();
        let mut node = node(&conditions, &json!({"taints": taints, "unschedulable": unschedulable}));
        let changes = plan(&node, silent, now());
        for condition in changes.conditions {
            node.conditions.retain(|known| known.type_ != condition.type_);
            node.conditions.push(condition);
        }
        node.taints = changes.taints.unwrap_or(node.taints);
        prop_assert!(plan(&node, silent, now()).is_empty());
        prop_assert_eq!(node.taints.iter().any(|taint| taint.key == "team"), tainted[3]);
        prop_assert!(!silent || Readiness::of(&node) == Readiness::Unknown);
    }
}
