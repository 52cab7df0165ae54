use super::*;
use serde_json::json;

#[test]
fn a_missing_object_is_told_as_upstream_does() {
    let status = Status::not_found("apps", "deployments", "none");
    assert_eq!(
        status.to_value(),
        json!({"apiVersion": "v1", "code": 404, "details": {"group": "apps", "kind": "deployments", "name": "none"},
            "kind": "Status", "message": "deployments.apps \"none\" not found", "metadata": {}, "reason": "NotFound", "status": "Failure"})
    );
}

#[test]
fn the_fields_come_in_the_order_of_upstream() {
    let status = Status::already_exists("", "services", "mock-2");
    assert_eq!(
        serde_json::to_string(&status).unwrap(),
        r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"services \"mock-2\" already exists","reason":"AlreadyExists","details":{"name":"mock-2","kind":"services"},"code":409}"#
    );
}

#[test]
fn field_errors_become_causes_and_one_message() {
    let path = FieldPath::root("spec");
    let errors = [
        FieldError::invalid(path.child("backoffLimit"), -1, "must be greater than or equal to 0"),
        FieldError::not_supported(path.child("type"), "Tunnel", ["ClusterIP", "NodePort"]),
    ];
    let status = Status::invalid("batch", "Job", "x", &errors);
    assert_eq!(
        status.message,
        "Job.batch \"x\" is invalid: [spec.backoffLimit: Invalid value: -1: must be greater than or equal to 0, spec.type: Unsupported value: \"Tunnel\": supported values: \"ClusterIP\", \"NodePort\"]"
    );
    assert_eq!(status.details.unwrap().causes[1].reason, "FieldValueNotSupported");
}

#[test]
fn values_that_are_not_shown_leave_no_trace() {
    assert_eq!(FieldError::required("a", "").to_string(), "a: Required value");
    assert_eq!(FieldError::too_long("a", 63).to_string(), "a: Too long: may not be more than 63 bytes");
    assert_eq!(FieldError::too_many("a", 3, 1).to_string(), "a: Too many: 3: must have at most 1 item");
    assert_eq!(FieldError::invalid("<nil>", Value::Null, "x").to_string(), "<nil>: Invalid value: null: x");
}

#[test]
fn paths_print_names_indexes_and_keys() {
    let root = FieldPath::empty();
    assert_eq!(root.to_string(), "<nil>");
    assert_eq!(root.child("spec").child("a").index(3).key("cpu").to_string(), "spec.a[3][cpu]");
}

#[test]
fn a_success_has_no_code_unless_asked() {
    assert_eq!(
        Status::deleted("", "pods", "x", "u").to_value(),
        json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Success", "details": {"kind": "pods", "name": "x", "uid": "u"}})
    );
    assert_eq!(Status::success(201).to_value()["code"], 201);
}
