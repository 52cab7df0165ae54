use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::policy::v1::PodDisruptionBudgetStatus;
use serde_json::{Value, json};

use super::plan;
use crate::observed::{Pod, Whole};

fn pods(ready: usize, all: usize) -> Vec<Arc<Pod>> {
    let pod = |number: usize| {
        let status = if number < ready { "True" } else { "False" };
        let object = json!({"metadata": {"name": format!("p{number}"), "namespace": "n", "uid": format!("p{number}")}, "spec": {"containers": []}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
    };
    (0..all).map(pod).collect()
}

fn status(spec: &Value, before: &Value, pods: &[Arc<Pod>], scale: i32) -> PodDisruptionBudgetStatus {
    let object = json!({"metadata": {"name": "b", "namespace": "n", "generation": 2}, "spec": spec, "status": before});
    let budget = Whole::new(serde_json::from_value(object).expect("a PodDisruptionBudget"));
    let now = Timestamp::from_second(1000).expect("a time");
    plan(&budget, pods, |_| Some((Arc::from("d"), scale)), now).status
}

fn allowed(spec: &Value, pods: &[Arc<Pod>], scale: i32) -> (i32, i32, i32) {
    let status = status(spec, &json!({}), pods, scale);
    (status.expected_pods, status.desired_healthy, status.disruptions_allowed)
}

#[test]
fn numbers_and_percentages_of_pods_must_stay() {
    assert_eq!(allowed(&json!({"minAvailable": 2}), &pods(3, 3), 3), (3, 2, 1));
    assert_eq!(allowed(&json!({"minAvailable": "50%"}), &pods(5, 5), 5), (5, 3, 2));
    assert_eq!(allowed(&json!({"maxUnavailable": 1}), &pods(3, 4), 4), (4, 3, 0));
    assert_eq!(allowed(&json!({"maxUnavailable": "30%"}), &pods(4, 4), 4), (4, 2, 2));
    assert_eq!(allowed(&json!({"maxUnavailable": 1}), &pods(2, 2), 4), (4, 3, 0), "what the workload wants counts");
    assert_eq!(allowed(&json!({"minAvailable": 0}), &[], 0), (0, 0, 0));
}

#[test]
fn an_eviction_on_its_way_counts_until_it_shows() {
    let spec = || json!({"minAvailable": 1});
    let at = |second: i64| Timestamp::from_second(second).expect("a time").to_string();
    let going = json!({"disruptedPods": {"p0": at(990), "gone": at(990), "p1": at(800)}});
    let after = status(&spec(), &going, &pods(3, 3), 3);
    assert_eq!((after.current_healthy, after.disruptions_allowed), (2, 1));
    assert_eq!(after.disrupted_pods.expect("one").into_keys().collect::<Vec<_>>(), ["p0"]);
    let condition = &after.conditions.expect("one")[0];
    assert_eq!(
        (condition.status.as_str(), condition.reason.as_str(), condition.observed_generation),
        ("True", "SufficientPods", Some(2))
    );
}
