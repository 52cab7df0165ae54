//! Asking somebody else over HTTPS: the client of admission webhooks and of conversion webhooks.
//!
//! A webhook is named by a URL or by a service. A service is looked up for every new connection, so that it may move; its
//! certificate must be for `NAME.NAMESPACE.svc`. Connections are kept and used again. What a webhook answers is bounded in
//! time and in size, and so is what is remembered of webhooks.
//!
//! Failures are told in the words of upstream's client, since people search for them.

mod connect;
mod failure;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use coracle_control_store::Store;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde_json::Value;

use crate::host_links::HostLinks;
use connect::Connector;
pub(crate) use connect::tls_config;
pub(crate) use failure::WebhookCallError;
pub(crate) use failure::describe;
use failure::server_said;

/// The most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Authorities of which clients are kept; one more, and all start afresh.
const CLIENTS_MAX: usize = 256;
/// Idle connections to one webhook.
const IDLE_PER_HOST_MAX: usize = 32;
/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// The port of a service that names none.
const SERVICE_PORT: i64 = 443;

type HttpsClient = Client<HttpsConnector<Connector>, Full<Bytes>>;

/// The clients of all webhooks, one for each set of authorities.
pub(crate) struct WebhookClients {
    store: Store,
    hosts: HostLinks,
    /// By the authorities that are trusted: the bundle as it is configured, empty for those of the system.
    clients: Mutex<HashMap<String, Arc<HttpsClient>>>,
}

impl std::fmt::Debug for WebhookClients {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("WebhookClients").finish_non_exhaustive()
    }
}

impl WebhookClients {
    /// Clients that find services in this store, and their pods on these hosts.
    pub(crate) fn new(store: Store, hosts: HostLinks) -> Self {
        Self { store, hosts, clients: Mutex::default() }
    }

    /// Posts JSON to the webhook of a `clientConfig` and returns what it answers with, JSON as well.
    ///
    /// # Errors
    /// When there is no answer within the time, or one that is no success.
    pub(crate) async fn post(
        &self,
        config: &Value,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Value, WebhookCallError> {
        let url = url_of(config, timeout)?;
        let client = self.client(config.get("caBundle").and_then(Value::as_str).unwrap_or_default())?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(&url)
            .header(http::header::CONTENT_TYPE, "application/json")
            .header(http::header::ACCEPT, "application/json, */*")
            .header(http::header::USER_AGENT, concat!("kube-apiserver-admission coracle/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| WebhookCallError::Config(format!("Unparsable URL: {error}")))?;
        let exchange = exchange(&client, request);
        match tokio::time::timeout(timeout, exchange).await {
            Ok(answer) => answer.map_err(|failure| failure.of(&url)),
            Err(_) => Err(Failure::Transport("context deadline exceeded".to_owned()).of(&url)),
        }
    }

    fn client(&self, bundle: &str) -> Result<Arc<HttpsClient>, WebhookCallError> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(bundle) {
            return Ok(Arc::clone(client));
        }
        let tls = tls_config(&pem_of(bundle)?).map_err(WebhookCallError::Config)?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_only()
            .enable_http1()
            .wrap_connector(Connector::new(self.store.clone(), self.hosts.clone()));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(connector);
        if clients.len() >= CLIENTS_MAX {
            clients.clear();
        }
        let client = Arc::new(client);
        clients.insert(bundle.to_owned(), Arc::clone(&client));
        Ok(client)
    }
}

/// What went wrong on the way.
enum Failure {
    /// Nobody answered.
    Transport(String),
    /// The answer was no success, or none that can be read.
    Answer(String),
}

impl Failure {
    fn of(self, url: &str) -> WebhookCallError {
        match self {
            Self::Transport(text) => WebhookCallError::Transport { url: url.to_owned(), text },
            Self::Answer(text) => WebhookCallError::Answer(text),
        }
    }
}

async fn exchange(client: &HttpsClient, request: Request<Full<Bytes>>) -> Result<Value, Failure> {
    let answer = client.request(request).await.map_err(|error| Failure::Transport(describe(&error)))?;
    let code = answer.status().as_u16();
    let bytes = match Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => collected.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            return Err(Failure::Answer(format!("the response is larger than {ANSWER_BYTES_MAX} bytes")));
        }
        Err(error) => return Err(Failure::Answer(format!("unexpected error when reading response body: {error}"))),
    };
    if !(200..300).contains(&code) {
        return Err(Failure::Answer(server_said(code, &bytes)));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Failure::Answer(format!("couldn't get version/kind; json parse error: {error}")))
}

fn url_of(config: &Value, timeout: Duration) -> Result<String, WebhookCallError> {
    let query = format!("timeout={}s", timeout.as_secs_f64().ceil());
    if let Some(service) = config.get("service").filter(|service| service.is_object()) {
        let text = |name: &str| service.get(name).and_then(Value::as_str).unwrap_or_default();
        let port = service.get("port").and_then(Value::as_i64).unwrap_or(SERVICE_PORT);
        let path = text("path");
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Ok(format!("https://{}.{}.svc:{port}{slash}{path}?{query}", text("name"), text("namespace")));
    }
    match config.get("url").and_then(Value::as_str).unwrap_or_default() {
        "" => Err(WebhookCallError::Config("webhook configuration must have either service or URL".to_owned())),
        url => {
            let joint = if url.contains('?') { '&' } else { '?' };
            Ok(format!("{url}{joint}{query}"))
        }
    }
}

fn pem_of(bundle: &str) -> Result<Vec<u8>, WebhookCallError> {
    base64::engine::general_purpose::STANDARD
        .decode(bundle)
        .map_err(|error| WebhookCallError::Config(format!("unable to load root certificates: {error}")))
}

#[cfg(test)]
mod tests;
