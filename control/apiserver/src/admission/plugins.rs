//! The table of the plugins.

use super::{
    Action, Mutate, Validate, default_tolerations, namespace_lifecycle, node_restriction, pod_security, priority,
    service_account, storage_in_use, taint_nodes,
};

/// One plugin.
#[derive(Debug)]
pub(crate) struct Plugin {
    pub(crate) name: &'static str,
    pub(crate) on_by_default: bool,
    pub(crate) mutate: Option<Mutate>,
    pub(crate) validate: Option<Validate>,
}

/// A plugin that runs unless it is disabled.
const fn on(name: &'static str, mutate: Option<Mutate>, validate: Option<Validate>) -> Plugin {
    Plugin { name, on_by_default: true, mutate, validate }
}

/// A plugin that runs only where it is enabled.
const fn off(name: &'static str, mutate: Option<Mutate>, validate: Option<Validate>) -> Plugin {
    Plugin { name, on_by_default: false, mutate, validate }
}

/// The plugins in the order in which they run, which is upstream's. A plugin without functions either does nothing
/// upstream (`AlwaysAdmit`), or does its work elsewhere and cannot be switched off (the certificate plugins), or does not
/// exist here and may only be named to leave it out ([`NOT_BUILT`]).
pub(crate) static PLUGINS: &[Plugin] = &[
    off("AlwaysAdmit", None, None),
    off("NamespaceAutoProvision", None, None),
    on(
        "NamespaceLifecycle",
        Some(Mutate::Now(|request, _, effects| {
            effects.conditions.extend(namespace_lifecycle::admit(request)?);
            Ok(())
        })),
        Some(Validate::Now(|request, _, _| match request.action {
            Action::Delete => namespace_lifecycle::protect(request),
            Action::Create | Action::Update => Ok(()),
        })),
    ),
    off("NamespaceExists", None, None),
    off("LimitPodHardAntiAffinityTopology", None, None),
    on("LimitRanger", None, None),
    on("ServiceAccount", Some(Mutate::Now(|request, object, _| service_account::admit(request, object))), None),
    on("NodeRestriction", None, Some(Validate::Now(|request, object, _| node_restriction::validate(request, object)))),
    on(
        "TaintNodesByCondition",
        Some(Mutate::Now(|request, object, _| {
            taint_nodes::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off("AlwaysPullImages", None, None),
    off("ImagePolicyWebhook", None, None),
    on("PodSecurity", None, Some(Validate::Now(pod_security::validate))),
    off("PodNodeSelector", None, None),
    on("Priority", Some(Mutate::Now(|request, object, _| priority::admit(request, object))), None),
    on(
        "DefaultTolerationSeconds",
        Some(Mutate::Now(|request, object, _| {
            default_tolerations::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off("PodTolerationRestriction", None, None),
    off("EventRateLimit", None, None),
    off("ExtendedResourceToleration", None, None),
    on("DefaultStorageClass", None, None),
    on(
        "StorageObjectInUseProtection",
        Some(Mutate::Now(|request, object, _| {
            storage_in_use::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off("OwnerReferencesPermissionEnforcement", None, None),
    on("PersistentVolumeClaimResize", None, None),
    on("RuntimeClass", None, None),
    on("CertificateApproval", None, None),
    on("CertificateSigning", None, None),
    on("ClusterTrustBundleAttest", None, None),
    on("CertificateSubjectRestriction", None, None),
    on("DefaultIngressClass", None, None),
    off("DenyServiceExternalIPs", None, None),
    on("PodTopologyLabels", None, None),
    on("MutatingAdmissionPolicy", None, None),
    on("MutatingAdmissionWebhook", None, None),
    on("ValidatingAdmissionPolicy", None, None),
    on("ValidatingAdmissionWebhook", None, None),
    on("ResourceQuota", None, None),
    off(
        "AlwaysDeny",
        None,
        Some(Validate::Now(|request, _, _| Err(request.forbid("admission control is denying all modifications")))),
    ),
];

/// Plugins that are off by default upstream and do not exist here: they need a configuration file that nothing reads.
pub(crate) const NOT_BUILT: &[&str] = &["EventRateLimit", "ImagePolicyWebhook"];
