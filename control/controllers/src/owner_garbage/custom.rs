//! The custom kinds: each is watched from when its definition is established until the definition is gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::discovery::ApiResource;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::Follow;
use super::source::Source;
use crate::Context;
use crate::informer::Cache;
use crate::meta::{Meta, ObjectKey};
use crate::observed::{self, Definition};

/// Custom kinds that are watched at the same time; objects of more are asked for as owners, but not collected.
const KINDS_MAX: usize = 1024;
/// How long a new watch may take to show everything before deletions no longer wait for it: its conversion webhook may be down.
const FIRST_LIST_PATIENCE: Duration = Duration::from_secs(5);

/// The custom kinds that are watched. Dropping it ends the watches.
pub(super) struct CustomKinds {
    context: Context,
    follow: Follow,
    stopped: watch::Receiver<bool>,
    watched: Mutex<HashMap<ObjectKey, Watched>>,
}

struct Watched {
    source: Source,
    /// What the watch asks for; the source says the same.
    resource: ApiResource,
    objects: Arc<Cache<Meta>>,
    waited_for_until: Instant,
    task: JoinSet<()>,
}

impl CustomKinds {
    /// Follows the definitions from now on.
    pub(super) fn start(context: &Context, follow: Follow, stopped: &watch::Receiver<bool>) -> Arc<Self> {
        let kinds = Self { context: context.clone(), follow, stopped: stopped.clone(), watched: Mutex::default() };
        let kinds = Arc::new(kinds);
        // The definitions' cache must not keep alive what holds their context.
        let weak = Arc::downgrade(&kinds);
        context.observed.definitions.subscribe(move |change| {
            let Some(kinds) = weak.upgrade() else { return };
            if let Some(gone) = change.gone() {
                kinds.forget(&gone.meta.key);
            }
            if let Some(definition) = change.new {
                kinds.update(definition);
            }
        });
        kinds
    }

    /// Waits until every watch has shown everything, or has taken too long for it.
    pub(super) async fn wait_until_synced(&self) {
        let waited_for: Vec<_> =
            self.watched().values().map(|kind| (kind.objects.clone(), kind.waited_for_until)).collect();
        for (objects, until) in waited_for {
            let _ = tokio::time::timeout_at(until, objects.wait_until_synced()).await;
        }
    }

    /// Watches the kind as it is served now. One that is no longer served, though it is still defined, cannot be changed by anybody:
    /// what is known of its objects stays true.
    fn update(&self, definition: &Definition) {
        let Some(resource) = definition.served.clone() else { return };
        let mut watched = self.watched();
        if watched.get(&definition.meta.key).is_some_and(|kind| kind.resource == resource) {
            return;
        }
        if !watched.contains_key(&definition.meta.key) && watched.len() >= KINDS_MAX {
            tracing::warn!(kind = %definition.meta.key, KINDS_MAX, "too many custom kinds: dependents of this one are not collected");
            return;
        }
        let kind = watched.entry(definition.meta.key.clone()).or_insert_with(|| {
            let (source, objects) = (Source::new(resource.clone()), Arc::default());
            self.follow.subscribe(&source, &objects);
            let waited_for_until = Instant::now() + FIRST_LIST_PATIENCE;
            Watched { source, resource: resource.clone(), objects, waited_for_until, task: JoinSet::new() }
        });
        kind.source.set(resource.clone());
        // The former watch, if there was one, ends here; the new one begins with a list, which shows what was missed.
        kind.task = JoinSet::new();
        let client = self.context.requests.client();
        observed::follow_metadata(&mut kind.task, &self.stopped, &kind.objects, &client, &resource);
        kind.resource = resource;
    }

    /// Ends the watch of a kind whose definition is gone. A definition goes after its objects, so they are gone too.
    fn forget(&self, key: &ObjectKey) {
        let Some(Watched { objects, task, .. }) = self.watched().remove(key) else { return };
        drop(task);
        for object in objects.filter(|_| true) {
            self.follow.gone(&object);
        }
    }

    fn watched(&self) -> MutexGuard<'_, HashMap<ObjectKey, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
