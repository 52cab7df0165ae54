//! Volumes, from the API's objects to the files, with containers that are not there.

use std::path::PathBuf;

use super::*;

fn map(name: &str) -> String {
    format!("/api/v1/namespaces/shop/configmaps/{name}")
}

fn config_map(name: &str, data: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name, "namespace": "shop" }, "data": data })
}

fn with_volume(volume: &Value, mount: &Value) -> Value {
    let mut volume = volume.clone();
    volume["name"] = "v".into();
    let mut mount = mount.clone();
    mount["name"] = "v".into();
    json!({ "containers": [{ "name": "c", "image": "run", "volumeMounts": [mount] }], "volumes": [volume] })
}

impl Host {
    /// A file of the volume `v` of a pod, on the disk or in memory.
    fn file(&self, pod: &str, place: &str, path: &str) -> PathBuf {
        let root = self.directory.path().join(place);
        root.join(format!("uid-{pod}")).join("volumes").join("v").join(path)
    }

    async fn shows(&self, file: &std::path::Path, text: &str) {
        let read = || std::fs::read_to_string(file).ok();
        assert!(eventually(|| read().as_deref() == Some(text)).await, "{} has {:?}", file.display(), read());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_waits_for_its_config_map_and_sees_it_change() {
    let host = Host::start().await;
    host.bind("web", &with_volume(&json!({ "configMap": { "name": "cfg" } }), &json!({ "mountPath": "/cfg" })));
    host.event("FailedMount: MountVolume.SetUp failed for volume \"v\" : configmap \"cfg\" not found").await;
    let status = host.wait("web", |status| status["containerStatuses"].is_array()).await;
    assert_eq!(status["containerStatuses"][0]["state"]["waiting"]["reason"], "ContainerCreating");
    host.api.put(&map("cfg"), config_map("cfg", &json!({ "a": "1" })));
    host.phase("web", "Running").await;
    let file = host.file("web", "pods", "a");
    host.shows(&file, "1").await;
    host.api.put(&map("cfg"), config_map("cfg", &json!({ "a": "2", "b": "2" })));
    host.shows(&file, "2").await;
    host.shows(&host.file("web", "pods", "b"), "2").await;
    host.api.remove(&map("cfg"));
    host.event("FailedMount").await;
    host.shows(&file, "2").await;
    delete(&host.api, "web", 0);
    assert!(eventually(|| host.pod("web").is_none()).await);
    assert!(eventually(|| !host.directory.path().join("pods/uid-web").exists()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_that_waits_for_a_volume_can_be_deleted() {
    let host = Host::start().await;
    host.bind("web", &with_volume(&json!({ "configMap": { "name": "cfg" } }), &json!({ "mountPath": "/cfg" })));
    host.event("FailedMount").await;
    delete(&host.api, "web", 30);
    assert!(eventually(|| host.pod("web").is_none()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_volume_waits_for_its_token_and_is_kept_in_memory() {
    let host = Host::start().await;
    host.api.put(&map("kube-root-ca.crt"), config_map("kube-root-ca.crt", &json!({ "ca.crt": "CA" })));
    let volume = json!({ "projected": { "defaultMode": 420, "sources": [
        { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
        { "configMap": { "name": "kube-root-ca.crt", "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
        { "downwardAPI": { "items": [{ "path": "namespace", "fieldRef": { "fieldPath": "metadata.namespace" } }] } },
    ] } });
    host.bind("web", &with_volume(&volume, &json!({ "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" })));
    host.event("FailedMount: MountVolume.SetUp failed for volume \"v\" : failed to fetch token: ").await;
    host.api.issue_tokens("ey.one");
    host.phase("web", "Running").await;
    for (name, text) in [("token", "ey.one"), ("ca.crt", "CA"), ("namespace", "shop")] {
        host.shows(&host.file("web", "memory", name), text).await;
    }
    assert!(!host.file("web", "pods", "token").exists());
    let asked = host.api.writes("POST", "/api/v1/namespaces/shop/serviceaccounts/default/token");
    let bound = &asked.last().unwrap()["spec"]["boundObjectRef"];
    assert_eq!((&bound["kind"], &bound["name"], &bound["uid"]), (&json!("Pod"), &json!("web"), &json!("uid-web")));
    host.agent.stop(Duration::from_secs(1)).await;
    assert!(!host.directory.path().join("memory/uid-web").exists(), "no secret outlives the host's process");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_of_a_running_pod_reach_its_downward_volume() {
    let host = Host::start().await;
    let items = json!([{ "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } }]);
    host.bind("web", &with_volume(&json!({ "downwardAPI": { "items": items } }), &json!({ "mountPath": "/pod" })));
    host.phase("web", "Running").await;
    host.shows(&host.file("web", "memory", "labels"), "").await;
    host.api.change(&path("web"), |pod| pod["metadata"]["labels"] = json!({ "tier": "x" }));
    host.shows(&host.file("web", "memory", "labels"), "tier=\"x\"").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_machines_directories_are_given_only_where_the_host_shares_them() {
    let host = Host::start().await;
    let shared = host.directory.path().join("shared");
    std::fs::create_dir_all(&shared).unwrap();
    let volume = |path: &std::path::Path| {
        with_volume(&json!({ "hostPath": { "path": path, "type": "Directory" } }), &json!({ "mountPath": "/host" }))
    };
    host.bind("outside", &volume(std::path::Path::new("/etc")));
    let text = format!(
        "FailedMount: MountVolume.SetUp failed for volume \"v\" : hostPath /etc: this host shares only {}",
        shared.display()
    );
    host.event(&text).await;
    host.bind("inside", &volume(&shared));
    host.phase("inside", "Running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_container_goes_on_once_what_its_environment_lacks_is_there() {
    let host = Host::start().await;
    let env = json!([{ "name": "A", "valueFrom": { "configMapKeyRef": { "name": "cfg", "key": "a" } } }]);
    host.bind("web", &json!({ "containers": [{ "name": "c", "image": "run", "env": env }] }));
    let waiting = |status: &Value| status["containerStatuses"][0]["state"]["waiting"].clone();
    let status = host.wait("web", |status| waiting(status)["message"].is_string()).await;
    assert_eq!(waiting(&status)["reason"], "CreateContainerConfigError");
    assert_eq!(waiting(&status)["message"], "configmap \"cfg\" not found");
    let begun = Instant::now();
    host.api.put(&map("cfg"), config_map("cfg", &json!({ "a": "1" })));
    host.phase("web", "Running").await;
    assert!(begun.elapsed() < Duration::from_millis(900), "the watch, not the clock, goes on: {:?}", begun.elapsed());
}
