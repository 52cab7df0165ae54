//! The structural schema of a custom resource: what of an object is kept, what is filled in, and what is wrong with it.
//!
//! The validation document of a CustomResourceDefinition says three things at once: a shape, how parts merge, and which
//! values are allowed. [`Schema::custom`] reads it once into a [`Structural`] (for reading objects: pruning, defaulting,
//! validation) and into the same arena of types that built-in kinds have (for patches, apply and managed fields).

mod arena;
mod formats;
mod parse;
mod validate;

pub(crate) use parse::is_pattern;
pub use validate::Correlation;

use super::{ListType, Schema, TypeRef};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields that every resource has whatever its schema says.
const RESOURCE_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];

/// What `type` says of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ValueType {
    /// Nothing.
    #[default]
    Unsaid,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

/// A node of the schema.
#[derive(Clone, Debug, Default)]
pub struct Structural {
    value_type: ValueType,
    nullable: bool,
    preserves_unknown: bool,
    /// A whole resource inside another one.
    embedded: bool,
    list_type: Option<ListType>,
    atomic_map: bool,
    properties: BTreeMap<String, Structural>,
    /// What the values of fields without a property of their own look like.
    additional: Option<Box<Structural>>,
    items: Option<Box<Structural>>,
    default: Option<Value>,
    limits: Option<Box<Limits>>,
    has_rules: bool,
}

/// Which values are allowed.
#[derive(Clone, Debug, Default)]
struct Limits {
    required: Vec<String>,
    enumeration: Option<Vec<Value>>,
    format: Option<String>,
    pattern: Option<Pattern>,
    minimum: Option<Value>,
    maximum: Option<Value>,
    exclusive_minimum: bool,
    exclusive_maximum: bool,
    multiple_of: Option<f64>,
    length_min: Option<u64>,
    length_max: Option<u64>,
    items_min: Option<u64>,
    items_max: Option<u64>,
    properties_min: Option<u64>,
    properties_max: Option<u64>,
    unique: bool,
    all_of: Vec<Structural>,
    any_of: Vec<Structural>,
    one_of: Vec<Structural>,
    not: Option<Structural>,
}

/// A pattern as it was written, and compiled where that is possible.
#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    compiled: Option<Regex>,
}

impl Schema {
    /// The schema of one version of a custom resource. `name` is the name of its type, `document` what the definition
    /// has under `openAPIV3Schema`; nothing in it is required to be valid, and what cannot be understood says nothing.
    #[must_use]
    pub fn custom(name: &str, document: &Value) -> Self {
        let structural = Structural::parse(document);
        arena::build(name, structural)
    }

    /// The type of the custom resource that the schema is made for.
    #[must_use]
    pub fn root(&self) -> Option<TypeRef<'_>> {
        self.custom.as_ref().map(|(id, _)| TypeRef { schema: self, id: *id })
    }
}

impl Structural {
    /// Whether this schema, or any part of it, has rules (`x-kubernetes-validations`).
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.has_rules
            || self.properties.values().any(Self::has_rules)
            || self.additional.as_ref().is_some_and(|additional| additional.has_rules())
            || self.items.as_ref().is_some_and(|items| items.has_rules())
    }

    /// Whether an absent or null value is to be replaced by the default.
    fn fills(&self, value: Option<&Value>) -> bool {
        self.default.is_some() && value.is_none_or(|value| value.is_null() && !self.nullable)
    }

    /// Removes what the schema does not know from an object of the kind, and says what it was.
    pub fn prune_object(&self, object: &mut Value) -> Vec<String> {
        let mut unknown = Vec::new();
        prune(Some(self), true, object, &mut String::new(), &mut unknown);
        unknown
    }

    /// Fills in the defaults, and drops the nulls of fields that may not be null.
    pub fn default_object(&self, object: &mut Value) {
        self.fill(object);
        self.drop_nulls(object, true);
    }

    fn fill(&self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (name, property) in &self.properties {
                    if let Some(default) = property.default.as_ref().filter(|_| property.fills(map.get(name))) {
                        map.insert(name.clone(), default.clone());
                    }
                }
                for (name, value) in map.iter_mut() {
                    if let Some(property) = self.properties.get(name) {
                        property.fill(value);
                    } else if let Some(additional) = &self.additional {
                        additional.fill_in_place(value);
                    }
                }
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.fill_in_place(item));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn fill_in_place(&self, value: &mut Value) {
        if let Some(default) = self.default.as_ref().filter(|_| self.fills(Some(value))) {
            *value = default.clone();
        }
        self.fill(value);
    }

    fn drop_nulls(&self, value: &mut Value, resource: bool) {
        match value {
            Value::Object(map) => {
                map.retain(|name, value| {
                    let own = resource && RESOURCE_FIELDS.contains(&name.as_str());
                    let schema = self.properties.get(name).or(self.additional.as_deref());
                    let Some(schema) = schema.filter(|_| !own) else { return true };
                    if value.is_null() && !schema.nullable && !schema.preserves_unknown {
                        return schema.default.is_some();
                    }
                    schema.drop_nulls(value, schema.embedded);
                    true
                });
            }
            Value::Array(items) => {
                if let Some(schema) = &self.items {
                    items.iter_mut().for_each(|item| schema.drop_nulls(item, schema.embedded));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// Removes what the schema does not know; without a schema no field is known.
fn prune(schema: Option<&Structural>, resource: bool, value: &mut Value, path: &mut String, unknown: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::Object(map) => prune_map(schema, resource, map, path, unknown),
        Value::Array(items) => {
            let schema = schema.and_then(|schema| match &schema.items {
                Some(items) => Some(&**items),
                // What may hold anything may hold lists of anything.
                None => Some(schema).filter(|schema| schema.preserves_unknown),
            });
            for (index, item) in items.iter_mut().enumerate() {
                path.push_str(&format!("[{index}]"));
                prune(schema, schema.is_some_and(|schema| schema.embedded), item, path, unknown);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn prune_map(
    schema: Option<&Structural>,
    resource: bool,
    map: &mut Map<String, Value>,
    path: &mut String,
    unknown: &mut Vec<String>,
) {
    let length = path.len();
    map.retain(|name, value| {
        if resource && RESOURCE_FIELDS.contains(&name.as_str()) {
            return true;
        }
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        let inner = schema.and_then(|schema| schema.properties.get(name).or(schema.additional.as_deref()));
        let kept = inner.is_some() || schema.is_some_and(|schema| schema.preserves_unknown);
        if let Some(inner) = inner {
            prune(Some(inner), inner.embedded, value, path, unknown);
        } else if !kept {
            unknown.push(path.clone());
        }
        path.truncate(length);
        kept
    });
}

#[cfg(test)]
mod tests;
