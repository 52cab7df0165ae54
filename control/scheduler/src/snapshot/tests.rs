use std::sync::Arc;

use serde_json::json;

use super::Snapshot;
use crate::node::NodeSpec;
use crate::pod::tests::pod_asking;

fn named(name: &str) -> NodeSpec {
    NodeSpec { name: Arc::from(name), pod_slots: 10, ..NodeSpec::default() }
}

#[test]
fn pods_seen_before_their_node_count_once_it_is_there() {
    let mut snapshot = Snapshot::new();
    let name: Arc<str> = Arc::from("a");
    snapshot.add_pod(&name, pod_asking("p", &json!({"cpu": "1"})));
    assert!(snapshot.node("a").is_none());
    assert!(snapshot.set_node(named("a")));
    assert_eq!(snapshot.node("a").unwrap().requested().milli_cpu, 1000);
}

#[test]
fn pods_outlive_their_node_and_count_again_when_it_returns() {
    let mut snapshot = Snapshot::new();
    for name in ["a", "b", "c"] {
        snapshot.set_node(named(name));
    }
    let pod = pod_asking("p", &json!({"cpu": "1"}));
    snapshot.add_pod(&Arc::from("a"), pod.clone());
    snapshot.remove_node("a");
    assert_eq!(snapshot.nodes().len(), 2);
    assert_eq!(&*snapshot.node("c").unwrap().spec.name, "c", "the index follows the node that was moved");
    snapshot.set_node(named("a"));
    assert_eq!(snapshot.node("a").unwrap().pod_count(), 1);
    assert!(snapshot.remove_pod("a", &pod.key));
    assert_eq!(snapshot.node("a").unwrap().requested().milli_cpu, 0);
}

#[test]
fn an_equal_node_is_no_change() {
    let mut snapshot = Snapshot::new();
    assert!(snapshot.set_node(named("a")));
    assert!(!snapshot.set_node(named("a")));
}

#[test]
fn adding_a_pod_twice_counts_it_once() {
    let mut snapshot = Snapshot::new();
    snapshot.set_node(named("a"));
    for _ in 0..2 {
        snapshot.add_pod(&Arc::from("a"), pod_asking("p", &json!({"cpu": "1"})));
    }
    assert_eq!(snapshot.node("a").unwrap().requested().milli_cpu, 1000);
}
