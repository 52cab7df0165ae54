use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Scaling, Wanted, condition_after, counts, plan};
use crate::observed::Pod;

const NOW: i64 = 1_000_000;

fn now() -> Timestamp {
    Timestamp::from_second(NOW).expect("a time")
}

fn pod(name: &str, node: Option<&str>, phase: &str, ready_for: Option<i64>, extra: &Value) -> Arc<Pod> {
    let at = |second: i64| Timestamp::from_second(second).expect("a time").to_string();
    let conditions =
        ready_for.map(|seconds| json!([{"type": "Ready", "status": "True", "lastTransitionTime": at(NOW - seconds)}]));
    let mut object = json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"}, "creationTimestamp": at(NOW - 1000)},
        "spec": {"containers": [], "nodeName": node},
        "status": {"phase": phase, "conditions": conditions},
    });
    for (field, value) in extra.as_object().into_iter().flatten() {
        object["metadata"][field] = value.clone();
    }
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

fn wanted(replicas: usize) -> Wanted {
    Wanted { replicas, min_ready_seconds: 10, template_labels: [("app".to_owned(), "web".to_owned())].into() }
}

fn deleted(replicas: usize, pods: &[Arc<Pod>]) -> Vec<String> {
    match plan(&wanted(replicas), pods, || pods.to_vec(), now()) {
        Scaling::Delete(doomed) => doomed.iter().map(|pod| pod.meta.key.name.to_string()).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn those_go_first_whom_nobody_misses() {
    let pods = [
        pod("ready-long", Some("a"), "Running", Some(500), &json!({})),
        pod("ready-short", Some("b"), "Running", Some(5), &json!({})),
        pod("unready", Some("b"), "Running", None, &json!({})),
        pod("pending", Some("b"), "Pending", None, &json!({})),
        pod("unbound", None, "Pending", None, &json!({})),
        pod(
            "cheap",
            Some("c"),
            "Running",
            Some(500),
            &json!({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-5"}}),
        ),
        pod(
            "dear",
            Some("c"),
            "Running",
            Some(5),
            &json!({"annotations": {"controller.kubernetes.io/pod-deletion-cost": "5"}}),
        ),
    ];
    assert_eq!(deleted(1, &pods), ["unbound", "pending", "unready", "cheap", "ready-short", "ready-long"]);
}

#[test]
fn a_crowded_node_gives_first() {
    let pods = [
        pod("a1", Some("a"), "Running", Some(5), &json!({})),
        pod("b1", Some("b"), "Running", Some(500), &json!({})),
        pod("b2", Some("b"), "Running", Some(500), &json!({})),
    ];
    assert!(deleted(2, &pods)[0].starts_with('b'));
}

#[test]
fn readiness_becomes_availability_at_a_time_that_is_known() {
    let pods =
        [pod("a", Some("a"), "Running", Some(4), &json!({})), pod("b", Some("a"), "Running", Some(10), &json!({}))];
    let counted = counts(&wanted(2), &pods, now());
    assert_eq!((counted.replicas, counted.ready, counted.available, counted.fully_labeled), (2, 2, 1, 2));
    assert_eq!(counted.look_again, Timestamp::from_second(NOW + 6).ok());
}

#[test]
fn a_failure_is_told_until_all_is_well() {
    let first = condition_after(Some(("FailedCreate", "no".to_owned())), None, now()).expect("a condition");
    assert_eq!(first.reason, "FailedCreate");
    let later = Timestamp::from_second(NOW + 5).expect("a time");
    assert_eq!(
        condition_after(Some(("FailedCreate", "never".to_owned())), Some(first.clone()), later),
        Some(first.clone())
    );
    assert_eq!(condition_after(None, Some(first), later), None);
}

/// Something that happens between two looks.
#[derive(Clone, Debug)]
enum Step {
    Scale(usize),
    /// The pod at this place (modulo their number) ends, is deleted by somebody, or becomes ready.
    End(usize),
    Delete(usize),
    Ready(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0..12_usize).prop_map(Step::Scale),
        (0..20_usize).prop_map(Step::End),
        (0..20_usize).prop_map(Step::Delete),
        (0..20_usize).prop_map(Step::Ready),
    ];
    prop::collection::vec(step, 1..60)
}

proptest! {
    #[test]
    fn after_every_step_one_plan_makes_it_right_and_a_second_has_nothing_to_do(steps in steps()) {
        let mut pods: Vec<Arc<Pod>> = Vec::new();
        let (mut replicas, mut made) = (3, 0);
        for step in steps {
            let count = pods.len().max(1);
            let change = |pods: &mut Vec<Arc<Pod>>, place: usize, how: &dyn Fn(&mut Pod)| {
                if let Some(pod) = pods.get_mut(place % count) {
                    how(Arc::make_mut(pod));
                }
            };
            match step {
                Step::Scale(to) => replicas = to,
                Step::End(place) => change(&mut pods, place, &|pod| pod.finished = true),
                Step::Delete(place) => change(&mut pods, place, &|pod| pod.meta.deleting = true),
                Step::Ready(place) => change(&mut pods, place, &|pod| pod.ready_since = Some(Timestamp::MIN)),
            }
            let ready_before = pods.iter().filter(|pod| pod.is_active() && pod.is_ready()).count();
            match plan(&wanted(replicas), &pods, || pods.clone(), now()) {
                Scaling::None => {}
                Scaling::Create(number) => for _ in 0..number {
                    made += 1;
                    pods.push(pod(&format!("p{made}"), None, "Pending", None, &json!({})));
                },
                Scaling::Delete(doomed) => {
                    for doomed in doomed {
                        prop_assert!(doomed.is_active());
                        let place = pods.iter().position(|pod| pod.meta.uid == doomed.meta.uid).expect("it is ours");
                        Arc::make_mut(&mut pods[place]).meta.deleting = true;
                    }
                    let ready_after = pods.iter().filter(|pod| pod.is_active() && pod.is_ready()).count();
                    prop_assert!(ready_after >= ready_before.min(replicas), "ready ones go last");
                }
            }
            prop_assert_eq!(pods.iter().filter(|pod| pod.is_active()).count(), replicas);
            prop_assert_eq!(plan(&wanted(replicas), &pods, || pods.clone(), now()), Scaling::None);
            pods.retain(|pod| !pod.meta.deleting);
        }
    }
}
