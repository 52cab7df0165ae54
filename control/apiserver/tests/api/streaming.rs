//! exec, attach and port-forward over TLS, against a host that does by itself what the words of the command say.

#[path = "streaming/host.rs"]
mod host;
#[path = "streaming/kubectl.rs"]
mod kubectl;
#[path = "streaming/proxy.rs"]
mod proxy;
#[path = "streaming/socket.rs"]
mod socket;
#[path = "streaming/watch.rs"]
mod watch;

use axum::body::Body;
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use serde_json::Value;

use super::tls::{Served, serve};
use host::Host;
use socket::Socket;

const POD: &str = "/api/v1/namespaces/default/pods/p";

/// A server with the pod `p` on the host `n`.
async fn with_pod() -> (Served, Host) {
    let served = serve().await;
    let host = Host::default();
    served.api.hosts.register("n", host.router());
    served.api.pod("p", "n").await.check(201);
    (served, host)
}

/// Answers that are no upgrade: the code and the text.
async fn refused(served: &Served, method: &str, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
    let stream = served.connect("http/1.1", None).await;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost");
    request = request.header("authorization", "Bearer t");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let exchange = async {
        let answer = sender.send_request(request.body(Body::empty()).unwrap()).await.unwrap();
        let code = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (code, String::from_utf8(bytes.to_vec()).unwrap())
    };
    tokio::select! {
        answer = exchange => answer,
        _ = connection => panic!("the connection ended"),
    }
}

const WEBSOCKET: &[(&str, &str)] =
    &[("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"), ("sec-websocket-key", "k")];

#[tokio::test]
async fn input_is_echoed_until_it_is_closed() {
    let (served, _host) = with_pod().await;
    let path = format!("{POD}/exec?command=cat&stdin=true&stdout=true");
    let mut socket = Socket::open(&served, &path, "v5.channel.k8s.io, v4.channel.k8s.io").await;
    assert_eq!(socket.protocol, "v5.channel.k8s.io");
    assert_eq!(socket.next().await, Some((1, Vec::new())), "an empty message says that the streams are there");
    socket.send(0, b"hello").await;
    assert_eq!(socket.next().await, Some((1, b"hello".to_vec())));
    let long = vec![7; 300_000];
    socket.send(0, &long).await;
    let mut echoed = Vec::new();
    while echoed.len() < long.len() {
        echoed.extend(socket.next().await.unwrap().1);
    }
    assert_eq!(echoed, long);
    socket.send(255, &[0]).await;
    let (channel, status) = socket.next().await.unwrap();
    let status: Value = serde_json::from_slice(&status).unwrap();
    assert_eq!((channel, &status["status"]), (3, &"Success".into()));
    assert_eq!(socket.next().await, None);
}

#[tokio::test]
async fn an_exit_code_is_told_in_each_version_as_it_can() {
    let (served, _host) = with_pod().await;
    let path = format!("{POD}/exec?command=exit&command=3&stdout=1&stderr=1");
    for (offered, is_json) in [("v4.channel.k8s.io", true), ("channel.k8s.io", false), ("", false)] {
        let mut socket = Socket::open(&served, &path, offered).await;
        assert_eq!(socket.next().await, Some((1, Vec::new())));
        assert_eq!(socket.next().await, Some((1, b"out".to_vec())));
        assert_eq!(socket.next().await, Some((2, b"err".to_vec())));
        let (channel, text) = socket.next().await.unwrap();
        assert_eq!(channel, 3);
        if is_json {
            let status: Value = serde_json::from_slice(&text).unwrap();
            assert_eq!(status["details"]["causes"][0]["message"], "3");
        } else {
            assert_eq!(text, b"command terminated with non-zero exit code: exit code 3");
        }
        assert_eq!(socket.next().await, None);
    }
}

#[tokio::test]
async fn a_terminal_is_resized_and_attach_has_no_command() {
    let (served, _host) = with_pod().await;
    let mut socket =
        Socket::open(&served, &format!("{POD}/attach?stdin=1&stdout=1&tty=1"), "v4.base64.channel.k8s.io").await;
    socket.next().await;
    socket.send(4, br#"{"Width":80,"Height":24}"#).await;
    assert_eq!(socket.next().await, Some((1, b"attached, ".to_vec())));
    assert_eq!(socket.next().await, Some((1, br#"{"Width":80,"Height":24}"#.to_vec())));
    drop(socket);
}

#[tokio::test]
async fn a_client_that_goes_is_told_to_the_host_and_a_server_that_goes_to_the_client() {
    let (served, host) = with_pod().await;
    let path = format!("{POD}/exec?command=cat&stdin=true&stdout=true");
    let mut socket = Socket::open(&served, &path, "v5.channel.k8s.io").await;
    socket.next().await;
    drop(socket);
    host.gone().await;
    let mut socket = Socket::open(&served, &path, "v5.channel.k8s.io").await;
    socket.next().await;
    served.shutdown.cancel();
    assert_eq!(socket.next().await, None);
    host.gone().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_the_upgrade() {
    let (served, _host) = with_pod().await;
    served.api.pod("homeless", "").await.check(201);
    served.api.pod("lost", "nowhere").await.check(201);
    let message = |text: &str| serde_json::from_str::<Value>(text).unwrap()["message"].as_str().unwrap().to_owned();
    let exec = |pod: &str, query: &str| format!("/api/v1/namespaces/default/pods/{pod}/exec?command=cat&{query}");
    for (path, code, text) in [
        (exec("p", "stdout=1&container=x"), 400, "container x is not valid for pod p"),
        (exec("p", ""), 400, "you must specify at least 1 of stdin, stdout, stderr"),
        (exec("none", "stdout=1"), 404, "pods \"none\" not found"),
        (exec("homeless", "stdout=1"), 400, "pod homeless does not have a host assigned"),
        (exec("lost", "stdout=1"), 404, "nodes \"nowhere\" not found"),
        (format!("{POD}/exec?command=refuse&stdout=1"), 404, "container not found (\"c\")"),
        (format!("{POD}/portforward"), 400, "query parameter \"port\" is required"),
        (format!("{POD}/portforward?ports=0"), 400, "port \"0\" must be > 0"),
    ] {
        let (answered, body) = refused(&served, "GET", &path, WEBSOCKET).await;
        assert_eq!((answered, &*message(&body)), (code, text), "{path}");
    }
    let (code, body) = refused(&served, "POST", &exec("p", "stdout=1"), &[]).await;
    assert_eq!((code, &*message(&body)), (400, "Upgrade request required"));
    let mut chat = WEBSOCKET.to_vec();
    chat.push(("sec-websocket-protocol", "chat"));
    assert_eq!(refused(&served, "GET", &exec("p", "stdout=1"), &chat).await, (403, String::new()));
    let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "v9")];
    let (code, text) = refused(&served, "POST", &exec("p", "stdout=1"), &spdy).await;
    assert_eq!(code, 403);
    assert!(text.starts_with("unable to upgrade: unable to negotiate protocol: client supports [v9]"), "{text}");
    let answer = served.api.admin().call("GET", &exec("p", "stdout=1"), WEBSOCKET, Vec::new()).await;
    assert_eq!((answer.code, answer.message()), (400, "this connection cannot be upgraded"));
}

#[tokio::test]
async fn ports_are_forwarded_over_channels() {
    let (served, _host) = with_pod().await;
    let mut socket =
        Socket::open(&served, &format!("{POD}/portforward?ports=80,81"), "v5.channel.k8s.io,v4.channel.k8s.io").await;
    assert_eq!(socket.protocol, "v4.channel.k8s.io");
    for (channel, port) in [(0, 80), (1, 80), (2, 81), (3, 81)] {
        assert_eq!(socket.next().await, Some((channel, vec![port, 0])));
    }
    let (channel, text) = socket.next().await.unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(channel, 3);
    assert!(text.starts_with("error forwarding port 81 to pod p, uid "), "{text}");
    assert!(text.ends_with(": connection refused"), "{text}");
    socket.send(0, b"ping").await;
    assert_eq!(socket.next().await, Some((0, b"80:ping".to_vec())));
}
