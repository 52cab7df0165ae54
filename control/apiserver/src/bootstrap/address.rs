//! The service `default/kubernetes`, by which pods find the API server, and the address behind it.

use std::net::SocketAddr;

use coracle_control_api::kinds::service::allocate::KUBERNETES_ADDRESS;
use serde_json::{Value, json};

use super::{Wanted, with_fields};

const NAME: &str = "kubernetes";
/// The port of the service.
const PORT: u16 = 443;

/// The service and its endpoint; nothing for a server without an address.
pub(super) fn objects(advertised: &str) -> Vec<Wanted> {
    let Ok(address) = advertised.parse::<SocketAddr>() else { return Vec::new() };
    let (ip, port) = (address.ip().to_string(), address.port());
    let metadata = |labels: Value| json!({"name": NAME, "namespace": "default", "labels": labels});
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": metadata(json!({"component": "apiserver", "provider": NAME})),
        "spec": {
            "type": "ClusterIP", "sessionAffinity": "None", "internalTrafficPolicy": "Cluster",
            "clusterIP": KUBERNETES_ADDRESS.to_string(), "clusterIPs": [KUBERNETES_ADDRESS.to_string()],
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "https", "port": PORT, "protocol": "TCP", "targetPort": port}],
        },
    });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints",
        "metadata": metadata(json!({"endpointslice.kubernetes.io/skip-mirror": "true"})),
        "subsets": [{
            "addresses": [{"ip": ip}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
        }],
    });
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": metadata(json!({"kubernetes.io/service-name": NAME})),
        "addressType": if address.is_ipv4() { "IPv4" } else { "IPv6" },
        "endpoints": [{"addresses": [ip], "conditions": {"ready": true}}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    });
    [
        Wanted::new("", "services", service, repair_service),
        Wanted::new("", "endpoints", endpoints, |current, made| with_fields(current, made, &["subsets"])),
        Wanted::new("discovery.k8s.io", "endpointslices", slice, |current, made| {
            with_fields(current, made, &["addressType", "endpoints", "ports"])
        }),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The port of the server may be another one than at the last start.
fn repair_service(current: &Value, made: &Value) -> Option<Value> {
    let ports = made.pointer("/spec/ports")?;
    if current.pointer("/spec/ports") == Some(ports) {
        return None;
    }
    let mut object = current.clone();
    object["spec"]["ports"] = ports.clone();
    Some(object)
}
