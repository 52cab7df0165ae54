use super::support::{Api, MERGE};
use serde_json::json;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn an_object_comes_back_as_it_was_made() {
    let api = Api::start().await;
    let made = api.config_map("x", json!({"a": "1"})).await.check(201);
    let read = api.get(&format!("{MAPS}/x")).await.check(200);
    assert_eq!(made.body, read.body);
    assert_eq!(read.body["metadata"]["managedFields"][0]["manager"], "unknown");
    assert!(read.body["metadata"]["uid"].as_str().unwrap().len() == 36);
}

#[tokio::test]
async fn a_write_on_an_old_version_conflicts() {
    let api = Api::start().await;
    let old = api.config_map("x", json!({"a": "1"})).await.check(201);
    api.merge(&format!("{MAPS}/x"), json!({"data": {"a": "2"}})).await.check(200);
    let answer = api.put(&format!("{MAPS}/x"), old.body.clone()).await.check(409);
    assert!(answer.message().contains("the object has been modified"), "{}", answer.message());
    // Without a version the last writer wins; a patch that names one insists on it.
    let mut free = old.body.clone();
    free["metadata"].as_object_mut().unwrap().remove("resourceVersion");
    api.put(&format!("{MAPS}/x"), free).await.check(200);
    let patch = json!({"metadata": {"resourceVersion": old.version()}, "data": {"b": "1"}});
    api.merge(&format!("{MAPS}/x"), patch).await.check(409);
}

#[tokio::test]
async fn an_update_of_another_object_of_that_name_conflicts() {
    let api = Api::start().await;
    let old = api.config_map("x", json!({"a": "1"})).await.check(201);
    api.delete(&format!("{MAPS}/x")).await.check(200);
    api.config_map("x", json!({"a": "2"})).await.check(201);
    let body = json!({"metadata": {"name": "x", "uid": old.body["metadata"]["uid"]}});
    let answer = api.put(&format!("{MAPS}/x"), body).await.check(409);
    assert!(answer.message().contains("Precondition failed: UID in precondition"), "{}", answer.message());
}

#[tokio::test]
async fn concurrent_patches_are_all_made() {
    let api = Api::start().await;
    api.config_map("x", json!({})).await.check(201);
    let patches = (0..40).map(|index| {
        let api = &api;
        async move { api.merge(&format!("{MAPS}/x"), json!({"data": {format!("k{index}"): "v"}})).await.check(200) }
    });
    futures::future::join_all(patches).await;
    let read = api.get(&format!("{MAPS}/x")).await.check(200);
    assert_eq!(read.body["data"].as_object().unwrap().len(), 40);
}

#[tokio::test]
async fn an_update_that_changes_nothing_writes_nothing() {
    let api = Api::start().await;
    let made = api.config_map("x", json!({"a": "1"})).await.check(201);
    let again = api.put(&format!("{MAPS}/x"), made.body.clone()).await.check(200);
    assert_eq!(again.version(), made.version());
    let patched = api.merge(&format!("{MAPS}/x"), json!({"data": {"a": "1"}})).await.check(200);
    assert_eq!(patched.version(), made.version());
}

#[tokio::test]
async fn a_dry_run_shows_and_changes_nothing() {
    let api = Api::start().await;
    let body = json!({"metadata": {"name": "x"}, "data": {"a": "1"}});
    let answer = api.post(&format!("{MAPS}?dryRun=All"), body.clone()).await.check(201);
    assert_eq!(answer.version(), "");
    api.get(&format!("{MAPS}/x")).await.check(404);
    let made = api.post(MAPS, body.clone()).await.check(201);
    api.post(&format!("{MAPS}?dryRun=All"), body).await.check(409);
    let patched = api.merge(&format!("{MAPS}/x?dryRun=All"), json!({"data": {"a": "2"}})).await.check(200);
    assert_eq!(patched.body["data"]["a"], "2");
    api.delete(&format!("{MAPS}/x?dryRun=All")).await.check(200);
    assert_eq!(api.get(&format!("{MAPS}/x")).await.check(200).body, made.body);
    let answer = api.post(&format!("{MAPS}?dryRun=Some"), json!({"metadata": {"name": "y"}})).await.check(422);
    assert!(answer.message().starts_with("CreateOptions.meta.k8s.io \"\" is invalid: dryRun"), "{}", answer.message());
}

#[tokio::test]
async fn names_are_generated_and_never_twice() {
    let api = Api::start().await;
    let makes = (0..30).map(|_| api.post(MAPS, json!({"metadata": {"generateName": "gen-"}})));
    let mut names: Vec<String> = futures::future::join_all(makes)
        .await
        .into_iter()
        .map(|answer| answer.check(201).body["metadata"]["name"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 30);
    assert!(names.iter().all(|name| name.len() == 9), "{names:?}");
}

#[tokio::test]
async fn a_create_needs_its_namespace() {
    let api = Api::start().await;
    let answer = api.post("/api/v1/namespaces/nowhere/configmaps", json!({"metadata": {"name": "x"}})).await.check(404);
    assert_eq!(answer.message(), "namespaces \"nowhere\" not found");
    api.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.check(201);
    api.delete("/api/v1/namespaces/n").await.check(200);
    let answer = api.post("/api/v1/namespaces/n/configmaps", json!({"metadata": {"name": "x"}})).await.check(403);
    assert_eq!(
        answer.message(),
        "configmaps \"x\" is forbidden: unable to create new content in namespace n because it is being terminated"
    );
    assert_eq!(answer.body["details"]["causes"][0]["reason"], "NamespaceTerminating");
}

#[tokio::test]
async fn unknown_fields_are_refused_warned_about_or_dropped() {
    let api = Api::start().await;
    let body = |name: &str| json!({"metadata": {"name": name}, "nosuch": 1});
    let answer = api.post(&format!("{MAPS}?fieldValidation=Strict"), body("a")).await.check(400);
    assert!(answer.message().contains("unknown field \"nosuch\""), "{}", answer.message());
    let answer = api.post(&format!("{MAPS}?fieldValidation=Warn"), body("b")).await.check(201);
    assert_eq!(answer.headers["warning"], "299 - \"unknown field \\\"nosuch\\\"\"");
    let answer = api.post(&format!("{MAPS}?fieldValidation=Ignore"), body("c")).await.check(201);
    assert!(!answer.headers.contains_key("warning"));
    assert!(answer.body.get("nosuch").is_none());
}

#[tokio::test]
async fn bodies_may_be_yaml_or_protobuf_and_answers_yaml() {
    let api = Api::start().await;
    let yaml = b"metadata:\n  name: x\ndata:\n  a: \"1\"\n".to_vec();
    let headers = [("content-type", "application/yaml"), ("accept", "application/yaml")];
    let answer = api.admin().call("POST", MAPS, &headers, yaml).await.check(201);
    assert_eq!(answer.headers["content-type"], "application/yaml");
    assert!(answer.text.contains("kind: ConfigMap"), "{}", answer.text);
    // Unknown{typeMeta{v1, ConfigMap}, raw: ConfigMap{metadata{name: "p"}}}
    let protobuf = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01p".to_vec();
    let headers = [("content-type", "application/vnd.kubernetes.protobuf")];
    let answer = api.admin().call("POST", MAPS, &headers, protobuf).await.check(201);
    assert_eq!(answer.body["metadata"]["name"], "p");
    let octal = b"metadata: {name: o}\nspec: {containers: [{name: c, image: i}], volumes: [{name: v, configMap: {name: x, defaultMode: 0644}}]}\n";
    let pods = "/api/v1/namespaces/default/pods";
    let answer =
        api.admin().call("POST", pods, &[("content-type", "application/yaml")], octal.to_vec()).await.check(201);
    assert_eq!(answer.body["spec"]["volumes"][0]["configMap"]["defaultMode"], 0o644);
    api.admin().call("POST", MAPS, &[("content-type", "text/plain")], b"{}".to_vec()).await.check(415);
}

#[tokio::test]
async fn a_lease_is_made_by_an_update() {
    let api = Api::start().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l";
    let body = json!({"metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}});
    api.put(path, body.clone()).await.check(201);
    api.put(path, body).await.check(422);
    api.put(&format!("{MAPS}/none"), json!({"metadata": {"name": "none"}})).await.check(404);
}

#[tokio::test]
async fn a_body_beyond_the_bound_is_refused() {
    let api = Api::start().await;
    let body = json!({"metadata": {"name": "x"}, "data": {"a": "x".repeat(3 * 1024 * 1024)}});
    let answer = api.post(MAPS, body).await.check(413);
    assert_eq!(answer.message(), "Request entity too large: limit is 3145728");
    // What is within the bound of a body may still be beyond that of a config map.
    let body = json!({"metadata": {"name": "x"}, "data": {"a": "x".repeat(2 * 1024 * 1024)}});
    api.post(MAPS, body).await.check(422);
}

#[tokio::test]
async fn the_name_in_the_body_is_that_of_the_path() {
    let api = Api::start().await;
    api.config_map("x", json!({})).await.check(201);
    let answer = api.put(&format!("{MAPS}/x"), json!({"metadata": {"name": "y"}})).await.check(400);
    assert_eq!(answer.message(), "the name of the object (y) does not match the name on the URL (x)");
    let headers = [MERGE];
    let answer = api.admin().json("PATCH", &format!("{MAPS}/x"), &headers, &json!({"metadata": {"name": "y"}})).await;
    assert!((400..500).contains(&answer.code), "{}", answer.text);
}

#[tokio::test]
async fn events_are_one_storage_in_two_groups() {
    let api = Api::start().await;
    let body = json!({
        "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
        "reason": "R", "message": "m", "type": "Normal",
    });
    api.post("/api/v1/namespaces/default/events", body).await.check(201);
    let other = api.get("/apis/events.k8s.io/v1/namespaces/default/events/e").await.check(200);
    assert_eq!(other.body["apiVersion"], "events.k8s.io/v1");
    assert_eq!(other.body["regarding"]["name"], "p");
    assert_eq!(other.body["note"], "m");
    let list = api.get("/apis/events.k8s.io/v1/events?fieldSelector=reason=R").await.check(200);
    assert_eq!(list.names(), ["e"]);
}
