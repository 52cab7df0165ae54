//! What upstream writes although nobody said it: defaults of the schema, and empty values that Go never leaves out.

use super::{Field, Shape, TypeRef};
use serde_json::{Map, Value};

/// Nesting at which filling stops; decoded objects are never deeper.
const DEPTH_MAX: usize = 128;

/// Fills in the defaults that the schema gives (`protocol: TCP`), in what is already there. Idempotent.
///
/// Empty defaults (`{}`, `""`, `0`) are not defaults: they say that the empty value is always written, which
/// [`fill_zeros`] does.
pub fn default_by_schema(schema: TypeRef<'_>, value: &mut Value) {
    match schema.structural() {
        Some(structural) => structural.default_object(value),
        None => default_at(schema, value, DEPTH_MAX),
    }
}

fn default_at(schema: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth == 0 {
        return;
    }
    match (schema.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => {
            for field in fields {
                match map.get_mut(&*field.name) {
                    Some(value) if !value.is_null() => default_at(schema.of(field), value, depth - 1),
                    _ => {
                        if let Some(default) = &field.default {
                            map.insert(field.name.to_string(), (**default).clone());
                        }
                    }
                }
            }
        }
        (Shape::List(..), Value::Array(items)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                items.iter_mut().for_each(|value| default_at(item, value, depth - 1));
            }
        }
        (Shape::Map(_), Value::Object(map)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                map.values_mut().for_each(|value| default_at(item, value, depth - 1));
            }
        }
        _ => {}
    }
}

/// Adds every field that Go writes even when it is empty: `resources: {}`, `status: {}`, `lastProbeTime: null`,
/// `rules: null`. Idempotent. To be called on every object before its managed fields are tracked and before it is stored.
pub fn fill_zeros(schema: TypeRef<'_>, value: &mut Value) {
    fill_at(schema, value, DEPTH_MAX);
}

fn fill_at(schema: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth == 0 {
        return;
    }
    match (schema.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => {
            for field in fields {
                fill_field(schema, field, map, depth);
            }
        }
        (Shape::List(..), Value::Array(items)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                items.iter_mut().for_each(|value| fill_at(item, value, depth - 1));
            }
        }
        (Shape::Map(_), Value::Object(map)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                map.values_mut().for_each(|value| fill_at(item, value, depth - 1));
            }
        }
        _ => {}
    }
}

fn fill_field(schema: TypeRef<'_>, field: &Field, map: &mut Map<String, Value>, depth: usize) {
    let ty = schema.of(field);
    if let Some(value) = map.get_mut(&*field.name) {
        return fill_at(ty, value, depth - 1);
    }
    if field.omit_empty {
        return;
    }
    let mut zero = zero(ty, field.pointer);
    fill_at(ty, &mut zero, depth - 1);
    map.insert(field.name.to_string(), zero);
}

/// Turns empty lists and maps that Go writes into `null`, which is what comes back for them from upstream's store. Idempotent.
/// To be called after the managed fields have been tracked: who sends `rules: []` owns `f:rules` all the same.
pub fn empty_to_null(schema: TypeRef<'_>, value: &mut Value) {
    if schema.structural().is_none() {
        empty_at(schema, value, DEPTH_MAX);
    }
}

fn empty_at(schema: TypeRef<'_>, value: &mut Value, depth: usize) {
    if depth == 0 {
        return;
    }
    match (schema.shape(), value) {
        (Shape::Struct(fields), Value::Object(map)) => {
            for field in fields {
                let Some(value) = map.get_mut(&*field.name) else { continue };
                let ty = schema.of(field);
                if !field.pointer && is_empty_collection(ty, value) {
                    *value = Value::Null;
                } else {
                    empty_at(ty, value, depth - 1);
                }
            }
        }
        (Shape::List(..), Value::Array(items)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                items.iter_mut().for_each(|value| empty_at(item, value, depth - 1));
            }
        }
        (Shape::Map(_), Value::Object(map)) => {
            if let Some(item) = schema.item().filter(|item| !item.is_scalar()) {
                map.values_mut().for_each(|value| empty_at(item, value, depth - 1));
            }
        }
        _ => {}
    }
}

fn is_empty_collection(ty: TypeRef<'_>, value: &Value) -> bool {
    match (ty.shape(), value) {
        (Shape::List(..), Value::Array(items)) => items.is_empty(),
        (Shape::Map(_), Value::Object(map)) => map.is_empty(),
        _ => false,
    }
}

/// What Go writes for a field that nobody set.
pub(crate) fn zero(ty: TypeRef<'_>, pointer: bool) -> Value {
    if pointer {
        return Value::Null;
    }
    match ty.shape() {
        Shape::Struct(_) => Value::Object(Map::new()),
        Shape::String => Value::from(""),
        Shape::Int32 | Shape::Int64 | Shape::IntOrString => Value::from(0),
        Shape::Double => Value::from(0.0),
        Shape::Bool => Value::Bool(false),
        Shape::Quantity => Value::from("0"),
        Shape::Map(_)
        | Shape::List(..)
        | Shape::Bytes
        | Shape::Time
        | Shape::MicroTime
        | Shape::Any
        | Shape::Deduced => Value::Null,
    }
}
