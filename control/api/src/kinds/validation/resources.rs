//! Names and amounts of resources: `cpu`, `memory`, `hugepages-2Mi`, `example.com/widget`.

use std::str::FromStr as _;

use serde_json::Value;

use crate::kinds::fields::Fields;
use crate::names;
use crate::quantity::Quantity;
use crate::status::{FieldError, FieldPath};

use super::{NEGATIVE, complain, dns_label};

/// Resources without a domain that mean something somewhere in the API.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "storage",
    "requests.storage",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that are counted in whole things.
const WHOLE: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
];

/// Resources that a pod as a whole can ask for.
const POD_LEVEL: &[&str] = &["cpu", "memory"];

pub(crate) fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}

/// Kubernetes' own: without a domain, or of the domain kubernetes.io.
pub(crate) fn is_native(name: &str) -> bool {
    !name.contains('/') || name.contains("kubernetes.io/")
}

/// A resource that a device plugin or a runtime brings, such as `coracle.dev/fuel`.
pub(crate) fn is_extended(name: &str) -> bool {
    !is_native(name) && !name.starts_with("requests.") && names::qualified_name(&format!("requests.{name}")).is_empty()
}

/// May the limit be above the request?
pub(crate) fn may_overcommit(name: &str) -> bool {
    is_native(name) && !is_huge_page(name)
}

fn is_whole(name: &str) -> bool {
    WHOLE.contains(&name) || is_extended(name)
}

/// The amount in a JSON value: quantities are texts, but a client may send a number.
pub(crate) fn amount(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::from_str(text).ok(),
        Value::Number(number) => Quantity::from_str(&number.to_string()).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The amount under `name` in a list of resources.
pub(crate) fn amount_of(list: Option<&Value>, name: &str) -> Option<Quantity> {
    list.and_then(|list| list.get(name)).and_then(amount)
}

/// Entries of a list of resources, in name order; what is no quantity is left out.
pub(crate) fn amounts(list: Option<&Value>) -> impl Iterator<Item = (&str, Quantity)> {
    list.and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(name, value)| amount(value).map(|amount| (name.as_str(), amount)))
}

/// A resource's name anywhere: a qualified name, and a known one if it has no domain. False when it was complained of.
fn resource_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) -> bool {
    let complaints = names::qualified_name(name);
    if !complaints.is_empty() {
        complain(errors, path, name, complaints);
        return false;
    }
    let standard = STANDARD.contains(&name) || is_huge_page(name) || name.starts_with("requests.hugepages-");
    if !name.contains('/') && !standard {
        errors.push(FieldError::invalid(path, name, "must be a standard resource type or fully qualified"));
        return false;
    }
    true
}

/// The name of a resource that a container asks for.
pub(crate) fn container_resource_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    resource_name(errors, path, name);
    if !name.contains('/') {
        if !matches!(name, "cpu" | "memory" | "ephemeral-storage") && !is_huge_page(name) {
            errors.push(FieldError::invalid(path, name, "must be a standard resource for containers"));
        }
    } else if !is_native(name) && !is_extended(name) {
        errors.push(FieldError::invalid(path, name, "doesn't follow extended resource name standard"));
    }
}

/// The name of a resource that a pod as a whole asks for.
fn pod_resource_name(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str) {
    if resource_name(errors, path, name) && !POD_LEVEL.contains(&name) && !is_huge_page(name) {
        errors.push(FieldError::not_supported(path, name, POD_LEVEL));
    }
}

/// An amount of whatever: not negative.
pub(crate) fn not_negative_amount(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, amount: &Quantity) {
    if amount.is_negative() {
        errors.push(FieldError::invalid(path, amount.value(), "must be a valid resource quantity"));
    }
}

/// An amount of a resource: not negative, and whole where things are counted.
pub(crate) fn resource_amount(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str, amount: &Quantity) {
    if amount.is_negative() {
        errors.push(FieldError::invalid(path, amount.to_string(), NEGATIVE));
    }
    if is_whole(name) && amount.milli_value() % 1000 != 0 {
        errors.push(FieldError::invalid(path, amount.to_string(), "must be an integer"));
    }
}

/// Who asks for resources; it decides which names are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    Container,
    Pod,
}

/// `limits`, `requests` and `claims` of a container or pod. `claims` are the names that the pod's claims have.
pub(crate) fn requirements(
    errors: &mut Vec<FieldError>,
    path: &FieldPath<'_>,
    requirements: Option<&Value>,
    asker: Asker,
    claims: &[&str],
) {
    let Some(requirements) = requirements else { return };
    let (limits_path, requests_path) = (path.child("limits"), path.child("requests"));
    let limits = requirements.child("limits");
    let requests = requirements.child("requests");
    for (name, amount) in amounts(limits) {
        one_amount(errors, &limits_path.key(name), name, &amount, asker);
    }
    for (name, amount) in amounts(requests) {
        one_amount(errors, &requests_path.key(name), name, &amount, asker);
        request_against_limit(errors, (&requests_path, &limits_path), name, &amount, amount_of(limits, name));
    }
    let has = |wanted: fn(&str) -> bool| amounts(limits).chain(amounts(requests)).any(|(name, _)| wanted(name));
    if has(is_huge_page) && !has(|name| matches!(name, "cpu" | "memory")) {
        errors.push(FieldError::forbidden(path, "HugePages require cpu or memory"));
    }
    claim_names(errors, &path.child("claims"), requirements.list("claims"), claims);
}

fn one_amount(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, name: &str, amount: &Quantity, asker: Asker) {
    match asker {
        Asker::Container => container_resource_name(errors, path, name),
        Asker::Pod => pod_resource_name(errors, path, name),
    }
    resource_amount(errors, path, name, amount);
    if is_huge_page(name) && !is_multiple_of_page(name, amount) {
        let amount = amount.to_string();
        let detail = format!("{amount} is not positive integer multiple of {name}");
        errors.push(FieldError::invalid(path, amount, detail));
    }
}

fn is_multiple_of_page(name: &str, amount: &Quantity) -> bool {
    let Some(page) = name.strip_prefix("hugepages-").and_then(|size| Quantity::from_str(size).ok()) else {
        return false;
    };
    let (page, amount) = (page.value(), amount.value());
    page > 0 && amount % page == 0
}

fn request_against_limit(
    errors: &mut Vec<FieldError>,
    (requests, limits): (&FieldPath<'_>, &FieldPath<'_>),
    name: &str,
    request: &Quantity,
    limit: Option<Quantity>,
) {
    match limit {
        Some(limit) if *request != limit && !may_overcommit(name) => errors.push(FieldError::invalid(
            requests,
            request.to_string(),
            format!("must be equal to {name} limit of {limit}"),
        )),
        Some(limit) if *request > limit => errors.push(FieldError::invalid(
            requests,
            request.to_string(),
            format!("must be less than or equal to {name} limit of {limit}"),
        )),
        Some(_) => {}
        None if may_overcommit(name) => {}
        None => errors.push(FieldError::required(limits, "Limit must be set for non overcommitable resources")),
    }
}

fn claim_names(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, claims: &[Value], known: &[&str]) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (index, claim) in claims.iter().enumerate() {
        let path = path.index(index);
        let (name, request) = (claim.text("name"), claim.text("request"));
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
            continue;
        }
        let whole_seen = seen.contains(&(name, ""));
        if !whole_seen && !request.is_empty() {
            dns_label(errors, &path.child("request"), request);
        }
        let duplicate = match request {
            "" => seen.iter().any(|(seen, _)| *seen == name),
            _ => whole_seen || seen.contains(&(name, request)),
        };
        if duplicate {
            let shown = if whole_seen || request.is_empty() { name.to_owned() } else { format!("{name}/{request}") };
            errors.push(FieldError::duplicate(path, shown));
        }
        seen.push((name, request));
        if !known.contains(&name) {
            let names = if known.is_empty() { " which is empty".to_owned() } else { format!(": {}", known.join(", ")) };
            errors.push(
                FieldError::not_found(path, name)
                    .with_detail(format!("must be one of the names in pod.spec.resourceClaims{names}")),
            );
        }
    }
}

/// Whether a list of resources has any entry.
pub(crate) fn has_amounts(requirements: Option<&Value>) -> bool {
    requirements.is_some_and(|requirements| {
        ["limits", "requests"].iter().any(|part| requirements.map(part).is_some_and(|map| !map.is_empty()))
    })
}

/// Rounds amounts finer than a thousandth up, as upstream does when it reads a list of resources.
pub(crate) fn round_up_to_milli(list: Option<&mut Value>) {
    let Some(map) = list.and_then(Value::as_object_mut) else { return };
    for value in map.values_mut() {
        if let Some(amount) = amount(value) {
            let rounded = Quantity::from_milli(amount.milli_value(), amount.format());
            // A huge amount saturates in thousandths; it needs no rounding.
            if rounded > amount {
                *value = Value::from(rounded.to_string());
            }
        }
    }
}
