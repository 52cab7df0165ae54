//! MutatingAdmissionPolicy and its binding, in the beta version that upstream serves only where it is switched on.
//!
//! They are made the way custom resources are, from a definition, so that whoever does not switch them on sees no trace
//! of them.

use serde_json::{Value, json};

use crate::custom;
use crate::kind::Kind;

/// The kinds, in discovery's order.
#[must_use]
pub fn beta_kinds() -> Vec<Kind> {
    let policy = definition(
        "MutatingAdmissionPolicy",
        "mutatingadmissionpolicies",
        &policy_spec(),
        &json!([
            column("Mutations", "integer", ".spec.mutations"),
            column("ParamKind", "string", ".spec.paramKind.kind"),
        ]),
    );
    let binding = definition(
        "MutatingAdmissionPolicyBinding",
        "mutatingadmissionpolicybindings",
        &binding_spec(),
        &json!([
            column("PolicyName", "string", ".spec.policyName"),
            column("ParamRef", "string", ".spec.paramRef.name")
        ]),
    );
    [policy, binding].iter().flat_map(custom::kinds).collect()
}

fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}

fn definition(kind: &str, plural: &str, spec: &Value, columns: &Value) -> Value {
    let mut columns = columns.as_array().cloned().unwrap_or_default();
    columns.push(column("Age", "date", ".metadata.creationTimestamp"));
    json!({"spec": {
        "group": super::GROUP, "scope": "Cluster",
        "names": {
            "kind": kind, "listKind": format!("{kind}List"), "plural": plural, "singular": kind.to_lowercase(),
            "categories": super::CATEGORY,
        },
        "versions": [{
            "name": "v1beta1", "served": true, "storage": true, "additionalPrinterColumns": columns,
            "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["spec"], "properties": {"spec": spec},
            }},
        }],
    }})
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}

fn selector() -> Value {
    let requirement = object(&json!({"key": text(), "operator": text(), "values": texts()}), &["key", "operator"]);
    json!({
        "type": "object", "default": {},
        "properties": {
            "matchLabels": {"type": "object", "additionalProperties": text()},
            "matchExpressions": {"type": "array", "items": requirement},
        },
    })
}

/// What a policy or a binding is about.
fn match_resources() -> Value {
    let rule = object(
        &json!({
            "apiGroups": texts(), "apiVersions": texts(), "operations": texts(), "resources": texts(),
            "resourceNames": texts(), "scope": {"type": "string", "enum": ["*", "Cluster", "Namespaced"], "default": "*"},
        }),
        &[],
    );
    object(
        &json!({
            "resourceRules": {"type": "array", "items": rule}, "excludeResourceRules": {"type": "array", "items": rule},
            "namespaceSelector": selector(), "objectSelector": selector(),
            "matchPolicy": {"type": "string", "enum": ["Equivalent", "Exact"], "default": "Equivalent"},
        }),
        &[],
    )
}

fn named_expressions() -> Value {
    json!({
        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
        "items": object(&json!({"name": text(), "expression": text()}), &["name", "expression"]),
    })
}

fn policy_spec() -> Value {
    let expression = object(&json!({"expression": text()}), &["expression"]);
    let mutation = object(
        &json!({
            "patchType": {"type": "string", "enum": ["ApplyConfiguration", "JSONPatch"]},
            "applyConfiguration": expression, "jsonPatch": expression,
        }),
        &["patchType"],
    );
    object(
        &json!({
            "paramKind": object(&json!({"apiVersion": text(), "kind": text()}), &["apiVersion", "kind"]),
            "matchConstraints": match_resources(), "variables": named_expressions(), "matchConditions": named_expressions(),
            "mutations": {"type": "array", "minItems": 1, "items": mutation},
            "failurePolicy": {"type": "string", "enum": ["Fail", "Ignore"], "default": "Fail"},
            "reinvocationPolicy": {"type": "string", "enum": ["IfNeeded", "Never"]},
        }),
        &["matchConstraints", "mutations", "reinvocationPolicy"],
    )
}

fn binding_spec() -> Value {
    let mut param_selector = selector();
    if let Some(map) = param_selector.as_object_mut() {
        map.remove("default");
    }
    let reference = object(
        &json!({
            "name": text(), "namespace": text(), "selector": param_selector,
            "parameterNotFoundAction": {"type": "string", "enum": ["Allow", "Deny"]},
        }),
        &[],
    );
    object(&json!({"policyName": text(), "paramRef": reference, "matchResources": match_resources()}), &["policyName"])
}
