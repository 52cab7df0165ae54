use serde_json::{Value, json};

use super::served;

fn definition(established: &str, versions: &[(&str, bool, bool)]) -> Value {
    let versions: Vec<Value> = versions
        .iter()
        .map(|(name, served, storage)| json!({"name": name, "served": served, "storage": storage}))
        .collect();
    json!({
        "spec": {"group": "example.com", "names": {"kind": "Widget", "plural": "widgets"}, "versions": versions},
        "status": {"conditions": [{"type": "Established", "status": established}]},
    })
}

fn version(definition: &Value) -> Option<String> {
    served(definition).map(|resource| resource.api_version)
}

#[test]
fn the_stored_version_is_asked_for_if_it_is_served() {
    let all = [("v2", true, false), ("v1", true, true)];
    assert_eq!(version(&definition("True", &all)).as_deref(), Some("example.com/v1"));
    let stored_is_not_served = [("v3", false, false), ("v2", true, false), ("v1", false, true)];
    assert_eq!(version(&definition("True", &stored_is_not_served)).as_deref(), Some("example.com/v2"));
}

#[test]
fn what_is_not_established_or_in_no_version_is_not_served() {
    assert_eq!(version(&definition("False", &[("v1", true, true)])), None);
    assert_eq!(version(&definition("True", &[("v1", false, true)])), None);
    assert_eq!(version(&json!({})), None);
}
