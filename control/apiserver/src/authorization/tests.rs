use super::*;
use http::Method;

fn check(user: &UserInfo, method: &str, target: &str) -> Result<(), Status> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let info = RequestInfo::new(&Method::from_bytes(method.as_bytes()).unwrap(), path, query);
    authorize(user, &Attributes::of(&info))
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
