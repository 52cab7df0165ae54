//! The types of a custom resource in the form that built-in kinds have.

use super::{RESOURCE_FIELDS, Structural, ValueType};
use crate::schema::{ListType, Schema, SchemaBuilder, Shape, TypeId, TypeRef};
use std::collections::HashMap;

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The schema of which `structural` is the root.
pub(super) fn build(name: &str, structural: Structural) -> Schema {
    let mut maker = Maker::new();
    let root = maker.object(&structural, name, true);
    let mut schema = maker.builder.build();
    schema.custom = Some((root, structural));
    schema
}

struct Maker {
    builder: SchemaBuilder,
    text: TypeId,
    deduced: TypeId,
    metadata: TypeId,
}

impl Maker {
    fn new() -> Self {
        let mut builder = SchemaBuilder::default();
        let text = builder.add("", Shape::String, false);
        let deduced = builder.add("", Shape::Deduced, false);
        let metadata = match Schema::builtin().find(OBJECT_META) {
            Some(metadata) => import(&mut builder, metadata, &mut HashMap::new()),
            None => deduced,
        };
        Self { builder, text, deduced, metadata }
    }

    fn add(&mut self, schema: &Structural) -> TypeId {
        if schema.embedded {
            return self.object(schema, "", true);
        }
        let shape = match schema.value_type {
            ValueType::String => return self.text,
            ValueType::Integer => Shape::Int64,
            ValueType::Number => Shape::Double,
            ValueType::Boolean => Shape::Bool,
            ValueType::IntOrString => Shape::IntOrString,
            ValueType::Array => {
                let item = schema.items.as_ref().map_or(self.deduced, |items| self.add(items));
                Shape::List(item, schema.list_type.clone().unwrap_or(ListType::Atomic))
            }
            ValueType::Object | ValueType::Unsaid => return self.object(schema, "", false),
        };
        self.builder.add("", shape, false)
    }

    fn object(&mut self, schema: &Structural, name: &str, resource: bool) -> TypeId {
        let rest = match &schema.additional {
            Some(additional) => Some(self.add(additional)),
            None => schema.preserves_unknown.then_some(self.deduced),
        };
        if schema.properties.is_empty() && !resource {
            return match (schema.value_type, rest) {
                (_, Some(rest)) if schema.additional.is_some() => {
                    self.builder.add("", Shape::Map(rest), schema.atomic_map)
                }
                _ if schema.atomic_map => self.builder.add("", Shape::Map(self.deduced), true),
                _ => self.deduced,
            };
        }
        let mut fields = Vec::with_capacity(schema.properties.len() + RESOURCE_FIELDS.len());
        if resource {
            fields.push(SchemaBuilder::field("apiVersion", self.text));
            fields.push(SchemaBuilder::field("kind", self.text));
            fields.push(SchemaBuilder::field("metadata", self.metadata));
        }
        for (name, property) in &schema.properties {
            if resource && RESOURCE_FIELDS.contains(&name.as_str()) {
                continue;
            }
            let ty = self.add(property);
            let mut field = SchemaBuilder::field(name.clone(), ty);
            field.default = property.default.clone().map(Box::new);
            fields.push(field);
        }
        let id = self.builder.add(name.to_owned(), SchemaBuilder::fields(fields), schema.atomic_map);
        self.builder.schema.types[id.0 as usize].rest = rest;
        id
    }
}

/// Copies a type of another schema, with everything that it refers to.
fn import(builder: &mut SchemaBuilder, ty: TypeRef<'static>, known: &mut HashMap<TypeId, TypeId>) -> TypeId {
    if let Some(id) = known.get(&ty.id) {
        return *id;
    }
    let original = ty.inner();
    let id = builder.add(original.name.clone(), Shape::Any, original.atomic);
    known.insert(ty.id, id);
    let mut inside = |id: TypeId| import(builder, TypeRef { schema: ty.schema, id }, known);
    let shape = match ty.shape() {
        Shape::Struct(fields) => {
            let mut fields = fields.to_vec();
            fields.iter_mut().for_each(|field| field.ty = inside(field.ty));
            SchemaBuilder::fields(fields)
        }
        Shape::Map(value) => Shape::Map(inside(*value)),
        Shape::List(item, list_type) => Shape::List(inside(*item), list_type.clone()),
        other => other.clone(),
    };
    builder.schema.types[id.0 as usize].shape = shape;
    id
}
