//! Profiles that containers got by annotation before there was a field for them.

use serde_json::{Value, json};

use crate::kinds::fields::{self, Fields, items_mut, same};

pub(super) const ANNOTATION: &str = "container.apparmor.security.beta.kubernetes.io/";
/// Longest name of a profile on the node, in bytes.
const LOCAL_BYTES_MAX: usize = 4095;

/// What the field says where an annotation says this.
fn field(annotation: &str) -> Option<Value> {
    let local = annotation.strip_prefix("localhost/");
    match annotation {
        "runtime/default" => Some(json!({ "type": "RuntimeDefault" })),
        "unconfined" => Some(json!({ "type": "Unconfined" })),
        _ => local
            .filter(|name| !name.is_empty() && name.trim() == *name && name.len() <= LOCAL_BYTES_MAX)
            .map(|name| json!({ "type": "Localhost", "localhostProfile": name })),
    }
}

fn is_windows(spec: &Value) -> bool {
    spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows")
}

/// Gives the containers of a new pod the profiles that its annotations name.
pub(super) fn fill_in(pod: &mut Value) {
    let Some(annotations) = pod.at(&["metadata", "annotations"]).cloned() else { return };
    let Some(spec) = pod.get_mut("spec").filter(|spec| !is_windows(spec)) else { return };
    let of_pod = spec.at(&["securityContext", "appArmorProfile"]).cloned();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for container in items_mut(spec, list) {
            let named = annotations.text_if_set(&format!("{ANNOTATION}{}", container.text("name")));
            let Some(profile) = named.and_then(field) else { continue };
            let has_own = container.at(&["securityContext", "appArmorProfile"]).is_some();
            if has_own || same(Some(&profile), of_pod.as_ref()) {
                continue;
            }
            if !container.has("securityContext") {
                fields::set(container, "securityContext", json!({}));
            }
            if let Some(context) = container.get_mut("securityContext") {
                fields::set(context, "appArmorProfile", profile);
            }
        }
    }
}

/// The annotations that a pod's fields came from, and those that could not become fields.
pub(super) fn annotations_behind_fields(metadata: &Value, spec: &Value) -> Vec<String> {
    let Some(annotations) = metadata.child("annotations").filter(|_| !is_windows(spec)) else { return Vec::new() };
    let stands_behind = |container: &Value| {
        let key = format!("{ANNOTATION}{}", container.text("name"));
        let profile = field(annotations.text_if_set(&key)?);
        let own = container.at(&["securityContext", "appArmorProfile"]);
        let told = if profile.is_some() { same(profile.as_ref(), own) } else { own.is_none() };
        told.then_some(key)
    };
    super::containers(spec).filter_map(|(_, _, container)| stands_behind(container)).collect()
}
