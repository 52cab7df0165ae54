use super::*;

fn pod() -> Value {
    let mut pod = json!({
        "metadata": { "name": "x", "namespace": "n", "resourceVersion": "1" },
        "spec": { "containers": [{ "name": "c", "image": "i:1", "resources": { "requests": { "cpu": "1" } } }] },
    });
    super::super::defaults::pod(&mut pod);
    super::super::prepare::create(&mut pod);
    pod
}

fn messages(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn images_deadlines_and_new_tolerations_may_change() {
    let mut new = pod();
    new["spec"]["containers"][0]["image"] = json!("i:2");
    new["spec"]["activeDeadlineSeconds"] = json!(10);
    new["spec"]["tolerations"] = json!([{ "key": "k", "operator": "Exists" }]);
    assert_eq!(messages(&object(&new, &pod())), Vec::<String>::new());
}

#[test]
fn a_deadline_may_not_move_away_and_a_toleration_may_not_go() {
    let mut old = pod();
    old["spec"]["activeDeadlineSeconds"] = json!(10);
    old["spec"]["tolerations"] = json!([{ "key": "k", "operator": "Exists" }]);
    let mut new = old.clone();
    new["spec"]["activeDeadlineSeconds"] = json!(11);
    assert_eq!(
        messages(&object(&new, &old)),
        ["spec.activeDeadlineSeconds: Invalid value: 11: must be less than or equal to previous value"]
    );
    let mut new = old.clone();
    new["spec"]["tolerations"] = json!([]);
    assert_eq!(
        messages(&object(&new, &old)),
        ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"]
    );
}

#[test]
fn containers_may_not_come_or_go() {
    let mut new = pod();
    let more = new["spec"]["containers"][0].clone();
    new["spec"]["containers"].as_array_mut().unwrap().push(more);
    new["spec"]["containers"][1]["name"] = json!("d");
    assert_eq!(
        messages(&object(&new, &pod())),
        ["spec.containers: Forbidden: pod updates may not add or remove containers"]
    );
}

#[test]
fn a_gated_pod_takes_more_node_selectors() {
    let mut old = pod();
    old["spec"]["schedulingGates"] = json!([{ "name": "g" }]);
    old["spec"]["nodeSelector"] = json!({ "a": "b" });
    let mut new = old.clone();
    new["spec"]["nodeSelector"] = json!({ "a": "b", "c": "d" });
    new["spec"]["affinity"] = json!({ "nodeAffinity": { REQUIRED: { "nodeSelectorTerms": [
        { "matchExpressions": [{ "key": "k", "operator": "Exists" }] }] } } });
    assert_eq!(messages(&object(&new, &old)), Vec::<String>::new());
    new["spec"]["nodeSelector"] = json!({ "c": "d" });
    assert_eq!(
        messages(&object(&new, &old)),
        [
            "spec.nodeSelector: Invalid value: {\"c\":\"d\"}: only additions to spec.nodeSelector are allowed (no mutations or deletions)"
        ]
    );
}

#[test]
fn a_resize_changes_processor_and_memory_only() {
    let mut new = pod();
    new["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("2");
    assert_eq!(messages(&resize(&new, &pod())), Vec::<String>::new());
    new["spec"]["containers"][0]["resources"]["requests"] = json!({});
    assert!(
        messages(&resize(&new, &pod())).iter().any(|message| message
            == "spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed")
    );
    let mut new = pod();
    new["spec"]["containers"][0]["resources"]["requests"]["ephemeral-storage"] = json!("1Gi");
    assert_eq!(messages(&resize(&new, &pod())), ["spec: Forbidden: only cpu and memory resources are mutable"]);
}
