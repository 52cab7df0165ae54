use serde_json::{Value, json};

use crate::support::Api;

const RESTRICTED: &str = "allowPrivilegeEscalation != false (container \"c\" must set \
    securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container \"c\" must set \
    securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or container \"c\" must set \
    securityContext.runAsNonRoot=true), seccompProfile (pod or container \"c\" must set \
    securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")";

async fn namespace(api: &Api, name: &str, labels: Value) {
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
    assert_eq!(api.post("/api/v1/namespaces", body).await.code, 201);
}

fn pod(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
        },
    })
}

#[tokio::test]
async fn a_restricted_namespace_refuses_pods_and_warns_of_workloads() {
    let api = Api::start().await;
    namespace(&api, "r", json!({"pod-security.kubernetes.io/enforce": "restricted"})).await;
    let answer = api.post("/api/v1/namespaces/r/pods", pod("x")).await;
    assert_eq!(answer.code, 403);
    let text = format!("pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": {RESTRICTED}");
    assert_eq!(answer.body["message"], text.as_str());
    let answer = api.post("/apis/apps/v1/namespaces/r/deployments", deployment()).await;
    assert_eq!(answer.code, 201, "{}", answer.text);
    let warning = answer.headers["warning"].to_str().unwrap().replace("\\\"", "\"");
    assert_eq!(warning, format!("299 - \"would violate PodSecurity \"restricted:latest\": {RESTRICTED}\""));
}

#[tokio::test]
async fn a_namespace_that_only_warns_takes_the_pod() {
    let api = Api::start().await;
    namespace(&api, "w", json!({"pod-security.kubernetes.io/warn": "restricted"})).await;
    let answer = api.post("/api/v1/namespaces/w/pods", pod("x")).await;
    assert_eq!(answer.code, 201);
    assert!(answer.headers["warning"].to_str().unwrap().starts_with("299 - \"would violate PodSecurity"));
    let answer = api.merge("/api/v1/namespaces/w/pods/x", json!({"metadata": {"labels": {"a": "b"}}})).await;
    assert!(answer.code == 200 && !answer.headers.contains_key("warning"));
}

#[tokio::test]
async fn a_stricter_namespace_tells_of_the_pods_that_it_has() {
    let api = Api::start().await;
    namespace(&api, "n", json!({})).await;
    for name in ["a", "b"] {
        assert_eq!(api.post("/api/v1/namespaces/n/pods", pod(name)).await.code, 201);
    }
    let labels = json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}});
    let answer = api.merge("/api/v1/namespaces/n", labels).await;
    assert_eq!(answer.code, 200);
    let warnings: Vec<&str> = answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert_eq!(
        warnings[0],
        "299 - \"existing pods in namespace \\\"n\\\" violate the new PodSecurity enforce level \
         \\\"restricted:latest\\\"\""
    );
    assert!(warnings[1].starts_with("299 - \"a (and 1 other pod): allowPrivilegeEscalation != false, "));
}

#[tokio::test]
async fn wrong_labels_are_refused_where_they_are_set() {
    let api = Api::start().await;
    let labels = json!({"pod-security.kubernetes.io/enforce": "strict"});
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": labels}});
    let answer = api.post("/api/v1/namespaces", body).await;
    assert_eq!(answer.code, 422);
    assert_eq!(
        answer.body["message"],
        "Namespace \"n\" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: \"strict\": \
         must be one of privileged, baseline, restricted"
    );
}
