//! Scale: what `NAME/scale` shows of an object, and how a change of it comes into the object.
//!
//! The number of replicas of anything is read and written the same way, so that autoscalers and `kubectl scale` need not
//! know the kind. Where the numbers are is in [`crate::kind::ScalePaths`]; a custom resource names its own.

use serde_json::{Map, Value, json};

use crate::kind::{Behaviour, Kind, ScalePaths, Verb};
use crate::kinds::fields::{self, Fields};
use crate::kinds::workload;
use crate::selector::LabelSelector;
use crate::status::{FieldError, FieldPath};

#[derive(Debug)]
struct Scale;

/// The body of `NAME/scale`.
pub(super) fn kind() -> Kind {
    let verbs: &[Verb] = &[];
    Kind::new("autoscaling", "v1", "Scale", "scales", Scale).schema("io.k8s.api.autoscaling.v1.Scale").verbs(verbs)
}

impl Behaviour for Scale {
    fn default(&self, object: &mut Value) {
        let Some(spec) = fields::object_mut(object, "spec") else { return };
        // No replicas is what is meant by saying nothing, and is what is shown for it.
        if spec.int("replicas") == Some(0) {
            fields::remove(spec, "replicas");
        }
    }

    fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        workload::not_negatives(&mut errors, &FieldPath::root("spec"), workload::part(object, "spec"), &["replicas"]);
        errors
    }
}

/// The Scale of an object.
#[must_use]
pub fn of_object(paths: &ScalePaths, object: &Value) -> Value {
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0);
    let mut metadata = Map::new();
    for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = workload::part(object, "metadata").child(field) {
            metadata.insert(field.to_owned(), value.clone());
        }
    }
    let mut spec = json!({});
    let wanted = number(&paths.spec_replicas);
    if wanted != 0 {
        fields::set(&mut spec, "replicas", wanted);
    }
    let mut status = json!({ "replicas": number(&paths.status_replicas) });
    let selector = paths.selector.as_ref().and_then(|pointer| object.pointer(pointer)).map(selector_text);
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        fields::set(&mut status, "selector", selector);
    }
    json!({ "apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": metadata, "spec": spec, "status": status })
}

/// A selector as text, whichever of its forms the kind has.
fn selector_text(selector: &Value) -> String {
    match selector {
        Value::String(text) => text.clone(),
        Value::Object(map) if map.contains_key("matchLabels") || map.contains_key("matchExpressions") => {
            LabelSelector::from_object(Some(selector)).map(|selector| selector.to_string()).unwrap_or_default()
        }
        other => workload::labels_text(Some(other)),
    }
}

/// Puts the number of replicas that `scale` wants into `object`.
pub fn into_object(paths: &ScalePaths, object: &mut Value, scale: &Value) {
    let replicas = workload::part(scale, "spec").int("replicas").unwrap_or(0);
    let mut steps: Vec<&str> = paths.spec_replicas.split('/').skip(1).collect();
    let Some(last) = steps.pop() else { return };
    let mut place = object;
    for step in steps {
        match fields::object_mut(place, step) {
            Some(next) => place = next,
            None => return,
        }
    }
    fields::set(place, last, replicas);
}
