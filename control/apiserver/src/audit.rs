//! The audit log: who asked for what when, what was answered, and why it was allowed.
//!
//! A policy (audit.k8s.io/v1 `Policy`, as kube-apiserver reads it) says of which requests how much is told. A request of
//! which nothing is told costs one look at the policy. The others leave an `Event` at each stage of their life; a thread
//! of the log writes them, fed by a queue with a bound: when the disk is too slow requests wait for it, since an audit log
//! that leaves things out is none. Only the end of a stream, where nobody can wait, may be lost, and then it is counted.

mod event;
mod log;
mod notes;
mod policy;
mod stream;

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::status::Status;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{HeaderMap, Request};
use jiff::Timestamp;

use crate::answer::status_answer;
use crate::body;
use crate::negotiation::{BodyFormat, Negotiated, body_format};
use crate::request_info::RequestInfo;
use crate::server::{Shared, is_long_running};
use crate::user::UserInfo;

use event::Event;
pub use log::{AuditLog, AuditLogConfig, OpenAuditLogError};
pub(crate) use notes::Notes;
pub use policy::{AuditPolicy, ParseAuditPolicyError};
use policy::{Decision, Level, Stage};

/// Names the event of a request; a client may choose it.
const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// A policy and the log that its events go to. Clones are the same log.
#[derive(Debug, Clone)]
pub struct Audit {
    policy: Arc<AuditPolicy>,
    log: AuditLog,
}

impl Audit {
    /// An audit by that policy into that log.
    pub fn new(policy: AuditPolicy, log: AuditLog) -> Self {
        Self { policy: Arc::new(policy), log }
    }

    async fn emit(&self, event: &Event, stage: Stage, decision: &Decision) {
        if !decision.omits(stage) {
            self.log.write(event.at(stage, Timestamp::now())).await;
        }
    }
}

/// Answers a request, whose author takes his turn if he `queues`, and leaves its events.
pub(crate) async fn answer(
    audit: &Audit,
    shared: &Arc<Shared>,
    mut request: Request<Body>,
    user: Arc<UserInfo>,
    queues: bool,
) -> Response {
    let info = RequestInfo::new(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
    let decision = audit.policy.decide(&user, &info);
    if decision.level == Level::None {
        return shared.respond(request, user, queues, None).await;
    }
    let mut event = Event::new(&request, &info, &user, &decision, Timestamp::now());
    audit.emit(&event, Stage::RequestReceived, &decision).await;
    let notes = Arc::new(Notes::default());
    let refused = take_body(shared, &mut request, &mut event, &info, &decision).await.err();
    if decision.level == Level::RequestResponse {
        // What is told must be readable.
        request.headers_mut().remove(ACCEPT_ENCODING);
    }
    let mut answer = match refused {
        Some(status) => status_answer(&status, Negotiated::JSON),
        None => shared.respond(request, user, queues, Some(Arc::clone(&notes))).await,
    };
    event.note(&notes);
    if let Ok(id) = HeaderValue::from_str(event.id()) {
        answer.headers_mut().insert(AUDIT_ID, id);
    }
    let code = answer.status().as_u16();
    event.set_code(code);
    if is_long_running(&info) && code < 400 {
        audit.emit(&event, Stage::ResponseStarted, &decision).await;
        let log = (!decision.omits(Stage::ResponseComplete)).then(|| audit.log.clone());
        return stream::follow(answer, event, log);
    }
    let answer = take_answer(answer, &mut event, &decision, code).await;
    let last = if notes.has_panicked() { Stage::Panic } else { Stage::ResponseComplete };
    audit.emit(&event, last, &decision).await;
    answer
}

/// Leaves the event of a request whose author is not known.
pub(crate) async fn refused(audit: &Audit, request: Request<Body>) {
    let info = RequestInfo::new(request.method(), request.uri().path(), request.uri().query().unwrap_or_default());
    let nobody = UserInfo::default();
    let decision = audit.policy.decide(&nobody, &info);
    if decision.level == Level::None {
        return;
    }
    let mut event = Event::new(&request, &info, &nobody, &decision, Timestamp::now());
    drop(request);
    event.set_code(401);
    event.set_message("Authentication failed, attempted: bearer");
    audit.emit(&event, Stage::ResponseStarted, &decision).await;
}

/// Reads the body where the event needs it, and puts it back.
async fn take_body(
    shared: &Shared,
    request: &mut Request<Body>,
    event: &mut Event,
    info: &RequestInfo,
    decision: &Decision,
) -> Result<(), Status> {
    let writes = matches!(info.verb, "create" | "update" | "patch" | "delete" | "deletecollection");
    // The name of an object that is made is in its body alone.
    let wanted = info.is_resource && writes && (decision.level >= Level::Request || info.verb == "create");
    if !wanted || is_long_running(info) {
        return Ok(());
    }
    let mut reading = Request::new(std::mem::take(request.body_mut()));
    if let Some(length) = request.headers().get(CONTENT_LENGTH) {
        reading.headers_mut().insert(CONTENT_LENGTH, length.clone());
    }
    let bytes = body::read(reading, shared.config.body_bytes_max).await?;
    if let Some(object) = as_value(request.headers(), &bytes) {
        event.set_request(object, decision);
    }
    *request.body_mut() = Body::from(bytes);
    Ok(())
}

/// A body in JSON or YAML; other bodies are not told.
fn as_value(headers: &HeaderMap, bytes: &Bytes) -> Option<serde_json::Value> {
    match serde_json::from_slice(bytes) {
        Ok(value) => Some(value),
        Err(_) if matches!(body_format(headers), Ok(BodyFormat::Yaml)) => {
            body::parse_yaml(bytes, coracle_control_api::decode::FieldValidation::Ignore).ok()
        }
        Err(_) => None,
    }
}

/// Reads the answer where the event needs it, and puts it back.
async fn take_answer(answer: Response, event: &mut Event, decision: &Decision, code: u16) -> Response {
    if code < 400 && decision.level < Level::RequestResponse {
        return answer;
    }
    let (parts, body) = answer.into_parts();
    // Answers that are no streams have been built in memory already.
    let Ok(bytes) = axum::body::to_bytes(body, usize::MAX).await else {
        return Response::from_parts(parts, Body::empty());
    };
    if let Ok(object) = serde_json::from_slice(&bytes) {
        event.set_response(object, decision);
    }
    Response::from_parts(parts, Body::from(bytes))
}

#[cfg(test)]
mod tests;
