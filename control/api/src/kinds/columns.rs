//! Printer columns: the ones that many kinds share, and how to write a list of them.
//!
//! Names, descriptions and priorities are served to clients, which compare them; the texts are upstream's answers.

use std::borrow::Cow;
use std::sync::LazyLock;

use jiff::Timestamp;
use serde_json::Value;

use crate::kind::Column;
use crate::kinds::age;
use crate::kinds::fields::Fields;

pub(crate) const NAME: &str = "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names";
pub(crate) const AGE: &str = "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata";

/// What a cell shows where there is nothing.
pub(crate) const NONE: &str = "<none>";

/// A column of text that is always shown.
pub(crate) fn text(name: &'static str, description: &'static str) -> Column {
    Column {
        name: Cow::Borrowed(name),
        kind: Cow::Borrowed("string"),
        format: Cow::Borrowed(""),
        priority: 0,
        description: Cow::Borrowed(description),
    }
}

/// A column of text that `-o wide` shows.
pub(crate) fn wide(name: &'static str, description: &'static str) -> Column {
    Column { priority: 1, ..text(name, description) }
}

/// The column of the object's name.
pub(crate) fn name() -> Column {
    Column { format: Cow::Borrowed("name"), ..text("Name", NAME) }
}

/// The column of the object's age.
pub(crate) fn age() -> Column {
    text("Age", AGE)
}

/// The cell of the object's name.
pub(crate) fn name_cell(object: &Value) -> Value {
    Value::from(object.child("metadata").map(|metadata| metadata.text("name")).unwrap_or_default())
}

/// The cell of the object's age.
pub(crate) fn age_cell(object: &Value, now: Timestamp) -> Value {
    Value::from(age::since(object.at(&["metadata", "creationTimestamp"]), now))
}

/// A text, or "<none>" for an empty one.
pub(crate) fn or_none(text: &str) -> Value {
    Value::from(if text.is_empty() { NONE } else { text })
}

/// The first bytes of a text that is too long for a column, as upstream cuts it.
pub(crate) fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let head: String = text.chars().take(bytes_max.saturating_sub(3)).collect();
    format!("{head}...")
}

static NAME_AND_CREATED_AT: LazyLock<Vec<Column>> =
    LazyLock::new(|| vec![name(), Column { kind: Cow::Borrowed("date"), ..text("Created At", AGE) }]);

/// The columns of a kind that has none of its own.
pub(crate) fn name_and_created_at() -> &'static [Column] {
    &NAME_AND_CREATED_AT
}

pub(crate) fn name_and_created_at_cells(object: &Value) -> Vec<Value> {
    let created = object.at(&["metadata", "creationTimestamp"]).cloned().unwrap_or(Value::Null);
    vec![name_cell(object), created]
}
