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

#[tokio::test]
async fn a_node_reads_what_its_own_pods_name() {
    let api = Api::start().await;
    let secrets = "/api/v1/namespaces/default/secrets";
    for name in ["named", "other"] {
        api.post(secrets, json!({"metadata": {"name": name}})).await.check(201);
    }
    let body = json!({
        "metadata": {"name": "p"},
        "spec": {
            "nodeName": "edge", "serviceAccountName": "default",
            "containers": [{"name": "c", "image": "i", "envFrom": [{"secretRef": {"name": "named"}}]}],
        },
    });
    let (edge, far) = (api.as_user(UserInfo::node("edge")), api.as_user(UserInfo::node("far")));
    let path = format!("{secrets}/named");
    edge.call("GET", &path, &[], Vec::new()).await.check(403);
    let pod = api.post("/api/v1/namespaces/default/pods", body).await.check(201);
    edge.call("GET", &path, &[], Vec::new()).await.check(200);
    let listed = format!("{secrets}?fieldSelector=metadata.name%3Dnamed");
    assert_eq!(edge.call("GET", &listed, &[], Vec::new()).await.check(200).names(), ["named"]);
    edge.call("GET", secrets, &[], Vec::new()).await.check(403);
    edge.call("GET", &format!("{secrets}/other"), &[], Vec::new()).await.check(403);
    let answer = far.call("GET", &path, &[], Vec::new()).await.check(403);
    let text = ": no relationship found between node 'far' and this object";
    assert!(answer.message().ends_with(text), "{}", answer.message());
    // A token is for the pod, and only its node gets it.
    let tokens = "/api/v1/namespaces/default/serviceaccounts/default/token";
    let bound = json!({"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": pod.body["metadata"]["uid"]});
    let asked = json!({"spec": {"boundObjectRef": bound}});
    edge.json("POST", tokens, &[], &asked).await.check(201);
    edge.json("POST", tokens, &[], &json!({"spec": {}})).await.check(403);
    far.json("POST", tokens, &[], &asked).await.check(403);
    api.delete("/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0").await.check(200);
    edge.call("GET", &path, &[], Vec::new()).await.check(403);
}

#[tokio::test]
async fn a_node_labels_itself_with_what_it_is_alone() {
    let api = Api::start().await;
    let edge = api.as_user(UserInfo::node("edge"));
    let node = |key: &str| json!({"metadata": {"name": "edge", "labels": {key: "x"}}});
    for key in ["node-restriction.kubernetes.io/trusted", "node-role.kubernetes.io/control-plane"] {
        let answer = edge.json("POST", "/api/v1/nodes", &[], &node(key)).await.check(403);
        let text = format!("is not allowed to set the following labels: {key}");
        assert!(answer.message().ends_with(&text), "{}", answer.message());
    }
    edge.json("POST", "/api/v1/nodes", &[], &node("node.kubernetes.io/any")).await.check(201);
    let taints = json!({"spec": {"taints": [{"key": "k", "effect": "NoSchedule"}]}});
    edge.json("PATCH", "/api/v1/nodes/edge", &[super::support::MERGE], &taints).await.check(403);
}
