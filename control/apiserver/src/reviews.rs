//! Questions about identity and permission: who am I, may I, may they. Nothing of them is stored.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::Status;
use http::Request;

use crate::call::Call;

/// Answers a review; `None` when the path is none.
pub(crate) async fn answer(call: &Call, request: Request<Body>) -> Option<Result<Response, Status>> {
    let _ = (call, request);
    None
}
