//! Probes and hooks with real programs, and gRPC with a server that is not there.

use super::wasm::WasmHost;
use super::*;

fn container(image: &str, more: &Value) -> Value {
    let mut container = json!({
        "name": "c", "image": image, "volumeMounts": [{ "name": "v", "mountPath": "/data" }],
        "ports": [{ "name": "web", "containerPort": 8080 }],
    });
    for (name, value) in more.as_object().unwrap() {
        container[name] = value.clone();
    }
    json!({ "containers": [container], "volumes": [{ "name": "v", "emptyDir": {} }] })
}

fn is_ready(status: &Value) -> bool {
    status["containerStatuses"][0]["ready"] == true
}

async fn told(api: &Api, text: &str) {
    let found = eventually(|| api.recorded().iter().any(|event| event.starts_with(text))).await;
    assert!(found, "no event {text:?} in {:#?}", api.recorded());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_a_file_and_a_port() {
    let host = WasmHost::start().await;
    let exec = json!({ "exec": { "command": ["cat", "/data/healthy"] }, "periodSeconds": 1, "failureThreshold": 1 });
    bind(&host.api, "web", &container("sleep:1", &json!({ "readinessProbe": exec })));
    told(&host.api, "Unhealthy: Readiness probe failed: /data/healthy: No such file or directory").await;
    let status = wait_for(&host.api, "web", |status| status["phase"] == "Running").await;
    assert!(!is_ready(&status));
    std::fs::write(host.volume("web").join("healthy"), "yes").unwrap();
    wait_for(&host.api, "web", is_ready).await;
    std::fs::remove_file(host.volume("web").join("healthy")).unwrap();
    wait_for(&host.api, "web", |status| !is_ready(status)).await;

    for (name, image, probe) in [
        ("http", "http:1", json!({ "httpGet": { "path": "/", "port": "web" }, "periodSeconds": 1 })),
        ("tcp", "http:1", json!({ "tcpSocket": { "port": 8080 }, "periodSeconds": 1 })),
    ] {
        bind(&host.api, name, &container(image, &json!({ "readinessProbe": probe })));
        wait_for(&host.api, name, is_ready).await;
    }
    let missing = json!({ "httpGet": { "path": "/missing", "port": 8080 }, "periodSeconds": 1 });
    bind(&host.api, "missing", &container("http:1", &json!({ "readinessProbe": missing })));
    told(&host.api, "Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 404").await;
    let closed = json!({ "tcpSocket": { "port": 81 }, "periodSeconds": 1 });
    bind(&host.api, "closed", &container("http:1", &json!({ "readinessProbe": closed })));
    told(&host.api, "Unhealthy: Readiness probe failed: dial tcp 100.").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_fails_its_liveness_probe_is_restarted() {
    let host = WasmHost::start().await;
    let probe = json!({ "httpGet": { "path": "/no", "port": 8080 }, "periodSeconds": 1, "failureThreshold": 1 });
    bind(&host.api, "web", &container("http:1", &json!({ "livenessProbe": probe })));
    wait_for(&host.api, "web", |status| status["containerStatuses"][0]["restartCount"] == 1).await;
    told(&host.api, "Killing: Container c failed liveness probe, will be restarted").await;
    assert!(!host.api.recorded().iter().any(|event| event.starts_with("NotEnforced")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_grpc_server_is_asked_for_its_health() {
    let host = Host::start().await;
    let spec = |service: &str| {
        let probe = json!({ "grpc": { "port": 8080, "service": service }, "periodSeconds": 1 });
        container("grpc", &json!({ "readinessProbe": probe }))
    };
    host.bind("well", &spec("well"));
    host.wait("well", is_ready).await;
    host.bind("ill", &spec("ill"));
    host.event("Unhealthy: Readiness probe failed: service unhealthy (responded with \"NOT_SERVING\")").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hooks_run_after_the_start_and_before_the_end() {
    let host = WasmHost::start().await;
    let touch = |name: &str| json!({ "exec": { "command": ["touch", format!("/data/{name}")] } });
    let hooks = json!({ "lifecycle": { "postStart": touch("started"), "preStop": { "sleep": { "seconds": 1 } } } });
    bind(&host.api, "web", &container("sleep:1", &hooks));
    wait_for(&host.api, "web", |status| status["phase"] == "Running").await;
    assert!(host.volume("web").join("started").exists());
    let begun = Instant::now();
    delete(&host.api, "web", 30);
    assert!(eventually(|| host.api.get(&path("web")).is_none()).await);
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(8), "{took:?}");

    let bad = json!({ "lifecycle": { "postStart": { "exec": { "command": ["false"] } } } });
    bind(&host.api, "bad", &container("sleep:1", &bad));
    told(&host.api, "FailedPostStartHook: PostStartHook failed").await;
    wait_for(&host.api, "bad", |status| {
        status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PostStartHookError"
    })
    .await;
    let bad = json!({ "lifecycle": { "preStop": { "exec": { "command": ["false"] } } } });
    bind(&host.api, "worse", &container("sleep:1", &bad));
    wait_for(&host.api, "worse", |status| status["phase"] == "Running").await;
    delete(&host.api, "worse", 30);
    told(&host.api, "FailedPreStopHook: PreStopHook failed").await;
    assert!(eventually(|| host.api.get(&path("worse")).is_none()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_words_of_a_container_are_its_message() {
    let host = WasmHost::start().await;
    let message = |status: &Value| status["containerStatuses"][0]["state"]["terminated"]["message"].clone();
    let mut spec = container(
        "printer:1",
        &json!({ "args": ["write", "/run/last", "it is done"], "terminationMessagePath": "/run/last" }),
    );
    spec["restartPolicy"] = "Never".into();
    bind(&host.api, "file", &spec);
    let status = wait_for(&host.api, "file", |status| status["phase"] == "Succeeded").await;
    assert_eq!(message(&status), "it is done");

    let mut spec = container("printer:1", &json!({ "args": ["write", "/dev/termination-log", "by default"] }));
    spec["restartPolicy"] = "Never".into();
    bind(&host.api, "default", &spec);
    let status = wait_for(&host.api, "default", |status| status["phase"] == "Succeeded").await;
    assert_eq!(message(&status), "by default");

    let read_only = json!({ "args": ["write", "/tmp/x", "y"], "securityContext": { "readOnlyRootFilesystem": true } });
    let mut spec = container("printer:1", &read_only);
    spec["restartPolicy"] = "Never".into();
    bind(&host.api, "read-only", &spec);
    wait_for(&host.api, "read-only", |status| status["phase"] == "Failed").await;

    let mut spec = container(
        "printer:1",
        &json!({ "args": ["read", "/nowhere"], "terminationMessagePolicy": "FallbackToLogsOnError" }),
    );
    spec["restartPolicy"] = "Never".into();
    bind(&host.api, "log", &spec);
    let status = wait_for(&host.api, "log", |status| status["phase"] == "Failed").await;
    assert!(message(&status).as_str().is_some_and(|text| text.contains("Error")), "{status:#}");
}
