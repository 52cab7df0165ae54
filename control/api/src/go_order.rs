//! JSON with the fields of built-in objects in the order of upstream's Go structs.
//!
//! A JSON object has no order, but bodies are read by people, compared as text by clients' own tests, and named by position
//! in error messages ("expected Pod at line 1 column 17"). Upstream prints built-in objects struct by struct, `kind` first, and
//! custom objects sorted by key: so does [`to_vec`]. The order comes with the schema table ([`Field::place`]).

use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};
use serde_json::{Map, Value};

use crate::kinds::find_kind;
use crate::schema::{Field, Schema, Shape, TypeRef};

/// Compact JSON of an object, ordered by what its `apiVersion` and `kind` name; sorted by key where they name nothing
/// built in.
#[must_use]
pub fn to_vec(object: &Value) -> Vec<u8> {
    // Encoding a `Value` to memory cannot fail: its keys are texts and its numbers finite.
    match type_of(object) {
        Some(ty) => serde_json::to_vec(&Ordered { value: object, ty }),
        None => serde_json::to_vec(object),
    }
    .unwrap_or_default()
}

fn type_of(object: &Value) -> Option<TypeRef<'static>> {
    let kind = object.get("kind")?.as_str()?;
    let api_version = object.get("apiVersion")?.as_str()?;
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    Schema::builtin().find(&find_kind(group, version, kind)?.schema)
}

/// A value that is printed in the order of its type.
struct Ordered<'a> {
    value: &'a Value,
    ty: TypeRef<'a>,
}

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.value, self.ty.shape()) {
            (Value::Object(map), Shape::Struct(_)) => serialize_struct(map, self.ty, serializer),
            (Value::Object(map), _) => match self.ty.item() {
                Some(ty) => {
                    let mut out = serializer.serialize_map(Some(map.len()))?;
                    for (key, value) in map {
                        out.serialize_entry(key, &Ordered { value, ty })?;
                    }
                    out.end()
                }
                None => map.serialize(serializer),
            },
            (Value::Array(items), _) => match self.ty.item() {
                Some(ty) => {
                    let mut out = serializer.serialize_seq(Some(items.len()))?;
                    for value in items {
                        out.serialize_element(&Ordered { value, ty })?;
                    }
                    out.end()
                }
                None => items.serialize(serializer),
            },
            (other, _) => other.serialize(serializer),
        }
    }
}

fn serialize_struct<S: Serializer>(
    map: &Map<String, Value>,
    ty: TypeRef<'_>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut members: Vec<(&String, &Value, Option<&Field>)> =
        map.iter().map(|(key, value)| (key, value, ty.field(key))).collect();
    // What the type does not know comes last. The sort is stable, so that it stays sorted by key.
    members.sort_by_key(|(_, _, field)| field.map_or(u16::MAX, |field| field.place));
    let mut out = serializer.serialize_map(Some(members.len()))?;
    for (key, value, field) in members {
        match field {
            Some(field) => out.serialize_entry(key, &Ordered { value, ty: ty.of(field) })?,
            None => out.serialize_entry(key, value)?,
        }
    }
    out.end()
}

#[cfg(test)]
mod tests;
