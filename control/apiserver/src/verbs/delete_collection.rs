//! deletecollection: every object that matches, several at a time.

use axum::body::Body;
use bytes::Bytes;
use coracle_control_api::status::{Reason, Status};
use coracle_control_store::Entry;
use futures::TryStreamExt as _;
use http::Request;

use crate::call::{Answer, ResourceCall, view};
use crate::custom::conversion;
use crate::filter::Filter;
use crate::list_options::ListOptions;
use crate::negotiation::Negotiated;
use crate::verbs::delete::{DeleteOptions, attempt, delete_object};
use crate::verbs::list::{Page, page_answer, scope_prefix};

/// Deletes under way at once: enough to fill the store's groups.
const CONCURRENCY: usize = 64;

pub(crate) async fn delete_collection(call: &ResourceCall, request: Request<Body>) -> Answer {
    let agreed = call.negotiate(&[])?;
    let list_options = ListOptions::parse(&call.query, false)?;
    let filter = Filter::parse(&call.kind, &call.query)?;
    let options = DeleteOptions::read(call, request).await?;
    let snapshot = call.snapshot(list_options.version).await?;
    let limit = list_options.limit.unwrap_or(usize::MAX);
    let prefix = scope_prefix(call);
    let entries: Vec<Entry> = snapshot
        .prefix(prefix.as_bytes())
        .filter(|entry| filter.is_everything() || filter.matches(&call.kind, &view(&call.kind, &entry.value)))
        .take(limit)
        .collect();
    let mut objects: Vec<(Bytes, u64)> =
        entries.iter().map(|entry| (view(&call.kind, &entry.value).into_owned(), entry.mod_revision)).collect();
    conversion::objects(&call.shared, &call.kind, &mut objects).await?;
    futures::stream::iter(entries.iter().map(Ok))
        .try_for_each_concurrent(CONCURRENCY, |entry| delete_entry(call, entry, &options))
        .await?;
    let page = Page { revision: call.shared.store.revision(), objects, next: None };
    Ok(page_answer(call, &page, Negotiated { ..agreed }))
}

/// Deletes what was listed; that it is gone already is as good.
async fn delete_entry(call: &ResourceCall, entry: &Entry, options: &DeleteOptions) -> Result<(), Status> {
    let result = match attempt(call, entry, options).await {
        Ok(Ok(_)) => return Ok(()),
        Ok(Err(None)) => return Ok(()),
        Ok(Err(Some(now))) => {
            let name = String::from_utf8_lossy(&now.key).rsplit('/').next().unwrap_or_default().to_owned();
            delete_object(call, &name, options).await.map(drop)
        }
        Err(status) => Err(status),
    };
    match result {
        Err(status) if status.reason == Reason::NotFound => Ok(()),
        other => other,
    }
}
