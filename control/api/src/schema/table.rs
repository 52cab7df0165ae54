//! Reads the table of facts into the arena. One line per type; names stay borrowed from the binary.

use super::openapi::{Extras, FieldMarks};
use super::{Field, ListType, PatchStrategy, Schema, SchemaBuilder, Shape, Text, Type, TypeId};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

const TABLE: &str = include_str!("../../data/schema-1.34.json");

#[derive(Deserialize)]
struct RawTable<'a> {
    version: &'a str,
    #[serde(borrow)]
    types: Vec<RawType<'a>>,
}

#[derive(Deserialize)]
struct RawType<'a> {
    name: &'a str,
    #[serde(default, borrow)]
    fields: Vec<RawField<'a>>,
    #[serde(borrow, default)]
    map: Option<&'a str>,
    #[serde(default)]
    untyped: bool,
    #[serde(borrow, default)]
    leaf: Option<&'a str>,
    #[serde(borrow, default)]
    format: Option<&'a str>,
    #[serde(default, rename = "oneOf")]
    one_of: Option<Value>,
    #[serde(borrow, default)]
    gvk: Vec<[&'a str; 3]>,
    #[serde(default)]
    unions: Option<Value>,
}

struct RawField<'a> {
    name: &'a str,
    kind: &'a str,
    flags: &'a str,
    more: Option<Box<RawMore<'a>>>,
}

#[derive(Deserialize)]
struct RawMore<'a> {
    #[serde(default)]
    default: Option<Value>,
    #[serde(default, rename = "enum")]
    enumeration: Option<Vec<Value>>,
    #[serde(borrow, default)]
    list: Option<&'a str>,
    #[serde(borrow, default)]
    keys: Vec<&'a str>,
    #[serde(borrow, default)]
    map: Option<&'a str>,
    #[serde(borrow, default)]
    merge: Option<&'a str>,
    #[serde(borrow, default)]
    strategy: Option<&'a str>,
    #[serde(borrow, default)]
    go: Option<&'a str>,
}

impl<'de: 'a, 'a> Deserialize<'de> for RawField<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Items<'a> {
            type Value = RawField<'a>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("[name, type, flags, more?]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawField<'a>, A::Error> {
                let field = RawField {
                    name: items.next_element()?.unwrap_or(""),
                    kind: items.next_element()?.unwrap_or(""),
                    flags: items.next_element()?.unwrap_or(""),
                    more: items.next_element()?,
                };
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(field)
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// The built-in schema. The table is part of the binary and is read by a test, so that it cannot be malformed here.
pub(super) fn load() -> Schema {
    let table: RawTable<'static> = match serde_json::from_str(TABLE) {
        Ok(table) => table,
        Err(error) => unreachable!("the table in the binary is malformed: {error}"),
    };
    let mut loader = Loader { builder: SchemaBuilder::new(table.version), leaves: HashMap::new() };
    for raw in &table.types {
        loader.declare(raw);
    }
    for raw in table.types {
        loader.define(raw);
    }
    loader.builder.build()
}

struct Loader {
    builder: SchemaBuilder,
    leaves: HashMap<&'static str, TypeId>,
}

/// The shapes of the types that upstream reads and writes with code of their own.
fn special(name: &str) -> Option<Shape> {
    Some(match name.rsplit("io.k8s.").next()? {
        "apimachinery.pkg.apis.meta.v1.Time" => Shape::Time,
        "apimachinery.pkg.apis.meta.v1.MicroTime" => Shape::MicroTime,
        "apimachinery.pkg.api.resource.Quantity" => Shape::Quantity,
        "apimachinery.pkg.util.intstr.IntOrString" => Shape::IntOrString,
        "apimachinery.pkg.apis.meta.v1.FieldsV1"
        | "apimachinery.pkg.apis.meta.v1.Patch"
        | "apimachinery.pkg.runtime.RawExtension" => Shape::Any,
        _ => return None,
    })
}

impl Loader {
    /// Makes room for a named type, so that types can refer to each other.
    fn declare(&mut self, raw: &RawType<'static>) {
        let shape = match special(raw.name) {
            Some(shape) => shape,
            None if raw.untyped => Shape::Any,
            None => Shape::Struct(Box::default()),
        };
        let id = self.builder.add(raw.name, shape, raw.map == Some("atomic"));
        let extras = Extras {
            map_type: raw.map.map(Text::from),
            type_name: match (raw.untyped, raw.leaf) {
                (true, _) => None,
                (false, leaf) => Some(Text::from(leaf.unwrap_or("object"))),
            },
            format: raw.format.map(Text::from),
            one_of: raw.one_of.clone(),
            kinds: raw.gvk.iter().map(|kind| kind.map(Text::from)).collect(),
            unions: raw.unions.clone(),
        };
        self.builder.schema.types[id.0 as usize].openapi = Some(Box::new(extras));
    }

    fn define(&mut self, raw: RawType<'static>) {
        if raw.fields.is_empty() {
            return;
        }
        let mut fields: Vec<Field> = raw.fields.into_iter().map(|field| self.field(field)).collect();
        for (place, field) in (0_u16..).zip(&mut fields) {
            field.place = place;
        }
        if let Some(id) = self.builder.schema.names.get(raw.name).copied() {
            self.builder.schema.types[id.0 as usize].shape = SchemaBuilder::fields(fields);
        }
    }

    fn field(&mut self, raw: RawField<'static>) -> Field {
        let more = raw.more.map(|more| *more);
        let ty = self.type_of(raw.kind, more.as_ref());
        let mut field = SchemaBuilder::field(raw.name, ty);
        let has = |flag: char| raw.flags.contains(flag);
        field.required = has('r');
        field.pointer = has('p');
        field.omit_empty = has('e');
        field.omit_zero = has('z');
        field.openapi = FieldMarks { empty_default: has('d'), items_default: has('i'), ..FieldMarks::default() };
        if let Some(more) = more {
            let strategy = more.strategy.unwrap_or("");
            field.strategy = PatchStrategy {
                merge: strategy.split(',').any(|word| word == "merge"),
                retain_keys: strategy.split(',').any(|word| word == "retainKeys"),
                replace: strategy == "replace",
            };
            field.openapi.map_type = more.map.map(Text::from);
            field.openapi.list_type = more.list.is_some();
            field.default = more.default.map(Box::new);
            field.enumeration = more.enumeration.map(Vec::into_boxed_slice);
            field.merge_key = more.merge.map(Text::from);
            field.go_name = more.go.map(Text::from);
        }
        field
    }

    fn type_of(&mut self, kind: &'static str, more: Option<&RawMore<'static>>) -> TypeId {
        let map_type = more.and_then(|more| more.map);
        if let Some(item) = kind.strip_prefix("[]") {
            let item = self.type_of(item, None);
            let list_type = match more.and_then(|more| more.list) {
                Some("set") => ListType::Set,
                Some("map") => {
                    ListType::Map(more.into_iter().flat_map(|more| &more.keys).map(|key| Text::from(*key)).collect())
                }
                _ => ListType::Atomic,
            };
            return self.builder.add("", Shape::List(item, list_type), false);
        }
        if let Some(value) = kind.strip_prefix("{}") {
            let value = self.type_of(value, None);
            return self.builder.add("", Shape::Map(value), map_type == Some("atomic"));
        }
        let id = self.named(kind);
        // A field may say otherwise than its type about being atomic: then it gets a type of its own.
        match map_type {
            Some(map_type) if (map_type == "atomic") != self.builder.schema.get(id).atomic => self.vary(kind, map_type),
            _ => id,
        }
    }

    /// A field's own variant of a named struct. Its fields are known by then or are copied when the struct is small and
    /// was defined earlier: the table is sorted, and the one case (`claimRef`) refers backwards.
    fn vary(&mut self, kind: &'static str, map_type: &str) -> TypeId {
        let id = self.named(kind);
        let variant = Type { atomic: map_type == "atomic", ..self.builder.schema.get(id).clone() };
        self.builder.schema.types.push(variant);
        TypeId(u32::try_from(self.builder.schema.types.len() - 1).unwrap_or(u32::MAX))
    }

    fn named(&mut self, kind: &'static str) -> TypeId {
        if let Some(id) = self.builder.schema.names.get(kind) {
            return *id;
        }
        if let Some(id) = self.leaves.get(kind) {
            return *id;
        }
        let shape = match kind {
            "string" => Shape::String,
            "int32" => Shape::Int32,
            "int64" => Shape::Int64,
            "double" => Shape::Double,
            "bool" => Shape::Bool,
            "bytes" => Shape::Bytes,
            _ => Shape::Any,
        };
        let id = self.builder.add("", shape, false);
        self.leaves.insert(kind, id);
        id
    }
}
