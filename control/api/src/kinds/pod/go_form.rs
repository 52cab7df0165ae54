//! The pod spec as upstream's server sees it inside, and the difference of two of them as its error shows it.
//!
//! Upstream explains a refused pod update by the difference of two JSON renderings of its internal types: Go's field
//! names in Go's order, every field written out, one space of indent. Clients print that text, so it is made here the
//! same way. The tables below say of each type: Go's name, the API's name, and the form of each field.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::go_text;
use crate::kinds::fields::Fields;

mod lines;
mod types;

use types::TYPES;

/// More lines than any sensible pod has; beyond it the comparison, quadratic at worst, is left out.
const LINES_MAX: usize = 4000;

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A text, empty if absent.
    Text,
    /// A number, zero if absent.
    Int,
    /// A flag, false if absent.
    Flag,
    /// A value as the API has it, null if absent: pointers to scalars, and types that Go writes as the API does.
    Plain,
    /// A map or list of plain values; null if absent or empty.
    Plains,
    /// An object of a type, written out even if absent.
    Struct(&'static str),
    /// An object of a type, null if absent.
    Pointer(&'static str),
    /// A list of objects of a type, null if absent or empty.
    List(&'static str),
}

#[derive(Debug)]
struct Field {
    go: &'static str,
    api: &'static str,
    form: Form,
}

/// Types by name, read from the table once. A malformed line gives no field; a test looks for those.
static PARSED: LazyLock<HashMap<&'static str, Vec<Field>>> = LazyLock::new(|| {
    let mut all = HashMap::new();
    for (name, fields) in TYPES {
        all.insert(*name, fields.split_whitespace().filter_map(parse).collect());
    }
    all
});

/// `Name:name:form`, where the form is one of `text int flag plain plains`, `=Type`, `*Type` or `[]Type`.
fn parse(field: &'static str) -> Option<Field> {
    let mut parts = field.splitn(3, ':');
    let (go, api, form) = (parts.next()?, parts.next()?, parts.next()?);
    let form = match form {
        "text" => Form::Text,
        "int" => Form::Int,
        "flag" => Form::Flag,
        "plain" => Form::Plain,
        "plains" => Form::Plains,
        _ => match (form.strip_prefix('='), form.strip_prefix('*'), form.strip_prefix("[]")) {
            (Some(name), _, _) => Form::Struct(name),
            (_, Some(name), _) => Form::Pointer(name),
            (_, _, Some(name)) => Form::List(name),
            _ => return None,
        },
    };
    Some(Field { go, api, form })
}

/// The difference of two objects of a type, in the unified format with three lines of context and no file names.
pub(crate) fn difference(kind: &str, old: &Value, new: &Value) -> String {
    let (old, new) = (rendered(kind, old), rendered(kind, new));
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        return String::new();
    }
    lines::unified(&old, &new)
}

/// An object of a type in Go's form, on one line; its fields are sorted, as JSON values here are.
pub(crate) fn value(kind: &str, object: &Value) -> Value {
    serde_json::from_str(&rendered(kind, object)).unwrap_or(Value::Null)
}

/// A list of such objects.
pub(super) fn list(kind: &str, objects: &[Value]) -> Value {
    objects.iter().map(|object| value(kind, object)).collect()
}

fn rendered(kind: &str, object: &Value) -> String {
    let prepared = prepare(kind, object);
    let mut out = String::new();
    write_struct(&mut out, kind, &prepared, 0);
    out
}

/// Inside the server, flags about the host's namespaces are part of the security context.
fn prepare(kind: &str, object: &Value) -> Value {
    let mut object = object.clone();
    if kind == "PodSpec" {
        let moved: Vec<(&str, Value)> = ["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"]
            .into_iter()
            .filter_map(|field| object.child(field).map(|value| (field, value.clone())))
            .collect();
        if let Some(context) = crate::kinds::fields::object_mut(&mut object, "securityContext") {
            for (field, value) in moved {
                crate::kinds::fields::set(context, field, value);
            }
        }
    }
    object
}

fn write_struct(out: &mut String, kind: &str, object: &Value, depth: usize) {
    let Some(fields) = PARSED.get(kind).filter(|fields| !fields.is_empty()) else {
        write_plain(out, object, depth);
        return;
    };
    out.push('{');
    for (index, field) in fields.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        indent(out, depth + 1);
        out.push_str(&go_text::json(&Value::from(field.go)));
        out.push_str(": ");
        write_field(out, field.form, object.child(field.api), depth + 1);
    }
    out.push('\n');
    indent(out, depth);
    out.push('}');
}

fn write_field(out: &mut String, form: Form, value: Option<&Value>, depth: usize) {
    match (form, value) {
        (Form::Text, None) => out.push_str("\"\""),
        (Form::Int, None) => out.push('0'),
        (Form::Flag, None) => out.push_str("false"),
        (Form::Struct(kind), value) => write_struct(out, kind, value.unwrap_or(&Value::Null), depth),
        (Form::Pointer(kind), Some(value)) => write_struct(out, kind, value, depth),
        (Form::List(kind), Some(Value::Array(items))) if !items.is_empty() => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "\n" } else { ",\n" });
                indent(out, depth + 1);
                write_struct(out, kind, item, depth + 1);
            }
            out.push('\n');
            indent(out, depth);
            out.push(']');
        }
        (Form::Plains, Some(value)) if is_empty(value) => out.push_str("null"),
        (Form::Text | Form::Int | Form::Flag | Form::Plain | Form::Plains, Some(value)) => {
            write_plain(out, value, depth)
        }
        (Form::Plain | Form::Plains | Form::Pointer(_) | Form::List(_), _) => out.push_str("null"),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// JSON as Go indents it: empty lists and objects stay on one line.
fn write_plain(out: &mut String, value: &Value, depth: usize) {
    let mut entries = |open: char, close: char, items: Vec<(Option<&String>, &Value)>| {
        out.push(open);
        for (index, (key, item)) in items.iter().enumerate() {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            indent(out, depth + 1);
            if let Some(key) = key {
                out.push_str(&go_text::json(&Value::from(key.as_str())));
                out.push_str(": ");
            }
            write_plain(out, item, depth + 1);
        }
        if !items.is_empty() {
            out.push('\n');
            indent(out, depth);
        }
        out.push(close);
    };
    match value {
        Value::Object(map) => entries('{', '}', map.iter().map(|(key, item)| (Some(key), item)).collect()),
        Value::Array(items) => entries('[', ']', items.iter().map(|item| (None, item)).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => out.push_str(&go_text::json(value)),
    }
}

fn indent(out: &mut String, depth: usize) {
    out.extend(std::iter::repeat_n(' ', depth));
}

#[cfg(test)]
mod tests;
