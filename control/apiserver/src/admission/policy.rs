//! Admission policies: rules in the store by which writes are changed and refused, with their bindings and parameters.

pub(super) mod mutating;
mod params;
mod scope;
pub(super) mod validating;

use coracle_control_api::meta;
use coracle_control_api::status::Status;
use serde_json::Value;

use super::attributes::{Attributes, Invocation};
use super::expressions::{Condition, Expression, conditions};
use super::matching::Constraints;

/// A policy with the bindings that put it to work.
#[derive(Debug)]
pub(crate) struct Policy {
    name: String,
    constraints: Constraints,
    conditions: Vec<Condition>,
    /// In their order; each may speak of those before it.
    variables: Vec<(String, Expression)>,
    /// API version and kind.
    param_kind: Option<(String, String)>,
    ignores_failures: bool,
    bindings: Vec<Binding>,
    validations: Vec<Validation>,
    audit_annotations: Vec<(String, Expression)>,
    mutations: Vec<Mutation>,
    reinvoked_if_needed: bool,
}

/// One change of a policy.
#[derive(Debug)]
enum Mutation {
    /// A configuration that is merged in.
    Apply(Expression),
    /// A JSON patch.
    Patch(Expression),
}

/// What puts a policy to work.
#[derive(Debug)]
struct Binding {
    name: String,
    /// A binding without any is about everything that its policy is about.
    constraints: Option<Constraints>,
    param_ref: Option<Value>,
    /// Deny, Warn, Audit.
    actions: Vec<String>,
}

/// One rule of a policy.
#[derive(Debug)]
struct Validation {
    expression: Expression,
    message: String,
    message_expression: Option<Expression>,
    reason: String,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

impl Policy {
    /// The policies that are bound, in the order of their names.
    pub(crate) fn all(policies: &[Value], bindings: &[Value]) -> Vec<Self> {
        let bound = |policy: &Value| -> Vec<Binding> {
            let own = |binding: &&Value| {
                binding.pointer("/spec/policyName").and_then(Value::as_str) == Some(meta::name(policy))
            };
            bindings.iter().filter(own).map(Binding::new).collect()
        };
        let all = policies.iter().map(|policy| Self::new(policy, bound(policy)));
        all.filter(|policy| !policy.bindings.is_empty()).collect()
    }

    fn new(policy: &Value, bindings: Vec<Binding>) -> Self {
        let null = Value::Null;
        let spec = policy.get("spec").unwrap_or(&null);
        let named = |value: &Value, name: &str, expression: &str| {
            (text(value, name).to_owned(), Expression::new(text(value, expression)))
        };
        let param_kind = spec.get("paramKind").filter(|kind| kind.is_object());
        Self {
            name: meta::name(policy).to_owned(),
            constraints: Constraints::new(spec.get("matchConstraints").unwrap_or(&null), "resourceRules"),
            conditions: conditions(spec),
            variables: list(spec, "variables").map(|variable| named(variable, "name", "expression")).collect(),
            param_kind: param_kind.map(|kind| (text(kind, "apiVersion").to_owned(), text(kind, "kind").to_owned())),
            ignores_failures: text(spec, "failurePolicy") == "Ignore",
            bindings,
            validations: list(spec, "validations").map(Validation::new).collect(),
            audit_annotations: list(spec, "auditAnnotations")
                .map(|annotation| named(annotation, "key", "valueExpression"))
                .collect(),
            mutations: list(spec, "mutations").map(Mutation::new).collect(),
            reinvoked_if_needed: text(spec, "reinvocationPolicy") == "IfNeeded",
        }
    }

    /// Whether evaluating it may take long enough to be in the way of others.
    fn may_be_slow(&self) -> bool {
        let expressions = self.validations.iter().map(|validation| &validation.expression);
        let variables = self.variables.iter().map(|(_, expression)| expression);
        let conditions = self.conditions.iter().map(|condition| &condition.expression);
        expressions.chain(variables).chain(conditions).any(|expression| may_loop(&expression.source))
    }
}

/// Whether an expression has a loop in it, or something else that takes long with large values.
pub(crate) fn may_loop(source: &str) -> bool {
    [".all(", ".exists", ".map(", ".filter(", ".transform", "matches(", ".find", "sets."]
        .iter()
        .any(|word| source.contains(word))
}

/// Runs what may take long without being in the way of other tasks of the thread.
pub(crate) fn aside<T>(is_slow: bool, act: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let several = Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    if is_slow && several { tokio::task::block_in_place(act) } else { act() }
}

impl Binding {
    fn new(binding: &Value) -> Self {
        let null = Value::Null;
        let spec = binding.get("spec").unwrap_or(&null);
        let actions = list(spec, "validationActions").filter_map(Value::as_str);
        Self {
            name: meta::name(binding).to_owned(),
            constraints: spec
                .get("matchResources")
                .filter(|resources| resources.is_object())
                .map(|resources| Constraints::new(resources, "resourceRules")),
            param_ref: spec.get("paramRef").filter(|reference| reference.is_object()).cloned(),
            actions: actions.map(str::to_owned).collect(),
        }
    }

    fn matches(&self, attributes: &Attributes<'_>) -> Result<bool, Status> {
        self.constraints.as_ref().map_or(Ok(true), |constraints| constraints.narrows_to(attributes))
    }
}

impl Mutation {
    fn new(mutation: &Value) -> Self {
        let null = Value::Null;
        let source = |name: &str| Expression::new(text(mutation.get(name).unwrap_or(&null), "expression"));
        if text(mutation, "patchType") == "JSONPatch" {
            Self::Patch(source("jsonPatch"))
        } else {
            Self::Apply(source("applyConfiguration"))
        }
    }
}

impl Validation {
    fn new(validation: &Value) -> Self {
        let message_expression = text(validation, "messageExpression");
        Self {
            expression: Expression::new(text(validation, "expression")),
            message: text(validation, "message").trim().to_owned(),
            message_expression: (!message_expression.trim().is_empty()).then(|| Expression::new(message_expression)),
            reason: text(validation, "reason").to_owned(),
        }
    }
}

/// A policy that is about a request: through which binding, and with which parameters.
struct Engagement<'p> {
    policy: &'p Policy,
    binding: &'p Binding,
    invocation: Invocation,
    params: Vec<Option<Value>>,
}

/// What is wrong with a policy or a binding, so that it cannot be said whether it allows a request.
struct Misfit<'p> {
    policy: &'p Policy,
    binding: Option<&'p Binding>,
    message: String,
}

/// The policies that are about a request, and those of which that cannot be said.
fn engaged<'p>(policies: &'p [Policy], attributes: &Attributes<'_>) -> (Vec<Engagement<'p>>, Vec<Misfit<'p>>) {
    let (mut engagements, mut misfits) = (Vec::new(), Vec::new());
    for policy in policies {
        let invocation = match policy.constraints.matches(attributes) {
            Ok(Some(invocation)) => invocation,
            Ok(None) => continue,
            Err(error) => {
                let message = format!("failed to configure policy: {error}");
                misfits.push(Misfit { policy, binding: None, message });
                continue;
            }
        };
        for binding in &policy.bindings {
            let found = match binding.matches(attributes) {
                Ok(false) => continue,
                Ok(true) => params::collect(policy, binding, attributes),
                Err(error) => Err(error.to_string()),
            };
            match found {
                Ok(params) => {
                    engagements.push(Engagement { policy, binding, invocation: invocation.clone(), params });
                }
                Err(error) => {
                    let message = format!("failed to configure binding: {error}");
                    misfits.push(Misfit { policy, binding: Some(binding), message });
                }
            }
        }
    }
    misfits.retain(|misfit| !misfit.policy.ignores_failures);
    (engagements, misfits)
}
