//! How much a whole pod asks for, from what its containers ask for.
//!
//! The rule is upstream's (Kubernetes documentation, "Sidecar containers", resource sharing within containers): containers run together,
//! so they add up; plain init containers run one after another, so the largest counts; an init container that restarts
//! always (a sidecar) keeps running, so it adds to all that come after it. `spec.resources` of the pod replaces the sum for
//! the resources that it names; `spec.overhead` comes on top.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::resources::Resources;

/// What a container without a CPU request counts in scores, in thousandths of a core. Upstream's number.
pub const MILLI_CPU_DEFAULT: i64 = 100;
/// What a container without a memory request counts in scores, in bytes. Upstream's number.
pub const MEMORY_BYTES_DEFAULT: i64 = 200 * 1024 * 1024;

/// What the pod takes from its node.
pub(super) fn requested(spec: &api::PodSpec) -> Resources {
    sum(spec, &container_requests)
}

/// What the pod weighs in the scores.
pub(super) fn scored(spec: &api::PodSpec) -> Resources {
    sum(spec, &|container| {
        let mut requests = container_requests(container);
        let named = |name: &str| names(container.resources.as_ref(), name);
        if !named("cpu") {
            requests.milli_cpu = MILLI_CPU_DEFAULT;
        }
        if !named("memory") {
            requests.memory_bytes = MEMORY_BYTES_DEFAULT;
        }
        requests
    })
}

fn sum(spec: &api::PodSpec, of: &dyn Fn(&api::Container) -> Resources) -> Resources {
    let mut together = Resources::default();
    for container in &spec.containers {
        together.add(&of(container));
    }
    let mut sidecars = Resources::default();
    let mut starting_peak = Resources::default();
    for container in spec.init_containers.iter().flatten() {
        if container.restart_policy.as_deref() == Some("Always") {
            sidecars.add(&of(container));
            starting_peak.raise_to(&sidecars);
        } else {
            let mut starting = of(container);
            starting.add(&sidecars);
            starting_peak.raise_to(&starting);
        }
    }
    together.add(&sidecars);
    together.raise_to(&starting_peak);
    replace_by_pod_level(&mut together, spec.resources.as_ref());
    if let Some(overhead) = &spec.overhead {
        together.add(&Resources::from_list(overhead));
    }
    together
}

/// A container's requests; where it names only a limit, the API server's defaulting has made that the request already, and
/// objects that came past that defaulting are read the same way here.
fn container_requests(container: &api::Container) -> Resources {
    container.resources.as_ref().map(|resources| Resources::from_list(&effective(resources))).unwrap_or_default()
}

fn effective(resources: &api::ResourceRequirements) -> BTreeMap<String, Quantity> {
    let mut list = resources.limits.clone().unwrap_or_default();
    list.extend(resources.requests.clone().unwrap_or_default());
    list
}

fn names(resources: Option<&api::ResourceRequirements>, name: &str) -> bool {
    let listed = |list: &Option<BTreeMap<String, Quantity>>| list.as_ref().is_some_and(|list| list.contains_key(name));
    resources.is_some_and(|resources| listed(&resources.requests) || listed(&resources.limits))
}

fn replace_by_pod_level(total: &mut Resources, pod_level: Option<&api::ResourceRequirements>) {
    let Some(pod_level) = pod_level else { return };
    let amounts = Resources::from_list(&effective(pod_level));
    if names(Some(pod_level), "cpu") {
        total.milli_cpu = amounts.milli_cpu;
    }
    if names(Some(pod_level), "memory") {
        total.memory_bytes = amounts.memory_bytes;
    }
    total.scalars.extend(amounts.scalars);
}
