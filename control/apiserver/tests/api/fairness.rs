//! Bounds under load: turns, priority levels, times and sizes.

use std::time::Duration;

use coracle_control_apiserver::UserInfo;
use futures::future::join_all;
use serde_json::json;

use crate::support::Api;

const LEVELS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations";
const SCHEMAS: &str = "/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas";

/// Lets everybody read.
async fn readers(api: &Api) {
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "readers"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "Group", "name": "system:authenticated", "apiGroup": "rbac.authorization.k8s.io"}],
    });
    assert_eq!(api.post("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding).await.code, 201);
}

#[tokio::test]
async fn an_answer_says_by_which_schema_and_level_it_was_treated() {
    let api = Api::start().await;
    readers(&api).await;
    let uid = |object: &serde_json::Value| object["metadata"]["uid"].as_str().unwrap().to_owned();
    let schema = uid(&api.get(&format!("{SCHEMAS}/global-default")).await.body);
    let level = uid(&api.get(&format!("{LEVELS}/global-default")).await.body);
    let bob = api.as_user(UserInfo::new("bob", &[]));
    for path in ["/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/pods/none"] {
        let answer = bob.call("GET", path, &[], Vec::new()).await;
        assert_eq!(answer.headers["x-kubernetes-pf-flowschema-uid"], schema.as_str());
        assert_eq!(answer.headers["x-kubernetes-pf-prioritylevel-uid"], level.as_str());
    }
}

#[tokio::test]
async fn one_too_many_is_told_when_to_come_again_and_others_go_on() {
    let api = Api::with(|config| {
        config.requests_max = 1;
        config.request_timeout = Duration::from_secs(60);
    })
    .await;
    readers(&api).await;
    let level = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "PriorityLevelConfiguration",
        "metadata": {"name": "narrow"},
        "spec": {"type": "Limited", "limited": {
            "nominalConcurrencyShares": 1, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"},
        }},
    });
    assert_eq!(api.post(LEVELS, level).await.code, 201);
    let schema = json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": "FlowSchema", "metadata": {"name": "narrow"},
        "spec": {
            "priorityLevelConfiguration": {"name": "narrow"}, "matchingPrecedence": 10,
            "rules": [{
                "subjects": [{"kind": "User", "user": {"name": "bob"}}],
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
                }],
            }],
        },
    });
    assert_eq!(api.post(SCHEMAS, schema).await.code, 201);
    let (bob, eve) = (api.as_user(UserInfo::new("bob", &[])), api.as_user(UserInfo::new("eve", &[])));
    // A list at a version that is still to come sits on the only seat until it gives up.
    let path = "/api/v1/namespaces/default/pods?resourceVersion=1000000";
    let answers = join_all((0..3).map(|_| bob.call("GET", path, &[], Vec::new())));
    let other = eve.call("GET", "/api/v1/namespaces/default/pods", &[], Vec::new());
    let (answers, other) = tokio::join!(answers, other);
    let mut codes: Vec<u16> = answers.iter().map(|answer| answer.code).collect();
    codes.sort_unstable();
    assert_eq!((codes, other.code), (vec![429, 429, 504], 200));
    let refused = answers.iter().find(|answer| answer.code == 429).unwrap();
    assert_eq!(refused.text, "Too many requests, please try again later.\n");
    assert_eq!(refused.headers["retry-after"], "1");
    assert!(refused.headers.contains_key("x-kubernetes-pf-flowschema-uid"));
    let again = bob.call("GET", "/api/v1/namespaces/default/pods", &[], Vec::new()).await;
    assert_eq!(again.code, 200);
}

#[tokio::test]
async fn a_watch_sits_only_while_it_begins() {
    let api = Api::with(|config| config.requests_max = 1).await;
    readers(&api).await;
    let bob = api.as_user(UserInfo::new("bob", &[]));
    let mut watches = Vec::new();
    for _ in 0..20 {
        watches.push(bob.watch("/api/v1/namespaces/default/pods?watch=1", &[]).await);
    }
    assert_eq!(bob.call("GET", "/api/v1/namespaces/default/pods", &[], Vec::new()).await.code, 200);
}

#[tokio::test]
async fn what_must_be_there_is_as_it_is_shipped_after_a_start() {
    let api = Api::start().await;
    let spec = json!({"spec": {"limited": {"nominalConcurrencyShares": 7}}});
    assert_eq!(api.merge(&format!("{LEVELS}/workload-low"), spec.clone()).await.code, 200);
    let own = json!({"metadata": {"annotations": {"apf.kubernetes.io/autoupdate-spec": "false"}}});
    assert_eq!(api.merge(&format!("{LEVELS}/workload-high"), spec).await.code, 200);
    assert_eq!(api.merge(&format!("{LEVELS}/workload-high"), own).await.code, 200);
    assert_eq!(api.delete(&format!("{SCHEMAS}/catch-all")).await.code, 200);
    api.server.bootstrap().await.unwrap();
    let shares = |body: &serde_json::Value| body["spec"]["limited"]["nominalConcurrencyShares"].clone();
    assert_eq!(shares(&api.get(&format!("{LEVELS}/workload-low")).await.body), 100);
    assert_eq!(shares(&api.get(&format!("{LEVELS}/workload-high")).await.body), 7);
    let schema = api.get(&format!("{SCHEMAS}/catch-all")).await.body;
    assert_eq!(schema["status"]["conditions"][0]["status"], "False");
}

#[tokio::test]
async fn a_client_may_say_how_long_it_waits() {
    let api = Api::start().await;
    let path = "/api/v1/namespaces/default/pods?resourceVersion=1000000&timeout=20ms";
    let answer = api.get(path).await;
    assert_eq!(answer.code, 504);
    assert_eq!(answer.body["message"], "Timeout: request did not complete within the allotted timeout");
    let answer = api.get("/api/v1/namespaces/default/pods?timeout=soon").await;
    assert_eq!(answer.code, 400);
    assert_eq!(
        answer.body["message"],
        "invalid timeout specified in the request URL - time: invalid duration \"soon\""
    );
}
