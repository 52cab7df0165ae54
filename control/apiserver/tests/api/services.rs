use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use super::support::{Answer, Api};

const SERVICES: &str = "/api/v1/namespaces/default/services";

async fn make(api: &Api, name: String, spec: Value) -> Answer {
    api.post(SERVICES, json!({"metadata": {"name": name}, "spec": spec})).await
}

#[tokio::test]
async fn services_made_at_once_share_neither_addresses_nor_ports() {
    let api = Api::start().await;
    let spec = json!({"type": "NodePort", "ports": [{"port": 80}]});
    let made = join_all((0..40).map(|number| make(&api, format!("s{number}"), spec.clone()))).await;
    let mut addresses = BTreeSet::new();
    let mut ports = BTreeSet::new();
    for answer in made {
        let spec = answer.check(201).body["spec"].clone();
        assert!(addresses.insert(spec["clusterIP"].to_string()), "{} is given twice", spec["clusterIP"]);
        assert!(ports.insert(spec["ports"][0]["nodePort"].as_i64()), "{} is given twice", spec["ports"]);
    }
}

#[tokio::test]
async fn of_many_that_want_one_address_one_gets_it_and_leaves_it_behind() {
    let api = Api::start().await;
    let spec = json!({"type": "NodePort", "clusterIP": "10.0.0.99", "ports": [{"port": 80, "nodePort": 30007}]});
    for _ in 0..3 {
        let made = join_all((0..10).map(|number| make(&api, format!("s{number}"), spec.clone()))).await;
        let winners: Vec<&Answer> = made.iter().filter(|answer| answer.code == 201).collect();
        assert_eq!(winners.len(), 1);
        assert!(made.iter().all(|answer| matches!(answer.code, 201 | 422)));
        let name = winners[0].body["metadata"]["name"].as_str().unwrap();
        api.delete(&format!("{SERVICES}/{name}")).await.check(200);
    }
}

#[tokio::test]
async fn a_change_of_type_gives_back_what_the_new_type_does_not_need() {
    let api = Api::start().await;
    let spec = json!({"type": "NodePort", "clusterIP": "10.0.0.98", "ports": [{"port": 80, "nodePort": 30008}]});
    make(&api, "a".to_owned(), spec.clone()).await.check(201);
    make(&api, "b".to_owned(), spec.clone()).await.check(422);
    let external = json!({"spec": {"type": "ExternalName", "externalName": "a.example"}});
    let changed = api.merge(&format!("{SERVICES}/a"), external).await.check(200);
    assert_eq!(changed.body.pointer("/spec/clusterIP"), None);
    make(&api, "b".to_owned(), spec).await.check(201);
    // A dry run takes nothing.
    let dry = json!({"metadata": {"name": "c"}, "spec": {"clusterIP": "10.0.0.97", "ports": [{"port": 1}]}});
    api.post(&format!("{SERVICES}?dryRun=All"), dry.clone()).await.check(201);
    api.post(SERVICES, dry).await.check(201);
}

#[tokio::test]
async fn a_scale_reads_and_writes_the_replicas_and_insists_on_its_version() {
    let api = Api::start().await;
    let deployments = "/apis/apps/v1/namespaces/default/deployments";
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": template});
    api.post(deployments, json!({"metadata": {"name": "x"}, "spec": spec})).await.check(201);
    let path = format!("{deployments}/x/scale");
    let mut scale = api.get(&path).await.check(200).body;
    assert_eq!(scale["spec"]["replicas"], 2);
    assert_eq!(scale["status"]["selector"], "a=b");
    scale["spec"]["replicas"] = json!(5);
    let changed = api.put(&path, scale.clone()).await.check(200);
    assert_eq!(changed.body["spec"]["replicas"], 5);
    api.put(&path, scale).await.check(409);
    api.merge(&path, json!({"spec": {"replicas": 1}})).await.check(200);
    let deployment = api.get(&format!("{deployments}/x")).await.check(200);
    assert_eq!(deployment.body["spec"]["replicas"], 1);
    assert_eq!(deployment.body["metadata"]["generation"], 3);
}
