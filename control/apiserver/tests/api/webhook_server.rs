//! A webhook: an HTTPS server on loopback with a certificate of its own, that answers as a test says.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use base64::Engine as _;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type Answering = dyn Fn(&Value) -> (u16, Value) + Send + Sync;

pub(crate) struct WebhookServer {
    pub(crate) address: SocketAddr,
    /// PEM in base64, as configurations have it.
    pub(crate) bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
    _tasks: JoinSet<()>,
}

impl WebhookServer {
    /// Answers every body with what `answer` makes of it.
    pub(crate) async fn start(answer: impl Fn(&Value) -> (u16, Value) + Send + Sync + 'static) -> Self {
        let names = ["localhost", "127.0.0.1", "hook.default.svc"].map(str::to_owned);
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        let seen = Arc::clone(&asked);
        let answer: Arc<Answering> = Arc::new(answer);
        tasks.spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), answer, seen));
        let bundle = base64::engine::general_purpose::STANDARD.encode(cert.pem());
        Self { address, bundle, asked, _tasks: tasks }
    }

    /// An admission webhook: `answer` makes the `response` without its uid of a `request`.
    pub(crate) async fn admission(answer: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Self {
        Self::start(move |review| {
            let mut response = answer(&review["request"]);
            response["uid"] = review["request"]["uid"].clone();
            (200, json!({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}))
        })
        .await
    }

    /// What it was asked so far.
    pub(crate) fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }

    /// A `clientConfig` that names it by its address.
    pub(crate) fn client(&self) -> Value {
        json!({"url": format!("https://{}/hook", self.address), "caBundle": self.bundle})
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, answer: Arc<Answering>, seen: Arc<Mutex<Vec<Value>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, answer, seen) = (acceptor.clone(), Arc::clone(&answer), Arc::clone(&seen));
        connections.spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let (answer, seen) = (Arc::clone(&answer), Arc::clone(&seen));
                async move {
                    let body = axum::body::to_bytes(Body::new(request.into_body()), usize::MAX).await.unwrap();
                    let body: Value = serde_json::from_slice(&body).unwrap();
                    seen.lock().unwrap().push(body.clone());
                    let (code, body) = answer(&body);
                    let answer = Response::builder().status(code).body(Body::from(body.to_string()));
                    Ok::<_, std::convert::Infallible>(answer.unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
