//! DefaultStorageClass and DefaultIngressClass: the class of a claim or an ingress that names none.

use std::cmp::Reverse;

use coracle_control_api::meta;
use serde_json::{Value, json};

use super::{Action, Request};

const STORAGE_CLASSES: &str = "/registry/storage.k8s.io/storageclasses/";
const STORAGE_DEFAULT: &[&str] =
    &["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
/// The annotation that stood for a claim's class before there was a field.
const STORAGE_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";

const INGRESS_CLASSES: &str = "/registry/networking.k8s.io/ingressclasses/";
const INGRESS_DEFAULT: &[&str] = &["ingressclass.kubernetes.io/is-default-class"];
const INGRESS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// The class that is marked as the default; of several the newest, then the first by name.
fn default_class(request: &Request<'_>, prefix: &str, marks: &[&str]) -> Option<String> {
    let classes = request.snapshot.prefix(prefix.as_bytes());
    let classes = classes.filter_map(|entry| serde_json::from_slice::<Value>(&entry.value).ok());
    let marked = classes.filter(|class| marks.iter().any(|mark| meta::annotation(class, mark) == Some("true")));
    let best = marked.min_by_key(|class| (Reverse(meta::creation_timestamp(class)), meta::name(class).to_owned()));
    best.map(|class| meta::name(&class).to_owned())
}

fn set(object: &mut Value, field: &str, annotation: &str, class: impl FnOnce() -> Option<String>) {
    let named = object.pointer(&format!("/spec/{field}")).is_some_and(|class| !class.is_null());
    if named || meta::annotation(object, annotation).is_some() {
        return;
    }
    let spec = object.get_mut("spec").and_then(Value::as_object_mut);
    if let (Some(spec), Some(class)) = (spec, class()) {
        spec.insert(field.to_owned(), json!(class));
    }
}

pub(super) fn storage_class(request: &Request<'_>, claim: &mut Value) {
    if request.action == Action::Create && request.is_core("persistentvolumeclaims") {
        let class = || default_class(request, STORAGE_CLASSES, STORAGE_DEFAULT);
        set(claim, "storageClassName", STORAGE_ANNOTATION, class);
    }
}

pub(super) fn ingress_class(request: &Request<'_>, ingress: &mut Value) {
    let is_ingress = request.is("networking.k8s.io", "ingresses") && request.subresource.is_empty();
    if request.action == Action::Create && is_ingress {
        let class = || default_class(request, INGRESS_CLASSES, INGRESS_DEFAULT);
        set(ingress, "ingressClassName", INGRESS_ANNOTATION, class);
    }
}
