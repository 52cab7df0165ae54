//! Custom resources: several versions with a webhook between them, rules, and the end of a definition.

use serde_json::{Value, json};

use super::support::{Answer, Api};
use super::webhook_server::WebhookServer;

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

fn gears(version: &str) -> String {
    format!("/apis/example.com/{version}/namespaces/default/gears")
}

/// A definition with these versions; each has a schema.
fn definition(versions: &Value, conversion: &Value) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gears.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "conversion": conversion, "versions": versions,
            "names": {"plural": "gears", "singular": "gear", "kind": "Gear", "listKind": "GearList"},
        },
    })
}

fn version(name: &str, storage: bool, spec: &Value) -> Value {
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}})
}

fn gear(version: &str, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": format!("example.com/{version}"), "kind": "Gear", "metadata": {"name": name}, "spec": spec})
}

/// Turns `teeth: 8` of v1 into `size: "8"` of v2, and back.
fn convert(review: &Value) -> (u16, Value) {
    let wanted = review["request"]["desiredAPIVersion"].as_str().unwrap();
    let objects = review["request"]["objects"].as_array().unwrap().iter().map(|object| {
        let mut object = object.clone();
        let spec = &object["spec"];
        object["spec"] = match spec["teeth"].as_i64() {
            Some(teeth) => json!({"size": teeth.to_string()}),
            None => json!({"teeth": spec["size"].as_str().unwrap_or("0").parse::<i64>().unwrap()}),
        };
        object["apiVersion"] = json!(wanted);
        object["metadata"]["labels"] = json!({"converted": "yes"});
        // What a webhook may not change is put back.
        object["metadata"]["finalizers"] = json!(["example.com/x"]);
        object
    });
    let response = json!({
        "uid": review["request"]["uid"], "result": {"status": "Success"}, "convertedObjects": objects.collect::<Vec<_>>(),
    });
    (200, json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}))
}

async fn with_webhook(server: &WebhookServer) -> Api {
    let api = Api::start().await;
    let conversion = json!({
        "strategy": "Webhook", "webhook": {"clientConfig": server.client(), "conversionReviewVersions": ["v1"]},
    });
    let versions = json!([
        version("v1", true, &json!({"type": "object", "properties": {"teeth": {"type": "integer"}}})),
        version("v2", false, &json!({"type": "object", "properties": {"size": {"type": "string"}}})),
    ]);
    api.post(DEFINITIONS, definition(&versions, &conversion)).await.check(201);
    api
}

#[tokio::test]
async fn objects_are_written_in_one_version_and_read_in_another() {
    let server = WebhookServer::start(convert).await;
    let api = with_webhook(&server).await;
    let mut events = api.watch(&format!("{}?watch=1", gears("v2"))).await;
    let made = api.post(&gears("v2"), gear("v2", "a", &json!({"size": "8"}))).await.check(201);
    assert_eq!((&made.body["spec"], &made.body["apiVersion"]), (&json!({"size": "8"}), &json!("example.com/v2")));
    let old = api.get(&format!("{}/a", gears("v1"))).await.check(200);
    assert_eq!((&old.body["spec"], &old.body["apiVersion"]), (&json!({"teeth": 8}), &json!("example.com/v1")));
    assert_eq!(old.body["metadata"]["labels"]["converted"], "yes");
    assert_eq!(old.body["metadata"].get("finalizers"), None);
    api.post(&gears("v1"), gear("v1", "b", &json!({"teeth": 9}))).await.check(201);
    let list = api.get(&gears("v2")).await.check(200);
    let sizes: Vec<&Value> = list.body["items"].as_array().unwrap().iter().map(|item| &item["spec"]["size"]).collect();
    assert_eq!(sizes, ["8", "9"]);
    for size in ["8", "9"] {
        let event = events.next().await.unwrap();
        assert_eq!((&event["type"], &event["object"]["spec"]["size"]), (&json!("ADDED"), &json!(size)));
    }
    let changed = api.merge(&format!("{}/b", gears("v2")), json!({"spec": {"size": "10"}})).await.check(200);
    assert_eq!(changed.body["spec"], json!({"size": "10"}));
    assert_eq!(api.get(&format!("{}/b", gears("v1"))).await.body["spec"], json!({"teeth": 10}));
    let gone = api.delete(&format!("{}/b", gears("v2"))).await.check(200);
    assert_eq!(gone.body["status"], "Success");
    let crd = api.get(&format!("{DEFINITIONS}/gears.example.com")).await;
    assert_eq!(crd.body["status"]["storedVersions"], json!(["v1"]));
}

#[tokio::test]
async fn a_conversion_that_fails_is_told() {
    let server = WebhookServer::start(|review| {
        let response = json!({"uid": review["request"]["uid"], "result": {"status": "Failed", "message": "no way"}});
        (200, json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response}))
    })
    .await;
    let api = with_webhook(&server).await;
    api.post(&gears("v1"), gear("v1", "a", &json!({"teeth": 1}))).await.check(201);
    let refused = api.get(&format!("{}/a", gears("v2"))).await.check(500);
    assert_eq!(refused.message(), "conversion webhook for example.com/v1, Kind=Gear failed: no way");
    // The end of the definition does not depend on it.
    api.delete(&format!("{DEFINITIONS}/gears.example.com")).await.check(200);
    api.get(&format!("{DEFINITIONS}/gears.example.com")).await.check(404);
}

async fn with_rules(rules: &Value) -> Api {
    let api = Api::start().await;
    let spec = json!({
        "type": "object", "x-kubernetes-validations": rules,
        "properties": {
            "teeth": {"type": "integer"}, "names": {"type": "array", "maxItems": 5, "items": {"type": "string", "maxLength": 20}},
            "when": {"type": "string", "format": "date-time"}, "my-field": {"type": "integer"},
        },
    });
    let answer =
        api.post(DEFINITIONS, definition(&json!([version("v1", true, &spec)]), &json!({"strategy": "None"}))).await;
    answer.check(201);
    api
}

fn causes(answer: &Answer) -> Vec<(&str, &str)> {
    let causes = answer.body["details"]["causes"].as_array().unwrap().iter();
    causes.map(|cause| (cause["field"].as_str().unwrap(), cause["message"].as_str().unwrap())).collect()
}

#[tokio::test]
async fn rules_see_typed_values_and_the_value_before() {
    let api = with_rules(&json!([
        {"rule": "!has(self.when) || self.when > timestamp('2020-01-01T00:00:00Z')", "message": "too early", "fieldPath": ".when"},
        {"rule": "!has(self.my__dash__field) || self.my__dash__field > 0", "reason": "FieldValueForbidden", "messageExpression": "'not ' + string(self.my__dash__field)"},
        {"rule": "self.teeth >= oldSelf.teeth", "message": "teeth stay"},
        {"rule": "!oldSelf.hasValue() || oldSelf.value().teeth < 100", "optionalOldSelf": true, "message": "done"},
        {"rule": "!has(self.names) || self.names.all(n, n.size() < 4)"},
    ]))
    .await;
    let refused = api
        .post(
            &gears("v1"),
            gear("v1", "a", &json!({"when": "2019-01-01T00:00:00Z", "my-field": -1, "names": ["abcd"]})),
        )
        .await
        .check(422);
    assert_eq!(
        causes(&refused),
        [
            ("spec.when", "Invalid value: \"object\": too early"),
            ("spec", "Forbidden: not -1"),
            ("spec", "Invalid value: \"object\": failed rule: !has(self.names) || self.names.all(n, n.size() < 4)"),
        ]
    );
    api.post(&gears("v1"), gear("v1", "a", &json!({"teeth": 99}))).await.check(201);
    let path = format!("{}/a", gears("v1"));
    let refused = api.merge(&path, json!({"spec": {"teeth": 98}})).await.check(422);
    assert_eq!(causes(&refused), [("spec", "Invalid value: \"object\": teeth stay")]);
    api.merge(&path, json!({"spec": {"teeth": 100}})).await.check(200);
    let refused = api.merge(&path, json!({"spec": {"teeth": 101}})).await.check(422);
    assert_eq!(causes(&refused), [("spec", "Invalid value: \"object\": done")]);
}

#[tokio::test]
async fn what_was_wrong_before_does_not_stop_an_update_of_something_else() {
    let api = with_rules(&json!([])).await;
    api.post(&gears("v1"), gear("v1", "a", &json!({"teeth": -1}))).await.check(201);
    let path = format!("{DEFINITIONS}/gears.example.com");
    let mut crd = api.get(&path).await.check(200).body;
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["x-kubernetes-validations"] =
        json!([{"rule": "self.teeth > 0", "message": "teeth are many"}]);
    api.put(&path, crd).await.check(200);
    let gear_path = format!("{}/a", gears("v1"));
    api.merge(&gear_path, json!({"metadata": {"labels": {"a": "b"}}})).await.check(200);
    let refused = api.merge(&gear_path, json!({"spec": {"teeth": -2}})).await.check(422);
    assert_eq!(causes(&refused), [("spec", "Invalid value: \"object\": teeth are many")]);
}

#[tokio::test]
async fn watches_end_with_their_definition() {
    let api = with_rules(&json!([])).await;
    api.post(&gears("v1"), gear("v1", "a", &json!({}))).await.check(201);
    let mut events = api.watch(&format!("{}?watch=1", gears("v1"))).await;
    assert_eq!(events.next_name().await.0, "ADDED");
    api.delete(&format!("{DEFINITIONS}/gears.example.com")).await.check(200);
    assert_eq!(events.next_name().await.0, "DELETED");
    assert_eq!(events.next().await, None);
    api.get(&gears("v1")).await.check(404);
}

#[tokio::test]
async fn a_definition_that_a_crash_left_behind_is_served_after_the_next_start() {
    let api = Api::start().await;
    let spec = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let body = definition(&json!([version("v1", true, &spec)]), &json!({"strategy": "None"}));
    let key = format!("/registry/apiextensions.k8s.io/customresourcedefinitions/{}", "gears.example.com");
    let operations = vec![coracle_control_store::Operation::Put { key: key.into(), value: body.to_string().into() }];
    let transaction = coracle_control_store::Transaction { conditions: Vec::new(), operations };
    api.store.transact(transaction).await.unwrap();
    api.get(&gears("v1")).await.check(404);
    api.server.bootstrap().await.unwrap();
    api.get(&gears("v1")).await.check(200);
}
