//! Reads the validation document of a definition.

use super::{Limits, Pattern, Structural, ValueType};
use crate::kinds::fields::Fields;
use crate::schema::ListType;
use regex::RegexBuilder;
use serde_json::Value;
use std::borrow::Cow;

/// Bytes that a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Structural {
    pub(super) fn parse(document: &Value) -> Self {
        let int_or_string = document.is_true("x-kubernetes-int-or-string");
        let value_type = match document.text("type") {
            _ if int_or_string => ValueType::IntOrString,
            "object" => ValueType::Object,
            "array" => ValueType::Array,
            "string" => ValueType::String,
            "integer" => ValueType::Integer,
            "number" => ValueType::Number,
            "boolean" => ValueType::Boolean,
            _ => ValueType::Unsaid,
        };
        let additional = match document.get("additionalProperties") {
            Some(schema @ Value::Object(_)) => Some(Box::new(Self::parse(schema))),
            // Anything goes by, and what is nested in it is pruned.
            Some(Value::Bool(true)) => Some(Box::default()),
            _ => None,
        };
        Self {
            value_type,
            nullable: document.is_true("nullable"),
            preserves_unknown: document.is_true("x-kubernetes-preserve-unknown-fields"),
            embedded: document.is_true("x-kubernetes-embedded-resource"),
            list_type: list_type(document),
            atomic_map: document.text("x-kubernetes-map-type") == "atomic",
            properties: document
                .map("properties")
                .into_iter()
                .flatten()
                .map(|(name, schema)| (name.clone(), Self::parse(schema)))
                .collect(),
            additional,
            items: document.get("items").filter(|items| items.is_object()).map(|items| Box::new(Self::parse(items))),
            default: document.child("default").cloned(),
            limits: limits(document).map(Box::new),
            has_rules: !document.list("x-kubernetes-validations").is_empty(),
        }
    }
}

fn list_type(document: &Value) -> Option<ListType> {
    Some(match document.text("x-kubernetes-list-type") {
        "set" => ListType::Set,
        "map" => {
            let keys = document.texts("x-kubernetes-list-map-keys").into_iter();
            ListType::Map(keys.map(|key| Cow::Owned(key.to_owned())).collect())
        }
        "atomic" => ListType::Atomic,
        _ => return None,
    })
}

/// The limits, if there are any.
fn limits(document: &Value) -> Option<Limits> {
    const WORDS: [&str; 20] = [
        "required",
        "enum",
        "format",
        "pattern",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "uniqueItems",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
    ];
    if !WORDS.iter().any(|word| document.has(word)) {
        return None;
    }
    let count = |name: &str| document.get(name).and_then(Value::as_u64);
    let number = |name: &str| document.get(name).filter(|value| value.is_number()).cloned();
    let all = |name: &str| document.list(name).iter().map(Structural::parse).collect();
    Some(Limits {
        required: document.texts("required").into_iter().map(str::to_owned).collect(),
        enumeration: document.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()).cloned(),
        format: document.text_if_set("format").filter(|format| !format.is_empty()).map(str::to_owned),
        pattern: document.text_if_set("pattern").filter(|pattern| !pattern.is_empty()).map(Pattern::new),
        minimum: number("minimum"),
        maximum: number("maximum"),
        exclusive_minimum: document.is_true("exclusiveMinimum"),
        exclusive_maximum: document.is_true("exclusiveMaximum"),
        multiple_of: document.get("multipleOf").and_then(Value::as_f64),
        length_min: count("minLength"),
        length_max: count("maxLength"),
        items_min: count("minItems"),
        items_max: count("maxItems"),
        properties_min: count("minProperties"),
        properties_max: count("maxProperties"),
        unique: document.is_true("uniqueItems"),
        all_of: all("allOf"),
        any_of: all("anyOf"),
        one_of: all("oneOf"),
        not: document.child("not").map(Structural::parse),
    })
}

impl Pattern {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), compiled: compile(text) }
    }
}

fn compile(text: &str) -> Option<regex::Regex> {
    RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build().ok()
}

/// Whether a pattern can be compiled, within the bound on its size.
pub(crate) fn is_pattern(text: &str) -> bool {
    compile(text).is_some()
}
