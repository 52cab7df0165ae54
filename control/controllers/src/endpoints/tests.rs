use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::behind::{behind, endpoints};
use super::mirror;
use super::slices::{Change, plan};
use crate::observed::{Pod, Whole};

fn service(spec: &Value) -> Whole<Service> {
    let mut object = json!({"metadata": {"name": "web", "namespace": "n", "uid": "u", "labels": {"team": "a"}}, "spec": {
        "clusterIP": "10.0.0.5", "selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": "web"}],
    }});
    for (name, value) in spec.as_object().into_iter().flatten() {
        object["spec"][name] = value.clone();
    }
    Whole::new(serde_json::from_value(object).expect("a Service"))
}

fn pod(name: &str, address: &str, ready: bool, port: i32, extra: &Value) -> Arc<Pod> {
    let status = if ready { "True" } else { "False" };
    let mut object = json!({
        "metadata": {"name": name, "namespace": "n", "uid": name, "labels": {"app": "web"}},
        "spec": {"nodeName": "a", "hostname": name, "subdomain": "web", "containers": [{"name": "main", "ports": [{"name": "web", "containerPort": port}]}]},
        "status": {"phase": "Running", "podIP": address, "conditions": [{"type": "Ready", "status": status}]},
    });
    for (name, value) in extra.as_object().into_iter().flatten() {
        object["metadata"][name] = value.clone();
    }
    Arc::new(Pod::from_api(&serde_json::from_value(object).expect("a Pod")))
}

/// Carries out a plan.
fn apply(slices: &mut Vec<Arc<Whole<EndpointSlice>>>, changes: Vec<Change>, made: &mut usize) {
    for change in changes {
        match change {
            Change::Create(slice) => {
                *made += 1;
                let mut slice = *slice;
                slice.metadata.name = Some(format!("web-{made}"));
                slices.push(Arc::new(Whole::new(slice)));
            }
            Change::Update(old, new) => {
                let place = slices.iter().position(|slice| slice.name() == old.name()).expect("a slice of ours");
                slices[place] = Arc::new(Whole::new(*new));
            }
            Change::Delete(old) => slices.retain(|slice| slice.name() != old.name()),
        }
    }
}

#[test]
fn ports_are_found_by_name_and_conditions_say_what_the_pod_says() {
    let gone = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let pods = [
        pod("a", "100.64.0.1", true, 8080, &json!({})),
        pod("b", "100.64.0.2", false, 8080, &json!({})),
        pod("c", "100.64.0.3", true, 9090, &gone),
    ];
    let service = service(&json!({}));
    let found = behind(&service, &pods, |_| Some("here".to_owned()));
    let mut slices = Vec::new();
    apply(&mut slices, plan(&service, &found, Vec::new()), &mut 0);
    let shown: Vec<Value> = slices
        .iter()
        .map(|slice| {
            let ends: Vec<Value> = slice
                .endpoints
                .iter()
                .map(|end| {
                    let conditions = end.conditions.clone().expect("conditions");
                    json!([
                        end.addresses[0],
                        conditions.ready,
                        conditions.serving,
                        conditions.terminating,
                        end.hostname,
                        end.zone
                    ])
                })
                .collect();
            json!([slice.ports.as_ref().expect("ports")[0].port, ends])
        })
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            [8080, [["100.64.0.1", true, true, false, "a", "here"], ["100.64.0.2", false, false, false, "b", "here"]]],
            [9090, [["100.64.0.3", false, true, true, "c", "here"]]],
        ])
    );
    let old = endpoints(&service, &found, None);
    let subsets = old.subsets.expect("subsets");
    assert_eq!(subsets.len(), 1, "what is being deleted is not listed");
    assert_eq!(subsets[0].addresses.as_ref().expect("one")[0].ip, "100.64.0.1");
    assert_eq!(subsets[0].not_ready_addresses.as_ref().expect("one")[0].ip, "100.64.0.2");
    assert_eq!(old.metadata.labels.expect("labels")["team"], "a");
}

#[test]
fn unready_addresses_are_published_where_that_is_asked_for() {
    let service = service(&json!({"publishNotReadyAddresses": true, "clusterIP": "None", "ports": []}));
    let found = behind(&service, &[pod("a", "100.64.0.1", false, 1, &json!({}))], |_| None);
    assert_eq!(found[0].endpoint.conditions.as_ref().expect("conditions").ready, Some(true));
    let slices = plan(&service, &found, Vec::new());
    let [Change::Create(slice)] = slices.as_slice() else { panic!("{slices:?}") };
    assert_eq!(slice.metadata.labels.as_ref().expect("labels")["service.kubernetes.io/headless"], "");
}

#[test]
fn nothing_behind_a_service_is_one_empty_slice() {
    let service = service(&json!({}));
    let mut slices = Vec::new();
    apply(&mut slices, plan(&service, &[], Vec::new()), &mut 0);
    assert_eq!((slices.len(), slices[0].endpoints.len()), (1, 0));
    assert!(plan(&service, &[], slices).is_empty());
}

#[test]
fn endpoints_of_others_are_mirrored() {
    let object = json!({"metadata": {"name": "web", "namespace": "n", "uid": "e"}, "subsets": [{
        "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8::1"}], "notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": [{"port": 80}],
    }]});
    let source = Whole::new(serde_json::from_value(object).expect("Endpoints"));
    let mut slices = Vec::new();
    apply(&mut slices, mirror::plan(Some(&source), Vec::new()), &mut 0);
    let shown: BTreeSet<_> = slices.iter().map(|slice| (slice.address_type.clone(), slice.endpoints.len())).collect();
    assert_eq!(shown, [("IPv4".to_owned(), 2), ("IPv6".to_owned(), 1)].into());
    assert!(mirror::plan(Some(&source), slices.clone()).is_empty());
    assert_eq!(mirror::plan(None, slices).len(), 2);
}

proptest! {
    #[test]
    fn slices_show_every_address_once_and_a_second_plan_is_empty(histories in prop::collection::vec(prop::collection::vec((0..400_u16, any::<bool>()), 0..300), 1..6)) {
        let service = service(&json!({}));
        let (mut slices, mut made) = (Vec::new(), 0);
        for history in histories {
            let unique: std::collections::BTreeMap<u16, bool> = history.into_iter().collect();
            let pods: Vec<_> = unique.iter().map(|(id, ready)| pod(&format!("p{id}"), &format!("100.64.{}.{}", id / 256, id % 256), *ready, 8080, &json!({}))).collect();
            let found = behind(&service, &pods, |_| None);
            let changes = plan(&service, &found, slices.clone());
            apply(&mut slices, changes, &mut made);
            let mut shown: Vec<String> = slices.iter().flat_map(|slice| slice.endpoints.iter().map(|end| end.addresses[0].clone())).collect();
            let mut wanted: Vec<String> = pods.iter().map(|pod| pod.addresses[0].to_string()).collect();
            shown.sort();
            wanted.sort();
            prop_assert_eq!(shown, wanted);
            prop_assert!(slices.iter().all(|slice| slice.endpoints.len() <= 100));
            prop_assert!(slices.iter().filter(|slice| slice.endpoints.is_empty()).count() <= 1);
            prop_assert!(plan(&service, &found, slices.clone()).is_empty());
        }
    }
}
