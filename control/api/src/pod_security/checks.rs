//! The table of the checks, and what they are written with.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Finding, Level, baseline, restricted};
use crate::kinds::fields::Fields;

/// The newest version of the standards that is known: that of the Kubernetes which is served.
pub(super) const MINOR_MAX: u32 = 34;

/// What is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) metadata: &'a Value,
    pub(super) spec: &'a Value,
}

/// A look at a pod; `None` when there is nothing against it.
pub(super) type Look = fn(&Pod<'_>) -> Option<Finding>;

/// One check, in the form that it has from each minor version on.
#[derive(Debug)]
pub(super) struct Check {
    id: &'static str,
    level: Level,
    versions: &'static [(u32, Look)],
    /// The check of the level below that this one makes superfluous, from its own first version on.
    replaces: &'static str,
}

impl Check {
    /// What to do at this level and version, if anything.
    pub(super) fn at(&self, level: Level, minor: u32) -> Option<Look> {
        if self.level > level || CHECKS.iter().any(|other| other.replaces == self.id && other.runs(level, minor)) {
            return None;
        }
        self.versions.iter().rev().find(|(from, _)| *from <= minor).map(|(_, look)| *look)
    }

    fn runs(&self, level: Level, minor: u32) -> bool {
        self.level <= level && self.versions.first().is_some_and(|(from, _)| *from <= minor)
    }
}

const fn baseline(id: &'static str, versions: &'static [(u32, Look)]) -> Check {
    Check { id, level: Level::Baseline, versions, replaces: "" }
}

const fn restricted(id: &'static str, versions: &'static [(u32, Look)], replaces: &'static str) -> Check {
    Check { id, level: Level::Restricted, versions, replaces }
}

/// Those of the baseline first, each level by name, as upstream's messages list them.
pub(super) static CHECKS: &[Check] = &[
    baseline("appArmorProfile", &[(0, baseline::app_armor)]),
    baseline("capabilities_baseline", &[(0, baseline::capabilities)]),
    baseline("hostNamespaces", &[(0, baseline::host_namespaces)]),
    baseline("hostPathVolumes", &[(0, baseline::host_path)]),
    baseline("hostPorts", &[(0, baseline::host_ports)]),
    baseline("hostProbesAndHostLifecycle", &[(34, baseline::host_probes)]),
    baseline("privileged", &[(0, baseline::privileged)]),
    baseline("procMount", &[(0, baseline::proc_mount)]),
    baseline("seLinuxOptions", &[(0, baseline::se_linux_v0), (31, baseline::se_linux_v31)]),
    baseline("seccompProfile_baseline", &[(0, baseline::seccomp_v0), (19, baseline::seccomp_v19)]),
    baseline(
        "sysctls",
        &[
            (0, baseline::sysctls_v0),
            (27, baseline::sysctls_v27),
            (29, baseline::sysctls_v29),
            (32, baseline::sysctls_v32),
        ],
    ),
    baseline("windowsHostProcess", &[(0, baseline::windows_host_process)]),
    restricted(
        "allowPrivilegeEscalation",
        &[(8, restricted::privilege_escalation_v8), (25, restricted::privilege_escalation_v25)],
        "",
    ),
    restricted(
        "capabilities_restricted",
        &[(22, restricted::capabilities_v22), (25, restricted::capabilities_v25)],
        "capabilities_baseline",
    ),
    restricted("restrictedVolumes", &[(0, restricted::volumes)], "hostPathVolumes"),
    restricted("runAsNonRoot", &[(0, restricted::run_as_non_root)], ""),
    restricted("runAsUser", &[(23, restricted::run_as_user)], ""),
    restricted(
        "seccompProfile_restricted",
        &[(19, restricted::seccomp_v19), (25, restricted::seccomp_v25)],
        "seccompProfile_baseline",
    ),
];

impl<'a> Pod<'a> {
    /// Init containers, containers, ephemeral containers.
    pub(super) fn containers(&self) -> impl Iterator<Item = &'a Value> {
        ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| self.spec.list(list))
    }

    /// The names of the containers of which this is true.
    pub(super) fn containers_where(&self, is_bad: impl Fn(&'a Value) -> bool) -> Vec<&'a str> {
        self.containers().filter(|container| is_bad(container)).map(|container| container.text("name")).collect()
    }

    pub(super) fn is_windows(&self) -> bool {
        self.spec.at(&["os", "name"]).and_then(Value::as_str) == Some("windows")
    }

    /// The pod and its containers as they are named that set something forbidden, by their security contexts.
    pub(super) fn setters(&self, is_bad: impl Fn(&'a Value) -> bool) -> Vec<String> {
        let is_bad = |holder: &'a Value| holder.child("securityContext").is_some_and(&is_bad);
        let mut setters = Vec::new();
        if is_bad(self.spec) {
            setters.push("pod".to_owned());
        }
        let containers = self.containers_where(is_bad);
        if !containers.is_empty() {
            setters.push(named("container", &containers));
        }
        setters
    }
}

/// `"a", "b"`.
pub(super) fn quoted<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| format!("\"{item}\"")).collect();
    items.join(", ")
}

/// `container "a"` or `containers "a", "b"`.
pub(super) fn named(noun: &str, names: &[&str]) -> String {
    format!("{} {}", counted(noun, names.len()), quoted(names.iter().copied()))
}

/// The noun, with an s unless there is one.
pub(super) fn counted(noun: &str, count: usize) -> String {
    if count == 1 { noun.to_owned() } else { format!("{noun}s") }
}

/// "uses" of one, "use" of several.
pub(super) fn uses(count: usize) -> &'static str {
    if count == 1 { "uses" } else { "use" }
}

pub(super) fn finding(reason: &str, detail: String) -> Option<Finding> {
    Some(Finding { reason: reason.to_owned(), detail })
}

/// A set of texts that prints in order.
pub(super) type Texts<'a> = BTreeSet<&'a str>;
