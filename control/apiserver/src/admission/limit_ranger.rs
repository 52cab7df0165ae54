//! LimitRanger: the amounts that containers get without asking, and the bounds that pods and claims keep.

use coracle_control_api::go_text;
use coracle_control_api::limits::{apply_defaults, violations_of_claim, violations_of_pod};
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Request};

/// Whether limits are about this write: containers come with the pod, and change by its resize only.
fn concerns(request: &Request<'_>) -> bool {
    let is_resize = request.subresource == "resize";
    match request.action {
        Action::Delete | Action::Connect => false,
        Action::Create => request.is_core("pods") || request.is_core("persistentvolumeclaims"),
        Action::Update => (request.is("", "pods") && is_resize) || request.is_core("persistentvolumeclaims"),
    }
}

fn limit_ranges(request: &Request<'_>) -> Vec<Value> {
    let prefix = format!("/registry/core/limitranges/{}/", request.call.namespace());
    let entries = request.snapshot.prefix(prefix.as_bytes());
    entries.filter_map(|entry| serde_json::from_slice(&entry.value).ok()).collect()
}

pub(super) fn mutate(request: &Request<'_>, object: &mut Value) {
    if concerns(request) && request.is("", "pods") {
        for limit_range in limit_ranges(request) {
            apply_defaults(&limit_range, object);
        }
    }
}

pub(super) fn validate(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let Some(object) = object.filter(|_| concerns(request)) else { return Ok(()) };
    // What is on its way out may lose its finalizers, whatever it asks for.
    if request.action == Action::Update && meta::is_being_deleted(object) {
        return Ok(());
    }
    let of = if request.is("", "pods") { violations_of_pod } else { violations_of_claim };
    for limit_range in limit_ranges(request) {
        let violations = of(&limit_range, object);
        if !violations.is_empty() {
            return Err(request.forbid(&go_text::aggregate(violations)));
        }
    }
    Ok(())
}
