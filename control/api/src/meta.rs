//! Reading and writing an object's metadata in place.
//!
//! Accessors never fail: a field that is absent or of the wrong type reads as empty. Objects that came through
//! [`crate::decode`] have the right types.

use jiff::Timestamp;
use serde_json::{Map, Value};

/// Most bytes of `generateName` that are used, so that a name with its suffix fits into 63 bytes.
const GENERATE_NAME_BASE_MAX: usize = 58;
/// The letters of a generated suffix: no vowels and nothing that is easily confused, as upstream.
const SUFFIX_LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

fn text<'a>(object: &'a Value, pointer: &[&str]) -> &'a str {
    field(object, pointer).and_then(Value::as_str).unwrap_or("")
}

/// The value at a path of field names.
#[must_use]
pub fn field<'a>(object: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(object, |value, name| value.as_object()?.get(*name))
}

/// The object's metadata, if it is a map.
#[must_use]
pub fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata").and_then(Value::as_object)
}

/// The object's metadata for writing; made when absent or of a wrong type. The object itself becomes a map if it is none.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_at(map_of(object), "metadata")
}

fn map_of(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("it was made a map above"),
    }
}

fn map_at<'a>(map: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    map_of(map.entry(key).or_insert_with(|| Value::Object(Map::new())))
}

macro_rules! texts {
    ($($(#[$doc:meta])* $get:ident $set:ident $key:literal;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $get(object: &Value) -> &str {
            text(object, &["metadata", $key])
        }

        /// Sets the field, or removes it when the text is empty.
        pub fn $set(object: &mut Value, value: &str) {
            set_text(metadata_mut(object), $key, value);
        }
    )*};
}

texts! {
    /// `metadata.name`.
    name set_name "name";
    /// `metadata.generateName`.
    generate_name set_generate_name "generateName";
    /// `metadata.namespace`; empty for cluster-scoped objects.
    namespace set_namespace "namespace";
    /// `metadata.uid`.
    uid set_uid "uid";
    /// `metadata.resourceVersion`.
    resource_version set_resource_version "resourceVersion";
}

fn set_text(map: &mut Map<String, Value>, key: &str, value: &str) {
    if value.is_empty() {
        map.remove(key);
    } else {
        map.insert(key.to_owned(), Value::from(value));
    }
}

/// `apiVersion`.
#[must_use]
pub fn api_version(object: &Value) -> &str {
    text(object, &["apiVersion"])
}

/// `kind`.
#[must_use]
pub fn kind(object: &Value) -> &str {
    text(object, &["kind"])
}

/// `metadata.generation`; 0 when absent.
#[must_use]
pub fn generation(object: &Value) -> i64 {
    field(object, &["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0)
}

/// Sets `metadata.generation`; 0 removes it.
pub fn set_generation(object: &mut Value, generation: i64) {
    let metadata = metadata_mut(object);
    if generation == 0 {
        metadata.remove("generation");
    } else {
        metadata.insert("generation".to_owned(), Value::from(generation));
    }
}

/// `metadata.labels`.
#[must_use]
pub fn labels(object: &Value) -> Option<&Map<String, Value>> {
    field(object, &["metadata", "labels"]).and_then(Value::as_object)
}

/// `metadata.annotations`.
#[must_use]
pub fn annotations(object: &Value) -> Option<&Map<String, Value>> {
    field(object, &["metadata", "annotations"]).and_then(Value::as_object)
}

/// One annotation.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    annotations(object)?.get(key)?.as_str()
}

/// Sets one annotation.
pub fn set_annotation(object: &mut Value, key: &str, value: &str) {
    map_at(metadata_mut(object), "annotations").insert(key.to_owned(), Value::from(value));
}

/// Removes one annotation, and `annotations` with the last one.
pub fn remove_annotation(object: &mut Value, key: &str) {
    let metadata = metadata_mut(object);
    if let Some(Value::Object(annotations)) = metadata.get_mut("annotations") {
        annotations.remove(key);
        if annotations.is_empty() {
            metadata.remove("annotations");
        }
    }
}

/// `metadata.ownerReferences`.
#[must_use]
pub fn owner_references(object: &Value) -> &[Value] {
    list(object, &["metadata", "ownerReferences"])
}

/// The owner reference with `controller: true`.
#[must_use]
pub fn controller_reference(object: &Value) -> Option<&Value> {
    owner_references(object).iter().find(|owner| owner.get("controller") == Some(&Value::Bool(true)))
}

/// The items of the list at a path of field names; empty when there is none.
#[must_use]
pub fn list<'a>(object: &'a Value, path: &[&str]) -> &'a [Value] {
    field(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// `metadata.finalizers`, in order.
pub fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    list(object, &["metadata", "finalizers"]).iter().filter_map(Value::as_str)
}

/// True when no finalizer holds the object.
#[must_use]
pub fn has_no_finalizers(object: &Value) -> bool {
    list(object, &["metadata", "finalizers"]).is_empty()
}

/// `metadata.creationTimestamp`.
#[must_use]
pub fn creation_timestamp(object: &Value) -> Option<Timestamp> {
    timestamp(field(object, &["metadata", "creationTimestamp"]))
}

/// `metadata.deletionTimestamp`: set means that the object is being deleted.
#[must_use]
pub fn deletion_timestamp(object: &Value) -> Option<Timestamp> {
    timestamp(field(object, &["metadata", "deletionTimestamp"]))
}

/// True when `metadata.deletionTimestamp` is set.
#[must_use]
pub fn is_being_deleted(object: &Value) -> bool {
    field(object, &["metadata", "deletionTimestamp"]).is_some_and(|value| !value.is_null())
}

/// Sets `metadata.creationTimestamp`, in whole seconds.
pub fn set_creation_timestamp(object: &mut Value, time: Timestamp) {
    metadata_mut(object).insert("creationTimestamp".to_owned(), Value::from(format_time(time)));
}

/// Sets `metadata.deletionTimestamp`, in whole seconds, and `deletionGracePeriodSeconds`.
pub fn set_deletion(object: &mut Value, time: Timestamp, grace_period_seconds: i64) {
    let metadata = metadata_mut(object);
    metadata.insert("deletionTimestamp".to_owned(), Value::from(format_time(time)));
    metadata.insert("deletionGracePeriodSeconds".to_owned(), Value::from(grace_period_seconds));
}

fn timestamp(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// A `metav1.Time`: RFC 3339 in UTC with whole seconds, rounded down.
#[must_use]
pub fn format_time(time: Timestamp) -> String {
    let seconds = Timestamp::from_second(time.as_second()).unwrap_or(time);
    seconds.to_string()
}

/// A `metav1.MicroTime`: RFC 3339 in UTC with six digits of fraction.
#[must_use]
pub fn format_micro_time(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// A name made of `generateName` and a suffix of five letters, which are chosen by `random`.
#[must_use]
pub fn generated_name(base: &str, random: u64) -> String {
    let mut end = base.len().min(GENERATE_NAME_BASE_MAX);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = base[..end].to_owned();
    let mut rest = random;
    for _ in 0..5 {
        let index = usize::try_from(rest % SUFFIX_LETTERS.len() as u64).unwrap_or(0);
        name.push(char::from(SUFFIX_LETTERS[index]));
        rest /= SUFFIX_LETTERS.len() as u64;
    }
    name
}

#[cfg(test)]
mod tests;
