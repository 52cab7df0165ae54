use super::*;
use serde_json::json;

#[test]
fn absent_and_ill_typed_fields_read_as_empty() {
    let object = json!({"metadata": {"name": 3, "labels": "x"}});
    assert_eq!(name(&object), "");
    assert!(labels(&object).is_none());
    assert_eq!(generation(&Value::Null), 0);
    assert!(has_no_finalizers(&json!([])));
}

#[test]
fn setting_makes_what_is_missing() {
    let mut object = Value::Null;
    set_name(&mut object, "x");
    set_annotation(&mut object, "a/b", "1");
    set_generation(&mut object, 2);
    assert_eq!(object, json!({"metadata": {"name": "x", "annotations": {"a/b": "1"}, "generation": 2}}));
    remove_annotation(&mut object, "a/b");
    set_name(&mut object, "");
    assert_eq!(object, json!({"metadata": {"generation": 2}}));
}

#[test]
fn times_are_printed_as_upstream_does() {
    let time: Timestamp = "2026-11-21T02:03:04.567891Z".parse().unwrap();
    assert_eq!(format_time(time), "2026-11-21T02:03:04Z");
    assert_eq!(format_micro_time(time), "2026-11-21T02:03:04.567891Z");
    let whole: Timestamp = "2026-11-21T02:03:04Z".parse().unwrap();
    assert_eq!(format_micro_time(whole), "2026-11-21T02:03:04.000000Z");
}

#[test]
fn generated_names_fit_a_label() {
    let name = generated_name(&"a".repeat(80), 123_456_789);
    assert_eq!(name.len(), 63);
    assert_ne!(generated_name("x-", 1), generated_name("x-", 2));
    assert!(crate::names::dns_label(&generated_name("x-", u64::MAX)).is_empty());
}
