//! Objects seen through their type: what a value may be, its set of paths, and how list items are told apart.

use super::field_set::FieldSet;
use super::path::{PathElement, compare_values};
use crate::go_text;
use crate::schema::{ListType, Shape, TypeRef};
use serde_json::Value;
use std::collections::BTreeSet;

/// How a value is taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not at all: a scalar, or something atomic.
    Leaf,
    /// By field or key.
    Map,
    /// By item.
    List,
}

pub(super) fn kind_of(schema: TypeRef<'_>) -> Kind {
    match schema.shape() {
        // A map until its value says otherwise.
        Shape::Deduced => Kind::Map,
        _ if schema.is_leaf() => Kind::Leaf,
        Shape::List(..) => Kind::List,
        _ => Kind::Map,
    }
}

/// The same where the type leaves it to the value.
pub(super) fn kind_of_value(schema: TypeRef<'_>, value: &Value) -> Kind {
    match (schema.shape(), value) {
        (Shape::Deduced, Value::Object(_)) => Kind::Map,
        (Shape::Deduced, _) => Kind::Leaf,
        _ => kind_of(schema),
    }
}

/// The same for two values, of which one may be absent; values of different kinds are taken as wholes.
pub(super) fn kind_of_values(schema: TypeRef<'_>, left: Option<&Value>, right: Option<&Value>) -> Kind {
    match (left, right) {
        (Some(left), Some(right)) => match kind_of_value(schema, left) {
            Kind::Map if kind_of_value(schema, right) != Kind::Map => Kind::Leaf,
            kind => kind,
        },
        (Some(value), None) | (None, Some(value)) => kind_of_value(schema, value),
        (None, None) => kind_of(schema),
    }
}

/// The type of a struct's field or a map's value.
pub(super) fn child_type<'a>(schema: TypeRef<'a>, name: &str) -> Option<TypeRef<'a>> {
    match schema.field(name) {
        Some(field) => Some(schema.of(field)),
        None if matches!(schema.shape(), Shape::Map(_)) => schema.item(),
        None if matches!(schema.shape(), Shape::Deduced) => Some(schema),
        None => schema.rest(),
    }
}

/// Equal values; numbers by amount.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    left == right || compare_values(left, right).is_eq()
}

/// What tells an item of a list from the others: its keys (with their defaults), or itself in a set.
pub(super) fn item_element(list: TypeRef<'_>, item: &Value) -> Result<PathElement, String> {
    let keys = match list.list_type() {
        Some(ListType::Map(keys)) => keys,
        Some(ListType::Set) => {
            return match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".to_owned()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".to_owned()),
                scalar => Ok(PathElement::Value(scalar.clone())),
            };
        }
        _ => return Err("invalid indexing of non-associative list".to_owned()),
    };
    let map = match item {
        Value::Object(map) => map,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let mut element = Vec::with_capacity(keys.len());
    for key in keys {
        let value = map.get(&**key).cloned();
        let value = value.or_else(|| list.item()?.field(key)?.key_default(list.item()?));
        if let Some(value) = value {
            element.push((Box::from(&**key), value));
        }
    }
    if element.is_empty() && !keys.is_empty() {
        let keys: Vec<String> = keys.iter().map(|key| go_text::quote(key)).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default values for any key fields)",
            keys.join(" ")
        ));
    }
    element.sort_by(|left: &(Box<str>, Value), right| left.0.cmp(&right.0));
    Ok(PathElement::Key(element))
}

/// The paths that a configuration states.
///
/// # Errors
/// The complaints when it does not follow the schema.
pub(super) fn field_set(schema: TypeRef<'_>, config: &Value) -> Result<FieldSet, String> {
    let mut complaints = Vec::new();
    validate(schema, config, "", &mut complaints);
    match complaints.as_slice() {
        [] => field_set_of(schema, config),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

/// The paths that a valid value states.
pub(super) fn field_set_of(schema: TypeRef<'_>, value: &Value) -> Result<FieldSet, String> {
    let mut set = FieldSet::default();
    match (kind_of_value(schema, value), value) {
        (Kind::Map, Value::Object(map)) => {
            for (name, value) in map {
                let Some(inner) = child_type(schema, name) else { continue };
                let leaf = kind_of_value(inner, value) == Kind::Leaf;
                let below = if leaf { FieldSet::default() } else { field_set_of(inner, value)? };
                // A leaf is stated; so is `null`, an empty map, and every entry of a map.
                let member = leaf
                    || value.is_null()
                    || value.as_object().is_some_and(serde_json::Map::is_empty)
                    || schema.field(name).is_none();
                set.add(PathElement::field(name), member, below);
            }
        }
        (Kind::List, Value::Array(items)) => {
            let Some(inner) = schema.item() else { return Ok(set) };
            let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
            let mut elements = Vec::with_capacity(items.len());
            for item in items {
                let element = item_element(schema, item)?;
                if !seen.insert(element.clone()) {
                    twice.insert(element.clone());
                }
                elements.push((element, item));
            }
            elements.sort_by(|left, right| left.0.cmp(&right.0));
            for (element, item) in elements {
                let leaf = kind_of_value(inner, item) == Kind::Leaf || twice.contains(&element);
                let below = if leaf { FieldSet::default() } else { field_set_of(inner, item)? };
                set.add(element, true, below);
            }
        }
        _ => {}
    }
    Ok(set)
}

/// Collects what is wrong with a configuration, each with its path.
fn validate(schema: TypeRef<'_>, value: &Value, path: &str, complaints: &mut Vec<String>) {
    let mut complain = |message: String| {
        complaints.push(if path.is_empty() { message } else { format!("{path}: {message}") });
    };
    match (schema.shape(), value) {
        (_, Value::Null) | (Shape::Any | Shape::Deduced, _) => {}
        (Shape::Struct(_) | Shape::Map(_), Value::Object(map)) => {
            for (name, value) in map {
                let path = format!("{path}.{name}");
                match child_type(schema, name) {
                    Some(inner) => validate(inner, value, &path, complaints),
                    None => {
                        // Upstream looks no further in this map.
                        complaints.push(format!("{path}: field not declared in schema"));
                        return;
                    }
                }
            }
        }
        (Shape::Struct(_) | Shape::Map(_), other) => {
            complain(format!("expected map, got &{{{}}}", go_text::display(other)))
        }
        (Shape::List(..), Value::Array(items)) => validate_items(schema, items, path, complaints),
        (Shape::List(..), other) => complain(format!("expected list, got &{{{}}}", go_text::display(other))),
        (Shape::Int32 | Shape::Int64 | Shape::Double, Value::Number(_)) => {}
        (Shape::Int32 | Shape::Int64 | Shape::Double, other) => {
            complain(format!("expected numeric (int or float), got {}", go_text::type_name(other)));
        }
        (Shape::String | Shape::Bytes, Value::String(_)) | (Shape::Bool, Value::Bool(_)) => {}
        (Shape::String | Shape::Bytes, other) => {
            complain(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(other)));
        }
        (Shape::Bool, other) => complain(format!("expected boolean, got &{{{}}}", go_text::display(other))),
        (_, Value::Object(_) | Value::Array(_)) => {
            complain(format!("expected any scalar, got &{{{}}}", go_text::display(value)));
        }
        _ => {}
    }
}

fn validate_items(schema: TypeRef<'_>, items: &[Value], path: &str, complaints: &mut Vec<String>) {
    let Some(inner) = schema.item() else { return };
    let mut seen = BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let element = if schema.is_leaf() {
            PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
        } else {
            match item_element(schema, item) {
                Ok(element) => element,
                Err(error) => {
                    complaints.push(format!("{path}: element {index}: {error}"));
                    return;
                }
            }
        };
        let item_path = format!("{path}{element}");
        if !schema.is_leaf() && !seen.insert(element.clone()) {
            complaints.push(format!("{path}: duplicate entries for key {element}"));
        }
        validate(inner, item, &item_path, complaints);
    }
}

/// A value as Go's `%#v` prints it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::String(text) => go_text::quote(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{}:{}", go_text::quote(key), go_syntax(value))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        scalar => scalar.to_string(),
    }
}
