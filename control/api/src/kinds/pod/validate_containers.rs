//! Containers of the three sorts: regular ones, init containers (and sidecars), ephemeral ones.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{validate_environment, validate_handlers, validate_mounts, validate_security};
use crate::kinds::fields::Fields;
use crate::kinds::validation::resources::{self, Asker};
use crate::kinds::validation::{complain, dns_label, one_of, port_name, port_number};
use crate::status::{FieldError, FieldPath};

/// What of the pod a container's rules depend on.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) spec: &'a Value,
    /// The valid volumes by name.
    pub(super) volumes: &'a BTreeMap<&'a str, &'a Value>,
    /// Names of the pod's resource claims, sorted.
    pub(super) claims: &'a [&'a str],
    pub(super) grace_seconds: Option<i64>,
    /// False if the pod has user ids of its own.
    pub(super) host_users: bool,
}

const ONLY_SIDECARS: &str = "may not be set for init containers without restartPolicy=Always";
const NOT_EPHEMERAL: &str = "cannot be set for an Ephemeral Container";
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const PROTOCOLS: &[&str] = &["SCTP", "TCP", "UDP"];

pub(super) fn regular(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, pod: &Surroundings<'_>) {
    let containers = pod.spec.list("containers");
    if containers.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    let mut names = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        common(errors, &path, container, pod);
        let name = container.text("name");
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        lifecycle_and_probes(errors, &path, container, pod);
        if container.has("restartPolicy") {
            errors.push(FieldError::forbidden(path.child("restartPolicy"), "may not be set for non-init containers"));
        }
    }
    host_ports_are_unique(errors, path, containers);
}

pub(super) fn initial(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, pod: &Surroundings<'_>) {
    let mut names: BTreeSet<&str> =
        pod.spec.list("containers").iter().map(|container| container.text("name")).collect();
    for (index, container) in pod.spec.list("initContainers").iter().enumerate() {
        let item = path.index(index);
        common(errors, &item, container, pod);
        if let Some(policy) = container.text_if_set("restartPolicy").filter(|policy| *policy != "Always") {
            errors.push(FieldError::not_supported(item.child("restartPolicy"), policy, ["Always"]));
        }
        let name = container.text("name");
        if names.contains(name) {
            errors.push(FieldError::duplicate(item.child("name"), name));
        } else if !name.is_empty() {
            names.insert(name);
        }
        // They run one after the other, so ports of different ones cannot clash.
        host_ports_are_unique(errors, path, std::slice::from_ref(container));
        if super::is_sidecar(container) {
            lifecycle_and_probes(errors, &item, container, pod);
        } else {
            for field in ["lifecycle"].into_iter().chain(PROBES) {
                if container.has(field) {
                    errors.push(FieldError::forbidden(item.child(field), ONLY_SIDECARS));
                }
            }
        }
    }
}

pub(super) fn ephemeral(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, pod: &Surroundings<'_>) {
    let others: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|list| pod.spec.list(list))
        .map(|container| container.text("name"))
        .collect();
    let mut names = others.clone();
    for (index, container) in pod.spec.list("ephemeralContainers").iter().enumerate() {
        let path = path.index(index);
        common(errors, &path, container, pod);
        image_is_trimmed(errors, &path, container);
        let name = container.text("name");
        if !names.insert(name) {
            errors.push(FieldError::duplicate(path.child("name"), name));
        }
        let target = container.text("targetContainerName");
        if !target.is_empty() && !others.contains(target) {
            errors.push(FieldError::not_found(path.child("targetContainerName"), target));
        }
        for field in [
            "ports",
            "resources",
            "resizePolicy",
            "restartPolicy",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
            "lifecycle",
        ] {
            let set = match container.child(field) {
                Some(Value::Object(map)) if field == "resources" => !map.is_empty(),
                Some(Value::Array(items)) => !items.is_empty(),
                Some(_) => true,
                None => false,
            };
            if set {
                errors.push(FieldError::forbidden(path.child(field), NOT_EPHEMERAL));
            }
        }
        let mounts_path = path.child("volumeMounts");
        for (index, mount) in container.list("volumeMounts").iter().enumerate() {
            for field in ["subPath", "subPathExpr"] {
                if !mount.text(field).is_empty() {
                    errors.push(FieldError::forbidden(mounts_path.index(index).child(field), NOT_EPHEMERAL));
                }
            }
        }
    }
}

/// An image reference has no space around it. Templates may have some, for the sake of old ones.
pub(super) fn image_is_trimmed(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, container: &Value) {
    let image = container.text("image");
    if image.trim() != image {
        errors.push(FieldError::invalid(path.child("image"), image, "must not have leading or trailing whitespace"));
    }
}

/// What holds for containers of every sort.
fn common(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, container: &Value, pod: &Surroundings<'_>) {
    let name = container.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), ""));
    } else {
        dns_label(errors, &path.child("name"), name);
    }
    if container.text("image").is_empty() {
        errors.push(FieldError::required(path.child("image"), ""));
    }
    one_of(
        errors,
        &path.child("terminationMessagePolicy"),
        container.text("terminationMessagePolicy"),
        &["File", "FallbackToLogsOnError"],
    );
    ports(errors, &path.child("ports"), container.list("ports"));
    validate_environment::variables(errors, &path.child("env"), container.list("env"));
    validate_environment::sources(errors, &path.child("envFrom"), container.list("envFrom"));
    validate_mounts::mounts(errors, &path.child("volumeMounts"), container, pod.volumes);
    validate_mounts::devices(errors, &path.child("volumeDevices"), container, pod.volumes);
    one_of(
        errors,
        &path.child("imagePullPolicy"),
        container.text("imagePullPolicy"),
        &["Always", "IfNotPresent", "Never"],
    );
    resources::requirements(
        errors,
        &path.child("resources"),
        container.child("resources"),
        Asker::Container,
        pod.claims,
    );
    resize_policy(errors, &path.child("resizePolicy"), container.list("resizePolicy"), pod.spec.text("restartPolicy"));
    validate_security::container(
        errors,
        &path.child("securityContext"),
        container.child("securityContext"),
        pod.host_users,
    );
}

fn lifecycle_and_probes(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, container: &Value, pod: &Surroundings<'_>) {
    if let Some(lifecycle) = container.child("lifecycle") {
        validate_handlers::lifecycle(errors, &path.child("lifecycle"), lifecycle, pod);
    }
    for field in PROBES {
        if let Some(probe) = container.child(field) {
            validate_handlers::probe(errors, &path.child(field), probe, field);
        }
    }
}

fn ports(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, ports: &[Value]) {
    let mut names = BTreeSet::new();
    for (index, port) in ports.iter().enumerate() {
        let path = path.index(index);
        let name = port.text("name");
        if !name.is_empty() {
            let complaints = port_name(name);
            if complaints.is_empty() && !names.insert(name) {
                errors.push(FieldError::duplicate(path.child("name"), name));
            }
            complain(errors, &path.child("name"), name, complaints);
        }
        match port.int("containerPort").unwrap_or(0) {
            0 => errors.push(FieldError::required(path.child("containerPort"), "")),
            number => complain(errors, &path.child("containerPort"), number, port_number(number)),
        }
        if let Some(number) = port.int("hostPort").filter(|number| *number != 0) {
            complain(errors, &path.child("hostPort"), number, port_number(number));
        }
        one_of(errors, &path.child("protocol"), port.text("protocol"), PROTOCOLS);
    }
}

/// No two ports of these containers want the same port of the host.
fn host_ports_are_unique(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, containers: &[Value]) {
    let mut seen = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("ports");
        for (index, port) in container.list("ports").iter().enumerate() {
            let Some(number) = port.int("hostPort").filter(|number| *number != 0) else { continue };
            let key = format!("{}/{}/{number}", port.text("protocol"), port.text("hostIP"));
            if seen.contains(&key) {
                errors.push(FieldError::duplicate(path.index(index).child("hostPort"), key));
            } else {
                seen.insert(key);
            }
        }
    }
}

fn resize_policy(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, policies: &[Value], restart_policy: &str) {
    let mut seen = BTreeSet::new();
    for (index, policy) in policies.iter().enumerate() {
        let (resource, restart) = (policy.text("resourceName"), policy.text("restartPolicy"));
        if !seen.insert(resource) {
            errors.push(FieldError::duplicate(path.index(index), resource));
        }
        one_of(errors, path, resource, &["cpu", "memory"]);
        one_of(errors, path, restart, &["NotRequired", "RestartContainer"]);
        if restart_policy == "Never" && restart != "NotRequired" {
            errors.push(FieldError::invalid(
                path,
                restart,
                "must be 'NotRequired' when pod `restartPolicy` is 'Never'",
            ));
        }
    }
}
