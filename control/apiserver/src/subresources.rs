//! Subresources with handlers of their own.

mod binding;
mod container;
mod disruption;
mod eviction;
mod log;
mod proxy;
mod scale;
mod stream;
mod token;

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::kind::Kind;
use coracle_control_api::status::{Reason, Status};
use http::Request;

use crate::call::ResourceCall;

pub(crate) use binding::bind_by_collection as binding;
pub(crate) use proxy::{append_forwarded, passed_headers, proxy, remove_hop_by_hop};

/// The most bytes of an agent's error that are read.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// Whether objects of this kind are bindings, which are not stored but carried out.
pub(crate) fn is_binding(kind: &Kind) -> bool {
    kind.group.is_empty() && kind.kind == "Binding"
}

pub(crate) async fn answer(call: &ResourceCall, name: &str, request: Request<Body>) -> Result<Response, Status> {
    match name {
        "binding" => binding::bind(call, request).await,
        "eviction" => eviction::evict(call, request).await,
        "exec" | "attach" => stream::exec(call, name, request).await,
        "log" => log::log(call).await,
        "portforward" => stream::port_forward(call, request).await,
        "token" => token::request(call, request).await,
        "scale" if call.kind.scale.is_some() => scale::answer(call, request).await,
        _ => Err(Status::failure(
            501,
            Reason::Unknown,
            format!("{} of {} is not served yet", name, call.kind.qualified_plural()),
        )),
    }
}

/// The agent of a node.
///
/// # Errors
/// 503 when it cannot be reached.
fn agent(call: &ResourceCall, node: &str) -> Result<axum::Router, Status> {
    call.shared
        .hosts
        .get(node)
        .ok_or_else(|| Status::unavailable(format!("the host of node {node:?} cannot be reached")))
}

/// Passes a request to an agent.
///
/// # Errors
/// The agent's error as a Status, in its own words.
pub(crate) async fn ask(agent: axum::Router, request: Request<Body>) -> Result<Response, Status> {
    use tower::ServiceExt as _;
    let answer = match agent.oneshot(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    };
    Ok(answer)
}

/// Turns an agent's error into ours, with its text.
pub(crate) async fn agent_error(answer: Response) -> Status {
    let code = answer.status().as_u16();
    let text = match axum::body::to_bytes(answer.into_body(), ERROR_BYTES_MAX).await {
        Ok(bytes) => String::from_utf8_lossy(&bytes).trim().to_owned(),
        Err(_) => String::new(),
    };
    let reason = match code {
        400 => Reason::BadRequest,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        503 => Reason::ServiceUnavailable,
        _ => Reason::InternalError,
    };
    let text = if text.is_empty() { format!("the host answered with {code}") } else { text };
    Status::failure(code, reason, text)
}
