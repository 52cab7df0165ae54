//! What a LimitRange does to pods and claims: the amounts that containers get without asking, and the bounds that all keep.
//!
//! The texts are those of upstream's LimitRanger. Upstream lists several violations in no order; here they are in the order
//! of the limits and, within one, of the resources' names.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::kinds::fields::{self, Fields, items_mut};
use crate::kinds::pod::quality;
use crate::kinds::validation::resources::{amounts, has_amounts};
use crate::meta;
use crate::quantity::Quantity;

/// Where a pod says what it was given.
pub const ANNOTATION: &str = "kubernetes.io/limit-ranger";

type Amounts = BTreeMap<String, Quantity>;

/// Gives the containers of a pod what a LimitRange says for those that do not ask, and notes it in [`ANNOTATION`].
pub fn apply_defaults(limit_range: &Value, pod: &mut Value) {
    let (mut requests, mut limits) = (Map::new(), Map::new());
    for limit in limits_of(limit_range, "Container") {
        requests.extend(limit.map("defaultRequest").cloned().unwrap_or_default());
        limits.extend(limit.map("default").cloned().unwrap_or_default());
    }
    let mut notes = Vec::new();
    let Some(spec) = pod.get_mut("spec") else { return };
    for (list, noun) in [("containers", "container"), ("initContainers", "init container")] {
        for container in items_mut(spec, list) {
            let name = container.text("name").to_owned();
            for (part, defaults, word) in [("requests", &requests, "request"), ("limits", &limits, "limit")] {
                let set = fill(container, part, defaults);
                if !set.is_empty() {
                    notes.push(format!("{} {word} for {noun} {name}", set.join(", ")));
                }
            }
        }
    }
    if !notes.is_empty() {
        meta::set_annotation(pod, ANNOTATION, &format!("LimitRanger plugin set: {}", notes.join("; ")));
    }
}

/// Enters the defaults that a container lacks, and names them.
fn fill(container: &mut Value, part: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let given = container.at(&["resources", part]);
    let lacks = |name: &&String| given.and_then(|given| given.get(*name)).is_none();
    let missing: Vec<String> = defaults.keys().filter(lacks).cloned().collect();
    if missing.is_empty() {
        return missing;
    }
    let part = fields::object_mut(container, "resources").and_then(|resources| fields::object_mut(resources, part));
    if let Some(part) = part {
        for name in &missing {
            fields::set(part, name, defaults.get(name).cloned().unwrap_or_else(|| json!("0")));
        }
    }
    missing
}

fn limits_of<'a>(limit_range: &'a Value, kind: &'static str) -> impl Iterator<Item = &'a Value> {
    let limits = limit_range.child("spec").map(|spec| spec.list("limits")).unwrap_or_default();
    limits.iter().filter(move |limit| limit.text("type") == kind)
}

/// What a pod does against a LimitRange.
#[must_use]
pub fn violations_of_pod(limit_range: &Value, pod: &Value) -> Vec<String> {
    let null = Value::Null;
    let spec = pod.child("spec").unwrap_or(&null);
    let mut violations = Vec::new();
    for limit in limit_range.child("spec").map(|spec| spec.list("limits")).unwrap_or_default() {
        match limit.text("type") {
            kind @ "Container" => {
                for container in spec.list("containers").iter().chain(spec.list("initContainers")) {
                    let part = |part| -> Amounts { list(container.at(&["resources", part])) };
                    check(&mut violations, limit, kind, &part("requests"), &part("limits"));
                }
            }
            kind @ "Pod" => {
                let requests = of_pod(spec, "requests", quality::requests_of_containers(spec));
                let limits = of_pod(spec, "limits", quality::limits_of_containers(spec));
                check(&mut violations, limit, kind, &requests, &limits);
            }
            _ => {}
        }
    }
    violations
}

/// What a claim does against a LimitRange: it has requests only.
#[must_use]
pub fn violations_of_claim(limit_range: &Value, claim: &Value) -> Vec<String> {
    const KIND: &str = "PersistentVolumeClaim";
    let requests = list(claim.at(&["spec", "resources", "requests"]));
    let mut violations = Vec::new();
    for limit in limits_of(limit_range, KIND) {
        for (name, bound) in amounts(limit.child("min")) {
            violations.extend(below(KIND, name, &bound, requests.get(name), None));
        }
        for (name, bound) in amounts(limit.child("max")) {
            violations.extend(match requests.get(name) {
                None => Some(format!("maximum {name} usage per {KIND} is {bound}.  No request is specified")),
                Some(request) if *request > bound => {
                    Some(format!("maximum {name} usage per {KIND} is {bound}, but request is {request}"))
                }
                Some(_) => None,
            });
        }
    }
    violations
}

fn list(resources: Option<&Value>) -> Amounts {
    amounts(resources).map(|(name, amount)| (name.to_owned(), amount)).collect()
}

/// What a pod asks for as a whole stands before what its containers ask for.
pub(crate) fn of_pod(spec: &Value, part: &str, of_containers: Amounts) -> Amounts {
    let mut sums = of_containers;
    if let Some(resources) = spec.child("resources").filter(|resources| has_amounts(Some(resources))) {
        sums.extend(list(resources.child(part)));
    }
    sums
}

fn check(violations: &mut Vec<String>, limit: &Value, kind: &str, requests: &Amounts, limits: &Amounts) {
    for (name, bound) in amounts(limit.child("min")) {
        violations.extend(below(kind, name, &bound, requests.get(name), limits.get(name)));
    }
    for (name, bound) in amounts(limit.child("max")) {
        violations.extend(above(kind, name, &bound, requests.get(name), limits.get(name)));
    }
    for (name, bound) in amounts(limit.child("maxLimitRequestRatio")) {
        violations.extend(beyond_ratio(kind, name, &bound, requests.get(name), limits.get(name)));
    }
}

fn below(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("minimum {name} usage per {kind} is {bound}");
    match (request, limit) {
        (None, _) => Some(format!("{rule}.  No request is specified")),
        (Some(request), _) if request < bound => Some(format!("{rule}, but request is {request}")),
        (_, Some(limit)) if limit < bound => Some(format!("{rule}, but limit is {limit}")),
        _ => None,
    }
}

fn above(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("maximum {name} usage per {kind} is {bound}");
    match (request, limit) {
        (_, None) => Some(format!("{rule}.  No limit is specified")),
        (_, Some(limit)) if limit > bound => Some(format!("{rule}, but limit is {limit}")),
        (Some(request), _) if request > bound => Some(format!("{rule}, but request is {request}")),
        _ => None,
    }
}

fn beyond_ratio(
    kind: &str,
    name: &str,
    bound: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let rule = format!("{name} max limit to request ratio per {kind} is {bound}");
    let Some(request) = request.filter(|request| !request.is_zero()) else {
        return Some(format!("{rule}, but no request is specified or request is 0"));
    };
    let Some(limit) = limit.filter(|limit| !limit.is_zero()) else {
        return Some(format!("{rule}, but no limit is specified or limit is 0"));
    };
    let ratio = as_float(limit) / as_float(request);
    (ratio > as_float(bound)).then(|| format!("{rule}, but provided ratio is {ratio:.6}"))
}

/// Near enough for a ratio.
fn as_float(amount: &Quantity) -> f64 {
    /// Beyond this many units thousandths do not fit into 64 bits.
    const MILLI_MAX: i64 = i64::MAX / 1000;
    #[expect(clippy::cast_precision_loss, reason = "a ratio of amounts needs no more digits than a float has")]
    if amount.value() <= MILLI_MAX { amount.milli_value() as f64 / 1000.0 } else { amount.value() as f64 }
}

#[cfg(test)]
mod tests;
