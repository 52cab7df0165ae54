//! From an HTTP request to another protocol on its connection.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_api::status::Status;
use http::header::{CONNECTION, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::task::JoinSet;

use crate::answer::text_answer;
use crate::call::Call;

/// Sessions that one server has open.
const SESSIONS_MAX: usize = 4096;
/// What RFC 6455 adds to a client's key before it is hashed.
const WEBSOCKET_GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const SPDY: &str = "SPDY/3.1";
/// The protocols that a SPDY client speaks, best first, and in the answer the one that was chosen.
const STREAM_PROTOCOL: HeaderName = HeaderName::from_static("x-stream-protocol-version");
const ACCEPTED_PROTOCOLS: HeaderName = HeaderName::from_static("x-accepted-stream-protocol-versions");

/// The connection after the upgrade.
pub(super) type Connection = TokioIo<Upgraded>;

/// What goes on over upgraded connections, which outlive the requests that began them.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    tasks: Mutex<JoinSet<()>>,
}

impl Sessions {
    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up a session, or another task of which nobody waits for the end.
    ///
    /// # Errors
    /// 429 when there are too many.
    pub(crate) fn spawn(&self, session: impl Future<Output = ()> + Send + 'static) -> Result<(), Status> {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        if tasks.len() >= SESSIONS_MAX {
            return Err(Status::too_many_requests("too many sessions are open; please try again later", 1));
        }
        tasks.spawn(session);
        Ok(())
    }

    /// Cuts every session that is still open.
    pub(crate) async fn cut(&self) {
        let mut tasks = std::mem::take(&mut *self.tasks());
        tasks.shutdown().await;
    }
}

/// The protocols that a client offers, best first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    WebSocket { key: String, protocols: Vec<String> },
    Spdy { protocols: Vec<String> },
}

/// Every comma-separated word of a header's lines.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|word| !word.is_empty())
}

/// Whether the request wants another protocol on its connection.
pub(crate) fn is_upgrade(headers: &HeaderMap) -> bool {
    words(headers, &CONNECTION).any(|word| word.eq_ignore_ascii_case("upgrade"))
}

/// What the request wants to become.
///
/// # Errors
/// 400 when it is no upgrade, or none that is known.
pub(super) fn offer(headers: &HeaderMap) -> Result<Offer, Status> {
    let upgrade = headers.get(UPGRADE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_upgrade(headers) || upgrade.is_empty() {
        return Err(Status::bad_request("Upgrade request required"));
    }
    let protocols = |name: HeaderName| words(headers, &name).take(64).map(str::to_owned).collect::<Vec<_>>();
    if upgrade.eq_ignore_ascii_case("websocket") {
        let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        if text("sec-websocket-version") != "13" {
            return Err(Status::bad_request("missing or bad WebSocket Version"));
        }
        let key = text("sec-websocket-key").to_owned();
        if key.is_empty() {
            return Err(Status::bad_request("challenge key not found"));
        }
        return Ok(Offer::WebSocket { key, protocols: protocols(http::header::SEC_WEBSOCKET_PROTOCOL) });
    }
    if upgrade.eq_ignore_ascii_case(SPDY) {
        return Ok(Offer::Spdy { protocols: protocols(STREAM_PROTOCOL) });
    }
    Err(Status::bad_request(format!("unable to upgrade: missing upgrade headers in request: {upgrade:?}")))
}

/// The answer to a WebSocket client; `protocol` may be empty.
pub(super) fn websocket_answer(key: &str, protocol: &str) -> Response {
    let mut context = ring::digest::Context::new(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(WEBSOCKET_GUID.as_bytes());
    let accept = BASE64.encode(context.finish());
    let mut answer = switching("websocket");
    for (name, value) in
        [(http::header::SEC_WEBSOCKET_ACCEPT, &*accept), (http::header::SEC_WEBSOCKET_PROTOCOL, protocol)]
    {
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            answer.headers_mut().insert(name, value);
        }
    }
    answer
}

/// The answer to a SPDY client and the protocol that was chosen; none with a refusal, which is in upstream's words.
pub(super) fn spdy_answer<'a>(offered: &[String], supported: &[&'a str]) -> (Response, Option<&'a str>) {
    if offered.is_empty() {
        return (text_answer(400, "unable to upgrade: X-Stream-Protocol-Version is required\n"), None);
    }
    let chosen = offered.iter().find_map(|offer| supported.iter().find(|known| *known == offer));
    let Some(chosen) = chosen.copied() else {
        let text = format!(
            "unable to upgrade: unable to negotiate protocol: client supports [{}], server accepts [{}]\n",
            offered.join(" "),
            supported.join(" ")
        );
        let mut refusal = text_answer(403, text);
        for known in supported {
            if let Ok(value) = HeaderValue::from_str(known) {
                refusal.headers_mut().append(ACCEPTED_PROTOCOLS, value);
            }
        }
        return (refusal, None);
    };
    let mut answer = switching(SPDY);
    if let Ok(value) = HeaderValue::from_str(chosen) {
        answer.headers_mut().insert(STREAM_PROTOCOL, value);
    }
    (answer, Some(chosen))
}

/// What the WebSocket library of upstream's hosts answers when no protocol fits: a code and nothing more.
pub(super) fn no_protocol_fits() -> Response {
    let mut refusal = Response::new(Body::empty());
    *refusal.status_mut() = StatusCode::FORBIDDEN;
    refusal
}

fn switching(protocol: &'static str) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    answer.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
    answer
}

/// Takes what makes the upgrade possible out of a request.
///
/// # Errors
/// 400 on a connection that can only speak HTTP: HTTP/2, or no connection at all.
pub(super) fn take(request: &mut Request<Body>) -> Result<OnUpgrade, Status> {
    if request.extensions().get::<OnUpgrade>().is_none() {
        return Err(Status::bad_request("this connection cannot be upgraded"));
    }
    Ok(hyper::upgrade::on(request))
}

/// Answers with `answer` and goes on with `session` on the connection.
///
/// # Errors
/// 429 when there are too many sessions.
pub(super) fn switch<S, F>(
    sessions: &Sessions,
    upgrade: OnUpgrade,
    answer: Response,
    session: S,
) -> Result<Response, Status>
where
    S: FnOnce(Connection) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    sessions.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => session(TokioIo::new(upgraded)).await,
            Err(error) => tracing::debug!(%error, "a client was gone before its connection was upgraded"),
        }
    })?;
    Ok(answer)
}

/// Joins a client's connection to one that the other side has upgraded, until either ends or the server goes down.
/// `answer` is the other side's 101.
///
/// # Errors
/// 429 when there are too many sessions.
pub(crate) fn pass_through(call: &Call, client: OnUpgrade, mut answer: Response) -> Result<Response, Status> {
    let other = hyper::upgrade::on(&mut answer);
    let shutdown = call.shared.shutdown.clone();
    switch(&call.shared.sessions, client, answer, async move |mut client| {
        let joined = async {
            let mut other = TokioIo::new(other.await?);
            // How one side has ended is the other's business.
            let _ = tokio::io::copy_bidirectional(&mut client, &mut other).await;
            Ok::<_, hyper::Error>(())
        };
        tokio::select! {
            result = joined => if let Err(error) = result {
                tracing::debug!(%error, "a server behind the proxy did not keep its word to upgrade");
            },
            () = shutdown.cancelled() => {}
        }
    })
}

#[cfg(test)]
mod tests;
