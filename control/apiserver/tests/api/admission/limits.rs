use serde_json::{Value, json};

use crate::support::Api;

const PODS: &str = "/api/v1/namespaces/default/pods";

async fn limit_range(api: &Api, limits: Value) {
    let body = json!({
        "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "l"}, "spec": {"limits": limits},
    });
    let answer = api.post("/api/v1/namespaces/default/limitranges", body).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
}

fn pod(name: &str, resources: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
    })
}

#[tokio::test]
async fn a_pod_gets_what_it_does_not_ask_for_and_its_class_follows() {
    let api = Api::start().await;
    limit_range(&api, json!([{"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}}])).await;
    let answer = api.post(PODS, pod("p", &json!({}))).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    let amounts = json!({"cpu": "1", "memory": "1Gi"});
    assert_eq!(answer.body["spec"]["containers"][0]["resources"], json!({"limits": amounts, "requests": amounts}));
    assert_eq!(answer.body["status"]["qosClass"], "Guaranteed");
    assert_eq!(
        answer.body["metadata"]["annotations"]["kubernetes.io/limit-ranger"],
        "LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c"
    );
}

#[tokio::test]
async fn a_pod_and_a_claim_beyond_the_bounds_are_refused_with_every_reason() {
    let api = Api::start().await;
    limit_range(
        &api,
        json!([
            {"type": "Container", "max": {"cpu": "1"}, "min": {"cpu": "100m"}},
            {"type": "PersistentVolumeClaim", "max": {"storage": "1Gi"}},
        ]),
    )
    .await;
    let answer = api.post(PODS, pod("p", &json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1m"}}))).await;
    assert_eq!(answer.code, 403);
    assert_eq!(
        answer.body["message"],
        "pods \"p\" is forbidden: [minimum cpu usage per Container is 100m, but request is 1m, maximum cpu usage per \
         Container is 1, but limit is 2]"
    );
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"generateName": "c-"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    });
    let answer = api.post("/api/v1/namespaces/default/persistentvolumeclaims", claim).await;
    assert_eq!(answer.code, 403);
    let text = answer.body["message"].as_str().unwrap();
    assert!(text.starts_with("persistentvolumeclaims \"c-"), "{text}");
    assert!(text.ends_with("maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi"), "{text}");
}
