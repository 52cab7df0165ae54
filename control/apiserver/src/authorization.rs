//! Who may do what: roles and their bindings, and what no role can tell.
//!
//! The administrators may do everything, and so may the controllers, which collect the garbage of every kind. A node's
//! agent has rules about his own node. Everyone else has what the roles say that are bound to him ([`Roles`]); the first
//! start of a cluster makes those that every cluster has. Nobody may see more than that the server lives.

mod escalation;
mod graph;
mod node;
mod references;
mod roles;
mod rule;

use coracle_control_api::status::Status;

use crate::authentication::ANONYMOUS;
use crate::request_info::RequestInfo;
use crate::user::{MASTERS, NODES, UserInfo};

pub(crate) use escalation::check as check_escalation;
pub(crate) use references::pod_references;
pub(crate) use roles::{RoleCache, Roles};
pub(crate) use rule::{Rule, not_covered};

/// The API group of roles and bindings.
const GROUP: &str = "rbac.authorization.k8s.io";
const CONTROLLERS: &str = "system:kube-controller-manager";
/// Paths that anyone may read.
const HEALTH: &[&str] = &["/healthz", "/livez", "/readyz"];

/// What is asked for, of a resource or of another path.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Attributes<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) subresource: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    /// The path, for what is no resource; then the other fields but the verb are empty.
    pub(crate) path: Option<&'a str>,
}

impl<'a> Attributes<'a> {
    pub(crate) fn of(info: &'a RequestInfo) -> Self {
        if !info.is_resource {
            return Self { verb: info.verb, path: Some(&info.path), ..Self::default() };
        }
        Self {
            verb: info.verb,
            group: &info.group,
            resource: &info.resource,
            subresource: &info.subresource,
            namespace: &info.namespace,
            name: &info.authorized_name,
            path: None,
        }
    }
}

/// Refuses what the user may not do, and says by what he may do the rest, as far as that is told.
///
/// # Errors
/// 403 in upstream's words; 401 for nobody, who would be told no more by a refusal.
pub(crate) fn authorize(roles: &Roles, user: &UserInfo, attributes: &Attributes<'_>) -> Result<String, Status> {
    match decide(roles, user, attributes) {
        Ok(reason) => Ok(reason),
        Err(_) if user.name == ANONYMOUS => Err(Status::unauthorized()),
        Err(cause) => Err(refusal(user, attributes, &cause)),
    }
}

/// 403 in upstream's words; `cause` is added at the end.
pub(crate) fn refusal(user: &UserInfo, attributes: &Attributes<'_>, cause: &str) -> Status {
    let Attributes { verb, group, resource, subresource, namespace, name, path } = *attributes;
    if let Some(path) = path {
        return Status::forbidden("", "", "", &format!("User {:?} cannot {verb} path {path:?}{cause}", user.name));
    }
    let full = if subresource.is_empty() { resource.to_owned() } else { format!("{resource}/{subresource}") };
    let place = if namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace {namespace:?}")
    };
    let cause = format!("User {:?} cannot {verb} resource {full:?} in API group {group:?} {place}{cause}", user.name);
    Status::forbidden(group, resource, name, &cause)
}

/// By what the user may do this; empty where that is not said.
///
/// # Errors
/// What a refusal adds about roles that are not there.
pub(crate) fn decide(roles: &Roles, user: &UserInfo, attributes: &Attributes<'_>) -> Result<String, String> {
    if user.is_in(MASTERS) || is_health(attributes) || user.name == CONTROLLERS {
        return Ok(String::new());
    }
    let node = user.name.strip_prefix("system:node:").filter(|_| user.is_in(NODES) && attributes.path.is_none());
    let Some(node) = node else { return roles.allow(user, attributes) };
    match node::allows(node, attributes, roles.relations()) {
        Ok(()) => Ok(String::new()),
        Err(cause) => roles.allow(user, attributes).map_err(|more| cause + &more),
    }
}

fn is_health(attributes: &Attributes<'_>) -> bool {
    let below = |path: &str| {
        HEALTH.iter().any(|root| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    matches!(attributes.verb, "get" | "head") && attributes.path.is_some_and(below)
}

#[cfg(test)]
mod tests;
