//! `/openapi/v2`: all documents as one, in the older form.

use serde_json::{Map, Value, json};

/// Where schemas are in the newer form.
const SCHEMAS: &str = "#/components/schemas/";
/// What the newer form leaves to each answer.
const PRODUCES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// One document of version 2 out of those of version 3.
pub(super) fn merge(documents: impl Iterator<Item = Value>) -> Value {
    let mut paths = Map::new();
    let mut definitions = Map::new();
    for mut document in documents {
        if let Value::Object(found) = document["paths"].take() {
            paths.extend(found.into_iter().map(|(path, item)| (path, path_item(item))));
        }
        if let Value::Object(found) = document["components"]["schemas"].take() {
            definitions.extend(found.into_iter().map(|(name, schema)| (name, definition(schema))));
        }
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": "v1.34.0"},
        "paths": paths,
        "definitions": definitions,
        "securityDefinitions": {"BearerToken": {
            "type": "apiKey", "name": "authorization", "in": "header", "description": "Bearer Token authentication",
        }},
        "security": [{"BearerToken": []}],
    })
}

/// A schema: references lead elsewhere, a reference stands alone, and there is no `oneOf`.
fn definition(schema: Value) -> Value {
    match schema {
        Value::Object(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("$ref", Value::String(name)) => {
                        out.insert(key, Value::from(name.replace(SCHEMAS, "#/definitions/")));
                    }
                    ("allOf", Value::Array(items)) if items.len() == 1 => {
                        if let Some(Value::Object(only)) = items.into_iter().next().map(definition) {
                            out.extend(only);
                        }
                    }
                    ("oneOf" | "anyOf", Value::Array(_)) | ("nullable", Value::Bool(_)) => {}
                    // Texts and lists of names have no schemas in them; examples and defaults stay as they are.
                    ("default" | "example" | "enum" | "required", value @ (Value::Array(_) | Value::Null)) => {
                        out.insert(key, value);
                    }
                    (_, value) => {
                        out.insert(key, definition(value));
                    }
                }
            }
            Value::Object(out)
        }
        Value::Array(items) => items.into_iter().map(definition).collect(),
        scalar => scalar,
    }
}

fn path_item(item: Value) -> Value {
    let Value::Object(item) = item else { return item };
    let parts = item.into_iter().map(|(key, value)| {
        let value = if key == "parameters" { parameters(value) } else { operation(value) };
        (key, value)
    });
    Value::Object(parts.collect())
}

fn operation(operation: Value) -> Value {
    let Value::Object(mut operation) = operation else { return operation };
    let mut list = match operation.remove("parameters").map(parameters) {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    };
    let mut consumes = json!(["*/*"]);
    if let Some(Value::Object(body)) = operation.remove("requestBody")
        && let Some(Value::Object(content)) = body.get("content")
    {
        consumes = content.keys().cloned().collect();
        let schema = content.values().next().map(|media| media["schema"].clone()).unwrap_or_default();
        let required = body.get("required").cloned().unwrap_or(Value::Bool(false));
        list.push(json!({"name": "body", "in": "body", "required": required, "schema": definition(schema)}));
    }
    if let Some(Value::Object(responses)) = operation.get_mut("responses") {
        for response in responses.values_mut() {
            let schema = response.pointer("/content/application~1json/schema").cloned();
            if let Some(response) = response.as_object_mut() {
                response.remove("content");
                response.extend(schema.map(|schema| ("schema".to_owned(), definition(schema))));
            }
        }
    }
    operation.insert("consumes".to_owned(), consumes);
    operation.insert("produces".to_owned(), json!(PRODUCES));
    operation.insert("schemes".to_owned(), json!(["https"]));
    operation.insert("parameters".to_owned(), Value::Array(list));
    Value::Object(operation)
}

/// Parameters have the type in themselves.
fn parameters(list: Value) -> Value {
    let Value::Array(list) = list else { return list };
    let flat = list.into_iter().map(|parameter| {
        let Value::Object(mut parameter) = parameter else { return parameter };
        if let Some(Value::Object(schema)) = parameter.remove("schema") {
            parameter.extend(schema);
        }
        Value::Object(parameter)
    });
    flat.collect()
}
