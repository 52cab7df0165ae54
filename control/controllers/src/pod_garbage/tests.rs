use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use serde_json::json;

use super::{count_ended, is_never_bound, plan_ended};
use crate::informer::Change;
use crate::observed::Pod;

fn pod(name: &str, created: &str, phase: &str) -> Arc<Pod> {
    let object = json!({
        "metadata": {"name": name, "namespace": "n", "creationTimestamp": created},
        "spec": {"containers": []},
        "status": {"phase": phase},
    });
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

#[test]
fn the_oldest_of_too_many_ended_pods_go() {
    let pods = vec![
        pod("b", "2026-01-02T00:00:00Z", "Failed"),
        pod("c", "2026-01-03T00:00:00Z", "Succeeded"),
        pod("a", "2026-01-01T00:00:00Z", "Succeeded"),
    ];
    let names = |count_max| {
        plan_ended(pods.clone(), count_max).iter().map(|pod| pod.meta.key.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(1), ["a", "b"]);
    assert_eq!(names(3), [""; 0]);
    assert_eq!(names(10), [""; 0]);
}

#[test]
fn ended_pods_are_counted_as_they_come_and_go() {
    let ended = AtomicUsize::new(0);
    let (running, done) = (pod("a", "2026-01-01T00:00:00Z", "Running"), pod("a", "2026-01-01T00:00:00Z", "Succeeded"));
    let count = |old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>| count_ended(&ended, &Change { old, new });
    assert_eq!(count(Some(&running), Some(&done)), 1);
    assert_eq!(count(None, Some(&done)), 2);
    assert_eq!(count(Some(&done), None), 1);
}

#[test]
fn a_pod_is_never_bound_when_it_is_deleted_while_it_waits() {
    let with = |metadata: serde_json::Value, node: &str| {
        let object = json!({"metadata": metadata, "spec": {"containers": [], "nodeName": node}});
        Pod::from_api(&serde_json::from_value(object).expect("a Pod"))
    };
    let deleted = json!({"name": "p", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert!(is_never_bound(&with(deleted.clone(), "")));
    assert!(!is_never_bound(&with(deleted, "a")));
    assert!(!is_never_bound(&with(json!({"name": "p"}), "")));
}
