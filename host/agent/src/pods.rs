//! The pods of this host: one worker for each, fed by one watch on `spec.nodeName`.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coracle_host_network::PodKey;
use futures::{StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::agent::{Leftovers, Shared};
use crate::life::{Input, PodLife};
use crate::pod::{Desired, PodView, PodWorker};

/// The pods by namespace and name, for whoever asks the agent about one.
#[derive(Default)]
pub(crate) struct Registry {
    pods: Mutex<HashMap<(String, String), Arc<PodView>>>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<PodView>>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn find(&self, namespace: &str, name: &str) -> Option<Arc<PodView>> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    fn insert(&self, view: &Arc<PodView>) {
        let name = (view.key.namespace.clone(), view.key.name.clone());
        self.lock().insert(name, Arc::clone(view));
    }

    /// Removes the pod, unless a newer one has its name by now.
    fn remove(&self, key: &PodKey) {
        let name = (key.namespace.clone(), key.name.clone());
        let mut pods = self.lock();
        if pods.get(&name).is_some_and(|view| view.key.uid == key.uid) {
            pods.remove(&name);
        }
    }
}

struct Handle {
    key: PodKey,
    desired: watch::Sender<Desired>,
}

/// Keeps one worker for every pod that is bound to this host.
pub(crate) struct Pods {
    shared: Arc<Shared>,
    stopping: watch::Receiver<Option<Duration>>,
    listed: watch::Sender<bool>,
    by_uid: HashMap<String, Handle>,
    workers: JoinSet<String>,
    /// The pods that the current list has named; `None` between lists.
    listing: Option<HashSet<String>>,
    /// Until the first list is complete.
    leftovers: Option<Leftovers>,
    /// One clone for each pod that is not over.
    places: Arc<()>,
}

impl Pods {
    pub(crate) fn new(
        shared: Arc<Shared>,
        stopping: watch::Receiver<Option<Duration>>,
        listed: watch::Sender<bool>,
        leftovers: Leftovers,
    ) -> Self {
        Self {
            shared,
            stopping,
            listed,
            by_uid: HashMap::new(),
            workers: JoinSet::new(),
            listing: None,
            leftovers: Some(leftovers),
            places: Arc::new(()),
        }
    }

    /// Runs until the agent stops and every pod has.
    pub(crate) async fn run(mut self) {
        let selector = format!("spec.nodeName={}", self.shared.config.node_name);
        let config = watcher::Config::default().fields(&selector).streaming_lists();
        let api: Api<Pod> = Api::all(self.shared.client.clone());
        let events = watcher(api, config).default_backoff();
        // What the server notes about who set which field is of no use here and is half of an object.
        let events = events.map_ok(|event| event.modify(|pod| pod.metadata.managed_fields = None));
        let mut events = std::pin::pin!(events);
        while self.stopping.borrow().is_none() {
            // Every arm is cancel-safe.
            tokio::select! {
                event = events.next() => match event {
                    Some(Ok(event)) => self.apply(event),
                    Some(Err(error)) => tracing::warn!(%error, "the watch on this host's pods failed and is begun again"),
                    None => break,
                },
                Some(done) = self.workers.join_next() => self.finish(done),
                _ = self.stopping.changed() => {}
            }
        }
        while self.workers.join_next().await.is_some() {}
    }

    fn apply(&mut self, event: Event<Pod>) {
        match event {
            Event::Init => self.listing = Some(HashSet::new()),
            Event::InitApply(pod) => {
                if let (Some(listing), Some(uid)) = (&mut self.listing, &pod.metadata.uid) {
                    listing.insert(uid.clone());
                }
                self.update(pod);
            }
            Event::InitDone => self.finish_listing(),
            Event::Apply(pod) => self.update(pod),
            Event::Delete(pod) => {
                let uid = pod.metadata.uid.unwrap_or_default();
                if let Some(handle) = self.by_uid.get(&uid) {
                    handle.desired.send_replace(Desired::Removed);
                }
            }
        }
    }

    /// What the list did not name is gone, and so is what it left on the disk.
    fn finish_listing(&mut self) {
        let Some(named) = self.listing.take() else { return };
        for (uid, handle) in &self.by_uid {
            if !named.contains(uid) {
                handle.desired.send_replace(Desired::Removed);
            }
        }
        self.listed.send_replace(true);
        if let Some(leftovers) = self.leftovers.take() {
            let keys: Vec<_> = self.by_uid.values().map(|handle| handle.key.clone()).collect();
            let shared = Arc::clone(&self.shared);
            self.workers.spawn_blocking(move || {
                leftovers.remove(&shared, &keys);
                String::new()
            });
        }
    }

    fn update(&mut self, pod: Pod) {
        let (Some(uid), Some(name)) = (pod.metadata.uid.clone(), pod.metadata.name.clone()) else { return };
        let pod = Arc::new(pod);
        if let Some(handle) = self.by_uid.get(&uid) {
            handle.desired.send_replace(Desired::Pod(pod));
            return;
        }
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let key = PodKey { namespace, name, uid: uid.clone() };
        // An older pod of the same name is gone, even if the watch has not said so.
        for handle in self.by_uid.values() {
            if handle.key.namespace == key.namespace && handle.key.name == key.name {
                handle.desired.send_replace(Desired::Removed);
            }
        }
        self.begin(key, pod);
    }

    fn begin(&mut self, key: PodKey, pod: Arc<Pod>) {
        let logs = self.shared.logs.pod(&key.namespace, &key.name, &key.uid);
        let life = PodLife::new(Arc::clone(&pod), self.shared.config.host_address, Timestamp::now());
        let used = Arc::strong_count(&self.places) - 1;
        let room = usize::try_from(self.shared.config.pods_max).is_ok_and(|pods_max| used < pods_max);
        let first = if room || life.is_finished() {
            Input::Pod(pod)
        } else {
            let pods_max = self.shared.config.pods_max;
            let message =
                format!("Node didn't have enough resource: pods, requested: 1, used: {used}, capacity: {pods_max}");
            Input::Rejected { reason: "OutOfpods", message }
        };
        let place = (!life.is_finished()).then(|| Arc::clone(&self.places));
        let view = Arc::new(PodView::new(key.clone(), logs, life));
        self.shared.registry.insert(&view);
        let (desired, receiver) = watch::channel(Desired::Removed);
        let worker = PodWorker::new(Arc::clone(&self.shared), view, receiver, self.stopping.clone(), place, first);
        let uid = key.uid.clone();
        self.by_uid.insert(uid.clone(), Handle { key, desired });
        self.workers.spawn(async move {
            worker.run().await;
            uid
        });
    }

    fn finish(&mut self, done: Result<String, tokio::task::JoinError>) {
        match done {
            Ok(uid) => {
                if let Some(handle) = self.by_uid.remove(&uid) {
                    self.shared.registry.remove(&handle.key);
                }
            }
            Err(error) => {
                // Its containers have ended with it. The next event of the pod begins anew.
                tracing::error!(%error, "the task of a pod ended unexpectedly");
                self.by_uid.retain(|_, handle| !handle.desired.is_closed());
            }
        }
    }
}
