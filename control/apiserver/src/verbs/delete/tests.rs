use super::*;
use coracle_control_api::kinds;
use serde_json::json;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn options(text: &str) -> DeleteOptions {
    DeleteOptions::from_body(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn running_pod() -> Value {
    json!({
        "metadata": {"name": "p", "generation": 1},
        "spec": {"nodeName": "n", "terminationGracePeriodSeconds": 30},
        "status": {"phase": "Running"},
    })
}

fn plan_of(plural: &str, object: Value, text: &str) -> Plan {
    plan(kinds::find("", "v1", plural).unwrap(), object, &options(text), now())
}

#[test]
fn a_running_pod_gets_its_time() {
    let Plan::Mark(pod) = plan_of("pods", running_pod(), "{}") else { panic!("not marked") };
    assert_eq!(pod["metadata"]["deletionTimestamp"], "2026-01-01T00:00:30Z");
    assert_eq!(pod["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(pod["metadata"]["generation"], 2);
    // A second delete without a time changes nothing, one with a shorter time does, the agent's ends it.
    assert!(matches!(plan_of("pods", pod.clone(), "{}"), Plan::Keep(_)));
    assert!(matches!(plan_of("pods", pod.clone(), "{\"gracePeriodSeconds\":40}"), Plan::Keep(_)));
    let Plan::Mark(shorter) = plan_of("pods", pod.clone(), "{\"gracePeriodSeconds\":10}") else { panic!("not marked") };
    assert_eq!(shorter["metadata"]["deletionTimestamp"], "2026-01-01T00:00:10Z");
    assert!(matches!(plan_of("pods", pod, "{\"gracePeriodSeconds\":0}"), Plan::Remove(_)));
}

#[test]
fn a_pod_on_no_host_goes_at_once() {
    let mut pod = running_pod();
    pod["spec"]["nodeName"] = json!("");
    assert!(matches!(plan_of("pods", pod, "{}"), Plan::Remove(_)));
}

#[test]
fn a_finalizer_holds_anything() {
    let object = json!({"metadata": {"name": "c", "finalizers": ["a.example/b"]}});
    let Plan::Mark(marked) = plan_of("configmaps", object, "{}") else { panic!("not marked") };
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 0);
    assert!(matches!(plan_of("configmaps", marked, "{}"), Plan::Keep(_)));
    assert!(matches!(plan_of("configmaps", json!({"metadata": {"name": "c"}}), "{}"), Plan::Remove(_)));
}

#[test]
fn a_namespace_waits_for_its_content() {
    let namespace =
        json!({"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}});
    let Plan::Mark(marked) = plan_of("namespaces", namespace, "{}") else { panic!("not marked") };
    assert_eq!(marked["status"]["phase"], "Terminating");
    let mut empty = marked;
    empty["spec"] = json!({});
    assert!(matches!(plan_of("namespaces", empty, "{}"), Plan::Remove(_)));
}

#[test]
fn propagation_is_told_by_finalizers() {
    let object = || json!({"metadata": {"name": "c"}});
    let Plan::Mark(marked) = plan_of("configmaps", object(), "{\"propagationPolicy\":\"Foreground\"}") else {
        panic!("not marked")
    };
    assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    let Plan::Mark(marked) = plan_of("configmaps", object(), "{\"orphanDependents\":true}") else {
        panic!("not marked")
    };
    assert_eq!(marked["metadata"]["finalizers"], json!(["orphan"]));
    assert!(matches!(plan_of("configmaps", object(), "{\"propagationPolicy\":\"Background\"}"), Plan::Remove(_)));
}
