use serde_json::json;

use super::*;

fn range(limits: &Value) -> Value {
    json!({"spec": {"limits": limits}})
}

fn pod(resources: &Value) -> Value {
    json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": resources}]}})
}

#[test]
fn containers_get_what_they_do_not_ask_for_and_the_pod_says_so() {
    let range = range(&json!([{
        "type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "500m"},
    }]));
    let mut pod = pod(&json!({"limits": {"cpu": "2"}}));
    pod["spec"]["initContainers"] = json!([{"name": "i"}]);
    apply_defaults(&range, &mut pod);
    assert_eq!(
        pod["spec"]["containers"][0]["resources"],
        json!({"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}})
    );
    assert_eq!(
        pod["metadata"]["annotations"][ANNOTATION],
        "LimitRanger plugin set: cpu request for container c; memory limit for container c; cpu request for init \
         container i; cpu, memory limit for init container i"
    );
    let before = pod.clone();
    apply_defaults(&range, &mut pod);
    assert_eq!(pod["spec"], before["spec"]);
}

#[test]
fn bounds_are_kept_in_upstreams_words() {
    let limits = json!([{
        "type": "Container", "min": {"cpu": "100m"}, "max": {"cpu": "1", "memory": "1Gi"},
        "maxLimitRequestRatio": {"cpu": "2"},
    }]);
    let said = |resources| violations_of_pod(&range(&limits), &pod(&resources));
    assert_eq!(
        said(json!({"requests": {"cpu": "50m"}, "limits": {"cpu": "1500m", "memory": "1Gi"}})),
        [
            "minimum cpu usage per Container is 100m, but request is 50m",
            "maximum cpu usage per Container is 1, but limit is 1500m",
            "cpu max limit to request ratio per Container is 2, but provided ratio is 30.000000",
        ]
    );
    assert_eq!(
        said(json!({})),
        [
            "minimum cpu usage per Container is 100m.  No request is specified",
            "maximum cpu usage per Container is 1.  No limit is specified",
            "maximum memory usage per Container is 1Gi.  No limit is specified",
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ]
    );
    let fine = json!({"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}});
    assert!(said(fine).is_empty());
}

#[test]
fn a_pod_is_the_sum_of_its_containers_or_what_it_asks_for_itself() {
    let range = range(&json!([{"type": "Pod", "max": {"cpu": "1"}}]));
    let half = json!({"limits": {"cpu": "600m"}});
    let mut pod = json!({"spec": {"containers": [{"name": "a", "resources": half}, {"name": "b", "resources": half}]}});
    assert_eq!(violations_of_pod(&range, &pod), ["maximum cpu usage per Pod is 1, but limit is 1200m"]);
    pod["spec"]["resources"] = json!({"limits": {"cpu": "1"}});
    assert!(violations_of_pod(&range, &pod).is_empty());
}

#[test]
fn a_claim_is_held_to_what_it_requests() {
    let range =
        range(&json!([{"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "2Gi"}}]));
    let said = |requests| violations_of_claim(&range, &json!({"spec": {"resources": {"requests": requests}}}));
    assert_eq!(
        said(json!({"storage": "3Gi"})),
        ["maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi"]
    );
    assert_eq!(
        said(json!({"storage": "1Mi"})),
        ["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 1Mi"]
    );
    assert!(said(json!({"storage": "1500Mi"})).is_empty());
}

#[test]
fn no_json_makes_a_limit_panic() {
    for object in [json!(null), json!({"spec": 5}), json!({"spec": {"limits": [1, {"type": "Pod", "max": []}]}})] {
        apply_defaults(&object, &mut object.clone());
        let _ = (violations_of_pod(&object, &object), violations_of_claim(&object, &object));
    }
}
