use super::*;
use serde_json::json;

fn check(object: &Value, expected: &str) {
    assert_eq!(String::from_utf8(to_vec(object)).unwrap(), expected);
}

#[test]
fn built_in_objects_are_printed_struct_by_struct() {
    check(
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"annotations": {"b": "1", "a": "2"}, "name": "x", "uid": "u"},
            "spec": {"containers": [{"image": "i", "name": "c", "ports": [{"protocol": "TCP", "containerPort": 1}]}],
                "initContainers": [], "volumes": [{"emptyDir": {}, "name": "v"}]}, "status": {}}),
        r#"{"kind":"Pod","apiVersion":"v1","metadata":{"name":"x","uid":"u","annotations":{"a":"2","b":"1"}},"spec":{"volumes":[{"name":"v","emptyDir":{}}],"initContainers":[],"containers":[{"name":"c","image":"i","ports":[{"containerPort":1,"protocol":"TCP"}]}]},"status":{}}"#,
    );
}

#[test]
fn custom_objects_and_unknown_fields_are_sorted() {
    check(
        &json!({"apiVersion": "a.example/v1", "kind": "Pod", "metadata": {"uid": "u", "name": "x"}}),
        r#"{"apiVersion":"a.example/v1","kind":"Pod","metadata":{"name":"x","uid":"u"}}"#,
    );
    check(
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "zeta": 1, "alpha": {"b": 1, "a": 2}, "data": {"k": "v"}}),
        r#"{"kind":"ConfigMap","apiVersion":"v1","data":{"k":"v"},"alpha":{"a":2,"b":1},"zeta":1}"#,
    );
}

#[test]
fn the_order_changes_nothing_else() {
    let object =
        json!({"apiVersion": "v1", "kind": "Service", "metadata": [1, {"x": null}], "spec": {"ports": {"port": 1}}});
    assert_eq!(serde_json::from_slice::<Value>(&to_vec(&object)).unwrap(), object);
    assert_eq!(to_vec(&json!(["v1"])), b"[\"v1\"]");
}
