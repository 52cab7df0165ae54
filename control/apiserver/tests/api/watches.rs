use super::support::{Api, TABLE, pair};
use coracle_control_apiserver::UserInfo;
use serde_json::json;
use std::time::Duration;

const MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_watch_from_a_version_shows_everything_after_it_once() {
    let api = Api::start().await;
    let version = api.config_map("x", json!({"i": "0"})).await.check(201).version();
    for index in 1..4 {
        api.merge(&format!("{MAPS}/x"), json!({"data": {"i": index.to_string()}})).await.check(200);
    }
    let mut events = api.watch(&format!("{MAPS}?watch=1&resourceVersion={version}")).await;
    let mut last = version;
    for index in 1..4 {
        let event = events.next().await.unwrap();
        assert_eq!(event["type"], "MODIFIED");
        assert_eq!(event["object"]["data"]["i"], index.to_string());
        last = event["object"]["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    }
    // A new watch from where the old one ended loses and doubles nothing.
    drop(events);
    api.delete(&format!("{MAPS}/x")).await.check(200);
    let mut events = api.watch(&format!("{MAPS}?watch=1&resourceVersion={last}&timeoutSeconds=1")).await;
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert!(event["object"]["metadata"]["resourceVersion"].as_str().unwrap() > last.as_str());
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn an_object_enters_and_leaves_a_selector() {
    let api = Api::start().await;
    let mut events = api.watch(&format!("{MAPS}?watch=1&labelSelector=in%3Dy")).await;
    api.config_map("x", json!({})).await.check(201);
    api.merge(&format!("{MAPS}/x"), json!({"metadata": {"labels": {"in": "y"}}})).await.check(200);
    assert_eq!(events.next_name().await, pair("ADDED", "x"));
    api.merge(&format!("{MAPS}/x"), json!({"data": {"a": "1"}})).await.check(200);
    assert_eq!(events.next_name().await, pair("MODIFIED", "x"));
    let left = api.merge(&format!("{MAPS}/x"), json!({"metadata": {"labels": {"in": "n"}}})).await.check(200);
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["metadata"]["labels"]["in"], "y", "the last state that matched");
    assert_eq!(event["object"]["metadata"]["resourceVersion"], left.version().as_str());
}

#[tokio::test]
async fn pods_are_watched_by_their_node() {
    let api = Api::start().await;
    let agent = api.as_user(UserInfo::node("edge"));
    let mut events = agent.watch("/api/v1/pods?watch=1&fieldSelector=spec.nodeName%3Dedge", &[]).await;
    api.pod("elsewhere", "other").await.check(201);
    api.pod("here", "").await.check(201);
    let binding = json!({"metadata": {"name": "here"}, "target": {"kind": "Node", "name": "edge"}});
    api.post("/api/v1/namespaces/default/pods/here/binding", binding).await.check(201);
    assert_eq!(events.next_name().await, pair("ADDED", "here"));
}

#[tokio::test]
async fn the_initial_state_ends_with_a_bookmark() {
    let api = Api::start().await;
    api.config_map("a", json!({})).await.check(201);
    api.config_map("b", json!({})).await.check(201);
    let options = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut events = api.watch(&format!("{MAPS}?watch=1&{options}")).await;
    assert_eq!(events.next_name().await, pair("ADDED", "a"));
    assert_eq!(events.next_name().await, pair("ADDED", "b"));
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["kind"], "ConfigMap");
    assert_eq!(bookmark["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    api.config_map("c", json!({})).await.check(201);
    assert_eq!(events.next_name().await, pair("ADDED", "c"));
}

#[tokio::test]
async fn bookmarks_follow_what_happens_elsewhere() {
    let api = Api::with(|config| config.bookmark_interval = Duration::from_millis(20)).await;
    let version = api.store.revision();
    let mut events = api.watch(&format!("{MAPS}?watch=1&resourceVersion={version}&allowWatchBookmarks=true")).await;
    api.post("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "s"}})).await.check(201);
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], (version + 1).to_string());
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_ends_with_an_error() {
    let api = Api::start().await;
    let version = api.config_map("a", json!({})).await.check(201).version();
    api.config_map("b", json!({})).await.check(201);
    api.config_map("c", json!({})).await.check(201);
    api.store.compact(api.store.revision()).await.unwrap();
    let mut events = api.watch(&format!("{MAPS}?watch=1&resourceVersion={version}")).await;
    let event = events.next().await.unwrap();
    assert_eq!(event["type"], "ERROR");
    assert_eq!(event["object"]["code"], 410);
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_watch_as_a_table_has_its_columns_once() {
    let api = Api::start().await;
    let mut events = api.admin().watch(&format!("{MAPS}?watch=1"), &[TABLE]).await;
    api.config_map("a", json!({})).await.check(201);
    api.config_map("b", json!({})).await.check(201);
    let first = events.next().await.unwrap();
    assert!(first["object"]["columnDefinitions"].is_array());
    assert_eq!(first["object"]["rows"][0]["cells"][0], "a");
    let second = events.next().await.unwrap();
    assert!(second["object"]["columnDefinitions"].is_null());
    assert_eq!(second["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn a_watch_ends_at_its_time_and_with_the_store() {
    let api = Api::start().await;
    let mut events = api.watch(&format!("{MAPS}?watch=1&timeoutSeconds=1")).await;
    assert_eq!(events.next().await, None);
    let mut events = api.watch(&format!("{MAPS}?watch=1")).await;
    api.store.close().await;
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn many_watchers_see_every_change_in_order() {
    let api = Api::start().await;
    let mut watchers = Vec::new();
    for _ in 0..20 {
        watchers.push(api.watch(&format!("{MAPS}?watch=1")).await);
    }
    let writes = async {
        for index in 0..50 {
            api.config_map(&format!("m{index:02}"), json!({})).await.check(201);
        }
    };
    let reads = futures::future::join_all(watchers.iter_mut().map(|events| async {
        for index in 0..50 {
            assert_eq!(events.next_name().await, pair("ADDED", &format!("m{index:02}")));
        }
    }));
    tokio::join!(writes, reads);
}

#[tokio::test]
async fn the_old_watch_paths_may_name_an_object() {
    let api = Api::start().await;
    let mut events = api.watch("/api/v1/watch/namespaces/default/configmaps/b").await;
    api.config_map("a", json!({})).await.check(201);
    api.config_map("b", json!({})).await.check(201);
    assert_eq!(events.next_name().await, pair("ADDED", "b"));
}

#[tokio::test]
async fn a_bookmark_comes_just_before_the_end() {
    let api = Api::start().await;
    let version = api.store.revision();
    let options = "timeoutSeconds=1&allowWatchBookmarks=true";
    let mut events = api.watch(&format!("{MAPS}?watch=1&resourceVersion={version}&{options}")).await;
    api.post("/api/v1/namespaces/default/secrets", json!({"metadata": {"name": "s"}})).await.check(201);
    let bookmark = events.next().await.unwrap();
    assert_eq!(bookmark["type"], "BOOKMARK");
    assert_eq!(bookmark["object"]["apiVersion"], "v1");
    assert_eq!(bookmark["object"]["metadata"]["resourceVersion"], (version + 1).to_string());
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_watch_without_a_version_begins_with_what_there_is() {
    let api = Api::start().await;
    api.config_map("a", json!({})).await.check(201);
    for query in ["", "&resourceVersion=0"] {
        let mut events = api.watch(&format!("{MAPS}?watch=1{query}&timeoutSeconds=1")).await;
        assert_eq!(events.next_name().await, pair("ADDED", "a"), "{query}");
        assert_eq!(events.next().await, None);
    }
    // From now on, and from the initial state without the mark for those who take no bookmarks.
    let from_now = "sendInitialEvents=false&resourceVersionMatch=NotOlderThan";
    let mut events = api.watch(&format!("{MAPS}?watch=1&{from_now}")).await;
    api.config_map("b", json!({})).await.check(201);
    assert_eq!(events.next_name().await, pair("ADDED", "b"));
    let unmarked = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1";
    let mut events = api.watch(&format!("{MAPS}?watch=1&{unmarked}")).await;
    assert_eq!(events.next_name().await, pair("ADDED", "a"));
    assert_eq!(events.next_name().await, pair("ADDED", "b"));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_watch_of_metadata_and_of_one_name() {
    let api = Api::start().await;
    let accept = [("accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io")];
    let path = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Db");
    let mut events = api.admin().watch(&path, &accept).await;
    api.config_map("a", json!({"k": "v"})).await.check(201);
    api.config_map("b", json!({"k": "v"})).await.check(201);
    api.delete(&format!("{MAPS}/b")).await.check(200);
    let event = events.next().await.unwrap();
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("ADDED"), &json!("PartialObjectMetadata")));
    assert_eq!((&event["object"]["metadata"]["name"], event["object"].get("data")), (&json!("b"), None));
    assert_eq!(events.next_name().await, pair("DELETED", "b"));
}

#[tokio::test]
async fn what_a_watch_cannot_be_is_refused() {
    let api = Api::with(|config| config.revision_wait = Duration::from_millis(10)).await;
    let refused = api.get(&format!("{MAPS}?watch=1&sendInitialEvents=true")).await.check(422);
    assert!(refused.message().contains("requires setting resourceVersionMatch to NotOlderThan"), "{}", refused.text);
    let future = api.get(&format!("{MAPS}?watch=1&resourceVersion=999999")).await.check(504);
    assert_eq!(future.body["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    api.get(&format!("{MAPS}?watch=1&resourceVersion=x")).await.check(400);
    let yaml = [("accept", "application/yaml")];
    let refused = api.admin().call("GET", &format!("{MAPS}?watch=1"), &yaml, Vec::new()).await.check(406);
    assert!(refused.text.contains("accepted: application/json;stream=watch"), "{}", refused.text);
}
