//! The kinds that the API serves, one file each.
//!
//! A new kind is one file with a `kind()` (its row and its behaviour) and one line in [`table`]. What several kinds
//! share has a room of its own: [`object_meta`] (metadata), [`validation`] (names, numbers, addresses, resources),
//! [`columns`] and [`age`] (tables), [`fields`] (reading JSON).

mod address_range;
pub mod admission_registration;
pub(crate) mod age;
pub mod api_service;
mod autoscaler;
mod binding;
pub mod certificate_signing_request;
pub(crate) mod columns;
mod component_status;
mod config_map;
mod controller_revision;
pub mod cron_job;
pub mod custom_resource_definition;
mod daemon_set;
mod deployment;
mod device;
mod endpoint_slice;
mod endpoints;
mod event;
pub(crate) mod fields;
pub mod flow_control;
mod ingress;
mod job;
mod lease;
mod limit_range;
pub mod namespace;
mod network_policy;
mod node;
pub mod object_meta;
mod persistent_volume;
mod persistent_volume_claim;
pub mod pod;
mod pod_disruption_budget;
mod pod_template;
pub mod priority_class;
pub mod rbac;
mod replica_set;
mod replication_controller;
mod resource_quota;
mod review;
mod runtime_class;
pub mod scale;
mod secret;
pub mod service;
mod service_account;
pub(crate) mod spec_status;
mod stateful_set;
mod storage;
pub mod validation;
pub(crate) mod workload;

use std::sync::{Arc, LazyLock};

use crate::kind::Kind;

static KINDS: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| table().into_iter().map(Arc::new).collect());
static REQUEST_KINDS: LazyLock<Vec<Arc<Kind>>> = LazyLock::new(|| {
    [binding::binding_kind, binding::eviction_kind, scale::kind, review::token_request_kind]
        .into_iter()
        .map(|kind| Arc::new(kind()))
        .collect()
});

/// Every resource that is served, in discovery's order: by group, then by plural.
#[must_use]
pub fn kinds() -> &'static [Arc<Kind>] {
    &KINDS
}

/// Kinds that are bodies of requests to a subresource and are never stored.
#[must_use]
pub fn request_kinds() -> &'static [Arc<Kind>] {
    &REQUEST_KINDS
}

/// The kind behind a path: `group` is empty for core.
#[must_use]
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Arc<Kind>> {
    kinds().iter().find(|kind| kind.plural == plural && kind.group == group && kind.version == version)
}

/// The kind that an object names with `apiVersion` and `kind`; request bodies included.
#[must_use]
pub fn find_kind(group: &str, version: &str, name: &str) -> Option<&'static Arc<Kind>> {
    kinds()
        .iter()
        .chain(request_kinds())
        .find(|kind| kind.kind == name && kind.group == group && kind.version == version)
}

/// Kinds that make pods, and what they keep.
const WORKLOADS: &[fn() -> Kind] = &[
    controller_revision::kind,
    daemon_set::kind,
    deployment::kind,
    replica_set::kind,
    stateful_set::kind,
    cron_job::kind,
    job::kind,
];

/// Kinds that say what others may do, and how they find each other.
const POLICIES: &[fn() -> Kind] = &[
    autoscaler::kind,
    autoscaler::old_kind,
    certificate_signing_request::kind,
    ingress::class_kind,
    ingress::kind,
    address_range::address_kind,
    network_policy::kind,
    address_range::service_range_kind,
    pod_disruption_budget::kind,
    priority_class::kind,
    runtime_class::kind,
    endpoint_slice::kind,
];

fn table() -> Vec<Kind> {
    let mut kinds = vec![
        binding::binding_kind(),
        component_status::kind(),
        config_map::kind(),
        endpoints::kind(),
        event::core_kind(),
        limit_range::kind(),
        namespace::kind(),
        node::kind(),
        persistent_volume::kind(),
        persistent_volume_claim::kind(),
        pod::kind(),
        pod_template::kind(),
        replication_controller::kind(),
        resource_quota::kind(),
        secret::kind(),
        service::kind(),
        service_account::kind(),
        api_service::kind(),
        event::group_kind(),
        lease::kind(),
        custom_resource_definition::kind(),
    ];
    kinds.extend(WORKLOADS.iter().map(|kind| kind()));
    kinds.extend(POLICIES.iter().map(|kind| kind()));
    kinds.extend(rbac::kinds());
    kinds.extend(storage::kinds());
    kinds.extend(admission_registration::kinds());
    kinds.extend(flow_control::kinds());
    kinds.extend(device::kinds());
    kinds.extend(review::authentication_kinds());
    kinds.extend(review::authorization_kinds());
    kinds
}

#[cfg(test)]
mod tests;
