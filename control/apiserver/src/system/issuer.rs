//! What others need to check the tokens that this server issues: the issuer's configuration and its keys (OpenID Connect
//! Discovery 1.0, sections 3 and 4).

use axum::response::Response;
use http::header::{CACHE_CONTROL, HeaderValue};

use crate::answer::{page_not_found, raw};
use crate::call::Call;

/// Keys change seldom: others may remember the answers for an hour, as upstream says.
const REMEMBER: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// `/.well-known/openid-configuration`.
pub(super) fn configuration(call: &Call) -> Response {
    let Some(accounts) = call.shared.tokens.accounts() else { return page_not_found() };
    let body = accounts.configuration(&call.shared.config.advertised_address).to_string();
    remembered(raw(200, "application/json", body))
}

/// `/openid/v1/jwks`.
pub(super) fn key_set(call: &Call) -> Response {
    let Some(accounts) = call.shared.tokens.accounts() else { return page_not_found() };
    remembered(raw(200, "application/jwk-set+json", accounts.key_set().to_string()))
}

fn remembered(mut answer: Response) -> Response {
    answer.headers_mut().insert(CACHE_CONTROL, REMEMBER);
    answer
}
