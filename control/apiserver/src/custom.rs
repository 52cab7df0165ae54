//! What follows from a write to a definition: its names are accepted and it is established, or its objects go and then
//! it does.
//!
//! Upstream has controllers for this. Here it is done by the request that changes something, before it is answered, so
//! that a client that has its answer can use what it made. A request that is cut off in the middle leaves a state that
//! the next write to any definition takes up.

pub(crate) mod conversion;

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use coracle_control_api::custom;
use coracle_control_api::kind::{Kind, Verb};
use coracle_control_api::kinds::custom_resource_definition::status::establish;
use coracle_control_api::meta;
use coracle_control_api::status::{Reason, Status};
use coracle_control_store::{Condition, Entry, Operation, Transaction};
use jiff::Timestamp;
use serde_json::Value;

use crate::call::{Call, ResourceCall};
use crate::catalog::Definition;
use crate::pipeline::write_status;
use crate::server::Shared;
use crate::stored;
use crate::verbs::delete::{DeleteOptions, attempt};

/// Rounds over all definitions that one request makes, when others write at the same time.
const ROUNDS_MAX: usize = 8;

/// Whether objects of this kind are definitions.
fn is_definition(kind: &Kind) -> bool {
    kind.group == custom::GROUP && kind.plural == custom::PLURAL
}

fn is_custom(kind: &Kind) -> bool {
    kind.behaviour.custom_type().is_some()
}

/// Refuses to make objects of a definition that goes away.
///
/// # Errors
/// 405, as upstream.
pub(crate) fn check(call: &ResourceCall, verb: Verb) -> Result<(), Status> {
    if verb != Verb::Create || !is_custom(&call.kind) {
        return Ok(());
    }
    let definition = call.shared.catalog.definition(&call.kind.group, &call.kind.plural);
    if !definition.is_some_and(|definition| definition.is_terminating()) {
        return Ok(());
    }
    let message = "create not allowed while custom resource definition is terminating";
    Err(Status::failure(405, Reason::MethodNotAllowed, message))
}

/// Does what follows from the answered request.
///
/// # Errors
/// The store does not take writes.
pub(crate) async fn settle_after(call: &ResourceCall, answer: Result<Response, Status>) -> Result<Response, Status> {
    if matches!(call.info.verb, "get" | "list" | "watch") || answer.is_err() {
        return answer;
    }
    let concerns = is_definition(&call.kind)
        || is_custom(&call.kind)
            && call
                .shared
                .catalog
                .definition(&call.kind.group, &call.kind.plural)
                .is_some_and(|definition| definition.is_terminating());
    if concerns {
        settle(call).await?;
    }
    answer
}

/// Takes up what a request left behind that was cut off.
///
/// # Errors
/// The store does not take writes.
pub(crate) async fn resume(shared: &Arc<Shared>, now: Timestamp) -> Result<(), Status> {
    settle(&Call::of_server(Arc::clone(shared), now)).await
}

/// Brings all definitions to where they should be.
async fn settle(call: &Call) -> Result<(), Status> {
    for _ in 0..ROUNDS_MAX {
        let definitions = call.shared.catalog.definitions();
        let mut again = false;
        for (entry, definition) in &definitions {
            let new = if definition.is_terminating() {
                remove_objects(call, definition).await?
            } else {
                let others: Vec<&Value> = definitions.iter().map(|(_, other)| &other.object).collect();
                establish(&definition.object, &others, &now(call)).map(Change::Put)
            };
            if let Some(change) = new {
                write(call, entry, change).await?;
                // The others are held against what is stored now.
                again = true;
                break;
            }
        }
        if !again && !definitions.is_empty() || definitions.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}

/// What is to be done with a definition.
enum Change {
    Put(Value),
    Delete,
}

fn now(call: &Call) -> Value {
    let mut holder = Value::Object(serde_json::Map::new());
    meta::set_creation_timestamp(&mut holder, call.now);
    holder.pointer("/metadata/creationTimestamp").cloned().unwrap_or(Value::Null)
}

/// Writes a definition, if it is still the one that was seen.
async fn write(call: &Call, entry: &Entry, change: Change) -> Result<(), Status> {
    let key = entry.key.clone();
    let conditions = vec![Condition::ModRevision { key: key.clone(), revision: entry.mod_revision }];
    let operation = match change {
        Change::Put(object) => Operation::Put { key, value: stored::encode(&object) },
        Change::Delete => Operation::Delete { key },
    };
    let transaction = Transaction { conditions, operations: vec![operation] };
    call.shared.store.transact(transaction).await.map(|_| ()).map_err(|error| write_status(&error))
}

/// Deletes every object of a definition; what becomes of the definition when none is left.
async fn remove_objects(call: &Call, definition: &Definition) -> Result<Option<Change>, Status> {
    if !meta::finalizers(&definition.object).any(|name| name == custom::FINALIZER) {
        return Ok(None);
    }
    let Some(kind) = custom::storage_kind(&definition.object) else { return Ok(None) };
    let prefix = Bytes::from(kind.storage_prefix());
    let call = ResourceCall { call: call.clone(), kind: Arc::new(kind) };
    let entries: Vec<Entry> = call.shared.store.snapshot().prefix(&prefix).collect();
    let options = DeleteOptions { without_admission: true, ..DeleteOptions::default() };
    for entry in entries {
        let mut found = Some(entry);
        while let Some(entry) = found {
            found = match attempt(&call, &entry, &options).await? {
                Ok(_) => None,
                Err(now) => now,
            };
        }
    }
    if call.shared.store.snapshot().prefix_count(&prefix) > 0 {
        return Ok(None);
    }
    let mut object = definition.object.clone();
    let rest: Vec<String> =
        meta::finalizers(&object).filter(|name| *name != custom::FINALIZER).map(str::to_owned).collect();
    if rest.is_empty() {
        return Ok(Some(Change::Delete));
    }
    meta::metadata_mut(&mut object).insert("finalizers".to_owned(), Value::from(rest));
    Ok(Some(Change::Put(object)))
}
