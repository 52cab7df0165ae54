//! A server over a store in a temporary directory, and a client of its router.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use coracle_control_apiserver::{ApiServer, ApiServerConfig, HostLinks, ServiceAccountKey, StaticToken, UserInfo};
use coracle_control_store::{Store, StoreConfig};
use futures::StreamExt as _;
use http::{HeaderMap, Request, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// The longest that a test waits for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const MERGE: (&str, &str) = ("content-type", "application/merge-patch+json");
pub(crate) const TABLE: (&str, &str) = ("accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");

pub(crate) struct Api {
    pub(crate) server: ApiServer,
    pub(crate) store: Store,
    pub(crate) hosts: HostLinks,
    router: Router,
    _directory: TempDir,
}

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
    pub(crate) text: String,
}

impl Api {
    /// A server without the plugins that need other parts of a cluster, and with its first objects.
    pub(crate) async fn start() -> Self {
        Self::with(|config| {
            config.disabled_admission_plugins =
                ["ServiceAccount", "TaintNodesByCondition"].iter().map(|name| (*name).to_owned()).collect();
        })
        .await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut ApiServerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::new(directory.path().join("store"))).await.unwrap();
        let mut config = ApiServerConfig {
            tokens: StaticToken::parse_file("t,alice,1,\"system:masters\"\nb,bob,2").unwrap(),
            service_account_key: Some(ServiceAccountKey::from_pem(&rcgen_key()).unwrap()),
            ..ApiServerConfig::default()
        };
        change(&mut config);
        config.validate().unwrap();
        let hosts = HostLinks::new();
        let server = ApiServer::new(store.clone(), config, hosts.clone());
        server.bootstrap().await.unwrap();
        let router = server.router_for(UserInfo::admin());
        Self { server, store, hosts, router, _directory: directory }
    }

    /// The same server for another user.
    pub(crate) fn as_user(&self, user: UserInfo) -> Client {
        Client { router: self.server.router_for(user) }
    }

    pub(crate) fn admin(&self) -> Client {
        Client { router: self.router.clone() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.admin().call("GET", path, &[], Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.admin().json("POST", path, &[], &body).await
    }

    pub(crate) async fn put(&self, path: &str, body: Value) -> Answer {
        self.admin().json("PUT", path, &[], &body).await
    }

    pub(crate) async fn merge(&self, path: &str, body: Value) -> Answer {
        self.admin().json("PATCH", path, &[MERGE], &body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.admin().call("DELETE", path, &[], Vec::new()).await
    }

    pub(crate) async fn watch(&self, path: &str) -> Events {
        self.admin().watch(path, &[]).await
    }

    pub(crate) async fn config_map(&self, name: &str, data: Value) -> Answer {
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data});
        self.post("/api/v1/namespaces/default/configmaps", body).await
    }

    /// A pod, on a node unless that is empty.
    pub(crate) async fn pod(&self, name: &str, node: &str) -> Answer {
        let mut body = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 8080, "name": "web"}]}]},
        });
        if !node.is_empty() {
            body["spec"]["nodeName"] = json!(node);
        }
        self.post("/api/v1/namespaces/default/pods", body).await
    }
}

/// A new key on P-256.
pub(crate) fn rcgen_key() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

#[derive(Clone)]
pub(crate) struct Client {
    router: Router,
}

impl Client {
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Body> {
        tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await.expect("no answer").unwrap()
    }

    pub(crate) async fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.send(request.body(Body::from(body)).unwrap()).await;
        let (parts, body) = answer.into_parts();
        let bytes = tokio::time::timeout(PATIENCE, axum::body::to_bytes(body, usize::MAX)).await.unwrap().unwrap();
        Answer {
            code: parts.status.as_u16(),
            headers: parts.headers,
            body: serde_json::from_slice(&bytes).unwrap_or_default(),
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn json(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Answer {
        self.call(method, path, headers, serde_json::to_vec(body).unwrap()).await
    }

    pub(crate) async fn watch(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut request = Request::builder().method("GET").uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = self.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), 200);
        Events { body: Box::pin(answer.into_body().into_data_stream()), buffer: Vec::new() }
    }
}

impl Answer {
    pub(crate) fn check(self, code: u16) -> Self {
        assert_eq!(self.code, code, "{}", self.text);
        self
    }

    pub(crate) fn version(&self) -> String {
        self.body["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned()
    }

    pub(crate) fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        let items = self.body["items"].as_array().expect("no list");
        items.iter().map(|item| item["metadata"]["name"].as_str().unwrap()).collect()
    }
}

/// The events of a watch.
pub(crate) struct Events {
    body: std::pin::Pin<Box<dyn futures::Stream<Item = Result<bytes::Bytes, axum::Error>> + Send>>,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event; `None` at the end of the stream.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).unwrap());
            }
            match tokio::time::timeout(PATIENCE, self.body.next()).await.expect("no event") {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.unwrap()),
                None => {
                    assert!(self.buffer.is_empty(), "the stream ended within an event");
                    return None;
                }
            }
        }
    }

    /// Type and name of the next event.
    pub(crate) async fn next_name(&mut self) -> (String, String) {
        let event = self.next().await.expect("the stream ended");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub(crate) fn pair(kind: &str, name: &str) -> (String, String) {
    (kind.to_owned(), name.to_owned())
}
