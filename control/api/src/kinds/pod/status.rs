//! What a host may report about a pod.

use serde_json::{Value, json};

use crate::kinds::fields::{Fields, same};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{IMMUTABLE, complain, id, ip, parse_ip, qualified_name};
use crate::status::{FieldError, FieldPath};

const NOT_NEGATIVE: &str = "must be a non-negative integer";
const BACK_TO_LIFE: &str = "may not be transitioned to non-terminated state";
const ONE_OF_EACH: &str = "may specify no more than one IP for each IP family";
/// Conditions whose names are Kubernetes' own.
const OWN_CONDITIONS: &[&str] = &["PodScheduled", "Ready", "Initialized"];

pub(super) fn update(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    super::update::annotations(&mut errors, new, old);
    let null = Value::Null;
    let (status, old_status) = (new.child("status").unwrap_or(&null), old.child("status").unwrap_or(&null));
    let (spec, old_spec) = (new.child("spec").unwrap_or(&null), old.child("spec").unwrap_or(&null));
    let path = FieldPath::root("status");
    conditions(&mut errors, &path.child("conditions"), status.list("conditions"));
    if spec.text("nodeName") != old_spec.text("nodeName") {
        errors.push(FieldError::forbidden(path.child("nodeName"), "may not be changed directly"));
    }
    let nominated = status.text("nominatedNodeName");
    if !nominated.is_empty() && nominated != old_status.text("nominatedNodeName") {
        let complaints = NameRule::Subdomain.complaints(nominated, false);
        complain(&mut errors, &path.child("nominatedNodeName"), nominated, complaints);
    }
    if let Some(generation) = status.int("observedGeneration").filter(|generation| *generation < 0) {
        errors.push(FieldError::invalid(path.child("observedGeneration"), generation, NOT_NEGATIVE));
    }
    if status.text("qosClass") != old_status.text("qosClass") {
        errors.push(FieldError::invalid(path.child("qosClass"), status.text("qosClass"), IMMUTABLE));
    }
    for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        stays_ended(&mut errors, &path.child(list), list, status, old_status, old_spec);
    }
    addresses(&mut errors, &path, status, old_status);
    for list in ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"] {
        users(&mut errors, &path.child(list), status.list(list), spec);
    }
    errors
}

fn conditions(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, conditions: &[Value]) {
    for (index, condition) in conditions.iter().enumerate() {
        let path = path.index(index);
        if let Some(generation) = condition.int("observedGeneration").filter(|generation| *generation < 0) {
            errors.push(FieldError::invalid(path.child("observedGeneration"), generation, NOT_NEGATIVE));
        }
        let kind = condition.text("type");
        if !OWN_CONDITIONS.contains(&kind) {
            qualified_name(errors, &path.child("Type"), kind);
        }
    }
}

/// A container that has ended for good does not run again.
fn stays_ended(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, list: &str, new: &Value, old: &Value, spec: &Value) {
    let policy = if list == "ephemeralContainerStatuses" { "Never" } else { spec.text("restartPolicy") };
    if policy == "Always" {
        return;
    }
    let sidecar = |name: &str| {
        list == "initContainerStatuses"
            && spec
                .list("initContainers")
                .iter()
                .any(|container| container.text("name") == name && super::is_sidecar(container))
    };
    for (index, old) in old.list(list).iter().enumerate() {
        let Some(ended) = old.at(&["state", "terminated"]) else { continue };
        let failed = ended.int("exitCode").unwrap_or(0) != 0;
        let name = old.text("name");
        if (failed && policy == "OnFailure") || sidecar(name) {
            continue;
        }
        let lives = |new: &Value| new.text("name") == name && new.at(&["state", "terminated"]).is_none();
        for _ in new.list(list).iter().filter(|new| lives(new)) {
            errors.push(FieldError::forbidden(path.index(index).child("state"), BACK_TO_LIFE));
        }
    }
}

fn addresses(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    for field in ["podIPs", "hostIPs"] {
        let path = path.child(field);
        let all = new.list(field);
        if field == "hostIPs"
            && let Some(first) = all.first().map(|first| first.text("ip"))
            && first != new.text("hostIP")
        {
            errors.push(FieldError::invalid(path.index(0).child("ip"), first, "must be equal to `hostIP`"));
        }
        for (index, address) in all.iter().enumerate() {
            let known = old.list(field).iter().any(|old| same(Some(old), Some(address)));
            if !known {
                ip(errors, &path.index(index), address.text("ip"));
            }
        }
        let families: Vec<bool> =
            all.iter().filter_map(|address| parse_ip(address.text("ip"))).map(|address| address.is_ipv4()).collect();
        let both = families.contains(&true) && families.contains(&false);
        if all.len() > 2 || (all.len() == 2 && families.len() == 2 && !both) {
            errors.push(FieldError::invalid(path, json!(all), ONE_OF_EACH));
        }
    }
}

/// The user that a container runs as, where the host tells.
fn users(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, statuses: &[Value], spec: &Value) {
    let windows = spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows");
    for (index, status) in statuses.iter().enumerate() {
        let Some(user) = status.at(&["user", "linux"]) else { continue };
        let path = path.index(index);
        let path = path.child("user.linux");
        if windows {
            errors.push(FieldError::forbidden(path, "cannot be set for a windows pod"));
            continue;
        }
        for field in ["uid", "gid"] {
            id(errors, &path.child(field), user.int(field));
        }
        let groups = path.child("supplementalGroups");
        for (index, group) in user.list("supplementalGroups").iter().enumerate() {
            id(errors, &groups.index(index), group.as_i64());
        }
    }
}
