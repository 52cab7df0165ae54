//! A request on its way to another server.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use http::header::{HOST, LOCATION};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use hyper::upgrade::OnUpgrade;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::registry::Remote;
use crate::answer::{Passed, text_answer};
use crate::backend::{self, tls};
use crate::call::Call;
use crate::server::Shared;
use crate::streaming::{is_upgrade, pass_through};
use crate::subresources::{append_forwarded, passed_headers, remove_hop_by_hop};
use crate::user::UserInfo;

/// What of the key of an extra may stand in the name of a header.
const HEADER_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Sends a request on to the server of its group. What goes wrong on the way is said in plain text, as upstream.
///
/// # Errors
/// 400 and 429 for an upgrade that cannot be.
pub(crate) async fn forward(call: &Call, remote: &Remote, mut request: Request<Body>) -> Result<Response, Status> {
    if !remote.available {
        return Ok(text_answer(503, "service unavailable\n"));
    }
    let client = request.extensions_mut().remove::<OnUpgrade>();
    let upgrades = is_upgrade(request.headers());
    let path = request.uri().path().to_owned();
    let mut headers = passed_headers(request.headers(), upgrades);
    append_forwarded(&mut headers, &path, "");
    headers.remove("x-forwarded-prefix");
    let (parts, body) = request.into_parts();
    let mut passed = Request::new(body);
    *passed.method_mut() = parts.method;
    *passed.headers_mut() = headers;
    let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    *passed.uri_mut() = target.parse().map_err(|_| Status::bad_request("the path cannot be passed on"))?;
    let mut answer = match exchange(&call.shared, remote, &call.user, passed).await {
        Ok(answer) => answer,
        Err(refusal) => return Ok(text_answer(refusal.code, format!("{}\n", refusal.text))),
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(client) = client else { return Err(Status::bad_request("this connection cannot be upgraded")) };
        return pass_through(call, client, answer);
    }
    if answer.status().is_redirection() && answer.headers().contains_key(LOCATION) {
        return Ok(text_answer(502, "the backend attempted to redirect this request, which is not permitted"));
    }
    remove_hop_by_hop(answer.headers_mut());
    answer.extensions_mut().insert(Passed);
    Ok(answer)
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) text: String,
}

/// One exchange with the server, as this user.
pub(super) async fn exchange(
    shared: &Shared,
    remote: &Remote,
    user: &UserInfo,
    mut request: Request<Body>,
) -> Result<Response, Refusal> {
    let tls = remote.tls.as_ref().map_err(|text| Refusal { code: 500, text: text.clone() })?;
    let snapshot = shared.store.snapshot();
    let place = backend::resolve(&snapshot, &remote.namespace, &remote.service, &remote.port.to_string());
    let place = place.map_err(|error| {
        tracing::debug!(name = remote.name, %error, "the service of an APIService leads nowhere");
        Refusal { code: 503, text: "service unavailable".to_owned() }
    })?;
    let unreachable = |cause: String| Refusal { code: 503, text: format!("error trying to reach service: {cause}") };
    set_user(request.headers_mut(), user);
    if let Ok(host) = HeaderValue::from_str(&remote.host()) {
        request.headers_mut().insert(HOST, host);
    }
    let stream = backend::connect(&shared.hosts, &place).await.map_err(|error| unreachable(error.to_string()))?;
    let secured = tls::secure(stream, tls.clone(), &remote.host()).await;
    let stream = secured.map_err(|error| unreachable(error.to_string()))?;
    backend::send(shared, stream, request).await.map_err(|error| unreachable(error.to_string()))
}

/// Says who the user is. Whatever a client has said of that is gone already.
fn set_user(headers: &mut HeaderMap, user: &UserInfo) {
    let mut add = |name: &str, value: &str| {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            headers.append(name, value);
        }
    };
    add("x-remote-user", &user.name);
    if !user.uid.is_empty() {
        add("x-remote-uid", &user.uid);
    }
    for group in &user.groups {
        add("x-remote-group", group);
    }
    for (key, values) in &user.extra {
        let name = format!("x-remote-extra-{}", utf8_percent_encode(&key.to_lowercase(), HEADER_NAME));
        for value in values {
            add(&name, value);
        }
    }
}
