//! MutatingAdmissionWebhook and ValidatingAdmissionWebhook: others are asked before an object is written.

mod ask;
mod hook;
mod review;

use coracle_control_api::cel::{Budget, MATCH_CONDITIONS_COST_MAX};
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::patch::{PatchKind, patch};
use coracle_control_api::status::Status;
use futures::future::join_all;
use serde_json::{Value, json};

use super::attributes::{Attributes, Invocation, restore, row_of};
use super::expressions::{all_hold, variables};
use super::matching::is_exempt;
use super::{Asking, Effects, Request};
use crate::pipeline;

use ask::{Failure, ask};
pub(crate) use hook::Hook;
use review::Answer;

const MUTATION: &str = "mutation.webhook.admission.k8s.io/";
const PATCH: &str = "patch.webhook.admission.k8s.io/";
const FAILED_OPEN_MUTATING: &str = "failed-open.mutation.webhook.admission.k8s.io/";
const FAILED_OPEN_VALIDATING: &str = "failed-open.validating.webhook.admission.k8s.io/";

/// As what a webhook is to be asked about the request; `None` when it is not.
async fn invocation(hook: &Hook, attributes: &Attributes<'_>) -> Result<Option<Invocation>, Status> {
    let Some(invocation) = hook.constraints.matches(attributes)? else { return Ok(None) };
    if hook.conditions.is_empty() {
        return Ok(Some(invocation));
    }
    let variables = variables(attributes, &invocation).await.map_err(|error| Status::internal(&error))?;
    let mut budget = Budget::new(MATCH_CONDITIONS_COST_MAX);
    match all_hold(&hook.conditions, &variables, &mut budget) {
        Ok(true) => Ok(Some(invocation)),
        Ok(false) => Ok(None),
        Err(_) if hook.ignores_failures => Ok(None),
        Err(error) => {
            let kind = &attributes.request.call.kind;
            Err(Status::forbidden(&kind.group, &kind.plural, attributes.name(), &error))
        }
    }
}

/// Lets the webhooks change the object, one after the other.
pub(super) fn mutate<'a>(request: &'a Request<'a>, object: &'a mut Value, effects: &'a mut Effects) -> Asking<'a> {
    let configured = request.call.shared.admission.configured(&request.call.shared.store);
    Box::pin(async move {
        if configured.mutating.is_empty() || is_exempt(&Attributes::new(request, None)) {
            return Ok(());
        }
        effects.reinvocation.webhooks.begin(effects.reinvocation.is_second, object);
        for (index, hook) in configured.mutating.iter().enumerate() {
            let Some(invocation) = invocation(hook, &Attributes::new(request, Some(object))).await? else { continue };
            if effects.reinvocation.is_second && !effects.reinvocation.webhooks.must_repeat(&hook.identity) {
                continue;
            }
            let changed = call_mutating(hook, index, &invocation, request, object, effects).await?;
            if changed {
                effects.reinvocation.webhooks.changed();
                effects.reinvocation.needed = true;
            }
            if hook.reinvoked_if_needed {
                effects.reinvocation.webhooks.invoked(&hook.identity);
            }
        }
        effects.reinvocation.webhooks.end(object);
        Ok(())
    })
}

/// Asks one webhook and does what it answers; whether that has changed the object.
async fn call_mutating(
    hook: &Hook,
    index: usize,
    invocation: &Invocation,
    request: &Request<'_>,
    object: &mut Value,
    effects: &mut Effects,
) -> Result<bool, Status> {
    let round = u8::from(effects.reinvocation.is_second);
    let place = format!("round_{round}_index_{index}");
    let attributes = Attributes::new(request, Some(object));
    let answer = match ask(hook, &attributes, invocation, true).await {
        Ok(answer) => answer,
        Err(Failure::Call(error)) if hook.ignores_failures => {
            tracing::warn!(webhook = hook.name, %error, "a webhook failed, and is left out as it is configured");
            effects.audit_annotations.push((format!("{FAILED_OPEN_MUTATING}{place}"), hook.name.clone()));
            return Ok(false);
        }
        Err(failure) => return Err(failure.into_status(hook)),
    };
    note(hook, &answer, request, effects);
    let mutated = match &answer.patch {
        Some(text) if !text.is_empty() => {
            let changed = change(hook, text, invocation, request, object).await?;
            let patch: Value = serde_json::from_slice(text).unwrap_or_default();
            let shown = json!({
                "configuration": hook.configuration, "webhook": hook.name, "patch": patch, "patchType": "JSONPatch",
            });
            effects.audit_annotations.push((format!("{PATCH}{place}"), shown.to_string()));
            changed
        }
        _ => false,
    };
    let shown = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": mutated});
    effects.audit_annotations.push((format!("{MUTATION}{place}"), shown.to_string()));
    Ok(mutated)
}

/// Applies a webhook's patch to the object in the kind that the webhook saw.
async fn change(
    hook: &Hook,
    text: &[u8],
    invocation: &Invocation,
    request: &Request<'_>,
    object: &mut Value,
) -> Result<bool, Status> {
    let seen = Attributes::new(request, Some(object)).object_as(invocation).await;
    let seen = seen.map_err(|error| Status::internal(&error))?.unwrap_or_default();
    let operations: Vec<Value> = match serde_json::from_slice(text) {
        Ok(operations) => operations,
        Err(error) => {
            let text = format!("received undecodable patch in webhook response: {error}");
            return Err(Failure::Call(text).into_status(hook));
        }
    };
    if operations.is_empty() {
        return Ok(false);
    }
    let row =
        row_of(request, invocation).ok_or_else(|| Status::internal("the kind of a webhook's patch is not served"))?;
    let target = pipeline::target(&row)?;
    let patched = patch(PatchKind::Json, &seen, text, &target, FieldValidation::Ignore);
    let mut patched = patched.map_err(|error| Status::internal(&error.message))?.object;
    pipeline::complete(&row, target.schema, &mut patched);
    if patched == seen {
        return Ok(false);
    }
    restore(request, object, patched, invocation).await.map_err(|error| Status::internal(&error))?;
    Ok(true)
}

/// Lets the webhooks refuse the object, all at once.
pub(super) fn validate<'a>(
    request: &'a Request<'a>,
    object: Option<&'a Value>,
    effects: &'a mut Effects,
) -> Asking<'a> {
    let configured = request.call.shared.admission.configured(&request.call.shared.store);
    Box::pin(async move {
        let attributes = Attributes::new(request, object);
        if configured.validating.is_empty() || is_exempt(&attributes) {
            return Ok(());
        }
        let mut relevant = Vec::new();
        for hook in &configured.validating {
            relevant.extend(invocation(hook, &attributes).await?.map(|invocation| (hook, invocation)));
        }
        let asked = relevant.iter().map(|(hook, invocation)| ask(hook, &attributes, invocation, false));
        let answers = join_all(asked).await;
        let mut refusal = None;
        for (index, ((hook, _), answer)) in relevant.iter().zip(answers).enumerate() {
            match answer {
                Ok(answer) => note(hook, &answer, request, effects),
                Err(Failure::Call(error)) if hook.ignores_failures => {
                    tracing::warn!(webhook = hook.name, %error, "a webhook failed, and is left out as it is configured");
                    let key = format!("{FAILED_OPEN_VALIDATING}round_0_index_{index}");
                    effects.audit_annotations.push((key, hook.name.clone()));
                }
                Err(failure) => {
                    if let Failure::Refused(_, answer) = &failure {
                        note(hook, answer, request, effects);
                    }
                    refusal.get_or_insert_with(|| failure.into_status(hook));
                }
            }
        }
        refusal.map_or(Ok(()), Err)
    })
}

/// Passes on what a webhook says besides yes or no.
fn note(hook: &Hook, answer: &Answer, request: &Request<'_>, effects: &mut Effects) {
    request.call.warn(answer.warnings.iter().cloned());
    let annotations = answer.audit_annotations.iter();
    effects.audit_annotations.extend(annotations.map(|(key, value)| (format!("{}/{key}", hook.name), value.clone())));
}
