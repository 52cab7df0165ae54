//! The variables of a policy's expressions.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use coracle_control_api::cel::{self, Budget, EvaluateError, Scope, Value as Cel, Variables};

use crate::admission::expressions::Expression;

/// What every expression has, the parameters, and the policy's own variables, each worked out when it is first asked for.
pub(super) struct PolicyScope<'a> {
    pub(super) base: &'a Variables,
    pub(super) params: Cel,
    pub(super) namespace: Cel,
    own: &'a [(String, Expression)],
    /// How many of the own variables can be seen: those before the one that is being worked out.
    seen: Cell<usize>,
    known: RefCell<HashMap<String, Result<Cel, EvaluateError>>>,
}

impl<'a> PolicyScope<'a> {
    pub(super) fn new(base: &'a Variables, params: Cel, namespace: Cel, own: &'a [(String, Expression)]) -> Self {
        Self { base, params, namespace, own, seen: Cell::new(own.len()), known: RefCell::default() }
    }
}

impl Scope for PolicyScope<'_> {
    fn variable(&self, name: &str) -> Option<Cel> {
        match name {
            "params" => Some(self.params.clone()),
            "namespaceObject" => Some(self.namespace.clone()),
            other => self.base.variable(other),
        }
    }

    fn composited(&self, name: &str, budget: &mut Budget) -> Option<Result<Cel, EvaluateError>> {
        if let Some(known) = self.known.borrow().get(name) {
            return Some(known.clone());
        }
        let seen = self.seen.get();
        let at = self.own.iter().take(seen).position(|(own, _)| own == name)?;
        self.seen.set(at);
        let result = match self.own[at].1.run(self, budget) {
            Err(EvaluateError::Failed(error)) => Err(EvaluateError::Failed(format!(
                "composited variable {} fails to evaluate: {error}",
                coracle_control_api::go_text::quote(name)
            ))),
            other => other,
        };
        self.seen.set(seen);
        self.known.borrow_mut().insert(name.to_owned(), result.clone());
        Some(result)
    }
}

/// The value of `params`.
pub(super) fn params_value(params: Option<&serde_json::Value>) -> Cel {
    params.map_or_else(cel::null, cel::from_json)
}
