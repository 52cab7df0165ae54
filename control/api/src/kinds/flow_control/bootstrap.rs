//! The schemas and levels that every cluster has from its first start: upstream's mandatory and suggested ones.

use serde_json::{Value, json};

use super::{EXEMPT, GROUP};

const CATCH_ALL: &str = "catch-all";
/// Says that the server may bring the object up to date.
const AUTO_UPDATE: &str = "apf.kubernetes.io/autoupdate-spec";
const EVERYBODY: &[&str] = &["system:unauthenticated", "system:authenticated"];

/// All priority levels, the mandatory ones first.
#[must_use]
pub fn levels() -> Vec<Value> {
    // Name, shares, percent to lend, queues, size of hands.
    let queued = [
        ("system", 30, 33, 64, 6),
        ("node-high", 40, 25, 64, 6),
        ("leader-election", 10, 0, 16, 4),
        ("workload-high", 40, 50, 128, 6),
        ("workload-low", 100, 90, 128, 6),
        ("global-default", 20, 50, 128, 6),
    ];
    let mut levels = vec![
        level(EXEMPT, &json!({ "type": "Exempt", "exempt": { "nominalConcurrencyShares": 0, "lendablePercent": 0 } })),
        level(
            CATCH_ALL,
            &json!({
                "type": "Limited",
                "limited": {
                    "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": { "type": "Reject" },
                },
            }),
        ),
    ];
    levels.extend(queued.into_iter().map(|(name, shares, lendable, queues, hand)| {
        let queuing = json!({ "queues": queues, "handSize": hand, "queueLengthLimit": 50 });
        let limited = json!({
            "nominalConcurrencyShares": shares, "lendablePercent": lendable,
            "limitResponse": { "type": "Queue", "queuing": queuing },
        });
        level(name, &json!({ "type": "Limited", "limited": limited }))
    }));
    levels
}

/// All flow schemas, the mandatory ones first.
#[must_use]
pub fn schemas() -> Vec<Value> {
    let everything = |subjects: Value| {
        json!([{
            "subjects": subjects,
            "resourceRules": [resources(&["*"], &["*"], &["*"], true)],
            "nonResourceRules": [{ "verbs": ["*"], "nonResourceURLs": ["*"] }],
        }])
    };
    let probes = json!([{
        "subjects": groups(EVERYBODY),
        "nonResourceRules": [{ "verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"] }],
    }]);
    let mut leaders = users(&["system:kube-controller-manager", "system:kube-scheduler"]);
    leaders.extend(system_accounts());
    let leases = ["coordination.k8s.io"];
    let elections = json!([{
        "subjects": leaders,
        "resourceRules": [resources(&["get", "create", "update"], &leases, &["leases"], false)],
    }]);
    let nodes = json!([{
        "subjects": groups(&["system:nodes"]),
        "resourceRules": [
            resources(&["*"], &[""], &["nodes", "nodes/status"], true),
            resources(&["*"], &leases, &["leases"], false),
        ],
    }]);
    let (by_user, by_namespace) = (Some("ByUser"), Some("ByNamespace"));
    let service_accounts = groups(&["system:serviceaccounts"]);
    vec![
        schema(EXEMPT, EXEMPT, 1, None, &everything(json!(groups(&["system:masters"])))),
        schema(CATCH_ALL, CATCH_ALL, 10_000, by_user, &everything(json!(groups(EVERYBODY)))),
        schema("system-nodes", "system", 500, by_user, &everything(json!(groups(&["system:nodes"])))),
        schema("system-node-high", "node-high", 400, by_user, &nodes),
        schema("probes", EXEMPT, 2, None, &probes),
        schema("system-leader-election", "leader-election", 100, by_user, &elections),
        schema(
            "kube-controller-manager",
            "workload-high",
            800,
            by_namespace,
            &everything(json!(users(&["system:kube-controller-manager"]))),
        ),
        schema(
            "kube-scheduler",
            "workload-high",
            800,
            by_namespace,
            &everything(json!(users(&["system:kube-scheduler"]))),
        ),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            by_namespace,
            &everything(json!(system_accounts())),
        ),
        schema("service-accounts", "workload-low", 9000, by_user, &everything(json!(service_accounts))),
        schema("global-default", "global-default", 9900, by_user, &everything(json!(groups(EVERYBODY)))),
    ]
}

/// The mandatory schema of this name.
pub(super) fn mandatory_schema(name: &str) -> Option<Value> {
    is_mandatory(name).then(|| named(schemas(), name)).flatten()
}

/// The mandatory level of this name.
pub(super) fn mandatory_level(name: &str) -> Option<Value> {
    is_mandatory(name).then(|| named(levels(), name)).flatten()
}

fn is_mandatory(name: &str) -> bool {
    name == EXEMPT || name == CATCH_ALL
}

fn named(objects: Vec<Value>, name: &str) -> Option<Value> {
    objects.into_iter().find(|object| object.pointer("/metadata/name").is_some_and(|own| own == name))
}

fn object(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": kind,
        "metadata": { "name": name, "annotations": { AUTO_UPDATE: "true" } },
        "spec": spec,
    })
}

fn level(name: &str, spec: &Value) -> Value {
    object("PriorityLevelConfiguration", name, spec)
}

fn schema(name: &str, level: &str, precedence: i64, method: Option<&str>, rules: &Value) -> Value {
    let mut spec = json!({
        "priorityLevelConfiguration": { "name": level }, "matchingPrecedence": precedence, "rules": rules,
    });
    if let Some(method) = method {
        spec["distinguisherMethod"] = json!({ "type": method });
    }
    object("FlowSchema", name, &spec)
}

fn groups(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({ "kind": "Group", "group": { "name": name } })).collect()
}

fn users(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| json!({ "kind": "User", "user": { "name": name } })).collect()
}

fn system_accounts() -> Vec<Value> {
    vec![json!({ "kind": "ServiceAccount", "serviceAccount": { "name": "*", "namespace": "kube-system" } })]
}

fn resources(verbs: &[&str], groups: &[&str], resources: &[&str], cluster_scope: bool) -> Value {
    let mut rule = json!({ "verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"] });
    if cluster_scope {
        rule["clusterScope"] = json!(true);
    }
    rule
}
