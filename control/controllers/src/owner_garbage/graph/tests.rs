use serde_json::{Value, json};

use super::Graph;
use crate::kind::Kind;
use crate::meta::Meta;
use crate::owner_garbage::plan::OwnerState;
use crate::owner_garbage::source::Source;

/// Metadata of the object with this uid, owned by these.
pub(in crate::owner_garbage) fn meta(uid: &str, owners: &[&str], more: &Value) -> Meta {
    let owners: Vec<Value> = owners
        .iter()
        .map(|owner| json!({"apiVersion": "v1", "kind": "ConfigMap", "name": owner, "uid": owner, "blockOwnerDeletion": true}))
        .collect();
    let mut metadata = json!({"name": uid, "namespace": "n", "uid": uid, "ownerReferences": owners});
    metadata.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    Meta::from_api(&serde_json::from_value(metadata).expect("metadata"))
}

pub(in crate::owner_garbage) fn deleted_with(finalizer: &str) -> Value {
    json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]})
}

fn set(graph: &mut Graph, meta: &Meta) -> Vec<String> {
    let kind = Kind::find("", "v1", "ConfigMap").expect("a built-in kind");
    let mut touched: Vec<String> =
        graph.set(&Source::new(kind.resource()), meta).iter().map(ToString::to_string).collect();
    touched.sort();
    touched.dedup();
    touched
}

#[test]
fn an_object_with_a_known_owner_needs_no_look() {
    let mut graph = Graph::default();
    assert_eq!(set(&mut graph, &meta("owner", &[], &json!({}))), [""; 0]);
    assert_eq!(set(&mut graph, &meta("child", &["owner"], &json!({}))), [""; 0]);
    assert_eq!(graph.owner_state("owner"), Some(OwnerState::Present));
    assert_eq!(graph.dependents(&"owner".into()).len(), 1);
}

#[test]
fn an_object_whose_owner_is_not_known_is_looked_at_once() {
    let mut graph = Graph::default();
    assert_eq!(set(&mut graph, &meta("child", &["nobody"], &json!({}))), ["child"]);
    assert_eq!(set(&mut graph, &meta("child", &["nobody"], &json!({"labels": {}}))), [""; 0]);
    assert_eq!(graph.owner_state("nobody"), None);
}

#[test]
fn when_an_owner_goes_its_dependents_are_looked_at() {
    let mut graph = Graph::default();
    set(&mut graph, &meta("owner", &[], &json!({})));
    set(&mut graph, &meta("child", &["owner"], &json!({})));
    let touched: Vec<String> = graph.remove(&"owner".into()).iter().map(ToString::to_string).collect();
    assert_eq!(touched, ["child"]);
    graph.remove(&"child".into());
    assert!(graph.dependents.is_empty(), "nothing is kept of what is gone");
}

#[test]
fn an_owner_that_waits_is_looked_at_whenever_a_dependent_changes() {
    let mut graph = Graph::default();
    set(&mut graph, &meta("child", &["owner"], &json!({})));
    let waiting = meta("owner", &[], &deleted_with("foregroundDeletion"));
    assert_eq!(set(&mut graph, &waiting), ["child", "owner"]);
    assert_eq!(graph.owner_state("owner"), Some(OwnerState::WaitsForDependents));
    let touched: Vec<String> = graph.remove(&"child".into()).iter().map(ToString::to_string).collect();
    assert_eq!(touched, ["owner"]);
}

#[test]
fn that_an_owner_went_is_known_while_anybody_names_it() {
    let mut graph = Graph::default();
    set(&mut graph, &meta("owner", &[], &json!({})));
    set(&mut graph, &meta("childless", &[], &json!({})));
    set(&mut graph, &meta("child", &["owner"], &json!({})));
    assert!(!graph.was_seen_to_go("owner"));
    graph.remove(&"owner".into());
    graph.remove(&"childless".into());
    assert!(graph.was_seen_to_go("owner"));
    assert!(!graph.was_seen_to_go("childless"));
    graph.remove(&"child".into());
    assert!(!graph.was_seen_to_go("owner"));
}
