//! How a table shows a service.

use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::Column;
use crate::kinds::columns::{self, NONE};
use crate::kinds::fields::Fields;
use crate::kinds::workload;

const TYPE: &str = "type determines how the Service is exposed. Defaults to ClusterIP. Valid options are ExternalName, ClusterIP, NodePort, and LoadBalancer. \"ClusterIP\" allocates a cluster-internal IP address for load-balancing to endpoints. Endpoints are determined by the selector or if that is not specified, by manual construction of an Endpoints object or EndpointSlice objects. If clusterIP is \"None\", no virtual IP is allocated and the endpoints are published as a set of endpoints rather than a virtual IP. \"NodePort\" builds on ClusterIP and allocates a port on every node which routes to the same endpoints as the clusterIP. \"LoadBalancer\" builds on NodePort and creates an external load-balancer (if supported in the current cloud) which routes to the same endpoints as the clusterIP. \"ExternalName\" aliases this service to the specified externalName. Several other fields do not apply to ExternalName services. More info: https://kubernetes.io/docs/concepts/services-networking/service/#publishing-services-service-types";
const ADDRESS: &str = "clusterIP is the IP address of the service and is usually assigned randomly. If an address is specified manually, is in-range (as per system configuration), and is not in use, it will be allocated to the service; otherwise creation of the service will fail. This field may not be changed through updates unless the type field is also being changed to ExternalName (which requires this field to be blank) or the type field is being changed from ExternalName (in which case this field may optionally be specified, as describe above).  Valid values are \"None\", empty string (\"\"), or a valid IP address. Setting this to \"None\" makes a \"headless service\" (no virtual IP), which is useful when direct endpoint connections are preferred and proxying is not required.  Only applies to types ClusterIP, NodePort, and LoadBalancer. If this field is specified when creating a Service of type ExternalName, creation will fail. This field will be wiped when updating a Service to type ExternalName. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies";
const EXTERNAL: &str = "externalIPs is a list of IP addresses for which nodes in the cluster will also accept traffic for this service.  These IPs are not managed by Kubernetes.  The user is responsible for ensuring that traffic arrives at a node with this IP.  A common example is external load-balancers that are not part of the Kubernetes system.";
const PORTS: &str = "The list of ports that are exposed by this service. More info: https://kubernetes.io/docs/concepts/services-networking/service/#virtual-ips-and-service-proxies";
const SELECTOR: &str = "Route service traffic to pods with label keys and values matching this selector. If empty or not present, the service is assumed to have an external process managing its endpoints, which Kubernetes will not modify. Only applies to types ClusterIP, NodePort, and LoadBalancer. Ignored if type is ExternalName. More info: https://kubernetes.io/docs/concepts/services-networking/service/";

static COLUMNS: LazyLock<Vec<Column>> = LazyLock::new(|| {
    vec![
        columns::name(),
        columns::text("Type", TYPE),
        columns::text("Cluster-IP", ADDRESS),
        columns::text("External-IP", EXTERNAL),
        columns::text("Port(s)", PORTS),
        columns::age(),
        columns::wide("Selector", SELECTOR),
    ]
});

pub(super) fn columns() -> &'static [Column] {
    &COLUMNS
}

pub(super) fn cells(service: &Value, now: Timestamp) -> Vec<Value> {
    let spec = workload::part(service, "spec");
    let address = spec.texts("clusterIPs").first().copied().unwrap_or_default();
    vec![
        columns::name_cell(service),
        Value::from(spec.text("type")),
        columns::or_none(address),
        Value::from(external(service)),
        columns::or_none(&ports(spec)),
        columns::age_cell(service, now),
        workload::labels_cell(spec.child("selector")),
    ]
}

/// How it is reached from outside.
fn external(service: &Value) -> String {
    let spec = workload::part(service, "spec");
    let mut addresses = spec.texts("externalIPs");
    match spec.text("type") {
        "ClusterIP" | "NodePort" if addresses.is_empty() => NONE.to_owned(),
        "ClusterIP" | "NodePort" => addresses.join(","),
        "LoadBalancer" => {
            let balancer = workload::part(workload::part(service, "status"), "loadBalancer");
            let mut shown: Vec<&str> = balancer
                .list("ingress")
                .iter()
                .map(|ingress| match ingress.text("ip") {
                    "" => ingress.text("hostname"),
                    ip => ip,
                })
                .filter(|text| !text.is_empty())
                .collect();
            shown.sort_unstable();
            shown.dedup();
            shown.append(&mut addresses);
            if shown.is_empty() { "<pending>".to_owned() } else { shown.join(",") }
        }
        "ExternalName" => spec.text("externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

fn ports(spec: &Value) -> String {
    let ports: Vec<String> = spec
        .list("ports")
        .iter()
        .map(|port| {
            let (number, protocol) = (port.int("port").unwrap_or(0), port.text("protocol"));
            match port.int("nodePort").unwrap_or(0) {
                0 => format!("{number}/{protocol}"),
                node_port => format!("{number}:{node_port}/{protocol}"),
            }
        })
        .collect();
    ports.join(",")
}
