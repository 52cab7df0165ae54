//! What a validation schema must be: first what OpenAPI may say here at all, then that the schema is structural (a type
//! at every node), then that defaults and rules fit. A later part is looked at only when the earlier ones are right.

use serde_json::Value;

use crate::custom::rules::{validate_costs, validate_rules};
use crate::kinds::fields::Fields;
use crate::schema::Schema;
use crate::schema::structural::{Correlation, Structural, is_pattern};
use crate::status::{FieldError, FieldPath};

/// Nested schemas of a node, by the keyword under which they are.
type Visit<'v> = &'v mut dyn FnMut(&Value, &FieldPath<'_>, Place);

/// Where in its parent a schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Root,
    Property,
    Additional,
    Items,
    /// In `allOf`, `anyOf`, `oneOf` or `not`, or below: says what is allowed and not what there is.
    Junctor,
}

pub(super) fn validate_schema(schema: &Value, path: &FieldPath<'_>, out: &mut Vec<FieldError>) {
    let mut errors = Vec::new();
    if !schema.is_object() {
        return;
    }
    walk(schema, path, Place::Root, &mut |schema, path, _| keywords(schema, path, &mut errors));
    if errors.is_empty() {
        walk(schema, path, Place::Root, &mut |schema, path, place| structure(schema, path, place, &mut errors));
    }
    if errors.is_empty() {
        walk(schema, path, Place::Root, &mut |schema, path, place| {
            if place != Place::Junctor {
                default_fits(schema, path, &mut errors);
                validate_rules(schema, path, &mut errors);
            }
        });
    }
    if errors.is_empty() {
        validate_costs(schema, path, &mut errors);
    }
    out.append(&mut errors);
}

fn walk(schema: &Value, path: &FieldPath<'_>, place: Place, visit: Visit<'_>) {
    visit(schema, path, place);
    let inner = |other: Place| if place == Place::Junctor { Place::Junctor } else { other };
    let properties = path.child("properties");
    for (name, property) in schema.map("properties").into_iter().flatten() {
        walk(property, &properties.key(name), inner(Place::Property), visit);
    }
    if let Some(additional) = schema.get("additionalProperties").filter(|value| value.is_object()) {
        walk(additional, &path.child("additionalProperties"), inner(Place::Additional), visit);
    }
    if let Some(items) = schema.get("items").filter(|value| value.is_object()) {
        walk(items, &path.child("items"), inner(Place::Items), visit);
    }
    for word in ["allOf", "anyOf", "oneOf"] {
        let list = path.child(word);
        for (index, schema) in schema.list(word).iter().enumerate() {
            walk(schema, &list.index(index), Place::Junctor, visit);
        }
    }
    if let Some(not) = schema.child("not") {
        walk(not, &path.child("not"), Place::Junctor, visit);
    }
}

/// What no schema here may say.
fn keywords(schema: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    if schema.is_true("uniqueItems") {
        let detail = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic";
        errors.push(FieldError::forbidden(path.child("uniqueItems"), detail));
    }
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        let detail = "additionalProperties cannot be set to false";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    if schema.has("additionalProperties") && schema.map("properties").is_some_and(|map| !map.is_empty()) {
        let detail = "additionalProperties and properties are mutual exclusive";
        errors.push(FieldError::forbidden(path.child("additionalProperties"), detail));
    }
    if schema.text_if_set("$ref").is_some() {
        errors.push(FieldError::forbidden(path.child("$ref"), "$ref is not supported"));
    }
    for word in ["definitions", "dependencies", "patternProperties", "additionalItems", "id"] {
        if schema.has(word) {
            errors.push(FieldError::forbidden(path.child(word), format!("{word} is not supported")));
        }
    }
    if schema.get("items").is_some_and(Value::is_array) {
        let detail = "items must be a schema object and not an array";
        errors.push(FieldError::forbidden(path.child("items"), detail));
    }
    if schema.text("type") == "array" && !schema.has("items") {
        errors.push(FieldError::required(path.child("items"), "must be specified"));
    }
    let pattern = schema.text("pattern");
    if !pattern.is_empty() && !is_pattern(pattern) {
        let detail = "must be a valid regular expression, but isn't";
        errors.push(FieldError::invalid(path.child("pattern"), pattern, detail));
    }
    list_type(schema, path, errors);
}

fn list_type(schema: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let word = schema.text("x-kubernetes-list-type");
    let keys = schema.texts("x-kubernetes-list-map-keys");
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if !matches!(word, "" | "atomic" | "set" | "map") {
        let known = ["atomic", "set", "map"];
        errors.push(FieldError::not_supported(path.child("x-kubernetes-list-type"), word, known));
    }
    if !word.is_empty() && schema.text("type") != "array" {
        let detail = "must be array if x-kubernetes-list-type is specified";
        errors.push(FieldError::invalid(path.child("type"), schema.text("type"), detail));
    }
    match (word, keys.is_empty()) {
        ("map", true) => {
            let detail = "must not be empty if x-kubernetes-list-type is map";
            errors.push(FieldError::required(keys_path, detail));
        }
        ("map", false) => map_keys(schema, &keys, path, errors),
        (_, false) => {
            let detail = "must be empty if x-kubernetes-list-type is not map";
            errors.push(FieldError::forbidden(keys_path, detail));
        }
        (_, true) => {}
    }
    let map_type = schema.text("x-kubernetes-map-type");
    if !matches!(map_type, "" | "atomic" | "granular") {
        errors.push(FieldError::not_supported(path.child("x-kubernetes-map-type"), map_type, ["atomic", "granular"]));
    }
}

fn map_keys(schema: &Value, keys: &[&str], path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let null = Value::Null;
    let items = schema.child("items").unwrap_or(&null);
    let keys_path = path.child("x-kubernetes-list-map-keys");
    if items.text("type") != "object" {
        let detail = "must be object if parent array's x-kubernetes-list-type is map";
        errors.push(FieldError::invalid(path.child("items").child("type"), items.text("type"), detail));
    }
    for (index, key) in keys.iter().enumerate() {
        match items.at(&["properties", key]) {
            None => {
                let detail = "entries must all be names of item properties";
                errors.push(FieldError::invalid(keys_path.index(index), *key, detail));
            }
            Some(property) => {
                let items_path = path.child("items");
                let properties = items_path.child("properties");
                let field = properties.key(key);
                if !items.texts("required").contains(key) && !property.has("default") {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property";
                    errors.push(FieldError::required(field.child("default"), detail));
                }
                if matches!(property.text("type"), "object" | "array") {
                    let detail = "this property is in x-kubernetes-list-map-keys, so it must be a scalar";
                    errors.push(FieldError::invalid(field.child("type"), property.text("type"), detail));
                }
            }
        }
    }
}

/// A type at every node, and what belongs to types only there.
fn structure(schema: &Value, path: &FieldPath<'_>, place: Place, errors: &mut Vec<FieldError>) {
    let word = schema.text("type");
    if place == Place::Junctor {
        for name in ["type", "additionalProperties", "default", "title", "description", "nullable"] {
            let int_or_string = name == "type" && path.to_string().contains("anyOf");
            if schema.has(name) && !int_or_string {
                errors.push(FieldError::forbidden(path.child(name), "must be empty to be structural"));
            }
        }
        return;
    }
    let free = schema.is_true("x-kubernetes-int-or-string") || schema.is_true("x-kubernetes-preserve-unknown-fields");
    if word.is_empty() {
        let detail = match place {
            Place::Root => "must not be empty at the root",
            Place::Items => "must not be empty for specified array items",
            _ => "must not be empty for specified object fields",
        };
        if place == Place::Root || !free {
            errors.push(FieldError::required(path.child("type"), detail));
        }
    } else if !matches!(word, "object" | "array" | "string" | "integer" | "number" | "boolean") {
        let known = ["array", "boolean", "integer", "number", "object", "string"];
        errors.push(FieldError::not_supported(path.child("type"), word, known));
    } else if place == Place::Root && word != "object" {
        errors.push(FieldError::invalid(path.child("type"), word, "must be object at the root"));
    }
    if schema.is_true("x-kubernetes-int-or-string") && !word.is_empty() {
        let detail = "must be empty if x-kubernetes-int-or-string is true";
        errors.push(FieldError::forbidden(path.child("type"), detail));
    }
    if schema.is_true("x-kubernetes-embedded-resource") {
        if word != "object" {
            let detail = "must be object if x-kubernetes-embedded-resource is true";
            errors.push(FieldError::invalid(path.child("type"), word, detail));
        }
        let empty = schema.map("properties").is_none_or(serde_json::Map::is_empty);
        if empty && !schema.is_true("x-kubernetes-preserve-unknown-fields") {
            let detail = "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields";
            errors.push(FieldError::required(path.child("properties"), detail));
        }
    }
}

/// A default must be a value that the schema allows.
fn default_fits(schema: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
    let Some(default) = schema.child("default") else { return };
    let parsed = Schema::custom("", schema);
    let Some(structural) = parsed.root().and_then(|root| root.structural()) else { return };
    let field = path.child("default").to_string();
    let place = |at: &str| match at {
        "<nil>" => field.clone(),
        inner => format!("{field}.{inner}"),
    };
    let mut pruned = default.clone();
    for unknown in Structural::prune_object(structural, &mut pruned) {
        errors.push(FieldError::invalid(place(&unknown), default.clone(), "must not have unknown fields"));
    }
    let found = structural.validate_object(default, Correlation::default());
    errors.extend(found.into_iter().map(|error| FieldError { field: place(&error.field), ..error }));
}
