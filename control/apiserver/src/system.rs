//! Paths that are no resources: discovery, health, version, OpenAPI.

mod discovery;
mod health;
mod issuer;
mod version;

use axum::response::Response;
use coracle_control_api::status::Status;
use http::Method;

use crate::answer::{page_not_found, raw, text_answer};
use crate::call::Call;
use crate::{metrics, openapi};

/// Paths beside those of groups and checks, as `/` lists them.
const FIXED_PATHS: &[&str] =
    &["/.well-known/openid-configuration", "/metrics", "/openapi/v2", "/openapi/v3", "/openid/v1/jwks", "/version"];

pub(crate) async fn answer(call: &Call) -> Result<Response, Status> {
    let path = call.info.path.trim_end_matches('/');
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if call.method != Method::GET {
        return Ok(match parts.as_slice() {
            ["api" | "apis", ..] => return Err(Status::method_not_allowed()),
            _ => text_answer(405, "Method Not Allowed\n"),
        });
    }
    match parts.as_slice() {
        [""] => discovery::root(call),
        ["api"] => discovery::legacy_versions(call),
        ["api", version] => discovery::resources(call, "", version),
        ["apis"] => discovery::groups(call),
        ["apis", group] => discovery::group(call, group),
        ["apis", group, version] => discovery::resources(call, group, version),
        ["version"] => version::version(call),
        [endpoint @ ("healthz" | "livez" | "readyz"), ..] => Ok(health::answer(call, endpoint).await),
        [".well-known", "openid-configuration"] => Ok(issuer::configuration(call)),
        ["openid", "v1", "jwks"] => Ok(issuer::key_set(call)),
        ["metrics"] => Ok(metrics(call)),
        ["openapi", "v2"] => openapi::v2(call).await,
        ["openapi", "v3"] => openapi::index(call).await,
        ["openapi", "v3", "api", version] => openapi::document(call, "", version).await,
        ["openapi", "v3", "apis", group, version] => openapi::document(call, group, version).await,
        _ => Ok(page_not_found()),
    }
}

fn metrics(call: &Call) -> Response {
    let kinds = call.shared.catalog.all();
    let kinds = kinds.kinds().iter().map(|kind| &**kind);
    let text = metrics::render(&call.shared.metrics, kinds, &call.shared.store.snapshot());
    raw(200, "text/plain; version=0.0.4; charset=utf-8", text)
}
