//! PersistentVolumeClaimResize: a claim grows only where its class says that it can.

use std::str::FromStr as _;

use coracle_control_api::meta;
use coracle_control_api::quantity::Quantity;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Request};

const UNBOUND: &str = "Only bound persistent volume claims can be expanded";
const FIXED: &str = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must \
                     support resize";

pub(super) fn validate(request: &Request<'_>, claim: Option<&Value>) -> Result<(), Status> {
    let (Some(new), Some(old)) = (claim, request.old) else { return Ok(()) };
    if request.action != Action::Update || !request.is_core("persistentvolumeclaims") {
        return Ok(());
    }
    let size = |claim: &Value| {
        let text = claim.pointer("/spec/resources/requests/storage").and_then(Value::as_str);
        text.and_then(|text| Quantity::from_str(text).ok()).unwrap_or(Quantity::ZERO)
    };
    if size(new) <= size(old) {
        return Ok(());
    }
    if old.pointer("/status/phase").and_then(Value::as_str) != Some("Bound") {
        return Err(request.forbid(UNBOUND));
    }
    if can_grow(request, new, old) { Ok(()) } else { Err(request.forbid(FIXED)) }
}

fn can_grow(request: &Request<'_>, new: &Value, old: &Value) -> bool {
    let class = class_of(new);
    if class.is_empty() || class != class_of(old) {
        return false;
    }
    let entry = request.snapshot.get(format!("/registry/storage.k8s.io/storageclasses/{class}").as_bytes());
    let class: Option<Value> = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
    class.is_some_and(|class| class.get("allowVolumeExpansion").and_then(Value::as_bool) == Some(true))
}

fn class_of(claim: &Value) -> &str {
    meta::annotation(claim, "volume.beta.kubernetes.io/storage-class")
        .or_else(|| claim.pointer("/spec/storageClassName").and_then(Value::as_str))
        .unwrap_or_default()
}
