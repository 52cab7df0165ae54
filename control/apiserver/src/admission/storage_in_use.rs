//! StorageObjectInUseProtection: a claim or volume that is in use is not removed under its users.

use coracle_control_api::meta;
use serde_json::Value;

use super::{Action, Request};

pub(super) fn admit(request: &Request<'_>, object: &mut Value) {
    if request.action != Action::Create {
        return;
    }
    let finalizer = if request.is_core("persistentvolumeclaims") {
        "kubernetes.io/pvc-protection"
    } else if request.is_core("persistentvolumes") {
        "kubernetes.io/pv-protection"
    } else {
        return;
    };
    if meta::finalizers(object).any(|name| name == finalizer) {
        return;
    }
    let finalizers = meta::metadata_mut(object).entry("finalizers").or_insert_with(|| Value::Array(Vec::new()));
    if !finalizers.is_array() {
        *finalizers = Value::Array(Vec::new());
    }
    if let Some(list) = finalizers.as_array_mut() {
        list.push(Value::from(finalizer));
    }
}
