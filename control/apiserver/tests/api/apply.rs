use super::support::{Answer, Api, Client};
use serde_json::{Value, json};

const MAP: &str = "/api/v1/namespaces/default/configmaps/x";

async fn apply(client: &Client, path: &str, body: &Value) -> Answer {
    client.json("PATCH", path, &[("content-type", "application/apply-patch+yaml")], body).await
}

fn map(data: impl Into<Value>) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}, "data": data.into()})
}

#[tokio::test]
async fn apply_makes_changes_and_is_idempotent() {
    let api = Api::start().await;
    let client = api.admin();
    let path = format!("{MAP}?fieldManager=one");
    let made = apply(&client, &path, &map(json!({"a": "1", "b": "2"}))).await.check(201);
    let again = apply(&client, &path, &map(json!({"a": "1", "b": "2"}))).await.check(200);
    assert_eq!(again.version(), made.version(), "nothing was written");
    let less = apply(&client, &path, &map(json!({"a": "1"}))).await.check(200);
    assert_eq!(less.body["data"], json!({"a": "1"}));
}

#[tokio::test]
async fn another_managers_field_conflicts_until_forced() {
    let api = Api::start().await;
    let client = api.admin();
    apply(&client, &format!("{MAP}?fieldManager=one"), &map(json!({"a": "1"}))).await.check(201);
    let answer = apply(&client, &format!("{MAP}?fieldManager=two"), &map(json!({"a": "2"}))).await.check(409);
    assert_eq!(answer.message(), "Apply failed with 1 conflict: conflict with \"one\": .data.a");
    let forced = format!("{MAP}?fieldManager=two&force=true");
    let answer = apply(&client, &forced, &map(json!({"a": "2"}))).await.check(200);
    assert_eq!(answer.body["data"]["a"], "2");
}

#[tokio::test]
async fn many_applies_of_what_is_not_there_make_it_once() {
    let api = Api::start().await;
    let client = api.admin();
    let applies = (0..10).map(|index| {
        let client = &client;
        async move {
            let path = format!("{MAP}?fieldManager=m{index}");
            apply(client, &path, &map(json!({format!("k{index}"): "v"}))).await.code
        }
    });
    let codes = futures::future::join_all(applies).await;
    assert_eq!(codes.iter().filter(|code| **code == 201).count(), 1, "{codes:?}");
    assert_eq!(codes.iter().filter(|code| **code == 200).count(), 9, "{codes:?}");
    assert_eq!(api.get(MAP).await.body["data"].as_object().unwrap().len(), 10);
}

#[tokio::test]
async fn apply_may_be_tried() {
    let api = Api::start().await;
    let client = api.admin();
    apply(&client, &format!("{MAP}?fieldManager=one&dryRun=All"), &map(json!({}))).await.check(201);
    api.get(MAP).await.check(404);
    let yaml = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: 'yes'}\n".to_vec();
    let headers = [("content-type", "application/apply-patch+yaml")];
    let answer = client.call("PATCH", &format!("{MAP}?fieldManager=one"), &headers, yaml).await.check(201);
    assert_eq!(answer.body["data"]["a"], "yes");
}
