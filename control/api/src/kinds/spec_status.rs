//! Kinds of the usual cut: a spec that people write and a status that controllers write, each through its own path.

use serde_json::Value;

use crate::kind::Part;
use crate::kinds::fields::{self, same};
use crate::kinds::object_meta;

/// A new object starts without a status, with generation 1.
pub(crate) fn prepare_create(object: &mut Value) {
    fields::remove(object, "status");
    object_meta::first_generation(object);
}

/// A write to the status leaves the spec as it was, any other write the status. A changed spec is a new generation.
pub(crate) fn prepare_update(part: Part, new: &mut Value, old: &Value) {
    keep_other_part(part, new, old);
    if part == Part::Object {
        bump_if_changed(new, old, "spec");
    }
}

/// The same for a kind without generations.
pub(crate) fn keep_other_part(part: Part, new: &mut Value, old: &Value) {
    fields::copy_from(new, old, if part == Part::Status { "spec" } else { "status" });
}

/// The same for a kind whose status path leaves the metadata alone.
pub(crate) fn prepare_update_without_metadata(part: Part, new: &mut Value, old: &Value) {
    prepare_update(part, new, old);
    if part == Part::Status {
        object_meta::keep_for_part(new, old);
    }
}

/// A new generation if the field has changed.
pub(crate) fn bump_if_changed(new: &mut Value, old: &Value, field: &str) {
    if !same(new.get(field), old.get(field)) {
        object_meta::bump_generation(new, old);
    }
}

/// What a write to each part resets.
pub(crate) fn reset_fields(part: Part) -> &'static [&'static str] {
    if part == Part::Status { &["spec"] } else { &["status"] }
}

/// The same for a kind whose status path leaves the metadata alone.
pub(crate) fn reset_fields_with_metadata(part: Part) -> &'static [&'static str] {
    if part == Part::Status { &["metadata", "spec"] } else { &["status"] }
}
