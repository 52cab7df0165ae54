//! Tables and partial metadata: how lists and objects are shown to people.

use std::borrow::Cow;

use bytes::Bytes;
use coracle_control_api::kind::{Column, Kind};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::negotiation::FormVersion;
use crate::stored;

/// What of the object goes into a row beside its cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IncludeObject {
    None,
    Metadata,
    Object,
}

impl IncludeObject {
    /// The `includeObject` parameter; metadata when it is not there.
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "None" => Self::None,
            "Object" => Self::Object,
            _ => Self::Metadata,
        }
    }
}

/// Writes tables of one kind.
#[derive(Debug, Clone)]
pub(crate) struct TableWriter<'a> {
    pub(crate) kind: &'a Kind,
    pub(crate) version: FormVersion,
    pub(crate) include: IncludeObject,
    pub(crate) now: Timestamp,
}

impl TableWriter<'_> {
    /// A whole table as JSON. `metadata` is the list's metadata as JSON.
    pub(crate) fn table<'e>(
        &self,
        metadata: &Value,
        with_columns: bool,
        objects: impl Iterator<Item = (&'e [u8], u64)>,
    ) -> Vec<u8> {
        let columns =
            if with_columns { Value::from_iter(self.kind.behaviour.columns().iter().map(column)) } else { Value::Null };
        let mut out = Vec::with_capacity(8192);
        out.extend_from_slice(b"{\"kind\":\"Table\",\"apiVersion\":\"");
        out.extend_from_slice(self.version.api_version().as_bytes());
        out.extend_from_slice(b"\",\"metadata\":");
        write_value(&mut out, metadata);
        out.extend_from_slice(b",\"columnDefinitions\":");
        write_value(&mut out, &columns);
        out.extend_from_slice(b",\"rows\":[");
        for (index, (stored, revision)) in objects.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_row(&mut out, stored, revision);
        }
        out.extend_from_slice(b"]}");
        out
    }

    fn write_row(&self, out: &mut Vec<u8>, stored: &[u8], revision: u64) {
        let object: Value = serde_json::from_slice(stored).unwrap_or_default();
        out.extend_from_slice(b"{\"cells\":");
        write_value(out, &Value::Array(self.kind.behaviour.cells(&object, self.now)));
        out.extend_from_slice(b",\"object\":");
        match self.include {
            IncludeObject::None => out.extend_from_slice(b"null"),
            IncludeObject::Metadata => write_partial(out, self.kind, stored, revision, self.version),
            IncludeObject::Object => stored::write_with_revision(out, stored, revision),
        }
        out.push(b'}');
    }
}

fn column(column: &Column) -> Value {
    json!({
        "name": column.name,
        "type": column.kind,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    })
}

/// Appends the object's metadata as a `PartialObjectMetadata`.
pub(crate) fn write_partial(out: &mut Vec<u8>, kind: &Kind, stored: &[u8], revision: u64, version: FormVersion) {
    let mut partial = Vec::with_capacity(256);
    partial.extend_from_slice(b"{\"kind\":\"PartialObjectMetadata\",\"apiVersion\":\"");
    partial.extend_from_slice(version.api_version().as_bytes());
    partial.extend_from_slice(b"\",\"metadata\":");
    partial.extend_from_slice(&shown_metadata(kind, stored));
    partial.push(b'}');
    stored::write_with_revision(out, &partial, revision);
}

/// The metadata without the annotations that belong to a version of the whole object.
fn shown_metadata<'a>(kind: &Kind, stored: &'a [u8]) -> Cow<'a, [u8]> {
    let metadata = stored::metadata(stored).unwrap_or(b"{}");
    if kind.version_annotations.is_empty() {
        return Cow::Borrowed(metadata);
    }
    let Ok(mut value) = serde_json::from_slice::<Value>(metadata) else { return Cow::Borrowed(metadata) };
    kind.hide_version_annotations(&mut value);
    Cow::Owned(value.to_string().into_bytes())
}

/// One object's metadata as a `PartialObjectMetadata`.
pub(crate) fn partial(kind: &Kind, stored: &[u8], revision: u64, version: FormVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    write_partial(&mut out, kind, stored, revision, version);
    out
}

/// The metadata of several objects. Upstream shows an empty list of these as null.
pub(crate) fn partial_list(kind: &Kind, metadata: &Value, objects: &[(Bytes, u64)], version: FormVersion) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + objects.len() * 512);
    out.extend_from_slice(b"{\"kind\":\"PartialObjectMetadataList\",\"apiVersion\":\"");
    out.extend_from_slice(version.api_version().as_bytes());
    out.extend_from_slice(b"\",\"metadata\":");
    write_value(&mut out, metadata);
    out.extend_from_slice(b",\"items\":");
    if objects.is_empty() {
        out.extend_from_slice(b"null}");
        return out;
    }
    out.push(b'[');
    for (index, (stored, revision)) in objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_partial(&mut out, kind, stored, *revision, version);
    }
    out.extend_from_slice(b"]}");
    out
}

/// Appends a value as JSON; encoding a `Value` to memory cannot fail.
pub(crate) fn write_value(out: &mut Vec<u8>, value: &Value) {
    let _ = serde_json::to_writer(out, value);
}
