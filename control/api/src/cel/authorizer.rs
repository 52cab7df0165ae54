//! The variable `authorizer`: asking what somebody may do, from within an expression.

use std::fmt;
use std::sync::Arc;

use kube_cel::cel::Value;
use kube_cel::cel::objects::Opaque;

use super::EvaluateError;
use super::value::text;

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Check {
    /// Of a path that is no resource; then the other fields are empty.
    pub path: Option<String>,
    /// API group.
    pub group: String,
    /// Plural.
    pub resource: String,
    /// As in `status`.
    pub subresource: String,
    /// Empty for every namespace, and for what has none.
    pub namespace: String,
    /// Empty for all.
    pub name: String,
    /// Namespace and name of the service account that is meant instead of the author of the request.
    pub service_account: Option<(String, String)>,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may be done.
    pub allowed: bool,
    /// Why, or why not.
    pub reason: String,
}

/// Who knows what may be done.
pub trait Authorizer: Send + Sync + fmt::Debug {
    /// Whether the author of the request, or the service account of the check, may do this.
    fn decide(&self, verb: &str, check: &Check) -> Decision;
}

/// How far a question has been put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Authorizer,
    Group,
    Resource,
    Path,
}

#[derive(Clone)]
struct Question {
    host: Arc<dyn Authorizer>,
    stage: Stage,
    check: Check,
}

impl fmt::Debug for Question {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Question")
            .field("stage", &self.stage)
            .field("check", &self.check)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.stage == other.stage && self.check == other.check
    }
}

impl Eq for Question {}

impl Opaque for Question {
    fn runtime_type_name(&self) -> &str {
        match self.stage {
            Stage::Authorizer => "kubernetes.authorization.Authorizer",
            Stage::Group => "kubernetes.authorization.GroupCheck",
            Stage::Resource => "kubernetes.authorization.ResourceCheck",
            Stage::Path => "kubernetes.authorization.PathCheck",
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer(Decision);

impl Opaque for Answer {
    fn runtime_type_name(&self) -> &str {
        "kubernetes.authorization.Decision"
    }
}

/// The value of `authorizer`.
#[must_use]
pub fn authorizer_value(host: Arc<dyn Authorizer>) -> Value {
    question(Question { host, stage: Stage::Authorizer, check: Check::default() })
}

/// The value of `authorizer.requestResource`.
#[must_use]
pub fn request_resource_value(host: Arc<dyn Authorizer>, check: Check) -> Value {
    question(Question { host, stage: Stage::Resource, check })
}

fn question(question: Question) -> Value {
    Value::Opaque(Arc::new(question))
}

/// What asking costs, in units of the budget.
const CHECK_COST: u64 = 350_000;

/// What a call on a question or an answer costs; `None` when the target is neither.
pub(super) fn cost(name: &str, target: &Value) -> Option<u64> {
    let Value::Opaque(opaque) = target else { return None };
    if opaque.downcast_ref::<Question>().is_some() {
        return Some(if name == "check" { CHECK_COST } else { 1 });
    }
    opaque.downcast_ref::<Answer>().map(|_| 1)
}

/// The value of a method of a question or an answer; `None` when the target is neither.
pub(super) fn call(name: &str, target: &Value, arguments: &[Value]) -> Option<Result<Value, EvaluateError>> {
    let Value::Opaque(opaque) = target else { return None };
    if let Some(known) = opaque.downcast_ref::<Question>() {
        let texts: Option<Vec<&str>> = arguments
            .iter()
            .map(|argument| match argument {
                Value::String(text) => Some(text.as_str()),
                _ => None,
            })
            .collect();
        let asked = texts.and_then(|texts| ask(known.clone(), name, &texts));
        return Some(asked.ok_or_else(|| EvaluateError::failed("no such overload")));
    }
    let Answer(decision) = opaque.downcast_ref::<Answer>()?;
    Some(match (name, arguments) {
        ("allowed", []) => Ok(Value::Bool(decision.allowed)),
        ("reason", []) => Ok(text(&decision.reason)),
        ("errored", []) => Ok(Value::Bool(false)),
        ("error", []) => Ok(text("")),
        _ => Err(EvaluateError::failed("no such overload")),
    })
}

fn ask(mut known: Question, name: &str, texts: &[&str]) -> Option<Value> {
    let check = &mut known.check;
    match (known.stage, name, texts) {
        (Stage::Authorizer, "path", [path]) => {
            check.path = Some((*path).to_owned());
            known.stage = Stage::Path;
        }
        (Stage::Authorizer, "group", [group]) => {
            check.group = (*group).to_owned();
            known.stage = Stage::Group;
        }
        (Stage::Authorizer, "serviceAccount", [namespace, name]) => {
            check.service_account = Some(((*namespace).to_owned(), (*name).to_owned()));
        }
        (Stage::Group, "resource", [resource]) => {
            check.resource = (*resource).to_owned();
            known.stage = Stage::Resource;
        }
        (Stage::Resource, "subresource", [value]) => check.subresource = (*value).to_owned(),
        (Stage::Resource, "namespace", [value]) => check.namespace = (*value).to_owned(),
        (Stage::Resource, "name", [value]) => check.name = (*value).to_owned(),
        // Nobody's rights depend on selectors here; without them the question is the stricter one.
        (Stage::Resource, "fieldSelector" | "labelSelector", [_]) => {}
        (Stage::Resource | Stage::Path, "check", [verb]) => {
            let decision = known.host.decide(verb, &known.check);
            return Some(Value::Opaque(Arc::new(Answer(decision))));
        }
        _ => return None,
    }
    Some(question(known))
}
