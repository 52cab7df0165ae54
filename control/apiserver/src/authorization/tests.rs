use super::*;
use crate::bootstrap::roles::{cluster_role_bindings, cluster_roles};
use http::Method;
use serde_json::{Value, json};

fn check(user: &UserInfo, method: &str, target: &str) -> Result<(), Status> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let info = RequestInfo::new(&Method::from_bytes(method.as_bytes()).unwrap(), path, query);
    authorize(&Roles::new(&cluster_roles(), &[], &cluster_role_bindings(), &[]), user, &Attributes::of(&info)).map(drop)
}

#[test]
fn a_refusal_has_upstreams_words() {
    let alice = UserInfo::new("alice", &[]);
    let message = |method, target| check(&alice, method, target).unwrap_err().message;
    assert_eq!(
        message("GET", "/api/v1/namespaces/shop/pods"),
        "pods is forbidden: User \"alice\" cannot list resource \"pods\" in API group \"\" in the namespace \"shop\""
    );
    assert_eq!(
        message("DELETE", "/apis/apps/v1/namespaces/shop/deployments/x"),
        "deployments.apps \"x\" is forbidden: User \"alice\" cannot delete resource \"deployments\" in API group \"apps\" in the namespace \"shop\""
    );
    assert_eq!(
        message("GET", "/api/v1/nodes"),
        "nodes is forbidden: User \"alice\" cannot list resource \"nodes\" in API group \"\" at the cluster scope"
    );
    assert_eq!(
        message("GET", "/api/v1/namespaces/shop/pods/p/log"),
        "pods \"p\" is forbidden: User \"alice\" cannot get resource \"pods/log\" in API group \"\" in the namespace \"shop\""
    );
    assert_eq!(message("GET", "/metrics"), "forbidden: User \"alice\" cannot get path \"/metrics\"");
}

#[test]
fn nobody_sees_only_that_the_server_lives() {
    let nobody = crate::authentication::anonymous();
    check(&nobody, "GET", "/readyz/ping").unwrap();
    assert_eq!(check(&nobody, "GET", "/readyzx").unwrap_err().code, 401);
    assert_eq!(check(&nobody, "GET", "/api").unwrap_err().code, 401);
    assert_eq!(check(&nobody, "GET", "/api/v1/pods").unwrap_err().code, 401);
}

#[test]
fn everyone_who_is_known_reads_discovery() {
    let alice = UserInfo::new("alice", &[]);
    for path in ["/api", "/apis/apps/v1", "/openapi/v3/api/v1", "/version"] {
        check(&alice, "GET", path).unwrap();
    }
    check(&alice, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").unwrap();
    check(&alice, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews").unwrap_err();
}

#[test]
fn a_node_writes_its_own_node_and_lease() {
    let node = UserInfo::node("edge");
    check(&node, "PATCH", "/api/v1/nodes/edge/status").unwrap();
    check(&node, "PATCH", "/api/v1/nodes/other/status").unwrap_err();
    check(&node, "DELETE", "/api/v1/nodes/edge").unwrap_err();
    check(&node, "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/edge").unwrap();
    check(&node, "PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/other").unwrap_err();
    check(&node, "GET", "/api/v1/pods?fieldSelector=spec.nodeName=edge&watch=1").unwrap();
    check(&node, "PATCH", "/api/v1/namespaces/a/pods/p/status").unwrap();
    check(&node, "PATCH", "/api/v1/namespaces/a/secrets/s").unwrap_err();
    // The name alone does not make a node.
    check(&UserInfo::new("system:node:edge", &[]), "GET", "/api/v1/pods").unwrap_err();
}

#[test]
fn the_scheduler_binds_and_does_not_see_secrets() {
    let scheduler = UserInfo::scheduler();
    check(&scheduler, "POST", "/api/v1/namespaces/a/pods/p/binding").unwrap();
    check(&scheduler, "GET", "/api/v1/nodes").unwrap();
    check(&scheduler, "GET", "/api/v1/secrets").unwrap_err();
    check(&scheduler, "DELETE", "/api/v1/nodes/n").unwrap_err();
}

fn rules(verbs: &[&str], resources: &[&str], names: &[&str]) -> Value {
    json!([{ "verbs": verbs, "apiGroups": [""], "resources": resources, "resourceNames": names }])
}

/// Alice reads pods and one config map in the namespace `shop`, and is bound to a role that is not there in `lab`.
fn shop() -> Roles {
    let role = |name: &str, rules: Value| json!({ "metadata": { "name": name, "namespace": "shop" }, "rules": rules });
    let bind = |namespace: &str, role: &str| {
        json!({
            "metadata": { "name": role, "namespace": namespace },
            "roleRef": { "kind": "Role", "name": role },
            "subjects": [{ "kind": "User", "name": "alice" }, { "kind": "ServiceAccount", "name": "robot" }],
        })
    };
    let roles = [
        role("reader", rules(&["get", "list"], &["pods", "*/log"], &[])),
        role("one", rules(&["get"], &["configmaps"], &["one"])),
    ];
    Roles::new(&[], &roles, &[], &[bind("shop", "reader"), bind("shop", "one"), bind("lab", "gone")])
}

#[test]
fn a_role_gives_what_it_says_and_no_more() {
    let (roles, alice) = (shop(), UserInfo::new("alice", &[]));
    let robot = UserInfo::new("system:serviceaccount:shop:robot", &[]);
    let asked = |user: &UserInfo, method: &str, target: &str| {
        let info = RequestInfo::new(&Method::from_bytes(method.as_bytes()).unwrap(), target, "");
        decide(&roles, user, &Attributes::of(&info))
    };
    let reason = asked(&alice, "GET", "/api/v1/namespaces/shop/pods").unwrap();
    assert_eq!(reason, "RBAC: allowed by RoleBinding \"reader/shop\" of Role \"reader\" to User \"alice\"");
    asked(&robot, "GET", "/api/v1/namespaces/shop/pods/p/log").unwrap();
    asked(&alice, "GET", "/api/v1/namespaces/shop/configmaps/one").unwrap();
    asked(&alice, "GET", "/api/v1/namespaces/shop/configmaps/two").unwrap_err();
    asked(&alice, "GET", "/api/v1/namespaces/shop/configmaps").unwrap_err();
    asked(&alice, "DELETE", "/api/v1/namespaces/shop/pods/p").unwrap_err();
    asked(&alice, "GET", "/api/v1/namespaces/shop/pods/p/exec").unwrap_err();
    asked(&alice, "GET", "/api/v1/pods").unwrap_err();
    assert_eq!(
        asked(&alice, "GET", "/api/v1/namespaces/lab/pods").unwrap_err(),
        ": RBAC: role.rbac.authorization.k8s.io \"gone\" not found"
    );
}

#[test]
fn rights_that_are_not_held_are_told_in_upstreams_form() {
    let read = |rules: &Value| Rule::read(Some(rules));
    let held = read(&rules(&["get", "list"], &["pods"], &[]));
    assert_eq!(rule::not_covered(&held, &read(&rules(&["get"], &["pods"], &["one"]))), Vec::<String>::new());
    assert_eq!(
        rule::not_covered(&held, &read(&rules(&["get", "delete", "patch"], &["pods", "secrets"], &[]))),
        [
            "{APIGroups:[\"\"], Resources:[\"pods\"], Verbs:[\"delete\" \"patch\"]}",
            "{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\" \"delete\" \"patch\"]}",
        ]
    );
    assert_eq!(rule::not_covered(&Rule::everything(), &held), Vec::<String>::new());
}

#[test]
fn admin_has_what_edit_and_view_have() {
    let roles = Roles::new(&cluster_roles(), &[], &[], &[]);
    let of = |name: &str| roles.referenced(&json!({ "kind": "ClusterRole", "name": name }), "").unwrap().to_vec();
    assert_eq!(rule::not_covered(&of("admin"), &of("edit")), Vec::<String>::new());
    assert_eq!(rule::not_covered(&of("edit"), &of("view")), Vec::<String>::new());
    assert!(!rule::not_covered(&of("view"), &of("edit")).is_empty());
}
