//! ServiceAccount: every pod runs as a service account that exists.
//!
//! Upstream also mounts the account's token; that comes when there are tokens to mount.

use coracle_control_api::status::Status;
use serde_json::{Value, json};

use super::{Action, Request};

/// The account of a pod that names none.
const DEFAULT: &str = "default";
/// Marks a pod that mirrors one which a host has from elsewhere.
const MIRROR: &str = "kubernetes.io/config.mirror";

pub(super) fn admit(request: &Request<'_>, pod: &mut Value) -> Result<(), Status> {
    if request.action != Action::Create || !request.is_core("pods") {
        return Ok(());
    }
    if coracle_control_api::meta::annotation(pod, MIRROR).is_some() {
        return Ok(());
    }
    let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) else { return Ok(()) };
    let named = spec.get("serviceAccountName").and_then(Value::as_str).filter(|name| !name.is_empty());
    let name = named.unwrap_or(DEFAULT).to_owned();
    spec.insert("serviceAccountName".to_owned(), json!(name));
    spec.insert("serviceAccount".to_owned(), json!(name));
    let namespace = request.call.namespace();
    let key = format!("/registry/core/serviceaccounts/{namespace}/{name}");
    let Some(entry) = request.snapshot.get(key.as_bytes()) else {
        let cause = format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(request.forbid(&cause));
    };
    let account: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    let has_secrets = spec.get("imagePullSecrets").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
    if let Some(secrets) = account.get("imagePullSecrets").filter(|secrets| !has_secrets && secrets.is_array()) {
        spec.insert("imagePullSecrets".to_owned(), secrets.clone());
    }
    Ok(())
}
