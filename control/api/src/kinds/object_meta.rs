//! What every object's `metadata` must be, and what of it a client may set.

use serde_json::{Value, json};

use crate::kind::Kind;
use crate::kinds::fields::{self, Fields};
use crate::kinds::validation::names::NameRule;
use crate::kinds::validation::{self, labels};
use crate::status::{FieldError, FieldPath};

/// The finalizer with which a client asks that dependents stay when their owner goes.
pub const FINALIZER_ORPHAN: &str = "orphan";
/// The finalizer with which a client asks that an owner goes after its dependents.
pub const FINALIZER_FOREGROUND: &str = "foregroundDeletion";
/// The finalizer of a namespace that still has objects.
pub const FINALIZER_KUBERNETES: &str = "kubernetes";

/// Longest name of a subresource in a managed fields entry, in bytes.
const SUBRESOURCE_BYTES_MAX: usize = 256;
/// Longest name of a field manager, in bytes.
const MANAGER_BYTES_MAX: usize = 128;

/// Drops what only the server sets.
pub(crate) fn prepare_create(object: &mut Value) {
    if let Some(metadata) = fields::object_mut(object, "metadata") {
        for name in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
            fields::remove(metadata, name);
        }
    }
}

/// Fills in what a client may leave out of an update, and what an update cannot take away.
pub(crate) fn prepare_update(new: &mut Value, old: &Value) {
    let Some(old) = old.child("metadata") else { return };
    let Some(new) = fields::object_mut(new, "metadata") else { return };
    fields::copy_from(new, old, "generation");
    fields::remove(new, "selfLink");
    for name in ["uid", "creationTimestamp"] {
        if new.text(name).is_empty() {
            fields::copy_from(new, old, name);
        }
    }
    // An update can neither start nor stop a deletion.
    if old.has("deletionTimestamp") {
        fields::copy_from(new, old, "deletionTimestamp");
    }
    if !new.has("deletionGracePeriodSeconds") {
        fields::copy_from(new, old, "deletionGracePeriodSeconds");
    }
}

/// Adds one to `metadata.generation`, counting from what `old` has.
pub(crate) fn bump_generation(new: &mut Value, old: &Value) {
    let generation = old.at(&["metadata", "generation"]).and_then(Value::as_i64).unwrap_or(0);
    if let Some(metadata) = fields::object_mut(new, "metadata") {
        fields::set(metadata, "generation", generation.saturating_add(1));
    }
}

/// Sets `metadata.generation` of a new object.
pub(crate) fn first_generation(object: &mut Value) {
    if let Some(metadata) = fields::object_mut(object, "metadata") {
        fields::set(metadata, "generation", 1);
    }
}

/// Puts back the metadata that a write to a status-like part may not touch: everything but what belongs to the
/// protocol (resourceVersion, managedFields) and, as upstream has it, labels and annotations stay as they were.
pub(crate) fn keep_for_part(new: &mut Value, old: &Value) {
    let Some(old) = old.child("metadata") else { return };
    let Some(new) = fields::object_mut(new, "metadata") else { return };
    for name in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "selfLink",
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
    ] {
        fields::copy_from(new, old, name);
    }
}

/// What is wrong with the metadata of an object to be created. Name generation has been done before.
pub(crate) fn validate_create(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let null = Value::Null;
    let metadata = object.child("metadata").unwrap_or(&null);
    let path = FieldPath::root("metadata");
    let mut errors = Vec::new();
    let own_rules = kind.behaviour.validates_metadata();
    let rule = if own_rules { kind.name_rule } else { NameRule::PathSegment };
    let prefix = metadata.text("generateName");
    if !prefix.is_empty() {
        validation::complain(&mut errors, &path.child("generateName"), prefix, rule.complaints(prefix, true));
    }
    let name = metadata.text("name");
    if name.is_empty() {
        errors.push(FieldError::required(path.child("name"), "name or generateName is required"));
    } else {
        validation::complain(&mut errors, &path.child("name"), name, rule.complaints(name, false));
    }
    namespace(&mut errors, &path.child("namespace"), metadata.text("namespace"), kind.namespaced);
    validation::not_negative(&mut errors, &path.child("generation"), metadata.int("generation"));
    common(&mut errors, &path, metadata);
    if own_rules {
        finalizers_are_known(&mut errors, &path, metadata);
    }
    errors
}

/// What is wrong with an update of an object's metadata, once.
pub(crate) fn validate_update(new: &Value, old: &Value) -> Vec<FieldError> {
    let null = Value::Null;
    let (new, old) = (new.child("metadata").unwrap_or(&null), old.child("metadata").unwrap_or(&null));
    let path = FieldPath::root("metadata");
    let mut errors = Vec::new();
    if old.has("deletionTimestamp") {
        no_new_finalizers(&mut errors, &path.child("finalizers"), new, old);
    }
    if new.text("resourceVersion").is_empty() {
        errors.push(FieldError::invalid(path.child("resourceVersion"), "", "must be specified for an update"));
    }
    let generation = new.int("generation").unwrap_or(0);
    if generation < old.int("generation").unwrap_or(0) {
        errors.push(FieldError::invalid(path.child("generation"), generation, "must not be decremented"));
    }
    for name in ["name", "namespace", "uid"] {
        if new.text(name) != old.text(name) {
            errors.push(FieldError::invalid(path.child(name), new.text(name), validation::IMMUTABLE));
        }
    }
    for name in ["creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"] {
        validation::immutable(&mut errors, &path.child(name), new.child(name), old.child(name));
    }
    common(&mut errors, &path, new);
    errors
}

/// The second look that most kinds take at an update's metadata.
pub(crate) fn validate_update_of_kind(new: &Value, old: &Value) -> Vec<FieldError> {
    let mut errors = validate_update(new, old);
    if let Some(metadata) = new.child("metadata") {
        finalizers_are_known(&mut errors, &FieldPath::root("metadata"), metadata);
    }
    errors
}

fn common(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, metadata: &Value) {
    labels::labels(errors, &path.child("labels"), metadata.map("labels"));
    labels::annotations(errors, &path.child("annotations"), metadata.map("annotations"));
    owner_references(errors, &path.child("ownerReferences"), metadata.list("ownerReferences"));
    finalizers(errors, &path.child("finalizers"), &metadata.texts("finalizers"));
    managed_fields(errors, &path.child("managedFields"), metadata.list("managedFields"));
}

fn namespace(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, namespace: &str, namespaced: bool) {
    match (namespaced, namespace.is_empty()) {
        (true, true) => errors.push(FieldError::required(path, "")),
        (true, false) => validation::dns_label(errors, path, namespace),
        (false, false) => errors.push(FieldError::forbidden(path, "not allowed on this type")),
        (false, true) => {}
    }
}

fn owner_references(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, references: &[Value]) {
    let mut first_controller: Option<String> = None;
    for reference in references {
        owner_reference(errors, path, reference);
        if !reference.is_true("controller") {
            continue;
        }
        let controller = format!("{}/{}", reference.text("kind"), reference.text("name"));
        match &first_controller {
            None => first_controller = Some(controller),
            Some(first) => errors.push(FieldError::invalid(
                path,
                Value::Array(references.to_vec()),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {controller}"
                ),
            )),
        }
    }
}

fn owner_reference(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, reference: &Value) {
    let api_version = reference.text("apiVersion");
    let version = api_version.split_once('/').map_or(api_version, |(_, version)| version);
    if version.is_empty() {
        errors.push(FieldError::invalid(path.child("apiVersion"), api_version, "version must not be empty"));
    }
    for name in ["kind", "name", "uid"] {
        if reference.text(name).is_empty() {
            errors.push(FieldError::invalid(path.child(name), "", "must not be empty"));
        }
    }
    if api_version == "v1" && reference.text("kind") == "Event" {
        errors.push(FieldError::invalid(path, reference.clone(), "/v1, Kind=Event is disallowed from being an owner"));
    }
}

fn finalizers(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, finalizers: &[&str]) {
    for finalizer in finalizers {
        validation::qualified_name(errors, path, finalizer);
    }
    if finalizers.contains(&FINALIZER_ORPHAN) && finalizers.contains(&FINALIZER_FOREGROUND) {
        errors.push(FieldError::invalid(
            path,
            json!(finalizers),
            format!("finalizer {FINALIZER_ORPHAN} and {FINALIZER_FOREGROUND} cannot be both set"),
        ));
    }
}

fn finalizers_are_known(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, metadata: &Value) {
    let path = path.child("finalizers");
    for (index, finalizer) in metadata.texts("finalizers").into_iter().enumerate() {
        finalizer_is_known(errors, &path.index(index), finalizer);
    }
}

/// A finalizer without a domain must be one of the three that Kubernetes itself uses.
pub(crate) fn finalizer_is_known(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, finalizer: &str) {
    let known = [FINALIZER_KUBERNETES, FINALIZER_ORPHAN, FINALIZER_FOREGROUND];
    if !finalizer.contains('/') && !known.contains(&finalizer) {
        errors.push(FieldError::invalid(
            path,
            finalizer,
            "name is neither a standard finalizer name nor is it fully qualified",
        ));
    }
}

fn no_new_finalizers(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, new: &Value, old: &Value) {
    let old = old.texts("finalizers");
    let mut added: Vec<&str> = new.texts("finalizers").into_iter().filter(|name| !old.contains(name)).collect();
    if added.is_empty() {
        return;
    }
    added.sort_unstable();
    added.dedup();
    let added: Vec<String> = added.into_iter().map(crate::go_text::quote).collect();
    errors.push(FieldError::forbidden(
        path,
        format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            added.join(", ")
        ),
    ));
}

fn managed_fields(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, entries: &[Value]) {
    for (index, entry) in entries.iter().enumerate() {
        let path = path.index(index);
        let operation = entry.text("operation");
        if !matches!(operation, "Apply" | "Update") {
            errors.push(FieldError::invalid(path.child("operation"), operation, "must be `Apply` or `Update`"));
        }
        let fields_type = entry.text("fieldsType");
        if !matches!(fields_type, "" | "FieldsV1") {
            errors.push(FieldError::invalid(path.child("fieldsType"), fields_type, "must be `FieldsV1`"));
        }
        field_manager(errors, &path.child("manager"), entry.text("manager"));
        if entry.text("subresource").len() > SUBRESOURCE_BYTES_MAX {
            errors.push(FieldError::too_long(path.child("subresource"), SUBRESOURCE_BYTES_MAX));
        }
    }
}

/// The name of a field manager: at most 128 bytes of printable characters.
pub(crate) fn field_manager(errors: &mut Vec<FieldError>, path: &FieldPath<'_>, manager: &str) {
    if manager.len() > MANAGER_BYTES_MAX {
        errors.push(FieldError::too_long(path, MANAGER_BYTES_MAX));
    }
    for (position, character) in manager.char_indices() {
        if character.is_control() {
            let code = u32::from(character);
            errors.push(FieldError::invalid(
                path,
                manager,
                format!("invalid character U+{code:04X} (at position {position})"),
            ));
        }
    }
}
