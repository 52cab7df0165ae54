//! Which objects a quota is about.

use serde_json::{Value, json};

use super::Counted;
use crate::kinds::fields::Fields;
use crate::kinds::pod::quality;
use crate::selector::LabelSelector;

/// Whether the object is in every scope of the quota. Objects of kinds that know no scopes are in none.
pub(super) fn match_all(counted: &Counted<'_>, quota: &Value, object: &Value) -> bool {
    let Some(spec) = quota.child("spec") else { return true };
    let plain = spec.texts("scopes").into_iter().all(|scope| matches(counted, scope, None, object));
    let expressions = spec.child("scopeSelector").map(|selector| selector.list("matchExpressions")).unwrap_or_default();
    plain && expressions.iter().all(|one| matches(counted, one.text("scopeName"), Some(one), object))
}

fn matches(counted: &Counted<'_>, scope: &str, expression: Option<&Value>, object: &Value) -> bool {
    let null = Value::Null;
    let spec = object.child("spec").unwrap_or(&null);
    if counted.is_claim() {
        return scope == "VolumeAttributesClass" && in_classes(scope, expression, &attribute_classes(object));
    }
    if !counted.is_pod() {
        return false;
    }
    let terminating = spec.int("activeDeadlineSeconds").is_some_and(|seconds| seconds >= 0);
    match scope {
        "Terminating" => terminating,
        "NotTerminating" => !terminating,
        "BestEffort" => quality::class(spec) == "BestEffort",
        "NotBestEffort" => quality::class(spec) != "BestEffort",
        "PriorityClass" => {
            let name = spec.text("priorityClassName");
            let names = if name.is_empty() { Vec::new() } else { vec![name] };
            in_classes(scope, expression, &names)
        }
        "CrossNamespacePodAffinity" => reaches_other_namespaces(spec),
        _ => false,
    }
}

/// Whether one of the classes, or having none, is what the expression wants.
fn in_classes(scope: &str, expression: Option<&Value>, classes: &[&str]) -> bool {
    let operator = expression.map_or("Exists", |expression| expression.text("operator"));
    if operator == "Exists" {
        return !classes.is_empty();
    }
    let values = expression.and_then(|expression| expression.child("values")).cloned().unwrap_or_default();
    // A scope is selected by like a label whose key is its name.
    let selector = json!({"matchExpressions": [{"key": scope, "operator": operator, "values": values}]});
    let Ok(selector) = LabelSelector::from_object(Some(&selector)) else { return false };
    if classes.is_empty() {
        return selector.matches(None);
    }
    classes.iter().any(|class| selector.matches(json!({ scope: class }).as_object()))
}

/// The attribute classes that a claim has, wants, or is on its way to.
fn attribute_classes(claim: &Value) -> Vec<&str> {
    let places: [&[&str]; 3] = [
        &["spec", "volumeAttributesClassName"],
        &["status", "currentVolumeAttributesClassName"],
        &["status", "modifyVolumeStatus", "targetVolumeAttributesClassName"],
    ];
    let names = places.iter().filter_map(|path| claim.at(path).and_then(Value::as_str));
    names.filter(|name| !name.is_empty()).collect()
}

fn reaches_other_namespaces(spec: &Value) -> bool {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";
    let reaches = |term: &Value| !term.list("namespaces").is_empty() || term.has("namespaceSelector");
    ["podAffinity", "podAntiAffinity"].into_iter().filter_map(|kind| spec.at(&["affinity", kind])).any(|affinity| {
        affinity.list(REQUIRED).iter().any(reaches)
            || affinity.list(PREFERRED).iter().filter_map(|one| one.child("podAffinityTerm")).any(reaches)
    })
}
