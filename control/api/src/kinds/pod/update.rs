//! What of a pod may change once it exists: very little, and each part through its own door.

use serde_json::{Value, json};

use super::{go_form, validate};
use crate::go_text;
use crate::kinds::fields::{self, Fields, items_mut, same};
use crate::names;
use crate::status::{FieldError, FieldPath};

const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";
const MIRROR: &str = "kubernetes.io/config.mirror";
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";

/// An update of the pod itself.
pub(super) fn object(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate::whole(new);
    annotations(&mut errors, new, old);
    let null = Value::Null;
    let (new, old) = (new.child("spec").unwrap_or(&null), old.child("spec").unwrap_or(&null));
    let path = FieldPath::root("spec");
    for list in ["containers", "initContainers"] {
        if new.list(list).len() != old.list(list).len() {
            let detail = "pod updates may not add or remove containers";
            errors.push(FieldError::forbidden(path.child(list), detail));
            return errors;
        }
        images(&mut errors, &path.child(list), new.list(list));
    }
    if !deadline(&mut errors, &path.child("activeDeadlineSeconds"), new, old) {
        return errors;
    }
    tolerations(&mut errors, &path.child("tolerations"), new, old);
    gates(&mut errors, &path.child("schedulingGates"), new, old);
    if same(Some(new), Some(old)) {
        return errors;
    }
    let mut wanted = new.clone();
    allow_changes(&mut wanted, old);
    if !old.list("schedulingGates").is_empty() {
        allow_changes_while_gated(&mut errors, &path, &mut wanted, old);
    }
    if !same(Some(&wanted), Some(old)) {
        let difference = go_form::difference("PodSpec", old, &wanted);
        let detail = format!("pod updates may not change fields other than {UPDATABLE}\n{difference}");
        errors.push(FieldError::forbidden(path, detail));
    }
    errors
}

fn images(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, containers: &[Value]) {
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        if container.text("image").is_empty() {
            errors.push(FieldError::required(path.child("image"), ""));
        }
        super::validate_containers::image_is_trimmed(errors, &path, container);
    }
}

/// A deadline may be set, and may come nearer. False where upstream looks no further.
fn deadline(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) -> bool {
    let seconds_max = i64::from(i32::MAX);
    match (new.int("activeDeadlineSeconds"), old.int("activeDeadlineSeconds")) {
        (Some(new), _) if !(0..=seconds_max).contains(&new) => {
            errors.push(FieldError::invalid(path, new, names::out_of_range(0, seconds_max)));
            return false;
        }
        (Some(new), Some(old)) if old < new => {
            errors.push(FieldError::invalid(path, new, "must be less than or equal to previous value"));
            return false;
        }
        (None, Some(_)) => {
            let detail = "must not update from a positive integer to nil value";
            errors.push(FieldError::invalid(path, Value::Null, detail));
        }
        _ => {}
    }
    true
}

/// Tolerations may be added, and may become longer or shorter.
fn tolerations(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    let timeless = |toleration: &Value| {
        let mut toleration = toleration.clone();
        fields::remove(&mut toleration, "tolerationSeconds");
        toleration
    };
    let all: Vec<Value> = new.list("tolerations").iter().map(timeless).collect();
    if old.list("tolerations").iter().any(|old| !all.contains(&timeless(old))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden(path, detail));
        return;
    }
    super::validate_scheduling::tolerations(errors, path, new.list("tolerations"));
}

/// Scheduling gates may only be taken away.
fn gates(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    let known: Vec<&str> = old.list("schedulingGates").iter().map(|gate| gate.text("name")).collect();
    for (index, gate) in new.list("schedulingGates").iter().enumerate() {
        let name = gate.text("name");
        if !known.contains(&name) {
            let detail = format!("only deletion is allowed, but found new scheduling gate '{name}'");
            errors.push(FieldError::forbidden(path.index(index).child("name"), detail));
        }
    }
}

/// Undoes, in a copy of the new spec, what any update may change.
fn allow_changes(wanted: &mut Value, old: &Value) {
    for list in ["containers", "initContainers"] {
        for (container, old) in items_mut(wanted, list).iter_mut().zip(old.list(list)) {
            fields::copy_from(container, old, "image");
        }
    }
    for field in ["activeDeadlineSeconds", "schedulingGates", "tolerations"] {
        fields::copy_from(wanted, old, field);
    }
    let grace = |spec: &Value| spec.int("terminationGracePeriodSeconds");
    if grace(old).is_some_and(|seconds| seconds < 0) && grace(wanted) == Some(1) {
        fields::copy_from(wanted, old, "terminationGracePeriodSeconds");
    }
}

/// Undoes what may change as long as nobody has thought of a node for the pod.
fn allow_changes_while_gated(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, wanted: &mut Value, old: &Value) {
    if !same(wanted.get("nodeSelector"), old.get("nodeSelector")) {
        let kept = old.map("nodeSelector").is_none_or(|selector| {
            selector.iter().all(|(key, value)| wanted.map("nodeSelector").and_then(|new| new.get(key)) == Some(value))
        });
        if !kept {
            let selector = wanted.child("nodeSelector").cloned().unwrap_or(Value::Null);
            let detail = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path.child("nodeSelector"), selector, detail));
        }
        fields::copy_from(wanted, old, "nodeSelector");
    }
    let of_node = |spec: &Value| spec.at(&["affinity", "nodeAffinity"]).cloned();
    let (new_affinity, old_affinity) = (of_node(wanted), of_node(old));
    if same(new_affinity.as_ref(), old_affinity.as_ref()) {
        return;
    }
    node_affinity(errors, path, new_affinity.as_ref(), old_affinity.as_ref());
    match old_affinity {
        Some(affinity) => {
            if let Some(all) = fields::object_mut(wanted, "affinity") {
                fields::set(all, "nodeAffinity", affinity);
            }
        }
        None => {
            if let Some(all) = wanted.get_mut("affinity") {
                fields::remove(all, "nodeAffinity");
            }
            let empty = wanted.map("affinity").is_some_and(serde_json::Map::is_empty);
            if empty && !old.has("affinity") {
                fields::remove(wanted, "affinity");
            }
        }
    }
}

/// Terms stay; requirements may be added to each.
fn node_affinity(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: Option<&Value>, old: Option<&Value>) {
    let terms = |affinity: Option<&Value>| -> Vec<Value> {
        let required = affinity.and_then(|affinity| affinity.child(REQUIRED));
        required.map(|required| required.list("nodeSelectorTerms").to_vec()).unwrap_or_default()
    };
    let (new, old) = (terms(new), terms(old));
    if old.is_empty() {
        return;
    }
    let path = path.child("affinity.nodeAffinity");
    let path = path.child(REQUIRED);
    let path = path.child("nodeSelectorTerms");
    if new.len() != old.len() {
        let detail = "no additions/deletions to non-empty NodeSelectorTerms list are allowed";
        errors.push(FieldError::invalid(path, go_form::list("NodeSelectorTerm", &new), detail));
        return;
    }
    for (index, (new, old)) in new.iter().zip(&old).enumerate() {
        if !only_additions(new, old) {
            let detail = "only additions are allowed (no mutations or deletions)";
            errors.push(FieldError::invalid(path.index(index), go_form::value("NodeSelectorTerm", new), detail));
        }
    }
}

fn only_additions(new: &Value, old: &Value) -> bool {
    let lists = ["matchExpressions", "matchFields"];
    // A term with no requirements matches nothing; with one more it would match something.
    if lists.iter().all(|list| old.list(list).is_empty()) && lists.iter().any(|list| !new.list(list).is_empty()) {
        return false;
    }
    lists.iter().all(|list| {
        let (new, old) = (new.list(list), old.list(list));
        new.len() >= old.len() && new.iter().zip(old).all(|(new, old)| same(Some(new), Some(old)))
    })
}

/// The annotations that hosts rely on stay as they were.
pub(super) fn annotations(errors: &mut Vec<FieldError>, new: &Value, old: &Value) {
    let null = Value::Null;
    let of = |pod: &'_ Value| pod.at(&["metadata", "annotations"]).cloned().unwrap_or(null.clone());
    let (new, old) = (of(new), of(old));
    let path = FieldPath::root("metadata");
    let path = path.child("annotations");
    let kinds = |key: &str| match key {
        MIRROR => Some("mirror pod annotation"),
        _ if key.starts_with(APPARMOR) => Some("AppArmor annotations"),
        _ => None,
    };
    for (key, value) in old.as_object().into_iter().flatten() {
        if let (Some(what), false) = (kinds(key), new.get(key) == Some(value)) {
            errors.push(FieldError::forbidden(path.key(key), format!("may not remove or update {what}")));
        }
    }
    for key in new.as_object().into_iter().flat_map(|map| map.keys()) {
        if let (Some(what), None) = (kinds(key), old.get(key)) {
            errors.push(FieldError::forbidden(path.key(key), format!("may not add {what}")));
        }
    }
}

/// Ephemeral containers may be added; those that are there stay as they are.
pub(super) fn ephemeral_containers(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate::whole(new);
    annotations(&mut errors, new, old);
    if validate::is_mirror(old) {
        return vec![FieldError::forbidden("[]", "static pods do not support ephemeral containers")];
    }
    let null = Value::Null;
    let list = |pod: &'_ Value| pod.child("spec").unwrap_or(&null).list("ephemeralContainers").to_vec();
    let (new, old) = (list(new), list(old));
    let path = "spec.ephemeralContainers";
    for old in &old {
        let name = old.text("name");
        let quoted = go_text::quote(name);
        match new.iter().rev().find(|new| new.text("name") == name) {
            None => {
                let detail = format!("existing ephemeral containers {quoted} may not be removed\n");
                errors.push(FieldError::forbidden(path, detail));
            }
            Some(new) if !same(Some(new), Some(old)) => {
                let difference = go_form::difference("EphemeralContainer", old, new);
                let detail = format!("existing ephemeral containers {quoted} may not be changed\n{difference}");
                errors.push(FieldError::forbidden(path, detail));
            }
            Some(_) => {}
        }
    }
    errors
}

/// A resize changes CPU and memory of containers, and nothing of the pod's class.
pub(super) fn resize(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate::whole(new);
    if validate::is_mirror(old) {
        return vec![FieldError::forbidden("[]", "static pods cannot be resized")];
    }
    let null = Value::Null;
    let (new_spec, old_spec) = (new.child("spec").unwrap_or(&null), old.child("spec").unwrap_or(&null));
    if old_spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows") {
        return vec![FieldError::forbidden("[]", "windows pods cannot be resized")];
    }
    let path = FieldPath::root("spec");
    let class = super::quality::class(old_spec);
    if class != super::quality::class(new_spec) {
        let detail = "Pod QOS Class may not change as a result of resizing";
        errors.push(FieldError::invalid(path, class, detail));
    }
    let of_pod = |spec: &Value| crate::kinds::validation::resources::has_amounts(spec.child("resources"));
    if of_pod(new_spec) || of_pod(old_spec) {
        let detail = "pods with pod-level resources cannot be resized";
        errors.push(FieldError::forbidden("[]", detail));
        return errors;
    }
    if !same_containers(&mut errors, &path, new_spec, old_spec) {
        return errors;
    }
    nothing_removed(&mut errors, &path, new_spec, old_spec);
    let mut wanted = new_spec.clone();
    for list in ["containers", "initContainers"] {
        for (container, old) in items_mut(&mut wanted, list).iter_mut().zip(old_spec.list(list)) {
            let sidecar = list == "initContainers" && super::is_sidecar(old);
            if list == "initContainers" && !sidecar {
                if !same(Some(container), Some(old)) {
                    let detail = "resources for non-sidecar init containers are immutable";
                    errors.push(FieldError::forbidden(path, detail));
                }
                continue;
            }
            keep_processor_and_memory(container, old);
            if !same(Some(container), Some(old)) {
                let detail = match sidecar {
                    true => "only cpu and memory resources for sidecar containers are mutable",
                    false => "only cpu and memory resources are mutable",
                };
                errors.push(FieldError::forbidden(path, detail));
            }
        }
    }
    if errors.is_empty() && !same(Some(&wanted), Some(old_spec)) {
        errors.push(FieldError::forbidden(path, "only cpu and memory resources are mutable"));
    }
    errors
}

fn same_containers(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) -> bool {
    let before = errors.len();
    for list in ["containers", "initContainers"] {
        let (new, old) = (new.list(list), old.list(list));
        let path = path.child(list);
        if new.len() != old.len() {
            let detail = format!("{list} may not be added or removed on resize");
            errors.push(FieldError::forbidden(path, detail));
            continue;
        }
        for (index, (new, old)) in new.iter().zip(old).enumerate() {
            if new.text("name") != old.text("name") {
                let detail = format!("{list} may not be renamed or reordered on resize");
                errors.push(FieldError::forbidden(path.index(index).child("name"), detail));
            }
        }
    }
    errors.len() == before
}

/// What a container asked for or was limited to may become another amount, but not no amount.
fn nothing_removed(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    for list in ["initContainers", "containers"] {
        let path = path.child(list);
        for (index, (new, old)) in new.list(list).iter().zip(old.list(list)).enumerate() {
            if list == "initContainers" && !super::is_sidecar(old) {
                continue;
            }
            let path = path.index(index);
            let path = path.child("resources");
            for part in ["requests", "limits"] {
                let names = |container: &Value| -> Vec<String> {
                    let list = container.child("resources").and_then(|resources| resources.map(part));
                    list.into_iter().flat_map(|list| list.keys().cloned()).collect()
                };
                let kept = names(new);
                let removed = names(old).iter().any(|name| !kept.contains(name));
                if removed {
                    let detail = format!("resource {part} cannot be removed");
                    errors.push(FieldError::forbidden(path.child(part), detail));
                }
            }
        }
    }
}

fn keep_processor_and_memory(container: &mut Value, old: &Value) {
    for part in ["limits", "requests"] {
        let old_list = old.child("resources").and_then(|resources| resources.child(part));
        let Some(resources) = fields::object_mut(container, "resources") else { continue };
        let mut list = resources.child(part).cloned().unwrap_or_else(|| json!({}));
        for name in ["cpu", "memory"] {
            match old_list.and_then(|list| list.get(name)) {
                Some(amount) => fields::set(&mut list, name, amount.clone()),
                None => fields::remove(&mut list, name),
            }
        }
        if list.as_object().is_some_and(|list| !list.is_empty()) {
            fields::set(resources, part, list);
        } else {
            fields::copy_from(resources, old.child("resources").unwrap_or(&Value::Null), part);
        }
    }
}

#[cfg(test)]
mod tests;
