//! The server's own table of pods, printed as kubectl prints it.

use anyhow::{Context, Result};
use kube::Client;
use serde::Deserialize;
use serde_json::Value;

use crate::command::table;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    column_definitions: Vec<Column>,
    #[serde(default)]
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    /// Columns above 0 are shown with `-o wide` only.
    priority: i32,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
}

/// The pods of the namespace `default`.
pub(super) async fn render(client: &Client) -> Result<String> {
    let request = http::Request::get("/api/v1/namespaces/default/pods")
        .header(http::header::ACCEPT, "application/json;as=Table;g=meta.k8s.io;v=v1")
        .body(Vec::new())
        .context("a fixed request")?;
    let answer: Answer = client.request(request).await.context("cannot list the pods")?;
    let shown: Vec<usize> = answer
        .column_definitions
        .iter()
        .enumerate()
        .filter(|(_, column)| column.priority == 0)
        .map(|(i, _)| i)
        .collect();
    let header = shown.iter().map(|&index| answer.column_definitions[index].name.to_uppercase());
    let rows = answer
        .rows
        .iter()
        .map(|row| shown.iter().map(|&index| row.cells.get(index).map(cell).unwrap_or_default()).collect::<Vec<_>>());
    Ok(table::render(header, rows))
}

fn cell(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
