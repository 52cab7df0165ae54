use std::sync::{Arc, Mutex};

use futures::executor::block_on;
use futures::stream;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;
use serde_json::json;

use super::{Cache, Change, Kept};
use crate::meta::{Meta, ObjectKey};

fn map(name: &str, uid: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "uid": uid}})).expect("a ConfigMap")
}

/// What a subscriber is told of these events.
fn told(events: Vec<Event<ConfigMap>>) -> (Vec<String>, Cache<Meta>) {
    let cache = Cache::default();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let noted = lines.clone();
    cache.subscribe(move |change: &Change<'_, Meta>| {
        let uid = |meta: Option<&Arc<Meta>>| meta.map_or("-".to_owned(), |meta| meta.uid.to_string());
        let gone = if change.gone().is_some() { " gone" } else { "" };
        noted.lock().unwrap().push(format!("{} > {}{gone}", uid(change.old), uid(change.new)));
    });
    let events = stream::iter(events.into_iter().map(Ok));
    block_on(cache.follow("ConfigMap", events, |map: &ConfigMap| Meta::from_api(&map.metadata)));
    let lines = lines.lock().unwrap().clone();
    (lines, cache)
}

#[test]
fn changes_are_told_and_repetitions_are_not() {
    let (lines, cache) = told(vec![
        Event::Init,
        Event::InitApply(map("a", "1")),
        Event::InitDone,
        Event::Apply(map("a", "1")),
        Event::Apply(map("a", "2")),
        Event::Delete(map("a", "2")),
        Event::Delete(map("a", "2")),
    ]);
    assert_eq!(lines, ["- > 1", "1 > 2 gone", "2 > - gone"]);
    assert!(cache.get(&ObjectKey::new("n", "a")).is_none());
}

#[test]
fn what_a_new_list_lacks_is_gone() {
    let (lines, cache) = told(vec![
        Event::Init,
        Event::InitApply(map("a", "1")),
        Event::InitApply(map("b", "2")),
        Event::InitDone,
        Event::Init,
        Event::InitApply(map("b", "2")),
        Event::InitDone,
    ]);
    assert_eq!(lines, ["- > 1", "- > 2", "1 > - gone"]);
    assert_eq!(cache.filter(|_| true).len(), 1);
    assert_eq!(&*cache.filter(|_| true)[0].meta().key.name, "b");
}

#[test]
fn waiting_for_the_first_list_ends_with_it() {
    let (_, cache) = told(vec![Event::Init, Event::InitDone]);
    block_on(cache.wait_until_synced());
    let (_, unfinished) = told(vec![Event::Init]);
    assert!(futures::FutureExt::now_or_never(unfinished.wait_until_synced()).is_none());
}
