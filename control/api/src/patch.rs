//! The three patches that take an object and give an object: JSON patch, merge patch and strategic merge patch.
//!
//! [`patch`] does what upstream does between reading the current object and writing the new one: reads the patch, applies
//! it, and decodes the result, with the refusal that upstream gives at each step. The fourth, apply, is [`crate::apply`].

pub mod json;
pub mod merge;
pub mod strategic;

use crate::decode::json_text::{Node, SyntaxError};
use crate::decode::{Decoded, FieldValidation, Source, Target, decode_patched};
use crate::go_text;
use crate::status::Status;
use serde_json::Value;

/// Kinds of patches, by content type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    /// `application/json-patch+json`.
    Json,
    /// `application/merge-patch+json`.
    Merge,
    /// `application/strategic-merge-patch+json`.
    Strategic,
}

/// The object that `body` makes of `current`, checked against the schema. Its defaults are still to be filled in.
///
/// # Errors
/// 400 when the patch cannot be read, 413 when a JSON patch has too many operations, 422 when it cannot be applied or
/// does not give an object of the kind, 500 where upstream does not classify the error.
pub fn patch(
    kind: PatchKind,
    current: &Value,
    body: &[u8],
    target: &Target<'_>,
    validation: FieldValidation,
) -> Result<Decoded, Status> {
    let strict = validation != FieldValidation::Ignore;
    match kind {
        PatchKind::Json => {
            let (operations, warnings) = json::read(body, strict)?;
            let patched = json::apply(current, operations)?;
            let shown = || go_text::json(&patched);
            decode_patched(&patched, target, validation, Source::Json, warnings, shown)
        }
        PatchKind::Merge => {
            let (patch, warnings) = read_map(body, strict).map_err(|error| match error {
                ReadMapError::Syntax(error) if !strict => {
                    let _ = error;
                    Status::bad_request("Invalid JSON Patch")
                }
                error => Status::bad_request(format!("error decoding patch: {error}")),
            })?;
            let mut patched = current.clone();
            merge::merge(&mut patched, &patch);
            let shown = || go_text::json(&patched);
            decode_patched(&patched, target, validation, Source::Json, warnings, shown)
        }
        PatchKind::Strategic => {
            let (patch, warnings) = read_map(body, strict).map_err(|error| Status::bad_request(error.to_string()))?;
            let patched = strategic::merge(current, &patch, target.schema).map_err(Status::from)?;
            let shown = || go_text::display(&patch);
            decode_patched(&patched, target, validation, Source::Unstructured, warnings, shown)
        }
    }
}

/// Why a body is no map.
#[derive(Debug, thiserror::Error)]
enum ReadMapError {
    #[error("{0}")]
    Syntax(SyntaxError),
    #[error("json: cannot unmarshal {0} into Go value of type map[string]interface {{}}")]
    Kind(&'static str),
}

/// Reads a JSON object, with the sentences about its duplicate fields when they are wanted.
fn read_map(body: &[u8], strict: bool) -> Result<(Value, Vec<String>), ReadMapError> {
    let node = Node::parse(body).map_err(ReadMapError::Syntax)?;
    match node {
        Node::Null => return Ok((Value::Object(serde_json::Map::new()), Vec::new())),
        Node::Object(_) => {}
        other => return Err(ReadMapError::Kind(other.go_kind())),
    }
    let duplicates = if strict { node.duplicates() } else { Vec::new() };
    Ok((node.into_value(), duplicates))
}

#[cfg(test)]
mod tests;
