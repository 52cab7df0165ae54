//! DenyServiceExternalIPs: a service takes no new external addresses.

use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Request};

pub(super) fn validate(request: &Request<'_>, service: Option<&Value>) -> Result<(), Status> {
    let written = request.action != Action::Delete && request.is_core("services");
    let Some(service) = service.filter(|_| written) else { return Ok(()) };
    let addresses = |service: &Value| -> Vec<Value> {
        service.pointer("/spec/externalIPs").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let known = request.old.map(addresses).unwrap_or_default();
    if addresses(service).iter().all(|address| known.contains(address)) {
        return Ok(());
    }
    Err(request.forbid("Use of external IPs is denied by admission control"))
}
