//! The roles and bindings that every cluster has, as upstream makes them.

use coracle_control_api::meta;
use serde_json::{Value, json};

use crate::authorization::{Rule, not_covered};

/// People who change a role for good say so with this annotation.
const AUTO_UPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// Verbs, groups and resources, each separated by blanks; `core` is the group without a name.
pub(super) type Row = (&'static str, &'static str, &'static str);

pub(super) const READ: &str = "get list watch";
const WRITE: &str = "create delete deletecollection patch update";
const READ_WRITE: &str = "create delete deletecollection get list patch update watch";
/// Paths of discovery.
const DISCOVERY: &[&str] = &[
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
const ISSUER: &[&str] =
    &["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"];
const INFO: &[&str] = &["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// What `view` gathers, and the others with it.
const VIEW: &[Row] = &[
    (
        READ,
        "core",
        "configmaps endpoints persistentvolumeclaims persistentvolumeclaims/status pods replicationcontrollers \
         replicationcontrollers/scale serviceaccounts services services/status",
    ),
    (
        READ,
        "core",
        "bindings events limitranges namespaces/status pods/log pods/status replicationcontrollers/status \
         resourcequotas resourcequotas/status",
    ),
    (READ, "core", "namespaces"),
    (READ, "discovery.k8s.io", "endpointslices"),
    (
        READ,
        "apps",
        "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status \
         replicasets replicasets/scale replicasets/status statefulsets statefulsets/scale statefulsets/status",
    ),
    (READ, "autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status"),
    (READ, "batch", "cronjobs cronjobs/status jobs jobs/status"),
    (
        READ,
        "extensions",
        "daemonsets daemonsets/status deployments deployments/scale deployments/status ingresses ingresses/status \
         networkpolicies replicasets replicasets/scale replicasets/status replicationcontrollers/scale",
    ),
    (READ, "policy", "poddisruptionbudgets poddisruptionbudgets/status"),
    (READ, "networking.k8s.io", "ingresses ingresses/status networkpolicies"),
];

/// What `edit` gathers beyond that.
const EDIT: &[Row] = &[
    (READ, "core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy"),
    ("impersonate", "core", "serviceaccounts"),
    (WRITE, "core", "pods pods/attach pods/exec pods/portforward pods/proxy"),
    ("create", "core", "pods/eviction"),
    (
        WRITE,
        "core",
        "configmaps events persistentvolumeclaims replicationcontrollers replicationcontrollers/scale secrets \
         serviceaccounts services services/proxy",
    ),
    ("create", "core", "serviceaccounts/token"),
    (
        WRITE,
        "apps",
        "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets \
         statefulsets/scale",
    ),
    (WRITE, "autoscaling", "horizontalpodautoscalers"),
    (WRITE, "batch", "cronjobs jobs"),
    (
        WRITE,
        "extensions",
        "daemonsets deployments deployments/rollback deployments/scale ingresses networkpolicies replicasets \
         replicasets/scale replicationcontrollers/scale",
    ),
    (WRITE, "policy", "poddisruptionbudgets"),
    (WRITE, "networking.k8s.io", "ingresses networkpolicies"),
    (READ_WRITE, "coordination.k8s.io", "leases"),
];

/// What `admin` gathers beyond that.
const ADMIN: &[Row] = &[
    ("create", "authorization.k8s.io", "localsubjectaccessreviews"),
    (READ_WRITE, "rbac.authorization.k8s.io", "rolebindings roles"),
];

const SCHEDULER: &[Row] = &[
    ("create patch update", "core events.k8s.io", "events"),
    ("create get list update watch", "coordination.k8s.io", "leases leasecandidates"),
    (READ, "core", "nodes"),
    ("delete get list watch", "core", "pods"),
    ("create", "core", "bindings pods/binding"),
    ("patch update", "core", "pods/status"),
    (READ, "core", "replicationcontrollers services"),
    (READ, "apps extensions", "replicasets"),
    (READ, "apps", "statefulsets"),
    (READ, "policy", "poddisruptionbudgets"),
    ("get list watch update", "core", "persistentvolumeclaims persistentvolumes"),
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    (READ, "storage.k8s.io", "csidrivers csinodes csistoragecapacities storageclasses volumeattachments"),
    (READ, "scheduling.k8s.io", "priorityclasses"),
    (READ, "core", "namespaces"),
];

const CONTROLLERS: &[Row] = &[
    ("create patch update", "core events.k8s.io", "events"),
    ("create get list update watch", "coordination.k8s.io", "leases leasecandidates"),
    ("create", "core", "secrets serviceaccounts serviceaccounts/token"),
    ("delete", "core", "secrets"),
    ("get", "core", "configmaps namespaces secrets serviceaccounts"),
    ("update", "core", "secrets serviceaccounts"),
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "subjectaccessreviews"),
    ("list watch", "*", "*"),
];

const NODE: &[Row] = &[
    ("create", "authentication.k8s.io", "tokenreviews"),
    ("create", "authorization.k8s.io", "localsubjectaccessreviews subjectaccessreviews"),
    (READ, "core", "services"),
    ("create get list watch", "core", "nodes"),
    ("patch update", "core", "nodes nodes/status"),
    ("create patch update", "core", "events"),
    (READ, "core", "pods"),
    ("create delete", "core", "pods"),
    ("patch update", "core", "pods/status"),
    ("create", "core", "pods/eviction"),
    (READ, "core", "configmaps secrets"),
    ("get", "core", "persistentvolumeclaims persistentvolumes"),
    ("get", "core", "endpoints"),
    ("create get list watch", "certificates.k8s.io", "certificatesigningrequests"),
    ("create delete get patch update", "coordination.k8s.io", "leases"),
    ("get", "storage.k8s.io", "volumeattachments"),
    ("create", "core", "serviceaccounts/token"),
    (READ, "storage.k8s.io", "csidrivers"),
    ("create delete get patch update", "storage.k8s.io", "csinodes"),
    (READ, "node.k8s.io", "runtimeclasses"),
];

const BASIC_USER: &[Row] = &[
    ("create", "authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews"),
    ("create", "authentication.k8s.io", "selfsubjectreviews"),
];

pub(super) fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().map(|word| if word == "core" { "" } else { word }).collect()
}

pub(super) fn rules(rows: &[Row]) -> Vec<Value> {
    let rule = |(verbs, groups, resources): &Row| json!({ "apiGroups": words(groups), "resources": words(resources), "verbs": words(verbs) });
    rows.iter().map(rule).collect()
}

fn paths(paths: &[&str]) -> Vec<Value> {
    vec![json!({ "nonResourceURLs": paths, "verbs": ["get"] })]
}

pub(super) fn object(kind: &str, name: &str, label: Option<&str>, mut fields: Value) -> Value {
    let mut labels = json!({ "kubernetes.io/bootstrapping": "rbac-defaults" });
    if let Some(label) = label {
        labels[format!("rbac.authorization.k8s.io/{label}")] = json!("true");
    }
    fields["apiVersion"] = json!("rbac.authorization.k8s.io/v1");
    fields["kind"] = json!(kind);
    fields["metadata"] = json!({
        "name": name,
        "labels": labels,
        "annotations": { AUTO_UPDATE: "true" },
    });
    fields
}

/// Labels and annotations that a role lacks. `None` for a role that its owner keeps as it is.
fn repaired(current: &Value, made: &Value) -> Option<Value> {
    if meta::annotation(current, AUTO_UPDATE) == Some("false") {
        return None;
    }
    let mut object = current.clone();
    for name in ["labels", "annotations"] {
        let wanted = made.pointer(&format!("/metadata/{name}")).and_then(Value::as_object);
        for (key, value) in wanted.into_iter().flatten() {
            let known = &mut object["metadata"][name][key];
            if known.is_null() {
                *known = value.clone();
            }
        }
    }
    Some(object)
}

/// Adds the rules that a role lacks, as upstream does at every start. What others added to it stays.
pub(crate) fn repair_role(current: &Value, made: &Value) -> Option<Value> {
    let mut object = repaired(current, made)?;
    if let Some(aggregation) = made.get("aggregationRule").filter(|rule| !rule.is_null()) {
        // Its rules are gathered from others.
        object["aggregationRule"] = aggregation.clone();
    } else {
        let held = Rule::read(current.get("rules"));
        let wanted = made.get("rules").and_then(Value::as_array).into_iter().flatten();
        let lacks = |rule: &&Value| !not_covered(&held, &Rule::read(Some(&json!([rule])))).is_empty();
        let missing: Vec<Value> = wanted.filter(lacks).cloned().collect();
        if !missing.is_empty() {
            let mut rules = current.get("rules").and_then(Value::as_array).cloned().unwrap_or_default();
            rules.extend(missing);
            object["rules"] = Value::Array(rules);
        }
    }
    (object != *current).then_some(object)
}

/// Adds the subjects that a binding lacks. One of another role becomes a new binding, since a role cannot be changed.
pub(crate) fn repair_binding(current: &Value, made: &Value) -> Option<Value> {
    let mut object = repaired(current, made)?;
    if current.get("roleRef") != made.get("roleRef") {
        return Some(made.clone());
    }
    let list = |binding: &Value| binding.get("subjects").and_then(Value::as_array).cloned().unwrap_or_default();
    let held = list(current);
    let missing: Vec<Value> = list(made).into_iter().filter(|subject| !held.contains(subject)).collect();
    if !missing.is_empty() {
        object["subjects"] = held.into_iter().chain(missing).collect();
    }
    (object != *current).then_some(object)
}

/// The cluster roles.
pub(crate) fn cluster_roles() -> Vec<Value> {
    let role = |name: &str, rules: Vec<Value>| object("ClusterRole", name, None, json!({ "rules": rules }));
    let part = |name: &str, label: &str, rows: &[Row]| {
        object("ClusterRole", name, Some(label), json!({ "rules": rules(rows) }))
    };
    // What a role gathers is also written out in it, so that people see it.
    let gathered = |name: &str, label: Option<&str>, parts: &[&[Row]]| {
        let selector = json!({ "matchLabels": { format!("rbac.authorization.k8s.io/aggregate-to-{name}"): "true" } });
        let rules: Vec<Value> = parts.iter().flat_map(|rows| rules(rows)).collect();
        object(
            "ClusterRole",
            name,
            label,
            json!({ "aggregationRule": { "clusterRoleSelectors": [selector] }, "rules": rules }),
        )
    };
    let everything = vec![
        json!({ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }),
        json!({ "nonResourceURLs": ["*"], "verbs": ["*"] }),
    ];
    vec![
        role("cluster-admin", everything),
        gathered("admin", None, &[ADMIN, EDIT, VIEW]),
        gathered("edit", Some("aggregate-to-admin"), &[EDIT, VIEW]),
        gathered("view", Some("aggregate-to-edit"), &[VIEW]),
        part("system:aggregate-to-admin", "aggregate-to-admin", ADMIN),
        part("system:aggregate-to-edit", "aggregate-to-edit", EDIT),
        part("system:aggregate-to-view", "aggregate-to-view", VIEW),
        role("system:discovery", paths(DISCOVERY)),
        role("system:public-info-viewer", paths(INFO)),
        role(
            "system:monitoring",
            paths(&[
                "/healthz",
                "/healthz/*",
                "/livez",
                "/livez/*",
                "/metrics",
                "/metrics/slis",
                "/readyz",
                "/readyz/*",
            ]),
        ),
        role("system:service-account-issuer-discovery", paths(ISSUER)),
        role("system:basic-user", rules(BASIC_USER)),
        role("system:kube-scheduler", rules(SCHEDULER)),
        role("system:kube-controller-manager", rules(CONTROLLERS)),
        role("system:node", rules(NODE)),
    ]
}

/// The bindings of the cluster roles. Nobody's right to read the version is left out: nobody reads health only.
pub(crate) fn cluster_role_bindings() -> Vec<Value> {
    let bind = |name: &str, role: &str, kind: &str, subject: &str| {
        let group = "rbac.authorization.k8s.io";
        let fields = json!({
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": group, "kind": kind, "name": subject }],
        });
        object("ClusterRoleBinding", name, None, fields)
    };
    let everyone = "system:authenticated";
    vec![
        bind("cluster-admin", "cluster-admin", "Group", "system:masters"),
        bind("system:discovery", "system:discovery", "Group", everyone),
        bind("system:public-info-viewer", "system:public-info-viewer", "Group", everyone),
        bind("system:basic-user", "system:basic-user", "Group", everyone),
        bind("system:monitoring", "system:monitoring", "Group", "system:monitoring"),
        bind(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            "Group",
            "system:serviceaccounts",
        ),
        bind("system:kube-scheduler", "system:kube-scheduler", "User", "system:kube-scheduler"),
        bind(
            "system:kube-controller-manager",
            "system:kube-controller-manager",
            "User",
            "system:kube-controller-manager",
        ),
    ]
}
