//! ValidatingAdmissionPolicy: rules that refuse, warn, or leave a note in the audit log.

use coracle_control_api::cel::{self, Budget, COST_MAX, MATCH_CONDITIONS_COST_MAX, Value as Cel, Variables};
use coracle_control_api::status::{Reason, Status, StatusCause};
use serde_json::{Value, json};

use super::scope::{PolicyScope, params_value};
use super::{Engagement, Policy, Validation, aside, engaged};
use crate::admission::attributes::Attributes;
use crate::admission::expressions::{all_hold, namespace_value, variables};
use crate::admission::matching::is_exempt;
use crate::admission::{Asking, Effects, Request};

/// Bytes of a message that an expression makes.
const MESSAGE_BYTES_MAX: usize = 5 * 1024;
/// Bytes of an audit annotation's value.
const ANNOTATION_BYTES_MAX: usize = 10 * 1024;
/// Failures of which the audit log is told.
const FAILURES_MAX: usize = 50;
const FAILURE_ANNOTATION: &str = "validation.policy.admission.k8s.io/validation_failure";

/// Lets the policies refuse the object.
pub(crate) fn validate<'a>(
    request: &'a Request<'a>,
    object: Option<&'a Value>,
    effects: &'a mut Effects,
) -> Asking<'a> {
    let configured = request.call.shared.admission.configured(&request.call.shared.store);
    Box::pin(async move {
        let attributes = Attributes::new(request, object);
        if configured.validating_policies.is_empty() || is_exempt(&attributes) {
            return Ok(());
        }
        let (engagements, misfits) = engaged(&configured.validating_policies, &attributes);
        let mut outcome = Outcome::default();
        for misfit in &misfits {
            let binding = misfit.binding.map(|binding| binding.name.as_str());
            outcome.deny(&misfit.policy.name, binding, &misfit.message, "");
        }
        for engagement in &engagements {
            let variables = match variables(&attributes, &engagement.invocation).await {
                Ok(variables) => variables,
                Err(error) => {
                    if !engagement.policy.ignores_failures {
                        let message = format!("failed to configure binding: failed to convert object version: {error}");
                        outcome.deny(&engagement.policy.name, Some(&engagement.binding.name), &message, "");
                    }
                    continue;
                }
            };
            let namespace = namespace_value(&attributes)?;
            for params in &engagement.params {
                let judged = aside(engagement.policy.may_be_slow(), || {
                    judge(engagement.policy, &variables, params.as_ref(), &namespace)
                });
                outcome.take(engagement, judged, request);
            }
        }
        outcome.finish(&attributes, effects)
    })
}

/// What a policy says of an object.
#[derive(Default)]
struct Judged {
    /// Position, message and reason of each rule that is broken or cannot be evaluated.
    denials: Vec<(usize, String, String)>,
    annotations: Vec<(String, String)>,
    /// Annotations that cannot be worked out, which refuse the object whatever the binding's actions are.
    annotation_errors: Vec<String>,
}

fn judge(policy: &Policy, base: &Variables, params: Option<&Value>, namespace: &Cel) -> Judged {
    let mut judged = Judged::default();
    let scope = PolicyScope::new(base, params_value(params), namespace.clone(), &policy.variables);
    let fails = |message: String| if policy.ignores_failures { Vec::new() } else { vec![(0, message, String::new())] };
    let mut budget = Budget::new(MATCH_CONDITIONS_COST_MAX);
    match all_hold(&policy.conditions, &scope, &mut budget) {
        Ok(true) => {}
        Ok(false) => return judged,
        Err(error) => {
            judged.denials = fails(error);
            return judged;
        }
    }
    let mut budget = Budget::new(COST_MAX);
    for (index, validation) in policy.validations.iter().enumerate() {
        match validation.expression.evaluate(&scope, &mut budget) {
            Ok(Ok(Cel::Bool(true))) => {}
            Ok(Ok(_)) => {
                let message = message(validation, &scope, &mut budget);
                judged.denials.push((index, message, validation.reason.clone()));
            }
            Ok(Err(error)) if !policy.ignores_failures => judged.denials.push((index, error, String::new())),
            Ok(Err(_)) => {}
            Err(error) => {
                judged.denials = fails(error.to_string());
                return judged;
            }
        }
    }
    annotate(policy, &scope, &mut judged);
    judged
}

/// What is said of a rule that is broken.
fn message(validation: &Validation, scope: &PolicyScope<'_>, budget: &mut Budget) -> String {
    let made = validation.message_expression.as_ref().and_then(|expression| expression.evaluate(scope, budget).ok());
    let made = match made {
        Some(Ok(Cel::String(text))) => text.trim().to_owned(),
        _ => String::new(),
    };
    if !made.is_empty() && made.len() <= MESSAGE_BYTES_MAX && !made.contains('\n') {
        made
    } else if !validation.message.is_empty() {
        validation.message.clone()
    } else {
        format!("failed expression: {}", validation.expression.source.trim())
    }
}

fn annotate(policy: &Policy, scope: &PolicyScope<'_>, judged: &mut Judged) {
    let mut budget = Budget::new(COST_MAX);
    for (key, expression) in &policy.audit_annotations {
        let error = match expression.evaluate(scope, &mut budget) {
            Ok(Ok(Cel::Null)) => continue,
            Ok(Ok(Cel::String(text))) => {
                let mut text = text.trim().to_owned();
                text.truncate(text.floor_char_boundary(ANNOTATION_BYTES_MAX));
                if !text.is_empty() {
                    judged.annotations.push((key.clone(), text));
                }
                continue;
            }
            Ok(Ok(other)) => format!(
                "valueExpression '{}' resulted in unsupported return type: {}. Return type must be either string or null.",
                expression.source,
                cel::type_name(&other)
            ),
            Ok(Err(error)) => error,
            Err(error) => error.to_string(),
        };
        if !policy.ignores_failures {
            judged.annotation_errors.push(error);
        }
    }
}

/// What all policies together come to.
#[derive(Default)]
struct Outcome {
    /// The first refusal: its message and its reason.
    denied: Option<(String, String)>,
    failures: Vec<Value>,
    /// By policy and key.
    annotations: Vec<(String, Vec<String>)>,
}

impl Outcome {
    fn deny(&mut self, policy: &str, binding: Option<&str>, message: &str, reason: &str) {
        let with = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
        let text = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {message}");
        self.denied.get_or_insert_with(|| (text, reason.to_owned()));
    }

    fn take(&mut self, engagement: &Engagement<'_>, judged: Judged, request: &Request<'_>) {
        let (policy, binding) = (&engagement.policy.name, &engagement.binding.name);
        for (index, message, reason) in judged.denials {
            for action in &engagement.binding.actions {
                match action.as_str() {
                    "Deny" => self.deny(policy, Some(binding), &message, &reason),
                    "Warn" => {
                        let text = format!(
                            "Validation failed for ValidatingAdmissionPolicy '{policy}' with binding '{binding}': {message}"
                        );
                        request.call.warn(std::iter::once(text));
                    }
                    "Audit" => self.failures.push(json!({
                        "message": message, "policy": policy, "binding": binding,
                        "expressionIndex": index, "validationActions": engagement.binding.actions,
                    })),
                    _ => {}
                }
            }
        }
        for error in judged.annotation_errors {
            self.deny(policy, Some(binding), &error, "");
        }
        for (key, value) in judged.annotations {
            let key = format!("{policy}/{key}");
            match self.annotations.iter_mut().find(|(known, _)| *known == key) {
                Some((_, values)) if values.contains(&value) => {}
                Some((_, values)) => values.push(value),
                None => self.annotations.push((key, vec![value])),
            }
        }
    }

    fn finish(mut self, attributes: &Attributes<'_>, effects: &mut Effects) -> Result<(), Status> {
        let annotations = self.annotations.into_iter().map(|(key, values)| (key, values.join(", ")));
        effects.audit_annotations.extend(annotations);
        if !self.failures.is_empty() {
            self.failures.truncate(FAILURES_MAX);
            effects.audit_annotations.push((FAILURE_ANNOTATION.to_owned(), Value::from(self.failures).to_string()));
        }
        let Some((message, reason)) = self.denied else { return Ok(()) };
        let kind = &attributes.request.call.kind;
        let mut status = Status::forbidden(&kind.group, &kind.plural, attributes.name(), &message);
        (status.reason, status.code) = match reason.as_str() {
            "Unauthorized" => (Reason::Unauthorized, 401),
            "Forbidden" => (Reason::Forbidden, 403),
            "RequestEntityTooLarge" => (Reason::RequestEntityTooLarge, 413),
            _ => (Reason::Invalid, 422),
        };
        status.details.get_or_insert_default().causes.push(StatusCause { message, ..StatusCause::default() });
        Err(status)
    }
}
