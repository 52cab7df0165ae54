use super::*;
use proptest::prelude::*;
use serde_json::json;

fn check(object: &Value) {
    let stored = encode(object);
    let mut expected = object.clone();
    set_revision(&mut expected, 42);
    let read: Value = serde_json::from_slice(&with_revision(&stored, 42)).unwrap();
    assert_eq!(read, expected);
    let mut item = Vec::new();
    write_list_item(&mut item, &stored, 42);
    let item: Value = serde_json::from_slice(&item).unwrap();
    if let Some(map) = expected.as_object_mut()
        && map.contains_key("apiVersion")
        && map.contains_key("kind")
    {
        map.remove("apiVersion");
        map.remove("kind");
    }
    assert_eq!(item, expected);
}

#[test]
fn the_revision_is_spliced_in() {
    check(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "uid": "u"}, "spec": {"a": [1, "}"]}}));
    check(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}}));
    check(
        &json!({"apiVersion": "v1", "data": {"metadata": "{\"kind\":\"x\"}", "q": "\\\""}, "kind": "C", "metadata": {"name": "ü"}}),
    );
    check(&json!({"metadata": {"name": "x"}}));
    check(
        &json!({"apiVersion": "v1", "eventTime": null, "firstTimestamp": null, "involvedObject": {"kind": "Pod"}, "kind": "Event", "lastTimestamp": null, "metadata": {"name": "x"}}),
    );
}

#[test]
fn the_revision_stands_where_upstream_prints_it() {
    let stored = encode(
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x", "namespace": "n", "uid": "u", "labels": {}}}),
    );
    assert_eq!(
        String::from_utf8(with_revision(&stored, 7)).unwrap(),
        r#"{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x","namespace":"n","uid":"u","resourceVersion":"7","labels":{}}}"#
    );
    let mut item = Vec::new();
    write_list_item(&mut item, &stored, 7);
    assert!(item.starts_with(br#"{"metadata":{"name":"x""#));
}

#[test]
fn an_old_revision_is_not_stored() {
    let stored = encode(&json!({"metadata": {"name": "x", "resourceVersion": "7"}}));
    assert_eq!(&stored[..], br#"{"metadata":{"name":"x"}}"#);
    assert_eq!(decode(&stored, 9).unwrap(), json!({"metadata": {"name": "x", "resourceVersion": "9"}}));
}

#[test]
fn fields_are_found_without_decoding() {
    let object = json!({"metadata": {"labels": {"a": "b"}, "name": "x"}, "spec": {"containers": [{"name": "n\"}"}], "nodeName": "edge"}});
    let stored = encode(&object);
    assert_eq!(find(&stored, &["spec", "nodeName"]), Some(&b"\"edge\""[..]));
    assert_eq!(find(&stored, &["spec", "none"]), None);
    assert_eq!(find(&stored, &["spec", "nodeName", "deeper"]), None);
    assert_eq!(labels(&stored)["a"], "b");
}

#[test]
fn numbers_are_written_in_full() {
    for number in [0, 9, 10, 12_345, u64::MAX] {
        let mut out = Vec::new();
        write_decimal(&mut out, number);
        assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map("[a-z\"\\\\]{0,6}|kind|apiVersion|metadata", inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_object_survives(body in any_json(), metadata in prop::collection::btree_map("[a-z\"]{0,5}", any_json(), 0..4)) {
        let mut object = match body {
            Value::Object(map) => map,
            other => [("x".to_owned(), other)].into_iter().collect(),
        };
        object.insert("metadata".to_owned(), Value::Object(metadata.into_iter().collect()));
        object.insert("apiVersion".to_owned(), Value::from("v1"));
        object.insert("kind".to_owned(), Value::from("K"));
        check(&Value::Object(object));
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = with_revision(&bytes, 1);
        let _ = labels(&bytes);
        let _ = find(&bytes, &["a", "b"]);
        let mut out = Vec::new();
        write_list_item(&mut out, &bytes, 1);
    }

    #[test]
    fn no_text_like_json_makes_the_scanner_panic(text in "[\\{\\}\\[\\]\",:a\\\\]{0,40}") {
        let _ = with_revision(text.as_bytes(), 1);
        let _ = labels(text.as_bytes());
    }
}
