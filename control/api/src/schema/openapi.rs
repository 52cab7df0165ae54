//! Gives the types back as OpenAPI v3 schemas with the `x-kubernetes-*` extensions, as upstream publishes them.

use super::{Field, ListType, Schema, Shape, Text, TypeRef};
use serde_json::{Map, Value, json};

/// What only the published document needs to know of a type.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    pub(super) map_type: Option<Text>,
    /// `object`, `string`...; `None` for a type that says nothing about its values.
    pub(super) type_name: Option<Text>,
    pub(super) format: Option<Text>,
    pub(super) one_of: Option<Value>,
    /// Group, version, kind.
    pub(super) kinds: Vec<[Text; 3]>,
    pub(super) unions: Option<Value>,
}

/// What only the published document needs to know of a field.
#[derive(Clone, Debug, Default)]
pub(super) struct FieldMarks {
    /// The document names the empty value as the default.
    pub(super) empty_default: bool,
    /// The same for the innermost items of a list or values of a map.
    pub(super) items_default: bool,
    pub(super) map_type: Option<Text>,
    /// The document names the list's type; lists without are atomic.
    pub(super) list_type: bool,
}

/// The OpenAPI v3 schema of a built-in type, for `components.schemas`; `None` when there is no such type.
#[must_use]
pub fn openapi_definition(name: &str) -> Option<Value> {
    Schema::builtin().find(name).map(TypeRef::openapi)
}

impl<'a> TypeRef<'a> {
    /// The type as an OpenAPI v3 schema. Named types inside are references into `#/components/schemas/`.
    #[must_use]
    pub fn openapi(self) -> Value {
        let mut out = Map::new();
        let inner = self.inner();
        if let Some(extras) = inner.openapi.as_deref() {
            insert_text(&mut out, "type", extras.type_name.as_deref());
            insert_text(&mut out, "format", extras.format.as_deref());
            insert_text(&mut out, "x-kubernetes-map-type", extras.map_type.as_deref());
            if let Some(one_of) = &extras.one_of {
                out.insert("oneOf".to_owned(), one_of.clone());
            }
            if let Some(unions) = &extras.unions {
                out.insert("x-kubernetes-unions".to_owned(), unions.clone());
            }
            if !extras.kinds.is_empty() {
                let kinds = extras
                    .kinds
                    .iter()
                    .map(|[group, version, kind]| json!({"group": group, "version": version, "kind": kind}));
                out.insert("x-kubernetes-group-version-kind".to_owned(), Value::Array(kinds.collect()));
            }
        }
        let fields = self.fields();
        if !fields.is_empty() {
            let properties = fields.iter().map(|field| (field.name.to_string(), self.openapi_field(field)));
            out.insert("properties".to_owned(), Value::Object(properties.collect()));
            let required: Vec<Value> =
                fields.iter().filter(|field| field.required).map(|field| Value::from(&*field.name)).collect();
            if !required.is_empty() {
                out.insert("required".to_owned(), Value::Array(required));
            }
        }
        Value::Object(out)
    }

    /// Groups, versions and kinds of the type: one for most kinds, many for the likes of `DeleteOptions`.
    pub fn kinds(self) -> impl Iterator<Item = (&'a str, &'a str, &'a str)> {
        let kinds = self.inner().openapi.as_deref().map_or(&[][..], |extras| extras.kinds.as_slice());
        kinds.iter().map(|[group, version, kind]| (&**group, &**version, &**kind))
    }

    /// The named types that this one refers to directly.
    #[must_use]
    pub fn references(self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.fields().iter().filter_map(|field| self.of(field).reference()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The named type at the end of lists and maps.
    fn reference(self) -> Option<&'a str> {
        match (self.name(), self.item()) {
            ("", Some(item)) => item.reference(),
            ("", None) => None,
            (name, _) => Some(name),
        }
    }

    fn openapi_field(self, field: &Field) -> Value {
        let marks = &field.openapi;
        let default = match &field.default {
            Some(default) => Some((**default).clone()),
            None if marks.empty_default => Some(empty_default(self.of(field))),
            None => None,
        };
        let mut out = self.of(field).openapi_inline(default, marks.items_default);
        if let Some(values) = &field.enumeration {
            let values = Value::Array(values.to_vec());
            let inner = if out.contains_key("items") { "items" } else { "additionalProperties" };
            match out.get_mut(inner).and_then(Value::as_object_mut) {
                Some(items) => items.insert("enum".to_owned(), values),
                None => out.insert("enum".to_owned(), values),
            };
        }
        if marks.list_type {
            // Upstream marks a few fields that are no lists; always as atomic.
            insert_list_type(&mut out, self.of(field).list_type().unwrap_or(&ListType::Atomic));
        }
        insert_text(&mut out, "x-kubernetes-map-type", marks.map_type.as_deref());
        insert_text(&mut out, "x-kubernetes-patch-merge-key", field.merge_key.as_deref());
        let strategy = field.strategy;
        let words = [(strategy.merge, "merge"), (strategy.retain_keys, "retainKeys"), (strategy.replace, "replace")];
        let words: Vec<&str> = words.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect();
        if !words.is_empty() {
            out.insert("x-kubernetes-patch-strategy".to_owned(), Value::from(words.join(",")));
        }
        Value::Object(out)
    }

    /// The type where it stands: a reference, or the schema of a scalar, list or map.
    fn openapi_inline(self, default: Option<Value>, items_default: bool) -> Map<String, Value> {
        let mut out = Map::new();
        if !self.name().is_empty() {
            let reference = format!("#/components/schemas/{}", self.name());
            out.insert("allOf".to_owned(), json!([{"$ref": reference}]));
        } else if let Some(item) = self.item() {
            let innermost = item.item().is_none();
            let item_default = (items_default && innermost).then(|| empty_default(item));
            let inner = Value::Object(item.openapi_inline(item_default, items_default));
            let list = matches!(self.shape(), Shape::List(..));
            out.insert("type".to_owned(), Value::from(if list { "array" } else { "object" }));
            out.insert(if list { "items" } else { "additionalProperties" }.to_owned(), inner);
        } else {
            let (type_name, format) = match self.shape() {
                Shape::Int32 => ("integer", Some("int32")),
                Shape::Int64 => ("integer", Some("int64")),
                Shape::Double => ("number", Some("double")),
                Shape::Bool => ("boolean", None),
                Shape::Bytes => ("string", Some("byte")),
                Shape::Any => ("object", None),
                _ => ("string", None),
            };
            out.insert("type".to_owned(), Value::from(type_name));
            insert_text(&mut out, "format", format);
        }
        if let Some(default) = default {
            out.insert("default".to_owned(), default);
        }
        out
    }
}

/// The empty value that the document names as a default.
fn empty_default(ty: TypeRef<'_>) -> Value {
    match ty.shape() {
        Shape::String => Value::from(""),
        Shape::Int32 | Shape::Int64 => Value::from(0),
        Shape::Double => Value::from(0),
        Shape::Bool => Value::Bool(false),
        Shape::List(..) => Value::Array(Vec::new()),
        _ => Value::Object(Map::new()),
    }
}

fn insert_list_type(out: &mut Map<String, Value>, list_type: &ListType) {
    let word = match list_type {
        ListType::Atomic => "atomic",
        ListType::Set => "set",
        ListType::Map(keys) => {
            let keys = keys.iter().map(|key| Value::from(&**key)).collect();
            out.insert("x-kubernetes-list-map-keys".to_owned(), Value::Array(keys));
            "map"
        }
    };
    out.insert("x-kubernetes-list-type".to_owned(), Value::from(word));
}

fn insert_text(out: &mut Map<String, Value>, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        out.insert(key.to_owned(), Value::from(text));
    }
}
