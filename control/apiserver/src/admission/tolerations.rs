//! Sets of tolerations, as several plugins need them.

use serde_json::Value;

fn text<'a>(toleration: &'a Value, field: &str) -> &'a str {
    toleration.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn seconds(toleration: &Value) -> Option<i64> {
    toleration.get("tolerationSeconds").and_then(Value::as_i64)
}

/// Whether everything that `small` bears, `large` bears as well.
pub(super) fn covers(large: &Value, small: &Value) -> bool {
    if large == small {
        return true;
    }
    let operator = text(large, "operator");
    let all_keys = text(large, "key").is_empty() && operator == "Exists";
    if text(small, "key") != text(large, "key") && !all_keys {
        return false;
    }
    let effect = text(large, "effect");
    if !effect.is_empty() && text(small, "effect") != effect {
        return false;
    }
    if effect == "NoExecute"
        && let Some(longest) = seconds(large)
        && seconds(small).is_none_or(|seconds| seconds > longest)
    {
        return false;
    }
    match operator {
        "Exists" => true,
        "" | "Equal" => text(small, "operator") == operator && text(small, "value") == text(large, "value"),
        _ => false,
    }
}

/// Both lists without what others of them cover.
pub(super) fn merge(first: &[Value], second: &[Value]) -> Vec<Value> {
    let all: Vec<&Value> = first.iter().chain(second).collect();
    let mut merged: Vec<Value> = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let covered = merged.iter().any(|kept| covers(kept, one));
        let later = all[index + 1..].iter().any(|other| other != one && covers(other, one));
        if !covered && !later {
            merged.push((*one).clone());
        }
    }
    merged
}

/// The tolerations of a pod.
pub(super) fn of(pod: &Value) -> &[Value] {
    pod.pointer("/spec/tolerations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Adds tolerations to those of a pod.
pub(super) fn add(pod: &mut Value, more: &[Value]) {
    let merged = merge(of(pod), more);
    if let Some(spec) = pod.get_mut("spec").and_then(Value::as_object_mut) {
        spec.insert("tolerations".to_owned(), Value::Array(merged));
    }
}

#[cfg(test)]
mod tests;
