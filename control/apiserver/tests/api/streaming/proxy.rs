//! What goes through the proxy to a port of a pod by way of its host.

use axum::body::Body;
use http::Request;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

use super::super::support::Api;
use super::{POD, Served, with_pod};

const SERVICES: &str = "/api/v1/namespaces/default/services";

/// The service `s` on port 80, with the pod behind it, and `empty` with nothing.
async fn services(api: &Api) {
    for name in ["s", "empty"] {
        let spec = json!({"ports": [{"name": "http", "port": 80, "targetPort": 8080}]});
        api.post(SERVICES, json!({"metadata": {"name": name}, "spec": spec})).await.check(201);
    }
    let target = json!({"kind": "Pod", "namespace": "default", "name": "p"});
    let slice = json!({
        "metadata": {"name": "s-1", "labels": {"kubernetes.io/service-name": "s"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["100.64.0.1"], "conditions": {"ready": true}, "targetRef": target}],
        "ports": [{"name": "http", "port": 8080}],
    });
    api.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.check(201);
}

#[tokio::test]
async fn a_service_is_reached_at_one_of_its_pods() {
    let (served, _host) = with_pod().await;
    let api = &served.api;
    services(api).await;
    for name in ["s:80", "s:http", "http:s:http"] {
        let path = format!("{SERVICES}/{name}/proxy/a//b?x=%20");
        let headers = [("authorization", "secret"), ("x-remote-user", "root"), ("x-mine", "1"), ("te", "x")];
        let answer = api.admin().call("GET", &path, &headers, Vec::new()).await.check(200);
        assert!(answer.text.starts_with("get /a//b?x=%20 http/1.1\r\n"), "{}", answer.text);
        assert!(answer.text.contains("x-mine: 1") && answer.text.contains(&format!("x-forwarded-uri: {SERVICES}")));
        assert!(!answer.text.contains("secret") && !answer.text.contains("root") && !answer.text.contains("te: x"));
        assert_eq!(answer.headers["location"], format!("{SERVICES}/{name}/proxy/next"));
        assert!(!answer.headers.contains_key("keep-alive"));
    }
    for (name, code, text) in [
        ("empty:80", 503, "no endpoints available for service \"empty\""),
        ("s:81", 503, "no service port 81 found for service \"s\""),
        ("s:other", 503, "no endpoints available for service \"s\""),
        ("none:80", 404, "services \"none\" not found"),
        ("a:b:c", 400, "invalid service request \"a:b:c\""),
    ] {
        let answer = api.get(&format!("{SERVICES}/{name}/proxy/")).await.check(code);
        assert_eq!(answer.message(), text);
    }
    let answer = api.get(&format!("{SERVICES}/s:80/proxy?x=1")).await.check(301);
    assert_eq!(answer.headers["location"], format!("{SERVICES}/s:80/proxy/?x=1"));
}

#[tokio::test]
async fn an_upgrade_goes_through_the_proxy() {
    let (served, _host) = with_pod().await;
    services(&served.api).await;
    for path in [format!("{POD}/proxy/chat"), format!("{SERVICES}/s:80/proxy/chat")] {
        let mut upgraded = upgrade(&served, &path).await;
        upgraded.write_all(b"hello").await.unwrap();
        let mut echoed = [0; 5];
        upgraded.read_exact(&mut echoed).await.unwrap();
        assert_eq!(&echoed, b"hello");
    }
}

async fn upgrade(served: &Served, path: &str) -> TokioIo<hyper::upgrade::Upgraded> {
    let stream = served.connect("http/1.1", None).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let _ = connection.with_upgrades().await;
    });
    let request = Request::get(path).header("host", "localhost").header("authorization", "Bearer t");
    let request = request.header("connection", "upgrade").header("upgrade", "echo").body(Body::empty()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 101);
    let upgraded = TokioIo::new(hyper::upgrade::on(answer).await.unwrap());
    tasks.detach_all();
    upgraded
}
