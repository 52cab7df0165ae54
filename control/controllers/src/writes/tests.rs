use serde_json::{Value, json};

use super::difference;

/// RFC 7396.
fn merged(mut target: Value, patch: &Value) -> Value {
    let Value::Object(patch) = patch else { return patch.clone() };
    if !target.is_object() {
        target = json!({});
    }
    for (name, value) in patch {
        if value.is_null() {
            target.as_object_mut().expect("an object").remove(name);
        } else {
            target[name] = merged(target[name].take(), value);
        }
    }
    target
}

#[test]
fn the_difference_makes_the_old_into_the_new() {
    let values = [
        json!({}),
        json!({"a": 1}),
        json!({"a": 1, "b": {"c": [1, 2], "d": {}}}),
        json!({"b": {"c": [2]}, "e": "f"}),
        json!({"b": {"d": {"x": 1}}}),
    ];
    for old in &values {
        for new in &values {
            match difference(old, new) {
                None => assert_eq!(old, new),
                Some(patch) => assert_eq!(&merged(old.clone(), &patch), new, "{old} {patch}"),
            }
        }
    }
    assert_eq!(difference(&Value::Null, &json!({"a": 0})), Some(json!({"a": 0})));
    assert_eq!(difference(&json!({"a": 0, "b": null}), &json!({"a": 0})), None);
}
