use super::*;
use serde_json::json;

fn gear() -> Structural {
    Structural::parse(
        &json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["teeth"], "properties": {
            "teeth": {"type": "integer", "minimum": 3},
            "colour": {"type": "string", "enum": ["red", "blue"], "default": "red"},
            "ratio": {"x-kubernetes-int-or-string": true},
            "name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
            "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "maybe": {"type": "string", "nullable": true},
        }}}}),
    )
}

fn complaints(object: &Value, old: Option<&Value>) -> Vec<String> {
    let schema = gear();
    let mut errors = schema.validate_object(object, Correlation::new(old));
    errors.extend(schema.validate_lists(object));
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn unknown_fields_go_and_are_told_unless_anything_is_kept() {
    let mut object =
        json!({"metadata": {"x": 1}, "more": 1, "spec": {"teeth": 4, "nosuch": {}, "any": {"a": {"b": 1}}}});
    assert_eq!(gear().prune_object(&mut object), ["more", "spec.nosuch"]);
    assert_eq!(object, json!({"metadata": {"x": 1}, "spec": {"teeth": 4, "any": {"a": {"b": 1}}}}));
}

#[test]
fn defaults_come_in_and_nulls_go_where_they_may_not_stay() {
    let mut object = json!({"spec": {"teeth": 4, "colour": null, "maybe": null, "name": null}});
    gear().default_object(&mut object);
    assert_eq!(object, json!({"spec": {"teeth": 4, "colour": "red", "maybe": null}}));
}

#[test]
fn complaints_have_the_words_of_upstream() {
    let object = json!({"spec": {"teeth": 1, "colour": "green", "name": "TOOLONG", "ratio": true, "tags": ["x", "x"]}});
    assert_eq!(
        complaints(&object, None),
        [
            "spec.colour: Unsupported value: \"green\": supported values: \"red\", \"blue\"",
            "spec.name: Too long: may not be more than 5 bytes",
            "spec.ratio: Invalid value: \"boolean\": spec.ratio in body must be of type integer,string: \"boolean\"",
            "spec.teeth: Invalid value: 1: spec.teeth in body should be greater than or equal to 3",
            "spec.tags[1]: Duplicate value: \"x\"",
        ]
    );
    assert_eq!(complaints(&json!({"spec": {}}), None), ["spec.teeth: Required value"]);
}

#[test]
fn what_was_wrong_before_may_stay_in_an_update() {
    let old = json!({"spec": {"teeth": 1, "name": "a"}});
    assert_eq!(complaints(&json!({"spec": {"teeth": 1, "name": "b"}}), Some(&old)), Vec::<String>::new());
    assert_eq!(complaints(&json!({"spec": {"teeth": 2, "name": "b"}}), Some(&old)).len(), 1);
}

#[test]
fn formats_are_told_apart() {
    for (format, good, bad) in [
        ("date-time", "2026-01-02T03:04:05Z", "yesterday"),
        ("date", "2026-01-02", "2026-13-01"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e"),
        ("duration", "1h30m", "1x"),
        ("byte", "AP8=", "*"),
        ("unheard-of", "x", ""),
    ] {
        assert!(formats::fits(format, good), "{format}");
        assert!(format == "unheard-of" || !formats::fits(format, bad), "{format}");
    }
}
