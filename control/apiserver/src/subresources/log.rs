//! log: what a container wrote, from the agent of the pod's host.

use axum::body::Body;
use axum::response::Response;
use coracle_control_api::status::{FieldError, Status};
use http::Request;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{agent, agent_error, ask};
use crate::answer::raw;
use crate::call::ResourceCall;
use crate::list_options::Version;

/// Parameters that go to the agent as they came.
const PARAMETERS: &[&str] =
    &["follow", "tailLines", "sinceSeconds", "sinceTime", "timestamps", "previous", "limitBytes", "stream"];

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
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let mut target =
        format!("/containerLogs/{}/{}/{}", encode(call.namespace()), encode(call.name()), encode(&container));
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
    let answer = ask(agent(call, node)?, request).await?;
    if !answer.status().is_success() {
        return Err(agent_error(answer).await);
    }
    let mut passed = raw(200, "text/plain", Vec::new());
    *passed.body_mut() = answer.into_body();
    Ok(passed)
}

fn check_options(call: &ResourceCall) -> Result<(), Status> {
    let mut errors = Vec::new();
    for (name, least) in [("tailLines", 0), ("sinceSeconds", 1), ("limitBytes", 1)] {
        let text = call.query.text(name);
        if text.is_empty() {
            continue;
        }
        let Ok(number) = text.parse::<i64>() else {
            return Err(Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")));
        };
        if number < least {
            let detail = if least == 0 { "must be greater than or equal to 0" } else { "must be greater than 0" };
            errors.push(FieldError::invalid(name, number, detail));
        }
    }
    if call.query.get("sinceSeconds").is_some() && call.query.get("sinceTime").is_some() {
        errors.push(FieldError::forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
    }
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid("", "PodLogOptions", call.name(), &errors))
}

fn names<'a>(pod: &'a Value, list: &str) -> Vec<&'a str> {
    let items = pod.pointer(&format!("/spec/{list}")).and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|container| container.get("name").and_then(Value::as_str)).collect()
}

/// The container that is asked for, or the only one there is.
fn choose_container(call: &ResourceCall, pod: &Value) -> Result<String, Status> {
    let (containers, init, ephemeral) =
        (names(pod, "containers"), names(pod, "initContainers"), names(pod, "ephemeralContainers"));
    let asked = call.query.text("container");
    if !asked.is_empty() {
        if containers.contains(&asked) || init.contains(&asked) || ephemeral.contains(&asked) {
            return Ok(asked.to_owned());
        }
        return Err(Status::bad_request(format!("container {asked} is not valid for pod {}", call.name())));
    }
    match containers.as_slice() {
        [only] if init.is_empty() && ephemeral.is_empty() => Ok((*only).to_owned()),
        _ => {
            let mut text = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                call.name(),
                containers.join(" ")
            );
            if !init.is_empty() {
                text.push_str(&format!(" or one of the init containers: [{}]", init.join(" ")));
            }
            Err(Status::bad_request(text))
        }
    }
}
