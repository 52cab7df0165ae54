//! get: one object, as itself, as a table or as its metadata.

use crate::answer::json_answer;
use crate::call::{Answer, ResourceCall, view};
use crate::custom::conversion;
use crate::list_options::{Version, parse_version};
use crate::negotiation::{Form, Negotiated};
use crate::stored;
use crate::table::{IncludeObject, TableWriter, partial};
use coracle_control_store::Entry;
use serde_json::json;

/// As what a single object can be shown.
pub(crate) const FORMS: &[Form] = &[Form::Table, Form::PartialMetadata];

pub(crate) async fn get(call: &ResourceCall) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let version = match parse_version(call.query.text("resourceVersion"))? {
        None => Version::Latest,
        Some(0) => Version::Any,
        Some(revision) => Version::AtLeast(revision),
    };
    let snapshot = call.snapshot(version).await?;
    let entry = conversion::entry(&call.shared, &call.kind, call.find(&snapshot)?).await?;
    Ok(entry_answer(call, 200, &entry, agreed))
}

/// An answer with a stored object.
pub(crate) fn entry_answer(
    call: &ResourceCall,
    code: u16,
    entry: &Entry,
    agreed: Negotiated,
) -> axum::response::Response {
    let stored = view(&call.kind, &entry.value);
    object_answer(call, code, &stored, Some(entry.mod_revision), agreed)
}

/// An answer with an object in its stored form. Without a revision (a dry run of a create) it shows none.
pub(crate) fn object_answer(
    call: &ResourceCall,
    code: u16,
    stored: &[u8],
    revision: Option<u64>,
    agreed: Negotiated,
) -> axum::response::Response {
    let shown = revision.unwrap_or(0);
    let json = match agreed.form {
        Form::Table => {
            let writer = TableWriter {
                kind: &call.kind,
                version: agreed.form_version,
                include: IncludeObject::parse(call.query.text("includeObject")),
                now: call.now,
            };
            writer.table(&json!({"resourceVersion": shown.to_string()}), true, std::iter::once((stored, shown)))
        }
        Form::PartialMetadata | Form::PartialMetadataList => partial(&call.kind, stored, shown, agreed.form_version),
        Form::Object => match revision {
            Some(revision) => stored::with_revision(stored, revision),
            None => stored.to_vec(),
        },
    };
    json_answer(code, json, agreed)
}
