use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Claim, claim, generate_name};
use crate::meta::Meta;
use crate::observed::Labels;

fn meta(metadata: Value) -> Meta {
    Meta::from_api(&serde_json::from_value(metadata).expect("metadata"))
}

fn decided(owner: Value, object: Value, label: &str) -> Claim {
    let selector = serde_json::from_value(json!({"matchLabels": {"app": "web"}})).expect("a selector");
    let labels = Labels::new(Some(&BTreeMap::from([("app".to_owned(), label.to_owned())])));
    claim(&meta(owner), &selector, &meta(object), &labels)
}

#[test]
fn ownership_follows_the_selector_and_never_takes_from_another() {
    let owned = |uid: &str| json!({"ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": uid, "controller": true}]});
    let alive = || json!({"uid": "u"});
    let dying = || json!({"uid": "u", "deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(decided(alive(), owned("u"), "web"), Claim::Keep);
    assert_eq!(decided(alive(), owned("u"), "other"), Claim::Release);
    assert_eq!(decided(dying(), owned("u"), "other"), Claim::Leave);
    assert_eq!(decided(alive(), owned("v"), "web"), Claim::Leave);
    assert_eq!(decided(alive(), json!({}), "web"), Claim::Adopt);
    assert_eq!(decided(dying(), json!({}), "web"), Claim::Leave);
    assert_eq!(decided(alive(), json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}), "web"), Claim::Leave);
    assert_eq!(decided(alive(), json!({}), "other"), Claim::Leave);
}

#[test]
fn generated_names_leave_room_for_what_is_added() {
    assert_eq!(generate_name("web"), "web-");
    assert_eq!(generate_name(&"x".repeat(80)).len(), 58);
}
