//! Owners and dependents of custom kinds.

use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{DeleteParams, PropagationPolicy};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use super::cluster::{Cluster, create, eventually};

const DEFINITION: &str = "gears.example.com";

/// A cluster in which Gears are defined, and have been seen by the controllers.
struct Family {
    cluster: Cluster,
    definitions: Api<CustomResourceDefinition>,
    gears: Api<DynamicObject>,
    maps: Api<ConfigMap>,
}

fn definition() -> Value {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let version = |name: &str, storage: bool| json!({"name": name, "served": true, "storage": storage, "schema": {"openAPIV3Schema": schema}});
    json!({
        "metadata": {"name": DEFINITION},
        "spec": {
            "group": "example.com", "scope": "Namespaced", "names": {"plural": "gears", "singular": "gear", "kind": "Gear"},
            "versions": [version("v2", false), version("v1", true)],
        },
    })
}

fn established(definition: Option<&CustomResourceDefinition>) -> bool {
    let status = definition.and_then(|definition| definition.status.as_ref());
    let mut conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    conditions.any(|condition| condition.type_ == "Established" && condition.status == "True")
}

impl Family {
    async fn start() -> Self {
        let cluster = Cluster::start().await;
        let definitions = cluster.all::<CustomResourceDefinition>();
        create(&definitions, definition()).await;
        eventually(&definitions, DEFINITION, established).await;
        let kind = GroupVersionKind::gvk("example.com", "v1", "Gear");
        let resource = ApiResource::from_gvk_with_plural(&kind, "gears");
        let gears = Api::namespaced_with(cluster.client.clone(), "default", &resource);
        let maps = cluster.namespaced("default");
        let family = Self { cluster, definitions, gears, maps };
        family.wait_until_seen().await;
        family
    }

    /// Waits until the collector has seen every object that is there: it collects one that was made after them.
    async fn wait_until_seen(&self) {
        let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "nobody", "uid": "no-such-uid"});
        let metadata = json!({"name": "stray", "ownerReferences": [reference]});
        create(&self.gears, json!({"apiVersion": "example.com/v1", "kind": "Gear", "metadata": metadata})).await;
        eventually(&self.gears, "stray", |stray| stray.is_none()).await;
        create(&self.maps, json!({"metadata": metadata})).await;
        eventually(&self.maps, "stray", |stray| stray.is_none()).await;
    }

    /// The Gear `owner`, a ConfigMap and a Gear that it owns, and a ConfigMap that the owned Gear owns.
    async fn make(&self) {
        let owner = self.gear("owner", None).await;
        let child = self.gear("child", Some(&owner)).await;
        create(&self.maps, json!({"metadata": {"name": "map", "ownerReferences": [reference(&owner)]}})).await;
        create(&self.maps, json!({"metadata": {"name": "grandchild", "ownerReferences": [reference(&child)]}})).await;
        self.wait_until_seen().await;
    }

    async fn gear(&self, name: &str, owner: Option<&DynamicObject>) -> DynamicObject {
        let owners: Vec<Value> = owner.into_iter().map(reference).collect();
        let metadata = json!({"name": name, "ownerReferences": owners});
        create(&self.gears, json!({"apiVersion": "example.com/v1", "kind": "Gear", "metadata": metadata})).await
    }

    async fn delete(&self, how: PropagationPolicy) {
        let how = DeleteParams { propagation_policy: Some(how), ..DeleteParams::default() };
        self.gears.delete("owner", &how).await.unwrap();
    }
}

fn reference(owner: &DynamicObject) -> Value {
    json!({
        "apiVersion": "example.com/v1", "kind": "Gear", "name": owner.metadata.name, "uid": owner.metadata.uid,
        "blockOwnerDeletion": true,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_foreground_a_custom_owner_goes_last() {
    let family = Family::start().await;
    family.make().await;
    family.delete(PropagationPolicy::Foreground).await;
    eventually(&family.gears, "owner", |owner| owner.is_none()).await;
    assert!(family.gears.get_opt("child").await.unwrap().is_none());
    assert!(family.maps.get_opt("map").await.unwrap().is_none());
    assert!(family.maps.get_opt("grandchild").await.unwrap().is_none());
    family.cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_background_dependents_follow_a_custom_owner() {
    let family = Family::start().await;
    family.make().await;
    family.delete(PropagationPolicy::Background).await;
    eventually(&family.gears, "child", |child| child.is_none()).await;
    eventually(&family.maps, "map", |map| map.is_none()).await;
    eventually(&family.maps, "grandchild", |map| map.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_of_a_custom_owner_stay() {
    let family = Family::start().await;
    family.make().await;
    family.delete(PropagationPolicy::Orphan).await;
    eventually(&family.gears, "owner", |owner| owner.is_none()).await;
    let child = family.gears.get("child").await.unwrap();
    assert_eq!(child.metadata.owner_references.unwrap_or_default(), []);
    let map = family.maps.get("map").await.unwrap();
    assert_eq!(map.metadata.owner_references.unwrap_or_default(), []);
    assert!(family.maps.get_opt("grandchild").await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_built_in_owner_takes_its_custom_dependent_along() {
    let family = Family::start().await;
    let owner = create(&family.maps, json!({"metadata": {"name": "owner"}})).await;
    let reference = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.metadata.uid});
    let metadata = json!({"name": "child", "ownerReferences": [reference]});
    create(&family.gears, json!({"apiVersion": "example.com/v1", "kind": "Gear", "metadata": metadata})).await;
    family.maps.delete("owner", &DeleteParams::background()).await.unwrap();
    eventually(&family.gears, "child", |child| child.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_definition_that_goes_takes_objects_and_their_dependents_along_and_may_come_back() {
    let family = Family::start().await;
    family.make().await;
    family.definitions.delete(DEFINITION, &DeleteParams::default()).await.unwrap();
    eventually(&family.definitions, DEFINITION, |definition| definition.is_none()).await;
    eventually(&family.maps, "map", |map| map.is_none()).await;
    eventually(&family.maps, "grandchild", |map| map.is_none()).await;
    create(&family.definitions, definition()).await;
    eventually(&family.definitions, DEFINITION, established).await;
    family.make().await;
    family.delete(PropagationPolicy::Foreground).await;
    eventually(&family.gears, "owner", |owner| owner.is_none()).await;
    assert!(family.gears.get_opt("child").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kind_is_collected_in_the_version_that_is_served_now() {
    let family = Family::start().await;
    family.make().await;
    let mut definition = family.definitions.get(DEFINITION).await.unwrap();
    for version in &mut definition.spec.versions {
        version.storage = version.name == "v2";
        version.served = version.name == "v2";
    }
    family.definitions.replace(DEFINITION, &kube::api::PostParams::default(), &definition).await.unwrap();
    let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("example.com", "v2", "Gear"), "gears");
    let gears: Api<DynamicObject> = Api::namespaced_with(family.cluster.client.clone(), "default", &resource);
    let how = DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    gears.delete("owner", &how).await.unwrap();
    eventually(&gears, "owner", |owner| owner.is_none()).await;
    assert!(gears.get_opt("child").await.unwrap().is_none());
    assert!(family.maps.get_opt("map").await.unwrap().is_none());
}
