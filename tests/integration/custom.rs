//! Custom resources as an operator uses them: defined, used at once, watched, refused, and gone with their definition.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{conditions, wait::await_condition};
use serde_json::{Value, json};

use super::harness::{TestCluster, eventually};

const NAME: &str = "gears.example.com";

fn definition() -> CustomResourceDefinition {
    let spec = json!({
        "type": "object",
        "required": ["teeth"],
        "properties": {
            "teeth": {"type": "integer", "minimum": 3},
            "colour": {"type": "string", "default": "red"},
            "parts": {
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                "items": {
                    "type": "object", "required": ["id"],
                    "properties": {"id": {"type": "string"}, "n": {"type": "integer"}},
                },
            },
        },
        "x-kubernetes-validations": [{"rule": "self.teeth >= oldSelf.teeth", "message": "teeth do not shrink"}],
    });
    let schema = json!({"type": "object", "properties": {
        "spec": spec,
        "status": {"type": "object", "properties": {"turning": {"type": "boolean"}}},
    }});
    serde_json::from_value(json!({
        "metadata": {"name": NAME},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "gears", "singular": "gear", "kind": "Gear"},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": schema}, "subresources": {"status": {}},
            }],
        },
    }))
    .unwrap()
}

fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v1", "Gear"), "gears")
}

fn gear(name: &str, spec: &Value) -> DynamicObject {
    DynamicObject::new(name, &resource()).data(json!({ "spec": spec }))
}

/// Defines gears. They can be used as soon as the definition has been answered.
async fn define(cluster: &TestCluster) -> (Api<CustomResourceDefinition>, Api<DynamicObject>) {
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    definitions.create(&PostParams::default(), &definition()).await.unwrap();
    (definitions, Api::default_namespaced_with(cluster.client.clone(), &resource()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_is_served_as_soon_as_it_is_defined_and_goes_with_its_definition() {
    let cluster = TestCluster::start().await;
    let (definitions, gears) = define(&cluster).await;
    let made = gears.create(&PostParams::default(), &gear("g", &json!({"teeth": 8, "nosuch": 1}))).await.unwrap();
    assert_eq!(made.data["spec"], json!({"teeth": 8, "colour": "red"}));
    await_condition(definitions.clone(), NAME, conditions::is_crd_established()).await.unwrap();
    let kind = GroupVersionKind::gvk("example.com", "v1", "Gear");
    let (found, _) = kube::discovery::pinned_kind(&cluster.client, &kind).await.unwrap();
    assert_eq!(found.plural, "gears");

    let version = gears.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut events = gears.watch(&WatchParams::default(), &version).await.unwrap().boxed();
    definitions.delete(NAME, &DeleteParams::default()).await.unwrap();
    assert!(matches!(events.try_next().await.unwrap(), Some(WatchEvent::Deleted(_))));
    eventually(|| async { definitions.get_opt(NAME).await.unwrap() }, Option::is_none).await;
    let kube::Error::Api(status) = gears.list(&ListParams::default()).await.unwrap_err() else { panic!("served") };
    assert_eq!(status.code, 404);
    // A definition of the same name finds none of the old objects.
    define(&cluster).await;
    assert_eq!(gears.list(&ListParams::default()).await.unwrap().items.len(), 0);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_custom_object_is_validated_applied_and_has_a_status_of_its_own() {
    let cluster = TestCluster::start().await;
    let (_, gears) = define(&cluster).await;
    let refused = |error: kube::Error| {
        let kube::Error::Api(status) = error else { panic!("{error:?}") };
        (status.code, status.message)
    };
    let error = gears.create(&PostParams::default(), &gear("g", &json!({"teeth": 1}))).await.unwrap_err();
    let (code, message) = refused(error);
    assert_eq!(code, 422);
    assert!(message.contains("spec.teeth in body should be greater than or equal to 3"), "{message}");

    let one = gear("g", &json!({"teeth": 8, "parts": [{"id": "a", "n": 1}]}));
    gears.patch("g", &PatchParams::apply("one"), &Patch::Apply(&one)).await.unwrap();
    let two = gear("g", &json!({"teeth": 8, "parts": [{"id": "b"}]}));
    let both = gears.patch("g", &PatchParams::apply("two"), &Patch::Apply(&two)).await.unwrap();
    assert_eq!(both.data["spec"]["parts"], json!([{"id": "a", "n": 1}, {"id": "b"}]));

    let shrink = Patch::Merge(json!({"spec": {"teeth": 7}}));
    let (code, message) = refused(gears.patch("g", &PatchParams::default(), &shrink).await.unwrap_err());
    assert_eq!(code, 422);
    assert!(message.ends_with("spec: Invalid value: \"object\": teeth do not shrink"), "{message}");

    let status = Patch::Merge(json!({"spec": {"teeth": 90}, "status": {"turning": true}}));
    let turning = gears.patch_status("g", &PatchParams::default(), &status).await.unwrap();
    assert_eq!((&turning.data["spec"]["teeth"], &turning.data["status"]["turning"]), (&json!(8), &json!(true)));
    cluster.stop().await;
}
