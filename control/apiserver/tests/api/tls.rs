use super::support::Api;
use axum::body::Body;
use coracle_control_apiserver::pki::{Identity, Pki};
use coracle_control_apiserver::{ApiServerConfig, ServeError};
use http::Request;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

pub(crate) struct Served {
    pub(crate) api: Api,
    pub(crate) pki: Pki,
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    tasks: JoinSet<Result<(), ServeError>>,
    _directory: tempfile::TempDir,
}

pub(crate) async fn serve() -> Served {
    serve_with(|_| {}).await
}

pub(crate) async fn serve_with(change: impl FnOnce(&mut ApiServerConfig)) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let pki = Pki::open_or_create(directory.path(), &[]).unwrap();
    let api = Api::with(|config| {
        config.disabled_admission_plugins =
            ["ServiceAccount", "TaintNodesByCondition"].iter().map(|name| (*name).to_owned()).collect();
        config.front_proxy = Some(pki.front_proxy());
        config.client_ca_pem = Some(pki.authority_pem().to_owned());
        change(config);
    })
    .await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (server, tls, token) = (api.server.clone(), pki.server_config().unwrap(), shutdown.clone());
    tasks.spawn(async move { server.serve(listener, tls, token).await });
    Served { api, pki, address, shutdown, tasks, _directory: directory }
}

impl Served {
    pub(crate) async fn connect(&self, protocol: &str, identity: Option<&Identity>) -> TlsStream<TcpStream> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pki.authority_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![certificate], key).unwrap()
            }
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// One request over HTTP/1.1 on a connection of its own.
    pub(crate) async fn request(&self, request: Request<Body>, identity: Option<&Identity>) -> (u16, Value) {
        let stream = self.connect("http/1.1", identity).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        let exchange = async {
            let answer = sender.send_request(request).await.unwrap();
            let code = answer.status().as_u16();
            let bytes = answer.into_body().collect().await.unwrap().to_bytes();
            (code, serde_json::from_slice(&bytes).unwrap_or_default())
        };
        tokio::select! {
            answer = exchange => answer,
            _ = connection => panic!("the connection ended"),
        }
    }
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "localhost").body(Body::empty()).unwrap()
}

pub(crate) fn get_with_token(path: &str, token: &str) -> Request<Body> {
    let request = Request::get(path).header("host", "localhost").header("authorization", format!("Bearer {token}"));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn identity_comes_from_certificate_or_token() {
    let served = serve().await;
    let admin = served.pki.admin().clone();
    let (code, list) = served.request(get("/api/v1/namespaces"), Some(&admin)).await;
    assert_eq!((code, &list["kind"]), (200, &json!("NamespaceList")));
    let (code, _) = served.request(get_with_token("/api/v1/namespaces", "t"), None).await;
    assert_eq!(code, 200);
    let (code, status) = served.request(get_with_token("/api/v1/namespaces", "b"), None).await;
    assert_eq!((code, &status["reason"]), (403, &json!("Forbidden")));
    let (code, status) = served.request(get_with_token("/healthz", "wrong"), None).await;
    assert_eq!((code, &status["message"]), (401, &json!("Unauthorized")));
    let (code, _) = served.request(get("/api"), None).await;
    assert_eq!(code, 401);
    let (code, _) = served.request(get("/readyz"), None).await;
    assert_eq!(code, 200);
    let node = served.pki.issue_client("system:node:edge", Some("system:nodes")).unwrap();
    let (code, _) = served.request(get("/api/v1/nodes"), Some(&node)).await;
    assert_eq!(code, 200);
}

#[tokio::test]
async fn http_2_carries_watches_and_shutdown_ends_them() {
    let mut served = serve().await;
    let admin = served.pki.admin().clone();
    let stream = served.connect("h2", Some(&admin)).await;
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let mut connections = JoinSet::new();
    connections.spawn(connection);
    let uri = format!("https://localhost:{}/api/v1/namespaces?watch=1", served.address.port());
    let answer = sender.send_request(Request::get(uri).body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert!(first.into_data().unwrap().starts_with(b"{\"type\":\"ADDED\""));
    served.shutdown.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(5), async { while body.frame().await.is_some() {} });
    ended.await.expect("the watch goes on");
    let result = tokio::time::timeout(Duration::from_secs(5), served.tasks.join_next()).await.expect("still serving");
    result.unwrap().unwrap().unwrap();
    served.api.get("/readyz").await.check(500);
}

#[tokio::test]
async fn what_is_no_tls_and_a_cut_body_harm_nobody() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let served = serve().await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    let admin = served.pki.admin().clone();
    let mut stream = served.connect("http/1.1", Some(&admin)).await;
    let head = "POST /api/v1/namespaces HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{\"metadata\"";
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let (code, _) = served.request(get("/readyz"), None).await;
    assert_eq!(code, 200);
    assert_eq!(served.api.get("/api/v1/namespaces").await.names().len(), 4);
}
