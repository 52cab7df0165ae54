//! JSON merge patch (RFC 7396): maps are merged, `null` removes, everything else replaces.

use serde_json::Value;

/// Merges `patch` into `target`.
pub fn merge(target: &mut Value, patch: &Value) {
    json_patch::merge(target, patch);
}
