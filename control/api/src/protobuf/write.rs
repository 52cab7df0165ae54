//! The writing half: what upstream's generated code writes for the same object.
//!
//! Fields come in the order of their numbers. A field that is no pointer in Go is always there, empty or not; a list or
//! map has one occurrence for each item, and a map's keys are in order. Lists, maps and bytes that are empty, and pointers
//! that are null, are not there.

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{DEPTH_MAX, MAGIC, MESSAGES, Message, either};
use crate::schema::{Field, Schema, Shape, TypeRef};

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";
/// The group in which metadata without its object is served; its two kinds are in no published schema.
const META_GROUP: &str = "meta.k8s.io/";

/// The object is of a kind that has no message: a custom resource, or a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "object {kind} does not implement the protobuf marshalling interface and cannot be encoded to a protobuf message"
)]
pub struct Unwritable {
    /// The object's kind.
    pub kind: String,
}

/// The fields of a message in the order of their numbers.
struct Plan(Box<[(u32, Part)]>);

enum Part {
    /// The place of a field among those of the struct.
    Field(usize),
    /// A message whose fields JSON has in the outer object.
    Inner(Plan),
}

static PLANS: LazyLock<HashMap<&'static str, Plan>> = LazyLock::new(|| {
    let schema = Schema::builtin();
    let plans = MESSAGES.iter().filter_map(|(name, message)| Some((*name, plan(message, schema.find(name)?))));
    plans.collect()
});

fn plan(message: &Message, ty: TypeRef<'_>) -> Plan {
    let place = |name: &str| ty.fields().iter().position(|field| field.name == name);
    let fields = message.fields.iter().filter_map(|(number, name)| Some((*number, Part::Field(place(name)?))));
    let inner = message.flattened.iter().map(|(number, message)| (*number, Part::Inner(plan(message, ty))));
    let mut parts: Vec<_> = fields.chain(inner).collect();
    parts.sort_unstable_by_key(|(number, _)| *number);
    Plan(parts.into_boxed_slice())
}

/// Type names by `apiVersion` and `kind`.
static KINDS: LazyLock<HashMap<(String, &'static str), TypeRef<'static>>> = LazyLock::new(|| {
    let mut kinds = HashMap::new();
    for (_, ty) in Schema::builtin().named() {
        for (group, version, kind) in ty.kinds() {
            let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
            kinds.insert((api_version, kind), ty);
        }
    }
    kinds
});

/// The object in its envelope. An object without `apiVersion` is one of the core's `v1`, as discovery writes them.
///
/// # Errors
/// The object's kind has no message.
pub fn write(object: &Value) -> Result<Vec<u8>, Unwritable> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    let kind = text("kind");
    let api_version = if text("apiVersion").is_empty() { "v1" } else { text("apiVersion") };
    let mut raw = Writer { out: Vec::with_capacity(1024) };
    if api_version.starts_with(META_GROUP) {
        raw.partial(kind, object).ok_or_else(|| Unwritable { kind: kind.to_owned() })?;
    } else {
        let known = KINDS.get(&(api_version.to_owned(), kind)).filter(|ty| PLANS.contains_key(ty.name()));
        let ty = known.ok_or_else(|| Unwritable { kind: kind.to_owned() })?;
        raw.value(*ty, object, 0);
    }
    let mut writer = Writer { out: Vec::with_capacity(raw.out.len() + 64) };
    writer.out.extend_from_slice(MAGIC);
    writer.message(1, |writer| {
        writer.bytes(1, api_version.as_bytes());
        writer.bytes(2, kind.as_bytes());
    });
    writer.bytes(2, &raw.out);
    writer.bytes(3, b"");
    writer.bytes(4, b"");
    Ok(writer.out)
}

/// Appends an event of a watch, in the stream's framing: four bytes of length, the highest first, then a `WatchEvent`
/// without envelope, whose object has one.
///
/// # Errors
/// The object's kind has no message.
pub fn write_event(out: &mut Vec<u8>, event: &str, object: &Value) -> Result<(), Unwritable> {
    let object = write(object)?;
    let mut writer = Writer { out: Vec::with_capacity(object.len() + 32) };
    writer.bytes(1, event.as_bytes());
    writer.message(2, |writer| writer.bytes(1, &object));
    // Objects are bounded far below 4 GiB by the size of request bodies.
    out.extend_from_slice(&u32::try_from(writer.out.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&writer.out);
    Ok(())
}

/// Writes fields one after the other.
pub(super) struct Writer {
    pub(super) out: Vec<u8>,
}

impl Writer {
    /// A field of bytes.
    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        tag(&mut self.out, number, 2);
        varint(&mut self.out, bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    fn number(&mut self, number: u32, value: i64) {
        tag(&mut self.out, number, 0);
        varint(&mut self.out, value.cast_unsigned());
    }

    /// A field whose bytes `write` appends.
    pub(super) fn message(&mut self, number: u32, write: impl FnOnce(&mut Self)) {
        tag(&mut self.out, number, 2);
        // Most messages are short: one byte is set aside for the length, and room is made where that is too little.
        let start = self.out.len();
        self.out.push(0);
        write(self);
        let length = self.out.len() - start - 1;
        match u8::try_from(length) {
            Ok(length) if length < 0x80 => self.out[start] = length,
            _ => {
                let mut prefix = Vec::with_capacity(5);
                varint(&mut prefix, length as u64);
                self.out.splice(start..=start, prefix);
            }
        }
    }

    /// Metadata without its object, alone or in a list; `None` for another kind.
    fn partial(&mut self, kind: &str, object: &Value) -> Option<()> {
        let metadata = object.get("metadata").unwrap_or(&Value::Null);
        match kind {
            "PartialObjectMetadata" => {
                let ty = Schema::builtin().find(OBJECT_META)?;
                self.message(1, |writer| writer.value(ty, metadata, 0));
            }
            "PartialObjectMetadataList" => {
                let ty = Schema::builtin().find(LIST_META)?;
                self.message(1, |writer| writer.value(ty, metadata, 0));
                for item in object.get("items").and_then(Value::as_array).into_iter().flatten() {
                    self.message(2, |writer| {
                        let _ = writer.partial("PartialObjectMetadata", item);
                    });
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The content of a message or the bytes of a text: whatever stands behind a length. Other shapes write nothing.
    pub(super) fn value(&mut self, ty: TypeRef<'_>, value: &Value, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        match (ty.shape(), value) {
            (Shape::Struct(_), value) => {
                if let Some(plan) = PLANS.get(ty.name()) {
                    self.fields(plan, ty, value.as_object(), depth);
                }
            }
            (Shape::String, Value::String(text)) => self.out.extend_from_slice(text.as_bytes()),
            (Shape::Bytes, Value::String(text)) => {
                self.out.extend_from_slice(&STANDARD.decode(text).unwrap_or_default());
            }
            (Shape::Time, Value::String(text)) => self.time(text, false),
            (Shape::MicroTime, Value::String(text)) => self.time(text, true),
            (Shape::Quantity, Value::String(text)) => self.bytes(1, text.as_bytes()),
            (Shape::Quantity, Value::Number(number)) => self.bytes(1, number.to_string().as_bytes()),
            (Shape::Quantity, _) => self.bytes(1, b"0"),
            (Shape::IntOrString, value) => {
                self.number(1, i64::from(value.is_string()));
                self.number(2, value.as_i64().unwrap_or(0));
                self.bytes(3, value.as_str().unwrap_or_default().as_bytes());
            }
            (Shape::Any, value) if either::is_either(ty.name()) => either::write(self, ty, value, depth),
            // Encoding a `Value` to memory cannot fail.
            (Shape::Any | Shape::Deduced, value) => self.bytes(1, &serde_json::to_vec(value).unwrap_or_default()),
            // A list as the value of a map is a message of its own.
            (Shape::List(..), Value::Array(items)) => {
                if let Some(item) = ty.item() {
                    items.iter().for_each(|value| self.field(1, item, value, depth));
                }
            }
            _ => {}
        }
    }

    fn time(&mut self, text: &str, micro: bool) {
        let Ok(time) = text.parse::<Timestamp>() else { return };
        self.number(1, time.as_second());
        self.number(2, if micro { i64::from(time.subsec_nanosecond() / 1000 * 1000) } else { 0 });
    }

    fn fields(&mut self, plan: &Plan, ty: TypeRef<'_>, object: Option<&Map<String, Value>>, depth: usize) {
        for (number, part) in &plan.0 {
            match part {
                Part::Inner(plan) => self.message(*number, |writer| writer.fields(plan, ty, object, depth + 1)),
                Part::Field(place) => {
                    let field = &ty.fields()[*place];
                    let value = object.and_then(|object| object.get(&*field.name)).filter(|value| !value.is_null());
                    match value {
                        Some(value) => self.field(*number, ty.of(field), value, depth),
                        None => self.absent(*number, field, ty.of(field), depth),
                    }
                }
            }
        }
    }

    /// One value of a struct's field, or of a list: all occurrences that it takes.
    fn field(&mut self, number: u32, ty: TypeRef<'_>, value: &Value, depth: usize) {
        match (ty.shape(), value) {
            (Shape::Bool, value) => self.number(number, i64::from(value.as_bool().unwrap_or(false))),
            (Shape::Int32 | Shape::Int64, value) => self.number(number, integer(value)),
            (Shape::Double, value) => {
                tag(&mut self.out, number, 1);
                self.out.extend_from_slice(&value.as_f64().unwrap_or(0.0).to_le_bytes());
            }
            (Shape::List(..), Value::Array(items)) => {
                if let Some(item) = ty.item() {
                    items.iter().for_each(|value| self.field(number, item, value, depth + 1));
                }
            }
            (Shape::Map(_), Value::Object(map)) => {
                let Some(item) = ty.item() else { return };
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, value) in entries {
                    self.message(number, |writer| {
                        writer.bytes(1, key.as_bytes());
                        match item.shape() {
                            Shape::List(..) | Shape::Map(_) => {
                                writer.message(2, |writer| writer.value(item, value, depth + 1));
                            }
                            _ => writer.field(2, item, value, depth + 1),
                        }
                    });
                }
            }
            (Shape::List(..) | Shape::Map(_), _) => {}
            _ => self.message(number, |writer| writer.value(ty, value, depth + 1)),
        }
    }

    /// What Go writes for a field that nobody set.
    fn absent(&mut self, number: u32, field: &Field, ty: TypeRef<'_>, depth: usize) {
        if field.pointer {
            return;
        }
        match ty.shape() {
            Shape::Bool | Shape::Int32 | Shape::Int64 => self.number(number, 0),
            Shape::Double => self.field(number, ty, &Value::Null, depth),
            Shape::List(..) | Shape::Map(_) | Shape::Bytes => {}
            Shape::Any | Shape::Deduced => self.message(number, |_| {}),
            _ => self.message(number, |writer| writer.value(ty, &Value::Null, depth + 1)),
        }
    }
}

/// A whole number, also where JSON writes it with a fraction of zero.
#[expect(clippy::cast_possible_truncation, reason = "the value of such a float has been checked to be whole when read")]
fn integer(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_f64().map(|number| number as i64)).unwrap_or(0)
}

pub(super) fn tag(out: &mut Vec<u8>, number: u32, wire: u64) {
    varint(out, u64::from(number) << 3 | wire);
}

pub(super) fn varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        // The lowest seven bits, and that more follow.
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests;
