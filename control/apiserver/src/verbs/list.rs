//! list: a collection at one revision, whole or in pages.

use bytes::Bytes;
use coracle_control_api::status::Status;
use coracle_control_store::{Entry, Snapshot, SnapshotAtError};
use serde_json::{Map, Value};

use crate::answer::json_answer;
use crate::call::{Answer, ResourceCall, view};
use crate::custom::conversion;
use crate::filter::Filter;
use crate::list_options::{ContinueToken, ListOptions, Version};
use crate::negotiation::{Form, Negotiated};
use crate::stored;
use crate::table::{IncludeObject, TableWriter, partial_list, write_value};

/// As what a collection can be shown.
pub(crate) const FORMS: &[Form] = &[Form::Table, Form::PartialMetadataList];

/// Bytes of one item that are set aside before the items are written.
const ITEM_BYTES_GUESS: usize = 64;

/// One page of a collection, of the objects that match.
pub(crate) struct Page {
    pub(crate) revision: u64,
    /// In the form of the kind, with their revisions.
    pub(crate) objects: Vec<(Bytes, u64)>,
    /// Where the next page begins, when there is one.
    pub(crate) next: Option<ContinueToken>,
}

pub(crate) async fn list(call: &ResourceCall) -> Answer {
    let agreed = call.negotiate(FORMS)?;
    let options = ListOptions::parse(&call.query, false)?;
    let filter = Filter::parse(&call.kind, &call.query)?;
    let page = read_page(call, &options, &filter).await?;
    Ok(page_answer(call, &page, agreed))
}

/// Reads one page.
///
/// # Errors
/// 410 for a token whose revision is gone, and what the store cannot answer.
pub(crate) async fn read_page(call: &ResourceCall, options: &ListOptions, filter: &Filter) -> Result<Page, Status> {
    let token = options.continue_token.as_ref();
    let snapshot = match token {
        // A token of an inconsistent list goes on in the latest state.
        Some(token) if token.revision > 0 => {
            call.shared.store.snapshot_at(token.revision).map_err(|error| expired(&error, token))?
        }
        _ => call.snapshot(options.version).await?,
    };
    // A list at any version is served whole, as upstream's watch cache does.
    let limit = if options.version == Version::Any && token.is_none() { None } else { options.limit };
    let mut page = collect(call, &snapshot, filter, limit, token);
    conversion::objects(&call.shared, &call.kind, &mut page.objects).await?;
    Ok(page)
}

fn collect(
    call: &ResourceCall,
    snapshot: &Snapshot,
    filter: &Filter,
    limit: Option<usize>,
    token: Option<&ContinueToken>,
) -> Page {
    let kind = &call.kind;
    let revision = snapshot.revision();
    let root = kind.storage_prefix();
    let prefix = scope_prefix(call);
    if let Some(entry) = exact_entry(call, snapshot, filter) {
        let objects = entry.iter().map(|entry| (view(kind, &entry.value).into_owned(), entry.mod_revision));
        let objects = objects.filter(|(stored, _)| filter.matches(kind, stored)).collect();
        return Page { revision, objects, next: None };
    }
    let everything = filter.is_everything();
    let limit = limit.unwrap_or(usize::MAX);
    let mut objects = Vec::new();
    let mut last: Option<Bytes> = None;
    let mut more = false;
    let mut take = |entry: Entry| -> bool {
        let stored = view(kind, &entry.value);
        if !everything && !filter.matches(kind, &stored) {
            return true;
        }
        if objects.len() == limit {
            more = true;
            return false;
        }
        objects.push((stored.into_owned(), entry.mod_revision));
        last = Some(entry.key);
        true
    };
    match token {
        Some(token) => {
            let after = format!("{root}{}", token.after);
            let _ = snapshot.prefix_after(prefix.as_bytes(), after.as_bytes()).all(&mut take);
        }
        None => {
            let _ = snapshot.prefix(prefix.as_bytes()).all(&mut take);
        }
    }
    let next = last.filter(|_| more).map(|key| {
        let taken = objects.len() as u64;
        let remaining = match token {
            Some(token) => token.remaining.map(|rest| rest.saturating_sub(taken)),
            None => everything.then(|| (snapshot.prefix_count(prefix.as_bytes()) as u64).saturating_sub(taken)),
        };
        let after = String::from_utf8_lossy(key.get(root.len()..).unwrap_or_default()).into_owned();
        // A page of an inconsistent list stays one: its token says revision 0.
        let revision = if token.is_some_and(|token| token.revision == 0) { 0 } else { revision };
        ContinueToken { revision, after, remaining }
    });
    Page { revision, objects, next }
}

/// The prefix of the keys that the path names.
pub(crate) fn scope_prefix(call: &ResourceCall) -> String {
    match call.namespace() {
        "" => call.kind.storage_prefix(),
        namespace => call.kind.namespace_prefix(namespace),
    }
}

/// The one object that a field selector allows, when it can be looked up by its key: a list becomes a get.
fn exact_entry(call: &ResourceCall, snapshot: &Snapshot, filter: &Filter) -> Option<Option<Entry>> {
    let name = filter.exact_name().filter(|name| !name.is_empty() && !name.contains('/'))?;
    let namespace = match call.namespace() {
        "" if call.kind.namespaced => filter.exact_namespace().filter(|text| !text.is_empty())?,
        namespace => namespace,
    };
    Some(snapshot.get(call.kind.storage_key(namespace, name).as_bytes()))
}

/// 410 for a token whose revision is gone, with one that goes on in the latest state.
fn expired(error: &SnapshotAtError, token: &ContinueToken) -> Status {
    tracing::debug!(%error, "a continue token has expired");
    let mut status = Status::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new list \
         without the continue parameter, or use the continue token in this response to retrieve the remainder of the \
         results. Continuing with the provided token results in an inconsistent list - objects that were created, \
         modified, or deleted between the time the first chunk was returned and now may show up in the list.",
    );
    let next = ContinueToken { revision: 0, after: token.after.clone(), remaining: None };
    status.continue_token = Some(next.encode().into());
    status
}

fn list_metadata(page: &Page) -> Value {
    let mut metadata = Map::new();
    // What is computed and not stored has no version.
    if page.revision > 0 {
        metadata.insert("resourceVersion".to_owned(), Value::from(page.revision.to_string()));
    }
    if let Some(next) = &page.next {
        metadata.insert("continue".to_owned(), Value::from(next.encode()));
        if let Some(remaining) = next.remaining {
            metadata.insert("remainingItemCount".to_owned(), Value::from(remaining));
        }
    }
    Value::Object(metadata)
}

/// An answer with a page.
pub(crate) fn page_answer(call: &ResourceCall, page: &Page, agreed: Negotiated) -> axum::response::Response {
    let metadata = list_metadata(page);
    let json = match agreed.form {
        Form::Table => {
            let writer = TableWriter {
                kind: &call.kind,
                version: agreed.form_version,
                include: IncludeObject::parse(call.query.text("includeObject")),
                now: call.now,
            };
            writer.table(&metadata, true, page.objects.iter().map(|(stored, revision)| (&stored[..], *revision)))
        }
        Form::PartialMetadata | Form::PartialMetadataList => {
            partial_list(&call.kind, &metadata, &page.objects, agreed.form_version)
        }
        Form::Object => object_list(call, &metadata, page),
    };
    json_answer(200, json, agreed)
}

fn object_list(call: &ResourceCall, metadata: &Value, page: &Page) -> Vec<u8> {
    let size: usize = page.objects.iter().map(|(stored, _)| stored.len() + ITEM_BYTES_GUESS).sum();
    let mut out = Vec::with_capacity(size + 256);
    out.extend_from_slice(b"{\"kind\":");
    write_value(&mut out, &Value::from(&*call.kind.list_kind));
    out.extend_from_slice(b",\"apiVersion\":");
    write_value(&mut out, &Value::from(call.kind.api_version()));
    out.extend_from_slice(b",\"metadata\":");
    write_value(&mut out, metadata);
    out.extend_from_slice(b",\"items\":[");
    for (index, (stored, revision)) in page.objects.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        stored::write_list_item(&mut out, stored, *revision);
    }
    out.extend_from_slice(b"]}");
    out
}
