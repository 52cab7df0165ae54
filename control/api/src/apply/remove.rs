//! Takes a set of paths out of an object.

use super::field_set::FieldSet;
use super::path::PathElement;
use super::typed::{Kind, child_type, item_element, kind_of_value};
use crate::schema::TypeRef;
use serde_json::Value;

/// The object without the paths. A map or list that loses its last part becomes `null`, which decoding drops.
pub(super) fn remove(schema: TypeRef<'_>, value: &Value, paths: &FieldSet) -> Value {
    if paths.is_empty() {
        return value.clone();
    }
    match (kind_of_value(schema, value), value) {
        (Kind::Map, Value::Object(map)) => {
            let kept = map.iter().filter_map(|(name, value)| {
                let element = PathElement::field(name);
                if paths.has(&element) {
                    return None;
                }
                let value = match (paths.below(&element), child_type(schema, name)) {
                    (Some(below), Some(inner)) => remove(inner, value, below),
                    _ => value.clone(),
                };
                Some((name.clone(), value))
            });
            let kept: serde_json::Map<String, Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Object(kept) }
        }
        (Kind::List, Value::Array(items)) => {
            let kept = items.iter().filter_map(|item| {
                let Ok(element) = item_element(schema, item) else { return Some(item.clone()) };
                if paths.has(&element) {
                    return None;
                }
                match (paths.below(&element), schema.item()) {
                    (Some(below), Some(inner)) => Some(remove(inner, item, below)),
                    _ => Some(item.clone()),
                }
            });
            let kept: Vec<Value> = kept.collect();
            if kept.is_empty() { Value::Null } else { Value::Array(kept) }
        }
        // Paths into something atomic take it as a whole.
        (Kind::Leaf, Value::Object(_) | Value::Array(_)) => Value::Null,
        _ => value.clone(),
    }
}
