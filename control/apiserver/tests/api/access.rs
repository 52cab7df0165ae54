use super::support::Api;
use coracle_control_apiserver::UserInfo;
use serde_json::json;

#[tokio::test]
async fn whoever_has_no_role_sees_discovery_alone() {
    let api = Api::start().await;
    let bob = api.as_user(UserInfo::new("bob", &[]));
    bob.call("GET", "/apis", &[], Vec::new()).await.check(200);
    let answer = bob.call("GET", "/api/v1/namespaces/default/pods", &[], Vec::new()).await.check(403);
    assert_eq!(
        answer.message(),
        "pods is forbidden: User \"bob\" cannot list resource \"pods\" in API group \"\" in the namespace \"default\""
    );
    let impersonating = [("impersonate-user", "alice")];
    bob.call("GET", "/api/v1/pods", &impersonating, Vec::new()).await.check(403);
}

#[tokio::test]
async fn everyone_may_ask_who_he_is_and_what_he_may() {
    let api = Api::start().await;
    let bob = api.as_user(UserInfo::new("bob", &["staff"]));
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let answer = bob.json("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", &[], &body).await.check(201);
    assert_eq!(answer.body["status"]["userInfo"]["username"], "bob");
    assert_eq!(answer.body["status"]["userInfo"]["groups"], json!(["staff", "system:authenticated"]));
    let path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let body = json!({"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}});
    assert_eq!(bob.json("POST", path, &[], &body).await.check(201).body["status"]["allowed"], false);
    assert_eq!(api.post(path, body).await.check(201).body["status"]["allowed"], true);
    bob.json("POST", path, &[], &json!({"spec": {}})).await.check(422);
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = api.post(path, json!({"spec": {"token": "b"}})).await.check(201);
    assert_eq!(answer.body["status"]["user"]["username"], "bob");
    assert_eq!(api.post(path, json!({"spec": {"token": "x"}})).await.body["status"]["error"], "invalid bearer token");
}

#[tokio::test]
async fn the_parts_of_the_cluster_may_do_their_work() {
    let api = Api::start().await;
    api.pod("p", "").await.check(201);
    let scheduler = api.as_user(UserInfo::scheduler());
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "edge"}});
    scheduler.json("POST", "/api/v1/namespaces/default/pods/p/binding", &[], &binding).await.check(201);
    let agent = api.as_user(UserInfo::node("edge"));
    let node = json!({"metadata": {"name": "edge"}});
    agent.json("POST", "/api/v1/nodes", &[], &node).await.check(201);
    agent.json("POST", "/api/v1/nodes", &[], &json!({"metadata": {"name": "other"}})).await.check(403);
    let headers = [("content-type", "application/merge-patch+json")];
    let status = json!({"status": {"phase": "Running"}});
    agent.json("PATCH", "/api/v1/namespaces/default/pods/p/status", &headers, &status).await.check(200);
    let stranger = api.as_user(UserInfo::node("other"));
    stranger.json("PATCH", "/api/v1/namespaces/default/pods/p/status", &headers, &status).await.check(403);
    let lease = json!({"metadata": {"name": "edge"}, "spec": {"holderIdentity": "edge"}});
    agent
        .json("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge", &[], &lease)
        .await
        .check(201);
}

#[tokio::test]
async fn a_pod_runs_as_an_account_that_exists() {
    let api = Api::with(|_| {}).await;
    let pod = |account: &str| {
        json!({
            "metadata": {"generateName": "p"},
            "spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]},
        })
    };
    let path = "/api/v1/namespaces/default/pods";
    let answer = api.post(path, pod("")).await.check(201);
    assert_eq!(answer.body["spec"]["serviceAccountName"], "default");
    let answer = api.post(path, pod("none")).await.check(403);
    assert!(answer.message().ends_with("serviceaccount \"none\" not found"), "{}", answer.message());
}

#[tokio::test]
async fn a_new_node_takes_no_pods_until_it_is_ready() {
    let api = Api::with(|_| {}).await;
    let node = api.post("/api/v1/nodes", json!({"metadata": {"name": "edge"}})).await.check(201);
    assert_eq!(node.body["spec"]["taints"], json!([{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]));
}
