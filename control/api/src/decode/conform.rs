//! Walks a JSON tree along a type: checks, prunes, and leaves out what Go leaves out.

use super::json_text::Node;
use super::{STRICT_ERRORS_MAX, scalar};
use crate::go_text;
use crate::schema::structural::Structural;
use crate::schema::{Field, Shape, TypeRef, zero};
use serde_json::{Map, Number, Value};
use std::borrow::Cow;
use std::fmt;

/// Whose sentences a wrong type gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The JSON decoder's: bodies, JSON patches and merge patches.
    Json,
    /// The converter's from untyped maps: strategic merge patches.
    Unstructured,
}

/// The way from the root, for messages; it lives on the stack.
#[derive(Clone, Copy)]
struct Step<'p> {
    parent: Option<&'p Step<'p>>,
    segment: Segment<'p>,
}

#[derive(Clone, Copy)]
enum Segment<'p> {
    Root,
    /// A struct's field, with the struct.
    Field(&'p str, TypeRef<'p>),
    Key(&'p str),
    Index(usize),
}

impl<'p> Step<'p> {
    fn then(&'p self, segment: Segment<'p>) -> Step<'p> {
        Step { parent: Some(self), segment }
    }

    /// `spec.containers[0].name`: the path in unknown and duplicate fields.
    fn write_strict(&self, out: &mut String) {
        if let Some(parent) = self.parent {
            parent.write_strict(out);
        }
        match self.segment {
            Segment::Root => {}
            Segment::Index(index) => out.push_str(&format!("[{index}]")),
            Segment::Field(name, _) | Segment::Key(name) => {
                if !out.is_empty() {
                    out.push('.');
                }
                out.push_str(name);
            }
        }
    }

    /// The innermost struct's name and the names of all fields on the way: `PodSpec.spec.containers`.
    fn go_field(&self) -> Option<String> {
        let (mut names, mut owner) = (Vec::new(), None);
        let mut step = Some(self);
        while let Some(current) = step {
            if let Segment::Field(name, ty) = current.segment {
                owner.get_or_insert(ty);
                names.push(name);
            }
            step = current.parent;
        }
        names.reverse();
        owner.map(|owner| format!("{}.{}", owner.go_struct(), names.join(".")))
    }
}

/// Why the walk ends at once; the text for the client. Other wrong types are noted and the walk goes on, as in Go.
struct Stop(String);

struct Walk {
    source: Source,
    wants_strict: bool,
    strict: Vec<String>,
    /// The first wrong type.
    noted: Option<String>,
}

/// The object of type `ty` and the unknown and duplicate fields, or the sentence about the first wrong type.
pub(super) fn conform(
    ty: TypeRef<'_>,
    node: Node<'_>,
    wants_strict: bool,
    source: Source,
) -> Result<(Value, Vec<String>), String> {
    if let Some(structural) = ty.structural() {
        return conform_custom(ty, structural, node, wants_strict, source);
    }
    let mut walk = Walk { source, wants_strict, strict: Vec::new(), noted: None };
    let root = Step { parent: None, segment: Segment::Root };
    let value = walk.value(ty, None, node, &root).map_err(|Stop(message)| message)?;
    if let Some(message) = walk.noted {
        return Err(message);
    }
    if source == Source::Unstructured {
        walk.strict.sort_unstable();
    }
    Ok((value.unwrap_or_else(|| Value::Object(Map::new())), walk.strict))
}

/// The same for a custom resource. Its schema says what is kept; whether values have the right types is for validation to
/// say, but for the metadata, which is like everybody's.
fn conform_custom(
    ty: TypeRef<'_>,
    structural: &Structural,
    node: Node<'_>,
    wants_strict: bool,
    source: Source,
) -> Result<(Value, Vec<String>), String> {
    let mut walk = Walk { source, wants_strict, strict: Vec::new(), noted: None };
    let mut strict = if wants_strict { node.duplicates() } else { Vec::new() };
    let mut object = Map::new();
    let mut metadata = None;
    match node {
        Node::Object(fields) => {
            for (key, node) in fields {
                if key == "metadata" {
                    metadata = Some(node);
                } else {
                    object.insert(key.into_owned(), node.into_value());
                }
            }
        }
        Node::Null => {}
        other => {
            return Err(format!(
                "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                other.go_kind()
            ));
        }
    }
    if let (Some(node), Some(field)) = (metadata, ty.field("metadata")) {
        let root = Step { parent: None, segment: Segment::Root };
        let step = root.then(Segment::Field("metadata", ty));
        let value = walk.value(ty.of(field), None, node, &step).map_err(|Stop(message)| message)?;
        if let Some(message) = walk.noted {
            return Err(message);
        }
        object.extend(value.map(|value| ("metadata".to_owned(), value)));
    }
    let mut value = Value::Object(object);
    let mut unknown = structural.prune_object(&mut value);
    if wants_strict {
        unknown.sort_unstable();
        strict.extend(unknown.iter().map(|path| format!("unknown field {}", go_text::quote(path))));
        strict.extend(walk.strict.into_iter().filter(|error| error.starts_with("unknown")));
        strict.truncate(STRICT_ERRORS_MAX);
    }
    Ok((value, strict))
}

/// The name of the Go type: the field's own if it has one, or what follows from the type.
fn go_type<'a>(ty: TypeRef<'_>, name: Option<&'a str>) -> Cow<'a, str> {
    name.map_or_else(|| Cow::Owned(ty.go_name()), Cow::Borrowed)
}

impl Walk {
    fn strict_error(&mut self, kind: &str, step: &Step<'_>) {
        if !self.wants_strict || self.strict.len() >= STRICT_ERRORS_MAX {
            return;
        }
        let mut path = String::new();
        step.write_strict(&mut path);
        let message = format!("{kind} {}", go_text::quote(&path));
        if !self.strict.contains(&message) {
            self.strict.push(message);
        }
    }

    fn mismatch_text(found: &str, ty: &str, step: &Step<'_>) -> String {
        match step.go_field() {
            Some(field) => format!("json: cannot unmarshal {found} into Go struct field {field} of type {ty}"),
            None => format!("json: cannot unmarshal {found} into Go value of type {ty}"),
        }
    }

    /// A value of the wrong type: noted, or the end of the walk, by whose sentences are wanted.
    fn mismatch(
        &mut self,
        found: &Node<'_>,
        ty: TypeRef<'_>,
        name: Option<&str>,
        step: &Step<'_>,
    ) -> Result<Option<Value>, Stop> {
        if self.source == Source::Unstructured {
            return Err(Stop(unstructured_text(found, ty, name)));
        }
        let found = match (found, ty.shape()) {
            (Node::Number(text), Shape::Int32 | Shape::Int64 | Shape::Double) => Cow::Owned(format!("number {text}")),
            _ => Cow::Borrowed(found.go_kind()),
        };
        self.noted.get_or_insert_with(|| Self::mismatch_text(&found, &go_type(ty, name), step));
        Ok(None)
    }

    /// The value, or nothing for `null` and for what was noted as wrong.
    fn value(
        &mut self,
        ty: TypeRef<'_>,
        name: Option<&str>,
        node: Node<'_>,
        step: &Step<'_>,
    ) -> Result<Option<Value>, Stop> {
        match (ty.shape(), node) {
            (_, Node::Null) => Ok(None),
            (Shape::Struct(_), Node::Object(fields)) => self.fields(ty, fields, step).map(Some),
            (Shape::Map(_), Node::Object(fields)) => self.entries(ty, name, fields, step).map(Some),
            (Shape::List(..), Node::Array(items)) => self.items(ty, name, items, step).map(Some),
            (Shape::String, Node::String(text)) => Ok(Some(Value::String(text.into_owned()))),
            (Shape::Bool, Node::Bool(value)) => Ok(Some(Value::Bool(value))),
            (Shape::Int32 | Shape::Int64 | Shape::Double, Node::Number(text)) => self.number(ty, name, text, step),
            (Shape::Any, node) => Ok(Some(node.into_value())),
            (Shape::Bytes, Node::String(text)) => match scalar::base64(&text) {
                Ok(text) => Ok(Some(Value::String(text))),
                Err(message) if self.source == Source::Unstructured => {
                    Err(Stop(format!("error decoding from json: {message}")))
                }
                Err(message) => {
                    self.noted.get_or_insert(message);
                    Ok(None)
                }
            },
            (Shape::Time | Shape::MicroTime | Shape::Quantity | Shape::IntOrString, node) => {
                self.custom(ty, &node, step).map(Some)
            }
            (_, node) => self.mismatch(&node, ty, name, step),
        }
    }

    fn number(
        &mut self,
        ty: TypeRef<'_>,
        name: Option<&str>,
        text: Cow<'_, str>,
        step: &Step<'_>,
    ) -> Result<Option<Value>, Stop> {
        let value = match ty.shape() {
            Shape::Int32 => text.parse::<i32>().ok().map(Value::from),
            Shape::Int64 => text.parse::<i64>().ok().map(Value::from),
            _ => text.parse::<f64>().ok().and_then(double),
        };
        match value {
            Some(value) => Ok(Some(value)),
            None if self.source == Source::Unstructured => Ok(Some(unstructured_number(ty, name, &text)?)),
            None => self.mismatch(&Node::Number(text), ty, name, step),
        }
    }

    /// Types that upstream reads with code of their own: an error there ends the decoding.
    fn custom(&mut self, ty: TypeRef<'_>, node: &Node<'_>, step: &Step<'_>) -> Result<Value, Stop> {
        let wrong = |found: &str, ty: &str| match self.source {
            Source::Json => Stop(Self::mismatch_text(found, ty, step)),
            Source::Unstructured => Stop(format!("json: cannot unmarshal {found} into Go value of type {ty}")),
        };
        let text = match (ty.shape(), node) {
            (Shape::IntOrString, Node::String(text)) => Ok(text.clone().into_owned()),
            (Shape::IntOrString, Node::Number(text)) => {
                let number = text.parse::<i32>().map_err(|_| wrong(&format!("number {text}"), "int32"))?;
                return Ok(Value::from(number));
            }
            (Shape::IntOrString, node) => return Err(wrong(node.go_kind(), "int32")),
            (Shape::Quantity, Node::String(text) | Node::Number(text)) => scalar::quantity(text),
            (Shape::Quantity, node) => scalar::quantity(node.go_kind()),
            (Shape::Time, Node::String(text)) => scalar::time(text, false),
            (_, Node::String(text)) => scalar::time(text, true),
            (_, node) => return Err(wrong(node.go_kind(), "string")),
        };
        text.map(Value::String).map_err(Stop)
    }

    fn fields(
        &mut self,
        ty: TypeRef<'_>,
        fields: Vec<(Cow<'_, str>, Node<'_>)>,
        step: &Step<'_>,
    ) -> Result<Value, Stop> {
        let mut out = Map::new();
        let mut seen: Vec<&str> = Vec::new();
        for (key, node) in fields {
            let Some(field) = ty.field(&key) else {
                self.strict_error("unknown field", &step.then(Segment::Key(&key)));
                continue;
            };
            let name: &str = &field.name;
            let step = step.then(Segment::Field(name, ty));
            // `out` tells most duplicates; `seen` holds those whose value was left out.
            if out.contains_key(name) || seen.contains(&name) {
                self.strict_error("duplicate field", &step);
            }
            let field_type = ty.of(field);
            let value = self.value(field_type, field.go_name(), node, &step)?;
            match value.filter(|value| is_written(field_type, field, value)) {
                Some(value) => merge_duplicate(&mut out, name, value),
                None if seen.contains(&name) => {}
                None => seen.push(name),
            }
        }
        Ok(Value::Object(out))
    }

    fn entries(
        &mut self,
        ty: TypeRef<'_>,
        name: Option<&str>,
        fields: Vec<(Cow<'_, str>, Node<'_>)>,
        step: &Step<'_>,
    ) -> Result<Value, Stop> {
        let mut out = Map::new();
        let Some(item) = ty.item() else { return Ok(Value::Object(out)) };
        let item_name = name.and_then(|name| name.strip_prefix("map[")).and_then(|rest| rest.split_once(']'));
        for (key, node) in fields {
            let step = step.then(Segment::Key(&key));
            if out.contains_key(&*key) {
                self.strict_error("duplicate field", &step);
            }
            let value = self.value(item, item_name.map(|(_, name)| name), node, &step)?;
            let value = value.unwrap_or_else(|| zero(item, false));
            out.insert(key.into_owned(), value);
        }
        Ok(Value::Object(out))
    }

    fn items(
        &mut self,
        ty: TypeRef<'_>,
        name: Option<&str>,
        items: Vec<Node<'_>>,
        step: &Step<'_>,
    ) -> Result<Value, Stop> {
        let mut out = Vec::with_capacity(items.len());
        let Some(item) = ty.item() else { return Ok(Value::Array(out)) };
        let item_name = name.and_then(|name| name.strip_prefix("[]"));
        for (index, node) in items.into_iter().enumerate() {
            let value = self.value(item, item_name, node, &step.then(Segment::Index(index)))?;
            out.push(value.unwrap_or_else(|| zero(item, false)));
        }
        Ok(Value::Array(out))
    }
}

/// Go writes a whole float without a point.
fn double(number: f64) -> Option<Value> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT_MAX {
        return format!("{number:.0}").parse::<i64>().ok().map(Value::from);
    }
    Number::from_f64(number).map(Value::Number)
}

/// In Go a struct's or map's second appearance is read into the first.
fn merge_duplicate(out: &mut Map<String, Value>, name: &str, value: Value) {
    match (out.get_mut(name), value) {
        (Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
        (_, value) => {
            out.insert(name.to_owned(), value);
        }
    }
}

/// False for a value that Go leaves out when it writes the object, or that does not come back from the store.
fn is_written(ty: TypeRef<'_>, field: &Field, value: &Value) -> bool {
    // An empty list of managed fields is a client's order to forget them.
    if field.pointer || field.name == "managedFields" {
        return true;
    }
    match (ty.shape(), value) {
        (Shape::List(..), Value::Array(items)) => !(field.omit_empty && items.is_empty()),
        (Shape::Map(_), Value::Object(map)) => !(field.omit_empty && map.is_empty()),
        (Shape::Struct(_), Value::Object(map)) => !(field.omit_zero && map.is_empty()),
        (Shape::String | Shape::Bytes, Value::String(text)) => !(field.omit_empty && text.is_empty()),
        (Shape::Int32 | Shape::Int64, Value::Number(number)) => !(field.omit_empty && number.as_i64() == Some(0)),
        (Shape::Double, Value::Number(number)) => !(field.omit_empty && number.as_f64() == Some(0.0)),
        (Shape::Bool, Value::Bool(value)) => !field.omit_empty || *value,
        _ => true,
    }
}

/// The Go type of a value in an untyped map.
fn unstructured_kind(node: &Node<'_>) -> &'static str {
    match node {
        Node::Null => "invalid",
        Node::Bool(_) => "bool",
        Node::Number(text) if !text.contains('.') && text.parse::<i64>().is_ok() => "int64",
        Node::Number(_) => "float64",
        Node::String(_) => "string",
        Node::Array(_) => "slice",
        Node::Object(_) => "map",
    }
}

/// What upstream's converter says of a value that does not fit.
fn unstructured_text(found: &Node<'_>, ty: TypeRef<'_>, name: Option<&str>) -> String {
    let kind = unstructured_kind(found);
    match ty.shape() {
        Shape::Struct(_) => format!("cannot restore struct from: {kind}"),
        Shape::Map(_) => format!("cannot restore map from {kind}"),
        Shape::List(..) | Shape::Bytes => format!("cannot restore slice from {kind}"),
        // Go converts an integer to a string (as a code point), so that this is refused with other words.
        Shape::String if kind == "int64" => format!("cannot convert int64 to {}", go_type(ty, name)),
        _ => {
            let target = match ty.shape() {
                Shape::String => "string",
                Shape::Int32 => "int32",
                Shape::Int64 => "int64",
                Shape::Double => "float64",
                _ => "bool",
            };
            format!("unrecognized type: {target}")
        }
    }
}

/// The converter cuts integers to size and takes floats that are whole.
fn unstructured_number(ty: TypeRef<'_>, name: Option<&str>, text: &str) -> Result<Value, Stop> {
    let refuse = || Stop(format!("cannot convert float64 to {}", go_type(ty, name)));
    let integer = match text.parse::<i64>() {
        Ok(integer) => integer,
        Err(_) => {
            let float: f64 = text.parse().map_err(|_| refuse())?;
            if float.fract() != 0.0 || float.abs() >= 9.0e18 {
                return Err(refuse());
            }
            format!("{float:.0}").parse().map_err(|_| refuse())?
        }
    };
    if matches!(ty.shape(), Shape::Int32) {
        let bytes = integer.to_le_bytes();
        return Ok(Value::from(i32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])));
    }
    Ok(Value::from(integer))
}

impl fmt::Debug for Walk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Walk").finish_non_exhaustive()
    }
}
