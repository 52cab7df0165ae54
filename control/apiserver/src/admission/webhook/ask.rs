//! Asks one webhook one question.

use coracle_control_api::go_text;
use coracle_control_api::status::Status;
use serde_json::{Value, json};

use super::hook::Hook;
use super::review::{Answer, question, read};
use crate::admission::attributes::{Attributes, Invocation};

/// Why a webhook did not let a write go on.
#[derive(Debug)]
pub(super) enum Failure {
    /// It could not be asked, or did not answer as it should; its failure policy says what follows.
    Call(String),
    /// It is not to be asked about a write that is only tried.
    DryRun,
    /// It said no, with this Status.
    Refused(Box<Status>, Box<Answer>),
}

impl Failure {
    pub(super) fn into_status(self, hook: &Hook) -> Status {
        let name = go_text::quote(&hook.name);
        match self {
            Self::Call(error) => Status::internal(&format!("failed calling webhook {name}: {error}")),
            Self::DryRun => Status::bad_request(format!("admission webhook {name} does not support dry run")),
            Self::Refused(status, _) => *status,
        }
    }
}

/// Asks a webhook.
pub(super) async fn ask(
    hook: &Hook,
    attributes: &Attributes<'_>,
    invocation: &Invocation,
    mutating: bool,
) -> Result<Answer, Failure> {
    if attributes.request.dry_run && !hook.takes_dry_runs {
        return Err(Failure::DryRun);
    }
    let Some(version) = hook.review_version else {
        let text =
            "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        return Err(Failure::Call(text.to_owned()));
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let review = question(&uid, version, attributes, invocation).await;
    let review = review.map_err(|error| Failure::Call(format!("could not create admission objects: {error}")))?;
    // Encoding a `Value` to memory cannot fail: its keys are texts and its numbers finite.
    let body = serde_json::to_vec(&review).unwrap_or_default();
    let clients = &attributes.request.call.shared.webhooks;
    let answer = clients.post(&hook.client, body, hook.timeout).await;
    let answer = answer.map_err(|error| Failure::Call(format!("failed to call webhook: {error}")))?;
    let answer = read(&answer, &uid, version, mutating)
        .map_err(|error| Failure::Call(format!("received invalid webhook response: {error}")))?;
    if answer.allowed {
        return Ok(answer);
    }
    Err(Failure::Refused(Box::new(refusal(&hook.name, answer.result.as_ref())), Box::new(answer)))
}

/// The Status of a refusal: what the webhook said, made presentable.
fn refusal(name: &str, result: Option<&Value>) -> Status {
    let mut result = result.cloned().unwrap_or_else(|| json!({}));
    let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let denied = format!("admission webhook {} denied the request", go_text::quote(name));
    let message = match (text("message"), text("reason")) {
        (message, _) if !message.is_empty() => format!("{denied}: {message}"),
        (_, reason) if !reason.is_empty() => format!("{denied}: {reason}"),
        _ => format!("{denied} without explanation"),
    };
    let code = result.get("code").and_then(Value::as_u64).unwrap_or(0).max(400);
    if let Some(map) = result.as_object_mut() {
        map.insert("message".to_owned(), Value::from(message));
        map.insert("code".to_owned(), Value::from(code));
        map.insert("status".to_owned(), Value::from("Failure"));
    }
    Status::foreign(&result)
}

#[cfg(test)]
mod tests;
