use super::support::{Api, pair};
use coracle_control_apiserver::UserInfo;
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

#[tokio::test]
async fn a_running_pod_goes_when_its_agent_says_so() {
    let api = Api::start().await;
    api.pod("p", "edge").await.check(201);
    let mut events = api.watch(&format!("{PODS}?watch=1")).await;
    assert_eq!(events.next_name().await, pair("ADDED", "p"));
    let answer = api.delete(&format!("{PODS}/p")).await.check(200);
    assert_eq!(answer.body["kind"], "Pod");
    assert_eq!(answer.body["metadata"]["deletionGracePeriodSeconds"], 30);
    assert_eq!(events.next_name().await, pair("MODIFIED", "p"));
    // A second delete changes nothing; another node's agent may not end it; its own may.
    api.delete(&format!("{PODS}/p")).await.check(200);
    let path = format!("{PODS}/p?gracePeriodSeconds=0");
    api.as_user(UserInfo::node("other")).call("DELETE", &path, &[], Vec::new()).await.check(403);
    api.as_user(UserInfo::node("edge")).call("DELETE", &path, &[], Vec::new()).await.check(200);
    assert_eq!(events.next_name().await, pair("DELETED", "p"));
    api.get(&format!("{PODS}/p")).await.check(404);
}

#[tokio::test]
async fn a_pod_on_no_host_goes_at_once() {
    let api = Api::start().await;
    api.pod("p", "").await.check(201);
    let answer = api.delete(&format!("{PODS}/p")).await.check(200);
    assert_eq!(answer.body["kind"], "Pod");
    api.get(&format!("{PODS}/p")).await.check(404);
}

#[tokio::test]
async fn a_pod_with_a_finalizer_waits_for_both() {
    let api = Api::start().await;
    api.pod("p", "edge").await.check(201);
    api.merge(&format!("{PODS}/p"), json!({"metadata": {"finalizers": ["a.example/b"]}})).await.check(200);
    api.delete(&format!("{PODS}/p?gracePeriodSeconds=0")).await.check(200);
    let held = api.get(&format!("{PODS}/p")).await.check(200);
    assert_eq!(held.body["metadata"]["deletionGracePeriodSeconds"], 0);
    api.merge(&format!("{PODS}/p"), json!({"metadata": {"finalizers": null}})).await.check(200);
    api.get(&format!("{PODS}/p")).await.check(404);
}

#[tokio::test]
async fn a_namespace_goes_when_it_is_finalized() {
    let api = Api::start().await;
    api.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.check(201);
    let answer = api.delete("/api/v1/namespaces/n").await.check(200);
    assert_eq!(answer.body["status"]["phase"], "Terminating");
    let mut namespace = api.get("/api/v1/namespaces/n").await.check(200).body;
    namespace["spec"]["finalizers"] = json!([]);
    api.put("/api/v1/namespaces/n/finalize", namespace).await.check(200);
    api.get("/api/v1/namespaces/n").await.check(404);
    let answer = api.delete("/api/v1/namespaces/default").await.check(403);
    assert_eq!(answer.message(), "namespaces \"default\" is forbidden: this namespace may not be deleted");
}

#[tokio::test]
async fn a_finalizer_holds_an_object() {
    let api = Api::start().await;
    api.post(MAPS, json!({"metadata": {"name": "x", "finalizers": ["a.example/b"]}})).await.check(201);
    api.delete(&format!("{MAPS}/x")).await.check(200);
    api.get(&format!("{MAPS}/x")).await.check(200);
    let answer = api.config_map("x", json!({})).await.check(409);
    assert!(answer.message().starts_with("object is being deleted: "), "{}", answer.message());
    api.merge(&format!("{MAPS}/x"), json!({"metadata": {"finalizers": null}})).await.check(200);
    api.get(&format!("{MAPS}/x")).await.check(404);
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() {
    let api = Api::start().await;
    for index in 0..100 {
        let labels = json!({"half": (index % 2).to_string()});
        api.post(MAPS, json!({"metadata": {"name": format!("m{index:03}"), "labels": labels}})).await.check(201);
    }
    let answer = api.delete(&format!("{MAPS}?labelSelector=half%3D1")).await.check(200);
    assert_eq!(answer.body["kind"], "ConfigMapList");
    assert_eq!(answer.names().len(), 50);
    assert_eq!(api.get(MAPS).await.names().len(), 50);
    api.delete("/api/v1/namespaces").await.check(405);
}

#[tokio::test]
async fn foreground_deletion_is_answered_with_accepted() {
    let api = Api::start().await;
    api.config_map("x", json!({})).await.check(201);
    let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground"});
    let answer = api.admin().json("DELETE", &format!("{MAPS}/x"), &[], &body).await.check(202);
    assert_eq!(answer.body["metadata"]["finalizers"], json!(["foregroundDeletion"]));
}
