//! Admission policies: rules in the store by which writes are changed and refused.

use serde_json::{Value, json};

use super::support::{Answer, Api};

const POLICIES: &str = "/apis/admissionregistration.k8s.io/v1";

/// A policy about config maps with these fields of its spec, and a binding with those.
async fn policy(api: &Api, name: &str, spec: &Value, binding: &Value) {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["configmaps"]});
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": {"resourceRules": [rule]}},
    });
    let mut bound = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": format!("{name}-binding")}, "spec": {"policyName": name, "validationActions": ["Deny"]},
    });
    for (place, changes) in [(&mut policy["spec"], spec), (&mut bound["spec"], binding)] {
        for (name, value) in changes.as_object().into_iter().flatten() {
            place[name] = value.clone();
        }
    }
    api.post(&format!("{POLICIES}/validatingadmissionpolicies"), policy).await.check(201);
    api.post(&format!("{POLICIES}/validatingadmissionpolicybindings"), bound).await.check(201);
}

fn warnings(answer: &Answer) -> Vec<&str> {
    answer.headers.get_all("warning").iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn a_policy_refuses_in_the_words_of_upstream() {
    let api = Api::start().await;
    let rules = json!([
        {"expression": "!has(object.data) || object.data.all(k, k.size() < 5)", "message": "keys are short"},
        {"expression": "object.metadata.name != 'forbidden'", "reason": "Forbidden", "messageExpression": "'no ' + object.metadata.name"},
        {"expression": "object.metadata.name != 'plain'"},
        {"expression": "object.metadata.name != 'broken' || object.nosuch == 1"},
    ]);
    policy(&api, "p", &json!({"validations": rules}), &json!({})).await;
    api.config_map("fine", json!({"a": "b"})).await.check(201);
    let refused = api.config_map("long", json!({"abcdef": ""})).await.check(422);
    let text = "ValidatingAdmissionPolicy 'p' with binding 'p-binding' denied request: keys are short";
    assert_eq!(refused.message(), format!("configmaps \"long\" is forbidden: {text}"));
    assert_eq!(
        (&refused.body["reason"], &refused.body["details"]["causes"][0]["message"]),
        (&json!("Invalid"), &json!(text))
    );
    let refused = api.config_map("forbidden", json!({})).await.check(403);
    assert!(refused.message().ends_with("denied request: no forbidden"), "{}", refused.message());
    let refused = api.config_map("plain", json!({})).await.check(422);
    assert!(refused.message().ends_with("denied request: failed expression: object.metadata.name != 'plain'"));
    let refused = api.config_map("broken", json!({})).await.check(422);
    assert!(
        refused.message().ends_with("denied request: expression 'object.metadata.name != 'broken' || object.nosuch == 1' resulted in error: no such key: nosuch"),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn parameters_variables_and_the_namespace_are_at_hand() {
    let api = Api::start().await;
    let spec = json!({
        "paramKind": {"apiVersion": "v1", "kind": "Secret"},
        "variables": [
            {"name": "limit", "expression": "int(params.metadata.labels['limit'])"},
            {"name": "count", "expression": "has(object.data) ? size(object.data) : 0"},
            {"name": "never", "expression": "object.nosuch"},
            {"name": "fits", "expression": "variables.count <= variables.limit"},
        ],
        "matchConditions": [{"name": "not-mine", "expression": "object.metadata.name != 'exempt'"}],
        "validations": [
            {"expression": "variables.fits", "messageExpression": "'at most ' + string(variables.limit)"},
            {"expression": "namespaceObject.metadata.name == 'default' && request.namespace == 'default'"},
            {"expression": "oldObject == null || oldObject.data == object.data", "message": "data stays"},
            {"expression": "authorizer.group('').resource('secrets').check('list').allowed()"},
        ],
    });
    let reference = json!({"name": "limits", "namespace": "default", "parameterNotFoundAction": "Deny"});
    policy(&api, "p", &spec, &json!({"paramRef": reference})).await;
    let refused = api.config_map("a", json!({})).await.check(422);
    assert!(
        refused.message().ends_with("denied request: failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"),
        "{}",
        refused.message()
    );
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "limits", "labels": {"limit": "1"}}});
    api.post("/api/v1/namespaces/default/secrets", secret).await.check(201);
    api.config_map("a", json!({"x": "1"})).await.check(201);
    let refused = api.config_map("b", json!({"x": "1", "y": "2"})).await.check(422);
    assert!(refused.message().ends_with("denied request: at most 1"), "{}", refused.message());
    let refused = api.merge("/api/v1/namespaces/default/configmaps/a", json!({"data": {"x": "2"}})).await.check(422);
    assert!(refused.message().ends_with("denied request: data stays"), "{}", refused.message());
    api.config_map("exempt", json!({"x": "1", "y": "2"})).await.check(201);
}

#[tokio::test]
async fn a_binding_may_warn_and_a_policy_may_be_lenient() {
    let api = Api::start().await;
    let never = json!([{"expression": "false", "message": "no"}]);
    policy(&api, "w", &json!({"validations": never}), &json!({"validationActions": ["Warn", "Audit"]})).await;
    let lenient = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.nosuch == 1"}]});
    policy(&api, "l", &lenient, &json!({})).await;
    let elsewhere = json!({"matchResources": {"namespaceSelector": {"matchLabels": {"team": "x"}}}});
    policy(&api, "e", &json!({"validations": never}), &elsewhere).await;
    let excluded = json!({"matchResources": {"excludeResourceRules": [{
        "apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"], "resourceNames": ["a"],
    }]}});
    policy(&api, "x", &json!({"validations": never}), &excluded).await;
    let made = api.config_map("a", json!({})).await.check(201);
    let expected = "299 - \"Validation failed for ValidatingAdmissionPolicy 'w' with binding 'w-binding': no\"";
    assert_eq!(warnings(&made), [expected]);
    api.config_map("b", json!({})).await.check(422);
}

async fn mutating(api: &Api, name: &str, spec: &Value) {
    let path = "/apis/admissionregistration.k8s.io/v1beta1";
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]});
    let mut policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1beta1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": name},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "reinvocationPolicy": "Never"},
    });
    for (name, value) in spec.as_object().into_iter().flatten() {
        policy["spec"][name] = value.clone();
    }
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1beta1", "kind": "MutatingAdmissionPolicyBinding",
        "metadata": {"name": name}, "spec": {"policyName": name},
    });
    api.post(&format!("{path}/mutatingadmissionpolicies"), policy).await.check(201);
    api.post(&format!("{path}/mutatingadmissionpolicybindings"), binding).await.check(201);
}

#[tokio::test]
async fn a_policy_changes_what_is_written_where_that_is_switched_on() {
    let off = Api::start().await;
    off.get("/apis/admissionregistration.k8s.io/v1beta1/mutatingadmissionpolicies").await.check(404);
    let api = Api::with(|config| {
        config.runtime_config.insert("admissionregistration.k8s.io/v1beta1".to_owned());
    })
    .await;
    let apply =
        "Object{metadata: Object.metadata{labels: {'team': variables.team}}, data: {'added': object.metadata.name}}";
    let spec = json!({
        "variables": [{"name": "team", "expression": "namespaceObject.metadata.name"}],
        "matchConditions": [{"name": "c", "expression": "object.metadata.name != 'exempt'"}],
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": apply}},
            {"patchType": "JSONPatch", "jsonPatch": {"expression":
                "[JSONPatch{op: 'test', path: '/data/added', value: 'a'}, JSONPatch{op: 'add', path: '/data/' + jsonpatch.escapeKey('x.y'), value: object.metadata.labels.team}]"}},
        ],
    });
    mutating(&api, "m", &spec).await;
    let made = api.config_map("a", json!({"own": "1"})).await.check(201);
    assert_eq!(made.body["metadata"]["labels"], json!({"team": "default"}));
    assert_eq!(made.body["data"], json!({"own": "1", "added": "a", "x.y": "default"}));
    let other = api.config_map("b", json!({"own": "1"})).await.check(201);
    assert_eq!(other.body["data"], json!({"own": "1", "added": "b"}));
    let exempt = api.config_map("exempt", json!({"own": "1"})).await.check(201);
    assert_eq!(exempt.body["data"], json!({"own": "1"}));
    let broken = json!({"mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{data: {'x': object.nosuch}}"}}]});
    mutating(&api, "n", &broken).await;
    let refused = api.config_map("c", json!({})).await.check(403);
    assert_eq!(refused.body["reason"], "Invalid");
    assert!(
        refused.message().ends_with(
            "denied request: expression 'Object{data: {'x': object.nosuch}}' resulted in error: no such key: nosuch"
        ),
        "{}",
        refused.message()
    );
}
