//! What typed clients of client-go and controller-runtime ask for: the binary encoding of objects, lists and watches.

use super::support::{Api, PATIENCE};
use axum::body::Body;
use coracle_control_api::protobuf;
use coracle_control_api::schema::{Schema, TypeRef};
use futures::StreamExt as _;
use http::Request;
use serde_json::{Value, json};

const PROTOBUF: (&str, &str) = ("accept", protobuf::MEDIA_TYPE);
const PARTIAL: (&str, &str) =
    ("accept", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn ty(name: &str) -> TypeRef<'static> {
    Schema::builtin().find(name).unwrap()
}

async fn read(api: &Api, method: &str, path: &str, accept: (&str, &str), schema: &str, body: &Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(path).header(accept.0, accept.1);
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).unwrap() };
    let answer = api.admin().send(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(answer.headers()["content-type"], protobuf::MEDIA_TYPE);
    let code = answer.status().as_u16();
    let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (code, protobuf::read(&bytes, ty(schema)).unwrap())
}

#[tokio::test]
async fn objects_lists_and_refusals_are_answered_in_it() {
    let api = Api::start().await;
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "v"}});
    let map = "io.k8s.api.core.v1.ConfigMap";
    let (code, made) = read(&api, "POST", MAPS, PROTOBUF, map, &body).await;
    assert_eq!((code, &made["data"]), (201, &json!({"k": "v"})));
    let path = format!("{MAPS}/a");
    let (_, got) = read(&api, "GET", &path, PROTOBUF, map, &Value::Null).await;
    assert_eq!(got["metadata"]["uid"], api.get(&path).await.body["metadata"]["uid"]);
    assert_eq!((&got["apiVersion"], &got["kind"]), (&json!("v1"), &json!("ConfigMap")));

    let (_, list) = read(&api, "GET", MAPS, PROTOBUF, "io.k8s.api.core.v1.ConfigMapList", &Value::Null).await;
    assert_eq!(list["kind"], "ConfigMapList");
    assert_eq!(list["metadata"]["resourceVersion"], api.get(MAPS).await.body["metadata"]["resourceVersion"]);
    assert!(list["items"].as_array().unwrap().iter().any(|item| item["metadata"]["name"] == "a"));

    let status = "io.k8s.apimachinery.pkg.apis.meta.v1.Status";
    let (code, refusal) = read(&api, "GET", &format!("{MAPS}/none"), PROTOBUF, status, &Value::Null).await;
    assert_eq!((code, &refusal["reason"]), (404, &json!("NotFound")));
    assert_eq!(refusal["details"]["name"], "none");
    let (code, gone) = read(&api, "DELETE", &path, PROTOBUF, status, &Value::Null).await;
    assert_eq!((code, &gone["status"]), (200, &json!("Success")));
}

#[tokio::test]
async fn metadata_alone_is_answered_in_it_and_tables_are_not() {
    let api = Api::start().await;
    api.config_map("a", json!({"k": "v"})).await.check(201);
    // The same message as of an object of which only the metadata is there.
    let (_, one) = read(&api, "GET", &format!("{MAPS}/a"), PARTIAL, "io.k8s.api.core.v1.ConfigMap", &Value::Null).await;
    assert_eq!((&one["kind"], &one["metadata"]["name"]), (&json!("PartialObjectMetadata"), &json!("a")));
    assert_eq!(one.get("data"), None);
    let lists = ("accept", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1");
    let (_, many) = read(&api, "GET", MAPS, lists, "io.k8s.api.core.v1.ConfigMapList", &Value::Null).await;
    assert_eq!(many["kind"], "PartialObjectMetadataList");
    let table = ("accept", "application/vnd.kubernetes.protobuf;as=Table;g=meta.k8s.io;v=v1");
    let refused = api.admin().call("GET", MAPS, &[table], Vec::new()).await.check(406);
    assert!(refused.message().ends_with("application/vnd.kubernetes.protobuf"), "{}", refused.text);
}

#[tokio::test]
async fn a_watch_is_a_stream_of_framed_messages() {
    let api = Api::start().await;
    api.config_map("a", json!({})).await.check(201);
    let target = format!("{MAPS}?watch=1&fieldSelector=metadata.name%3Da");
    let accept = "application/vnd.kubernetes.protobuf;stream=watch, application/json";
    let request = Request::get(target).header("accept", accept).body(Body::empty()).unwrap();
    let answer = api.admin().send(request).await;
    assert_eq!(answer.headers()["content-type"], "application/vnd.kubernetes.protobuf;stream=watch");
    let mut body = answer.into_body().into_data_stream();
    api.merge(&format!("{MAPS}/a"), json!({"data": {"k": "v"}})).await.check(200);
    let mut bytes = Vec::new();
    let mut events = Vec::new();
    while events.len() < 2 {
        let chunk = tokio::time::timeout(PATIENCE, body.next()).await.expect("no event").unwrap().unwrap();
        bytes.extend_from_slice(&chunk);
        while let Some(length) = bytes.get(..4).map(|length| u32::from_be_bytes(length.try_into().unwrap())) {
            let length = usize::try_from(length).unwrap();
            if bytes.len() < 4 + length {
                break;
            }
            let event: Vec<u8> = bytes.drain(..4 + length).skip(4).collect();
            let object = event.windows(4).position(|window| window == protobuf::MAGIC).unwrap();
            let object = protobuf::read(&event[object..], ty("io.k8s.api.core.v1.ConfigMap")).unwrap();
            let name = usize::from(event[1]);
            events.push((String::from_utf8(event[2..2 + name].to_vec()).unwrap(), object["data"].clone()));
        }
    }
    assert_eq!(events, [("ADDED".to_owned(), Value::Null), ("MODIFIED".to_owned(), json!({"k": "v"}))]);
}

#[tokio::test]
async fn custom_resources_have_none() {
    let api = Api::start().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "boats.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "boats", "singular": "boat", "kind": "Boat", "listKind": "BoatList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}}, "schema": {
                "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    "properties": {"spec": {"type": "object", "additionalProperties": {"type": "string"}}}},
            }}],
        },
    });
    let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    let name = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
    let (code, made) = read(&api, "POST", definitions, PROTOBUF, name, &definition).await;
    assert_eq!(code, 201);
    let version = &made["spec"]["versions"][0];
    assert_eq!(version["subresources"], json!({"status": {}}));
    let properties = &version["schema"]["openAPIV3Schema"]["properties"];
    assert_eq!(properties["spec"]["additionalProperties"]["type"], "string");

    let boats = "/apis/example.com/v1/namespaces/default/boats";
    let body = json!({"apiVersion": "example.com/v1", "kind": "Boat", "metadata": {"name": "a"}});
    api.post(boats, body).await.check(201);
    api.admin().call("GET", boats, &[PROTOBUF], Vec::new()).await.check(406);
    let either = ("accept", "application/vnd.kubernetes.protobuf,application/json");
    let list = api.admin().call("GET", boats, &[either], Vec::new()).await.check(200);
    assert_eq!(list.names(), ["a"]);
    let (_, one) = read(&api, "GET", &format!("{boats}/a"), PARTIAL, name, &Value::Null).await;
    assert_eq!(one["metadata"]["name"], "a");
}
