//! Values of a custom resource as its rules see them: typed by the schema, with fields spelled as expressions can.

use std::sync::Arc;

use kube_cel::cel::objects::Key;
use serde_json::Value as Json;

use crate::cel::{self, EvaluateError, Value};
use crate::kinds::fields::Fields;

/// A JSON value of a schema's node.
pub(super) fn from_json(value: &Json, schema: &Json) -> Value {
    if schema.is_true("x-kubernetes-int-or-string") {
        return cel::from_json(value);
    }
    match value {
        Json::Number(number) if schema.text("type") == "number" => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => from_text(text, schema),
        Json::Array(items) => match schema.child("items") {
            Some(schema) => Value::List(Arc::new(items.iter().map(|item| from_json(item, schema)).collect())),
            None => cel::from_json(value),
        },
        Json::Object(fields) => {
            let additional = schema.get("additionalProperties");
            let null = Json::Null;
            cel::map_of(fields.iter().filter_map(|(name, value)| {
                let (name, value) = match (schema.at(&["properties", name]), additional) {
                    (Some(property), _) => (cel::escape(name)?, from_json(value, property)),
                    // The keys of a map are data and no names.
                    (None, Some(additional)) => (name.clone(), from_json(value, additional)),
                    (None, None) => (cel::escape(name)?, from_json(value, &null)),
                };
                Some((Key::String(Arc::new(name)), value))
            }))
        }
        other => cel::from_json(other),
    }
}

fn from_text(text: &str, schema: &Json) -> Value {
    let typed = match schema.text("format") {
        "date-time" => cel::call_function("timestamp", text),
        "date" => cel::call_function("timestamp", &format!("{text}T00:00:00Z")),
        "duration" => cel::call_function("duration", text),
        "byte" => {
            use base64::Engine as _;
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            bytes.map(|bytes| Value::Bytes(Arc::new(bytes))).map_err(|_| EvaluateError::Budget)
        }
        _ => return cel::text(text),
    };
    typed.unwrap_or_else(|_| cel::text(text))
}
