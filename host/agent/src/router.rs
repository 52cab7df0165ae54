//! What the API server asks the agent, over HTTP, on the paths that kubelet has.

mod logs;
mod proxy;
mod streams;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use axum::routing::{any, get, post};

use crate::agent::Shared;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/containerLogs/{namespace}/{pod}/{container}", get(logs::serve))
        .route("/exec/{namespace}/{pod}/{container}", post(streams::exec))
        .route("/attach/{namespace}/{pod}/{container}", post(streams::attach))
        .route("/portForward/{namespace}/{pod}", post(streams::port_forward))
        .route("/podProxy/{namespace}/{pod}/{port}", any(proxy::serve))
        .route("/podProxy/{namespace}/{pod}/{port}/", any(proxy::serve))
        .route("/podProxy/{namespace}/{pod}/{port}/{*path}", any(proxy::serve))
        .with_state(shared)
}

/// An answer of one line.
fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}
