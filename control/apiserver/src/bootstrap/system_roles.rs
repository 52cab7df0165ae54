//! Upstream's roles for parts of a cluster that are not ours: add-ons, proxies, signers, extension servers. Their
//! manifests name these roles, so they are here.

use serde_json::{Value, json};

use super::roles::{READ, Row, object, rules, words};

const EVENTS: Row = ("create patch update", "core events.k8s.io", "events");
const GROUP: &str = "rbac.authorization.k8s.io";

/// Cluster roles that rows can tell.
const CLUSTER_ROLES: &[(&str, &[Row])] = &[
    (
        "system:auth-delegator",
        &[
            ("create", "authentication.k8s.io", "tokenreviews"),
            ("create", "authorization.k8s.io", "subjectaccessreviews"),
        ],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
        &[("create", "certificates.k8s.io", "certificatesigningrequests/nodeclient")],
    ),
    (
        "system:certificates.k8s.io:certificatesigningrequests:selfnodeclient",
        &[("create", "certificates.k8s.io", "certificatesigningrequests/selfnodeclient")],
    ),
    ("system:heapster", &[(READ, "core", "events namespaces nodes pods"), (READ, "extensions", "deployments")]),
    ("system:kube-aggregator", &[(READ, "core", "endpoints services")]),
    ("system:kube-dns", &[("list watch", "core", "endpoints services")]),
    (
        "system:kubelet-api-admin",
        &[
            (READ, "core", "nodes"),
            ("proxy", "core", "nodes"),
            ("*", "core", "nodes/configz nodes/healthz nodes/log nodes/metrics nodes/pods nodes/proxy nodes/stats"),
        ],
    ),
    ("system:node-bootstrapper", &[("create get list watch", "certificates.k8s.io", "certificatesigningrequests")]),
    ("system:node-problem-detector", &[("get", "core", "nodes"), ("patch", "core", "nodes/status"), EVENTS]),
    (
        "system:node-proxier",
        &[
            ("list watch", "core", "endpoints services"),
            (READ, "core", "nodes"),
            EVENTS,
            ("list watch", "discovery.k8s.io", "endpointslices"),
            ("list watch", "networking.k8s.io", "servicecidrs"),
        ],
    ),
    (
        "system:persistent-volume-provisioner",
        &[
            ("create delete get list watch", "core", "persistentvolumes"),
            ("get list update watch", "core", "persistentvolumeclaims"),
            (READ, "storage.k8s.io", "storageclasses"),
            ("watch", "core", "events"),
            EVENTS,
        ],
    ),
    (
        "system:volume-scheduler",
        &[
            ("get list patch update watch", "core", "persistentvolumes"),
            (READ, "storage.k8s.io", "storageclasses"),
            ("get list patch update watch", "core", "persistentvolumeclaims"),
        ],
    ),
];

/// Who may approve requests for which of upstream's signers: the name of the role, and the signer's.
const APPROVERS: &[(&str, &str)] = &[
    ("kube-apiserver-client-approver", "kube-apiserver-client"),
    ("kube-apiserver-client-kubelet-approver", "kube-apiserver-client-kubelet"),
    ("kubelet-serving-approver", "kubelet-serving"),
    ("legacy-unknown-approver", "legacy-unknown"),
];

/// Roles in a namespace: namespace, name, rows.
const ROLES: &[(&str, &str, &[Row])] = &[
    ("kube-system", "system::leader-locking-kube-controller-manager", LOCKING),
    ("kube-system", "system::leader-locking-kube-scheduler", LOCKING),
    ("kube-system", "system:controller:bootstrap-signer", &[(READ, "core", "secrets")]),
    ("kube-system", "system:controller:cloud-provider", &[("create get list watch", "core", "configmaps")]),
    ("kube-system", "system:controller:token-cleaner", &[("delete get list watch", "core", "secrets"), EVENTS]),
];
const LOCKING: &[Row] = &[("create get list update watch", "coordination.k8s.io", "leases leasecandidates")];

/// A rule about objects of these names.
fn named(verbs: &str, group: &str, resources: &str, names: &[&str]) -> Value {
    json!({"apiGroups": words(group), "resources": words(resources), "verbs": words(verbs), "resourceNames": names})
}

/// The cluster roles.
pub(super) fn cluster_roles() -> Vec<Value> {
    let rows = CLUSTER_ROLES.iter().map(|(name, rows)| (name.to_string(), rules(rows)));
    let approvers = APPROVERS.iter().map(|(role, signer)| {
        let signer = format!("kubernetes.io/{signer}");
        let rule = named("approve", "certificates.k8s.io", "signers", &[&signer]);
        (format!("system:certificates.k8s.io:{role}"), vec![rule])
    });
    rows.chain(approvers).map(|(name, rules)| object("ClusterRole", &name, None, json!({ "rules": rules }))).collect()
}

fn user(name: &str) -> Value {
    json!({ "apiGroup": GROUP, "kind": "User", "name": name })
}

fn account(name: &str) -> Value {
    json!({ "kind": "ServiceAccount", "name": name, "namespace": "kube-system" })
}

/// The bindings of the cluster roles.
pub(super) fn cluster_role_bindings() -> Vec<Value> {
    let bind = |name: &str, subjects: Vec<Value>| {
        let reference = json!({ "apiGroup": GROUP, "kind": "ClusterRole", "name": name });
        object("ClusterRoleBinding", name, None, json!({ "roleRef": reference, "subjects": subjects }))
    };
    vec![
        bind("system:kube-dns", vec![account("kube-dns")]),
        bind("system:node-proxier", vec![user("system:kube-proxy")]),
        bind("system:volume-scheduler", vec![user("system:kube-scheduler")]),
        // Nodes have their rights from the node authorizer; the binding is there for those who look for it.
        bind("system:node", Vec::new()),
    ]
}

fn within(namespace: &str, mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    object
}

/// The roles in a namespace.
pub(super) fn roles() -> Vec<Value> {
    let mut roles: Vec<Value> = ROLES
        .iter()
        .map(|(namespace, name, rows)| within(namespace, object("Role", name, None, json!({ "rules": rules(rows) }))))
        .collect();
    let reader = named(READ, "core", "configmaps", &["extension-apiserver-authentication"]);
    let reader = object("Role", "extension-apiserver-authentication-reader", None, json!({ "rules": [reader] }));
    roles.push(within("kube-system", reader));
    let mut signer = rules(&[(READ, "core", "configmaps"), EVENTS]);
    signer.insert(1, named("update", "core", "configmaps", &["cluster-info"]));
    let signer = object("Role", "system:controller:bootstrap-signer", None, json!({ "rules": signer }));
    roles.push(within("kube-public", signer));
    roles
}

/// The bindings of the roles in a namespace.
pub(super) fn role_bindings() -> Vec<Value> {
    let bind = |namespace: &str, name: &str, role: &str, subjects: Vec<Value>| {
        let reference = json!({ "apiGroup": GROUP, "kind": "Role", "name": role });
        let binding = object("RoleBinding", name, None, json!({ "roleRef": reference, "subjects": subjects }));
        within(namespace, binding)
    };
    let system = "kube-system";
    let own = |name: &str, account_name: &str| bind(system, name, name, vec![account(account_name)]);
    let manager = "kube-controller-manager";
    let locking = |name: &str| {
        let role = format!("system::leader-locking-{name}");
        bind(system, &role, &role, vec![user(&format!("system:{name}")), account(name)])
    };
    let managers = vec![user(&format!("system:{manager}")), user("system:kube-scheduler")];
    vec![
        locking(manager),
        locking("kube-scheduler"),
        bind(
            system,
            "system::extension-apiserver-authentication-reader",
            "extension-apiserver-authentication-reader",
            managers,
        ),
        own("system:controller:bootstrap-signer", "bootstrap-signer"),
        own("system:controller:cloud-provider", "cloud-provider"),
        own("system:controller:token-cleaner", "token-cleaner"),
        bind(
            "kube-public",
            "system:controller:bootstrap-signer",
            "system:controller:bootstrap-signer",
            vec![account("bootstrap-signer")],
        ),
    ]
}
