//! Types of the definitions of custom resources whose JSON is one of two things, and whose message has a field for each.
//!
//! ```text
//! JSONSchemaPropsOrBool{ 1: allows, 2: schema }   JSONSchemaPropsOrArray{ 1: schema, 2: schemas }
//! JSONSchemaPropsOrStringArray{ 1: schema, 2: texts }
//! ```

use serde_json::Value;

use super::write::{Writer, tag, varint};
use super::{Fields, ReadProtobufError, Wire, read_struct, text};
use crate::schema::{Schema, TypeRef};

const PACKAGE: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.";
const SCHEMA: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

/// Whether the type is one of these.
pub(super) fn is_either(name: &str) -> bool {
    name.strip_prefix(PACKAGE).is_some_and(|name| name.starts_with("JSONSchemaPropsOr"))
}

fn schema() -> Option<TypeRef<'static>> {
    Schema::builtin().find(SCHEMA)
}

pub(super) fn read(bytes: &[u8], name: &str, ty: TypeRef<'_>, depth: usize) -> Result<Value, ReadProtobufError> {
    let Some(schema) = schema() else { return Ok(Value::Null) };
    let (mut one, mut many, mut allows) = (None, Vec::new(), false);
    let texts = ty.name().ends_with("OrStringArray");
    let boolean = ty.name().ends_with("OrBool");
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Number(number)) => allows = number != 0,
            (1, Wire::Bytes(bytes)) => one = Some(read_struct(bytes, schema, depth)?),
            (2, Wire::Bytes(bytes)) if boolean => one = Some(read_struct(bytes, schema, depth)?),
            (2, Wire::Bytes(bytes)) if texts => many.push(Value::from(text(bytes, name)?)),
            (2, Wire::Bytes(bytes)) => many.push(read_struct(bytes, schema, depth)?),
            _ => {}
        }
    }
    Ok(match one {
        Some(one) => one,
        None if boolean => Value::Bool(allows),
        None => Value::Array(many),
    })
}

pub(super) fn write(writer: &mut Writer, ty: TypeRef<'_>, value: &Value, depth: usize) {
    let Some(schema) = schema() else { return };
    let boolean = ty.name().ends_with("OrBool");
    if boolean {
        tag(&mut writer.out, 1, 0);
        varint(&mut writer.out, u64::from(*value != Value::Bool(false)));
    }
    match value {
        Value::Object(_) => {
            writer.message(if boolean { 2 } else { 1 }, |writer| writer.value(schema, value, depth + 1));
        }
        Value::Array(items) => {
            for item in items {
                writer.message(2, |writer| match item {
                    Value::String(text) => writer.out.extend_from_slice(text.as_bytes()),
                    item => writer.value(schema, item, depth + 1),
                });
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
