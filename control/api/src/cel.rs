//! The Common Expression Language: the rules of custom resources, admission policies and match conditions.
//!
//! The grammar and Kubernetes' function libraries come from the kube-cel crate. The evaluator is here, since it needs what
//! that crate's has not: a budget that ends an expression which works too long, variables that are worked out only when
//! they are asked for, a host to ask for permissions, struct literals, and Go's words for what goes wrong. An expression
//! never panics and never runs longer than its budget: what it costs is counted as upstream counts it, in units of which
//! one is about a field that is looked up.
//!
//! **Invariants**
//! - [`Program::evaluate`] is a function of its arguments. Time stands still and nothing is random.
//! - Recursion is bounded by the parser ([`DEPTH_MAX`]), loops and data by the [`Budget`].

mod accumulate;
mod authorizer;
mod calls;
mod evaluate;
mod operators;
mod value;

use kube_cel::cel::parser::{Expression, Parser};

pub use authorizer::{Authorizer, Check, Decision, authorizer_value, request_resource_value};
pub use kube_cel::cel::Value;
pub(crate) use value::{escape, map_of};
pub use value::{from_json, null, optional_of_none, optional_of_some, text, to_json, type_name};

/// Levels of nesting in an expression.
pub const DEPTH_MAX: u16 = 96;
/// Bytes of an expression.
pub const SOURCE_BYTES_MAX: usize = 64 * 1024;
/// What one expression may cost.
pub const COST_PER_CALL_MAX: u64 = 1_000_000;
/// What all expressions of a policy, or of a custom resource's schema, may cost together for one object.
pub const COST_MAX: u64 = 10_000_000;
/// What all match conditions of a webhook may cost together.
pub const MATCH_CONDITIONS_COST_MAX: u64 = COST_MAX / 4;
/// Said when the costs of all expressions together are too high.
pub const OUT_OF_BUDGET: &str =
    "validation failed due to running out of cost budget, no further validation rules will be run";

/// An expression that can be evaluated.
#[derive(Debug)]
pub struct Program {
    source: String,
    expression: Expression,
}

/// Why an expression cannot be used, with the place, as upstream shows it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CompileError(pub String);

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    /// What the expression asks for cannot be done with these values.
    #[error("{0}")]
    Failed(String),
    /// The expression alone is too expensive.
    #[error("operation cancelled: actual cost limit exceeded")]
    CallLimit,
    /// All expressions together are too expensive.
    #[error("{OUT_OF_BUDGET}")]
    Budget,
}

impl EvaluateError {
    pub(crate) fn failed(text: impl Into<String>) -> Self {
        Self::Failed(text.into())
    }

    /// Whether another operand can make up for it: in `false && x` the value of `x` does not matter.
    fn can_be_absorbed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// What is left to be spent, in units of which one is about a field that is looked up.
#[derive(Debug, Clone)]
pub struct Budget {
    total: u64,
    call: u64,
}

impl Budget {
    /// So much for all expressions together.
    #[must_use]
    pub fn new(total: u64) -> Self {
        Self { total, call: COST_PER_CALL_MAX }
    }

    /// What is left for all further expressions.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.total
    }

    fn begin_call(&mut self) {
        self.call = COST_PER_CALL_MAX;
    }

    fn spend(&mut self, cost: u64) -> Result<(), EvaluateError> {
        self.total = self.total.checked_sub(cost).ok_or(EvaluateError::Budget)?;
        self.call = self.call.checked_sub(cost).ok_or(EvaluateError::CallLimit)?;
        Ok(())
    }
}

/// The variables of an expression.
pub trait Scope {
    /// The value of a variable; `None` when there is no such variable.
    fn variable(&self, name: &str) -> Option<Value>;

    /// The value of `variables.NAME`, which is an expression of its own; `None` when there is no such one.
    fn composited(&self, _name: &str, _budget: &mut Budget) -> Option<Result<Value, EvaluateError>> {
        None
    }
}

/// Variables by name.
#[derive(Debug, Default, Clone)]
pub struct Variables(Vec<(&'static str, Value)>);

impl Variables {
    /// Adds a variable.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Value) -> Self {
        self.0.push((name, value));
        self
    }
}

impl Scope for Variables {
    fn variable(&self, name: &str) -> Option<Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
    }
}

impl Program {
    /// Reads an expression.
    ///
    /// # Errors
    /// What is wrong with the text, and where.
    pub fn compile(source: &str) -> Result<Self, CompileError> {
        if source.len() > SOURCE_BYTES_MAX {
            return Err(CompileError(format!("the expression is longer than {SOURCE_BYTES_MAX} bytes")));
        }
        // The grammar's runtime is somebody else's code: what it cannot cope with is an error like any other.
        let parsed = std::panic::catch_unwind(|| {
            Parser::new().max_recursion_depth(DEPTH_MAX).enable_optional_syntax(true).parse(source)
        });
        match parsed {
            Ok(Ok(expression)) => Ok(Self { source: source.to_owned(), expression }),
            Ok(Err(errors)) => Err(CompileError(syntax_errors(source, &errors))),
            Err(_) => Err(CompileError("ERROR: <input>:1:1: Syntax error: the expression cannot be read".to_owned())),
        }
    }

    /// The text that the program was made of.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    pub(crate) fn expression(&self) -> &Expression {
        &self.expression
    }

    /// Whether the expression speaks of a variable of this name.
    #[must_use]
    pub fn mentions(&self, variable: &str) -> bool {
        self.expression.references().has_variable(variable)
    }

    /// The value of the expression.
    ///
    /// # Errors
    /// What cannot be done, or that it costs too much.
    pub fn evaluate(&self, scope: &dyn Scope, budget: &mut Budget) -> Result<Value, EvaluateError> {
        let rest = budget.call;
        budget.begin_call();
        let result = evaluate::evaluate(&self.expression, scope, budget);
        budget.call = rest;
        result
    }
}

/// The complaints of the parser, with the line and a mark under the place.
fn syntax_errors(source: &str, errors: &kube_cel::cel::ParseErrors) -> String {
    let lines: Vec<&str> = source.lines().collect();
    let one = |error: &kube_cel::cel::ParseError| {
        let (line, column) = error.pos;
        let message = complaint(source, &lines, line, column, &format!("Syntax error: {}", error.msg));
        if error.msg.starts_with("Syntax") { message.replacen("Syntax error: ", "", 1) } else { message }
    };
    errors.errors.iter().map(one).collect::<Vec<_>>().join("\n")
}

/// `ERROR: <input>:1:5: TEXT` with the line and a mark under the place. Lines count from 1, columns from 1.
pub(crate) fn complaint(_source: &str, lines: &[&str], line: isize, column: isize, text: &str) -> String {
    let mut out = format!("ERROR: <input>:{line}:{column}: {text}");
    let shown = usize::try_from(line - 1).ok().and_then(|line| lines.get(line));
    if let Some(shown) = shown {
        let dots = ".".repeat(usize::try_from(column - 1).unwrap_or(0));
        out.push_str(&format!("\n | {shown}\n | {dots}^"));
    }
    out
}

/// The value of a function of the libraries with one text.
pub(crate) fn call_function(name: &str, argument: &str) -> Result<Value, EvaluateError> {
    calls::library(name, None, &[text(argument)])
}

#[cfg(test)]
mod tests;
