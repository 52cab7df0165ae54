use std::sync::Arc;

use serde_json::{Value, json};

use super::Cache;
use crate::config::SchedulerConfig;
use crate::plan::{Decision, Outcome, plan};
use crate::plugins::tests::node;
use crate::pod::Pod;
use crate::pod::tests::{pod, pod_asking, pod_object};

fn cache_with(nodes: &[&str]) -> Cache {
    let mut cache = Cache::new(&SchedulerConfig::default());
    for name in nodes {
        cache.apply_node((*node(name, &json!({}), &json!({})).spec).clone());
    }
    cache
}

/// Plans what waits and takes the decisions as done; `name -> node` or `name parked` for each.
fn turn(cache: &mut Cache) -> Vec<String> {
    let batch = cache.next_batch(100);
    let plan = plan(cache.snapshot(), &batch);
    let take = |decision: &Decision| {
        cache.accept(decision);
        match &decision.outcome {
            Outcome::Bind { node } => format!("{} -> {node}", decision.pod.name),
            _ => format!("{} parked", decision.pod.name),
        }
    };
    plan.decisions.iter().map(take).collect()
}

fn on_node(pod: &Pod, node: &str) -> Pod {
    Pod { node_name: Some(Arc::from(node)), ..pod.clone() }
}

fn big(name: &str) -> Pod {
    (*pod_asking(name, &json!({"cpu": "4"}))).clone()
}

#[test]
fn an_assumed_pod_takes_room_until_its_binding_is_refused() {
    let mut cache = cache_with(&["a"]);
    cache.apply_pod(big("x"));
    assert_eq!(turn(&mut cache), ["x -> a"]);
    cache.apply_pod(big("y"));
    assert_eq!(turn(&mut cache), ["y parked"]);
    cache.apply_pod(big("x"));
    assert_eq!(turn(&mut cache), [""; 0], "an event from before the binding changes nothing");
    assert!(cache.refuse(&big("x").key));
    assert_eq!(turn(&mut cache), ["y -> a"], "the room is free; the refused pod waits for its back-off");
    cache.requeue(&big("x").key);
    assert_eq!(turn(&mut cache), ["x parked"]);
}

#[test]
fn a_parked_pod_wakes_when_room_appears_and_not_before() {
    let mut cache = cache_with(&["a"]);
    cache.apply_pod(on_node(&big("x"), "a"));
    cache.apply_pod(big("y"));
    assert_eq!(turn(&mut cache), ["y parked"]);
    cache.apply_node((*node("a", &json!({}), &json!({})).spec).clone());
    cache.apply_pod(big("y"));
    assert_eq!(turn(&mut cache), [""; 0], "heartbeats and our own condition wake nobody");
    cache.delete_pod(&big("x").key);
    assert_eq!(turn(&mut cache), ["y -> a"]);
}

#[test]
fn finished_pods_give_their_room_back() {
    let mut cache = cache_with(&["a"]);
    cache.apply_pod(on_node(&big("x"), "a"));
    cache.apply_pod(big("y"));
    turn(&mut cache);
    cache.apply_pod(Pod { finished: true, ..on_node(&big("x"), "a") });
    assert_eq!(turn(&mut cache), ["y -> a"]);
}

#[test]
fn a_new_node_wakes_everybody_and_a_lost_one_too() {
    let mut cache = cache_with(&[]);
    cache.apply_pod(pod("x", json!({})));
    assert_eq!(turn(&mut cache), ["x parked"]);
    cache.apply_node((*node("a", &json!({}), &json!({})).spec).clone());
    assert_eq!(turn(&mut cache), ["x -> a"]);
    cache.apply_pod(big("huge"));
    cache.apply_pod(pod("tiny", json!({"nodeSelector": {"no": "where"}})));
    turn(&mut cache);
    cache.delete_node("a");
    assert_eq!(turn(&mut cache).len(), 1, "its message counts nodes, so it is written anew");
}

#[test]
fn only_our_pods_that_wait_are_planned() {
    let object = |metadata: &Value, spec: &Value| pod_object(&json!({"metadata": metadata, "spec": spec}));
    let ours = json!({"name": "p", "namespace": "n", "uid": "1"});
    let dying = json!({"name": "p", "namespace": "n", "uid": "2", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    let mut cache = cache_with(&["a"]);
    cache.apply_pod(object(&ours, &json!({"schedulerName": "another", "containers": []})));
    cache.apply_pod(object(&dying, &json!({"schedulerName": "default-scheduler", "containers": []})));
    assert_eq!(turn(&mut cache), [""; 0]);
    cache.apply_pod(object(&ours, &json!({"schedulerName": "default-scheduler", "containers": []})));
    assert_eq!(turn(&mut cache), ["p -> a"]);
}

#[test]
fn a_gate_that_opens_lets_the_pod_through() {
    let mut cache = cache_with(&["a"]);
    cache.apply_pod(pod("p", json!({"schedulingGates": [{"name": "g"}]})));
    assert_eq!(turn(&mut cache), [""; 0]);
    cache.apply_pod(pod("p", json!({})));
    assert_eq!(turn(&mut cache), ["p -> a"]);
}

#[test]
fn a_message_is_news_once() {
    let mut cache = cache_with(&[]);
    let mut known = pod("p", json!({}));
    known.unschedulable_message = Some("no room".into());
    let key = known.key.clone();
    cache.apply_pod(known);
    assert!(!cache.take_news(&key, &"no room".into()), "the pod's condition says so already");
    assert!(cache.take_news(&key, &"no nodes".into()));
    assert!(!cache.take_news(&key, &"no nodes".into()));
    turn(&mut cache);
    assert!(cache.report_failed(&key));
    cache.requeue(&key);
    turn(&mut cache);
    assert!(cache.take_news(&key, &"no nodes".into()), "a report that failed is made again");
}

#[test]
fn pods_of_one_template_share_what_they_ask_for() {
    let mut cache = cache_with(&[]);
    cache.apply_pod(big("x"));
    cache.apply_pod(big("y"));
    let shape = |name: &str| cache.pod(&big(name).key).unwrap().requirements.clone();
    assert!(Arc::ptr_eq(&shape("x"), &shape("y")));
}
