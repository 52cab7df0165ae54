//! The checks of the baseline level: known ways out of a container.

use std::cell::Cell;

use serde_json::Value;

use super::Finding;
use super::checks::{Pod, Texts, counted, finding, named, quoted, uses};
use crate::go_text;
use crate::kinds::fields::{Fields, text_entries};

const APP_ARMOR_ANNOTATIONS: &str = "container.apparmor.security.beta.kubernetes.io/";
const SECCOMP_ANNOTATION: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_ANNOTATIONS: &str = "container.seccomp.security.alpha.kubernetes.io/";

/// What containers get without asking.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

const SE_LINUX_TYPES: &[&str] = &["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// The sysctls that are safe, in the order in which versions took them in.
const SYSCTLS: &[&str] = &[
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_wmem",
];

/// The type of a profile that is set and that the test does not like.
fn bad_type<'a>(context: &'a Value, profile: &str, is_good: impl Fn(&str) -> bool) -> Option<&'a str> {
    context.child(profile).map(|profile| profile.text("type")).filter(|kind| !is_good(kind))
}

/// The types of that profile that the pod and its containers set and that the test does not like.
fn bad_types<'a>(pod: &Pod<'a>, profile: &str, is_good: impl Fn(&str) -> bool) -> Texts<'a> {
    let contexts = std::iter::once(pod.spec).chain(pod.containers());
    contexts
        .filter_map(|holder| holder.child("securityContext"))
        .filter_map(|context| bad_type(context, profile, &is_good))
        .collect()
}

pub(super) fn is_default_or_local(kind: &str) -> bool {
    matches!(kind, "RuntimeDefault" | "Localhost")
}

pub(super) fn app_armor(pod: &Pod<'_>) -> Option<Finding> {
    let values = bad_types(pod, "appArmorProfile", is_default_or_local);
    let mut setters = pod.setters(|context| bad_type(context, "appArmorProfile", is_default_or_local).is_some());
    let annotations: Vec<String> = text_entries(pod.metadata.map("annotations"))
        .filter(|(key, _)| key.starts_with(APP_ARMOR_ANNOTATIONS))
        .filter(|(_, value)| !value.is_empty() && *value != "runtime/default" && !value.starts_with("localhost/"))
        .map(|(key, value)| format!("{key}={}", go_text::quote(value)))
        .collect();
    if !annotations.is_empty() {
        setters.push(counted("annotation", annotations.len()));
    }
    if setters.is_empty() {
        return None;
    }
    let values: Vec<&str> = values.into_iter().chain(annotations.iter().map(String::as_str)).collect();
    let reason = counted("forbidden AppArmor profile", values.len());
    let detail = format!("{} must not set AppArmor profile type to {}", setters.join(" and "), quoted(values));
    finding(&reason, detail)
}

pub(super) fn capabilities(pod: &Pod<'_>) -> Option<Finding> {
    let forbidden = |container| added_capabilities(container).filter(|name| !CAPABILITIES.contains(name));
    let containers = pod.containers_where(|container| forbidden(container).next().is_some());
    if containers.is_empty() {
        return None;
    }
    let names: Texts<'_> = pod.containers().flat_map(forbidden).collect();
    let detail = format!(
        "{} must not include {} in securityContext.capabilities.add",
        named("container", &containers),
        quoted(names)
    );
    finding("non-default capabilities", detail)
}

/// The capabilities that a container wants.
pub(super) fn added_capabilities(container: &Value) -> impl Iterator<Item = &str> {
    let capabilities = container.at(&["securityContext", "capabilities"]);
    capabilities.into_iter().flat_map(|capabilities| capabilities.list("add")).filter_map(Value::as_str)
}

pub(super) fn host_namespaces(pod: &Pod<'_>) -> Option<Finding> {
    let shared = ["hostNetwork", "hostPID", "hostIPC"].into_iter().filter(|field| pod.spec.is_true(field));
    let shared: Vec<String> = shared.map(|field| format!("{field}=true")).collect();
    if shared.is_empty() { None } else { finding("host namespaces", shared.join(", ")) }
}

pub(super) fn host_path(pod: &Pod<'_>) -> Option<Finding> {
    let volumes = pod.spec.list("volumes").iter().filter(|volume| volume.has("hostPath"));
    let names: Vec<&str> = volumes.map(|volume| volume.text("name")).collect();
    if names.is_empty() { None } else { finding("hostPath volumes", named("volume", &names)) }
}

pub(super) fn host_ports(pod: &Pod<'_>) -> Option<Finding> {
    let ports = |container: &Value| -> Vec<String> {
        let ports = container.list("ports").iter().filter_map(|port| port.int("hostPort"));
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    };
    let containers = pod.containers_where(|container| !ports(container).is_empty());
    if containers.is_empty() {
        return None;
    }
    let mut ports: Vec<String> = pod.containers().flat_map(ports).collect();
    ports.sort();
    ports.dedup();
    let detail = format!(
        "{} {} {} {}",
        named("container", &containers),
        uses(containers.len()),
        counted("hostPort", ports.len()),
        ports.join(", ")
    );
    finding("hostPort", detail)
}

pub(super) fn host_probes(pod: &Pod<'_>) -> Option<Finding> {
    let containers: Texts<'_> =
        pod.containers_where(|container| hosts(container).next().is_some()).into_iter().collect();
    if containers.is_empty() {
        return None;
    }
    let hosts: Texts<'_> = pod.containers().flat_map(hosts).collect();
    let containers: Vec<&str> = containers.into_iter().collect();
    let detail = format!(
        "{} {} {} {}",
        named("container", &containers),
        uses(containers.len()),
        counted("probe or lifecycle host", hosts.len()),
        quoted(hosts)
    );
    finding("probe or lifecycle host", detail)
}

/// The hosts that probes and hooks of a container would reach.
fn hosts(container: &Value) -> impl Iterator<Item = &str> {
    let probes =
        ["livenessProbe", "readinessProbe", "startupProbe"].into_iter().filter_map(|name| container.child(name));
    let hooks = ["postStart", "preStop"].into_iter().filter_map(|name| container.at(&["lifecycle", name]));
    probes.chain(hooks).flat_map(|handler| {
        ["httpGet", "tcpSocket"]
            .into_iter()
            .filter_map(|way| handler.child(way))
            .map(|way| way.text("host"))
            .filter(|host| !host.is_empty())
    })
}

pub(super) fn privileged(pod: &Pod<'_>) -> Option<Finding> {
    let containers = pod.containers_where(|container| {
        container.child("securityContext").is_some_and(|context| context.is_true("privileged"))
    });
    if containers.is_empty() {
        return None;
    }
    finding("privileged", format!("{} must not set securityContext.privileged=true", named("container", &containers)))
}

pub(super) fn proc_mount(pod: &Pod<'_>) -> Option<Finding> {
    let bad = |container| proc_mount_of(container).filter(|kind| *kind != "Default");
    let containers = pod.containers_where(|container| bad(container).is_some());
    if containers.is_empty() {
        return None;
    }
    let kinds: Texts<'_> = pod.containers().filter_map(bad).collect();
    let detail =
        format!("{} must not set securityContext.procMount to {}", named("container", &containers), quoted(kinds));
    finding("procMount", detail)
}

fn proc_mount_of(container: &Value) -> Option<&str> {
    container.at(&["securityContext", "procMount"]).and_then(Value::as_str)
}

pub(super) fn se_linux_v0(pod: &Pod<'_>) -> Option<Finding> {
    se_linux(pod, &SE_LINUX_TYPES[..4])
}

pub(super) fn se_linux_v31(pod: &Pod<'_>) -> Option<Finding> {
    se_linux(pod, SE_LINUX_TYPES)
}

fn se_linux(pod: &Pod<'_>, allowed: &[&str]) -> Option<Finding> {
    let (user, role) = (Cell::new(false), Cell::new(false));
    let setters = pod.setters(|context| {
        let Some(options) = context.child("seLinuxOptions") else { return false };
        let (sets_user, sets_role) = (!options.text("user").is_empty(), !options.text("role").is_empty());
        user.set(user.get() | sets_user);
        role.set(role.get() | sets_role);
        sets_user || sets_role || !allowed.contains(&options.text("type"))
    });
    if setters.is_empty() {
        return None;
    }
    let types = bad_types(pod, "seLinuxOptions", |kind| allowed.contains(&kind));
    let mut data = Vec::new();
    if !types.is_empty() {
        data.push(format!("{} {}", counted("type", types.len()), quoted(types)));
    }
    if user.get() {
        data.push("user may not be set".to_owned());
    }
    if role.get() {
        data.push("role may not be set".to_owned());
    }
    let detail = format!("{} set forbidden securityContext.seLinuxOptions: {}", setters.join(" and "), data.join("; "));
    finding("seLinuxOptions", detail)
}

pub(super) fn seccomp_v0(pod: &Pod<'_>) -> Option<Finding> {
    let is_good =
        |value: &str| matches!(value, "runtime/default" | "docker/default") || value.starts_with("localhost/");
    let keys = pod.containers().map(|container| format!("{SECCOMP_ANNOTATIONS}{}", container.text("name")));
    let mut forbidden: Vec<String> = keys
        .chain([SECCOMP_ANNOTATION.to_owned()])
        .filter_map(|key| {
            let value = pod.metadata.map("annotations")?.get(&key)?.as_str().filter(|value| !is_good(value))?;
            Some(format!("{key}={}", go_text::quote(value)))
        })
        .collect();
    if forbidden.is_empty() {
        return None;
    }
    forbidden.sort();
    forbidden.dedup();
    let detail = format!("forbidden {} {}", counted("annotation", forbidden.len()), forbidden.join(", "));
    finding("seccompProfile", detail)
}

pub(super) fn seccomp_v19(pod: &Pod<'_>) -> Option<Finding> {
    let setters = pod.setters(|context| bad_type(context, "seccompProfile", is_default_or_local).is_some());
    if setters.is_empty() {
        return None;
    }
    let values = bad_types(pod, "seccompProfile", is_default_or_local);
    let detail =
        format!("{} must not set securityContext.seccompProfile.type to {}", setters.join(" and "), quoted(values));
    finding("seccompProfile", detail)
}

pub(super) fn sysctls_v0(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, &SYSCTLS[..5])
}

pub(super) fn sysctls_v27(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, &SYSCTLS[..6])
}

pub(super) fn sysctls_v29(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, &SYSCTLS[..10])
}

pub(super) fn sysctls_v32(pod: &Pod<'_>) -> Option<Finding> {
    sysctls(pod, SYSCTLS)
}

fn sysctls(pod: &Pod<'_>, allowed: &[&str]) -> Option<Finding> {
    let set = pod.spec.child("securityContext").map(|context| context.list("sysctls")).unwrap_or_default();
    let names = set.iter().map(|sysctl| sysctl.text("name")).filter(|name| !allowed.contains(name));
    let names: Vec<&str> = names.collect();
    if names.is_empty() { None } else { finding("forbidden sysctls", names.join(", ")) }
}

pub(super) fn windows_host_process(pod: &Pod<'_>) -> Option<Finding> {
    let setters =
        pod.setters(|context| context.child("windowsOptions").is_some_and(|options| options.is_true("hostProcess")));
    if setters.is_empty() {
        return None;
    }
    let detail = format!("{} must not set securityContext.windowsOptions.hostProcess=true", setters.join(" and "));
    finding("hostProcess", detail)
}
