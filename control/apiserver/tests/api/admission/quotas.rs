use futures::future::join_all;
use serde_json::{Value, json};

use crate::support::Api;

const NAMESPACE: &str = "/api/v1/namespaces/default";

/// A quota that was counted while nothing was there.
async fn quota(api: &Api, name: &str, spec: Value) {
    let body = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": name}, "spec": spec});
    let mut made = api.post(&format!("{NAMESPACE}/resourcequotas"), body).await;
    assert_eq!(made.code, 201, "{}", made.text);
    let hard = spec["hard"].as_object().unwrap();
    let used: serde_json::Map<String, Value> = hard.keys().map(|name| (name.clone(), json!("0"))).collect();
    made.body["status"] = json!({"hard": hard, "used": used});
    let answer = api.put(&format!("{NAMESPACE}/resourcequotas/{name}/status"), made.body).await;
    assert_eq!(answer.code, 200, "{}", answer.text);
}

async fn used(api: &Api, name: &str) -> Value {
    api.get(&format!("{NAMESPACE}/resourcequotas/{name}")).await.body["status"]["used"].clone()
}

#[tokio::test]
async fn creates_at_the_same_time_cannot_exceed_a_quota() {
    let api = Api::start().await;
    quota(&api, "q", json!({"hard": {"configmaps": "10", "count/secrets": "5"}})).await;
    let names: Vec<String> = (0..40).map(|index| format!("c{index}")).collect();
    let answers = join_all(names.iter().map(|name| api.config_map(name, json!({})))).await;
    let made = answers.iter().filter(|answer| answer.code == 201).count();
    assert_eq!(made, 10);
    let refused = answers.iter().find(|answer| answer.code != 201).unwrap();
    assert_eq!(refused.code, 403);
    let text = refused.body["message"].as_str().unwrap();
    let why = "exceeded quota: q, requested: configmaps=1, used: configmaps=10, limited: configmaps=10";
    assert!(text.starts_with("configmaps \"c") && text.ends_with(why), "{text}");
    assert_eq!(used(&api, "q").await, json!({"configmaps": "10", "count/secrets": "0"}));
}

#[tokio::test]
async fn a_write_that_fails_or_is_only_tried_is_not_charged() {
    let api = Api::start().await;
    quota(&api, "q", json!({"hard": {"configmaps": "3"}})).await;
    assert_eq!(api.config_map("a", json!({})).await.code, 201);
    assert_eq!(api.config_map("a", json!({})).await.code, 409);
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}});
    assert_eq!(api.post(&format!("{NAMESPACE}/configmaps?dryRun=All"), body).await.code, 201);
    assert_eq!(used(&api, "q").await, json!({"configmaps": "1"}));
}

#[tokio::test]
async fn pods_must_name_what_is_bounded_and_are_counted_by_scope() {
    let api = Api::start().await;
    quota(&api, "compute", json!({"hard": {"limits.cpu": "2"}, "scopes": ["NotBestEffort"]})).await;
    quota(&api, "idle", json!({"hard": {"pods": "1"}, "scopes": ["BestEffort"]})).await;
    assert_eq!(api.pod("idle", "").await.code, 201);
    let answer = api.pod("second", "").await;
    assert_eq!(
        answer.body["message"],
        "pods \"second\" is forbidden: exceeded quota: idle, requested: pods=1, used: pods=1, limited: pods=1"
    );
    let pod = |resources: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"},
            "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]},
        })
    };
    let answer = api.post(&format!("{NAMESPACE}/pods"), pod(json!({"requests": {"cpu": "1"}}))).await;
    assert_eq!(
        answer.body["message"],
        "pods \"p\" is forbidden: failed quota: compute: must specify limits.cpu for: c"
    );
    let answer = api.post(&format!("{NAMESPACE}/pods"), pod(json!({"limits": {"cpu": "1500m"}}))).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    assert_eq!(used(&api, "compute").await, json!({"limits.cpu": "1500m"}));
}

#[tokio::test]
async fn a_service_that_wants_more_ports_is_charged_on_update() {
    let api = Api::start().await;
    quota(&api, "q", json!({"hard": {"services.nodeports": "1"}})).await;
    let body = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
        "spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]},
    });
    assert_eq!(api.post(&format!("{NAMESPACE}/services"), body).await.code, 201);
    let path = format!("{NAMESPACE}/services/s");
    let answer = api.merge(&path, json!({"spec": {"type": "NodePort"}})).await;
    assert_eq!(
        answer.body["message"],
        "services \"s\" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, \
         limited: services.nodeports=1"
    );
    let one = json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}});
    assert_eq!(api.merge(&path, one).await.code, 200);
    assert_eq!(used(&api, "q").await, json!({"services.nodeports": "1"}));
}
