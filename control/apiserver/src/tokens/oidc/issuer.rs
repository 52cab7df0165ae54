//! The way to an issuer: its discovery document and its keys, kept as they were read last.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::keys::KeySet;
use crate::tokens::jwt::Jwt;
use crate::webhook::{describe, tls_config};

/// The most bytes of a document that are read.
const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;
/// How long one document may take, as upstream.
const DOCUMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after a failure before anything is known, as upstream.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Tokens with unknown keys make the issuer be asked no more often than this.
const REFRESH_PAUSE: Duration = Duration::from_secs(2);
/// How long a request waits for the keys that its token made necessary.
const REFRESH_WAIT: Duration = Duration::from_secs(10);
/// Keys are read again after this time, so that one that was withdrawn is forgotten.
const KEYS_AGE_MAX: Duration = Duration::from_secs(3600);

/// Why the issuer's keys are not known.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("cannot ask {url}: {cause}")]
    Exchange { url: String, cause: String },
    #[error("{url} answers with {code}")]
    Code { url: String, code: StatusCode },
    #[error("{url} took too long")]
    Timeout { url: String },
    #[error("{url} is not what it must be: {cause}")]
    Document { url: String, cause: String },
}

/// What is known of an issuer's keys.
#[derive(Debug, Clone, Default)]
struct Known {
    /// `None` until the issuer answered for the first time.
    keys: Option<Arc<KeySet>>,
    /// When the issuer was asked last, whether he answered or not.
    asked: Option<Instant>,
}

/// An issuer's keys, which one task keeps and requests look at.
#[derive(Debug)]
pub(super) struct Issuer {
    url: String,
    authorities_pem: Option<String>,
    known: watch::Sender<Known>,
    wanted: Notify,
}

type HttpsClient = Client<HttpsConnector<HttpConnector>, Empty<Bytes>>;

/// The outcome of looking for the key of a token.
pub(super) enum Signature {
    Right,
    Wrong,
    /// The issuer has not answered yet.
    Unknown,
}

impl Issuer {
    pub(super) fn new(url: String, authorities_pem: Option<String>) -> Self {
        Self { url, authorities_pem, known: watch::Sender::default(), wanted: Notify::new() }
    }

    /// Whether a key of the issuer has signed the token. A token that none has signed makes the keys be read again, at most
    /// every [`REFRESH_PAUSE`].
    pub(super) async fn check(&self, token: &Jwt<'_>) -> Signature {
        let mut receiver = self.known.subscribe();
        let known = receiver.borrow_and_update().clone();
        let Some(keys) = known.keys else { return Signature::Unknown };
        if keys.has_signed(token) {
            return Signature::Right;
        }
        if known.asked.is_some_and(|asked| asked.elapsed() < REFRESH_PAUSE) {
            return Signature::Wrong;
        }
        self.wanted.notify_one();
        let changed = tokio::time::timeout(REFRESH_WAIT, receiver.changed()).await;
        let fresh = receiver.borrow().keys.clone();
        match fresh {
            Some(keys) if matches!(changed, Ok(Ok(()))) && keys.has_signed(token) => Signature::Right,
            _ => Signature::Wrong,
        }
    }

    /// Reads the keys, and again when a token wants others, until `shutdown`.
    pub(super) async fn keep(&self, shutdown: CancellationToken) {
        tokio::select! {
            // What is cut off is a read of documents; nothing is left half done.
            () = shutdown.cancelled() => {}
            () = self.follow() => {}
        }
    }

    async fn follow(&self) {
        let client = match client(self.authorities_pem.as_deref()) {
            Ok(client) => client,
            Err(cause) => return tracing::error!(cause, "the OpenID Connect issuer cannot be asked"),
        };
        loop {
            let outcome = fetch(&client, &self.url).await;
            let is_known = self.known.borrow().keys.is_some() || outcome.is_ok();
            let keys = match outcome {
                Ok(keys) => Some(Arc::new(keys)),
                Err(error) => {
                    tracing::warn!(%error, issuer = self.url, "cannot read the keys of the OpenID Connect issuer");
                    None
                }
            };
            self.known.send_modify(|known| {
                known.asked = Some(Instant::now());
                known.keys = keys.or(known.keys.take());
            });
            if is_known {
                // A wish from before this answer finds nothing newer now than it will after the pause.
                tokio::time::sleep(REFRESH_PAUSE).await;
                let _ = tokio::time::timeout(KEYS_AGE_MAX, self.wanted.notified()).await;
            } else {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

fn client(authorities_pem: Option<&str>) -> Result<HttpsClient, String> {
    let tls = tls_config(authorities_pem.unwrap_or_default().as_bytes())?;
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    // The issuer is asked so rarely that a connection is not worth keeping.
    Ok(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector))
}

/// The keys that the issuer's discovery document (OpenID Connect Discovery 1.0, section 4) leads to.
async fn fetch(client: &HttpsClient, issuer: &str) -> Result<KeySet, FetchError> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let document = get(client, &url).await?;
    let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
    if text("issuer") != issuer {
        let cause = format!(
            "oidc: issuer did not match the issuer returned by provider, expected {issuer:?} got {:?}",
            text("issuer")
        );
        return Err(FetchError::Document { url, cause });
    }
    let keys = text("jwks_uri").to_owned();
    if keys.is_empty() {
        return Err(FetchError::Document { url, cause: "there is no jwks_uri".to_owned() });
    }
    let document = get(client, &keys).await?;
    KeySet::read(&document)
        .ok_or_else(|| FetchError::Document { url: keys, cause: "there is no list of keys".to_owned() })
}

async fn get(client: &HttpsClient, url: &str) -> Result<Value, FetchError> {
    match tokio::time::timeout(DOCUMENT_TIMEOUT, exchange(client, url)).await {
        Ok(result) => result,
        Err(_) => Err(FetchError::Timeout { url: url.to_owned() }),
    }
}

async fn exchange(client: &HttpsClient, url: &str) -> Result<Value, FetchError> {
    let failed = |cause: String| FetchError::Exchange { url: url.to_owned(), cause };
    let request = Request::get(url)
        .header(http::header::ACCEPT, "application/json")
        .header(http::header::USER_AGENT, concat!("coracle/", env!("CARGO_PKG_VERSION")))
        .body(Empty::new())
        .map_err(|error| failed(error.to_string()))?;
    let answer = client.request(request).await.map_err(|error| failed(describe(&error)))?;
    if answer.status() != StatusCode::OK {
        return Err(FetchError::Code { url: url.to_owned(), code: answer.status() });
    }
    let body = Limited::new(answer.into_body(), DOCUMENT_BYTES_MAX).collect().await;
    let bytes = body.map_err(|error| failed(error.to_string()))?.to_bytes();
    serde_json::from_slice(&bytes)
        .map_err(|error| FetchError::Document { url: url.to_owned(), cause: error.to_string() })
}
