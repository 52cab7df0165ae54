//! One watch, what it has shown so far, and who wants to know.
//!
//! A controller reads its own writes: the answer to a write is taken into the cache before the controller looks again, so that nothing is
//! created twice because a watch lags. Revisions decide which of two views of an object is the later one, and a deletion that was asked
//! for is not forgotten because the watch still shows the object as it was before.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use kube::ResourceExt;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use crate::meta::{Meta, ObjectKey};

/// Something that is kept of an object.
pub(crate) trait Kept: Send + Sync + PartialEq + Clone + 'static {
    fn meta(&self) -> &Meta;
    fn meta_mut(&mut self) -> &mut Meta;
    /// Under what the object is found besides its name.
    fn index(&self, _add: &mut dyn FnMut(IndexKey)) {}
}

impl Kept for Meta {
    fn meta(&self) -> &Meta {
        self
    }

    fn meta_mut(&mut self) -> &mut Meta {
        self
    }
}

/// Under what objects are found besides their names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum IndexKey {
    /// Those whose controller has this uid.
    Controller(Arc<str>),
    /// Those of this namespace that have no controller.
    Orphans(Arc<str>),
    /// Those of this namespace.
    Namespace(Arc<str>),
    /// Pods that are bound to this node.
    Node(Arc<str>),
    /// Those of a namespace that have this label, or select by it.
    Label(Arc<str>, Arc<str>, Arc<str>),
}

/// One object before and after an event; at least one side is there.
#[derive(Debug)]
pub(crate) struct Change<'a, V> {
    pub(crate) old: Option<&'a Arc<V>>,
    pub(crate) new: Option<&'a Arc<V>>,
}

impl<'a, V: Kept> Change<'a, V> {
    /// The object as it is now, or as it was when it went.
    pub(crate) fn latest(&self) -> Option<&'a Arc<V>> {
        self.new.or(self.old)
    }

    /// The object, if it is gone. An object that was replaced by another of its name counts as gone.
    pub(crate) fn gone(&self) -> Option<&'a Arc<V>> {
        self.old.filter(|old| self.new.is_none_or(|new| new.meta().uid != old.meta().uid))
    }
}

type Subscriber<V> = Box<dyn Fn(&Change<'_, V>) + Send + Sync>;

/// Everything of one kind that the watch has shown, and what was written since.
pub(crate) struct Cache<V> {
    state: RwLock<State<V>>,
    subscribers: Mutex<Vec<Subscriber<V>>>,
    synced: watch::Sender<bool>,
}

struct State<V> {
    objects: HashMap<ObjectKey, (Arc<V>, u64)>,
    index: HashMap<IndexKey, HashSet<ObjectKey>>,
    /// The watch has shown everything up to this revision.
    position: u64,
    /// What was written while a list is under way: the list may lack it.
    written_while_listing: Option<HashSet<ObjectKey>>,
}

impl<V> Default for State<V> {
    fn default() -> Self {
        Self { objects: HashMap::new(), index: HashMap::new(), position: 0, written_while_listing: None }
    }
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self { state: RwLock::default(), subscribers: Mutex::default(), synced: watch::Sender::new(false) }
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl<V: Kept> State<V> {
    fn put(&mut self, key: &ObjectKey, new: Option<(Arc<V>, u64)>) -> Option<Arc<V>> {
        if let Some((new, _)) = &new {
            new.index(&mut |index| {
                self.index.entry(index).or_default().insert(key.clone());
            });
        }
        let new_object = new.as_ref().map(|(object, _)| object.clone());
        let old = match new {
            Some(entry) => self.objects.insert(key.clone(), entry),
            None => self.objects.remove(key),
        };
        let (old, _) = old?;
        let mut stale = Vec::new();
        old.index(&mut |index| stale.push(index));
        if let Some(new) = new_object {
            new.index(&mut |index| stale.retain(|old| *old != index));
        }
        for index in stale {
            if let Some(keys) = self.index.get_mut(&index) {
                keys.remove(key);
                if keys.is_empty() {
                    self.index.remove(&index);
                }
            }
        }
        Some(old)
    }

    /// Whether what is known of the object is later than `revision`.
    fn is_later(&self, key: &ObjectKey, revision: u64) -> bool {
        self.objects.get(key).is_some_and(|(_, known)| *known > revision)
    }

    /// A deletion that was asked for does not come undone.
    fn keep_deletion(&self, new: &mut V) {
        if let Some((old, _)) = self.objects.get(&new.meta().key) {
            let deleting = old.meta().deleting && old.meta().uid == new.meta().uid;
            new.meta_mut().deleting |= deleting;
        }
    }
}

impl<V: Kept> Cache<V> {
    /// Calls `subscriber` for every change from now on, after the cache shows it. It must only mark keys: it holds up the watch.
    pub(crate) fn subscribe(&self, subscriber: impl Fn(&Change<'_, V>) + Send + Sync + 'static) {
        self.subscribers().push(Box::new(subscriber));
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<V>> {
        self.read(|state| state.objects.get(key).map(|(object, _)| object.clone()))
    }

    /// The objects for which `wanted` holds. Looks at every object: for rare questions only.
    pub(crate) fn filter(&self, wanted: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        self.read(|state| {
            let objects = state.objects.values().map(|(object, _)| object);
            objects.filter(|object| wanted(object)).cloned().collect()
        })
    }

    /// The objects under `index`, sorted by their keys.
    pub(crate) fn indexed(&self, index: &IndexKey) -> Vec<Arc<V>> {
        let mut found: Vec<Arc<V>> = self.read(|state| {
            let keys = state.index.get(index).into_iter().flatten();
            keys.filter_map(|key| state.objects.get(key)).map(|(object, _)| object.clone()).collect()
        });
        found.sort_by(|a, b| a.meta().key.cmp(&b.meta().key));
        found
    }

    fn read<T>(&self, look: impl FnOnce(&State<V>) -> T) -> T {
        look(&self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until the first complete list was taken in.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe: waiting has no effect.
    pub(crate) async fn wait_until_synced(&self) {
        // The sender is a field of self, so the channel cannot be closed while we wait.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    /// Takes in what the answer to a write showed. The watch shows it too, sooner or later.
    pub(crate) fn observe(&self, new: V, revision: u64) {
        let key = new.meta().key.clone();
        self.update(&key, |state| {
            if revision <= state.position || state.is_later(&key, revision) {
                return None;
            }
            if let Some(written) = &mut state.written_while_listing {
                written.insert(key.clone());
            }
            Some(Some((new, revision)))
        });
    }

    /// Takes in that the object of this uid is being deleted, until the watch shows it.
    pub(crate) fn observe_deletion(&self, meta: &Meta) {
        self.update(&meta.key, |state| {
            let (object, revision) =
                state.objects.get(&meta.key).filter(|(object, _)| object.meta().uid == meta.uid)?;
            let mut object = V::clone(object);
            object.meta_mut().deleting = true;
            Some(Some((object, *revision)))
        });
    }

    /// Takes in what the watch shows: an object or its absence. What comes live is in the order of revisions, a list is not.
    fn set(&self, key: &ObjectKey, new: Option<V>, revision: u64, live: bool) {
        self.update(key, |state| {
            if live {
                state.position = state.position.max(revision);
            }
            if state.is_later(key, revision) { None } else { Some(new.map(|new| (new, revision))) }
        });
    }

    /// Changes the object and tells the subscribers, unless nothing changed. `change` gives nothing when it has no news.
    fn update(&self, key: &ObjectKey, change: impl FnOnce(&mut State<V>) -> Option<Option<(V, u64)>>) {
        let (old, new) = {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            let Some(new) = change(&mut state) else { return };
            let new = new.map(|(mut new, revision)| {
                state.keep_deletion(&mut new);
                (Arc::new(new), revision)
            });
            let object = new.as_ref().map(|(object, _)| object.clone());
            (state.put(key, new), object)
        };
        if old == new {
            return;
        }
        let change = Change { old: old.as_ref(), new: new.as_ref() };
        for subscriber in self.subscribers().iter() {
            subscriber(&change);
        }
    }

    /// Feeds the cache from a watch, for as long as it is polled.
    pub(crate) async fn follow<O: ResourceExt>(
        &self,
        kind: &str,
        events: impl Stream<Item = watcher::Result<Event<O>>>,
        keep: impl Fn(&O) -> Option<V>,
    ) {
        let mut events = std::pin::pin!(events);
        let mut listed = HashSet::new();
        let mut latest = 0;
        let kept = |object: &O| {
            let kept = keep(object);
            if kept.is_none() {
                tracing::warn!(kind, name = object.name_any(), "an object cannot be read and is not looked after");
            }
            kept.map(|kept| (kept, revision_of(object)))
        };
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => {
                    listed.clear();
                    self.write(|state| state.written_while_listing = Some(HashSet::new()));
                }
                Ok(Event::InitApply(object)) => {
                    let Some((kept, revision)) = kept(&object) else { continue };
                    let key = kept.meta().key.clone();
                    latest = latest.max(revision);
                    self.set(&key, Some(kept), revision, false);
                    listed.insert(key);
                }
                Ok(Event::InitDone) => {
                    self.retain(&std::mem::take(&mut listed));
                    self.write(|state| state.position = state.position.max(latest));
                    self.synced.send_replace(true);
                }
                Ok(Event::Apply(object)) => {
                    let Some((kept, revision)) = kept(&object) else { continue };
                    self.set(&kept.meta().key.clone(), Some(kept), revision, true);
                }
                Ok(Event::Delete(object)) => {
                    let Some((kept, revision)) = kept(&object) else { continue };
                    self.set(&kept.meta().key, None, revision, true);
                }
                Err(error) => tracing::info!(kind, %error, "a controller's watch was interrupted"),
            }
        }
    }

    fn write(&self, change: impl FnOnce(&mut State<V>)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Ends a list: what it lacks is gone, unless it was written while the list was under way.
    fn retain(&self, listed: &HashSet<ObjectKey>) {
        let mut written = HashSet::new();
        self.write(|state| written = state.written_while_listing.take().unwrap_or_default());
        let known: Vec<ObjectKey> = self.read(|state| state.objects.keys().cloned().collect());
        for key in known.iter().filter(|key| !listed.contains(*key) && !written.contains(*key)) {
            self.set(key, None, u64::MAX, false);
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber<V>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The revision of an object. Those of this API are comparable; of an API whose revisions are not, every view counts as the latest.
pub(crate) fn revision_of(object: &impl ResourceExt) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
