use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn binding(node: &str) -> Value {
    json!({ "metadata": { "name": "x", "annotations": { "a": "b" } }, "target": { "kind": "Node", "name": node } })
}

#[test]
fn a_bound_pod_has_its_node_and_condition() {
    let mut pod = json!({ "metadata": { "name": "x", "generation": 1 }, "spec": {}, "status": { "phase": "Pending" } });
    bind(&mut pod, &binding("n1"), now()).unwrap();
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert_eq!(pod["metadata"]["annotations"]["a"], "b");
    assert_eq!(pod["metadata"]["generation"], 2);
    assert_eq!(pod["status"]["conditions"][0]["type"], "PodScheduled");
    assert_eq!(pod["status"]["conditions"][0]["status"], "True");
    let error = bind(&mut pod, &binding("n2"), now()).unwrap_err();
    assert_eq!(error.to_string(), "pod x is already assigned to node \"n1\"");
}

#[test]
fn gated_and_deleted_pods_are_not_bound() {
    let mut gated = json!({ "metadata": { "name": "x" }, "spec": { "schedulingGates": [{ "name": "g" }] } });
    assert_eq!(
        bind(&mut gated, &binding("n"), now()).unwrap_err().to_string(),
        "pod x has non-empty .spec.schedulingGates"
    );
    let mut deleted = json!({ "metadata": { "name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z" }, "spec": {} });
    assert_eq!(
        bind(&mut deleted, &binding("n"), now()).unwrap_err().to_string(),
        "pod x is being deleted, cannot be assigned to a host"
    );
}
