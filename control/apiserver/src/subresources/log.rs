//! log: what a container wrote, from the agent of the pod's host.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::{FieldError, Status};
use http::Request;
use jiff::Timestamp;
use serde_json::Value;

use super::container::{choose_container, encode, node_agent, pod_path};
use super::{agent_error, ask};
use crate::answer::raw;
use crate::call::ResourceCall;
use crate::list_options::Version;

/// Parameters that go to the agent as they came.
const PARAMETERS: &[&str] =
    &["follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes", "stream"];

/// The streams that can be asked for.
const STREAMS: &[&str] = &["All", "Stderr", "Stdout"];

pub(super) async fn log(call: &ResourceCall) -> Result<Response, Status> {
    check_options(call)?;
    let snapshot = call.snapshot(Version::Latest).await?;
    let pod = call.decode(&call.find(&snapshot)?)?;
    let container = choose_container(call, &pod)?;
    let node = pod.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    if node.is_empty() {
        // Nothing has been written yet; upstream answers with nothing, too.
        return Ok(raw(200, "text/plain", Vec::new()));
    }
    let mut target = format!("/containerLogs/{}/{}", pod_path(call), encode(&container));
    let mut separator = '?';
    for name in PARAMETERS {
        if let Some(value) = call.query.get(name) {
            target.push(separator);
            target.push_str(&format!("{name}={}", encode(value)));
            separator = '&';
        }
    }
    let request = Request::get(target).body(Body::empty());
    let request = request.map_err(|_| Status::bad_request("the options cannot be passed to the host"))?;
    let answer = ask(node_agent(call, &snapshot, node)?, request).await?;
    if !answer.status().is_success() {
        return Err(agent_error(answer).await);
    }
    let mut passed = raw(200, "text/plain", Vec::new());
    *passed.body_mut() = answer.into_body();
    Ok(passed)
}

/// The options as upstream checks them, with the choice of one stream switched on.
///
/// # Errors
/// 400 for what cannot be read, 422 for what makes no sense.
fn check_options(call: &ResourceCall) -> Result<(), Status> {
    let mut errors = Vec::new();
    let [tail, limit, since] = [number(call, "tailLines")?, number(call, "limitBytes")?, number(call, "sinceSeconds")?];
    let since_time = call.query.text("sinceTime");
    if !since_time.is_empty() && since_time.parse::<Timestamp>().is_err() {
        let text = format!("parsing time {since_time:?} as \"2006-01-02T15:04:05Z07:00\": not a time");
        return Err(Status::bad_request(text));
    }
    if let Some(lines) = tail.filter(|lines| *lines < 0) {
        errors.push(FieldError::invalid("tailLines", lines, "must be greater than or equal to 0"));
    }
    if let Some(bytes) = limit.filter(|bytes| *bytes < 1) {
        errors.push(FieldError::invalid("limitBytes", bytes, "must be greater than 0"));
    }
    match since {
        Some(_) if !since_time.is_empty() => {
            errors.push(FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
        }
        Some(seconds) if seconds < 1 => {
            errors.push(FieldError::invalid("sinceSeconds", seconds, "must be greater than 0"));
        }
        _ => {}
    }
    if let Some(stream) = call.query.get("stream") {
        if !STREAMS.contains(&stream) {
            errors.push(FieldError::not_supported("stream", stream, STREAMS));
        } else if stream != "All" && tail.is_some() {
            let text = "`tailLines` and specific `stream` are mutually exclusive for now";
            errors.push(FieldError::forbidden("", text));
        }
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("", "PodLogOptions", call.name(), &errors))
}

fn number(call: &ResourceCall, name: &str) -> Result<Option<i64>, Status> {
    let text = call.query.text(name);
    let number = (!text.is_empty()).then(|| text.parse::<i64>()).transpose();
    number.map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")))
}
