//! Holds a value against a structural schema, with the sentences of upstream's OpenAPI validation.
//!
//! An update is judged mildly (upstream calls it ratcheting): what is the same as before is not looked at again, so
//! that a schema can become stricter without making the objects of old immovable.

use super::{Limits, RESOURCE_FIELDS, Structural, ValueType, formats};
use crate::go_text;
use crate::schema::ListType;
use crate::status::{FieldError, FieldPath};
use serde_json::{Map, Value};
use std::collections::HashSet;

/// Most complaints about one object.
const ERRORS_MAX: usize = 1000;

/// The state before, and how values of it are found.
#[derive(Clone, Copy, Debug, Default)]
pub struct Correlation<'a> {
    old: Option<&'a Value>,
}

impl<'a> Correlation<'a> {
    /// Of an update; `None` for a new object.
    #[must_use]
    pub fn new(old: Option<&'a Value>) -> Self {
        Self { old }
    }

    fn field(self, name: &str) -> Self {
        Self { old: self.old.and_then(|old| old.get(name)) }
    }

    fn item(self, schema: &Structural, item: &Value) -> Self {
        let Some(ListType::Map(keys)) = &schema.list_type else { return Self::default() };
        let old = self.old.and_then(Value::as_array).into_iter().flatten();
        let same = |other: &&Value| keys.iter().all(|key| other.get(&**key) == item.get(&**key));
        Self { old: old.into_iter().find(same) }
    }
}

impl Structural {
    /// What is wrong with the values of an object of the kind.
    #[must_use]
    pub fn validate_object(&self, object: &Value, before: Correlation<'_>) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.validate(object, before, &FieldPath::empty(), &mut errors);
        errors
    }

    /// What is wrong with the resources inside the object, and items that are there twice.
    #[must_use]
    pub fn validate_lists(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = Vec::new();
        self.embedded_resources(object, &FieldPath::empty(), &mut errors);
        self.duplicates(object, &FieldPath::empty(), &mut errors);
        errors
    }

    fn validate(&self, value: &Value, before: Correlation<'_>, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        if before.old == Some(value) || errors.len() >= ERRORS_MAX || (value.is_null() && self.nullable) {
            return;
        }
        if let Some(wanted) = self.wrong_type(value) {
            let found = type_of(value);
            let detail = format!("{} in body must be of type {wanted}: {}", shown(path), go_text::quote(found));
            errors.push(FieldError::type_invalid(path, found, detail));
            return;
        }
        if let Some(limits) = &self.limits {
            limits.validate(value, before, path, errors);
        }
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    let schema = self.properties.get(name).or(self.additional.as_deref());
                    let metadata = self.embedded && RESOURCE_FIELDS.contains(&name.as_str());
                    if let Some(schema) = schema.filter(|_| !metadata) {
                        schema.validate(value, before.field(name), &path.child(name), errors);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.validate(item, before.item(self, item), &path.index(index), errors);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What type the value should have had.
    fn wrong_type(&self, value: &Value) -> Option<&'static str> {
        let (fits, wanted) = match self.value_type {
            ValueType::Unsaid => return None,
            ValueType::Object => (value.is_object(), "object"),
            ValueType::Array => (value.is_array(), "array"),
            ValueType::String => (value.is_string(), "string"),
            ValueType::Integer => (is_integer(value), "integer"),
            ValueType::Number => (value.is_number(), "number"),
            ValueType::Boolean => (value.is_boolean(), "boolean"),
            ValueType::IntOrString => (value.is_string() || is_integer(value), "integer,string"),
        };
        (!fits).then_some(wanted)
    }

    fn embedded_resources(&self, value: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        self.each_part(value, path, &mut |schema, value, path| {
            if schema.embedded {
                for name in ["apiVersion", "kind"] {
                    if value.get(name).and_then(Value::as_str).is_none_or(str::is_empty) {
                        errors.push(FieldError::required(path.child(name), "must not be empty"));
                    }
                }
            }
        });
    }

    fn duplicates(&self, value: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        self.each_part(value, path, &mut |schema, value, path| {
            let Value::Array(items) = value else { return };
            let mut seen = HashSet::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                let identity = match &schema.list_type {
                    Some(ListType::Set) => item.clone(),
                    Some(ListType::Map(keys)) => keys
                        .iter()
                        .filter_map(|key| Some((key.to_string(), item.get(&**key)?.clone())))
                        .collect::<Map<_, _>>()
                        .into(),
                    _ => return,
                };
                if !seen.insert(identity.to_string()) {
                    errors.push(FieldError::duplicate(path.index(index), identity));
                }
            }
        });
    }

    /// Calls `visit` with each part of the value that has a schema, the value itself included.
    fn each_part(
        &self,
        value: &Value,
        path: &FieldPath<'_>,
        visit: &mut dyn FnMut(&Structural, &Value, &FieldPath<'_>),
    ) {
        visit(self, value, path);
        match value {
            Value::Object(map) => {
                for (name, value) in map {
                    if let Some(schema) = self.properties.get(name).or(self.additional.as_deref()) {
                        schema.each_part(value, &path.child(name), visit);
                    }
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.each_part(item, &path.index(index), visit);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

impl Limits {
    fn validate(&self, value: &Value, before: Correlation<'_>, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        if let Some(allowed) = &self.enumeration
            && !allowed.iter().any(|allowed| same_amount(allowed, value))
        {
            let allowed = allowed.iter().map(plain);
            errors.push(FieldError::not_supported(path, value.clone(), allowed));
        }
        match value {
            Value::Object(map) => self.validate_map(map, path, errors),
            Value::Array(items) => self.validate_items(items, value, path, errors),
            Value::String(text) => self.validate_text(text, path, errors),
            Value::Number(_) => self.validate_number(value, path, errors),
            Value::Null | Value::Bool(_) => {}
        }
        self.validate_together(value, before, path, errors);
    }

    fn validate_map(&self, map: &Map<String, Value>, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        for name in self.required.iter().filter(|name| !map.contains_key(*name)) {
            errors.push(FieldError::required(path.child(name), ""));
        }
        if self.properties_min.is_some_and(|least| length(map.len()) < least) {
            let least = self.properties_min.unwrap_or(0);
            let detail = format!("{} in body should have at least {least} properties", shown(path));
            errors.push(FieldError::invalid(path, Value::Object(map.clone()), detail));
        }
        if let Some(most) = self.properties_max.filter(|most| length(map.len()) > *most) {
            errors.push(FieldError::too_many(path, map.len(), usize::try_from(most).unwrap_or(usize::MAX)));
        }
    }

    fn validate_items(&self, items: &[Value], value: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        if let Some(least) = self.items_min.filter(|least| length(items.len()) < *least) {
            let detail = format!("{} in body should have at least {least} items", shown(path));
            errors.push(FieldError::invalid(path, value.clone(), detail));
        }
        if let Some(most) = self.items_max.filter(|most| length(items.len()) > *most) {
            errors.push(FieldError::too_many(path, items.len(), usize::try_from(most).unwrap_or(usize::MAX)));
        }
        let mut seen = HashSet::new();
        if self.unique && !items.iter().all(|item| seen.insert(item.to_string())) {
            let detail = format!("{} in body shouldn't contain duplicates", shown(path));
            errors.push(FieldError::invalid(path, value.clone(), detail));
        }
    }

    fn validate_text(&self, text: &str, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        let characters = length(text.chars().count());
        if let Some(most) = self.length_max.filter(|most| characters > *most) {
            errors.push(FieldError::too_long(path, usize::try_from(most).unwrap_or(usize::MAX)));
        }
        if let Some(least) = self.length_min.filter(|least| characters < *least) {
            let detail = format!("{} in body should be at least {least} chars long", shown(path));
            errors.push(FieldError::invalid(path, text, detail));
        }
        // Upstream looks at the pattern only when the length is right.
        let right_length = self.length_max.is_none_or(|most| characters <= most)
            && self.length_min.is_none_or(|least| characters >= least);
        if let Some(pattern) = self.pattern.as_ref().filter(|_| right_length)
            && !pattern.compiled.as_ref().is_some_and(|compiled| compiled.is_match(text))
        {
            let detail = format!("{} in body should match '{}'", shown(path), pattern.text);
            errors.push(FieldError::invalid(path, text, detail));
        }
        if let Some(format) = self.format.as_deref().filter(|format| !formats::fits(format, text)) {
            let detail = format!("{} in body must be of type {format}: {}", shown(path), go_text::quote(text));
            errors.push(FieldError::type_invalid(path, text, detail));
        }
    }

    fn validate_number(&self, value: &Value, path: &FieldPath<'_>, errors: &mut Vec<FieldError>) {
        let number = value.as_f64().unwrap_or(f64::NAN);
        let mut complain = |words: &str, limit: &dyn std::fmt::Display| {
            let detail = format!("{} in body should be {words} {limit}", shown(path));
            errors.push(FieldError::invalid(path, value.clone(), detail));
        };
        if let Some((limit, most)) = self.maximum.as_ref().and_then(|limit| Some((limit, limit.as_f64()?))) {
            match self.exclusive_maximum {
                true if number >= most => complain("less than", limit),
                false if number > most => complain("less than or equal to", limit),
                _ => {}
            }
        }
        if let Some((limit, least)) = self.minimum.as_ref().and_then(|limit| Some((limit, limit.as_f64()?))) {
            match self.exclusive_minimum {
                true if number <= least => complain("greater than", limit),
                false if number < least => complain("greater than or equal to", limit),
                _ => {}
            }
        }
        if let Some(factor) = self.multiple_of.filter(|factor| *factor > 0.0)
            && (number / factor).fract() != 0.0
        {
            complain("a multiple of", &factor);
        }
    }

    /// Schemas that are combined.
    fn validate_together(
        &self,
        value: &Value,
        before: Correlation<'_>,
        path: &FieldPath<'_>,
        errors: &mut Vec<FieldError>,
    ) {
        let complaints = |schema: &Structural| {
            let mut found = Vec::new();
            schema.validate(value, before, path, &mut found);
            found
        };
        let mut together = |words: &str, more: &str| {
            let detail = format!("{} must {words}{more}", go_text::quote(&shown(path)));
            errors.push(FieldError::invalid(FieldPath::empty(), "", detail));
        };
        let any: Vec<_> = self.any_of.iter().map(complaints).collect();
        let one: Vec<_> = self.one_of.iter().map(complaints).collect();
        let valid = |found: &[Vec<FieldError>]| found.iter().filter(|found| found.is_empty()).count();
        let mut failures = Vec::new();
        if !any.is_empty() && valid(&any) == 0 {
            together("validate at least one schema (anyOf)", "");
            failures.extend(any.into_iter().next());
        }
        if !one.is_empty() && valid(&one) != 1 {
            match valid(&one) {
                0 => {
                    together("validate one and only one schema (oneOf)", ". Found none valid");
                    failures.extend(one.into_iter().next());
                }
                count => {
                    together("validate one and only one schema (oneOf)", &format!(". Found {count} valid alternatives"))
                }
            }
        }
        let all: Vec<_> = self.all_of.iter().map(complaints).filter(|found| !found.is_empty()).collect();
        if !all.is_empty() {
            let none = if all.len() == self.all_of.len() { ". None validated" } else { "" };
            together("validate all the schemas (allOf)", none);
            failures.extend(all);
        }
        if self.not.as_ref().is_some_and(|schema| complaints(schema).is_empty()) {
            together("not validate the schema (not)", "");
        }
        errors.extend(failures.into_iter().flatten());
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn is_integer(value: &Value) -> bool {
    value.as_number().is_some_and(|number| {
        number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
    })
}

fn same_amount(left: &Value, right: &Value) -> bool {
    left == right || left.as_f64().is_some_and(|left| right.as_f64() == Some(left))
}

/// A value as it stands in a list of allowed values.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| go_text::json(value), str::to_owned)
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The path inside a sentence, where the object itself is nothing.
fn shown(path: &FieldPath<'_>) -> String {
    let text = path.to_string();
    if text == "<nil>" { String::new() } else { text }
}
