//! Slices that show what Endpoints say that somebody else keeps, for a Service without a selector.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::{EndpointAddress, EndpointSubset, Endpoints};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::behind::family_of;
use super::slices::Change;
use super::{MANAGED_BY, MIRRORED, SERVICE_NAME};
use crate::observed::Whole;
use crate::workload;

const SKIPPED: &str = "endpointslice.kubernetes.io/skip-mirror";
const LEADER: &str = "control-plane.alpha.kubernetes.io/leader";
/// Addresses of one subset that are shown.
const ADDRESSES_MAX: usize = 1000;

/// Whether the object wants to be mirrored.
pub(super) fn wants_mirror(endpoints: &Whole<Endpoints>) -> bool {
    let skipped = endpoints.label(SKIPPED) == Some("true");
    !skipped && endpoints.annotation(LEADER).is_none() && !endpoints.meta.deleting
}

/// Compares the Endpoints with their mirror. Without Endpoints the mirror goes.
pub(super) fn plan(source: Option<&Whole<Endpoints>>, slices: Vec<Arc<Whole<EndpointSlice>>>) -> Vec<Change> {
    let Some(source) = source else { return slices.into_iter().map(Change::Delete).collect() };
    let mut wanted = Vec::new();
    for subset in source.subsets.iter().flatten() {
        wanted.extend(shown(source, subset));
    }
    let mut changes = Vec::new();
    let mut slices = slices;
    for new in wanted {
        // Which slice shows what does not matter, but for the family, which a slice cannot change.
        let Some(place) = slices.iter().position(|slice| slice.address_type == new.address_type) else {
            changes.push(Change::Create(Box::new(new)));
            continue;
        };
        let slice = slices.remove(place);
        let mut metadata = slice.metadata().clone();
        metadata.labels = new.metadata.labels.clone();
        let new = EndpointSlice { metadata, ..new };
        if new != slice.object {
            changes.push(Change::Update(slice, Box::new(new)));
        }
    }
    changes.extend(slices.into_iter().map(Change::Delete));
    changes
}

fn shown(source: &Whole<Endpoints>, subset: &EndpointSubset) -> Vec<EndpointSlice> {
    let ports: Vec<EndpointPort> = subset
        .ports
        .iter()
        .flatten()
        .map(|port| EndpointPort {
            name: Some(port.name.clone().unwrap_or_default()),
            port: Some(port.port),
            protocol: port.protocol.clone().or_else(|| Some("TCP".to_owned())),
            app_protocol: port.app_protocol.clone(),
        })
        .collect();
    let mut families: BTreeMap<&str, Vec<Endpoint>> = BTreeMap::new();
    let ready = subset.addresses.iter().flatten().map(|address| (address, true));
    let unready = subset.not_ready_addresses.iter().flatten().map(|address| (address, false));
    for (address, ready) in ready.chain(unready).take(ADDRESSES_MAX) {
        families.entry(family_of(&address.ip)).or_default().push(endpoint(address, ready));
    }
    let slice = |(family, endpoints): (&str, Vec<Endpoint>)| EndpointSlice {
        metadata: metadata(source),
        address_type: family.to_owned(),
        endpoints,
        ports: Some(ports.clone()),
    };
    families.into_iter().map(slice).collect()
}

fn endpoint(address: &EndpointAddress, ready: bool) -> Endpoint {
    Endpoint {
        addresses: vec![address.ip.clone()],
        conditions: Some(EndpointConditions { ready: Some(ready), serving: None, terminating: None }),
        hostname: address.hostname.clone(),
        node_name: address.node_name.clone(),
        target_ref: address.target_ref.clone(),
        ..Endpoint::default()
    }
}

fn metadata(source: &Whole<Endpoints>) -> ObjectMeta {
    let mut labels = source.metadata().labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), source.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), MIRRORED.to_owned());
    ObjectMeta {
        generate_name: Some(workload::generate_name(source.name())),
        namespace: Some(source.namespace().to_owned()),
        labels: Some(labels),
        owner_references: Some(vec![source.controller_reference()]),
        ..ObjectMeta::default()
    }
}
