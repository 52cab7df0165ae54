//! Functions: a few of our own, the rest from the libraries of the kube-cel crate.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use kube_cel::cel::Value;
use kube_cel::cel::common::ast::{CallExpr, Expr};
use kube_cel::cel::objects::Opaque;
use kube_cel::cel::parser::Expression;
use regex::RegexBuilder;

use super::evaluate::Evaluator;
use super::value::{as_key, as_optional, equal, functions, map_of, size, type_name};
use super::{EvaluateError, optional_of_none, optional_of_some};

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

type Result<T = Value, E = EvaluateError> = std::result::Result<T, E>;

/// Names that stand before a function and are no variables.
pub(super) fn is_namespace(name: &str) -> bool {
    matches!(
        name,
        "base64" | "format" | "ip" | "cidr" | "jsonpatch" | "lists" | "math" | "optional" | "sets" | "strings"
    )
}

/// The value of a function. `target` is what a method is called on.
pub(super) fn call(evaluator: &mut Evaluator<'_>, name: &str, target: Option<Value>, arguments: &[Value]) -> Result {
    evaluator.spend(cost(name, target.as_ref(), arguments))?;
    let all: Vec<&Value> = target.iter().chain(arguments).collect();
    if let Some(result) = own(evaluator, name, &all) {
        return result;
    }
    library(name, target, arguments)
}

/// What a call costs, by the size of what it works on.
fn cost(name: &str, target: Option<&Value>, arguments: &[Value]) -> u64 {
    let sizes = || target.into_iter().chain(arguments).map(|value| size(value).unwrap_or(1));
    match name {
        "size" | "dyn" | "type" | "hasValue" | "value" => 1,
        "matches" | "find" | "findAll" => {
            let sizes: Vec<u64> = sizes().collect();
            let text = sizes.first().copied().unwrap_or(1).div_ceil(10).max(1);
            let pattern = sizes.get(1).copied().unwrap_or(1).div_ceil(4).max(1);
            text.saturating_mul(pattern)
        }
        "contains" => {
            let mut sizes = sizes();
            let (text, part) = (sizes.next().unwrap_or(1), sizes.next().unwrap_or(1));
            text.div_ceil(10).max(1).saturating_mul(part.div_ceil(10).max(1))
        }
        "startsWith" | "endsWith" => sizes().next_back().unwrap_or(1).div_ceil(10).max(1),
        "sets.contains" | "sets.intersects" => sizes().fold(1, u64::saturating_mul),
        "sets.equivalent" => sizes().fold(2, u64::saturating_mul),
        "isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf" | "sort" | "distinct" | "flatten" => {
            sizes().next().unwrap_or(1).max(1)
        }
        _ => sizes().fold(0_u64, u64::saturating_add).div_ceil(10).max(1),
    }
}

/// Functions that are quicker, stricter or other than those of the library.
fn own(evaluator: &mut Evaluator<'_>, name: &str, all: &[&Value]) -> Option<Result> {
    Some(match (name, all) {
        ("size", [value]) => match size(value).and_then(|size| i64::try_from(size).ok()) {
            Some(size) => Ok(Value::Int(size)),
            None => Err(no_overload()),
        },
        ("dyn", [value]) => Ok((*value).clone()),
        ("type", [value]) => Ok(type_of(&type_name(value))),
        ("matches", [Value::String(text), Value::String(pattern)]) => matches(evaluator, text, pattern),
        ("matches", _) => Err(no_overload()),
        ("contains", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.contains(part.as_str()))),
        ("startsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.starts_with(part.as_str()))),
        ("endsWith", [Value::String(text), Value::String(part)]) => Ok(Value::Bool(text.ends_with(part.as_str()))),
        ("startsWith" | "endsWith" | "contains", _) => Err(no_overload()),
        ("bool", [Value::Bool(value)]) => Ok(Value::Bool(*value)),
        ("bool", [Value::String(text)]) => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
            _ => Err(EvaluateError::failed("type conversion error from 'string' to 'bool'")),
        },
        ("string", [Value::Bool(value)]) => Ok(super::text(if *value { "true" } else { "false" })),
        ("duration", [value @ Value::Duration(_)]) | ("timestamp", [value @ Value::Timestamp(_)]) => {
            Ok((*value).clone())
        }
        ("optional.of", [value]) => Ok(optional_of_some((*value).clone())),
        ("optional.none", []) => Ok(optional_of_none()),
        ("optional.ofNonZeroValue", [value]) => {
            Ok(if is_zero(value) { optional_of_none() } else { optional_of_some((*value).clone()) })
        }
        ("hasValue", [value]) => as_optional(value).map(|inner| Value::Bool(inner.is_some())).ok_or_else(no_overload),
        ("value", [value]) => match as_optional(value) {
            Some(Some(inner)) => Ok(inner),
            Some(None) => Err(EvaluateError::failed("optional.none() dereference")),
            None => Err(no_overload()),
        },
        ("strings.quote", [Value::String(text)]) => Ok(super::text(&crate::go_text::quote(text))),
        _ => return None,
    })
}

fn no_overload() -> EvaluateError {
    EvaluateError::failed("no such overload")
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Int(number) => *number == 0,
        Value::UInt(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        _ => size(value) == Some(0),
    }
}

fn matches(evaluator: &mut Evaluator<'_>, text: &str, pattern: &str) -> Result {
    if let Some(known) = evaluator.patterns.get(pattern) {
        return Ok(Value::Bool(known.is_match(text)));
    }
    let compiled = RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|_| EvaluateError::failed(format!("error parsing regexp: {pattern}")))?;
    let found = compiled.is_match(text);
    evaluator.keep_pattern(pattern, compiled);
    Ok(Value::Bool(found))
}

/// The value of a function of the library.
pub(super) fn library(name: &str, target: Option<Value>, arguments: &[Value]) -> Result {
    const TARGET: &str = "@target";
    let mut context = functions().new_inner_scope();
    let ident = |name: String| Expression { id: 0, expr: Expr::Ident(name) };
    let mut names = Vec::with_capacity(arguments.len());
    for (index, argument) in arguments.iter().enumerate() {
        let name = format!("@{index}");
        names.push(ident(name.clone()));
        context.add_variable_from_value(name, argument.clone());
    }
    let target = target.map(|target| {
        context.add_variable_from_value(TARGET, target);
        Box::new(ident(TARGET.to_owned()))
    });
    let call = Expression { id: 0, expr: Expr::Call(CallExpr { func_name: name.to_owned(), target, args: names }) };
    // The library is somebody else's code: what it cannot cope with is an error like any other.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| Value::resolve(&call, &context)));
    match result {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(EvaluateError::failed(failure(error))),
        Err(_) => Err(EvaluateError::failed(format!("{name} cannot be evaluated"))),
    }
}

fn failure(error: kube_cel::cel::ExecutionError) -> String {
    use kube_cel::cel::ExecutionError;
    match error {
        ExecutionError::FunctionError { message, .. } => message,
        ExecutionError::UndeclaredReference(name) => format!("unknown function: {name}"),
        ExecutionError::NoSuchOverload
        | ExecutionError::UnexpectedType { .. }
        | ExecutionError::UnsupportedTargetType { .. }
        | ExecutionError::NotSupportedAsMethod { .. } => "no such overload".to_owned(),
        other => other.to_string(),
    }
}

/// A type as a value.
#[derive(Debug, PartialEq, Eq)]
struct TypeValue(String);

impl Opaque for TypeValue {
    fn runtime_type_name(&self) -> &str {
        "type"
    }
}

fn type_of(name: &str) -> Value {
    Value::Opaque(Arc::new(TypeValue(name.to_owned())))
}

/// The value of a type's name, as in `type(x) == string`.
pub(super) fn type_value(name: &str) -> Option<Value> {
    let known =
        matches!(name, "bool" | "bytes" | "double" | "int" | "list" | "map" | "null_type" | "string" | "type" | "uint");
    known.then(|| type_of(name))
}

/// An error that a later round of a loop may make up for.
#[derive(Debug, PartialEq, Eq)]
struct Held(EvaluateError);

impl Opaque for Held {
    fn runtime_type_name(&self) -> &str {
        "error"
    }
}

pub(super) fn error_value(error: EvaluateError) -> Value {
    Value::Opaque(Arc::new(Held(error)))
}

pub(super) fn error_of(value: &Value) -> Option<EvaluateError> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<Held>().map(|held| held.0.clone()),
        _ => None,
    }
}

/// `x.orValue(y)` and `x.or(y)` look at `y` only when `x` is nothing. `Err` has what is to be evaluated instead.
pub(super) fn lazy_alternative<'e>(
    name: &str,
    target: &Value,
    arguments: &'e [Expression],
) -> Option<std::result::Result<Value, &'e Expression>> {
    let inner = as_optional(target)?;
    match (name, arguments) {
        ("orValue", [other]) => Some(inner.ok_or(other)),
        ("or", [other]) => Some(inner.map(optional_of_some).ok_or(other)),
        _ => None,
    }
}

/// Whether a method is a loop or a binding that the parser does not take apart.
pub(super) fn is_loop(name: &str, arguments: usize) -> bool {
    match name {
        "optMap" | "optFlatMap" => arguments == 2,
        "all" | "exists" | "existsOne" | "exists_one" | "transformList" | "transformMap" => arguments == 3,
        _ => false,
    }
}

/// Runs such a loop.
pub(super) fn run_loop(
    evaluator: &mut Evaluator<'_>,
    name: &str,
    target: &Expression,
    arguments: &[Expression],
) -> Result {
    let variable = |at: usize| match arguments.get(at).map(|argument| &argument.expr) {
        Some(Expr::Ident(name)) => Ok(name.clone()),
        _ => Err(EvaluateError::failed("argument must be a simple name")),
    };
    let target = evaluator.value(target)?;
    if let ("optMap" | "optFlatMap", [_, body]) = (name, arguments) {
        let Some(inner) = as_optional(&target) else { return Err(no_overload()) };
        let Some(inner) = inner else { return Ok(optional_of_none()) };
        let value = evaluator.with(&variable(0)?, inner, |this| this.value(body))?;
        return Ok(if name == "optMap" { optional_of_some(value) } else { value });
    }
    let [_, _, body] = arguments else { return Err(no_overload()) };
    let (first, second) = (variable(0)?, variable(1)?);
    let pairs = pairs(evaluator, &target)?;
    let mut results = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        evaluator.spend(1)?;
        let kept = key.clone();
        let result = evaluator.with(&first, key, |this| this.with(&second, value, |this| this.value(body)))?;
        let decided = match (name, &result) {
            ("all", Value::Bool(false)) => Some(false),
            ("exists", Value::Bool(true)) => Some(true),
            _ => None,
        };
        if let Some(decided) = decided {
            return Ok(Value::Bool(decided));
        }
        results.push((kept, result));
    }
    Ok(match name {
        "all" => Value::Bool(true),
        "exists" => Value::Bool(false),
        "transformList" => Value::List(Arc::new(results.into_iter().map(|(_, value)| value).collect())),
        "transformMap" => map_of(results.into_iter().filter_map(|(key, value)| as_key(&key).map(|key| (key, value)))),
        _ => Value::Bool(results.iter().filter(|(_, value)| equal(value, &Value::Bool(true))).count() == 1),
    })
}

/// Positions and items of a list, or keys and values of a map.
fn pairs(evaluator: &mut Evaluator<'_>, holder: &Value) -> Result<Vec<(Value, Value)>> {
    let items = evaluator.items(holder)?;
    Ok(match holder {
        Value::Map(map) => items
            .into_iter()
            .filter_map(|key| {
                let value = super::value::lookup(map, &as_key(&key)?)?.clone();
                Some((key, value))
            })
            .collect(),
        _ => items
            .into_iter()
            .enumerate()
            .map(|(index, item)| (Value::Int(i64::try_from(index).unwrap_or(i64::MAX)), item))
            .collect(),
    })
}
