//! One step of a path in an object: a field, an item by its keys or value, an item by its place.

use crate::go_text;
use serde_json::Value;
use std::cmp::Ordering;
use std::fmt;

/// One step. The order is upstream's: fields, then keys, then values, then indexes.
#[derive(Clone, Debug)]
pub enum PathElement {
    /// A struct's field or a map's key: `f:name`.
    Field(Box<str>),
    /// An item of a list of structs, by its key fields, sorted by name: `k:{"name":"c"}`.
    Key(Vec<(Box<str>, Value)>),
    /// An item of a set: `v:"x"`.
    Value(Value),
    /// An item of an atomic list: `i:3`. Only read, never made.
    Index(i64),
}

impl PathElement {
    /// A field.
    #[must_use]
    pub fn field(name: &str) -> Self {
        Self::Field(name.into())
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }

    /// The text in FieldsV1.
    #[must_use]
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => ["f:", name].concat(),
            Self::Key(fields) => {
                let mut out = String::with_capacity(32);
                out.push_str("k:{");
                for (index, (name, value)) in fields.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&go_text::json(&Value::from(&**name)));
                    out.push(':');
                    out.push_str(&go_text::json(value));
                }
                out.push('}');
                out
            }
            Self::Value(value) => format!("v:{}", go_text::json(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    /// Reads a text of FieldsV1. A type of step that is not known is `None`: upstream drops such steps.
    ///
    /// # Errors
    /// When the text is malformed.
    pub fn decode(text: &str) -> Result<Option<Self>, String> {
        let (Some(kind), Some(rest)) = (text.get(..1), text.get(2..)) else {
            return Err("key must be 2 characters long:".to_owned());
        };
        if text.as_bytes()[1] != b':' {
            return Err(format!("missing colon: {text}"));
        }
        Ok(Some(match kind {
            "f" => Self::field(rest),
            "v" => Self::Value(serde_json::from_str(rest).map_err(|error| error.to_string())?),
            "k" => {
                let fields: serde_json::Map<String, Value> =
                    serde_json::from_str(rest).map_err(|error| error.to_string())?;
                Self::Key(fields.into_iter().map(|(name, value)| (name.into_boxed_str(), value)).collect())
            }
            "i" => Self::Index(rest.parse().map_err(|_| format!("invalid index: {rest}"))?),
            _ => return Ok(None),
        }))
    }
}

/// Upstream's order of values: numbers by amount, then texts, booleans, lists, maps, null.
pub(super) fn compare_values(left: &Value, right: &Value) -> Ordering {
    fn rank(value: &Value) -> u8 {
        match value {
            Value::Number(_) => 0,
            Value::String(_) => 1,
            Value::Bool(_) => 2,
            Value::Array(_) => 3,
            Value::Object(_) => 4,
            Value::Null => 5,
        }
    }
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().unwrap_or(0.0).total_cmp(&right.as_f64().unwrap_or(0.0)),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            let items = left.iter().zip(right).map(|(left, right)| compare_values(left, right));
            items.into_iter().find(|order| order.is_ne()).unwrap_or(left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => {
            let fields = left.iter().zip(right).map(|((left_name, left), (right_name, right))| {
                left_name.cmp(right_name).then_with(|| compare_values(left, right))
            });
            fields.into_iter().find(|order| order.is_ne()).unwrap_or(left.len().cmp(&right.len()))
        }
        _ => rank(left).cmp(&rank(right)),
    }
}

impl Ord for PathElement {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(left), Self::Field(right)) => left.cmp(right),
            (Self::Key(left), Self::Key(right)) => {
                let fields = left.iter().zip(right).map(|((left_name, left), (right_name, right))| {
                    left_name.cmp(right_name).then_with(|| compare_values(left, right))
                });
                fields.into_iter().find(|order| order.is_ne()).unwrap_or(left.len().cmp(&right.len()))
            }
            (Self::Value(left), Self::Value(right)) => compare_values(left, right),
            (Self::Index(left), Self::Index(right)) => left.cmp(right),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for PathElement {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for PathElement {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for PathElement {}

/// A value in a path: texts in quotes.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => go_text::quote(text),
        other => go_text::json(other),
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(formatter, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<String> =
                    fields.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
                write!(formatter, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(formatter, "[={}]", shown(value)),
            Self::Index(index) => write!(formatter, "[{index}]"),
        }
    }
}
