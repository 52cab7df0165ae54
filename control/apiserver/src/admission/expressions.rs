//! The variables of expressions about a write, and match conditions.

use std::sync::Arc;

use coracle_control_api::cel::{
    self, Authorizer, Budget, Check, CompileError, Decision, EvaluateError, Program, Value as Cel, Variables,
};
use serde_json::Value;

use super::attributes::{Attributes, Invocation};
use super::matching::namespace_object;
use crate::authorization::{Attributes as Asked, Roles, decide};
use crate::user::UserInfo;

/// An expression that was compiled when it was configured; one that cannot be is an error each time it is asked.
#[derive(Debug)]
pub(crate) struct Expression {
    pub(crate) source: String,
    program: Result<Program, CompileError>,
}

impl Expression {
    pub(crate) fn new(source: &str) -> Self {
        Self { source: source.to_owned(), program: Program::compile(source) }
    }

    /// The value, or why there is none.
    pub(crate) fn run(&self, scope: &dyn cel::Scope, budget: &mut Budget) -> Result<Cel, EvaluateError> {
        match &self.program {
            Ok(program) => program.evaluate(scope, budget),
            Err(error) => Err(EvaluateError::Failed(format!("compilation failed: {error}"))),
        }
    }

    /// The value; the inner error is about this expression alone, the outer one ends all evaluation.
    pub(crate) fn evaluate(
        &self,
        scope: &dyn cel::Scope,
        budget: &mut Budget,
    ) -> Result<Result<Cel, String>, EvaluateError> {
        let program = match &self.program {
            Ok(program) => program,
            Err(error) => return Ok(Err(format!("compilation error: compilation failed: {error}"))),
        };
        match program.evaluate(scope, budget) {
            Ok(value) => Ok(Ok(value)),
            Err(EvaluateError::Budget) => Err(EvaluateError::Budget),
            Err(error) => Ok(Err(format!("expression '{}' resulted in error: {error}", self.source))),
        }
    }
}

/// A named condition.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) expression: Expression,
}

/// The conditions under `matchConditions`.
pub(crate) fn conditions(value: &Value) -> Vec<Condition> {
    let list = value.get("matchConditions").and_then(Value::as_array).into_iter().flatten();
    let text = |condition: &Value| condition.get("expression").and_then(Value::as_str).unwrap_or_default().to_owned();
    list.map(|condition| Condition { expression: Expression::new(&text(condition)) }).collect()
}

/// Whether all conditions hold. One that does not decides, whatever is wrong with the others.
///
/// # Errors
/// What is wrong with them, when none says no.
pub(crate) fn all_hold(conditions: &[Condition], scope: &dyn cel::Scope, budget: &mut Budget) -> Result<bool, String> {
    let mut errors = Vec::new();
    for condition in conditions {
        match condition.expression.evaluate(scope, budget).map_err(|error| error.to_string())? {
            Ok(Cel::Bool(true)) => {}
            Ok(Cel::Bool(false)) => return Ok(false),
            Ok(_) => errors
                .push(format!("expression '{}' resulted in error: must evaluate to bool", condition.expression.source)),
            Err(error) => errors.push(error),
        }
    }
    match errors.as_slice() {
        [] => Ok(true),
        [one] => Err(one.clone()),
        many => Err(format!("[{}]", many.join(", "))),
    }
}

/// The variables that every expression about a write has.
///
/// # Errors
/// When an object cannot be shown in the kind that was asked for.
pub(crate) async fn variables(attributes: &Attributes<'_>, invocation: &Invocation) -> Result<Variables, String> {
    let object = attributes.object_as(invocation).await?;
    let old = attributes.old_as(invocation).await?;
    Ok(variables_of(attributes, invocation, object.as_ref(), old.as_ref()))
}

/// The same for objects at hand.
pub(crate) fn variables_of(
    attributes: &Attributes<'_>,
    invocation: &Invocation,
    object: Option<&Value>,
    old: Option<&Value>,
) -> Variables {
    let shown = |object: Option<&Value>| object.map_or_else(cel::null, cel::from_json);
    let call = attributes.request.call;
    let host: Arc<dyn Authorizer> = Arc::new(Permissions { user: Arc::clone(&call.user), roles: call.shared.roles() });
    let own = attributes.as_requested();
    let check = Check {
        group: own.resource.group,
        resource: own.resource.name,
        subresource: attributes.subresource().to_owned(),
        namespace: call.namespace().to_owned(),
        name: attributes.name().to_owned(),
        ..Check::default()
    };
    Variables::default()
        .with("object", shown(object))
        .with("oldObject", shown(old))
        .with("request", cel::from_json(&attributes.request_value(invocation)))
        .with("authorizer", cel::authorizer_value(Arc::clone(&host)))
        .with("authorizer.requestResource", cel::request_resource_value(host, check))
}

/// The value of `namespaceObject`: the namespace without what is nobody's business; null for what has none.
///
/// # Errors
/// 404 when the namespace is not there.
pub(crate) fn namespace_value(attributes: &Attributes<'_>) -> Result<Cel, coracle_control_api::status::Status> {
    let name = attributes.namespace();
    if name.is_empty() || attributes.is_namespace() {
        return Ok(cel::null());
    }
    let mut object = namespace_object(attributes, name)?;
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        metadata.remove("ownerReferences");
    }
    Ok(cel::from_json(&object))
}

/// What the author of the request may do.
#[derive(Debug)]
struct Permissions {
    user: Arc<UserInfo>,
    roles: Arc<Roles>,
}

impl Authorizer for Permissions {
    fn decide(&self, verb: &str, check: &Check) -> Decision {
        let account = check.service_account.as_ref().map(|(namespace, name)| {
            let group = format!("system:serviceaccounts:{namespace}");
            UserInfo::new(format!("system:serviceaccount:{namespace}:{name}"), &["system:serviceaccounts", &group])
        });
        let asked = Asked {
            verb,
            group: &check.group,
            resource: &check.resource,
            subresource: &check.subresource,
            namespace: &check.namespace,
            name: &check.name,
            path: check.path.as_deref(),
        };
        match decide(&self.roles, account.as_ref().unwrap_or(&self.user), &asked) {
            Ok(reason) => Decision { allowed: true, reason },
            Err(reason) => Decision { allowed: false, reason },
        }
    }
}
