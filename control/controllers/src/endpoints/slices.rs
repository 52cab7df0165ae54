//! How addresses are spread over slices: an address stays where it is, so that few slices change when one comes or goes.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::behind::{Behind, families, is_headless};
use super::{HEADLESS, MANAGED_BY, OURS, SERVICE_NAME};
use crate::observed::Whole;
use crate::workload;

/// Endpoints in one slice.
const ENDPOINTS_MAX: usize = 100;

/// What to do with a slice.
#[derive(Debug)]
pub(super) enum Change {
    Create(Box<EndpointSlice>),
    Update(Arc<Whole<EndpointSlice>>, Box<EndpointSlice>),
    Delete(Arc<Whole<EndpointSlice>>),
}

/// Slices of one family whose endpoints have the same ports.
type Group = (String, String);

fn group(family: &str, ports: &[EndpointPort]) -> Group {
    (family.to_owned(), serde_json::to_string(ports).unwrap_or_default())
}

/// Compares what is behind the Service with the slices that there are.
pub(super) fn plan(service: &Whole<Service>, behind: &[Behind], slices: Vec<Arc<Whole<EndpointSlice>>>) -> Vec<Change> {
    let mut wanted: BTreeMap<Group, (Vec<EndpointPort>, Vec<Endpoint>)> = BTreeMap::new();
    for behind in behind {
        let entry =
            wanted.entry(group(behind.family, &behind.ports)).or_insert_with(|| (behind.ports.clone(), Vec::new()));
        entry.1.push(behind.endpoint.clone());
    }
    for family in families(service) {
        // A Service with nothing behind it has an empty slice, so that everybody knows that nothing is there.
        if !behind.iter().any(|behind| behind.family == family) {
            wanted.insert(group(family, &[]), (Vec::new(), Vec::new()));
        }
    }
    let mut there: BTreeMap<Group, Vec<Arc<Whole<EndpointSlice>>>> = BTreeMap::new();
    for slice in slices {
        let group = group(&slice.address_type, slice.ports.as_deref().unwrap_or_default());
        there.entry(group).or_default().push(slice);
    }
    let mut changes = Vec::new();
    for (group, (ports, endpoints)) in wanted {
        let known = there.remove(&group).unwrap_or_default();
        changes.extend(spread(service, &group.0, &ports, endpoints, known));
    }
    changes.extend(there.into_values().flatten().map(Change::Delete));
    changes
}

fn identity(endpoint: &Endpoint) -> (Option<String>, Vec<String>) {
    (endpoint.target_ref.as_ref().and_then(|target| target.uid.clone()), endpoint.addresses.clone())
}

fn spread(
    service: &Whole<Service>,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    known: Vec<Arc<Whole<EndpointSlice>>>,
) -> Vec<Change> {
    let mut rest: BTreeMap<_, Endpoint> =
        endpoints.into_iter().map(|endpoint| (identity(&endpoint), endpoint)).collect();
    let mut kept: Vec<(Arc<Whole<EndpointSlice>>, Vec<Endpoint>)> = Vec::with_capacity(known.len());
    for slice in known {
        let stay = slice.endpoints.iter().filter_map(|endpoint| rest.remove(&identity(endpoint)));
        let stay = stay.take(ENDPOINTS_MAX).collect();
        kept.push((slice, stay));
    }
    let mut rest = rest.into_values();
    for (_, stay) in &mut kept {
        let room = ENDPOINTS_MAX - stay.len();
        stay.extend(rest.by_ref().take(room));
    }
    let mut changes = Vec::new();
    let mut full: usize = kept.iter().filter(|(_, stay)| !stay.is_empty()).count();
    for (slice, stay) in kept {
        if stay.is_empty() && full > 0 {
            changes.push(Change::Delete(slice));
            continue;
        }
        // The one empty slice that stays counts as much as a full one: no other empty one stays beside it.
        full = full.max(1);
        let new = described(service, family, ports, stay, Some(&slice));
        if new != slice.object {
            changes.push(Change::Update(slice, Box::new(new)));
        }
    }
    loop {
        let batch: Vec<Endpoint> = rest.by_ref().take(ENDPOINTS_MAX).collect();
        if batch.is_empty() && full > 0 {
            return changes;
        }
        full += 1;
        changes.push(Change::Create(Box::new(described(service, family, ports, batch, None))));
    }
}

fn described(
    service: &Whole<Service>,
    family: &str,
    ports: &[EndpointPort],
    endpoints: Vec<Endpoint>,
    known: Option<&Whole<EndpointSlice>>,
) -> EndpointSlice {
    let mut labels = service.metadata().labels.clone().unwrap_or_default();
    labels.insert(SERVICE_NAME.to_owned(), service.name().to_owned());
    labels.insert(MANAGED_BY.to_owned(), OURS.to_owned());
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    } else {
        labels.remove(HEADLESS);
    }
    let mut metadata = known.map_or_else(
        || ObjectMeta {
            generate_name: Some(workload::generate_name(service.name())),
            namespace: Some(service.namespace().to_owned()),
            owner_references: Some(vec![service.controller_reference()]),
            ..ObjectMeta::default()
        },
        |known| known.metadata().clone(),
    );
    metadata.labels = Some(labels);
    let ports = match known {
        // An empty list may be stored as none.
        Some(known) if ports.is_empty() => known.ports.clone(),
        _ => Some(ports.to_vec()),
    };
    EndpointSlice { metadata, address_type: family.to_owned(), endpoints, ports }
}
