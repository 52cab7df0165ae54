use super::*;
use crate::decode::decode;
use crate::schema::{Schema, TypeRef};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::BTreeMap;

mod recorded;

fn target(group: &'static str, kind: &'static str) -> Target<'static> {
    let package = if group.is_empty() { "core" } else { group };
    let schema = Schema::builtin().find(&format!("io.k8s.api.{package}.v1.{kind}")).unwrap();
    Target { group, version: "v1", kind, schema }
}

fn pod() -> TypeRef<'static> {
    target("", "Pod").schema
}

fn strategic(original: &Value, patch: &Value) -> Value {
    strategic::merge(original, patch, pod()).unwrap()
}

fn refused(kind: PatchKind, body: &str) -> Status {
    let current = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"priority": 1, "containers": []}});
    patch(kind, &current, body.as_bytes(), &target("", "Pod"), FieldValidation::Strict).unwrap_err()
}

fn containers(names: &[&str]) -> Value {
    let items: Vec<Value> = names.iter().map(|name| json!({"name": name, "image": format!("{name}:1")})).collect();
    json!({"spec": {"containers": items}})
}

fn names(object: &Value) -> Vec<&str> {
    object["spec"]["containers"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn lists_of_maps_merge_by_key_and_new_items_come_first() {
    let merged = strategic(
        &containers(&["c", "d"]),
        &json!({"spec": {"containers": [{"name": "e"}, {"name": "d", "image": "d:2"}]}}),
    );
    assert_eq!(names(&merged), ["e", "c", "d"]);
    let merged = strategic(&containers(&["c", "d"]), &json!({"spec": {"containers": [{"name": "e"}]}}));
    assert_eq!(names(&merged), ["e", "c", "d"]);
}

#[test]
fn directives_delete_and_replace() {
    let patch = json!({"spec": {"containers": [{"name": "d", "$patch": "delete"}]}});
    assert_eq!(names(&strategic(&containers(&["c", "d"]), &patch)), ["c"]);
    let patch = json!({"spec": {"containers": [{"name": "e"}, {"$patch": "replace"}]}});
    assert_eq!(names(&strategic(&containers(&["c", "d"]), &patch)), ["e"]);
    let original = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"nodeName": "n"}});
    let patch = json!({"metadata": {"labels": {"$patch": "replace", "c": "3"}}, "spec": {"$patch": "delete"}});
    assert_eq!(strategic(&original, &patch), json!({"metadata": {"labels": {"c": "3"}}, "spec": {}}));
}

#[test]
fn element_order_is_set() {
    let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "d"}, {"name": "new"}, {"name": "c"}], "containers": [{"name": "new"}]}});
    assert_eq!(names(&strategic(&containers(&["c", "d", "server"]), &patch)), ["d", "new", "c", "server"]);
    let patch = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}], "containers": [{"name": "d"}]}});
    let error = strategic::merge(&containers(&["c", "d"]), &patch, pod()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "The order in patch list:\n[map[name:d]]\n doesn't match $setElementOrder list:\n[map[name:c]]\n"
    );
}

#[test]
fn primitive_lists_are_sets_and_can_lose_items() {
    let original = json!({"metadata": {"finalizers": ["a/1"]}});
    let merged = strategic(&original, &json!({"metadata": {"finalizers": ["a/2", "a/1"]}}));
    assert_eq!(merged, json!({"metadata": {"finalizers": ["a/2", "a/1"]}}));
    let merged = strategic(&original, &json!({"metadata": {"finalizers": ["a/2"]}}));
    assert_eq!(merged, json!({"metadata": {"finalizers": ["a/2", "a/1"]}}));
    let merged = strategic(&merged, &json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/1", "a/9"]}}));
    assert_eq!(merged, json!({"metadata": {"finalizers": ["a/2"]}}));
    // Lists without a strategy are replaced.
    let merged = strategic(
        &json!({"spec": {"containers": [{"name": "c", "args": ["a"]}]}}),
        &json!({"spec": {"containers": [{"name": "c", "args": ["b"]}]}}),
    );
    assert_eq!(merged["spec"]["containers"][0]["args"], json!(["b"]));
}

#[test]
fn retained_keys_clear_the_others() {
    let original = json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}});
    let patch =
        json!({"spec": {"volumes": [{"$retainKeys": ["name", "secret"], "name": "v", "secret": {"secretName": "s"}}]}});
    assert_eq!(strategic(&original, &patch)["spec"]["volumes"], json!([{"name": "v", "secret": {"secretName": "s"}}]));
    let patch = json!({"spec": {"volumes": [{"$retainKeys": ["name"], "name": "v", "secret": {}}]}});
    let error = strategic::merge(&original, &patch, pod()).unwrap_err();
    assert_eq!(Status::from(error).message, "invalid patch format of retainKeys");
}

#[test]
fn broken_strategic_patches_are_told_in_upstreams_words() {
    for (patch, code, message) in [
        (
            json!({"spec": {"containers": [{"image": "x"}]}}),
            500,
            "map: map[image:x] does not contain declared merge key: name",
        ),
        (json!({"spec": {"$patch": "never"}}), 500, "unknown patch type: never in map: map[$patch:never]"),
        (
            json!({"spec": {"$setElementOrder/containers": "x"}}),
            500,
            "expected a []interface {}, but received a string",
        ),
        (json!({"spec": {"$setElementOrder": []}}), 400, "invalid patch format of setElementOrder list"),
        (json!({"$deleteFromPrimitiveList": []}), 400, "invalid patch format of primitive list"),
        (
            json!({"spec": {"containers": ["x"]}}),
            500,
            "list element types are not identical: [[map[image:c:1 name:c]] [x]]",
        ),
    ] {
        let status = Status::from(strategic::merge(&containers(&["c"]), &patch, pod()).unwrap_err());
        assert_eq!((status.code, status.message.as_str()), (code, message));
    }
}

#[test]
fn patches_that_cannot_be_read_or_applied() {
    for (kind, body, code, message) in [
        (
            PatchKind::Json,
            r#"[{"op":"test","path":"/spec/priority","value":5}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            PatchKind::Json,
            r#"[{"op":"remove","path":"/spec/nosuch"}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            PatchKind::Json,
            r#"[{"op":"dance","path":"/spec"}]"#,
            422,
            "the server rejected our request due to an error in our request",
        ),
        (
            PatchKind::Json,
            r#"{"not":"a list"}"#,
            400,
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp",
        ),
        (
            PatchKind::Json,
            r#"[1]"#,
            400,
            "error decoding patch: json: cannot unmarshal number into Go value of type handlers.jsonPatchOp",
        ),
        (
            PatchKind::Json,
            r#"[{"op":1}]"#,
            400,
            "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string",
        ),
        (
            PatchKind::Merge,
            "[1]",
            400,
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}",
        ),
        (PatchKind::Merge, "{", 400, "error decoding patch: unexpected end of JSON input"),
        (PatchKind::Strategic, "3", 400, "json: cannot unmarshal number into Go value of type map[string]interface {}"),
        (
            PatchKind::Merge,
            r#"{"spec":{"priority":"many","priority":2,"nosuch":1}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"{\\\"apiVersion\\\":\\\"v1\\\",\\\"kind\\\":\\\"Pod\\\",\\\"metadata\\\":{\\\"name\\\":\\\"x\\\"},\\\"spec\\\":{\\\"containers\\\":[],\\\"nosuch\\\":1,\\\"priority\\\":2}}\": strict decoding error: duplicate field \"spec.priority\", unknown field \"spec.nosuch\"",
        ),
        (
            PatchKind::Strategic,
            r#"{"spec":{"priority":"many"}}"#,
            422,
            " \"\" is invalid: patch: Invalid value: \"map[spec:map[priority:many]]\": unrecognized type: int32",
        ),
    ] {
        let status = refused(kind, body);
        assert_eq!((status.code, status.message.as_str()), (code, message), "{body}");
    }
}

#[test]
fn a_json_patch_edits_and_warns() {
    let current = json!({"metadata": {"name": "x", "labels": {"a": "1"}}, "spec": {"containers": [{"name": "c"}, {"name": "d"}]}});
    let body = br#"[{"op":"test","path":"/metadata/labels/a","value":"1","extra":1},{"op":"remove","path":"/spec/containers/0"},
        {"op":"add","path":"/metadata/labels/b~1c","value":"2"},{"op":"copy","from":"/metadata/labels/a","path":"/metadata/labels/d"},
        {"op":"move","from":"/metadata/labels/a","path":"/metadata/labels/e"}]"#;
    let decoded = patch(PatchKind::Json, &current, body, &target("", "Pod"), FieldValidation::Warn).unwrap();
    assert_eq!(decoded.object["metadata"]["labels"], json!({"b/c": "2", "d": "1", "e": "1"}));
    assert_eq!(decoded.object["spec"]["containers"], json!([{"name": "d"}]));
    assert_eq!(decoded.warnings, ["json patch unknown field \"[0].extra\""]);
}

#[test]
fn copies_cannot_blow_up() {
    let mut operations = vec![json!({"op": "add", "path": "/metadata", "value": {"a": "x".repeat(1000)}})];
    operations
        .extend((0..40).map(|index| json!({"op": "copy", "from": "/metadata", "path": format!("/metadata/{index}")})));
    let body = Value::Array(operations).to_string();
    assert_eq!(refused(PatchKind::Json, &body).code, 422);
    let many = format!("[{}]", vec!["{}"; 10_001].join(","));
    assert_eq!(
        refused(PatchKind::Json, &many).message,
        "Request entity too large: The allowed maximum operations in a JSON patch is 10000, got 10001"
    );
}

/// Lists keyed by name, as maps: what a strategic merge must amount to.
type Model = BTreeMap<String, BTreeMap<String, String>>;

fn model() -> impl Strategy<Value = Model> {
    let fields = proptest::collection::btree_map("(image|workingDir|terminationMessagePath)", "[a-c]", 0..3);
    proptest::collection::btree_map("[a-f]", fields, 0..5)
}

fn as_list(model: &Model) -> Value {
    let items = model.iter().map(|(name, fields)| {
        let mut item: Map<String, Value> = fields.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
        item.insert("name".to_owned(), json!(name));
        Value::Object(item)
    });
    json!({"spec": {"containers": items.collect::<Vec<_>>()}})
}

fn as_model(object: &Value) -> Model {
    let items = object["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let model = items.iter().map(|item| {
        let mut fields: BTreeMap<String, String> = item
            .as_object()
            .unwrap()
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect();
        (fields.remove("name").unwrap(), fields)
    });
    model.collect()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i8>().prop_map(Value::from),
        "(delete|replace|merge|[a-c])".prop_map(Value::from)
    ];
    let keys = r"(spec|containers|name|\$patch|\$retainKeys|\$setElementOrder/containers|\$deleteFromPrimitiveList/finalizers|finalizers|metadata|labels|[ab])";
    leaf.prop_recursive(5, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map(keys, inner, 0..5).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn a_strategic_merge_is_a_merge_of_maps(original in model(), patch in model(), deleted in proptest::collection::btree_set("[a-f]", 0..3)) {
        let patch: Model = patch.into_iter().filter(|(name, _)| !deleted.contains(name)).collect();
        let mut body = as_list(&patch);
        for name in &deleted {
            body["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": name, "$patch": "delete"}));
        }
        let merged = strategic::merge(&as_list(&original), &body, pod()).unwrap();
        let mut want = original;
        want.retain(|name, _| !deleted.contains(name));
        for (name, fields) in &patch {
            want.entry(name.clone()).or_default().extend(fields.clone());
        }
        prop_assert_eq!(as_model(&merged), want);
        // The patch's own items keep the patch's order, and a second time changes nothing.
        let own: Vec<&str> = names(&merged).into_iter().filter(|name| patch.contains_key(*name)).collect();
        prop_assert_eq!(own, patch.keys().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(strategic::merge(&merged, &body, pod()).unwrap(), merged);
    }

    #[test]
    fn an_order_that_is_set_is_kept(original in model(), order in Just(["a", "b", "c", "d", "e", "f"]).prop_shuffle()) {
        let order: Vec<Value> = order.iter().map(|name| json!({"name": name})).collect();
        let body = json!({"spec": {"$setElementOrder/containers": order}});
        let merged = strategic::merge(&as_list(&original), &body, pod()).unwrap();
        let places: Vec<usize> = names(&merged).iter().map(|name| order.iter().position(|item| item["name"] == *name).unwrap()).collect();
        prop_assert!(places.is_sorted());
    }

    #[test]
    fn merge_patches_are_idempotent_and_null_removes(original in any_json(), patch in any_json()) {
        let mut merged = original.clone();
        merge::merge(&mut merged, &patch);
        let once = merged.clone();
        merge::merge(&mut merged, &patch);
        prop_assert_eq!(&merged, &once);
        if let (Value::Object(patch), Value::Object(merged)) = (&patch, &merged) {
            for (key, value) in patch {
                prop_assert_eq!(value.is_null(), !merged.contains_key(key));
            }
            for (key, value) in original.as_object().into_iter().flatten().filter(|(key, _)| !patch.contains_key(*key)) {
                prop_assert_eq!(merged.get(key), Some(value));
            }
        } else {
            prop_assert!(patch.is_object() || merged == patch);
        }
    }

    #[test]
    fn no_patch_makes_it_panic(original in any_json(), body in any_json()) {
        let current = decode(original.to_string().as_bytes(), &target("", "Pod"), FieldValidation::Ignore);
        let current = current.map_or_else(|_| json!({"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "a"}]}}), |decoded| decoded.object);
        for kind in [PatchKind::Json, PatchKind::Merge, PatchKind::Strategic] {
            for validation in [FieldValidation::Strict, FieldValidation::Ignore] {
                let _ = patch(kind, &current, body.to_string().as_bytes(), &target("", "Pod"), validation);
            }
        }
        let _ = strategic::merge(&original, &body, pod());
    }
}
