//! One watch, what it has shown so far, and who wants to know.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use futures::{Stream, StreamExt};
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;

use crate::meta::{Meta, ObjectKey};

/// Something that is kept of an object.
pub(crate) trait Kept: Send + Sync + PartialEq + 'static {
    fn meta(&self) -> &Meta;
}

impl Kept for Meta {
    fn meta(&self) -> &Meta {
        self
    }
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

/// Everything of one kind that the watch has shown.
pub(crate) struct Cache<V> {
    objects: RwLock<HashMap<ObjectKey, Arc<V>>>,
    subscribers: Mutex<Vec<Subscriber<V>>>,
    synced: watch::Sender<bool>,
}

impl<V> Default for Cache<V> {
    fn default() -> Self {
        Self { objects: RwLock::default(), subscribers: Mutex::default(), synced: watch::Sender::new(false) }
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl<V: Kept> Cache<V> {
    /// Calls `subscriber` for every change from now on, after the cache shows it. It must only mark keys: it holds up the watch.
    pub(crate) fn subscribe(&self, subscriber: impl Fn(&Change<'_, V>) + Send + Sync + 'static) {
        self.subscribers().push(Box::new(subscriber));
    }

    pub(crate) fn get(&self, key: &ObjectKey) -> Option<Arc<V>> {
        self.objects.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// The objects for which `wanted` holds.
    pub(crate) fn filter(&self, wanted: impl Fn(&V) -> bool) -> Vec<Arc<V>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.values().filter(|object| wanted(object)).cloned().collect()
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

    /// Takes in one object, or its absence, and tells the subscribers unless nothing changed.
    pub(crate) fn set(&self, key: &ObjectKey, new: Option<V>) {
        let new = new.map(Arc::new);
        let old = {
            let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
            match &new {
                Some(new) => objects.insert(key.clone(), new.clone()),
                None => objects.remove(key),
            }
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
    pub(crate) async fn follow<O>(
        &self,
        kind: &str,
        events: impl Stream<Item = watcher::Result<Event<O>>>,
        keep: impl Fn(&O) -> V,
    ) {
        let mut events = std::pin::pin!(events);
        let mut listed = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    let kept = keep(&object);
                    let key = kept.meta().key.clone();
                    self.set(&key, Some(kept));
                    listed.insert(key);
                }
                Ok(Event::InitDone) => {
                    self.retain(&std::mem::take(&mut listed));
                    self.synced.send_replace(true);
                }
                Ok(Event::Apply(object)) => {
                    let kept = keep(&object);
                    self.set(&kept.meta().key.clone(), Some(kept));
                }
                Ok(Event::Delete(object)) => self.set(&keep(&object).meta().key, None),
                Err(error) => tracing::info!(kind, %error, "a controller's watch was interrupted"),
            }
        }
    }

    fn retain(&self, listed: &HashSet<ObjectKey>) {
        let known: Vec<_> = self.objects.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for key in known.iter().filter(|key| !listed.contains(*key)) {
            self.set(key, None);
        }
    }

    fn subscribers(&self) -> MutexGuard<'_, Vec<Subscriber<V>>> {
        self.subscribers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
