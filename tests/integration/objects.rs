//! Objects as the kube crate's clients use them, over TLS.

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use super::harness::{TestCluster, eventually};

fn map(name: &str, colour: &str) -> ConfigMap {
    serde_json::from_value(
        json!({"metadata": {"name": name, "labels": {"colour": colour}}, "data": {"colour": colour}}),
    )
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_update_conflicts_and_a_fresh_one_does_not() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    let first = maps.create(&PostParams::default(), &map("a", "green")).await.unwrap();
    let mut second = first.clone();
    second.data.as_mut().unwrap().insert("shape".to_owned(), "round".to_owned());
    maps.replace("a", &PostParams::default(), &second).await.unwrap();
    let refused = maps.replace("a", &PostParams::default(), &second).await.unwrap_err();
    let kube::Error::Api(status) = refused else { panic!("{refused:?}") };
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_watch_goes_on_where_it_was_with_nothing_lost_or_doubled() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    let selected = WatchParams::default().labels("colour=green");
    let mut version = maps.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let mut seen = Vec::new();
    for round in 0..10 {
        // Each round watches on a connection of its own and is cut after two events; two more happen meanwhile.
        for index in 0..2 {
            maps.create(&PostParams::default(), &map(&format!("m-{round}-{index}"), "green")).await.unwrap();
            maps.create(&PostParams::default(), &map(&format!("other-{round}-{index}"), "blue")).await.unwrap();
        }
        let mut events = maps.watch(&selected, &version).await.unwrap().boxed();
        for _ in 0..2 {
            let Some(WatchEvent::Added(object)) = events.try_next().await.unwrap() else {
                panic!("only additions happen")
            };
            version = object.metadata.resource_version.unwrap();
            seen.push(object.metadata.name.unwrap());
        }
    }
    let expected: Vec<String> = (0..10).flat_map(|round| [format!("m-{round}-0"), format!("m-{round}-1")]).collect();
    assert_eq!(seen, expected);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_ways_of_listing_first_give_every_object() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    for index in 0..20 {
        maps.create(&PostParams::default(), &map(&format!("m-{index:02}"), "green")).await.unwrap();
    }
    for config in [watcher::Config::default(), watcher::Config::default().streaming_lists()] {
        let config = config.labels("colour=green").page_size(7);
        let objects = watcher(maps.clone(), config).default_backoff().applied_objects().take(20);
        let mut names: Vec<String> =
            objects.map_ok(|object| object.metadata.name.unwrap()).try_collect().await.unwrap();
        names.sort();
        assert_eq!(names, (0..20).map(|index| format!("m-{index:02}")).collect::<Vec<_>>());
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn apply_patch_and_collection_delete_work_with_dry_run() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    let apply = PatchParams::apply("tests");
    let desired = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1"}});
    let dry = maps.patch("a", &apply.clone().dry_run(), &Patch::Apply(&desired)).await.unwrap();
    assert_eq!(dry.data.unwrap()["x"], "1");
    assert!(maps.get_opt("a").await.unwrap().is_none(), "a dry run leaves nothing");
    maps.patch("a", &apply, &Patch::Apply(&desired)).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"y": "2"}}))).await.unwrap();
    maps.patch("a", &PatchParams::default(), &Patch::Strategic(json!({"metadata": {"labels": {"t": "1"}}})))
        .await
        .unwrap();
    let a = maps.get("a").await.unwrap();
    assert_eq!(serde_json::to_value(a.data).unwrap(), json!({"x": "1", "y": "2"}));
    maps.delete_collection(&DeleteParams::default(), &ListParams::default().labels("t=1")).await.unwrap();
    assert!(maps.get_opt("a").await.unwrap().is_none());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_comes_with_its_account_and_goes_with_its_content() {
    let cluster = TestCluster::start().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": "shop"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.client.clone(), "shop");
    eventually(|| async { accounts.get_opt("default").await.unwrap() }, Option::is_some).await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), "shop");
    maps.create(&PostParams::default(), &map("inside", "green")).await.unwrap();
    namespaces.delete("shop", &DeleteParams::default()).await.unwrap();
    eventually(|| async { namespaces.get_opt("shop").await.unwrap() }, Option::is_none).await;
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_10_megabytes_is_refused_and_the_server_goes_on() {
    let cluster = TestCluster::start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client.clone());
    let mut huge = map("huge", "green");
    huge.data.as_mut().unwrap().insert("text".to_owned(), "x".repeat(10 << 20));
    let refused = maps.create(&PostParams::default(), &huge).await.unwrap_err();
    if let kube::Error::Api(status) = &refused {
        assert_eq!(status.code, 413, "{status:?}");
    }
    assert!(maps.get_opt("huge").await.unwrap().is_none());
    cluster.stop().await;
}
