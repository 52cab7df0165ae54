//! The kinds that are watched, and what is kept of each.

mod definition;
mod pod;
mod whole;

use std::sync::Arc;

use futures::Stream;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease as ApiLease;
use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::discovery::ApiResource;
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::informer::{Cache, Kept};
use crate::kind::Kind;
use crate::meta::Meta;

pub(crate) use definition::Definition;
#[cfg(test)]
pub(crate) use pod::ContainerEnd;
pub(crate) use pod::{JOB_FINALIZER, Labels, Phase, Pod};
pub(crate) use whole::{Whole, WholeKind, Wholes, resource_of};

/// Selects the Secrets that hold tokens of service accounts.
const TOKEN_SECRETS: &str = "type=kubernetes.io/service-account-token";
/// Names the account of such a Secret.
pub(crate) const ACCOUNT_NAME: &str = "kubernetes.io/service-account.name";
/// Tells accounts of one name apart.
pub(crate) const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// Where hosts renew their leases.
pub(crate) const LEASE_NAMESPACE: &str = "kube-node-lease";

const ZONE: &str = "topology.kubernetes.io/zone";

/// A Namespace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Namespace {
    pub(crate) meta: Meta,
    /// Whether `spec.finalizers` still names ours (`kubernetes`).
    pub(crate) ours_to_finalize: bool,
}

/// A Node.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) meta: Meta,
    pub(crate) labels: Labels,
    /// The zone that its labels name.
    pub(crate) zone: Option<Box<str>>,
    pub(crate) unschedulable: bool,
    pub(crate) taints: Vec<api::Taint>,
    pub(crate) conditions: Vec<api::NodeCondition>,
}

/// A Lease; those of hosts are in one namespace.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lease {
    pub(crate) meta: Meta,
    pub(crate) renewed: Option<Timestamp>,
}

/// A Secret of the type `kubernetes.io/service-account-token`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TokenSecret {
    pub(crate) meta: Meta,
    /// The account that the annotation names.
    pub(crate) account: Arc<str>,
    /// Its uid; empty before it was filled in.
    pub(crate) account_uid: Arc<str>,
    pub(crate) has_token: bool,
    pub(crate) ca: Box<[u8]>,
    pub(crate) namespace: Box<[u8]>,
}

/// All that the controllers see of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) namespaces: Arc<Cache<Namespace>>,
    pub(crate) nodes: Arc<Cache<Node>>,
    pub(crate) pods: Arc<Cache<Pod>>,
    pub(crate) leases: Arc<Cache<Lease>>,
    pub(crate) service_accounts: Arc<Cache<Meta>>,
    pub(crate) token_secrets: Arc<Cache<TokenSecret>>,
    pub(crate) definitions: Arc<Cache<Definition>>,
    pub(crate) config_maps: Arc<Cache<Meta>>,
    pub(crate) secrets: Arc<Cache<Meta>>,
    pub(crate) events: Arc<Cache<Meta>>,
    /// The kinds that are kept as they are.
    pub(crate) wholes: Wholes,
    /// Every built-in kind of which nothing but metadata is kept, those above included.
    pub(crate) metadata: Vec<(Kind, Arc<Cache<Meta>>)>,
}

/// Something that is done with the cache of every kind.
pub(crate) trait Visit {
    fn visit<V: Kept>(&mut self, kind: Kind, cache: &Arc<Cache<V>>);
}

macro_rules! kept {
    ($($kind:ty),*) => {$(
        impl Kept for $kind {
            fn meta(&self) -> &Meta {
                &self.meta
            }

            fn meta_mut(&mut self) -> &mut Meta {
                &mut self.meta
            }
        }
    )*};
}
kept!(Namespace, Node, Lease, TokenSecret, Definition);

impl Observed {
    pub(crate) fn new() -> Self {
        let mut observed = Self::default();
        observed.metadata = Kind::watched().filter_map(|kind| Some((kind, observed.metadata_cache(kind)?))).collect();
        observed
    }

    /// Where metadata of this kind is kept; nowhere if more than metadata is kept of it.
    fn metadata_cache(&self, kind: Kind) -> Option<Arc<Cache<Meta>>> {
        Some(match kind.path() {
            ("", "namespaces" | "nodes" | "pods") | ("coordination.k8s.io", "leases") => return None,
            ("apiextensions.k8s.io", "customresourcedefinitions") => return None,
            ("", "configmaps") => self.config_maps.clone(),
            ("", "events") => self.events.clone(),
            ("", "secrets") => self.secrets.clone(),
            ("", "serviceaccounts") => self.service_accounts.clone(),
            (group, plural) if Wholes::holds(group, plural) => return None,
            _ => Arc::default(),
        })
    }

    /// Shows the cache of every kind.
    pub(crate) fn visit(&self, visitor: &mut impl Visit) {
        for kind in Kind::watched() {
            match kind.path() {
                ("", "namespaces") => visitor.visit(kind, &self.namespaces),
                ("", "nodes") => visitor.visit(kind, &self.nodes),
                ("", "pods") => visitor.visit(kind, &self.pods),
                ("coordination.k8s.io", "leases") => visitor.visit(kind, &self.leases),
                ("apiextensions.k8s.io", "customresourcedefinitions") => visitor.visit(kind, &self.definitions),
                _ => {}
            }
        }
        self.wholes.visit(visitor);
        for (kind, cache) in &self.metadata {
            visitor.visit(*kind, cache);
        }
    }

    /// Waits until everything was listed once.
    pub(crate) async fn wait_until_synced(&self) {
        self.namespaces.wait_until_synced().await;
        self.nodes.wait_until_synced().await;
        self.pods.wait_until_synced().await;
        self.leases.wait_until_synced().await;
        self.wholes.wait_until_synced().await;
        self.token_secrets.wait_until_synced().await;
        self.definitions.wait_until_synced().await;
        for (_, cache) in &self.metadata {
            cache.wait_until_synced().await;
        }
    }

    /// Starts one watch per kind.
    pub(crate) fn watch_all(&self, client: &Client, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
        let config = || watcher::Config::default().streaming_lists();
        let leases = Api::<ApiLease>::all(client.clone());
        let whole = (Api::all(client.clone()), Api::all(client.clone()), Api::all(client.clone()));
        follow(tasks, stopped, &self.namespaces, "Namespace", watcher(whole.0, config()), |object| {
            Some(Namespace::from_api(object))
        });
        follow(tasks, stopped, &self.nodes, "Node", watcher(whole.1, config()), |object| Some(Node::from_api(object)));
        follow(tasks, stopped, &self.pods, "Pod", watcher(whole.2, config()), |object| Some(Pod::from_api(object)));
        follow(tasks, stopped, &self.leases, "Lease", watcher(leases, config()), |object| {
            Some(Lease::from_api(object))
        });
        let secrets = watcher(Api::all(client.clone()), config().fields(TOKEN_SECRETS));
        follow(tasks, stopped, &self.token_secrets, "Secret", secrets, |object| Some(TokenSecret::from_api(object)));
        let definitions = watcher(Api::all_with(client.clone(), &Definition::resource()), config());
        follow(tasks, stopped, &self.definitions, "CustomResourceDefinition", definitions, Definition::from_dynamic);
        for (kind, cache) in &self.metadata {
            follow_metadata(tasks, stopped, cache, client, &kind.resource());
        }
        self.wholes.watch_all(client, tasks, stopped);
    }
}

/// Starts a watch of the metadata of one kind.
pub(crate) fn follow_metadata(
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
    cache: &Arc<Cache<Meta>>,
    client: &Client,
    resource: &ApiResource,
) {
    let objects = Api::<PartialObjectMeta<DynamicObject>>::all_with(client.clone(), resource);
    let keep = |object: &PartialObjectMeta<DynamicObject>| Some(Meta::from_api(&object.metadata));
    let events = watcher(objects, watcher::Config::default().streaming_lists());
    follow(tasks, stopped, cache, &resource.kind, events, keep);
}

fn follow<O, V: Kept>(
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
    cache: &Arc<Cache<V>>,
    kind: &str,
    events: impl Stream<Item = watcher::Result<Event<O>>> + Send + 'static,
    keep: fn(&O) -> Option<V>,
) where
    O: ResourceExt + Send + 'static,
{
    let (cache, kind, mut stopped) = (cache.clone(), kind.to_owned(), stopped.clone());
    tasks.spawn(async move {
        // Both arms are cancel-safe, and the loser is dropped for good.
        tokio::select! {
            _ = stopped.wait_for(|stopped| *stopped) => {}
            () = cache.follow(&kind, events.default_backoff(), keep) => {}
        }
    });
}

impl Namespace {
    pub(crate) fn from_api(namespace: &api::Namespace) -> Self {
        let finalizers = namespace.spec.as_ref().and_then(|spec| spec.finalizers.as_ref());
        Self {
            meta: Meta::from_api(&unversioned(&namespace.metadata)),
            ours_to_finalize: finalizers.into_iter().flatten().any(|finalizer| finalizer == "kubernetes"),
        }
    }
}

impl Node {
    pub(crate) fn from_api(node: &api::Node) -> Self {
        let spec = node.spec.as_ref();
        Self {
            meta: Meta::from_api(&unversioned(&node.metadata)),
            zone: node.metadata.labels.as_ref().and_then(|labels| labels.get(ZONE)).map(|zone| zone.as_str().into()),
            labels: Labels::new(node.metadata.labels.as_ref()),
            unschedulable: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            taints: spec.and_then(|spec| spec.taints.clone()).unwrap_or_default(),
            conditions: node.status.as_ref().and_then(|status| status.conditions.clone()).unwrap_or_default(),
        }
    }

    pub(crate) fn condition(&self, kind: &str) -> Option<&api::NodeCondition> {
        self.conditions.iter().find(|condition| condition.type_ == kind)
    }
}

impl TokenSecret {
    pub(crate) fn from_api(secret: &api::Secret) -> Self {
        let annotation = |key: &str| {
            let annotations = secret.metadata.annotations.as_ref();
            Arc::from(annotations.and_then(|all| all.get(key)).map(String::as_str).unwrap_or_default())
        };
        let data = |key: &str| {
            let value = secret.data.as_ref().and_then(|data| data.get(key));
            value.map(|value| Box::from(value.0.as_slice())).unwrap_or_default()
        };
        let token: Box<[u8]> = data("token");
        Self {
            meta: Meta::from_api(&unversioned(&secret.metadata)),
            account: annotation(ACCOUNT_NAME),
            account_uid: annotation(ACCOUNT_UID),
            has_token: !token.is_empty(),
            ca: data("ca.crt"),
            namespace: data("namespace"),
        }
    }
}

impl Lease {
    pub(crate) fn from_api(lease: &ApiLease) -> Self {
        Self {
            meta: Meta::from_api(&unversioned(&lease.metadata)),
            renewed: lease.spec.as_ref().and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0),
        }
    }
}

/// Without version and times of writes, so that a write that changes nothing we keep is no change.
fn unversioned(meta: &ObjectMeta) -> ObjectMeta {
    ObjectMeta { managed_fields: None, resource_version: None, ..meta.clone() }
}
