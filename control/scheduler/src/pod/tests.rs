use std::sync::Arc;

use serde_json::{Value, json};

use super::{HostPort, MEMORY_BYTES_DEFAULT, MILLI_CPU_DEFAULT, Pod};

/// A waiting pod with this name and spec.
pub(crate) fn pod(name: &str, spec: Value) -> Pod {
    pod_object(&json!({
        "metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}")},
        "spec": with_defaults(spec),
    }))
}

/// A waiting pod whose one container asks for these amounts.
pub(crate) fn pod_asking(name: &str, requests: &Value) -> Arc<Pod> {
    Arc::new(pod(name, json!({"containers": [{"name": "main", "resources": {"requests": requests}}]})))
}

pub(crate) fn pod_object(object: &Value) -> Pod {
    Pod::from_api(&serde_json::from_value(object.clone()).expect("the test's pod is a Pod"))
}

fn with_defaults(mut spec: Value) -> Value {
    let fields = spec.as_object_mut().expect("a spec is an object");
    fields.entry("schedulerName").or_insert(json!("default-scheduler"));
    fields.entry("containers").or_insert(json!([{"name": "main"}]));
    spec
}

fn amounts(spec: Value) -> (i64, i64) {
    let requests = &pod("p", spec).requirements.requests;
    (requests.milli_cpu, requests.memory_bytes)
}

#[test]
fn containers_add_up() {
    let container = json!({"name": "c", "resources": {"requests": {"cpu": "250m", "memory": "64Mi"}}});
    assert_eq!(amounts(json!({"containers": [container, container]})), (500, 128 << 20));
}

#[test]
fn a_limit_without_a_request_counts_as_the_request() {
    let spec = json!({"containers": [{"name": "c", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]});
    assert_eq!(amounts(spec), (1000, 1 << 30));
}

#[test]
fn init_containers_count_by_their_peak_and_sidecars_by_their_sum() {
    let spec = json!({
        "initContainers": [
            {"name": "first", "resources": {"requests": {"cpu": "700m"}}},
            {"name": "sidecar", "restartPolicy": "Always", "resources": {"requests": {"cpu": "200m"}}},
            {"name": "last", "resources": {"requests": {"cpu": "600m"}}},
        ],
        "containers": [{"name": "main", "resources": {"requests": {"cpu": "500m"}}}],
    });
    assert_eq!(amounts(spec).0, 800, "the last init container runs beside the sidecar: 600 + 200");
}

#[test]
fn pod_level_requests_replace_the_sum_and_overhead_comes_on_top() {
    let spec = json!({
        "containers": [{"name": "main", "resources": {"requests": {"cpu": "500m", "memory": "1Mi"}}}],
        "resources": {"requests": {"cpu": "2"}},
        "overhead": {"cpu": "10m", "memory": "1Mi"},
    });
    assert_eq!(amounts(spec), (2010, 2 << 20));
}

#[test]
fn fuel_is_a_budget_and_not_a_share_of_the_node() {
    let spec = json!({"containers": [{"name": "main", "resources": {
        "limits": {"coracle.dev/fuel": "1000000", "example.com/dongle": "2"},
        "requests": {"coracle.dev/fuel": "1000000", "example.com/dongle": "2"},
    }}]});
    let scalars = pod("p", spec).requirements.requests.scalars.clone();
    assert_eq!(scalars.into_iter().collect::<Vec<_>>(), [("example.com/dongle".to_owned(), 2)]);
}

#[test]
fn a_container_that_asks_for_nothing_still_weighs_something_in_scores() {
    let requirements = pod("p", json!({})).requirements;
    assert_eq!(requirements.requests.milli_cpu, 0);
    assert_eq!(requirements.scored_milli_cpu, MILLI_CPU_DEFAULT);
    assert_eq!(requirements.scored_memory_bytes, MEMORY_BYTES_DEFAULT);
}

#[test]
fn host_ports_have_protocol_and_address_filled_in() {
    let spec = json!({"containers": [{"name": "main", "ports": [
        {"containerPort": 80, "hostPort": 8080}, {"containerPort": 81}, {"containerPort": 53, "hostPort": 53, "protocol": "UDP", "hostIP": "127.0.0.1"},
    ]}]});
    let port =
        |protocol: &str, port, address: &str| HostPort { protocol: protocol.into(), port, address: address.into() };
    assert_eq!(pod("p", spec).requirements.host_ports, [port("TCP", 8080, "0.0.0.0"), port("UDP", 53, "127.0.0.1")]);
}

#[test]
fn a_pod_without_spec_or_status_is_read_without_complaint() {
    let pod = pod_object(&json!({"metadata": {"name": "bare"}}));
    assert_eq!(&*pod.key.name, "bare");
    assert_eq!(pod.node_name, None);
}
