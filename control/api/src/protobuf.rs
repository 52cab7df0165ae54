//! Kubernetes' protobuf encoding, read and written: typed clients of client-go send it without being asked to, and want
//! it in the answer.
//!
//! The shapes come from the schema table and the numbers from `data/protobuf-1.34.json`. What is read becomes a JSON value
//! as the same client would have sent it, which [`crate::decode`] then checks like any other; unknown fields are skipped,
//! as the encoding means them to be. What is written ([`write`], [`write_event`]) is byte for byte what upstream's
//! generated code writes for the same object.
//!
//! ```text
//! "k8s\0" Unknown{ 1: TypeMeta{ 1: apiVersion, 2: kind }, 2: raw, 3: contentEncoding, 4: contentType }
//! ```

mod either;
mod write;

pub use write::{Unwritable, write, write_event};

use std::collections::HashMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::meta;
use crate::schema::{Shape, TypeRef};

/// The first bytes of every body in this encoding.
pub const MAGIC: &[u8] = b"k8s\0";
/// The media type of the encoding.
pub const MEDIA_TYPE: &str = "application/vnd.kubernetes.protobuf";

/// Messages inside messages beyond which nothing is read.
const DEPTH_MAX: usize = 100;
const TABLE: &str = include_str!("../data/protobuf-1.34.json");

/// Why a body cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadProtobufError {
    /// The body does not begin with [`MAGIC`].
    #[error("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")]
    NoMagic,
    /// The body ends within a field, or a field has an impossible length or wire type.
    #[error("proto: the message is malformed at byte {offset}")]
    Malformed {
        /// Within the message in which it was noticed.
        offset: usize,
    },
    /// A text is not UTF-8.
    #[error("proto: field {field} contains invalid UTF-8")]
    NotText {
        /// The field's name in JSON.
        field: String,
    },
    /// A field that holds JSON does not.
    #[error("proto: field {field} does not hold JSON")]
    NotJson {
        /// The field's name in JSON.
        field: String,
    },
    /// Messages are nested too deeply.
    #[error("proto: nested more than {DEPTH_MAX} deep")]
    TooDeep,
    /// The type has no protobuf form.
    #[error("proto: {name} has no protobuf form")]
    NoMessage {
        /// The type's name in the schema table.
        name: String,
    },
}

/// Field numbers of a message. A message inside that JSON does not show has its fields in the outer object.
#[derive(Debug, Default)]
struct Message {
    fields: HashMap<u32, &'static str>,
    flattened: HashMap<u32, Message>,
}

static MESSAGES: LazyLock<HashMap<&'static str, Message>> = LazyLock::new(load);

/// The table is part of the binary and read by a test; what cannot be read would be an empty table here.
fn load() -> HashMap<&'static str, Message> {
    let rows: Vec<Vec<&'static RawValue>> = serde_json::from_str(TABLE).unwrap_or_default();
    let mut messages = HashMap::with_capacity(rows.len());
    for row in rows {
        let mut parts = row.into_iter();
        let name: Option<&'static str> = parts.next().and_then(|part| serde_json::from_str(part.get()).ok());
        if let (Some(name), message) = (name, read_message(parts)) {
            messages.insert(name, message);
        }
    }
    messages
}

/// Reads `{field: number}` and, if it is there, `{number: [...]}`.
fn read_message(mut parts: impl Iterator<Item = &'static RawValue>) -> Message {
    let fields: Option<HashMap<&'static str, u32>> =
        parts.next().and_then(|part| serde_json::from_str(part.get()).ok());
    let inner: Option<HashMap<u32, Vec<&'static RawValue>>> =
        parts.next().and_then(|part| serde_json::from_str(part.get()).ok());
    let flattened =
        inner.unwrap_or_default().into_iter().map(|(number, parts)| (number, read_message(parts.into_iter())));
    Message {
        fields: fields.unwrap_or_default().into_iter().map(|(name, number)| (number, name)).collect(),
        flattened: flattened.collect(),
    }
}

/// The object in a body, as JSON, with the `apiVersion` and `kind` that the body names. `schema` is the expected type.
///
/// # Errors
/// When the body is not in this encoding or is cut off.
pub fn read(body: &[u8], schema: TypeRef<'_>) -> Result<Value, ReadProtobufError> {
    let unknown = body.strip_prefix(MAGIC).ok_or(ReadProtobufError::NoMagic)?;
    let mut raw: &[u8] = &[];
    let mut kind = Map::new();
    for field in Fields::new(unknown) {
        match field? {
            (1, Wire::Bytes(bytes)) => {
                for field in Fields::new(bytes) {
                    let (name, bytes) = match field? {
                        (1, Wire::Bytes(bytes)) => ("apiVersion", bytes),
                        (2, Wire::Bytes(bytes)) => ("kind", bytes),
                        _ => continue,
                    };
                    let text = text(bytes, name)?;
                    if !text.is_empty() {
                        kind.insert(name.to_owned(), Value::from(text));
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let mut object = match read_struct(raw, schema, 0)? {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    object.extend(kind);
    Ok(Value::Object(object))
}

fn text<'a>(bytes: &'a [u8], field: &str) -> Result<&'a str, ReadProtobufError> {
    std::str::from_utf8(bytes).map_err(|_| ReadProtobufError::NotText { field: field.to_owned() })
}

fn read_struct(bytes: &[u8], ty: TypeRef<'_>, depth: usize) -> Result<Value, ReadProtobufError> {
    if depth > DEPTH_MAX {
        return Err(ReadProtobufError::TooDeep);
    }
    let mut object = Map::new();
    match MESSAGES.get(ty.name()) {
        Some(message) => read_fields(bytes, message, ty, depth, &mut object)?,
        None if ty.fields().is_empty() => {}
        None => return Err(ReadProtobufError::NoMessage { name: ty.name().to_owned() }),
    }
    Ok(Value::Object(object))
}

fn read_fields(
    bytes: &[u8],
    message: &Message,
    ty: TypeRef<'_>,
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), ReadProtobufError> {
    for field in Fields::new(bytes) {
        let (number, wire) = field?;
        if let Some(inner) = message.flattened.get(&number) {
            if let Wire::Bytes(bytes) = wire {
                read_fields(bytes, inner, ty, depth + 1, object)?;
            }
            continue;
        }
        let Some(name) = message.fields.get(&number) else { continue };
        let Some(field) = ty.field(name) else { continue };
        read_into(object, name, &wire, ty.of(field), depth)?;
        // Go writes a field that is no pointer in any case; in JSON it leaves an empty one out.
        if field.omit_empty && !field.pointer && object.get(*name).is_some_and(is_zero) {
            object.remove(*name);
        }
    }
    Ok(())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Reads one occurrence of a field. Lists and maps grow with each.
fn read_into(
    object: &mut Map<String, Value>,
    name: &str,
    wire: &Wire<'_>,
    ty: TypeRef<'_>,
    depth: usize,
) -> Result<(), ReadProtobufError> {
    match (ty.shape(), ty.item()) {
        (Shape::List(..), Some(item)) => {
            let slot = object.entry(name).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(items) = slot {
                read_items(items, name, wire, item, depth)?;
            }
        }
        (Shape::Map(..), Some(item)) => {
            let Wire::Bytes(bytes) = wire else { return Ok(()) };
            let (key, value) = read_map_entry(bytes, name, item, depth)?;
            let slot = object.entry(name).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = slot {
                map.insert(key, value);
            }
        }
        _ => {
            let value = read_value(wire, name, ty, depth)?;
            object.insert(name.to_owned(), value);
        }
    }
    Ok(())
}

fn read_items(
    items: &mut Vec<Value>,
    name: &str,
    wire: &Wire<'_>,
    item: TypeRef<'_>,
    depth: usize,
) -> Result<(), ReadProtobufError> {
    match (item.shape(), wire) {
        // Packed numbers: all items in one field.
        (Shape::Int32 | Shape::Int64 | Shape::Bool, Wire::Bytes(bytes)) => {
            let mut rest = *bytes;
            while !rest.is_empty() {
                let number =
                    varint(&mut rest).ok_or(ReadProtobufError::Malformed { offset: bytes.len() - rest.len() })?;
                items.push(scalar(number, item.shape()));
            }
        }
        _ => items.push(read_value(wire, name, item, depth)?),
    }
    Ok(())
}

fn read_map_entry(
    bytes: &[u8],
    name: &str,
    item: TypeRef<'_>,
    depth: usize,
) -> Result<(String, Value), ReadProtobufError> {
    let mut key = String::new();
    let mut value = None;
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Bytes(bytes)) => text(bytes, name)?.clone_into(&mut key),
            // A list as the value of a map is a message of its own, with the items in its first field.
            (2, Wire::Bytes(bytes)) if matches!(item.shape(), Shape::List(..)) => {
                let mut items = Vec::new();
                for field in Fields::new(bytes) {
                    if let ((1, wire), Some(item)) = (field?, item.item()) {
                        read_items(&mut items, name, &wire, item, depth + 1)?;
                    }
                }
                value = Some(Value::Array(items));
            }
            (2, wire) => value = Some(read_value(&wire, name, item, depth)?),
            _ => {}
        }
    }
    Ok((key, value.unwrap_or_else(|| empty(item))))
}

/// What a map's value is when the entry leaves it out.
fn empty(ty: TypeRef<'_>) -> Value {
    match ty.shape() {
        Shape::Int32 | Shape::Int64 | Shape::Double => Value::from(0),
        Shape::Bool => Value::Bool(false),
        Shape::String | Shape::Bytes => Value::from(""),
        Shape::Quantity => Value::from("0"),
        Shape::Struct(_) | Shape::Map(_) => Value::Object(Map::new()),
        Shape::List(..) => Value::Array(Vec::new()),
        Shape::Time | Shape::MicroTime | Shape::IntOrString | Shape::Any | Shape::Deduced => Value::Null,
    }
}

fn read_value(wire: &Wire<'_>, name: &str, ty: TypeRef<'_>, depth: usize) -> Result<Value, ReadProtobufError> {
    Ok(match (ty.shape(), wire) {
        (Shape::Struct(_), Wire::Bytes(bytes)) => read_struct(bytes, ty, depth + 1)?,
        (Shape::String, Wire::Bytes(bytes)) => Value::from(text(bytes, name)?),
        (Shape::Bytes, Wire::Bytes(bytes)) => Value::from(STANDARD.encode(bytes)),
        (Shape::Time, Wire::Bytes(bytes)) => time(bytes)?.map_or(Value::Null, |time| meta::format_time(time).into()),
        (Shape::MicroTime, Wire::Bytes(bytes)) => {
            time(bytes)?.map_or(Value::Null, |time| meta::format_micro_time(time).into())
        }
        (Shape::Quantity, Wire::Bytes(bytes)) => Value::from(text(first_bytes(bytes, 1)?, name)?),
        (Shape::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes, name)?,
        (Shape::Any, Wire::Bytes(bytes)) if either::is_either(ty.name()) => either::read(bytes, name, ty, depth + 1)?,
        (Shape::Any, Wire::Bytes(bytes)) => match first_bytes(bytes, 1)? {
            [] => Value::Null,
            json => serde_json::from_slice(json).map_err(|_| ReadProtobufError::NotJson { field: name.to_owned() })?,
        },
        (Shape::Int32 | Shape::Int64 | Shape::Bool, Wire::Number(number)) => scalar(*number, ty.shape()),
        (Shape::Double, Wire::Fixed64(bits)) => Value::from(f64::from_bits(*bits)),
        _ => Value::Null,
    })
}

/// A number as the signed or boolean value that it stands for.
fn scalar(number: u64, shape: &Shape) -> Value {
    match shape {
        Shape::Bool => Value::Bool(number != 0),
        _ => Value::from(number.cast_signed()),
    }
}

/// The last bytes field of that number in a message.
fn first_bytes(bytes: &[u8], wanted: u32) -> Result<&[u8], ReadProtobufError> {
    let mut found: &[u8] = &[];
    for field in Fields::new(bytes) {
        if let (number, Wire::Bytes(bytes)) = field?
            && number == wanted
        {
            found = bytes;
        }
    }
    Ok(found)
}

/// `{1: seconds, 2: nanos}`; nothing stands for no time.
fn time(bytes: &[u8]) -> Result<Option<Timestamp>, ReadProtobufError> {
    let (mut seconds, mut nanos, mut any) = (0, 0, false);
    for field in Fields::new(bytes) {
        any = true;
        match field? {
            (1, Wire::Number(number)) => seconds = number.cast_signed(),
            (2, Wire::Number(number)) => nanos = i32::try_from(number.cast_signed()).unwrap_or(0),
            _ => {}
        }
    }
    Ok(if any { Timestamp::new(seconds, nanos).ok() } else { None })
}

/// `{1: kind, 2: number, 3: text}`; kind 1 is text.
fn int_or_string(bytes: &[u8], name: &str) -> Result<Value, ReadProtobufError> {
    let (mut is_text, mut number, mut string) = (false, 0, "");
    for field in Fields::new(bytes) {
        match field? {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value.cast_signed(),
            (3, Wire::Bytes(bytes)) => string = text(bytes, name)?,
            _ => {}
        }
    }
    Ok(if is_text { Value::from(string) } else { Value::from(number) })
}

/// A field's value as it stands on the wire.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Number(u64),
    Fixed64(u64),
    Fixed32,
    Bytes(&'a [u8]),
}

/// The fields of a message, in order.
struct Fields<'a> {
    length: usize,
    rest: &'a [u8],
    failed: bool,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { length: bytes.len(), rest: bytes, failed: false }
    }

    fn read(&mut self) -> Option<(u32, Wire<'a>)> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| *number > 0)?;
        let wire = match tag & 7 {
            0 => Wire::Number(varint(&mut self.rest)?),
            1 => Wire::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                Wire::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return None,
        };
        Some((number, wire))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Wire<'a>), ReadProtobufError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() || self.failed {
            return None;
        }
        let field = self.read();
        self.failed = field.is_none();
        Some(field.ok_or(ReadProtobufError::Malformed { offset: self.length - self.rest.len() }))
    }
}

/// A number of up to ten bytes, seven bits each, the lowest first.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
