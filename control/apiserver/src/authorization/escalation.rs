//! Nobody can give himself or others a right that he has not: what is checked when roles and bindings are written.

use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::roles::Roles;
use super::rule::{Rule, not_covered};
use super::{Attributes, GROUP, decide};
use crate::admission::{Action, Request};
use crate::user::{MASTERS, UserInfo};

/// Refuses a role or binding that gives more than its author has.
///
/// # Errors
/// 403 with the rights that are missing; 404 for a binding of a role that is not there.
pub(crate) fn check(request: &Request<'_>, object: Option<&Value>) -> Result<(), Status> {
    let kind = &request.call.kind;
    let Some(object) = object.filter(|_| kind.group == GROUP && request.action != Action::Delete) else {
        return Ok(());
    };
    let user = &request.call.user;
    if user.is_in(MASTERS) {
        return Ok(());
    }
    let roles = request.call.shared.roles();
    match &*kind.plural {
        "roles" | "clusterroles" => check_role(request, &roles, user, object),
        "rolebindings" | "clusterrolebindings" => check_binding(request, &roles, user, object),
        _ => Ok(()),
    }
}

fn same(request: &Request<'_>, object: &Value, fields: &[&str]) -> bool {
    request.old.is_some_and(|old| fields.iter().all(|field| old.get(*field) == object.get(*field)))
}

fn check_role(request: &Request<'_>, roles: &Roles, user: &UserInfo, role: &Value) -> Result<(), Status> {
    let kind = &request.call.kind;
    let namespace = request.call.namespace();
    let asked = Attributes {
        verb: "escalate",
        group: GROUP,
        resource: &kind.plural,
        namespace,
        name: meta::name(role),
        ..Attributes::default()
    };
    if same(request, role, &["rules", "aggregationRule"]) || decide(roles, user, &asked).is_ok() {
        return Ok(());
    }
    let mut wanted = Rule::read(role.get("rules"));
    if role.get("aggregationRule").is_some_and(|rule| !rule.is_null()) {
        // What such a role comes to have cannot be known.
        wanted.extend(Rule::everything());
    }
    refuse_more(request, roles, user, &wanted, meta::name(role))
}

fn check_binding(request: &Request<'_>, roles: &Roles, user: &UserInfo, binding: &Value) -> Result<(), Status> {
    if same(request, binding, &["roleRef", "subjects"]) {
        return Ok(());
    }
    let namespace = request.call.namespace();
    let null = Value::Null;
    let reference = binding.get("roleRef").unwrap_or(&null);
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let resource = if text("kind") == "ClusterRole" { "clusterroles" } else { "roles" };
    let asked =
        Attributes { verb: "bind", group: GROUP, resource, namespace, name: text("name"), ..Attributes::default() };
    if decide(roles, user, &asked).is_ok() {
        return Ok(());
    }
    let Some(wanted) = roles.referenced(reference, namespace) else {
        return Err(Status::not_found(GROUP, resource, text("name")));
    };
    refuse_more(request, roles, user, wanted, meta::name(binding))
}

fn refuse_more(
    request: &Request<'_>,
    roles: &Roles,
    user: &UserInfo,
    wanted: &[Rule],
    name: &str,
) -> Result<(), Status> {
    let kind = &request.call.kind;
    let missing = not_covered(&roles.rules_of(user, request.call.namespace()), wanted);
    if missing.is_empty() {
        return Ok(());
    }
    let groups: Vec<String> = user.groups.iter().map(|group| format!("{group:?}")).collect();
    let cause = format!(
        "user {:?} (groups=[{}]) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        groups.join(" "),
        missing.join("\n")
    );
    Err(Status::forbidden(&kind.group, &kind.plural, name, &cause))
}
