//! NamespaceLifecycle: nothing is made in a namespace that is not there or goes away, and some namespaces stay.

use bytes::Bytes;
use coracle_control_api::meta;
use coracle_control_api::status::{Status, StatusCause};
use coracle_control_store::Condition;
use serde_json::Value;

use super::{Action, Request};

/// Namespaces that cannot be deleted.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// The key of a namespace in the store.
fn key(namespace: &str) -> Bytes {
    Bytes::from(format!("/registry/core/namespaces/{namespace}"))
}

/// Checks the namespace of an object that is to be made. The namespace must still be the same when it is.
pub(super) fn admit(request: &Request<'_>) -> Result<Option<Condition>, Status> {
    let namespace = request.call.namespace();
    if request.action != Action::Create || namespace.is_empty() {
        return Ok(None);
    }
    let key = key(namespace);
    let Some(entry) = request.snapshot.get(&key) else {
        return Err(Status::not_found("", "namespaces", namespace));
    };
    let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
    if meta::is_being_deleted(&object) {
        return Err(terminating(request, namespace));
    }
    Ok(Some(Condition::ModRevision { key, revision: entry.mod_revision }))
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
