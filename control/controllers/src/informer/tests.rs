use std::sync::{Arc, Mutex};

use futures::StreamExt;
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
    block_on(cache.follow("ConfigMap", events, |map: &ConfigMap| Some(Meta::from_api(&map.metadata))));
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

fn at(name: &str, uid: &str, revision: u64) -> ConfigMap {
    let mut map = map(name, uid);
    map.metadata.resource_version = Some(revision.to_string());
    map
}

fn kept(name: &str, uid: &str) -> Meta {
    Meta::from_api(&map(name, uid).metadata)
}

fn followed(cache: &Cache<Meta>, events: Vec<Event<ConfigMap>>) {
    let keep = |map: &ConfigMap| {
        let mut meta = Meta::from_api(&map.metadata);
        meta.version = None;
        Some(meta)
    };
    block_on(cache.follow("ConfigMap", stream::iter(events.into_iter().map(Ok)), keep));
}

fn uid_of(cache: &Cache<Meta>, name: &str) -> Option<String> {
    cache.get(&ObjectKey::new("n", name)).map(|meta| meta.uid.to_string())
}

#[test]
fn a_write_is_seen_before_the_watch_shows_it() {
    let cache = Cache::default();
    cache.observe(kept("a", "1"), 5);
    assert_eq!(uid_of(&cache, "a").as_deref(), Some("1"));
    followed(
        &cache,
        vec![Event::Apply(at("b", "2", 4)), Event::Apply(at("a", "1", 5)), Event::Delete(at("a", "1", 6))],
    );
    assert_eq!(uid_of(&cache, "a"), None);
    cache.observe(kept("a", "1"), 5);
    assert_eq!(uid_of(&cache, "a"), None, "the watch has shown more than the answer");
}

#[test]
fn an_earlier_view_does_not_replace_a_later_one() {
    let cache = Cache::default();
    followed(&cache, vec![Event::Apply(at("a", "1", 3))]);
    cache.observe(kept("a", "2"), 7);
    followed(&cache, vec![Event::Delete(at("a", "1", 6))]);
    assert_eq!(uid_of(&cache, "a").as_deref(), Some("2"), "the old one went before the new one came");
}

#[test]
fn a_list_that_began_before_a_write_does_not_undo_it() {
    let cache = Arc::new(Cache::default());
    let other = cache.clone();
    let events = stream::iter([Event::Init, Event::InitApply(at("b", "2", 4)), Event::InitDone]).map(move |event| {
        if matches!(event, Event::InitDone) {
            other.observe(kept("a", "1"), 5);
        }
        Ok(event)
    });
    block_on(cache.follow("ConfigMap", events, |map: &ConfigMap| Some(Meta::from_api(&map.metadata))));
    assert_eq!(uid_of(&cache, "a").as_deref(), Some("1"));
}

#[test]
fn a_deletion_that_was_asked_for_is_not_forgotten() {
    let cache = Cache::default();
    followed(&cache, vec![Event::Apply(at("a", "1", 3))]);
    cache.observe_deletion(&kept("a", "1"));
    followed(&cache, vec![Event::Apply(at("a", "1", 4))]);
    assert!(cache.get(&ObjectKey::new("n", "a")).expect("it is there").deleting);
    followed(&cache, vec![Event::Apply(at("a", "2", 6))]);
    assert!(!cache.get(&ObjectKey::new("n", "a")).expect("it is there").deleting, "another of the name");
}
