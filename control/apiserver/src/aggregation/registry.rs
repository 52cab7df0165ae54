//! What the APIServices say, and what was learned of their servers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use coracle_control_api::kinds::{self, api_service};
use coracle_control_api::meta;
use coracle_control_store::{Entry, Snapshot, Store};
use rustls::ClientConfig;
use serde_json::Value;

use super::FrontProxy;
use crate::backend::tls::{Trust, client_config};

/// A version of a group that another server serves.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) name: String,
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) service: String,
    pub(crate) port: u16,
    pub(crate) group_priority: i64,
    pub(crate) version_priority: i64,
    pub(crate) available: bool,
    /// TLS towards it, or why there is none.
    pub(crate) tls: Result<Arc<ClientConfig>, String>,
}

/// What a server has said of a version of a group.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Learned {
    /// The `resources` of its `APIResourceList`.
    pub(crate) resources: Vec<Value>,
    /// The hash of its OpenAPI document; empty when it has none.
    pub(crate) openapi_hash: String,
    /// Whether it has been asked since and did not answer.
    pub(crate) is_stale: bool,
}

/// What was read of an APIService, with its revision; nothing for a local one.
type Read = (u64, Option<Arc<Remote>>);

/// The other servers. What was read of an APIService is kept by its revision.
#[derive(Debug)]
pub(crate) struct Registry {
    store: Store,
    front_proxy: Option<FrontProxy>,
    read: Mutex<HashMap<String, Read>>,
    learned: Mutex<BTreeMap<String, Arc<Learned>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is kept is whole between any two steps; a panic elsewhere does not spoil it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The beginning of the keys of APIServices.
pub(super) fn prefix() -> String {
    kinds::find(api_service::GROUP, "v1", api_service::PLURAL).map(|kind| kind.storage_prefix()).unwrap_or_default()
}

impl Registry {
    pub(crate) fn new(store: Store, front_proxy: Option<FrontProxy>) -> Self {
        Self { store, front_proxy, read: Mutex::default(), learned: Mutex::default() }
    }

    pub(super) fn front_proxy(&self) -> Option<&FrontProxy> {
        self.front_proxy.as_ref()
    }

    /// The server of a version of a group, if it is another one.
    pub(crate) fn find(&self, group: &str, version: &str) -> Option<Arc<Remote>> {
        let key = format!("{}{version}.{group}", prefix());
        self.remote(&self.store.snapshot().get(key.as_bytes())?)
    }

    /// Every version of a group that another server serves, by name.
    pub(crate) fn all(&self, snapshot: &Snapshot) -> Vec<Arc<Remote>> {
        let prefix = prefix();
        let entries: Vec<Entry> = snapshot.prefix(prefix.as_bytes()).collect();
        lock(&self.read).retain(|name, _| entries.binary_search_by(|entry| (*entry.key).cmp(name.as_bytes())).is_ok());
        entries.iter().filter_map(|entry| self.remote(entry)).collect()
    }

    fn remote(&self, entry: &Entry) -> Option<Arc<Remote>> {
        let key = String::from_utf8_lossy(&entry.key).into_owned();
        if let Some((revision, remote)) = lock(&self.read).get(&key)
            && *revision == entry.mod_revision
        {
            return remote.clone();
        }
        let remote = self.parse(entry).map(Arc::new);
        lock(&self.read).insert(key, (entry.mod_revision, remote.clone()));
        remote
    }

    /// None for one that is local, or that this server serves whatever it says.
    fn parse(&self, entry: &Entry) -> Option<Remote> {
        let object: Value = serde_json::from_slice(&entry.value).ok()?;
        let spec = object.get("spec")?;
        let service = spec.get("service").filter(|service| service.is_object())?;
        let text = |of: &Value, field: &str| of[field].as_str().unwrap_or_default().to_owned();
        let (group, version) = (text(spec, "group"), text(spec, "version"));
        if group.is_empty() || kinds::kinds().iter().any(|kind| kind.group == *group && kind.version == *version) {
            return None;
        }
        let bundle = BASE64.decode(spec["caBundle"].as_str().unwrap_or_default()).unwrap_or_default();
        let trust = if spec["insecureSkipTLSVerify"] == true { Trust::Anybody } else { Trust::Authorities(&bundle) };
        let identity = self.front_proxy.as_ref().map(|front_proxy| &front_proxy.identity);
        Some(Remote {
            name: meta::name(&object).to_owned(),
            namespace: text(service, "namespace"),
            service: text(service, "name"),
            port: service["port"].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(443),
            group_priority: spec["groupPriorityMinimum"].as_i64().unwrap_or(0),
            version_priority: spec["versionPriority"].as_i64().unwrap_or(0),
            available: api_service::availability(&object).0 == "True",
            tls: client_config(trust, identity).map_err(|error| error.to_string()),
            group,
            version,
        })
    }

    /// What the server of a version of a group has said.
    pub(crate) fn learned(&self, group: &str, version: &str) -> Option<Arc<Learned>> {
        lock(&self.learned).get(&format!("{version}.{group}")).cloned()
    }

    /// Keeps what was learned, by the names of the APIServices; the rest is forgotten.
    pub(super) fn learn(&self, learned: BTreeMap<String, Arc<Learned>>) {
        *lock(&self.learned) = learned;
    }

    /// Group, version and hash of the OpenAPI documents that other servers have.
    pub(crate) fn openapi_hashes(&self) -> Vec<(String, String, String)> {
        let remotes = self.all(&self.store.snapshot());
        let hashes = remotes.iter().filter_map(|remote| {
            let hash = self.learned(&remote.group, &remote.version)?.openapi_hash.clone();
            (!hash.is_empty()).then(|| (remote.group.clone(), remote.version.clone(), hash))
        });
        hashes.collect()
    }

    /// The groups of other servers that can be shown, each with its versions and their learned content, by priority.
    pub(crate) fn groups(&self) -> Vec<(String, Vec<String>)> {
        let mut remotes = self.all(&self.store.snapshot());
        remotes.retain(|remote| self.learned(&remote.group, &remote.version).is_some());
        remotes.sort_by(|one, other| {
            let order = |remote: &Remote| (-remote.group_priority, remote.group.clone(), -remote.version_priority);
            order(one).cmp(&order(other))
        });
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for remote in remotes {
            match groups.iter_mut().find(|(group, _)| *group == remote.group) {
                Some((_, versions)) => versions.push(remote.version.clone()),
                None => groups.push((remote.group.clone(), vec![remote.version.clone()])),
            }
        }
        groups
    }
}

impl Remote {
    /// The name for which its certificate has to be good.
    pub(super) fn host(&self) -> String {
        format!("{}.{}.svc", self.service, self.namespace)
    }
}

impl Learned {
    /// The resources in the form of aggregated discovery.
    pub(crate) fn aggregated(&self) -> Vec<Value> {
        let is_top = |resource: &&Value| !resource["name"].as_str().unwrap_or_default().contains('/');
        self.resources.iter().filter(is_top).map(|resource| self.aggregate(resource)).collect()
    }

    fn aggregate(&self, resource: &Value) -> Value {
        let kind_of = |resource: &Value| {
            let text = |field: &str| resource[field].as_str().unwrap_or_default().to_owned();
            serde_json::json!({"group": text("group"), "version": text("version"), "kind": text("kind")})
        };
        let name = resource["name"].as_str().unwrap_or_default();
        let mut item = serde_json::json!({
            "resource": name,
            "responseKind": kind_of(resource),
            "scope": if resource["namespaced"] == true { "Namespaced" } else { "Cluster" },
            "singularResource": resource["singularName"].as_str().unwrap_or_default(),
            "verbs": resource["verbs"].clone(),
        });
        let below: Vec<Value> = self
            .resources
            .iter()
            .filter_map(|other| {
                let rest = other["name"].as_str()?.strip_prefix(name)?.strip_prefix('/')?;
                Some(serde_json::json!({
                    "subresource": rest, "responseKind": kind_of(other), "verbs": other["verbs"].clone(),
                }))
            })
            .collect();
        for field in ["shortNames", "categories"] {
            if let Some(value) = resource.get(field) {
                item[field] = value.clone();
            }
        }
        if !below.is_empty() {
            item["subresources"] = below.into();
        }
        item
    }
}

#[cfg(test)]
mod tests;
