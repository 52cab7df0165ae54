use std::sync::Arc;

use serde_json::{Value, json};

use super::{freed, may_release_claim, may_release_volume};
use crate::informer::Change;
use crate::meta::Meta;
use crate::observed::Pod;

fn meta(name: &str, more: &Value) -> Meta {
    let mut metadata = json!({"name": name, "namespace": "n"});
    metadata.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    Meta::from_api(&serde_json::from_value(metadata).expect("metadata"))
}

fn held(name: &str, finalizer: &str) -> Meta {
    meta(name, &json!({"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [finalizer]}))
}

/// A pod with the claim `data` and one of its own, `p-scratch`.
fn pod(namespace: &str, phase: &str) -> Arc<Pod> {
    let volumes = json!([
        {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "scratch", "ephemeral": {}},
        {"name": "none", "emptyDir": {}},
    ]);
    let object = json!({
        "metadata": {"name": "p", "namespace": namespace, "uid": "1"},
        "spec": {"containers": [], "volumes": volumes},
        "status": {"phase": phase},
    });
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

#[test]
fn a_claim_stays_while_a_pod_that_has_not_ended_names_it() {
    let claim = "kubernetes.io/pvc-protection";
    let decide = |claim: &Meta, pod: &Pod| may_release_claim(claim, [pod]);
    assert!(!decide(&held("data", claim), &pod("n", "Running")));
    assert!(!decide(&held("data", claim), &pod("n", "Pending")));
    assert!(!decide(&held("p-scratch", claim), &pod("n", "Running")));
    assert!(decide(&held("data", claim), &pod("n", "Succeeded")));
    assert!(decide(&held("data", claim), &pod("elsewhere", "Running")));
    assert!(decide(&held("other", claim), &pod("n", "Running")));
    assert!(!may_release_claim(&meta("data", &json!({"finalizers": [claim]})), []), "nobody deletes it");
    assert!(!may_release_claim(&held("data", "example.com/hold"), []), "it is not ours to release");
}

#[test]
fn a_volume_stays_while_it_is_bound() {
    let volume = held("disk", "kubernetes.io/pv-protection");
    assert!(!may_release_volume(&volume, Some("Bound")));
    assert!(may_release_volume(&volume, Some("Released")));
    assert!(may_release_volume(&volume, None));
    assert!(!may_release_volume(&meta("disk", &json!({})), None));
}

#[test]
fn a_pod_that_goes_or_ends_frees_its_claims() {
    let (running, done) = (pod("n", "Running"), pod("n", "Failed"));
    let names = |old: Option<&Arc<Pod>>, new: Option<&Arc<Pod>>| {
        freed(&Change { old, new }).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(Some(&running), None), ["n/data", "n/p-scratch"]);
    assert_eq!(names(Some(&running), Some(&done)), ["n/data", "n/p-scratch"]);
    assert_eq!(names(Some(&running), Some(&running)), [""; 0]);
    assert_eq!(names(None, Some(&running)), [""; 0]);
    assert_eq!(names(Some(&done), None), [""; 0]);
}
