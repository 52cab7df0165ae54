use super::*;

fn refused(result: &Value) -> (u16, Value) {
    let status = refusal("x.example.com", Some(result).filter(|result| !result.is_null()));
    (status.http_code(), status.to_value())
}

#[test]
fn a_refusal_is_told_as_the_webhook_tells_it() {
    let (code, body) = refused(&Value::Null);
    assert_eq!(code, 400);
    assert_eq!(body["message"], "admission webhook \"x.example.com\" denied the request without explanation");
    assert_eq!(body.get("reason"), None);
    let (code, body) = refused(&json!({"code": 418, "reason": "Teapot", "details": {"name": "pot", "more": 1}}));
    assert_eq!(code, 418);
    assert_eq!(body["message"], "admission webhook \"x.example.com\" denied the request: Teapot");
    assert_eq!((&body["reason"], &body["details"]["name"]), (&json!("Teapot"), &json!("pot")));
    let (code, body) = refused(&json!({"code": 200, "status": "Success", "message": "no"}));
    assert_eq!((code, &body["status"]), (400, &json!("Failure")));
    assert_eq!(body["message"], "admission webhook \"x.example.com\" denied the request: no");
}

#[test]
fn an_answer_must_be_to_the_question() {
    let review = |response: &Value| json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    let complaint = |response: Value, mutating: bool| read(&review(&response), "u", "v1", mutating).unwrap_err();
    assert_eq!(complaint(Value::Null, true), "webhook response was absent");
    assert_eq!(complaint(json!({"uid": "v"}), true), "expected response.uid=\"u\", got \"v\"");
    assert_eq!(
        complaint(json!({"uid": "u", "patch": "W10="}), true),
        "webhook returned response.patch but not response.patchType"
    );
    assert_eq!(
        complaint(json!({"uid": "u", "patch": "W10=", "patchType": "JSONPatch"}), false),
        "validating webhook may not return response.patch"
    );
    let fine = read(
        &review(&json!({"uid": "u", "allowed": true, "patch": "W10=", "patchType": "JSONPatch"})),
        "u",
        "v1",
        true,
    );
    assert_eq!(fine.unwrap().patch.as_deref(), Some(&b"[]"[..]));
    // The older version is not looked at so closely.
    assert!(read(&json!({"response": {"allowed": true}}), "u", "v1beta1", true).unwrap().allowed);
}
