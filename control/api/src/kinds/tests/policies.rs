//! What is refused in kinds that say what others may do, beyond the recorded answers.

use serde_json::{Value, json};

use super::server::default;
use crate::kind::{Kind, Part, find};

fn kind(group: &str, plural: &str) -> &'static Kind {
    find(group, if group == "autoscaling" { "v2" } else { "v1" }, plural).unwrap()
}

fn complete(kind: &Kind, mut object: Value) -> Value {
    object["metadata"]["name"] = object["metadata"].get("name").cloned().unwrap_or(json!("x"));
    if kind.namespaced {
        object["metadata"]["namespace"] = json!("n");
    }
    default(kind, &mut object);
    object
}

fn create(group: &str, plural: &str, object: Value) -> Vec<String> {
    let kind = kind(group, plural);
    let mut object = complete(kind, object);
    kind.prepare_create(&mut object);
    kind.validate_create(&object).iter().map(ToString::to_string).collect()
}

fn update(group: &str, plural: &str, part: Part, old: Value, new: Value) -> (Value, Vec<String>) {
    let kind = kind(group, plural);
    let mut old = complete(kind, old);
    old["metadata"]["resourceVersion"] = json!("1");
    let mut new = complete(kind, new);
    new["metadata"]["resourceVersion"] = json!("1");
    kind.prepare_update(part, &mut new, &old);
    let errors = kind.validate_update(part, &new, &old).iter().map(ToString::to_string).collect();
    (new, errors)
}

const RBAC: &str = "rbac.authorization.k8s.io";

#[test]
fn a_rule_is_about_resources_or_about_paths() {
    let rules = json!([
        { "verbs": [], "apiGroups": [""], "resources": ["pods"] },
        { "verbs": ["get"] },
        { "verbs": ["get"], "nonResourceURLs": ["/x"], "resources": ["pods"] },
    ]);
    let mixed = "rules cannot apply to both regular resources and non-resource URLs";
    let common = [
        "rules[0].verbs: Required value: verbs must contain at least one value".to_owned(),
        "rules[1].apiGroups: Required value: resource rules must supply at least one api group".to_owned(),
        "rules[1].resources: Required value: resource rules must supply at least one resource".to_owned(),
    ];
    let path = "rules[2].nonResourceURLs: Invalid value: [\"/x\"]:";
    let mut cluster = common.to_vec();
    cluster.push(format!("{path} {mixed}"));
    assert_eq!(create(RBAC, "clusterroles", json!({ "rules": rules })), cluster);
    let mut namespaced = common.to_vec();
    namespaced.push(format!("{path} namespaced rules cannot apply to non-resource URLs"));
    namespaced.push(format!("{path} {mixed}"));
    assert_eq!(create(RBAC, "roles", json!({ "rules": rules })), namespaced);
}

#[test]
fn a_binding_keeps_its_role() {
    let binding = |role: &str| json!({ "roleRef": { "kind": "Role", "name": role } });
    let (_, errors) = update(RBAC, "rolebindings", Part::Object, binding("a"), binding("b"));
    let shown = format!("{{\"APIGroup\":\"{RBAC}\",\"Kind\":\"Role\",\"Name\":\"b\"}}");
    assert_eq!(errors, [format!("roleRef: Invalid value: {shown}: cannot change roleRef")]);
    assert_eq!(
        create(
            RBAC,
            "clusterrolebindings",
            json!({
                "roleRef": { "kind": "Role", "name": "a" },
                "subjects": [{ "kind": "ServiceAccount", "name": "s" }, { "kind": "Robot", "name": "r" }],
            })
        ),
        [
            "roleRef.kind: Unsupported value: \"Role\": supported values: \"ClusterRole\"",
            "subjects[0].namespace: Required value",
            "subjects[1].kind: Unsupported value: \"Robot\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
        ]
    );
}

#[test]
fn a_block_contains_its_exceptions() {
    let policy = |except: &str| {
        let block = json!({ "cidr": "10.0.0.0/8", "except": [except] });
        create(
            "networking.k8s.io",
            "networkpolicies",
            json!({
                "spec": { "podSelector": {}, "ingress": [{ "from": [{ "ipBlock": block }] }] },
            }),
        )
    };
    assert!(policy("10.1.0.0/16").is_empty());
    let path = "spec.ingress[0].from[0].ipBlock.except[0]: Invalid value:";
    for outside in ["11.0.0.0/16", "10.0.0.0/8", "::/64"] {
        assert_eq!(policy(outside), [format!("{path} \"{outside}\": must be a strict subset of `cidr`")]);
    }
}

#[test]
fn a_budget_says_one_thing() {
    let budget = |spec: Value| create("policy", "poddisruptionbudgets", json!({ "spec": spec }));
    assert!(budget(json!({ "maxUnavailable": "100%" })).is_empty());
    assert_eq!(
        budget(json!({ "minAvailable": "101%" })),
        ["spec.minAvailable: Invalid value: \"101%\": must not be greater than 100%"]
    );
    assert_eq!(budget(json!({ "minAvailable": 1, "maxUnavailable": 1 })).len(), 1);
}

#[test]
fn a_status_is_written_by_its_own_path_and_a_spec_moves_the_generation() {
    let budget = |minimum: i64, allowed: i64| {
        json!({
            "metadata": { "generation": 3 },
            "spec": { "minAvailable": minimum }, "status": { "disruptionsAllowed": allowed },
        })
    };
    let (new, _) = update("policy", "poddisruptionbudgets", Part::Status, budget(1, 0), budget(2, 5));
    assert_eq!((&new["spec"]["minAvailable"], &new["status"]["disruptionsAllowed"]), (&json!(1), &json!(5)));
    assert_eq!(new["metadata"]["generation"], 3);
    let (new, _) = update("policy", "poddisruptionbudgets", Part::Object, budget(1, 0), budget(2, 5));
    assert_eq!((&new["spec"]["minAvailable"], &new["status"]["disruptionsAllowed"]), (&json!(2), &json!(0)));
    assert_eq!(new["metadata"]["generation"], 4);
}

#[test]
fn only_the_system_has_classes_above_all() {
    let class = |name: &str, value: i64| {
        create("scheduling.k8s.io", "priorityclasses", json!({ "metadata": { "name": name }, "value": value }))
    };
    assert!(class("mine", 1_000_000_000).is_empty());
    assert_eq!(
        class("mine", 1_000_000_001),
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
    );
    assert!(class("system-node-critical", 2_000_001_000).is_empty());
    assert_eq!(class("system-mine", 1).len(), 1);
}

#[test]
fn nobody_approves_in_passing() {
    let approved = json!([{ "type": "Approved", "status": "True" }]);
    let request =
        |conditions: &Value| json!({ "spec": { "signerName": "a.b/c" }, "status": { "conditions": conditions } });
    let group = "certificates.k8s.io";
    let none = json!([]);
    let (new, _) = update(group, "certificatesigningrequests", Part::Object, request(&none), request(&approved));
    assert_eq!(new["status"].get("conditions").cloned().unwrap_or(json!([])), none);
    let (_, errors) = update(group, "certificatesigningrequests", Part::Status, request(&none), request(&approved));
    let refused = "status.conditions: Forbidden: updates may not add a condition of type \"Approved\"".to_owned();
    assert!(errors.contains(&refused), "{errors:?}");
    let (new, errors) = update(group, "certificatesigningrequests", Part::Approval, request(&none), request(&approved));
    assert_eq!(new["status"]["conditions"][0]["type"], "Approved");
    assert!(!errors.contains(&refused), "{errors:?}");
}
