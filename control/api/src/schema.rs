//! The schema engine's types: what an object of a kind looks like, and how its parts merge.
//!
//! A [`Schema`] is an arena of types. The built-in one ([`Schema::builtin`]) comes from a table of facts
//! (`data/schema-1.34.json`, made by `tools/make_schema.py`); a custom resource brings one of its own, made with
//! [`SchemaBuilder`]. Everything that walks objects asks a [`TypeRef`]: decoding, defaulting, patches, apply, OpenAPI.
//!
//! Besides the shape, a field carries how upstream's server writes it, since every object passes through its Go types:
//! an empty value may be left out (`hostNetwork: false` vanishes) or always written (`resources: {}`), and a pointer
//! keeps an explicit empty value (`replicas: 0` stays).

mod openapi;
pub mod structural;
mod table;
mod zeros;

pub use openapi::openapi_definition;
pub(crate) use zeros::zero;
pub use zeros::{default_by_schema, empty_to_null, fill_zeros};

use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;

/// Text that is either part of the table (never copied) or of a custom resource.
pub type Text = Cow<'static, str>;

/// A type's place in its schema's arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TypeId(u32);

/// An arena of types, some of them with names.
#[derive(Debug)]
pub struct Schema {
    version: Text,
    types: Vec<Type>,
    names: HashMap<Text, TypeId>,
    /// The type of a custom resource with the rules by which its objects are read; see [`structural`].
    custom: Option<(TypeId, structural::Structural)>,
}

/// One type.
#[derive(Clone, Debug)]
pub struct Type {
    /// `io.k8s.api.core.v1.Pod`; empty for a list or map that belongs to one field.
    name: Text,
    shape: Shape,
    /// One owner and one value for the whole (`x-kubernetes-map-type: atomic`); lists say it in [`ListType`].
    atomic: bool,
    /// The type of the values of fields that a struct does not name, where those are kept.
    rest: Option<TypeId>,
    openapi: Option<Box<openapi::Extras>>,
}

/// What values of a type look like.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Named fields, sorted by name.
    Struct(Box<[Field]>),
    /// Any keys, one type of values.
    Map(TypeId),
    /// Items of one type.
    List(TypeId, ListType),
    /// Text.
    String,
    /// A 32-bit integer.
    Int32,
    /// A 64-bit integer.
    Int64,
    /// A floating-point number.
    Double,
    /// True or false.
    Bool,
    /// Bytes, as base64.
    Bytes,
    /// A point in time, in whole seconds.
    Time,
    /// A point in time, in microseconds.
    MicroTime,
    /// An amount, see [`crate::quantity`].
    Quantity,
    /// A 32-bit integer or text.
    IntOrString,
    /// Any JSON, kept as it is: a raw extension.
    Any,
    /// Any JSON in a custom resource that says nothing of it: maps have an owner for each entry, lists and scalars one.
    Deduced,
}

/// How two owners' lists come together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListType {
    /// One owner and one value for the whole list.
    Atomic,
    /// Unique scalars, each with its owners.
    Set,
    /// Items told apart by these keys, each with its owners.
    Map(Box<[Text]>),
}

/// How strategic merge treats a field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategy {
    /// Lists are merged, by the merge key if there is one.
    pub merge: bool,
    /// `$retainKeys` is understood.
    pub retain_keys: bool,
    /// The value is replaced as a whole.
    pub replace: bool,
}

/// One field of a struct.
#[derive(Clone, Debug)]
pub struct Field {
    /// The name in JSON.
    pub name: Text,
    ty: TypeId,
    /// Its place in the Go struct, counted from 0, where that is known: upstream prints fields in this order.
    pub place: u16,
    /// OpenAPI's `required`.
    pub required: bool,
    /// A pointer in Go: an explicit empty value is kept.
    pub pointer: bool,
    /// An empty value is left out when the object is written; otherwise it is always written.
    pub omit_empty: bool,
    /// A struct of which everything is empty is left out as well.
    pub omit_zero: bool,
    /// The default that upstream fills in; never an empty value.
    pub default: Option<Box<Value>>,
    /// The values that are allowed for the field, or for the items of a list, if they are listed.
    pub enumeration: Option<Box<[Value]>>,
    /// The item field by which strategic merge tells the items apart.
    pub merge_key: Option<Text>,
    /// How strategic merge treats the field.
    pub strategy: PatchStrategy,
    go_name: Option<Text>,
    openapi: openapi::FieldMarks,
}

/// A type together with its schema: what walkers pass around.
#[derive(Clone, Copy, Debug)]
pub struct TypeRef<'a> {
    schema: &'a Schema,
    id: TypeId,
}

impl Schema {
    /// The built-in types. Read from the table on the first call, in a few milliseconds.
    #[must_use]
    pub fn builtin() -> &'static Self {
        static BUILTIN: std::sync::LazyLock<Schema> = std::sync::LazyLock::new(table::load);
        &BUILTIN
    }

    /// The Kubernetes minor version that the types come from, "1.34"; empty for a custom resource.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// A named type.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<TypeRef<'_>> {
        Some(TypeRef { schema: self, id: *self.names.get(name)? })
    }

    /// Every named type, in no order.
    pub fn named(&self) -> impl Iterator<Item = (&str, TypeRef<'_>)> {
        self.names.iter().map(|(name, id)| (&**name, TypeRef { schema: self, id: *id }))
    }

    fn get(&self, id: TypeId) -> &Type {
        &self.types[id.0 as usize]
    }
}

impl<'a> TypeRef<'a> {
    fn inner(self) -> &'a Type {
        self.schema.get(self.id)
    }

    /// The type's name; empty for a list or map that belongs to one field.
    #[must_use]
    pub fn name(self) -> &'a str {
        &self.inner().name
    }

    /// What its values look like.
    #[must_use]
    pub fn shape(self) -> &'a Shape {
        &self.inner().shape
    }

    /// The struct's fields, sorted by name; none for other shapes.
    #[must_use]
    pub fn fields(self) -> &'a [Field] {
        match self.shape() {
            Shape::Struct(fields) => fields,
            _ => &[],
        }
    }

    /// A struct's field.
    #[must_use]
    pub fn field(self, name: &str) -> Option<&'a Field> {
        let fields = self.fields();
        fields.binary_search_by(|field| (*field.name).cmp(name)).ok().map(|index| &fields[index])
    }

    /// The type of a struct's field.
    #[must_use]
    pub fn of(self, field: &Field) -> TypeRef<'a> {
        TypeRef { schema: self.schema, id: field.ty }
    }

    /// The type of a list's items or a map's values.
    #[must_use]
    pub fn item(self) -> Option<TypeRef<'a>> {
        match self.shape() {
            Shape::List(id, _) | Shape::Map(id) => Some(TypeRef { schema: self.schema, id: *id }),
            _ => None,
        }
    }

    /// The type of the values of fields that the struct does not name, where those are kept.
    #[must_use]
    pub fn rest(self) -> Option<TypeRef<'a>> {
        self.inner().rest.map(|id| TypeRef { schema: self.schema, id })
    }

    /// The rules by which objects are read, if this is the type of a custom resource.
    #[must_use]
    pub fn structural(self) -> Option<&'a structural::Structural> {
        self.schema.custom.as_ref().filter(|(root, _)| *root == self.id).map(|(_, structural)| structural)
    }

    /// How a list merges; `None` for other shapes.
    #[must_use]
    pub fn list_type(self) -> Option<&'a ListType> {
        match self.shape() {
            Shape::List(_, list_type) => Some(list_type),
            _ => None,
        }
    }

    /// True when the value has one owner as a whole: scalars, atomic structs, maps and lists, and raw extensions.
    #[must_use]
    pub fn is_leaf(self) -> bool {
        match self.shape() {
            Shape::Struct(_) | Shape::Map(_) => self.inner().atomic,
            Shape::List(_, list_type) => *list_type == ListType::Atomic,
            Shape::Deduced => false,
            _ => true,
        }
    }

    /// True when every value is a JSON scalar.
    #[must_use]
    pub fn is_scalar(self) -> bool {
        !matches!(self.shape(), Shape::Struct(_) | Shape::Map(_) | Shape::List(..) | Shape::Any | Shape::Deduced)
    }

    /// How Go prints the type: `v1.PodSpec`, `[]v1.Container`, `map[string]string`.
    #[must_use]
    pub fn go_name(self) -> String {
        let simple = match self.shape() {
            Shape::List(..) => return format!("[]{}", self.item().map_or_else(String::new, Self::go_name)),
            Shape::Map(_) => return format!("map[string]{}", self.item().map_or_else(String::new, Self::go_name)),
            Shape::String => "string",
            Shape::Int32 => "int32",
            Shape::Int64 => "int64",
            Shape::Double => "float64",
            Shape::Bool => "bool",
            Shape::Bytes => "[]uint8",
            _ => {
                let name = self.name();
                let package = name.rsplit('.').nth(1).map_or(0, |part| part.len() + 1);
                let last = name.len() - name.rsplit('.').next().map_or(0, str::len);
                return name[last.saturating_sub(package)..].to_owned();
            }
        };
        simple.to_owned()
    }

    /// The struct's name as Go prints it without its package: `PodSpec`.
    #[must_use]
    pub fn go_struct(self) -> &'a str {
        self.name().rsplit('.').next().unwrap_or("")
    }
}

impl Field {
    /// The value that tells a list item apart when it does not give this key: the default, or the empty value if that is
    /// published as the default. `owner` is the struct.
    #[must_use]
    pub fn key_default(&self, owner: TypeRef<'_>) -> Option<Value> {
        match &self.default {
            Some(default) => Some((**default).clone()),
            None if self.openapi.empty_default => Some(zeros::zero(owner.of(self), false)),
            None => None,
        }
    }

    /// How Go prints the field's type where that does not follow from the type: `v1.PullPolicy`.
    #[must_use]
    pub fn go_name(&self) -> Option<&str> {
        self.go_name.as_deref()
    }
}

/// Makes a schema type by type: for custom resources and for tests.
#[derive(Debug)]
pub struct SchemaBuilder {
    schema: Schema,
}

impl Default for SchemaBuilder {
    fn default() -> Self {
        Self::new("")
    }
}

impl SchemaBuilder {
    /// An empty schema.
    #[must_use]
    pub fn new(version: impl Into<Text>) -> Self {
        Self { schema: Schema { version: version.into(), types: Vec::new(), names: HashMap::new(), custom: None } }
    }

    /// Adds a type. A name makes it findable; a later type of the same name takes its place.
    pub fn add(&mut self, name: impl Into<Text>, shape: Shape, atomic: bool) -> TypeId {
        let id = TypeId(u32::try_from(self.schema.types.len()).unwrap_or(u32::MAX));
        let name = name.into();
        if !name.is_empty() {
            self.schema.names.insert(name.clone(), id);
        }
        self.schema.types.push(Type { name, shape, atomic, rest: None, openapi: None });
        id
    }

    /// A field that is optional, left out when empty, and has no default.
    #[must_use]
    pub fn field(name: impl Into<Text>, ty: TypeId) -> Field {
        Field {
            name: name.into(),
            ty,
            place: 0,
            required: false,
            pointer: false,
            omit_empty: true,
            omit_zero: false,
            default: None,
            enumeration: None,
            merge_key: None,
            strategy: PatchStrategy::default(),
            go_name: None,
            openapi: openapi::FieldMarks::default(),
        }
    }

    /// A struct's shape; the fields may come in any order.
    #[must_use]
    pub fn fields(mut fields: Vec<Field>) -> Shape {
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Shape::Struct(fields.into_boxed_slice())
    }

    /// The finished schema.
    #[must_use]
    pub fn build(self) -> Schema {
        self.schema
    }
}

#[cfg(test)]
pub(crate) mod generate;
#[cfg(test)]
pub(crate) mod tests;
