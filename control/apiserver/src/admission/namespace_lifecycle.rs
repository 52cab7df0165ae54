//! NamespaceLifecycle: nothing is made in a namespace that is not there or goes away, and some namespaces stay.

use bytes::Bytes;
use coracle_control_api::meta;
use coracle_control_api::status::{Status, StatusCause};
use coracle_control_store::{Condition, Operation};
use serde_json::{Value, json};

use super::{Action, Effects, Request};
use crate::bootstrap;

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The key of a namespace in the store.
fn key(namespace: &str) -> Bytes {
    Bytes::from(format!("/registry/core/namespaces/{namespace}"))
}

/// Checks the namespace of an object that is to be made. The namespace must still be the same when it is.
pub(super) fn admit(request: &Request<'_>, effects: &mut Effects) -> Result<(), Status> {
    let namespace = request.call.namespace();
    if request.action != Action::Create || namespace.is_empty() {
        return Ok(());
    }
    let key = key(namespace);
    if effects.makes(&key) {
        return Ok(());
    }
    let Some(entry) = request.snapshot.get(&key) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    if meta::is_being_deleted(&object) {
        return Err(terminating(request, namespace));
    }
    effects.conditions.push(Condition::ModRevision { key, revision: entry.mod_revision });
    Ok(())
}

/// NamespaceAutoProvision: makes the namespace that is not there, together with the first object in it.
pub(super) fn provide(request: &Request<'_>, effects: &mut Effects) {
    let namespace = request.call.namespace();
    if request.action != Action::Create || namespace.is_empty() || request.snapshot.get(&key(namespace)).is_some() {
        return;
    }
    let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
    if let Some((key, value)) = bootstrap::make("", "namespaces", &body, request.call.now) {
        effects.conditions.push(Condition::ModRevision { key: key.clone(), revision: 0 });
        effects.operations.push(Operation::Put { key, value });
    }
}

/// NamespaceExists: refuses everything in a namespace that is not there.
pub(super) fn exists(request: &Request<'_>, effects: &Effects) -> Result<(), Status> {
    let namespace = request.call.namespace();
    if namespace.is_empty() || request.snapshot.get(&key(namespace)).is_some() || effects.makes(&key(namespace)) {
        return Ok(());
    }
    Err(Status::not_found("", "namespaces", namespace))
}

fn terminating(request: &Request<'_>, namespace: &str) -> Status {
    let cause = format!("unable to create new content in namespace {namespace} because it is being terminated");
    let mut status = request.forbid(&cause);
    status.details.get_or_insert_default().causes.push(StatusCause {
        reason: "NamespaceTerminating".to_owned(),
        message: format!("namespace {namespace} is being terminated"),
        field: "metadata.namespace".to_owned(),
    });
    status
}

/// Refuses to delete the namespaces that every cluster has.
pub(super) fn protect(request: &Request<'_>) -> Result<(), Status> {
    if request.is_core("namespaces") && IMMORTAL.contains(&request.name) {
        return Err(request.forbid("this namespace may not be deleted"));
    }
    Ok(())
}
