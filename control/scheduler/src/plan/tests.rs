mod properties;

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Decision, Outcome, feasible_enough, plan};
use crate::node::NodeSpec;
use crate::plugins::tests::node;
use crate::pod::Pod;
use crate::pod::tests::{pod, pod_asking};
use crate::snapshot::Snapshot;

fn cluster(names: &[&str]) -> Snapshot {
    let mut snapshot = Snapshot::new();
    for name in names {
        snapshot.set_node((*node(name, &json!({"kubernetes.io/hostname": name}), &json!({})).spec).clone());
    }
    snapshot
}

/// `name -> node` or `name: message`, in the order of the decisions.
fn decided(snapshot: &Snapshot, pods: &[Arc<Pod>]) -> Vec<String> {
    let line = |decision: &Decision| match &decision.outcome {
        Outcome::Bind { node } => format!("{} -> {node}", decision.pod.name),
        Outcome::Unschedulable { message } => format!("{}: {message}", decision.pod.name),
        Outcome::Gated => format!("{} gated", decision.pod.name),
    };
    plan(snapshot, pods).decisions.iter().map(line).collect()
}

#[test]
fn pods_spread_over_empty_nodes() {
    let pods: Vec<_> = ["x", "y"].iter().map(|name| pod_asking(name, &json!({"cpu": "1"}))).collect();
    assert_eq!(decided(&cluster(&["a", "b"]), &pods), ["x -> a", "y -> b"]);
}

#[test]
fn what_one_pod_of_a_batch_takes_the_next_does_not_find() {
    let pods: Vec<_> = ["x", "y"].iter().map(|name| pod_asking(name, &json!({"cpu": "3"}))).collect();
    let full = "y: 0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.";
    assert_eq!(decided(&cluster(&["a"]), &pods), ["x -> a", full]);
}

#[test]
fn the_urgent_go_first_and_then_the_old() {
    let at = |name: &str, priority: i32, created: &str| {
        let mut pod = pod(
            name,
            json!({"priority": priority, "containers": [{"name": "c", "resources": {"requests": {"cpu": "4"}}}]}),
        );
        pod.created = created.parse().expect("a time");
        Arc::new(pod)
    };
    let pods = [
        at("young", 0, "2026-01-02T00:00:00Z"),
        at("old", 0, "2026-01-01T00:00:00Z"),
        at("urgent", 5, "2026-01-03T00:00:00Z"),
    ];
    let lines = decided(&cluster(&["a", "b"]), &pods);
    assert_eq!(lines[..2], ["urgent -> a", "old -> b"]);
    assert!(lines[2].starts_with("young: 0/2 nodes are available: 2 Insufficient cpu."), "{lines:?}");
}

#[test]
fn gated_pods_are_left_alone() {
    let gated = pod("p", json!({"schedulingGates": [{"name": "example.com/wait"}]}));
    assert_eq!(decided(&cluster(&["a"]), &[gated.into()]), ["p gated"]);
}

#[test]
fn a_cluster_without_nodes_says_so() {
    assert_eq!(decided(&cluster(&[]), &[pod("p", json!({})).into()]), ["p: no nodes available to schedule pods"]);
}

#[test]
fn reasons_are_counted_and_sorted_as_upstream_does() {
    let mut snapshot = cluster(&["small-1", "small-2"]);
    let special = |name: &str, spec: &Value| (*node(name, &json!({}), spec).spec).clone();
    snapshot.set_node(special("cordoned", &json!({"unschedulable": true})));
    snapshot.set_node(special(
        "tainted",
        &json!({"taints": [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]}),
    ));
    snapshot.add_pod(&Arc::from("small-1"), pod_asking("other", &json!({"cpu": "3", "memory": "7Gi"})));
    snapshot.add_pod(&Arc::from("small-2"), pod_asking("another", &json!({"cpu": "3"})));
    let lines = decided(&snapshot, &[pod_asking("p", &json!({"cpu": "2", "memory": "2Gi"}))]);
    assert_eq!(
        lines,
        [
            "p: 0/4 nodes are available: 1 Insufficient memory, 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, \
          1 node(s) were unschedulable, 2 Insufficient cpu. preemption: 0/4 nodes are available: 2 No preemption victims \
          found for incoming pod, 2 Preemption is not helpful for scheduling."
        ]
    );
}

#[test]
fn pods_that_never_preempt_say_so() {
    let polite = pod("p", json!({"preemptionPolicy": "Never", "nodeSelector": {"no": "where"}}));
    assert_eq!(
        decided(&cluster(&["a"]), &[polite.into()]),
        ["p: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. \
          preemption: not eligible due to preemptionPolicy=Never."]
    );
}

#[test]
fn large_clusters_are_sampled_and_the_search_moves_on() {
    assert_eq!(feasible_enough(50), 100);
    assert_eq!(feasible_enough(1000), 420);
    assert_eq!(feasible_enough(5000), 500);
    assert_eq!(feasible_enough(10_000), 500);
    let mut snapshot = Snapshot::new();
    for number in 0..1000 {
        let spec = NodeSpec { name: format!("n{number:04}").into(), pod_slots: 10, ..NodeSpec::default() };
        snapshot.set_node(spec);
    }
    let first = plan(&snapshot, &[pod("x", json!({})).into()]);
    assert_eq!(first.next_start, 420);
    snapshot.set_next_start(first.next_start);
    let second = plan(&snapshot, &[pod("y", json!({})).into()]);
    assert_eq!(second.decisions[0].outcome, Outcome::Bind { node: "n0420".into() });
    assert_eq!(second.next_start, 840);
}
