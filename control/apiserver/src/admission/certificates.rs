//! Certificate signing requests: who asks, who may approve and sign for whom, and when it was decided.

use coracle_control_api::kinds::certificate_signing_request::stamp_conditions;
use coracle_control_api::status::Status;
use serde_json::{Map, Value, json};

use super::{Action, Request};
use crate::authorization::{Attributes, decide};

const GROUP: &str = "certificates.k8s.io";

/// Writes the author into a new request, which decides whose certificate it can become, and the time into conditions.
///
/// # Errors
/// 403 for one who may not approve or sign for this signer.
pub(super) fn admit(request: &Request<'_>, object: &mut Value) -> Result<(), Status> {
    let kind = &request.call.kind;
    if kind.group != GROUP || kind.plural != "certificatesigningrequests" {
        return Ok(());
    }
    match (request.action, request.old) {
        (Action::Create, _) => set_author(request, object),
        (Action::Update, Some(old)) if !request.subresource.is_empty() => {
            may(request, old, if request.subresource == "approval" { "approve" } else { "sign" })?;
            stamp_conditions(object, old, request.call.now);
        }
        _ => {}
    }
    Ok(())
}

fn set_author(request: &Request<'_>, object: &mut Value) {
    let user = &request.call.user;
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    for field in ["uid", "extra"] {
        spec.remove(field);
    }
    spec.insert("username".to_owned(), json!(user.name));
    spec.insert("groups".to_owned(), json!(user.groups));
    if !user.uid.is_empty() {
        spec.insert("uid".to_owned(), json!(user.uid));
    }
    if !user.extra.is_empty() {
        let extra: Map<String, Value> = user.extra.iter().map(|(key, values)| (key.clone(), json!(values))).collect();
        spec.insert("extra".to_owned(), Value::Object(extra));
    }
}

/// The verb on the signer itself, or on all signers of its domain.
fn may(request: &Request<'_>, old: &Value, verb: &str) -> Result<(), Status> {
    let signer = old.pointer("/spec/signerName").and_then(Value::as_str).unwrap_or_default();
    let all = format!("{}/*", signer.split('/').next().unwrap_or_default());
    let roles = request.call.shared.roles();
    let allowed = [signer, &all].into_iter().any(|name| {
        let attributes = Attributes { verb, group: GROUP, resource: "signers", name, ..Attributes::default() };
        decide(&roles, &request.call.user, &attributes).is_ok()
    });
    if allowed {
        return Ok(());
    }
    Err(request.forbid(&format!("user not permitted to {verb} requests with signerName {signer:?}")))
}
