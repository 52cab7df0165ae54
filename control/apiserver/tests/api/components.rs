//! ComponentStatuses: what there is of a control plane.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coracle_control_apiserver::Component;
use serde_json::{Value, json};

use super::support::{Api, TABLE};

const STATUSES: &str = "/api/v1/componentstatuses";

#[tokio::test]
async fn a_part_is_healthy_from_when_it_registers_until_it_stops() {
    let api = Api::start().await;
    let running = Arc::new(AtomicBool::new(true));
    let probe = running.clone();
    api.server.components().register(Component::Scheduler, move || probe.load(Ordering::Relaxed));
    let scheduler = api.get(&format!("{STATUSES}/scheduler")).await.check(200);
    let condition = json!({"type": "Healthy", "status": "True", "message": "ok"});
    assert_eq!(
        scheduler.body,
        json!({"kind": "ComponentStatus", "apiVersion": "v1", "metadata": {"name": "scheduler"}, "conditions": [condition]})
    );
    assert_eq!(scheduler.headers["warning"], "299 - \"v1 ComponentStatus is deprecated in v1.19+\"");
    running.store(false, Ordering::Relaxed);
    let condition = &api.get(&format!("{STATUSES}/scheduler")).await.check(200).body["conditions"][0];
    assert_eq!(*condition, json!({"type": "Healthy", "status": "False", "message": "the scheduler has stopped"}));
    api.get(&format!("{STATUSES}/nobody")).await.check(404);
}

#[tokio::test]
async fn the_list_has_every_part_and_the_columns_of_kubectl() {
    let api = Api::start().await;
    api.server.components().register(Component::ControllerManager, || true);
    let list = api.get(STATUSES).await.check(200);
    assert_eq!(list.names(), ["controller-manager", "etcd-0", "scheduler"]);
    assert_eq!((&list.body["kind"], &list.body["metadata"]), (&json!("ComponentStatusList"), &json!({})));
    let one = api.get(&format!("{STATUSES}?fieldSelector=metadata.name%3Detcd-0")).await.check(200);
    assert_eq!(one.names(), ["etcd-0"]);
    let table = api.admin().call("GET", STATUSES, &[TABLE], Vec::new()).await.check(200);
    let columns = table.body["columnDefinitions"].as_array().unwrap().iter().map(|column| column["name"].clone());
    assert_eq!(columns.collect::<Vec<Value>>(), ["Name", "Status", "Message", "Error"]);
    let cells = table.body["rows"].as_array().unwrap().iter().map(|row| row["cells"].clone()).collect::<Vec<_>>();
    assert_eq!(cells[0], json!(["controller-manager", "Healthy", "ok", ""]));
    assert_eq!(cells[1], json!(["etcd-0", "Healthy", "ok", ""]));
    assert_eq!(cells[2], json!(["scheduler", "Unhealthy", "no scheduler runs with this API server", ""]));
    api.store.clone().close().await;
    let store = api.get(&format!("{STATUSES}/etcd-0")).await.check(200);
    assert_eq!(store.body["conditions"][0]["status"], "False");
}
