mod api;
mod containers;
mod probes;
mod streams;
mod volumes;
mod wasm;

use std::time::Instant;

use axum::body::Body;
use axum::http::Request;
use coracle_host_network::NetworkConfig;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use api::Api;
use containers::Containers;

/// The longest that a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host with containers that are not there, on an API that is not there either.
struct Host {
    api: Api,
    agent: Agent,
    containers: Arc<Containers>,
    directory: Arc<tempfile::TempDir>,
}

impl Host {
    async fn start() -> Self {
        Self::start_on(Api::new(), Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn start_on(api: Api, directory: Arc<tempfile::TempDir>) -> Self {
        let containers = Arc::new(Containers::default());
        let config = AgentConfig {
            pods_max: 20,
            host_paths: vec![directory.path().join("shared")],
            memory_dir: Some(directory.path().join("memory")),
            ..AgentConfig::new("n1", directory.path())
        };
        let network = Network::new(NetworkConfig::default());
        let runtime: Arc<dyn Runtime> = Arc::clone(&containers) as _;
        let agent = Agent::start_with(config, api.client(), runtime, network).await.unwrap();
        tokio::time::timeout(PATIENCE, agent.ready()).await.unwrap();
        Self { api, agent, containers, directory }
    }

    fn bind(&self, name: &str, spec: &Value) {
        bind(&self.api, name, spec);
    }

    fn pod(&self, name: &str) -> Option<Value> {
        self.api.get(&path(name))
    }

    /// Waits until the pod's status is as wanted.
    async fn wait(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        wait_for(&self.api, name, wanted).await
    }

    async fn phase(&self, name: &str, phase: &str) -> Value {
        self.wait(name, |status| status["phase"] == phase).await
    }

    async fn get(&self, uri: &str) -> (u16, String) {
        let request = Request::get(uri).body(Body::empty()).unwrap();
        let response = self.agent.router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    async fn event(&self, text: &str) {
        let found = eventually(|| self.api.recorded().iter().any(|event| event.starts_with(text))).await;
        assert!(found, "no event {text:?} in {:#?}", self.api.recorded());
    }
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/shop/pods/{name}")
}

fn bind(api: &Api, name: &str, spec: &Value) {
    let mut spec = spec.clone();
    spec["nodeName"] = "n1".into();
    let metadata = json!({ "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1 });
    api.put(
        &path(name),
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec,
            "status": { "phase": "Pending", "qosClass": "BestEffort" },
        }),
    );
}

fn one(image: &str) -> Value {
    json!({ "containers": [{ "name": "c", "image": image }] })
}

async fn eventually(condition: impl Fn() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

async fn wait_for(api: &Api, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let status = || api.get(&path(name)).map(|pod| pod["status"].clone()).unwrap_or_default();
    let reached = eventually(|| wanted(&status())).await;
    assert!(reached, "the last status of {name} is {:#}, events are {:#?}", status(), api.recorded());
    status()
}

fn delete(api: &Api, name: &str, grace: i64) {
    api.change(&path(name), |pod| {
        pod["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z".into();
        pod["metadata"]["deletionGracePeriodSeconds"] = grace.into();
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_pod_runs_with_one_write_and_tells_how() {
    let host = Host::start().await;
    host.bind("web", &one("run"));
    let status = host.phase("web", "Running").await;
    assert_eq!(status["qosClass"], "BestEffort", "what others wrote stays");
    assert_eq!(status["containerStatuses"][0]["imageID"], "run@sha256:00");
    assert_eq!(status["containerStatuses"][0]["containerID"], "coracle://uid-web-c-0");
    assert_eq!(status["podIPs"][0]["ip"], status["podIP"]);
    let ready = status["conditions"].as_array().unwrap().iter().find(|condition| condition["type"] == "Ready").unwrap();
    assert_eq!(ready["status"], "True");
    for event in ["Pulled: Container image \"run\" already present", "Created: Created container: c", "Started: "] {
        host.event(event).await;
    }
    let writes = host.api.writes("PATCH", &format!("{}/status", path("web")));
    assert_eq!(writes.len(), 1, "{writes:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_is_registered_and_comes_back_when_deleted() {
    let host = Host::start().await;
    let node = host.api.get("/api/v1/nodes/n1").unwrap();
    assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
    assert_eq!(node["status"]["nodeInfo"]["kubeletVersion"], "v1.34.0+coracle");
    assert_eq!(node["status"]["allocatable"]["pods"], "20");
    let ready = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
    };
    assert!(ready(&node));
    let lease = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1";
    assert!(eventually(|| host.api.get(lease).is_some()).await);
    host.api.remove("/api/v1/nodes/n1").unwrap();
    assert!(eventually(|| host.api.get("/api/v1/nodes/n1").is_some_and(|node| ready(&node))).await);
    host.api.change("/api/v1/nodes/n1", |node| {
        for condition in node["status"]["conditions"].as_array_mut().unwrap() {
            condition["status"] = "Unknown".into();
        }
    });
    assert!(eventually(|| host.api.get("/api/v1/nodes/n1").is_some_and(|node| ready(&node))).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_served_as_kubelet_serves_them() {
    let host = Host::start().await;
    host.bind("done", &json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "exit-0" }] }));
    host.phase("done", "Succeeded").await;
    assert_eq!(host.get("/containerLogs/shop/done/c").await, (200, "this is exit-0\n".into()));
    assert_eq!(host.get("/containerLogs/shop/done/c?tailLines=0").await.1, "");
    assert_eq!(host.get("/containerLogs/shop/done/c?follow=true&limitBytes=4").await.1, "this");
    let (_, timed) = host.get("/containerLogs/shop/done/c?timestamps=true").await;
    assert!(timed.ends_with("Z this is exit-0\n") && timed.starts_with("20"), "{timed}");
    let previous = host.get("/containerLogs/shop/done/c?previous=true").await;
    assert_eq!(previous, (400, "previous terminated container \"c\" in pod \"done\" not found".into()));
    assert_eq!(host.get("/containerLogs/shop/gone/c").await, (404, "pod \"gone\" does not exist".into()));
    assert_eq!(host.get("/containerLogs/shop/done/x").await, (404, "container x not found in pod done".into()));
    assert_eq!(host.get("/containerLogs/shop/done/c?tailLines=x").await.0, 400);

    host.bind("stuck", &one("missing"));
    host.wait("stuck", |status| status["containerStatuses"][0]["state"]["waiting"]["reason"] == "ErrImagePull").await;
    let waiting = host.get("/containerLogs/shop/stuck/c").await;
    assert_eq!(waiting, (400, "container \"c\" in pod \"stuck\" is waiting to start: image can't be pulled".into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_container_comes_back_and_its_log_is_the_previous_one() {
    let host = Host::start().await;
    host.bind("web", &one("run"));
    host.phase("web", "Running").await;
    assert!(!host.agent.kill_container("shop", "web", "x"));
    assert!(host.agent.kill_container("shop", "web", "c"));
    let status = host.wait("web", |status| status["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 137);
    assert_eq!(host.get("/containerLogs/shop/web/c?previous=true").await, (200, "this is run\n".into()));
    assert!(host.agent.kill_container("shop", "web", "c"));
    host.wait("web", |status| status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CrashLoopBackOff").await;
    host.event("BackOff: Back-off restarting failed container c in pod web_shop(uid-web)").await;
    assert_eq!(host.get("/containerLogs/shop/web/c").await, (200, "this is run\n".into()));
    assert_eq!(host.get("/containerLogs/shop/web/c?previous=true").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_pod_is_stopped_reported_and_removed() {
    let host = Host::start().await;
    host.bind("web", &one("run"));
    host.phase("web", "Running").await;
    let logs = host.directory.path().join("logs/shop_web_uid-web");
    assert!(logs.exists());
    delete(&host.api, "web", 30);
    assert!(eventually(|| host.pod("web").is_none()).await);
    let writes = host.api.writes("PATCH", &format!("{}/status", path("web")));
    assert_eq!(writes.last().unwrap()["status"]["phase"], "Failed");
    let state = &writes.last().unwrap()["status"]["containerStatuses"][0]["state"];
    assert_eq!(state["terminated"]["exitCode"], 143);
    let deletes = host.api.writes("DELETE", &path("web"));
    assert_eq!(deletes.len(), 1);
    assert_eq!(deletes[0]["gracePeriodSeconds"], 0);
    assert_eq!(deletes[0]["preconditions"]["uid"], "uid-web");
    assert!(eventually(|| !logs.exists()).await);
    host.event("Killing: Stopping container c").await;
    assert!(eventually(|| host.agent.shared.registry.find("shop", "web").is_none()).await);
    assert_eq!(host.get("/containerLogs/shop/web/c").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_removed_by_force_leaves_nothing() {
    let host = Host::start().await;
    host.bind("web", &one("run"));
    let status = host.phase("web", "Running").await;
    host.api.remove(&path("web")).unwrap();
    let ip: std::net::IpAddr = status["podIP"].as_str().unwrap().parse().unwrap();
    assert!(eventually(|| host.agent.shared.network.pod_at(ip).is_none()).await);
    assert!(eventually(|| !host.directory.path().join("logs/shop_web_uid-web").exists()).await);
    assert!(host.api.writes("DELETE", &path("web")).is_empty());

    host.bind("slow", &one("forever"));
    host.wait("slow", |status| status["podIP"].is_string()).await;
    host.api.remove(&path("slow")).unwrap();
    assert!(eventually(|| host.agent.shared.registry.find("shop", "slow").is_none()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_missing_image_is_reported_and_a_new_name_is_tried_at_once() {
    let host = Host::start().await;
    host.bind("web", &one("missing"));
    let reason = |wanted: &'static str| {
        move |status: &Value| status["containerStatuses"][0]["state"]["waiting"]["reason"] == wanted
    };
    host.wait("web", reason("ErrImagePull")).await;
    host.event("Failed: Failed to pull image \"missing\": there is no such image").await;
    host.wait("web", reason("ImagePullBackOff")).await;
    host.event("BackOff: Back-off pulling image \"missing\"").await;
    host.api.change(&path("web"), |pod| pod["spec"]["containers"][0]["image"] = "run".into());
    host.phase("web", "Running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_environment_is_made_from_what_there_is() {
    let host = Host::start().await;
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{
            "name": "c", "image": "echo",
            "command": ["prog", "$(COLOR)"], "args": ["$(NODE)"],
            "env": [
                { "name": "COLOR", "valueFrom": { "configMapKeyRef": { "name": "settings", "key": "color" } } },
                { "name": "PASSWORD", "valueFrom": { "secretKeyRef": { "name": "keys", "key": "password" } } },
                { "name": "NODE", "valueFrom": { "fieldRef": { "fieldPath": "spec.nodeName" } } },
            ],
            "resources": { "limits": { "cpu": "250m", "memory": "64Mi", "coracle.dev/fuel": "5k" } },
        }],
    });
    host.bind("env", &spec);
    let status = host
        .wait("env", |status| {
            status["containerStatuses"][0]["state"]["waiting"]["reason"] == "CreateContainerConfigError"
        })
        .await;
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["message"], "configmap \"settings\" not found");
    host.event("Failed: Error: configmap \"settings\" not found").await;
    let meta = |name: &str| json!({ "name": name, "namespace": "shop" });
    host.api.put(
        "/api/v1/namespaces/shop/configmaps/settings",
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("settings"), "data": { "color": "blue" } }),
    );
    host.api.put(
        "/api/v1/namespaces/shop/secrets/keys",
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": meta("keys"), "data": { "password": "c2VjcmV0" } }),
    );
    host.phase("env", "Succeeded").await;
    let (_, log) = host.get("/containerLogs/shop/env/c").await;
    assert_eq!(
        log,
        "COLOR=blue\nPASSWORD=secret\nNODE=n1\nHOSTNAME=env\n[\"prog\", \"blue\"] [\"n1\"] Limits { cpu_millis: Some(250), \
         memory_bytes: Some(67108864), fuel: Some(5000) }\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_is_reached_through_the_proxy_and_a_host_port() {
    let host = Host::start().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let spec = |port: u16| {
        json!({ "containers": [{
            "name": "c", "image": "http", "ports": [{ "name": "web", "containerPort": 81, "hostPort": port }],
        }] })
    };
    host.bind("web", &spec(port));
    host.phase("web", "Running").await;
    for uri in ["/podProxy/shop/web/81/a/b%20c?x=1", "/podProxy/shop/web/web/a/b%20c?x=1"] {
        assert_eq!(host.get(uri).await, (200, "GET /a/b%20c?x=1 HTTP/1.1".into()));
    }
    assert_eq!(host.get("/podProxy/shop/web/81").await.1, "GET / HTTP/1.1");
    assert_eq!(host.get("/podProxy/shop/web/81/").await.1, "GET / HTTP/1.1");
    let (status, text) = host.get("/podProxy/shop/web/82/").await;
    assert!(status == 503 && text.contains("connection refused"), "{text}");
    assert_eq!(host.get("/podProxy/shop/web/none/").await.0, 400);
    assert_eq!(host.get("/podProxy/shop/none/81/").await.0, 404);

    let answer = tokio::task::spawn_blocking(move || {
        use std::io::{Read as _, Write as _};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET /from-outside HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = vec![0; 1000];
        let count = stream.read(&mut answer).unwrap();
        String::from_utf8_lossy(&answer[..count]).into_owned()
    });
    assert!(answer.await.unwrap().ends_with("GET /from-outside HTTP/1.1"));

    host.bind("second", &spec(port));
    host.event(&format!("FailedCreatePodSandBox: Failed to create pod sandbox: hostPort {port}: the host address"))
        .await;
    delete(&host.api, "web", 0);
    host.phase("second", "Running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_stops_leaves_its_pods_to_the_next_one() {
    let host = Host::start().await;
    host.bind("web", &one("run"));
    host.bind("done", &json!({ "restartPolicy": "Never", "containers": [{ "name": "c", "image": "exit-0" }] }));
    host.phase("web", "Running").await;
    host.phase("done", "Succeeded").await;
    let Host { api, agent, directory, .. } = host;
    agent.stop(Duration::from_secs(1)).await;
    drop(agent);
    assert_eq!(api.get(&path("web")).unwrap()["status"]["phase"], "Running");
    let done_writes = api.writes("PATCH", &format!("{}/status", path("done"))).len();
    bind(&api, "while-away", &one("run"));
    let next = Host::start_on(api, directory).await;
    let status = next.wait("web", |status| status["containerStatuses"][0]["restartCount"] == 1).await;
    assert_eq!(status["containerStatuses"][0]["lastState"]["terminated"]["reason"], "Unknown");
    next.phase("while-away", "Running").await;
    assert_eq!(next.get("/containerLogs/shop/done/c").await, (200, "this is exit-0\n".into()));
    assert_eq!(next.get("/containerLogs/shop/web/c?previous=true").await, (200, "this is run\n".into()));
    assert_eq!(next.api.writes("PATCH", &format!("{}/status", path("done"))).len(), done_writes);
    drop(next.containers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_writes_are_tried_again() {
    let host = Host::start().await;
    host.api.fail_status_writes(3);
    host.bind("web", &one("run"));
    host.phase("web", "Running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_pods_than_the_host_takes_are_rejected() {
    let host = Host::start().await;
    for index in 0..21 {
        host.bind(&format!("p{index}"), &one("run"));
    }
    let failed =
        || (0..21).filter(|index| host.pod(&format!("p{index}")).unwrap()["status"]["phase"] == "Failed").count();
    let running =
        || (0..21).filter(|index| host.pod(&format!("p{index}")).unwrap()["status"]["phase"] == "Running").count();
    assert!(eventually(|| failed() == 1 && running() == 20).await);
    host.event("OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 20, capacity: 20").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_that_is_not_supported_is_named() {
    let host = Host::start().await;
    let spec = json!({
        "containers": [{ "name": "c", "image": "run", "volumeMounts": [{ "name": "data", "mountPath": "/data" }] }],
        "volumes": [{ "name": "data", "nfs": { "server": "files", "path": "/" } }],
    });
    host.bind("web", &spec);
    let status =
        host.wait("web", |status| status["containerStatuses"][0]["state"]["waiting"]["message"].is_string()).await;
    let waiting = &status["containerStatuses"][0]["state"]["waiting"];
    assert_eq!(waiting["reason"], "CreateContainerConfigError");
    assert_eq!(waiting["message"], "volume \"data\" is of type nfs, which this host does not support yet");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_pods_start_quickly_and_in_bounds() {
    let directory = tempfile::tempdir().unwrap();
    let api = Api::new();
    let config = AgentConfig::new("n1", directory.path());
    let network = Network::new(NetworkConfig::default());
    let agent = Agent::start_with(config, api.client(), Arc::new(Containers::default()), network).await.unwrap();
    agent.ready().await;
    let mut times = Vec::new();
    for index in 0..100 {
        let name = format!("p{index}");
        let begun = Instant::now();
        bind(&api, &name, &one("run"));
        wait_for(&api, &name, |status| status["phase"] == "Running").await;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    println!("bound to Running: p50 {:?}, p99 {:?} (with a poll every millisecond)", times[50], times[98]);
    for index in 100..200 {
        bind(&api, &format!("p{index}"), &one("run"));
    }
    for index in 100..200 {
        wait_for(&api, &format!("p{index}"), |status| status["phase"] == "Running").await;
    }
    agent.stop(Duration::from_secs(1)).await;
}
