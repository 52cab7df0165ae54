//! Kinds of which there are few, and of which controllers read nearly everything: they are kept as they are.

use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Endpoints, PersistentVolume, PersistentVolumeClaim, ReplicationController, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Observed, Visit};
use crate::informer::{Cache, IndexKey, Kept};
use crate::kind::Kind;
use crate::meta::Meta;

/// An object as it is, but for `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Whole<K> {
    pub(crate) meta: Meta,
    pub(crate) object: K,
}

/// A kind that is kept whole.
pub(crate) trait WholeKind:
    kube::Resource<DynamicType = ()>
    + k8s_openapi::Resource
    + Metadata<Ty = ObjectMeta>
    + Clone
    + Debug
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    fn cache(observed: &Observed) -> &Arc<Cache<Whole<Self>>>;

    /// Which pods (or, of a Deployment, ReplicaSets) are its own.
    fn selector(&self) -> Option<LabelSelector> {
        None
    }

    /// The label by which the object is looked up.
    fn indexed_label(&self) -> Option<(&str, &str)> {
        None
    }
}

impl<K> Deref for Whole<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.object
    }
}

impl<K: WholeKind> Whole<K> {
    pub(crate) fn new(mut object: K) -> Self {
        let metadata = Metadata::metadata_mut(&mut object);
        metadata.managed_fields = None;
        Self { meta: Meta::from_api(metadata), object }
    }

    fn from_dynamic(object: &DynamicObject) -> Option<Self> {
        Some(Self::new(serde_json::from_value(serde_json::to_value(object).ok()?).ok()?))
    }

    pub(crate) fn name(&self) -> &str {
        &self.meta.key.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.meta.key.namespace
    }

    pub(crate) fn metadata(&self) -> &ObjectMeta {
        Metadata::metadata(&self.object)
    }

    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.metadata().annotations.as_ref().and_then(|annotations| annotations.get(name)).map(String::as_str)
    }

    pub(crate) fn label(&self, name: &str) -> Option<&str> {
        self.metadata().labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str)
    }

    pub(crate) fn generation(&self) -> Option<i64> {
        self.metadata().generation
    }

    /// The reference that makes an object this one's.
    pub(crate) fn controller_reference(&self) -> OwnerReference {
        OwnerReference {
            api_version: K::API_VERSION.to_owned(),
            kind: K::KIND.to_owned(),
            name: self.name().to_owned(),
            uid: self.meta.uid.to_string(),
            controller: Some(true),
            block_owner_deletion: Some(true),
        }
    }
}

impl<K: WholeKind> Kept for Whole<K> {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn index(&self, add: &mut dyn FnMut(IndexKey)) {
        let namespace = &self.meta.key.namespace;
        add(IndexKey::Namespace(namespace.clone()));
        match self.meta.controller() {
            Some(owner) => add(IndexKey::Controller(Arc::from(owner.uid.as_str()))),
            None => add(IndexKey::Orphans(namespace.clone())),
        }
        if let Some((key, value)) = self.object.indexed_label() {
            add(IndexKey::Label(namespace.clone(), Arc::from(key), Arc::from(value)));
        }
    }
}

macro_rules! wholes {
    ($($field:ident: $kind:ty, $plural:literal $(, $body:item)*;)*) => {
        /// The caches of all kinds that are kept whole.
        #[derive(Debug, Default)]
        pub(crate) struct Wholes {
            $(pub(crate) $field: Arc<Cache<Whole<$kind>>>,)*
        }

        $(impl WholeKind for $kind {
            fn cache(observed: &Observed) -> &Arc<Cache<Whole<Self>>> {
                &observed.wholes.$field
            }

            $($body)*
        })*

        impl Wholes {
            pub(crate) fn holds(group: &str, plural: &str) -> bool {
                $((group == <$kind as k8s_openapi::Resource>::GROUP && plural == $plural))||*
            }

            pub(super) fn visit(&self, visitor: &mut impl Visit) {
                $(if let Some(kind) = kind_of::<$kind>() {
                    visitor.visit(kind, &self.$field);
                })*
            }

            pub(super) async fn wait_until_synced(&self) {
                $(self.$field.wait_until_synced().await;)*
            }

            pub(super) fn watch_all(&self, client: &Client, tasks: &mut JoinSet<()>, stopped: &watch::Receiver<bool>) {
                $(follow(&self.$field, client, tasks, stopped);)*
            }
        }
    };
}

wholes! {
    replica_sets: ReplicaSet, "replicasets", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().map(|spec| spec.selector.clone())
    };
    replication_controllers: ReplicationController, "replicationcontrollers", fn selector(&self) -> Option<LabelSelector> {
        let match_labels = self.spec.as_ref()?.selector.clone();
        match_labels.map(|labels| LabelSelector { match_labels: Some(labels), match_expressions: None })
    };
    deployments: Deployment, "deployments", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().map(|spec| spec.selector.clone())
    };
    stateful_sets: StatefulSet, "statefulsets", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().map(|spec| spec.selector.clone())
    };
    daemon_sets: DaemonSet, "daemonsets", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().map(|spec| spec.selector.clone())
    };
    jobs: Job, "jobs", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().and_then(|spec| spec.selector.clone())
    };
    cron_jobs: CronJob, "cronjobs";
    revisions: ControllerRevision, "controllerrevisions";
    // A Service is found by one label that its pods must have.
    services: Service, "services", fn indexed_label(&self) -> Option<(&str, &str)> {
        let selector = self.spec.as_ref()?.selector.as_ref()?;
        selector.iter().next().map(|(key, value)| (key.as_str(), value.as_str()))
    };
    endpoints: Endpoints, "endpoints";
    // A slice is found by the Service that it belongs to.
    endpoint_slices: EndpointSlice, "endpointslices", fn indexed_label(&self) -> Option<(&str, &str)> {
        let labels = self.metadata.labels.as_ref()?;
        labels.get_key_value("kubernetes.io/service-name").map(|(key, value)| (key.as_str(), value.as_str()))
    };
    disruption_budgets: PodDisruptionBudget, "poddisruptionbudgets", fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().and_then(|spec| spec.selector.clone())
    };
    claims: PersistentVolumeClaim, "persistentvolumeclaims";
    volumes: PersistentVolume, "persistentvolumes";
    storage_classes: StorageClass, "storageclasses";
    autoscalers: HorizontalPodAutoscaler, "horizontalpodautoscalers";
}

fn kind_of<K: WholeKind>() -> Option<Kind> {
    Kind::find(K::GROUP, K::VERSION, K::KIND)
}

/// How the API serves a kind.
pub(crate) fn resource_of<K: WholeKind>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn follow<K: WholeKind>(
    cache: &Arc<Cache<Whole<K>>>,
    client: &Client,
    tasks: &mut JoinSet<()>,
    stopped: &watch::Receiver<bool>,
) {
    // Objects of all kinds come through the same code and become what they are at the end.
    let objects = Api::<DynamicObject>::all_with(client.clone(), &resource_of::<K>());
    let events = watcher(objects, watcher::Config::default().streaming_lists());
    super::follow(tasks, stopped, cache, K::KIND, events, Whole::<K>::from_dynamic);
}
