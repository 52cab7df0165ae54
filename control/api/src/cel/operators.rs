//! Arithmetic and comparison.

use std::cmp::Ordering;

use kube_cel::cel::Value;
use kube_cel::cel::common::ast::operators;

use super::EvaluateError;
use super::value::{as_key, compare, equal, lookup, shown, size};

fn no_overload() -> EvaluateError {
    EvaluateError::failed("no such overload")
}

fn overflow() -> EvaluateError {
    EvaluateError::failed("integer overflow")
}

/// What comparing two values costs: a tenth of the smaller one's size.
pub(super) fn comparison_cost(left: &Value, right: &Value) -> u64 {
    let smaller = size(left).unwrap_or(1).min(size(right).unwrap_or(1));
    smaller.div_ceil(10).max(1)
}

/// The value of an operator with two operands; `None` for a name that is no such operator.
pub(super) fn binary(name: &str, left: Value, right: Value) -> Option<Result<Value, EvaluateError>> {
    let ordered = |wanted: &[Ordering]| match compare(&left, &right) {
        Some(order) => Ok(Value::Bool(wanted.contains(&order))),
        // A number that is none is neither less nor more than another.
        None if matches!((&left, &right), (Value::Float(_), _) | (_, Value::Float(_))) => Ok(Value::Bool(false)),
        None => Err(no_overload()),
    };
    Some(match name {
        operators::EQUALS => Ok(Value::Bool(equal(&left, &right))),
        operators::NOT_EQUALS => Ok(Value::Bool(!equal(&left, &right))),
        operators::LESS => ordered(&[Ordering::Less]),
        operators::LESS_EQUALS => ordered(&[Ordering::Less, Ordering::Equal]),
        operators::GREATER => ordered(&[Ordering::Greater]),
        operators::GREATER_EQUALS => ordered(&[Ordering::Greater, Ordering::Equal]),
        operators::IN => contains(&right, &left).map(Value::Bool),
        operators::ADD => add(left, right),
        operators::SUBSTRACT => subtract(left, right),
        operators::MULTIPLY => multiply(&left, &right),
        operators::DIVIDE => divide(&left, &right),
        operators::MODULO => modulo(&left, &right),
        _ => return None,
    })
}

fn contains(holder: &Value, wanted: &Value) -> Result<bool, EvaluateError> {
    match holder {
        Value::List(items) => Ok(items.iter().any(|item| equal(item, wanted))),
        Value::Map(map) => Ok(as_key(wanted).is_some_and(|key| lookup(map, &key).is_some())),
        _ => Err(no_overload()),
    }
}

fn add(left: Value, right: Value) -> Result<Value, EvaluateError> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.checked_add(right).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(left), Value::UInt(right)) => left.checked_add(right).map(Value::UInt).ok_or_else(overflow),
        (left @ (Value::Float(_) | Value::List(_) | Value::Duration(_) | Value::Timestamp(_)), right)
            if same_or_time(&left, &right) =>
        {
            (left + right).map_err(|_| no_overload())
        }
        (Value::String(left), Value::String(right)) => Ok(super::text(&format!("{left}{right}"))),
        (Value::Bytes(left), Value::Bytes(right)) => Ok(Value::Bytes([&left[..], &right[..]].concat().into())),
        _ => Err(no_overload()),
    }
}

fn same_or_time(left: &Value, right: &Value) -> bool {
    let time = |value: &Value| matches!(value, Value::Duration(_) | Value::Timestamp(_));
    std::mem::discriminant(left) == std::mem::discriminant(right) || (time(left) && time(right))
}

fn subtract(left: Value, right: Value) -> Result<Value, EvaluateError> {
    match (&left, &right) {
        (Value::Int(left), Value::Int(right)) => left.checked_sub(*right).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(left), Value::UInt(right)) => left.checked_sub(*right).map(Value::UInt).ok_or_else(overflow),
        (Value::Float(left), Value::Float(right)) => Ok(Value::Float(left - right)),
        (Value::Duration(_) | Value::Timestamp(_), Value::Duration(_) | Value::Timestamp(_)) => {
            (left - right).map_err(|_| no_overload())
        }
        _ => Err(no_overload()),
    }
}

fn multiply(left: &Value, right: &Value) -> Result<Value, EvaluateError> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => left.checked_mul(*right).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(left), Value::UInt(right)) => left.checked_mul(*right).map(Value::UInt).ok_or_else(overflow),
        (Value::Float(left), Value::Float(right)) => Ok(Value::Float(left * right)),
        _ => Err(no_overload()),
    }
}

fn divide(left: &Value, right: &Value) -> Result<Value, EvaluateError> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::UInt(_), Value::UInt(0)) => {
            Err(EvaluateError::failed("division by zero"))
        }
        (Value::Int(left), Value::Int(right)) => left.checked_div(*right).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(left), Value::UInt(right)) => left.checked_div(*right).map(Value::UInt).ok_or_else(overflow),
        (Value::Float(left), Value::Float(right)) => Ok(Value::Float(left / right)),
        _ => Err(no_overload()),
    }
}

fn modulo(left: &Value, right: &Value) -> Result<Value, EvaluateError> {
    match (left, right) {
        (Value::Int(_), Value::Int(0)) | (Value::UInt(_), Value::UInt(0)) => {
            Err(EvaluateError::failed("modulus by zero"))
        }
        (Value::Int(left), Value::Int(right)) => left.checked_rem(*right).map(Value::Int).ok_or_else(overflow),
        (Value::UInt(left), Value::UInt(right)) => left.checked_rem(*right).map(Value::UInt).ok_or_else(overflow),
        _ => Err(no_overload()),
    }
}

/// `-x`
pub(super) fn negate(value: &Value) -> Result<Value, EvaluateError> {
    match value {
        Value::Int(number) => number.checked_neg().map(Value::Int).ok_or_else(overflow),
        Value::Float(number) => Ok(Value::Float(-number)),
        _ => Err(no_overload()),
    }
}

/// `!x`
pub(super) fn not(value: &Value) -> Result<Value, EvaluateError> {
    match value {
        Value::Bool(value) => Ok(Value::Bool(!value)),
        _ => Err(no_overload()),
    }
}

/// `x[i]`; `None` when there is no such item.
pub(super) fn index(holder: &Value, at: &Value) -> Result<Option<Value>, EvaluateError> {
    match holder {
        Value::List(items) => {
            let position = match at {
                Value::Int(number) => usize::try_from(*number).ok(),
                Value::UInt(number) => usize::try_from(*number).ok(),
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and not negative")]
                Value::Float(number) if number.fract() == 0.0 && *number >= 0.0 => Some(*number as usize),
                Value::Float(_) => None,
                _ => return Err(no_overload()),
            };
            Ok(position.and_then(|position| items.get(position)).cloned())
        }
        Value::Map(map) => {
            let key = as_key(at).ok_or_else(|| EvaluateError::failed(format!("no such key: {}", shown(at))))?;
            Ok(lookup(map, &key).cloned())
        }
        _ => Err(no_overload()),
    }
}

/// What is said of an item that is not there.
pub(super) fn missing(holder: &Value, at: &Value) -> EvaluateError {
    match holder {
        Value::List(_) => EvaluateError::failed(format!("index out of bounds: {}", shown(at))),
        _ => EvaluateError::failed(format!("no such key: {}", shown(at))),
    }
}
