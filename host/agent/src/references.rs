//! The ConfigMaps and Secrets that pods of this host refer to, each watched once however many pods share it.
//!
//! A watch names one object, as kubelet's do: an agent may read the objects of its own pods and no others. It lives as
//! long as somebody holds its [`Reference`], so ten thousand pods with the same root certificate cost one watch, and a
//! host without volumes costs none.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::deadline::in_time;
use crate::environment::{SourceKind, SourceName};

/// Keys and values of a ConfigMap or a Secret.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

/// What is known of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Known {
    /// The first answer is still to come.
    Unread,
    Missing,
    /// The API refuses, or cannot be reached.
    Unreadable(String),
    Present(Arc<Data>),
}

/// One watched object. The watch ends with the last holder.
#[derive(Debug)]
pub(crate) struct Reference {
    known: watch::Receiver<Known>,
    _watching: JoinSet<()>,
}

impl Reference {
    /// What is known, from now on: the receiver tells of every later change.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// What the API says, once it has said anything; [`Known::Unread`] if it does not within the bound of one request.
    ///
    /// # Cancel safety
    /// It only waits.
    pub(crate) async fn read(&self) -> Known {
        let mut known = self.known.clone();
        let first = async { Ok(known.wait_for(|known| *known != Known::Unread).await.map(|known| known.clone())) };
        match in_time(first).await {
            Ok(Ok(known)) => known,
            Ok(Err(_)) | Err(_) => Known::Unread,
        }
    }
}

type Key = (String, SourceName);

/// The references of one host.
pub(crate) struct References {
    client: Client,
    live: Mutex<Live>,
}

#[derive(Debug, Default)]
struct Live {
    by_key: HashMap<Key, Weak<Reference>>,
    /// Entries after which those that nobody holds are swept out.
    sweep_at: usize,
}

/// Entries below which no sweep is worth its time.
const SWEEP_MIN: usize = 64;

impl References {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, live: Mutex::default() }
    }

    /// The watch of an object, begun if nobody has it yet.
    pub(crate) fn watch(&self, namespace: &str, source: &SourceName) -> Arc<Reference> {
        let key = (namespace.to_owned(), source.clone());
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = live.by_key.get(&key).and_then(Weak::upgrade) {
            return reference;
        }
        if live.by_key.len() >= live.sweep_at.max(SWEEP_MIN) {
            live.by_key.retain(|_, reference| reference.strong_count() > 0);
            live.sweep_at = live.by_key.len() * 2;
        }
        let (sender, known) = watch::channel(Known::Unread);
        let mut watching = JoinSet::new();
        let (client, name) = (self.client.clone(), source.1.clone());
        match source.0 {
            SourceKind::ConfigMap => {
                watching.spawn(follow(Api::<ConfigMap>::namespaced(client, namespace), name, sender, config_map_data));
            }
            SourceKind::Secret => {
                watching.spawn(follow(Api::<Secret>::namespaced(client, namespace), name, sender, secret_data));
            }
        }
        let reference = Arc::new(Reference { known, _watching: watching });
        live.by_key.insert(key, Arc::downgrade(&reference));
        reference
    }

    /// The contents now: from a watch if there is one that knows them, else by asking. `None` if there is no such object.
    ///
    /// # Errors
    /// The API refuses, or cannot be reached.
    pub(crate) async fn get(&self, namespace: &str, source: &SourceName) -> Result<Option<Arc<Data>>, kube::Error> {
        let key = (namespace.to_owned(), source.clone());
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner).by_key.get(&key).and_then(Weak::upgrade);
        if let Some(Known::Present(data)) = live.map(|reference| reference.known.borrow().clone()) {
            return Ok(Some(data));
        }
        let (client, name) = (self.client.clone(), source.1.as_str());
        let data = match source.0 {
            SourceKind::ConfigMap => {
                let found = in_time(Api::<ConfigMap>::namespaced(client, namespace).get_opt(name)).await?;
                found.map(config_map_data)
            }
            SourceKind::Secret => {
                let found = in_time(Api::<Secret>::namespaced(client, namespace).get_opt(name)).await?;
                found.map(secret_data)
            }
        };
        Ok(data.map(Arc::new))
    }
}

async fn follow<K>(api: Api<K>, name: String, known: watch::Sender<Known>, data: fn(K) -> Data)
where
    K: kube::Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let config = watcher::Config::default().fields(&format!("metadata.name={name}")).streaming_lists();
    let mut events = std::pin::pin!(watcher(api, config).default_backoff());
    let mut listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed = false,
            Ok(Event::InitApply(object)) => {
                listed = true;
                present(&known, data(object));
            }
            Ok(Event::Apply(object)) => present(&known, data(object)),
            Ok(Event::InitDone) if listed => {}
            Ok(Event::InitDone | Event::Delete(_)) => {
                known.send_replace(Known::Missing);
            }
            Err(error) => {
                // What was read holds until the API says otherwise.
                let keep = matches!(*known.borrow(), Known::Present(_) | Known::Missing);
                if !keep {
                    known.send_replace(Known::Unreadable(error.to_string()));
                }
            }
        }
    }
}

/// Says so only when the contents are other ones: a label is no reason to write files anew.
fn present(known: &watch::Sender<Known>, data: Data) {
    known.send_if_modified(|known| {
        if matches!(known, Known::Present(had) if **had == data) {
            return false;
        }
        *known = Known::Present(Arc::new(data));
        true
    });
}

fn config_map_data(map: ConfigMap) -> Data {
    let text = map.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.into_bytes()));
    let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0));
    text.chain(binary).collect()
}

fn secret_data(secret: Secret) -> Data {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}
