//! MutatingAdmissionPolicy: rules that change what is written, by a configuration that is applied or by a JSON patch.

use coracle_control_api::apply::merge_configuration;
use coracle_control_api::cel::{Budget, COST_MAX, MATCH_CONDITIONS_COST_MAX, Value as Cel, to_json};
use coracle_control_api::decode::FieldValidation;
use coracle_control_api::patch::{PatchKind, patch};
use coracle_control_api::status::{Reason, Status, StatusCause};
use serde_json::Value;

use super::scope::{PolicyScope, params_value};
use super::{Engagement, Mutation, aside, engaged};
use crate::admission::attributes::{Attributes, restore, row_of};
use crate::admission::expressions::{all_hold, namespace_value, variables_of};
use crate::admission::matching::is_exempt;
use crate::admission::{Asking, Effects, Request};
use crate::pipeline;

/// Lets the policies change the object.
pub(crate) fn mutate<'a>(request: &'a Request<'a>, object: &'a mut Value, effects: &'a mut Effects) -> Asking<'a> {
    let configured = request.call.shared.admission.configured(&request.call.shared.store);
    Box::pin(async move {
        if configured.mutating_policies.is_empty() || is_exempt(&Attributes::new(request, None)) {
            return Ok(());
        }
        let state = &mut effects.reinvocation;
        state.policies.begin(state.is_second, object);
        let first = object.clone();
        let (engagements, misfits) = engaged(&configured.mutating_policies, &Attributes::new(request, Some(&first)));
        let mut errors: Vec<String> = misfits
            .iter()
            .map(|misfit| {
                told(&misfit.policy.name, misfit.binding.map(|binding| binding.name.as_str()), &misfit.message)
            })
            .collect();
        for engagement in &engagements {
            for (index, params) in engagement.params.iter().enumerate() {
                let identity = format!("{}/{}/{index}", engagement.policy.name, engagement.binding.name);
                if state.is_second && !state.policies.must_repeat(&identity) {
                    continue;
                }
                let before = object.clone();
                let result = change(engagement, params.as_ref(), request, object).await;
                if let Err(error) = result
                    && !engagement.policy.ignores_failures
                {
                    errors.push(told(&engagement.policy.name, Some(&engagement.binding.name), &error));
                }
                if *object != before {
                    state.policies.changed();
                    state.needed = true;
                }
                if engagement.policy.reinvoked_if_needed {
                    state.policies.invoked(&identity);
                }
            }
        }
        state.policies.end(object);
        if errors.is_empty() { Ok(()) } else { Err(refusal(request, object, &errors)) }
    })
}

fn told(policy: &str, binding: Option<&str>, message: &str) -> String {
    let with = binding.map(|binding| format!(" with binding '{binding}'")).unwrap_or_default();
    format!("policy '{policy}'{with} denied request: {message}")
}

fn refusal(request: &Request<'_>, object: &Value, errors: &[String]) -> Status {
    let kind = &request.call.kind;
    let name = Attributes::new(request, Some(object)).name();
    let mut status = Status::forbidden(&kind.group, &kind.plural, name, "");
    status.message = errors.first().cloned().unwrap_or_default();
    status.reason = Reason::Invalid;
    let causes = errors.iter().map(|message| StatusCause { message: message.clone(), ..StatusCause::default() });
    status.details.get_or_insert_default().causes.extend(causes);
    status
}

/// Makes all changes of one policy with one parameter.
async fn change(
    engagement: &Engagement<'_>,
    params: Option<&Value>,
    request: &Request<'_>,
    object: &mut Value,
) -> Result<(), String> {
    let (policy, invocation) = (engagement.policy, &engagement.invocation);
    let row = row_of(request, invocation).ok_or_else(|| "the kind of the policy's rule is not served".to_owned())?;
    let old = Attributes::new(request, None).old_as(invocation).await?;
    let namespace = namespace_value(&Attributes::new(request, Some(object))).map_err(|status| status.message)?;
    let mut seen = Attributes::new(request, Some(object)).object_as(invocation).await?.unwrap_or_default();
    let mut applies = false;
    for mutation in &policy.mutations {
        let base = variables_of(&Attributes::new(request, Some(object)), invocation, Some(&seen), old.as_ref());
        let scope = PolicyScope::new(&base, params_value(params), namespace.clone(), &policy.variables);
        let result = aside(policy.may_be_slow(), || {
            if !applies && !all_hold(&policy.conditions, &scope, &mut Budget::new(MATCH_CONDITIONS_COST_MAX))? {
                return Ok(None);
            }
            let (Mutation::Apply(expression) | Mutation::Patch(expression)) = mutation;
            let value = expression.evaluate(&scope, &mut Budget::new(COST_MAX)).map_err(|error| error.to_string())?;
            value.map(Some)
        });
        let Some(value) = result? else { return Ok(()) };
        applies = true;
        seen = match mutation {
            Mutation::Apply(_) => applied(&row, &seen, &value)?,
            Mutation::Patch(_) => patched(&row, &seen, &value)?,
        };
    }
    restore(request, object, seen, invocation).await
}

fn applied(row: &coracle_control_api::kind::Kind, seen: &Value, value: &Cel) -> Result<Value, String> {
    let configuration = to_json(value)?;
    if !configuration.is_object() {
        return Err("must evaluate to Object".to_owned());
    }
    let target = pipeline::target(row).map_err(|status| status.message)?;
    let mut merged = merge_configuration(target.schema, seen, &configuration)
        .map_err(|error| format!("error applying patch: {error}"))?;
    pipeline::complete(row, target.schema, &mut merged);
    Ok(merged)
}

fn patched(row: &coracle_control_api::kind::Kind, seen: &Value, value: &Cel) -> Result<Value, String> {
    let operations = to_json(value)?;
    if !operations.is_array() {
        return Err("type mismatch: JSONPatchType.expression should evaluate to array".to_owned());
    }
    let target = pipeline::target(row).map_err(|status| status.message)?;
    let text = operations.to_string();
    match patch(PatchKind::Json, seen, text.as_bytes(), &target, FieldValidation::Strict) {
        Ok(decoded) => {
            let mut object = decoded.object;
            pipeline::complete(row, target.schema, &mut object);
            Ok(object)
        }
        // A test that fails means that there is nothing to do.
        Err(_) if has_tests(&operations) => Ok(seen.clone()),
        Err(status) => Err(format!("JSON Patch: {}", status.message)),
    }
}

fn has_tests(operations: &Value) -> bool {
    operations.as_array().is_some_and(|operations| {
        operations.iter().any(|operation| operation.get("op").and_then(Value::as_str) == Some("test"))
    })
}
