//! Values of expressions: how they come out of JSON, go back into it, and compare.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use kube_cel::cel::objects::{Key, Map, OptionalValue};
use kube_cel::cel::{Context, Value};
use serde_json::Value as Json;

use crate::go_text;

/// A JSON value without a schema: whole numbers are integers, texts are texts.
#[must_use]
pub fn from_json(value: &Json) -> Value {
    match value {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::UInt(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::String(Arc::new(text.clone())),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(from_json).collect())),
        Json::Object(fields) => {
            map_of(fields.iter().map(|(name, value)| (Key::String(Arc::new(name.clone())), from_json(value))))
        }
    }
}

pub(crate) fn map_of(entries: impl Iterator<Item = (Key, Value)>) -> Value {
    Value::Map(Map { map: Arc::new(entries.collect::<HashMap<_, _>>()) })
}

/// A text.
#[must_use]
pub fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

/// Nothing.
#[must_use]
pub fn null() -> Value {
    Value::Null
}

/// An optional value that is there.
#[must_use]
pub fn optional_of_some(value: Value) -> Value {
    Value::Opaque(Arc::new(OptionalValue::of(value)))
}

/// An optional value that is not there.
#[must_use]
pub fn optional_of_none() -> Value {
    Value::Opaque(Arc::new(OptionalValue::none()))
}

/// What is in an optional value; `None` when the value is no optional.
pub(crate) fn as_optional(value: &Value) -> Option<Option<Value>> {
    match value {
        Value::Opaque(opaque) => opaque.downcast_ref::<OptionalValue>().map(|inner| inner.value().cloned()),
        _ => None,
    }
}

/// The value as JSON.
///
/// # Errors
/// What has no form in JSON, in words.
pub fn to_json(value: &Value) -> Result<Json, String> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(number) => Json::from(*number),
        Value::UInt(number) => Json::from(*number),
        Value::Float(number) => serde_json::Number::from_f64(*number)
            .map(Json::Number)
            .ok_or_else(|| "a number that is not finite has no form in JSON".to_owned())?,
        Value::String(text) => Json::String((**text).clone()),
        Value::Bytes(bytes) => {
            use base64::Engine as _;
            Json::String(base64::engine::general_purpose::STANDARD.encode(&**bytes))
        }
        Value::Timestamp(_) | Value::Duration(_) => match plain_text(value) {
            Some(text) => Json::String(text),
            None => return Err("a time has no form in JSON".to_owned()),
        },
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Result<_, _>>()?),
        Value::Map(map) => {
            let mut fields = serde_json::Map::new();
            for (key, value) in map.map.iter() {
                fields.insert(key_text(key), to_json(value)?);
            }
            Json::Object(fields)
        }
        Value::Opaque(_) => match as_optional(value) {
            Some(Some(value)) => to_json(&value)?,
            Some(None) => Json::Null,
            None => return Err(format!("unsupported type {}", type_name(value))),
        },
        Value::Function(..) => return Err("a function has no form in JSON".to_owned()),
    })
}

/// A time or an amount of time as text.
pub(super) fn plain_text(value: &Value) -> Option<String> {
    match super::calls::library("string", None, std::slice::from_ref(value)) {
        Ok(Value::String(text)) => Some((*text).clone()),
        _ => None,
    }
}

pub(super) fn key_text(key: &Key) -> String {
    match key {
        Key::Int(number) => number.to_string(),
        Key::Uint(number) => number.to_string(),
        Key::Bool(value) => value.to_string(),
        Key::String(text) => (**text).clone(),
    }
}

pub(super) fn key_value(key: &Key) -> Value {
    match key {
        Key::Int(number) => Value::Int(*number),
        Key::Uint(number) => Value::UInt(*number),
        Key::Bool(value) => Value::Bool(*value),
        Key::String(text) => Value::String(Arc::clone(text)),
    }
}

/// The value as a key of a map; a whole number is a key whatever its type.
pub(super) fn as_key(value: &Value) -> Option<Key> {
    Some(match value {
        Value::Int(number) => Key::Int(*number),
        Value::UInt(number) => i64::try_from(*number).map_or(Key::Uint(*number), Key::Int),
        Value::Bool(value) => Key::Bool(*value),
        Value::String(text) => Key::String(Arc::clone(text)),
        _ => return None,
    })
}

pub(super) fn lookup<'a>(map: &'a Map, key: &Key) -> Option<&'a Value> {
    map.get(key)
}

/// The name of the value's type.
#[must_use]
pub fn type_name(value: &Value) -> String {
    match value {
        Value::List(_) => "list",
        Value::Map(_) => "map",
        Value::Function(..) => "function",
        Value::Int(_) => "int",
        Value::UInt(_) => "uint",
        Value::Float(_) => "double",
        Value::String(_) => "string",
        Value::Bytes(_) => "bytes",
        Value::Bool(_) => "bool",
        Value::Duration(_) => "google.protobuf.Duration",
        Value::Timestamp(_) => "google.protobuf.Timestamp",
        Value::Opaque(opaque) => return opaque.runtime_type_name().to_owned(),
        Value::Null => "null_type",
    }
    .to_owned()
}

/// Whether two values are equal; numbers by amount, whatever their types.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::List(left), Value::List(right)) => {
            left.len() == right.len() && left.iter().zip(right.iter()).all(|(left, right)| equal(left, right))
        }
        (Value::Map(left), Value::Map(right)) => {
            left.map.len() == right.map.len()
                && left.map.iter().all(|(key, left)| lookup(right, key).is_some_and(|right| equal(left, right)))
        }
        (Value::Opaque(_), Value::Opaque(_)) => match (as_optional(left), as_optional(right)) {
            (Some(Some(left)), Some(Some(right))) => equal(&left, &right),
            (Some(left), Some(right)) => left.is_none() && right.is_none(),
            _ => left == right,
        },
        _ if is_number(left) && is_number(right) => compare(left, right) == Some(Ordering::Equal),
        _ if std::mem::discriminant(left) == std::mem::discriminant(right) => left == right,
        _ => false,
    }
}

pub(super) fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::UInt(_) | Value::Float(_))
}

/// The order of two values, where they have one.
pub(super) fn compare(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
        (Value::UInt(left), Value::UInt(right)) => Some(left.cmp(right)),
        (Value::Int(left), Value::UInt(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::UInt(left), Value::Int(right)) => Some(i128::from(*left).cmp(&i128::from(*right))),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        (Value::Float(left), right) => left.partial_cmp(&as_float(right)?),
        (left, Value::Float(right)) => as_float(left)?.partial_cmp(right),
        (Value::String(left), Value::String(right)) => Some(left.cmp(right)),
        (Value::Bytes(left), Value::Bytes(right)) => Some(left.cmp(right)),
        (Value::Bool(left), Value::Bool(right)) => Some(left.cmp(right)),
        (Value::Timestamp(left), Value::Timestamp(right)) => Some(left.cmp(right)),
        (Value::Duration(left), Value::Duration(right)) => Some(left.cmp(right)),
        _ => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of different types are compared as upstream compares them")]
fn as_float(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => Some(*number as f64),
        Value::UInt(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// How large a value is, in what its kind is counted in: characters, bytes, items.
pub(super) fn size(value: &Value) -> Option<u64> {
    let count = match value {
        Value::String(text) => text.chars().count(),
        Value::Bytes(bytes) => bytes.len(),
        Value::List(items) => items.len(),
        Value::Map(map) => map.map.len(),
        _ => return None,
    };
    u64::try_from(count).ok()
}

/// Words that mean something else in an expression.
const RESERVED: [&str; 21] = [
    "true",
    "false",
    "null",
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
];

/// The name of a field as expressions spell it; `None` for one that they cannot name.
pub(crate) fn escape(name: &str) -> Option<String> {
    if RESERVED.contains(&name) {
        return Some(format!("__{name}__"));
    }
    let first = name.chars().next()?;
    let allowed = |character: char| character.is_ascii_alphanumeric() || "_.-/".contains(character);
    if !(first.is_ascii_alphabetic() || "_.-/".contains(first)) || !name.chars().all(allowed) {
        return None;
    }
    let escaped = name.replace("__", "__underscores__").replace('.', "__dot__");
    Some(escaped.replace('-', "__dash__").replace('/', "__slash__"))
}

/// The value as people see it in a message.
pub(crate) fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => (**text).clone(),
        other => to_json(other).map_or_else(|_| type_name(other), |json| go_text::json(&json)),
    }
}

/// A context with every function and no variable, shared by all evaluations.
pub(super) fn functions() -> &'static Context<'static> {
    use kube_cel::KubeCelExt as _;
    static FUNCTIONS: std::sync::LazyLock<Context<'static>> =
        std::sync::LazyLock::new(|| Context::default().with_all());
    &FUNCTIONS
}
