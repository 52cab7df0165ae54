//! OwnerReferencesPermissionEnforcement: who names owners may delete the object, and who lets it hold up its owner's
//! deletion may hold up the owner.

use coracle_control_api::kind::Kind;
use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::{Action, Request};
use crate::authorization::{Attributes, decide};

pub(super) fn validate(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let Some(object) = object.filter(|_| request.action != Action::Delete) else { return Ok(()) };
    // A host reports the state of pods that it mirrors with their owners.
    if request.is("", "pods") && request.subresource == "status" {
        return Ok(());
    }
    let old: &[Value] = request.old.map(meta::owner_references).unwrap_or_default();
    let new = meta::owner_references(object);
    if new == old {
        return Ok(());
    }
    let (roles, kind) = (request.call.shared.roles(), &request.call.kind);
    let attributes = Attributes {
        verb: "delete",
        group: &kind.group,
        resource: &kind.plural,
        namespace: request.call.namespace(),
        name: request.name,
        ..Attributes::default()
    };
    if let Err(reason) = decide(&roles, &request.call.user, &attributes) {
        return Err(request.forbid(&format!("cannot set an ownerRef on a resource you can't delete: {reason}, <nil>")));
    }
    for owner in new.iter().filter(|owner| blocks(owner) && !old.iter().any(|old| blocks(old) && same(old, owner))) {
        check_owner(request, owner)?;
    }
    Ok(())
}

fn blocks(owner: &Value) -> bool {
    owner.get("blockOwnerDeletion").and_then(Value::as_bool) == Some(true)
}

fn same(one: &Value, other: &Value) -> bool {
    one.get("uid") == other.get("uid")
}

fn check_owner(request: &Request<'_>, owner: &Value) -> Result<(), Status> {
    let text = |field: &str| owner.get(field).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
    let catalog = request.call.shared.catalog.all();
    let named =
        |kind: &&std::sync::Arc<Kind>| kind.group == group && kind.version == version && kind.kind == text("kind");
    let Some(kind) = catalog.kinds().iter().find(named) else {
        return Err(request.forbid(&format!(
            "cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion {} Kind {}",
            text("apiVersion"),
            text("kind")
        )));
    };
    let attributes = Attributes {
        verb: "update",
        group: &kind.group,
        resource: &kind.plural,
        subresource: "finalizers",
        namespace: if kind.namespaced { request.call.namespace() } else { "" },
        name: text("name"),
        ..Attributes::default()
    };
    decide(&request.call.shared.roles(), &request.call.user, &attributes).map(drop).map_err(|reason| {
        request.forbid(&format!(
            "cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: \
             {reason}, <nil>"
        ))
    })
}
