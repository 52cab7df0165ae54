//! A pod's way from `create` to its end, as a client sees it.

use coracle_tests_fixtures as guests;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Secret};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::json;

use super::harness::{TestCluster, container, eventually, is_ready, phase, pod};

#[tokio::test(flavor = "multi_thread")]
async fn a_module_runs_to_completion_and_leaves_its_log() {
    let cluster = TestCluster::start().await;
    cluster.create_pod("hello", guests::HELLO_P1, json!({}), json!({})).await;
    let ended = cluster.wait_for_pod("hello", |pod| phase(pod) == "Succeeded").await;
    assert_eq!(container(&ended)["state"]["terminated"]["reason"], "Completed");
    assert_eq!(container(&ended)["state"]["terminated"]["exitCode"], 0);
    let log = cluster.pods().logs("hello", &LogParams::default()).await.unwrap();
    assert!(log.contains("hello"), "{log}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_code_is_told_and_a_failure_is_a_failure() {
    let cluster = TestCluster::start().await;
    cluster.create_pod("exit", guests::EXIT_P1, json!({"args": ["42"]}), json!({})).await;
    let ended = cluster.wait_for_pod("exit", |pod| phase(pod) == "Failed").await;
    assert_eq!(container(&ended)["state"]["terminated"]["reason"], "Error");
    assert_eq!(container(&ended)["state"]["terminated"]["exitCode"], 42);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_component_answers_through_the_pod_proxy_and_its_host_port() {
    let cluster = TestCluster::start().await;
    let port = free_port();
    let ports = json!({"ports": [{"containerPort": 8080, "hostPort": port}]});
    cluster.create_pod("web", guests::HTTP_HELLO, ports, json!({"restartPolicy": "Always"})).await;
    let ready = cluster.wait_for_pod("web", is_ready).await;
    assert!(ready.status.unwrap().pod_ip.unwrap().starts_with("100."), "pods have addresses of 100.64.0.0/10");

    let request = http::Request::get("/api/v1/namespaces/default/pods/web/proxy/").body(Vec::new()).unwrap();
    let through_the_api = cluster.client.request_text(request).await.unwrap();
    assert!(through_the_api.contains("hello"), "{through_the_api}");
    let direct = super::harness::http_get(port, "/").await;
    assert!(direct.starts_with("HTTP/1.1 200") && direct.contains(&through_the_api), "{direct}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_comes_from_the_spec_config_maps_secrets_and_the_pod() {
    let cluster = TestCluster::start().await;
    let post = PostParams::default();
    let settings: ConfigMap =
        from(json!({"metadata": {"name": "settings"}, "data": {"COLOUR": "green", "SHAPE": "round"}}));
    Api::<ConfigMap>::default_namespaced(cluster.client.clone()).create(&post, &settings).await.unwrap();
    let password: Secret = from(json!({"metadata": {"name": "password"}, "stringData": {"word": "s3cret"}}));
    Api::<Secret>::default_namespaced(cluster.client.clone()).create(&post, &password).await.unwrap();
    let env = json!({
        "args": ["env"],
        "envFrom": [{"configMapRef": {"name": "settings"}}],
        "env": [
            {"name": "PLAIN", "value": "1"},
            {"name": "EXPANDED", "value": "$(PLAIN)2"},
            {"name": "HUE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "COLOUR"}}},
            {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "password", "key": "word"}}},
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
    });
    cluster.create_pod("env", guests::PRINTER, env, json!({})).await;
    cluster.wait_for_pod("env", |pod| phase(pod) == "Succeeded").await;
    let log = cluster.pods().logs("env", &LogParams::default()).await.unwrap();
    for line in ["COLOUR=green", "SHAPE=round", "PLAIN=1", "EXPANDED=12", "HUE=green", "PASSWORD=s3cret", "POD=env"] {
        assert!(log.lines().any(|got| got == line), "{line} is not in {log}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_config_map_is_named_and_the_pod_starts_when_it_comes() {
    let cluster = TestCluster::start().await;
    let env = json!({"args": ["env"], "envFrom": [{"configMapRef": {"name": "later"}}]});
    cluster.create_pod("waiting", guests::PRINTER, env, json!({})).await;
    let waiting = cluster
        .wait_for_pod("waiting", |pod| container(pod)["state"]["waiting"]["reason"] == "CreateContainerConfigError")
        .await;
    let message = container(&waiting)["state"]["waiting"]["message"].to_string();
    assert!(message.contains("later"), "{message}");
    let later: ConfigMap = from(json!({"metadata": {"name": "later"}, "data": {"HERE": "now"}}));
    Api::<ConfigMap>::default_namespaced(cluster.client.clone()).create(&PostParams::default(), &later).await.unwrap();
    cluster.wait_for_pod("waiting", |pod| phase(pod) == "Succeeded").await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_not_there_is_told_in_status_and_events() {
    let cluster = TestCluster::start().await;
    let missing = json!({"image": "nobody/has-this:1"});
    cluster.create_pod("missing", "/none.wasm", missing, json!({})).await;
    let waiting = cluster
        .wait_for_pod("missing", |pod| {
            let reason = &container(pod)["state"]["waiting"]["reason"];
            reason == "ErrImagePull" || reason == "ImagePullBackOff"
        })
        .await;
    assert_eq!(phase(&waiting), "Pending");
    let events: Api<Event> = Api::default_namespaced(cluster.client.clone());
    let about = ListParams::default().fields("involvedObject.name=missing");
    let seen = eventually(
        || async { events.list(&about).await.unwrap().items },
        |events| events.iter().any(|event| event.reason.as_deref() == Some("Failed")),
    )
    .await;
    assert!(seen.iter().any(|event| event.message.as_deref().unwrap_or_default().contains("has-this")), "{seen:#?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_host_does_not_provide_is_named_before_the_container_starts() {
    let cluster = TestCluster::start().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("needy.wasm");
    let program = r#"(module (import "galaxy" "towel" (func)) (memory (export "memory") 1) (func (export "_start")))"#;
    std::fs::write(&path, wat::parse_str(program).unwrap()).unwrap();
    cluster.create_pod("needy", path.to_str().unwrap(), json!({}), json!({})).await;
    let waiting = cluster
        .wait_for_pod("needy", |pod| container(pod)["state"]["waiting"]["message"].to_string().contains("galaxy"))
        .await;
    assert!(container(&waiting)["state"]["waiting"]["message"].to_string().contains("towel"), "{waiting:#?}");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_container_is_started_again_and_backs_off() {
    let cluster = TestCluster::start().await;
    let always = json!({"restartPolicy": "Always"});
    cluster.create_pod("crash", guests::EXIT_P1, json!({"args": ["3"]}), always).await;
    let crashing =
        cluster.wait_for_pod("crash", |pod| container(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    assert_eq!(container(&crashing)["lastState"]["terminated"]["exitCode"], 3);
    assert_eq!(phase(&crashing), "Running");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_past_its_limit_ends_a_container_as_oom_killed() {
    let cluster = TestCluster::start().await;
    let limited = json!({"resources": {"limits": {"memory": "16Mi"}}});
    cluster.create_pod("glutton", guests::ALLOC, limited, json!({})).await;
    let ended = cluster.wait_for_pod("glutton", |pod| phase(pod) == "Failed").await;
    assert_eq!(container(&ended)["state"]["terminated"]["reason"], "OOMKilled");
    assert_eq!(container(&ended)["state"]["terminated"]["exitCode"], 137);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trap_leaves_its_backtrace_in_the_log() {
    let cluster = TestCluster::start().await;
    cluster.create_pod("panic", guests::PANIC, json!({}), json!({})).await;
    cluster.wait_for_pod("panic", |pod| phase(pod) == "Failed").await;
    let log = cluster.pods().logs("panic", &LogParams::default()).await.unwrap();
    for words in ["Wasm backtrace", "the_function_that_panics", "index out of bounds"] {
        assert!(log.contains(words), "{words} is not in {log}");
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spinning_pod_is_deleted_within_its_grace() {
    let cluster = TestCluster::start().await;
    let limited = json!({"resources": {"limits": {"cpu": "100m"}}});
    cluster.create_pod("spin", guests::SPIN, limited, json!({"terminationGracePeriodSeconds": 1})).await;
    cluster.wait_for_pod("spin", is_ready).await;
    let pods = cluster.pods();
    pods.delete("spin", &DeleteParams::default()).await.unwrap();
    eventually(|| async { pods.get_opt("spin").await.unwrap() }, Option::is_none).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_no_node_can_hold_says_why() {
    let cluster = TestCluster::start().await;
    let huge = pod("huge", guests::SPIN, json!({"resources": {"requests": {"cpu": "1000"}}}), json!({}));
    cluster.pods().create(&PostParams::default(), &huge).await.unwrap();
    let pending = cluster
        .wait_for_pod("huge", |pod| {
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            conditions.into_iter().flatten().any(|condition| condition.reason.as_deref() == Some("Unschedulable"))
        })
        .await;
    let conditions = pending.status.unwrap().conditions.unwrap();
    let scheduled = conditions.iter().find(|condition| condition.type_ == "PodScheduled").unwrap();
    assert!(scheduled.message.as_ref().unwrap().contains("Insufficient cpu"), "{scheduled:?}");
    cluster.stop().await;
}

fn from<T: serde::de::DeserializeOwned>(object: serde_json::Value) -> T {
    serde_json::from_value(object).unwrap()
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
