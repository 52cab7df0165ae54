//! The pods behind a Service, with the ports that they answer on, and the Endpoints object that lists them.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{
    EndpointAddress, EndpointPort as OldPort, EndpointSubset, Endpoints, ObjectReference, Service, ServicePort,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::HEADLESS;
use crate::observed::{Pod, Whole};

/// Who keeps an Endpoints object.
pub(super) const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
pub(super) const OURS: &str = "endpoint-controller";
const OVER_CAPACITY: &str = "endpoints.kubernetes.io/over-capacity";
/// Addresses that one Endpoints object lists.
const ADDRESSES_MAX: usize = 1000;

/// One address behind a Service.
#[derive(Clone, Debug)]
pub(super) struct Behind {
    /// IPv4 or IPv6.
    pub(super) family: &'static str,
    pub(super) ports: Vec<EndpointPort>,
    pub(super) endpoint: Endpoint,
}

pub(super) fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub(super) fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

/// The families that the Service has addresses of.
pub(super) fn families(service: &Service) -> Vec<&'static str> {
    let listed = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref()).into_iter().flatten();
    let mut families: Vec<_> = listed.map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" }).collect();
    if families.is_empty() {
        families.push("IPv4");
    }
    families
}

/// The addresses of the pods that have not ended, in the families of the Service.
pub(super) fn behind(
    service: &Whole<Service>,
    pods: &[Arc<Pod>],
    zone: impl Fn(&str) -> Option<String>,
) -> Vec<Behind> {
    let mut found = Vec::new();
    for pod in pods.iter().filter(|pod| !pod.finished) {
        let ports = ports_of(service, pod);
        if ports.is_empty() && !is_headless(service) {
            continue;
        }
        for family in families(service) {
            let Some(address) = pod.addresses.iter().find(|address| family_of(address) == family) else { continue };
            let endpoint = endpoint(service, pod, address, pod.node_name.as_deref().and_then(&zone));
            found.push(Behind { family, ports: ports.clone(), endpoint });
        }
    }
    found
}

fn publishes_unready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

fn endpoint(service: &Whole<Service>, pod: &Pod, address: &str, zone: Option<String>) -> Endpoint {
    let (serving, terminating) = (pod.is_ready(), pod.meta.deleting);
    let hostname = pod.hostname.as_deref().filter(|_| pod.subdomain.as_deref() == Some(service.name()));
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(publishes_unready(service) || (serving && !terminating)),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname.map(str::to_owned),
        node_name: pod.node_name.as_deref().map(str::to_owned),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.meta.key.namespace.to_string()),
            name: Some(pod.meta.key.name.to_string()),
            uid: Some(pod.meta.uid.to_string()),
            ..ObjectReference::default()
        }),
        zone,
        ..Endpoint::default()
    }
}

/// The ports of the Service as this pod has them. One that the pod does not have by its name is left out.
fn ports_of(service: &Service, pod: &Pod) -> Vec<EndpointPort> {
    let listed = service.spec.as_ref().and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
    let port = |port: &ServicePort| {
        Some(EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
            port: Some(number_of(port, pod)?),
            app_protocol: port.app_protocol.clone(),
        })
    };
    listed.filter_map(port).collect()
}

fn number_of(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match port.target_port.as_ref() {
        None | Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(name)) => {
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            let named = pod.ports.iter().find(|known| *known.name == **name && *known.protocol == *protocol);
            named.map(|named| named.port)
        }
    }
}

/// The Endpoints object: addresses of the first family, grouped by their ports. Annotations of others stay.
pub(super) fn endpoints(service: &Whole<Service>, behind: &[Behind], known: Option<&Whole<Endpoints>>) -> Endpoints {
    let first = families(service).first().copied().unwrap_or("IPv4");
    let mut ours: Vec<&Behind> =
        behind.iter().filter(|behind| behind.family == first && is_listed(service, behind)).collect();
    // Those that are ready stay when there is no room for all.
    ours.sort_by_key(|behind| (!is_ready(&behind.endpoint), behind.endpoint.addresses.first().cloned()));
    let over = ours.len() > ADDRESSES_MAX;
    ours.truncate(ADDRESSES_MAX);
    let mut groups: BTreeMap<String, EndpointSubset> = BTreeMap::new();
    for behind in ours {
        let group = groups.entry(serde_json::to_string(&behind.ports).unwrap_or_default()).or_default();
        group.ports = Some(behind.ports.iter().map(old_port).collect()).filter(|ports: &Vec<_>| !ports.is_empty());
        let list = if is_ready(&behind.endpoint) { &mut group.addresses } else { &mut group.not_ready_addresses };
        list.get_or_insert_default().push(old_address(&behind.endpoint));
    }
    let mut labels = service.metadata().labels.clone().unwrap_or_default();
    labels.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    let mut wanted = known.map_or_else(Endpoints::default, |known| known.object.clone());
    let metadata = &mut wanted.metadata;
    metadata.name = Some(service.name().to_owned());
    metadata.namespace = Some(service.namespace().to_owned());
    metadata.labels = Some(labels);
    note_capacity(metadata, over);
    wanted.subsets = Some(groups.into_values().collect()).filter(|subsets: &Vec<_>| !subsets.is_empty());
    wanted
}

fn note_capacity(metadata: &mut ObjectMeta, over: bool) {
    if over {
        let annotations = metadata.annotations.get_or_insert_default();
        annotations.insert(OVER_CAPACITY.to_owned(), "truncated".to_owned());
    } else if let Some(annotations) = &mut metadata.annotations {
        annotations.remove(OVER_CAPACITY);
    }
}

/// A pod that is being deleted is listed only if all addresses are to be published.
fn is_listed(service: &Service, behind: &Behind) -> bool {
    let terminating = behind.endpoint.conditions.as_ref().and_then(|conditions| conditions.terminating);
    publishes_unready(service) || terminating != Some(true)
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready) == Some(true)
}

fn old_port(port: &EndpointPort) -> OldPort {
    OldPort {
        name: port.name.clone().filter(|name| !name.is_empty()),
        port: port.port.unwrap_or(0),
        protocol: port.protocol.clone(),
        app_protocol: port.app_protocol.clone(),
    }
}

fn old_address(endpoint: &Endpoint) -> EndpointAddress {
    EndpointAddress {
        ip: endpoint.addresses.first().cloned().unwrap_or_default(),
        hostname: endpoint.hostname.clone(),
        node_name: endpoint.node_name.clone(),
        target_ref: endpoint.target_ref.clone(),
    }
}
