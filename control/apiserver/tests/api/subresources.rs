use super::support::Api;
use axum::Router;
use axum::body::Body;
use axum::routing::any;
use http::Request;
use serde_json::json;

const PODS: &str = "/api/v1/namespaces/default/pods";

/// An agent that answers with the request line, or with an error for the container `waiting`.
fn agent() -> Router {
    Router::new().fallback(any(|request: Request<Body>| async move {
        let line = format!("{} {}", request.method(), request.uri());
        if line.contains("waiting") {
            return (
                http::StatusCode::BAD_REQUEST,
                "container \"waiting\" in pod \"p\" is waiting to start".to_owned(),
            );
        }
        (http::StatusCode::OK, line)
    }))
}

#[tokio::test]
async fn a_pod_is_bound_once() {
    let api = Api::start().await;
    api.pod("p", "").await.check(201);
    let binding = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    api.post(&format!("{PODS}/p/binding"), binding("a")).await.check(201);
    let answer = api.post(&format!("{PODS}/p/binding"), binding("b")).await.check(409);
    assert!(answer.message().contains("already assigned to node \"a\""), "{}", answer.message());
    let pod = api.get(&format!("{PODS}/p")).await.check(200);
    assert_eq!(pod.body["spec"]["nodeName"], "a");
    assert_eq!(pod.body["status"]["conditions"][0]["type"], "PodScheduled");
    api.post(&format!("{PODS}/none/binding"), json!({"metadata": {"name": "none"}, "target": {"name": "a"}}))
        .await
        .check(404);
    api.post(&format!("{PODS}/p/binding"), json!({"target": {"kind": "Pod", "name": "a"}})).await.check(422);
}

#[tokio::test]
async fn a_pod_is_bound_through_the_collection_of_bindings() {
    let api = Api::start().await;
    api.pod("p", "").await.check(201);
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "a"}});
    api.post("/api/v1/namespaces/default/bindings", binding).await.check(201);
    assert_eq!(api.get(&format!("{PODS}/p")).await.body["spec"]["nodeName"], "a");
}

#[tokio::test]
async fn logs_come_from_the_agent() {
    let api = Api::start().await;
    api.pod("p", "edge").await.check(201);
    api.pod("nowhere", "").await.check(201);
    assert_eq!(api.get(&format!("{PODS}/nowhere/log")).await.check(200).text, "");
    let answer = api.get(&format!("{PODS}/p/log")).await.check(404);
    assert_eq!(answer.message(), "nodes \"edge\" not found");
    api.post("/api/v1/nodes", json!({"metadata": {"name": "edge"}})).await.check(201);
    api.get(&format!("{PODS}/p/log")).await.check(503);
    api.hosts.register("edge", agent());
    let answer = api.get(&format!("{PODS}/p/log?tailLines=5&timestamps=true&nonsense=1")).await.check(200);
    assert_eq!(answer.text, "GET /containerLogs/default/p/c?tailLines=5&timestamps=true");
    let answer = api.get(&format!("{PODS}/p/log?container=none")).await.check(400);
    assert_eq!(answer.message(), "container none is not valid for pod p");
    for (options, code, text) in [
        ("tailLines=-1", 422, "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", 422, "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z", 422, "at most one of `sinceTime` or `sinceSeconds` may be"),
        ("stream=Both", 422, "stream: Unsupported value: \"Both\": supported values: \"All\", \"Stderr\", \"Stdout\""),
        ("stream=Stdout&tailLines=1", 422, "`tailLines` and specific `stream` are mutually exclusive for now"),
        ("tailLines=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("sinceTime=noon", 400, "parsing time \"noon\""),
    ] {
        let answer = api.get(&format!("{PODS}/p/log?{options}")).await.check(code);
        assert!(answer.message().contains(text), "{options}: {}", answer.message());
    }
    api.get(&format!("{PODS}/none/log")).await.check(404);
}

#[tokio::test]
async fn an_agents_error_keeps_its_words() {
    let api = Api::start().await;
    let body = json!({
        "metadata": {"name": "p"},
        "spec": {"nodeName": "edge", "containers": [{"name": "waiting", "image": "i"}, {"name": "d", "image": "i"}]},
    });
    api.post(PODS, body).await.check(201);
    api.hosts.register("edge", agent());
    let answer = api.get(&format!("{PODS}/p/log")).await.check(400);
    assert_eq!(answer.message(), "a container name must be specified for pod p, choose one of: [waiting d]");
    let answer = api.get(&format!("{PODS}/p/log?container=waiting")).await.check(400);
    assert_eq!(answer.message(), "container \"waiting\" in pod \"p\" is waiting to start");
}

#[tokio::test]
async fn a_pod_is_reached_through_the_proxy() {
    let api = Api::start().await;
    api.pod("p", "edge").await.check(201);
    api.hosts.register("edge", agent());
    let line = |path: &str| {
        let path = format!("{PODS}/{path}");
        let api = &api;
        async move { api.get(&path).await.check(200).text }
    };
    assert_eq!(line("p/proxy/").await, "GET /podProxy/default/p/8080/");
    assert_eq!(line("p:9/proxy/a%20b//c?x=1&y").await, "GET /podProxy/default/p/9/a%20b//c?x=1&y");
    assert_eq!(line("http:p:web/proxy/z").await, "GET /podProxy/default/p/8080/z");
    api.get(&format!("{PODS}/p:nope/proxy/")).await.check(503);
    api.get(&format!("{PODS}/none/proxy/")).await.check(404);
    let answer = api.admin().call("POST", &format!("{PODS}/p/proxy/form"), &[], b"body".to_vec()).await.check(200);
    assert_eq!(answer.text, "POST /podProxy/default/p/8080/form");
}

#[tokio::test]
async fn an_eviction_deletes() {
    let api = Api::start().await;
    api.pod("p", "edge").await.check(201);
    let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    api.post(&format!("{PODS}/p/eviction?dryRun=All"), body.clone()).await.check(201);
    assert!(api.get(&format!("{PODS}/p")).await.body["metadata"].get("deletionTimestamp").is_none());
    api.post(&format!("{PODS}/p/eviction"), body).await.check(201);
    assert!(api.get(&format!("{PODS}/p")).await.body["metadata"]["deletionTimestamp"].is_string());
}

#[tokio::test]
async fn status_and_spec_do_not_mix() {
    let api = Api::start().await;
    api.pod("p", "").await.check(201);
    let both = json!({"spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
    let answer = api.merge(&format!("{PODS}/p/status"), both).await.check(200);
    assert_eq!(answer.body["status"]["phase"], "Running");
    assert!(answer.body["spec"].get("nodeName").is_none());
    api.merge(&format!("{PODS}/p/nosuch"), json!({})).await.check(404);
    api.delete(&format!("{PODS}/p/status")).await.check(405);
}

#[tokio::test]
async fn every_group_of_the_server_has_its_local_service() {
    let api = Api::start().await;
    let list = api.get("/apis/apiregistration.k8s.io/v1/apiservices").await.check(200);
    for name in ["v1.", "v1.apps", "v2.autoscaling", "v1.flowcontrol.apiserver.k8s.io"] {
        assert!(list.names().contains(&name), "{name} in {:?}", list.names());
    }
    assert!(!list.names().contains(&"v1.apiregistration.k8s.io"));
    let one = api.get("/apis/apiregistration.k8s.io/v1/apiservices/v1.apps").await.check(200).body;
    assert_eq!(one["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"], "onstart");
    assert_eq!(one["status"]["conditions"][0]["message"], "Local APIServices are always available");
}

#[tokio::test]
async fn an_eviction_takes_one_of_the_disruptions_that_are_allowed() {
    const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
    let api = Api::start().await;
    for name in ["a", "b", "sick"] {
        let body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]},
        });
        let mut pod = api.post(PODS, body).await.body;
        let ready = if name == "sick" { "False" } else { "True" };
        pod["status"] = json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]});
        api.put(&format!("{PODS}/{name}/status"), pod).await.check(200);
    }
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "p"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "web"}}},
    });
    let mut made = api.post(BUDGETS, budget.clone()).await.body;
    let evict = async |name: &str| {
        let body = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}});
        api.post(&format!("{PODS}/{name}/eviction"), body).await
    };
    let answer = evict("a").await;
    assert_eq!((answer.code, &answer.headers["retry-after"]), (429, &http::HeaderValue::from_static("10")));
    made["status"] = json!({
        "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, "expectedPods": 3,
    });
    api.put(&format!("{BUDGETS}/p/status"), made).await.check(200);
    assert_eq!(evict("a").await.code, 201);
    let status = api.get(&format!("{BUDGETS}/p")).await.body["status"].clone();
    assert_eq!((&status["disruptionsAllowed"], status["disruptedPods"]["a"].is_string()), (&json!(0), true));
    assert_eq!(status["conditions"][0]["reason"], "InsufficientPods");
    let answer = evict("b").await;
    assert_eq!(answer.code, 429);
    assert_eq!(
        answer.body["details"]["causes"][0]["message"],
        "The disruption budget p does not allow evicting pods currently"
    );
    assert_eq!(evict("sick").await.code, 201);
    let mut second = budget;
    second["metadata"]["name"] = json!("q");
    assert_eq!(api.post(BUDGETS, second).await.code, 201);
    let answer = evict("b").await;
    assert_eq!(answer.code, 500);
    assert!(answer.body["message"].as_str().unwrap().starts_with("This pod has more than one PodDisruptionBudget"));
}
