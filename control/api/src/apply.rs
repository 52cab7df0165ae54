//! Server-side apply, and the record of who manages which field (`metadata.managedFields`).
//!
//! Every write goes through one of two functions. [`track_update`] is for create, update and the three patches: whatever
//! the write changed belongs to its manager from then on. [`apply`] is for apply patches: the manager states what it
//! wants, gets it unless another manager's field stands in the way, and loses what it no longer states. Both behave as
//! upstream's structured-merge-diff does, down to the order of entries and the words of conflicts.
//!
//! # How a server calls it
//! ```text
//! create, update, patch: decode or patch -> Kind::default -> fill_zeros -> track_update -> admission -> ...
//! apply:                 apply           -> Kind::default -> fill_zeros                 -> admission -> ...
//! ```
//! and, for everything but create, [`keep_times_if_unchanged`] before the write is compared with what is stored.
//!
//! # Caveats
//! All entries of an object are read with the type of the request's version; a kind that is served in several versions
//! with different fields needs a conversion here.

mod compare;
mod conflict;
mod field_set;
mod merge;
mod owners;
mod path;
mod remove;
mod typed;

pub use field_set::{DecodeFieldsError, FieldSet};
pub use path::PathElement;

use crate::decode::{FieldValidation, Source, Target, decode_patched};
use crate::go_text;
use crate::meta;
use crate::schema::{TypeRef, fill_zeros};
use crate::status::Status;
use compare::Comparison;
use jiff::Timestamp;
use owners::Managers;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The manager whose applies are kept in step with `kubectl apply` without `--server-side`.
const KUBECTL: &str = "kubectl";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Who owns what was there before the first apply.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// Most bytes of all annotations of an object together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

/// Who writes what, and when.
#[derive(Clone, Copy, Debug)]
pub struct Writer<'a> {
    /// The manager: `fieldManager` of the request, or the front of its user agent. Empty means "unknown".
    pub manager: &'a str,
    /// What is written.
    pub target: Target<'a>,
    /// "" for the object itself, otherwise "status", "scale"...
    pub subresource: &'a str,
    /// Paths of fields that this endpoint puts back whatever the client says (`status` on the object itself, `spec` on
    /// its status): nobody comes to own them through it.
    pub reset: &'a [&'a [&'a str]],
    /// The time of the request.
    pub now: Timestamp,
}

impl Writer<'_> {
    fn reset_set(&self) -> FieldSet {
        let mut set = FieldSet::default();
        for path in self.reset {
            set.insert_fields(path);
        }
        set
    }

    /// An object of the kind in which nobody set anything.
    fn empty_object(&self) -> Value {
        let mut object = Value::Object(Map::new());
        fill_zeros(self.target.schema, &mut object);
        object
    }
}

/// Records in `new` that the writer owns what differs from `live` (`None` on create), and that others no longer do.
///
/// An object that has never been tracked stays untracked. A client resets the record with `managedFields: []` or `[{}]`.
/// `new` must have its defaults and its always-written empty values.
pub fn track_update(live: Option<&Value>, new: &mut Value, writer: &Writer<'_>) {
    let sent = meta::metadata_mut(new).remove("managedFields");
    let live_managers = || live.and_then(|live| Managers::decode(managed_fields(live)).ok()).unwrap_or_default();
    let mut managers = match &sent {
        _ if !writer.subresource.is_empty() => live_managers(),
        Some(sent) if is_reset(sent) => Managers::default(),
        sent => match Managers::decode(sent.as_ref()) {
            Ok(managers) if !managers.is_empty() => managers,
            _ => live_managers(),
        },
    };
    let exists = live.is_some_and(|live| !meta::uid(live).is_empty());
    if managers.is_empty() && exists {
        return;
    }
    let empty;
    let live = match live {
        Some(live) => live,
        None => {
            empty = writer.empty_object();
            &empty
        }
    };
    // What cannot be compared is not tracked; the write itself goes on, as upstream has it.
    if update_managers(live, new, &mut managers, writer, writer.manager).is_ok() {
        managers.cap_updates();
        managers.write_to(new);
    }
}

/// Takes the differences between the objects from the other managers and gives them to `manager`.
fn update_managers(
    live: &Value,
    new: &Value,
    managers: &mut Managers,
    writer: &Writer<'_>,
    manager: &str,
) -> Result<(), String> {
    let schema = writer.target.schema;
    managers.reconcile(schema);
    let mut comparison = Comparison::of(schema, live, new)?;
    comparison.exclude(&writer.reset_set());
    managers.take(&comparison, None);
    // What nobody manages was not compared.
    let set = comparison.into_changed();
    if !set.is_empty() {
        let api_version = writer.target.api_version();
        managers.add_update(manager, &api_version, writer.subresource, set, writer.now);
    }
    Ok(())
}

/// What came out of an apply.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The object, checked and with its managers. Defaults and always-written empty values are still to be filled in.
    pub object: Value,
    /// False when it is the live object with, at most, other managers.
    pub changed: bool,
}

/// Applies `config` (an apply patch, read from YAML or JSON) to `live` (`None` creates the object).
///
/// # Errors
/// 400 when `config` is of another kind or has managed fields, 409 when another manager owns a field with another value
/// and `force` is not set, 500 (upstream's choice) when `config` does not follow the schema.
pub fn apply(live: Option<&Value>, config: &Value, writer: &Writer<'_>, force: bool) -> Result<Applied, Status> {
    check_kind(config, &writer.target)?;
    if config.pointer("/metadata/managedFields").is_some_and(|fields| !fields.is_null()) {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let empty = writer.empty_object();
    let mut managers = Managers::decode(live.and_then(managed_fields))
        .map_err(|error| Status::unclassified(format!("failed to decode managed fields: {error}")))?;
    let live = live.unwrap_or(&empty);
    if managers.is_empty() {
        update_managers(&empty, live, &mut managers, writer, BEFORE_FIRST_APPLY)
            .map_err(|error| Status::unclassified(format!("failed to create manager for existing fields: {error}")))?;
        managers.cap_updates();
    }
    let mut outcome = apply_to(live, config, managers.clone(), writer, force);
    if let Err(ApplyError::Conflicts(conflicts)) = &outcome
        && writer.manager == KUBECTL
        && let Some(allowed) = allowed_by_last_applied(live, &writer.target)
    {
        let rest = conflicts.without(&allowed);
        outcome = if rest.is_empty() {
            apply_to(live, config, managers, writer, true)
        } else {
            Err(ApplyError::Conflicts(rest))
        };
    }
    let mut applied = outcome.map_err(ApplyError::into_status)?;
    if writer.manager == KUBECTL && meta::annotation(&applied.object, LAST_APPLIED).is_some_and(|text| !text.is_empty())
    {
        set_last_applied(&mut applied.object, config);
    }
    Ok(applied)
}

enum ApplyError {
    Conflicts(conflict::Conflicts),
    Status(Status),
}

impl ApplyError {
    fn into_status(self) -> Status {
        match self {
            Self::Conflicts(conflicts) => conflicts.into_status(),
            Self::Status(status) => status,
        }
    }
}

impl From<Status> for ApplyError {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl From<String> for ApplyError {
    fn from(message: String) -> Self {
        Self::Status(Status::unclassified(message))
    }
}

fn apply_to(
    live: &Value,
    config: &Value,
    mut managers: Managers,
    writer: &Writer<'_>,
    force: bool,
) -> Result<Applied, ApplyError> {
    let schema = writer.target.schema;
    let shown = || shown(config, &writer.target);
    let wanted = typed::field_set(schema, config)
        .map_err(|error| format!("failed to create typed patch object ({}): {error}", shown()))?;
    managers.reconcile(schema);
    let merged = merge::merge(schema, live, config).map_err(|error| format!("failed to merge config: {error}"))?;
    let reset = writer.reset_set();
    let api_version = writer.target.api_version();
    let own = managers.own_apply(writer.manager, &api_version, writer.subresource);
    let last = managers.replace(own, wanted.recursive_difference(&reset));
    let new = prune(schema, merged, &managers, &last)?;
    let mut comparison = Comparison::of(schema, live, &new)?;
    comparison.exclude(&reset);
    let conflicts = managers.conflicts(&comparison, own);
    if !force && !conflicts.is_empty() {
        return Err(ApplyError::Conflicts(conflicts));
    }
    managers.take(&comparison, Some(own));
    let changed = !typed::equal(live, &new);
    managers.strip(own, stripped(), changed.then_some(writer.now));
    let mut object = if changed { decode_applied(&new, writer, config)? } else { live.clone() };
    managers.write_to(&mut object);
    Ok(Applied { object, changed })
}

/// The merged object in the form that decoding gives.
fn decode_applied(new: &Value, writer: &Writer<'_>, config: &Value) -> Result<Value, Status> {
    let ignore = FieldValidation::Ignore;
    let decoded = decode_patched(new, &writer.target, ignore, Source::Unstructured, Vec::new(), String::new);
    decoded.map(|decoded| decoded.object).map_err(|status| {
        let cause = status.message.strip_prefix(" \"\" is invalid: patch: Invalid value: \"\": ");
        let cause = cause.unwrap_or(&status.message);
        Status::unclassified(format!(
            "failed to convert new typed object ({}) to object: {cause}",
            shown(config, &writer.target)
        ))
    })
}

/// Removes what the manager applied last time and nobody (itself included) claims any more.
fn prune(schema: TypeRef<'_>, merged: Value, managers: &Managers, last: &FieldSet) -> Result<Value, String> {
    if last.is_empty() {
        return Ok(merged);
    }
    let owned = managers.all();
    if last.difference(&owned).is_empty() {
        return Ok(merged);
    }
    let named = |set: &FieldSet| set.with_named_fields(schema);
    let (last, owned) = (named(last), named(&owned));
    let merged_set = named(&typed::field_set_of(schema, &merged)?);
    // Without what was applied last...
    let pruned = remove::remove(schema, &merged, &last);
    // ...but with what any manager owns...
    let kept = named(&typed::field_set_of(schema, &pruned)?).union(&owned);
    let pruned = remove::remove(schema, &merged, &merged_set.difference(&kept));
    // ...and with what went with it and was never the manager's.
    let pruned_set = named(&typed::field_set_of(schema, &pruned)?);
    let gone = merged_set.difference(&pruned_set).intersection(&last);
    Ok(remove::remove(schema, &merged, &gone))
}

/// Fields that nobody manages.
fn stripped() -> &'static FieldSet {
    static STRIPPED: LazyLock<FieldSet> = LazyLock::new(|| {
        let mut set = FieldSet::default();
        for path in [["apiVersion"].as_slice(), &["kind"], &["metadata"]] {
            set.insert_fields(path);
        }
        for name in compare::UNMANAGED_METADATA {
            set.insert_fields(&["metadata", name]);
        }
        set
    });
    &STRIPPED
}

fn managed_fields(object: &Value) -> Option<&Value> {
    object.get("metadata")?.get("managedFields")
}

fn is_reset(sent: &Value) -> bool {
    match sent.as_array().map(Vec::as_slice) {
        Some([]) => true,
        Some([entry]) => entry.as_object().is_some_and(Map::is_empty),
        _ => false,
    }
}

fn check_kind(config: &Value, target: &Target<'_>) -> Result<(), Status> {
    let (api_version, kind) = (meta::api_version(config), meta::kind(config));
    if api_version == target.api_version() && kind == target.kind {
        return Ok(());
    }
    Err(Status::bad_request(format!("invalid object type: {}", shown_kind(api_version, kind))))
}

/// `apps/v1, Kind=Deployment`, `/v1, Kind=Pod`.
fn shown_kind(api_version: &str, kind: &str) -> String {
    let slash = if api_version.contains('/') { "" } else { "/" };
    format!("{slash}{api_version}, Kind={kind}")
}

/// `NAMESPACE/NAME; KIND`: how upstream names an object that it cannot convert.
fn shown(config: &Value, target: &Target<'_>) -> String {
    let kind = shown_kind(&target.api_version(), target.kind);
    format!("{}/{}; {kind}", meta::namespace(config), meta::name(config))
}

/// The fields that `kubectl apply` (client-side) set last and that still have the value it gave them.
fn allowed_by_last_applied(live: &Value, target: &Target<'_>) -> Option<FieldSet> {
    let text = meta::annotation(live, LAST_APPLIED).filter(|text| !text.is_empty())?;
    let last: Value = serde_json::from_str(text).ok()?;
    if meta::api_version(&last) != target.api_version() {
        return None;
    }
    let set = typed::field_set(target.schema, &last).ok()?;
    let comparison = Comparison::of(target.schema, &last, live).ok()?;
    Some(set.difference(&comparison.changed()).difference(&comparison.removed))
}

/// Writes the applied configuration into the annotation that client-side apply reads; drops it when it gets too big.
fn set_last_applied(object: &mut Value, config: &Value) {
    let mut config = config.clone();
    meta::remove_annotation(&mut config, LAST_APPLIED);
    // Upstream's encoder ends the text with a line feed.
    meta::set_annotation(object, LAST_APPLIED, &format!("{}\n", go_text::json(&config)));
    let bytes: usize = meta::annotations(object)
        .into_iter()
        .flatten()
        .map(|(key, value)| key.len() + value.as_str().map_or(0, str::len))
        .sum();
    if bytes > ANNOTATIONS_BYTES_MAX {
        meta::remove_annotation(object, LAST_APPLIED);
    }
}

/// Puts back the times of managed fields when nothing else differs from `old`, so that such a write is none.
pub fn keep_times_if_unchanged(new: &mut Value, old: &Value) {
    let (Some(new_fields), Some(old_fields)) = (managed_fields(new), managed_fields(old)) else { return };
    if new_fields == old_fields || !owners::equal_but_for_times(new_fields, old_fields) {
        return;
    }
    let old_fields = old_fields.clone();
    let metadata = meta::metadata_mut(new);
    let new_fields = metadata.insert("managedFields".to_owned(), old_fields);
    if new != old
        && let Some(new_fields) = new_fields
    {
        meta::metadata_mut(new).insert("managedFields".to_owned(), new_fields);
    }
}

/// Merges a configuration into an object without a record of who owns what: its leaves win, nothing is removed.
///
/// # Errors
/// For a configuration that would replace a list, a map or a struct as a whole, and for items that cannot be told apart.
pub fn merge_configuration(schema: TypeRef<'_>, live: &Value, config: &Value) -> Result<Value, String> {
    let mut atomics = Vec::new();
    find_atomics(schema, config, &mut String::new(), &mut atomics);
    if !atomics.is_empty() {
        let list = atomics.join(", ");
        return Err(format!("invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: {list}"));
    }
    merge::merge(schema, live, config).map_err(|error| format!("failed to merge patch: {error}"))
}

fn find_atomics(schema: TypeRef<'_>, value: &Value, path: &mut String, found: &mut Vec<String>) {
    let length = path.len();
    match value {
        Value::Object(_) | Value::Array(_) if schema.is_leaf() => found.push(path.clone()),
        Value::Object(map) => {
            for (name, value) in map {
                if let Some(inner) = typed::child_type(schema, name) {
                    path.push('.');
                    path.push_str(name);
                    find_atomics(inner, value, path, found);
                    path.truncate(length);
                }
            }
        }
        Value::Array(items) => {
            let Some(inner) = schema.item() else { return };
            for (index, item) in items.iter().enumerate() {
                path.push_str(&format!("[{index}]"));
                find_atomics(inner, item, path, found);
                path.truncate(length);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests;
