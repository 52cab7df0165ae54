//! Security contexts of pods and containers, the annotations of old that said the same, and what fits which system.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::kinds::fields::{Fields, text_entries};
use crate::kinds::validation::{dns_subdomain, id, one_of_if_set};
use crate::status::{FieldError, FieldPath};

use super::validate_volumes::relative_path;

const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APPARMOR_CONTAINER: &str = "container.apparmor.security.beta.kubernetes.io/";
const NOT_WINDOWS: &str = "cannot be set for a windows pod";
const NOT_LINUX: &str = "windows options cannot be set for a linux pod";
const NO_HOST_USERS: &str = "when `hostUsers` is false";
/// Longest path of a profile, in bytes: one less than PATH_MAX.
const PROFILE_BYTES_MAX: usize = 4095;
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;
const SYSCTL_BYTES_MAX: usize = 253;
const SYSCTL_FORMAT: &str = "^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$";

/// The pod's own security context; `path` is that of the spec.
pub(super) fn pod(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let path = path.child("securityContext");
    if let Some(context) = spec.child("securityContext") {
        for field in ["fsGroup", "runAsUser", "runAsGroup"] {
            id(errors, &path.child(field), context.int(field));
        }
        let groups = path.child("supplementalGroups");
        for (index, group) in context.list("supplementalGroups").iter().enumerate() {
            id(errors, &groups.index(index), group.as_i64());
        }
    }
    if spec.is_true("shareProcessNamespace") && spec.is_true("hostPID") {
        let detail = "ShareProcessNamespace and HostPID cannot both be enabled";
        errors.push(FieldError::invalid(path.child("shareProcessNamespace"), true, detail));
    }
    let Some(context) = spec.child("securityContext") else { return };
    sysctls(errors, &path.child("sysctls"), context.list("sysctls"), spec);
    let policies: [(&str, &[&str]); 3] = [
        ("fsGroupChangePolicy", &["Always", "OnRootMismatch"]),
        ("supplementalGroupsPolicy", &["Merge", "Strict"]),
        ("seLinuxChangePolicy", &["MountOption", "Recursive"]),
    ];
    for (field, allowed) in policies {
        one_of_if_set(errors, &path.child(field), context.text_if_set(field), allowed);
    }
    profiles_and_windows(errors, &path, context);
}

/// A container's security context. `host_users` is false if the pod has user ids of its own.
pub(super) fn container(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, context: Option<&Value>, host_users: bool) {
    let Some(context) = context else { return };
    // A sandboxed container has no privileges to give, and an API server allows them only where it is told to.
    if context.is_true("privileged") {
        errors.push(FieldError::forbidden(path.child("privileged"), "disallowed by cluster policy"));
    }
    for field in ["runAsUser", "runAsGroup"] {
        id(errors, &path.child(field), context.int(field));
    }
    let proc_mount = context.text_if_set("procMount");
    one_of_if_set(errors, &path.child("procMount"), proc_mount, &["Default", "Unmasked"]);
    if host_users && proc_mount == Some("Unmasked") {
        let detail = "`hostUsers` must be false to use `Unmasked`";
        errors.push(FieldError::invalid(path.child("procMount"), "Unmasked", detail));
    }
    if context.flag("allowPrivilegeEscalation") == Some(false) {
        if context.is_true("privileged") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true";
            errors.push(FieldError::invalid(path, context.clone(), detail));
        }
        let added = context.child("capabilities").map(|capabilities| capabilities.texts("add")).unwrap_or_default();
        if added.contains(&"CAP_SYS_ADMIN") {
            let detail = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN";
            errors.push(FieldError::invalid(path, context.clone(), detail));
        }
    }
    profiles_and_windows(errors, path, context);
}

fn profiles_and_windows(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, context: &Value) {
    if let Some(profile) = context.child("seccompProfile") {
        seccomp(errors, &path.child("seccompProfile"), profile);
    }
    if let Some(options) = context.child("windowsOptions") {
        windows_options(errors, &path.child("windowsOptions"), options);
    }
    if let Some(profile) = context.child("appArmorProfile") {
        app_armor(errors, &path.child("appArmorProfile"), profile);
    }
}

const PROFILES: &[&str] = &["Localhost", "RuntimeDefault", "Unconfined"];

fn seccomp(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, profile: &Value) {
    let kind = profile.text("type");
    if kind.is_empty() {
        errors.push(FieldError::required(path.child("type"), "type is required when seccompProfile is set"));
    } else {
        one_of_if_set(errors, &path.child("type"), Some(kind), PROFILES);
    }
    let local = path.child("localhostProfile");
    match (kind == "Localhost", profile.text_if_set("localhostProfile")) {
        (true, None) => {
            errors.push(FieldError::required(local, "must be set when seccomp type is Localhost"));
        }
        (true, Some(target)) => relative_path(errors, &local, target),
        (false, Some(_)) => {
            let detail = "can only be set when seccomp type is Localhost";
            errors.push(FieldError::invalid(local, profile.clone(), detail));
        }
        (false, None) => {}
    }
}

fn app_armor(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, profile: &Value) {
    let local_path = path.child("localhostProfile");
    let local = profile.text_if_set("localhostProfile");
    match profile.text("type") {
        "Localhost" => match local {
            None => errors.push(FieldError::required(local_path, "must be set when AppArmor type is Localhost")),
            Some(local) => {
                if local.trim() != local {
                    errors.push(FieldError::invalid(local_path, local, "must not be padded with whitespace"));
                } else if local.is_empty() {
                    errors.push(FieldError::required(local_path, "must be set when AppArmor type is Localhost"));
                }
                if local.len() > PROFILE_BYTES_MAX {
                    errors.push(FieldError::too_long(local_path, PROFILE_BYTES_MAX));
                }
            }
        },
        "RuntimeDefault" | "Unconfined" => {
            if let Some(local) = local {
                let detail = "can only be set when AppArmor type is Localhost";
                errors.push(FieldError::invalid(local_path, local, detail));
            }
        }
        "" => errors.push(FieldError::required(path.child("type"), "type is required when appArmorProfile is set")),
        kind => errors.push(FieldError::not_supported(path.child("type"), kind, PROFILES)),
    }
}

fn windows_options(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, options: &Value) {
    if let Some(name) = options.text_if_set("gmsaCredentialSpecName") {
        dns_subdomain(errors, &path.child("gmsaCredentialSpecName"), name);
    }
    if let Some(credential) = options.text_if_set("gmsaCredentialSpec") {
        let path = path.child("gmsaCredentialSpec");
        if credential.is_empty() {
            errors.push(FieldError::invalid(path, credential, "gmsaCredentialSpec cannot be an empty string"));
        } else if credential.len() > CREDENTIAL_BYTES_MAX {
            errors.push(FieldError::invalid(path, credential, "gmsaCredentialSpec size must be under 64 KiB"));
        }
    }
    if let Some(user) = options.text_if_set("runAsUserName") {
        let path = path.child("runAsUserName");
        let detail = if user.is_empty() {
            "runAsUserName cannot be an empty string"
        } else if user.chars().any(char::is_control) {
            "runAsUserName cannot contain control characters"
        } else if user.split('\\').count() > 2 {
            "runAsUserName cannot contain more than one backslash"
        } else {
            return;
        };
        errors.push(FieldError::invalid(path, user, detail));
    }
}

fn sysctls(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, sysctls: &[Value], spec: &Value) {
    let mut seen = BTreeSet::new();
    for (index, sysctl) in sysctls.iter().enumerate() {
        let path = path.index(index);
        let path = path.child("name");
        let name = sysctl.text("name");
        if name.is_empty() {
            errors.push(FieldError::required(path, ""));
        } else if !is_sysctl(name) {
            let detail = format!("must have at most {SYSCTL_BYTES_MAX} characters and match regex {SYSCTL_FORMAT}");
            errors.push(FieldError::invalid(path, name, detail));
        } else if seen.contains(name) {
            errors.push(FieldError::duplicate(path, name));
        }
        seen.insert(name);
        let dotted = name.replace('/', ".");
        if spec.is_true("hostNetwork") && dotted.starts_with("net.") {
            errors.push(FieldError::invalid(path, name, "may not be specified when 'hostNetwork' is true"));
        } else if spec.is_true("hostIPC") && is_ipc_sysctl(&dotted) {
            errors.push(FieldError::invalid(path, name, "may not be specified when 'hostIPC' is true"));
        }
    }
}

fn is_sysctl(name: &str) -> bool {
    let part = |part: &str| {
        let end = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let bytes = part.as_bytes();
        let inside = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
        end(bytes.first()) && end(bytes.last()) && bytes.iter().all(inside)
    };
    name.len() <= SYSCTL_BYTES_MAX && name.split(['.', '/']).all(part)
}

fn is_ipc_sysctl(name: &str) -> bool {
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

/// A pod with user ids of its own shares no other namespace with the host.
pub(super) fn host_users(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    if spec.flag("hostUsers") != Some(false) {
        return;
    }
    for (field, shown) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.is_true(field) {
            errors.push(FieldError::forbidden(path.child(shown), NO_HOST_USERS));
        }
    }
    for (list, index, container) in super::containers(spec) {
        if !container.list("volumeDevices").is_empty() {
            let path = path.child(list);
            let path = path.index(index);
            errors.push(FieldError::forbidden(path.child("volumeDevices"), NO_HOST_USERS));
        }
    }
}

/// Containers that are processes of a Windows host: all of a pod or none.
pub(super) fn host_processes(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    let host_process =
        |object: &Value| object.at(&["securityContext", "windowsOptions", "hostProcess"]).and_then(Value::as_bool);
    let of_pod = host_process(spec);
    let (mut count, mut total) = (0, 0);
    for (list, index, container) in super::containers(spec) {
        total += 1;
        let own = host_process(container);
        if let (Some(of_pod), Some(own)) = (of_pod, own)
            && of_pod != own
        {
            let path = path.child(list);
            let path = path.index(index);
            let detail = format!("pod hostProcess value must be identical if both are specified, was {of_pod}");
            let field = path.child("securityContext.windowsOptions.hostProcess");
            errors.push(FieldError::invalid(field, own, detail));
        }
        count += usize::from(own.or(of_pod) == Some(true));
    }
    if count == 0 {
        return;
    }
    if count != total {
        let detail = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(FieldError::invalid(path, "", detail));
    }
    if !spec.is_true("hostNetwork") {
        let detail = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(FieldError::invalid(path.child("hostNetwork"), false, detail));
    }
    errors.push(FieldError::forbidden(path, "hostProcess containers are disallowed by cluster policy"));
}

/// A Linux pod has no Windows options.
pub(super) fn no_windows_options(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    const FIELD: &str = "securityContext.windowsOptions";
    let has = |object: &Value| object.at(&["securityContext", "windowsOptions"]).is_some();
    if has(spec) {
        errors.push(FieldError::forbidden(path.child(FIELD), NOT_LINUX));
    }
    for (list, index, container) in super::containers(spec).filter(|(_, _, container)| has(container)) {
        debug_assert!(container.is_object(), "only objects have fields");
        let path = path.child(list);
        errors.push(FieldError::forbidden(path.index(index).child(FIELD), NOT_LINUX));
    }
}

/// A Windows pod has only Windows options.
pub(super) fn only_windows_options(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, spec: &Value) {
    const OF_POD: &[&str] = &[
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "hostUsers",
        "hostPID",
        "hostIPC",
        "securityContext.seccompProfile",
        "securityContext.fsGroup",
        "securityContext.fsGroupChangePolicy",
        "securityContext.sysctls",
        "shareProcessNamespace",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
        "securityContext.supplementalGroups",
        "securityContext.supplementalGroupsPolicy",
        "securityContext.seLinuxChangePolicy",
    ];
    const OF_CONTAINER: &[&str] = &[
        "securityContext.appArmorProfile",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.capabilities",
        "securityContext.readOnlyRootFilesystem",
        "securityContext.privileged",
        "securityContext.allowPrivilegeEscalation",
        "securityContext.procMount",
        "securityContext.runAsUser",
        "securityContext.runAsGroup",
    ];
    let is_set = |object: &Value, field: &str| {
        let steps: Vec<&str> = field.split('.').collect();
        let value = object.at(&steps);
        let flag = matches!(field, "hostPID" | "hostIPC");
        value.is_some_and(|value| !(flag && *value == Value::Bool(false)))
    };
    for field in OF_POD.iter().filter(|field| is_set(spec, field)) {
        errors.push(FieldError::forbidden(path.child(field), NOT_WINDOWS));
    }
    for (list, index, container) in super::containers(spec) {
        let path = path.child(list);
        let path = path.index(index);
        for field in OF_CONTAINER.iter().filter(|field| is_set(container, field)) {
            errors.push(FieldError::forbidden(path.child(field), NOT_WINDOWS));
        }
    }
}

/// The annotations that said what the security context says now.
pub(super) fn annotations(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, annotations: &Value, spec: &Value) {
    for (key, value) in text_entries(annotations.as_object()) {
        if key == SECCOMP_POD || key.starts_with(SECCOMP_CONTAINER) {
            seccomp_annotation(errors, &path.child(key), value);
        }
        if let Some(name) = key.strip_prefix(APPARMOR_CONTAINER) {
            if !super::containers(spec).any(|(_, _, container)| container.text("name") == name) {
                errors.push(FieldError::invalid(path.key(key), name, "container not found"));
            }
            if !matches!(value, "" | "runtime/default" | "unconfined") && !value.starts_with("localhost/") {
                let detail = format!("invalid AppArmor profile name: {}", crate::go_text::quote(value));
                errors.push(FieldError::invalid(path.key(key), value, detail));
            }
        }
    }
}

fn seccomp_annotation(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, value: &str) {
    if matches!(value, "runtime/default" | "docker/default" | "unconfined") {
        return;
    }
    match value.strip_prefix("localhost/") {
        Some(target) => relative_path(errors, path, target),
        None => errors.push(FieldError::invalid(path, value, "must be a valid seccomp profile")),
    }
}

/// Where both an annotation and a field name a profile, they name the same.
pub(super) fn annotations_match(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, metadata: &Value, spec: &Value) {
    let Some(annotations) = metadata.child("annotations") else { return };
    let profile = |object: &'_ Value, field: &str| object.at(&["securityContext", field]).cloned();
    if let (Some(profile), Some(annotation)) = (profile(spec, "seccompProfile"), annotations.text_if_set(SECCOMP_POD)) {
        profile_matches(errors, &path.child("securityContext.seccompProfile"), &profile, annotation, "seccomp");
    }
    let windows = spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows");
    let of_pod = profile(spec, "appArmorProfile");
    for (list, index, container) in super::containers(spec) {
        let path = path.child(list);
        let path = path.index(index);
        let name = container.text("name");
        let seccomp = annotations.text_if_set(&format!("{SECCOMP_CONTAINER}{name}"));
        if let (Some(profile), Some(annotation)) = (profile(container, "seccompProfile"), seccomp) {
            let path = path.child("securityContext.seccompProfile");
            profile_matches(errors, &path, &profile, annotation, "seccomp");
        }
        let app_armor = annotations.text_if_set(&format!("{APPARMOR_CONTAINER}{name}"));
        let own = profile(container, "appArmorProfile").or_else(|| of_pod.clone());
        if let (Some(profile), Some(annotation), false) = (own, app_armor, windows) {
            let path = path.child("securityContext.appArmorProfile");
            profile_matches(errors, &path, &profile, annotation, "apparmor");
        }
    }
}

fn profile_matches(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, profile: &Value, annotation: &str, what: &str) {
    let fits = match profile.text("type") {
        "Unconfined" => annotation == "unconfined",
        "RuntimeDefault" => annotation == "runtime/default" || (what == "seccomp" && annotation == "docker/default"),
        "Localhost" => annotation.starts_with("localhost/"),
        _ => return,
    };
    if !fits {
        let detail = format!("{what} type in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("type"), detail));
    } else if profile.text("type") == "Localhost"
        && profile.text_if_set("localhostProfile") != annotation.strip_prefix("localhost/")
    {
        let detail = format!("{what} profile in annotation and field must match");
        errors.push(FieldError::forbidden(path.child("localhostProfile"), detail));
    }
}
