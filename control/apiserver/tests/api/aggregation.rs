//! A group that another server serves, in a pod behind a Service.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use coracle_control_api::remote_command::{Channel, FrameDecoder, encode, encode_close};
use coracle_control_apiserver::pki::Pki;
use coracle_control_apiserver::{FrontProxy, UserInfo};
use futures::StreamExt as _;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::tls::{Served, serve};

const SERVICES: &str = "/apis/apiregistration.k8s.io/v1/apiservices";
const NAME: &str = "v1.metrics.example.com";
const GROUP: &str = "/apis/metrics.example.com";

/// The other server: it believes only who has the front proxy's certificate, and says what it was asked.
struct Other {
    address: SocketAddr,
    authority_pem: String,
    tasks: JoinSet<()>,
}

impl Other {
    async fn start(front_proxy: &FrontProxy) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::open_or_create(directory.path(), &["metrics.default.svc".to_owned()]).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(front_proxy.authority_pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let certificate = CertificateDer::from_pem_slice(pki.server().certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pki.server().key_pem.as_bytes()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                connections.spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service =
                        service_fn(|request| async move { Ok::<_, std::convert::Infallible>(answer(&request)) });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, authority_pem: pki.authority_pem().to_owned(), tasks }
    }
}

fn answer(request: &Request<Incoming>) -> Response<Body> {
    let header = |name: &str| {
        let values = request.headers().get_all(name);
        values.iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let body = match request.uri().path() {
        "/apis/metrics.example.com/v1" => json!({"kind": "APIResourceList", "resources": [
            {"name": "nodes", "singularName": "node", "namespaced": false, "kind": "NodeMetrics", "verbs": ["get", "list"]},
        ]}),
        "/openapi/v3" => json!({"paths": {"apis/metrics.example.com/v1": {
            "serverRelativeURL": "/openapi/v3/apis/metrics.example.com/v1?hash=ABC"}}}),
        "/apis/metrics.example.com/v1/away" => {
            return Response::builder()
                .status(302)
                .header("location", "https://example.com")
                .body(Body::empty())
                .unwrap();
        }
        _ => json!({
            "uri": request.uri().to_string(), "user": header("x-remote-user"), "groups": header("x-remote-group"),
            "extra": header("x-remote-extra-scopes%2fa"), "authorization": header("authorization"),
        }),
    };
    Response::new(Body::from(body.to_string()))
}

/// A host whose pods' ports all lead to one address.
fn host(address: SocketAddr, tasks: &Arc<Mutex<JoinSet<()>>>) -> Router {
    let tasks = Arc::clone(tasks);
    Router::new().route(
        "/portForward/{namespace}/{pod}",
        post(move |request: Request<Body>| async move {
            let (answers, mut queue) = mpsc::channel::<Bytes>(4);
            tasks.lock().unwrap().spawn(bridge(address, request, answers));
            let body = futures::stream::poll_fn(move |context| queue.poll_recv(context));
            Response::new(Body::from_stream(body.map(Ok::<_, std::convert::Infallible>)))
        }),
    )
}

async fn bridge(address: SocketAddr, request: Request<Body>, answers: mpsc::Sender<Bytes>) {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let mut body = request.into_body().into_data_stream();
    let up = async move {
        let mut decoder = FrameDecoder::new();
        while let Some(Ok(chunk)) = body.next().await {
            decoder.push(&chunk);
            while let Some(frame) = decoder.next_frame().unwrap() {
                if frame.channel == Channel::Stdin {
                    writer.write_all(&frame.payload).await.unwrap();
                }
            }
        }
    };
    let down = async move {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = reader.read(&mut buffer).await {
            let _ = answers.send(encode(Channel::Stdin, &buffer[..length])).await;
        }
        let _ = answers.send(encode_close(Channel::Stdin)).await;
    };
    tokio::join!(up, down);
}

fn api_service(authority_pem: &str) -> Value {
    json!({
        "metadata": {"name": NAME},
        "spec": {
            "group": "metrics.example.com", "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 100,
            "service": {"namespace": "default", "name": "metrics"}, "caBundle": BASE64.encode(authority_pem),
        },
    })
}

/// Waits until the condition of the APIService is this, and gives its message.
async fn available(served: &Served, status: &str, reason: &str) -> String {
    let mut last = Value::Null;
    for _ in 0..1000 {
        last = served.api.get(&format!("{SERVICES}/{NAME}")).await.check(200).body["status"]["conditions"][0].clone();
        if last["status"] == status && last["reason"] == reason {
            return last["message"].as_str().unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the condition stays {last}")
}

#[tokio::test]
async fn a_group_is_served_by_another_server() {
    let served = serve().await;
    let api = &served.api;
    let other = Other::start(&served.pki.front_proxy()).await;
    let bridges = Arc::new(Mutex::new(JoinSet::new()));
    api.hosts.register("n", host(other.address, &bridges));
    api.post(SERVICES, api_service(&other.authority_pem)).await.check(201);
    let message = available(&served, "False", "ServiceNotFound").await;
    assert_eq!(message, "service/metrics in \"default\" is not present");
    let answer = api.get(&format!("{GROUP}/v1/nodes")).await.check(503);
    assert_eq!(answer.text, "service unavailable\n");
    assert!(!api.get("/apis").await.text.contains("metrics.example.com"));

    api.pod("metrics-1", "n").await.check(201);
    let spec = json!({"ports": [{"port": 443, "targetPort": 8443}]});
    api.post("/api/v1/namespaces/default/services", json!({"metadata": {"name": "metrics"}, "spec": spec}))
        .await
        .check(201);
    let message = available(&served, "False", "EndpointsNotFound").await;
    assert_eq!(message, "cannot find endpointslices for service/metrics in \"default\"");
    let slice = json!({
        "metadata": {"name": "metrics-1", "labels": {"kubernetes.io/service-name": "metrics"}}, "addressType": "IPv4",
        "endpoints": [{"addresses": ["100.64.0.1"], "targetRef": {"kind": "Pod", "namespace": "default", "name": "metrics-1"}}],
        "ports": [{"name": "", "port": 8443}],
    });
    api.post("/apis/discovery.k8s.io/v1/namespaces/default/endpointslices", slice).await.check(201);
    assert_eq!(available(&served, "True", "Passed").await, "all checks passed");

    let alice = UserInfo {
        extra: vec![("scopes/a".to_owned(), vec!["x".to_owned()])],
        ..UserInfo::new("alice", &["system:masters"])
    };
    let headers = [("authorization", "Bearer t"), ("x-remote-user", "mallory"), ("x-remote-group", "evil")];
    let answer =
        api.as_user(alice).call("GET", &format!("{GROUP}/v1/nodes/a%20b?x=1"), &headers, Vec::new()).await.check(200);
    assert_eq!(
        answer.body,
        json!({
            "uri": format!("{GROUP}/v1/nodes/a%20b?x=1"), "user": ["alice"], "extra": ["x"], "authorization": [],
            "groups": ["system:masters", "system:authenticated"],
        })
    );
    api.as_user(UserInfo::new("bob", &[])).call("GET", &format!("{GROUP}/v1/nodes"), &[], Vec::new()).await.check(403);
    let answer = api.get(&format!("{GROUP}/v1/away")).await.check(502);
    assert_eq!(answer.text, "the backend attempted to redirect this request, which is not permitted");
    discovery_is_merged(&served).await;

    // The server goes; what it said is shown on as stale.
    drop(other.tasks);
    api.hosts.remove("n");
    api.merge(&format!("{SERVICES}/{NAME}"), json!({"metadata": {"labels": {"a": "b"}}})).await.check(200);
    let message = available(&served, "False", "FailedDiscoveryCheck").await;
    assert!(message.contains("the host of node \"n\" cannot be reached"), "{message}");
    let v2 = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let all = api.admin().call("GET", "/apis", &v2, Vec::new()).await.check(200);
    assert!(all.text.contains("\"freshness\":\"Stale\""), "{}", all.text);
    api.delete(&format!("{SERVICES}/{NAME}")).await.check(200);
    api.get(&format!("{GROUP}/v1/nodes")).await.check(404);
}

async fn discovery_is_merged(served: &Served) {
    let api = &served.api;
    let groups = api.get("/apis").await.check(200);
    assert!(groups.text.contains("\"metrics.example.com/v1\""), "{}", groups.text);
    assert_eq!(api.get(GROUP).await.check(200).body["preferredVersion"]["version"], "v1");
    assert_eq!(api.get(&format!("{GROUP}/v1")).await.check(200).body["resources"][0]["kind"], "NodeMetrics");
    let v2 = [("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")];
    let all = api.admin().call("GET", "/apis", &v2, Vec::new()).await.check(200).body;
    let items = all["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["metadata"]["name"] == "metrics.example.com").unwrap();
    assert_eq!(item["versions"][0]["resources"][0]["resource"], "nodes");
    assert_eq!(item["versions"][0]["freshness"], "Current");
    let index = api.get("/openapi/v3").await.check(200).body;
    let url = index["paths"]["apis/metrics.example.com/v1"]["serverRelativeURL"].as_str().unwrap();
    assert_eq!(url, "/openapi/v3/apis/metrics.example.com/v1?hash=ABC");
    assert_eq!(api.get(url).await.check(200).body["uri"], url);
}

#[tokio::test]
async fn the_server_keeps_its_own_services_and_says_how_it_is_known() {
    let served = serve().await;
    let api = &served.api;
    let path = format!("{SERVICES}/v1.apps");
    api.delete(&path).await.check(200);
    let crd = json!({
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Cluster", "names": {"plural": "boats", "kind": "Boat"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}],
        },
    });
    api.post("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", crd).await.check(201);
    for path in [&path, &format!("{SERVICES}/v1.example.com")] {
        let mut found = 404;
        for _ in 0..1000 {
            found = api.get(path).await.code;
            if found == 200 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(found, 200, "{path}");
    }
    let path = "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication";
    let data = api.get(path).await.check(200).body["data"].clone();
    assert_eq!(data["requestheader-client-ca-file"], served.pki.front_proxy().authority_pem);
    assert_eq!(data["requestheader-allowed-names"], "[\"front-proxy-client\"]");
    assert_eq!(data["client-ca-file"], served.pki.authority_pem());
}
