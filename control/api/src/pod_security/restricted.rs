//! The checks of the restricted level: what hardened pods do.

use serde_json::Value;

use super::Finding;
use super::baseline::{added_capabilities, is_default_or_local, seccomp_v19 as seccomp_baseline};
use super::checks::{Pod, Texts, counted, finding, named, quoted, uses};
use crate::kinds::fields::Fields;

/// The volumes that anybody may have.
const VOLUMES: &[&str] = &[
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// The others that have a name, in upstream's order of precedence.
const VOLUMES_RESTRICTED: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
];

fn context(container: &Value) -> Option<&Value> {
    container.child("securityContext")
}

pub(super) fn privilege_escalation_v8(pod: &Pod<'_>) -> Option<Finding> {
    let containers = pod.containers_where(|container| {
        context(container).and_then(|context| context.flag("allowPrivilegeEscalation")) != Some(false)
    });
    if containers.is_empty() {
        return None;
    }
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", named("container", &containers));
    finding("allowPrivilegeEscalation != false", detail)
}

pub(super) fn privilege_escalation_v25(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { privilege_escalation_v8(pod) }
}

pub(super) fn capabilities_v22(pod: &Pod<'_>) -> Option<Finding> {
    let keeps_some = pod.containers_where(|container| {
        let capabilities = container.at(&["securityContext", "capabilities"]);
        !capabilities.is_some_and(|capabilities| capabilities.texts("drop").contains(&"ALL"))
    });
    let forbidden = |container| added_capabilities(container).filter(|name| *name != "NET_BIND_SERVICE");
    let adds = pod.containers_where(|container| forbidden(container).next().is_some());
    let mut details = Vec::new();
    if !keeps_some.is_empty() {
        let containers = named("container", &keeps_some);
        details.push(format!("{containers} must set securityContext.capabilities.drop=[\"ALL\"]"));
    }
    if !adds.is_empty() {
        let names: Texts<'_> = pod.containers().flat_map(forbidden).collect();
        let containers = named("container", &adds);
        details.push(format!("{containers} must not include {} in securityContext.capabilities.add", quoted(names)));
    }
    if details.is_empty() { None } else { finding("unrestricted capabilities", details.join("; ")) }
}

pub(super) fn capabilities_v25(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { capabilities_v22(pod) }
}

pub(super) fn volumes(pod: &Pod<'_>) -> Option<Finding> {
    let is_bad = |volume: &&Value| !VOLUMES.iter().any(|kind| volume.has(kind));
    let bad: Vec<&Value> = pod.spec.list("volumes").iter().filter(is_bad).collect();
    if bad.is_empty() {
        return None;
    }
    let kind_of =
        |volume: &&Value| VOLUMES_RESTRICTED.iter().find(|kind| volume.has(kind)).copied().unwrap_or("unknown");
    let kinds: Texts<'_> = bad.iter().map(kind_of).collect();
    let names: Vec<&str> = bad.iter().map(|volume| volume.text("name")).collect();
    let detail = format!(
        "{} {} {} {}",
        named("volume", &names),
        uses(names.len()),
        counted("restricted volume type", kinds.len()),
        quoted(kinds)
    );
    finding("restricted volume types", detail)
}

pub(super) fn run_as_non_root(pod: &Pod<'_>) -> Option<Finding> {
    let setters = pod.setters(|context| context.flag("runAsNonRoot") == Some(false));
    if !setters.is_empty() {
        let detail = format!("{} must not set securityContext.runAsNonRoot=false", setters.join(" and "));
        return finding("runAsNonRoot != true", detail);
    }
    let says = |holder| context(holder).and_then(|context| context.flag("runAsNonRoot")).is_some();
    let containers = pod.containers_where(|container| !says(container));
    if says(pod.spec) || containers.is_empty() {
        return None;
    }
    let containers = named("container", &containers);
    finding("runAsNonRoot != true", format!("pod or {containers} must set securityContext.runAsNonRoot=true"))
}

pub(super) fn run_as_user(pod: &Pod<'_>) -> Option<Finding> {
    let setters = pod.setters(|context| context.int("runAsUser") == Some(0));
    if setters.is_empty() {
        return None;
    }
    finding("runAsUser=0", format!("{} must not set runAsUser=0", setters.join(" and ")))
}

pub(super) fn seccomp_v19(pod: &Pod<'_>) -> Option<Finding> {
    if let Some(finding) = seccomp_baseline(pod) {
        return Some(finding);
    }
    let profile = |holder| context(holder).and_then(|context| context.child("seccompProfile"));
    let containers = pod.containers_where(|container| profile(container).is_none());
    if profile(pod.spec).is_some_and(|profile| is_default_or_local(profile.text("type"))) || containers.is_empty() {
        return None;
    }
    let containers = named("container", &containers);
    let detail = format!(
        "pod or {containers} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\""
    );
    finding("seccompProfile", detail)
}

pub(super) fn seccomp_v25(pod: &Pod<'_>) -> Option<Finding> {
    if pod.is_windows() { None } else { seccomp_v19(pod) }
}
