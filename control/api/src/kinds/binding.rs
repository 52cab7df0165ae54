//! Bodies of requests that are no objects of their own: Binding (a pod to a node) and Eviction (a pod's polite deletion).

use serde_json::Value;

use crate::kind::{Behaviour, Kind, Verb};
use crate::kinds::fields::Fields;
use crate::status::FieldError;

#[derive(Debug)]
struct Binding;

#[derive(Debug)]
struct Eviction;

/// `bindings`: the older way to bind a pod, beside `pods/NAME/binding`.
pub(super) fn binding_kind() -> Kind {
    Kind::new("", "v1", "Binding", "bindings", Binding).schema("io.k8s.api.core.v1.Binding").verbs(&[Verb::Create])
}

/// The body of `pods/NAME/eviction`.
pub(super) fn eviction_kind() -> Kind {
    Kind::new("policy", "v1", "Eviction", "evictions", Eviction).schema("io.k8s.api.policy.v1.Eviction").verbs(&[])
}

impl Behaviour for Binding {
    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let null = Value::Null;
        let target = object.child("target").unwrap_or(&null);
        let mut errors = Vec::new();
        let kind = target.text("kind");
        if !matches!(kind, "" | "Node") {
            errors.push(FieldError::not_supported("target.kind", kind, ["Node", "<empty>"]));
        }
        if target.text("name").is_empty() {
            errors.push(FieldError::required("target.name", ""));
        }
        errors
    }
}

impl Behaviour for Eviction {}
