use super::*;
use proptest::prelude::*;

fn info(method: &str, target: &str) -> RequestInfo {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    RequestInfo::new(&Method::from_bytes(method.as_bytes()).unwrap(), path, query)
}

/// verb, group, version, namespace, resource, subresource, name
fn check(method: &str, target: &str, want: [&str; 7]) {
    let info = info(method, target);
    assert!(info.is_resource, "{target}");
    let got = [info.verb, &info.group, &info.version, &info.namespace, &info.resource, &info.subresource, &info.name];
    assert_eq!(got, want, "{method} {target}");
}

#[test]
fn resource_paths_are_read_as_upstream_reads_them() {
    check("GET", "/api/v1/namespaces", ["list", "", "v1", "", "namespaces", "", ""]);
    check("GET", "/api/v1/namespaces/a", ["get", "", "v1", "a", "namespaces", "", "a"]);
    check("PUT", "/api/v1/namespaces/a/finalize", ["update", "", "v1", "a", "namespaces", "finalize", "a"]);
    check("GET", "/api/v1/namespaces/a/pods", ["list", "", "v1", "a", "pods", "", ""]);
    check("GET", "/api/v1/namespaces/a/pods?watch=1", ["watch", "", "v1", "a", "pods", "", ""]);
    check("GET", "/api/v1/namespaces/a/pods?watch=false", ["list", "", "v1", "a", "pods", "", ""]);
    check("GET", "/api/v1/watch/namespaces/a/pods", ["watch", "", "v1", "a", "pods", "", ""]);
    check("GET", "/api/v1/namespaces/a/pods/p?watch=1", ["get", "", "v1", "a", "pods", "", "p"]);
    check("GET", "/api/v1/namespaces/a/pods/p/log?follow=true", ["get", "", "v1", "a", "pods", "log", "p"]);
    check("GET", "/api/v1/pods", ["list", "", "v1", "", "pods", "", ""]);
    check("DELETE", "/api/v1/namespaces/a/pods", ["deletecollection", "", "v1", "a", "pods", "", ""]);
    check("DELETE", "/api/v1/namespaces/a/pods/p", ["delete", "", "v1", "a", "pods", "", "p"]);
    check(
        "PATCH",
        "/apis/apps/v1/namespaces/a/deployments/d/status",
        ["patch", "apps", "v1", "a", "deployments", "status", "d"],
    );
    check("POST", "/api/v1/nodes", ["create", "", "v1", "", "nodes", "", ""]);
}

#[test]
fn other_paths_are_no_resources() {
    for path in
        ["/", "/api", "/api/v1", "/api/v1/", "/apis", "/apis/apps", "/apis/apps/v1", "/healthz", "/openapi/v3/api/v1"]
    {
        assert!(!info("GET", path).is_resource, "{path}");
    }
}

#[test]
fn a_proxy_keeps_the_rest_of_its_path_as_it_came() {
    let info = info("GET", "/api/v1/namespaces/a/pods/p:80/proxy/x%2Fy//z/");
    assert_eq!((info.subresource.as_str(), info.rest.as_str(), info.name.as_str()), ("proxy", "x%2Fy//z/", "p:80"));
}

#[test]
fn a_field_selector_names_the_object_for_authorization() {
    assert_eq!(info("GET", "/api/v1/nodes?fieldSelector=metadata.name%3Dedge").authorized_name, "edge");
    assert_eq!(info("GET", "/api/v1/nodes?watch=1&fieldSelector=spec.x=1,metadata.name==edge").authorized_name, "edge");
    assert_eq!(info("GET", "/api/v1/nodes").authorized_name, "");
}

proptest! {
    #[test]
    fn no_path_panics(path in "/?(api|apis)?(/[a-z%0-9]{0,4}){0,8}", query in "[a-z=&%+!,]{0,20}") {
        let _ = RequestInfo::new(&Method::GET, &path, &query);
    }

    #[test]
    fn no_text_panics(path in ".*", query in ".*") {
        let _ = RequestInfo::new(&Method::DELETE, &path, &query);
    }
}
