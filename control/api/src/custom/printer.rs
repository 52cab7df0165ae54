//! The printer columns of a definition.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use super::json_path::{JsonPath, shown};
use crate::kind::Column;
use crate::kinds::fields::Fields;
use crate::kinds::{age, columns};

/// The columns of a custom resource, and where their cells come from.
#[derive(Clone, Debug)]
pub(super) struct Printer {
    /// The name first, then one for each path.
    columns: Vec<Column>,
    paths: Vec<JsonPath>,
}

impl Printer {
    pub(super) fn new(definitions: &[Value]) -> Self {
        let mut columns = vec![columns::name()];
        let mut paths = Vec::with_capacity(definitions.len());
        for definition in definitions {
            columns.push(column(definition));
            paths.push(JsonPath::parse(definition.text("jsonPath")));
        }
        if definitions.is_empty() {
            columns.push(Column { kind: Cow::Borrowed("date"), ..columns::age() });
            paths.push(JsonPath::parse(".metadata.creationTimestamp"));
        }
        Self { columns, paths }
    }

    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    pub(super) fn cells(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        let cells = self.columns.iter().skip(1).zip(&self.paths);
        let cells =
            cells.map(|(column, path)| path.first(object).map_or(Value::Null, |found| cell(column, found, now)));
        std::iter::once(columns::name_cell(object)).chain(cells).collect()
    }
}

fn column(definition: &Value) -> Column {
    let owned = |name: &str| Cow::Owned(definition.text(name).to_owned());
    let description = match definition.text("description") {
        "" => {
            let path = definition.text("jsonPath");
            Cow::Owned(format!("Custom resource definition column (in JSONPath format): {path}"))
        }
        _ => owned("description"),
    };
    Column {
        name: owned("name"),
        kind: owned("type"),
        format: owned("format"),
        priority: definition.int("priority").and_then(|priority| i32::try_from(priority).ok()).unwrap_or(0),
        description,
    }
}

/// The value as a cell of the column's type; null where it is of another.
fn cell(column: &Column, value: &Value, now: Timestamp) -> Value {
    match (&*column.kind, value) {
        (_, Value::Null) => Value::Null,
        ("integer", Value::String(text)) => text.parse::<i64>().map_or(Value::Null, Value::from),
        ("integer", Value::Number(number)) if number.is_f64() => {
            format!("{:.0}", number.as_f64().unwrap_or_default().trunc())
                .parse::<i64>()
                .map_or(Value::Null, Value::from)
        }
        ("integer" | "number", Value::Number(_)) | ("boolean", Value::Bool(_)) => value.clone(),
        ("number", Value::String(text)) => text.parse::<f64>().map_or(Value::Null, Value::from),
        ("boolean", Value::String(text)) => text.parse::<bool>().map_or(Value::Null, Value::from),
        ("date", Value::String(_)) => Value::from(age::since(Some(value), now)),
        ("string", _) => Value::from(shown(value)),
        _ => Value::Null,
    }
}
