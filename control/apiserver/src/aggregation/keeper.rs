//! The task behind aggregation. It is woken by changes and by a timer, looks at everything, and converges.

mod probe;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use coracle_control_api::kinds::{self, api_service};
use coracle_control_api::meta;
use coracle_control_store::{Condition, Operation, Transaction, Watch};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::registry::{Learned, Remote, prefix};
use crate::bootstrap;
use crate::server::Shared;
use crate::stored;

/// Everything is looked at so often, whatever happens; other servers can fail without a change here.
const INTERVAL: Duration = Duration::from_secs(30);
/// After a server has failed it is asked again sooner.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Changes that come together are looked at together.
const SETTLE: Duration = Duration::from_millis(50);
/// Servers that are asked at the same time.
const PROBES_MAX: usize = 8;

/// Keeps the APIServices until `shutdown`.
pub(crate) async fn keep(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut wakes = Wakes::new(&shared);
    loop {
        let round = async {
            let failed = converge(&shared).await;
            wakes.wait(&shared, if failed { RETRY_INTERVAL } else { INTERVAL }).await;
            tokio::time::sleep(SETTLE).await;
        };
        tokio::select! {
            () = round => {}
            () = shutdown.cancelled() => return,
        }
    }
}

/// Changes that matter: of APIServices and definitions, and where other servers are, of what leads to them.
struct Wakes {
    prefixes: Vec<String>,
    watches: Vec<Watch>,
}

impl Wakes {
    fn new(shared: &Shared) -> Self {
        let of = |group: &str, plural: &str| kinds::find(group, "v1", plural).map(|kind| kind.storage_prefix());
        let prefixes = [
            of("apiextensions.k8s.io", "customresourcedefinitions"),
            of("discovery.k8s.io", "endpointslices"),
            of("", "services"),
        ];
        let prefixes: Vec<String> = [prefix()].into_iter().chain(prefixes.into_iter().flatten()).collect();
        let mut wakes = Self { prefixes, watches: Vec::new() };
        wakes.restart(shared);
        wakes
    }

    fn restart(&mut self, shared: &Shared) {
        let revision = shared.store.revision();
        self.watches =
            self.prefixes.iter().filter_map(|prefix| shared.store.watch(prefix.as_bytes(), revision).ok()).collect();
    }

    async fn wait(&mut self, shared: &Shared, limit: Duration) {
        // What leads to other servers matters only when there are some; it changes with every pod.
        let count = if shared.aggregation.all(&shared.store.snapshot()).is_empty() { 2 } else { self.watches.len() };
        let mut next: FuturesUnordered<_> = self.watches.iter_mut().take(count).map(Watch::next).collect();
        let woken = tokio::time::timeout(limit, next.next()).await;
        drop(next);
        // The watches that were not read go on from here; nothing is missed, since everything is looked at now.
        if woken.is_ok() {
            self.restart(shared);
        }
    }
}

/// Brings everything to where it should be. True if some server has failed and should be asked again soon.
async fn converge(shared: &Arc<Shared>) -> bool {
    publish(shared).await;
    register(shared).await;
    let remotes = shared.aggregation.all(&shared.store.snapshot());
    let mut probes = futures::stream::iter(remotes.into_iter().map(|remote| {
        let shared = Arc::clone(shared);
        async move {
            let found = probe::probe(&shared, &remote).await;
            (remote, found)
        }
    }))
    .buffer_unordered(PROBES_MAX);
    let (mut learned, mut failed) = (BTreeMap::new(), false);
    while let Some((remote, found)) = probes.next().await {
        failed |= found.learned.is_none();
        let known = shared.aggregation.learned(&remote.group, &remote.version);
        let content = match (found.learned.clone(), known) {
            (Some(content), _) => Some(Arc::new(content)),
            // What was known last is shown on, marked as such.
            (None, Some(known)) => Some(Arc::new(Learned { is_stale: true, ..(*known).clone() })),
            (None, None) => None,
        };
        learned.extend(content.map(|content| (remote.name.clone(), content)));
        set_available(shared, &remote, &found).await;
    }
    shared.aggregation.learn(learned);
    failed
}

/// What other servers need so that they believe this one, where upstream's libraries look for it.
async fn publish(shared: &Shared) {
    let Some(front_proxy) = shared.aggregation.front_proxy() else { return };
    let mut data = json!({
        "requestheader-allowed-names": "[\"front-proxy-client\"]",
        "requestheader-client-ca-file": front_proxy.authority_pem,
        "requestheader-extra-headers-prefix": "[\"X-Remote-Extra-\"]",
        "requestheader-group-headers": "[\"X-Remote-Group\"]",
        "requestheader-uid-headers": "[\"X-Remote-Uid\"]",
        "requestheader-username-headers": "[\"X-Remote-User\"]",
    });
    if let Some(pem) = &shared.config.client_ca_pem {
        data["client-ca-file"] = pem.as_str().into();
    }
    let body = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "extension-apiserver-authentication", "namespace": "kube-system"}, "data": data,
    });
    let Some((key, value)) = bootstrap::make("", "configmaps", &body, Timestamp::now()) else { return };
    match shared.store.snapshot().get(&key) {
        None => write(shared, key, 0, Some(value)).await,
        Some(entry) => {
            let mut object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
            let before = object.clone();
            if let (Some(known), Some(wanted)) = (object["data"].as_object_mut(), body["data"].as_object()) {
                known.extend(wanted.clone());
            }
            if object != before {
                write(shared, key, entry.mod_revision, Some(stored::encode(&object))).await;
            }
        }
    }
}

/// Makes the objects of what this server serves, and removes those of custom resources that are gone.
async fn register(shared: &Shared) {
    let all = shared.catalog.all();
    let custom: BTreeSet<(&str, &str)> =
        all.custom().iter().map(|kind| (kind.group.as_ref(), kind.version.as_ref())).collect();
    let snapshot = shared.store.snapshot();
    let made = custom.iter().map(|(group, version)| api_service::local(group, version, true));
    for body in super::built_in_services().into_iter().chain(made) {
        let object = bootstrap::make(api_service::GROUP, api_service::PLURAL, &body, Timestamp::now());
        if let Some((key, value)) = object.filter(|(key, _)| snapshot.get(key).is_none()) {
            write(shared, key, 0, Some(value)).await;
        }
    }
    for entry in snapshot.prefix(prefix().as_bytes()) {
        let object: Value = serde_json::from_slice(&entry.value).unwrap_or_default();
        let label = meta::labels(&object).and_then(|labels| labels.get(api_service::AUTOMANAGED));
        let text = |field: &str| object["spec"][field].as_str().unwrap_or_default();
        let is_custom = label.and_then(Value::as_str) == Some("true");
        if is_custom && !custom.contains(&(text("group"), text("version"))) {
            write(shared, entry.key.clone(), entry.mod_revision, None).await;
        }
    }
}

/// Writes or removes an object that is still as it was seen; otherwise the next round looks again.
async fn write(shared: &Shared, key: Bytes, revision: u64, value: Option<Bytes>) {
    let conditions = vec![Condition::ModRevision { key: key.clone(), revision }];
    let operation = match value {
        Some(value) => Operation::Put { key, value },
        None => Operation::Delete { key },
    };
    if let Err(error) = shared.store.transact(Transaction { conditions, operations: vec![operation] }).await {
        tracing::warn!(%error, "an object of aggregation is not written");
    }
}

async fn set_available(shared: &Shared, remote: &Remote, found: &probe::Found) {
    let key = Bytes::from(format!("{}{}", prefix(), remote.name));
    let Some(entry) = shared.store.snapshot().get(&key) else { return };
    let Ok(mut object) = serde_json::from_slice::<Value>(&entry.value) else { return };
    let now = Value::from(meta::format_time(Timestamp::now()));
    let status = if found.learned.is_some() { "True" } else { "False" };
    if api_service::set_condition(&mut object, status, found.reason, &found.message, &now) {
        write(shared, key, entry.mod_revision, Some(stored::encode(&object))).await;
    }
}
