//! Conversion of custom objects between the versions of their definition, where a webhook does it.
//!
//! Objects are stored in the storage version of the time when they were written. One that is read in another version goes
//! through the webhook, together with all others of the same answer; so does one that is to be written.

use std::time::Duration;

use bytes::Bytes;
use coracle_control_api::custom::Conversion;
use coracle_control_api::kind::Kind;
use coracle_control_api::meta;
use coracle_control_api::schema::TypeRef;
use coracle_control_api::status::Status;
use coracle_control_store::{Entry, WatchEvent};
use serde_json::{Value, json};

use crate::server::Shared;
use crate::stored;

/// How long a webhook may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Objects that are sent to a webhook at once.
const OBJECTS_MAX: usize = 500;

/// Brings entries into the version of a kind.
///
/// # Errors
/// 500 in upstream's words when the webhook fails.
pub(crate) async fn entries(shared: &Shared, kind: &Kind, entries: &mut [Entry]) -> Result<(), Status> {
    if kind.behaviour.conversion().is_none() {
        return Ok(());
    }
    let mut values: Vec<&mut Bytes> = entries.iter_mut().map(|entry| &mut entry.value).collect();
    convert_stored(shared, kind, &mut values).await
}

/// Brings one entry into the version of a kind.
///
/// # Errors
/// As for [`entries`].
pub(crate) async fn entry(shared: &Shared, kind: &Kind, mut entry: Entry) -> Result<Entry, Status> {
    entries(shared, kind, std::slice::from_mut(&mut entry)).await?;
    Ok(entry)
}

/// Brings the objects of a page into the version of a kind.
///
/// # Errors
/// As for [`entries`].
pub(crate) async fn objects(shared: &Shared, kind: &Kind, objects: &mut [(Bytes, u64)]) -> Result<(), Status> {
    if kind.behaviour.conversion().is_none() {
        return Ok(());
    }
    let mut values: Vec<&mut Bytes> = objects.iter_mut().map(|(value, _)| value).collect();
    convert_stored(shared, kind, &mut values).await
}

/// Brings the objects of events into the version of a kind.
///
/// # Errors
/// As for [`entries`].
pub(crate) async fn events(shared: &Shared, kind: &Kind, events: &mut [WatchEvent]) -> Result<(), Status> {
    if kind.behaviour.conversion().is_none() {
        return Ok(());
    }
    let mut values = Vec::with_capacity(events.len());
    for event in events {
        match event {
            WatchEvent::Put { entry, previous } => {
                values.push(&mut entry.value);
                values.extend(previous.iter_mut().map(|previous| &mut previous.value));
            }
            WatchEvent::Delete { previous, .. } => values.push(&mut previous.value),
        }
    }
    convert_stored(shared, kind, &mut values).await
}

async fn convert_stored(shared: &Shared, kind: &Kind, values: &mut [&mut Bytes]) -> Result<(), Status> {
    for chunk in values.chunks_mut(OBJECTS_MAX) {
        let read = |value: &&mut Bytes| serde_json::from_slice::<Value>(value).unwrap_or_default();
        let converted = objects_to(shared, kind, chunk.iter().map(read).collect(), &kind.api_version()).await?;
        for (value, converted) in chunk.iter_mut().zip(converted) {
            **value = stored::encode(&converted);
        }
    }
    Ok(())
}

/// Brings an object that is to be written into the storage version.
///
/// # Errors
/// As for [`entries`].
pub(crate) async fn to_storage(shared: &Shared, kind: &Kind, object: &Value) -> Result<Option<Value>, Status> {
    let Some(conversion) = kind.behaviour.conversion() else { return Ok(None) };
    let mut object = object.clone();
    meta::metadata_mut(&mut object).remove("resourceVersion");
    Ok(objects_to(shared, kind, vec![object], &conversion.storage_version).await?.pop())
}

/// Brings an object of a kind into another version.
///
/// # Errors
/// What the webhook says, in upstream's words.
pub(crate) async fn to_version(shared: &Shared, kind: &Kind, object: Value, wanted: &Kind) -> Result<Value, Status> {
    if kind.behaviour.conversion().is_none() {
        let mut object = object;
        kind.behaviour.to_stored(&mut object);
        wanted.behaviour.from_stored(&mut object);
        return Ok(object);
    }
    let converted = objects_to(shared, wanted, vec![object], &wanted.api_version()).await?.pop();
    converted.ok_or_else(|| Status::internal("a conversion came to nothing"))
}

/// Converts those that are not of the version yet; as many come back, in the same order.
async fn objects_to(shared: &Shared, kind: &Kind, mut all: Vec<Value>, wanted: &str) -> Result<Vec<Value>, Status> {
    let Some(conversion) = kind.behaviour.conversion() else { return Ok(all) };
    let others: Vec<usize> =
        all.iter().enumerate().filter(|(_, object)| meta::api_version(object) != wanted).map(|(at, _)| at).collect();
    let Some(first) = others.first() else { return Ok(all) };
    let about = format!("{}, Kind={}", meta::api_version(&all[*first]), kind.kind);
    let failed = |error: String| Status::unclassified(format!("conversion webhook for {about} {error}"));
    let sent: Vec<Value> = others.iter().map(|at| all[*at].clone()).collect();
    let answered = ask(shared, conversion, &sent, wanted).await.map_err(|error| failed(format!("failed: {error}")))?;
    if answered.len() != sent.len() {
        return Err(failed(format!("returned {} objects, expected {}", answered.len(), sent.len())));
    }
    for ((at, original), mut converted) in others.iter().zip(&sent).zip(answered) {
        accept(original, &mut converted, wanted)
            .map_err(|error| failed(format!("returned invalid object: {error}")))?;
        if wanted == kind.api_version()
            && let Some(structural) = kind.behaviour.custom_type().and_then(TypeRef::structural)
        {
            structural.prune_object(&mut converted);
            structural.default_object(&mut converted);
        }
        all[*at] = converted;
    }
    Ok(all)
}

/// Asks the webhook.
async fn ask(shared: &Shared, conversion: &Conversion, objects: &[Value], wanted: &str) -> Result<Vec<Value>, String> {
    let Some(version) = conversion.review_version else {
        return Err("no supported conversion review versions".to_owned());
    };
    let uid = uuid::Uuid::new_v4().to_string();
    let review = json!({
        "kind": "ConversionReview", "apiVersion": format!("apiextensions.k8s.io/{version}"),
        "request": {"uid": uid, "desiredAPIVersion": wanted, "objects": objects},
    });
    // Encoding a `Value` to memory cannot fail: its keys are texts and its numbers finite.
    let body = serde_json::to_vec(&review).unwrap_or_default();
    let answer = shared.webhooks.post(&conversion.client, body, TIMEOUT).await.map_err(|error| error.to_string())?;
    let text = |pointer: &str| answer.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    if version == "v1" && (text("/apiVersion"), text("/kind")) != ("apiextensions.k8s.io/v1", "ConversionReview") {
        return Err(format!(
            "expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got {}, Kind={}",
            text("/apiVersion"),
            text("/kind")
        ));
    }
    if !answer.get("response").is_some_and(Value::is_object) {
        return Err("no response provided".to_owned());
    }
    if version == "v1" && text("/response/uid") != uid {
        return Err(format!("expected response.uid={uid:?}, got {:?}", text("/response/uid")));
    }
    let status = text("/response/result/status");
    if status != "Success" {
        let message = text("/response/result/message");
        return Err(match message {
            "" => format!("response.result.status was '{status}', not 'Success'"),
            message => message.to_owned(),
        });
    }
    let converted = answer.pointer("/response/convertedObjects").and_then(Value::as_array);
    Ok(converted.cloned().unwrap_or_default())
}

/// Checks that the webhook has changed nothing but what it may, and puts the metadata back but for labels and annotations.
fn accept(original: &Value, converted: &mut Value, wanted: &str) -> Result<(), String> {
    let version = meta::api_version(converted);
    if version != wanted {
        return Err(format!("invalid groupVersion (expected {wanted}, received {version})"));
    }
    for (what, expected, found) in [
        ("kind", meta::kind(original), meta::kind(converted)),
        ("name", meta::name(original), meta::name(converted)),
        ("namespace", meta::namespace(original), meta::namespace(converted)),
        ("UID", meta::uid(original), meta::uid(converted)),
    ] {
        if expected != found {
            return Err(format!("must have the same {what}: {expected} != {found}"));
        }
    }
    let Some(given) = converted.get("metadata").and_then(Value::as_object).cloned() else {
        return Err("missing metadata in converted object".to_owned());
    };
    let mut metadata = meta::metadata(original).cloned().unwrap_or_default();
    for name in ["labels", "annotations"] {
        match given.get(name) {
            Some(value) if value.is_object() => metadata.insert(name.to_owned(), value.clone()),
            _ => metadata.remove(name),
        };
    }
    *meta::metadata_mut(converted) = metadata;
    Ok(())
}
