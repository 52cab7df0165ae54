//! The table of the plugins.

use super::{
    Action, Mutate, Validate, certificates, claim_resize, default_tolerations, defaults, external_ips, limit_ranger,
    namespace_lifecycle, node_restriction, owner_references, pod_rules, pod_security, policy, priority, resource_quota,
    runtime_class, service_account, storage_in_use, taint_nodes, webhook,
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
/// upstream (`AlwaysAdmit`), or does not exist here and may only be named to leave it out ([`NOT_BUILT`]).
pub(crate) static PLUGINS: &[Plugin] = &[
    off("AlwaysAdmit", None, None),
    off(
        "NamespaceAutoProvision",
        Some(Mutate::Now(|request, _, effects| {
            namespace_lifecycle::provide(request, effects);
            Ok(())
        })),
        None,
    ),
    on(
        "NamespaceLifecycle",
        Some(Mutate::Now(|request, _, effects| namespace_lifecycle::admit(request, effects))),
        Some(Validate::Now(|request, _, _| match request.action {
            Action::Delete => namespace_lifecycle::protect(request),
            Action::Create | Action::Update | Action::Connect => Ok(()),
        })),
    ),
    off(
        "NamespaceExists",
        None,
        Some(Validate::Now(|request, _, effects| namespace_lifecycle::exists(request, effects))),
    ),
    off(
        "LimitPodHardAntiAffinityTopology",
        None,
        Some(Validate::Now(|request, object, _| pod_rules::anti_affinity(request, object))),
    ),
    on(
        "LimitRanger",
        Some(Mutate::Now(|request, object, _| {
            limit_ranger::mutate(request, object);
            Ok(())
        })),
        Some(Validate::Now(|request, object, _| limit_ranger::validate(request, object))),
    ),
    on(
        "ServiceAccount",
        Some(Mutate::Now(|request, object, _| service_account::admit(request, object))),
        Some(Validate::Now(|request, object, _| service_account::validate(request, object))),
    ),
    on("NodeRestriction", None, Some(Validate::Now(|request, object, _| node_restriction::validate(request, object)))),
    on(
        "TaintNodesByCondition",
        Some(Mutate::Now(|request, object, _| {
            taint_nodes::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off(
        "AlwaysPullImages",
        Some(Mutate::Now(|request, object, _| {
            pod_rules::always_pull(request, object);
            Ok(())
        })),
        Some(Validate::Now(|request, object, _| pod_rules::always_pulled(request, object))),
    ),
    off("ImagePolicyWebhook", None, None),
    on("PodSecurity", None, Some(Validate::Now(pod_security::validate))),
    off("PodNodeSelector", Some(Mutate::Now(|request, object, _| pod_rules::select_nodes(request, object))), None),
    on(
        "Priority",
        Some(Mutate::Now(|request, object, _| priority::admit(request, object))),
        Some(Validate::Now(|request, object, _| priority::validate(request, object))),
    ),
    on(
        "DefaultTolerationSeconds",
        Some(Mutate::Now(|request, object, _| {
            default_tolerations::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off(
        "PodTolerationRestriction",
        Some(Mutate::Now(|request, object, _| pod_rules::add_tolerations(request, object))),
        Some(Validate::Now(|request, object, _| pod_rules::check_tolerations(request, object))),
    ),
    off("EventRateLimit", None, None),
    off(
        "ExtendedResourceToleration",
        Some(Mutate::Now(|request, object, _| {
            pod_rules::tolerate_extended(request, object);
            Ok(())
        })),
        None,
    ),
    on(
        "DefaultStorageClass",
        Some(Mutate::Now(|request, object, _| {
            defaults::storage_class(request, object);
            Ok(())
        })),
        None,
    ),
    on(
        "StorageObjectInUseProtection",
        Some(Mutate::Now(|request, object, _| {
            storage_in_use::admit(request, object);
            Ok(())
        })),
        None,
    ),
    off(
        "OwnerReferencesPermissionEnforcement",
        None,
        Some(Validate::Now(|request, object, _| owner_references::validate(request, object))),
    ),
    on(
        "PersistentVolumeClaimResize",
        None,
        Some(Validate::Now(|request, object, _| claim_resize::validate(request, object))),
    ),
    on(
        "RuntimeClass",
        Some(Mutate::Now(|request, object, _| runtime_class::mutate(request, object))),
        Some(Validate::Now(|request, object, _| runtime_class::validate(request, object))),
    ),
    on("CertificateApproval", None, Some(Validate::Now(|request, _, _| certificates::validate_approval(request)))),
    on(
        "CertificateSigning",
        None,
        Some(Validate::Now(|request, object, _| certificates::validate_signing(request, object))),
    ),
    on("ClusterTrustBundleAttest", None, None),
    on(
        "CertificateSubjectRestriction",
        None,
        Some(Validate::Now(|request, object, _| certificates::validate_subject(request, object))),
    ),
    on(
        "DefaultIngressClass",
        Some(Mutate::Now(|request, object, _| {
            defaults::ingress_class(request, object);
            Ok(())
        })),
        None,
    ),
    off(
        "DenyServiceExternalIPs",
        None,
        Some(Validate::Now(|request, object, _| external_ips::validate(request, object))),
    ),
    on("PodTopologyLabels", None, None),
    on("MutatingAdmissionPolicy", Some(Mutate::Later(policy::mutating::mutate)), None),
    on("MutatingAdmissionWebhook", Some(Mutate::Later(webhook::mutate)), None),
    on("ValidatingAdmissionPolicy", None, Some(Validate::Later(policy::validating::validate))),
    on("ValidatingAdmissionWebhook", None, Some(Validate::Later(webhook::validate))),
    on("ResourceQuota", None, Some(Validate::Later(resource_quota::validate))),
    off(
        "AlwaysDeny",
        None,
        Some(Validate::Now(|request, _, _| Err(request.forbid("admission control is denying all modifications")))),
    ),
];

/// Plugins that are off by default upstream and do not exist here: they need a configuration file that nothing reads.
pub(crate) const NOT_BUILT: &[&str] = &["EventRateLimit", "ImagePolicyWebhook"];
