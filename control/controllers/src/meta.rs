//! What is kept of any object: who it is, and who owns it.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

/// The finalizer of foreground deletion: the object stays until its blocking dependents are gone.
pub(crate) const FOREGROUND_FINALIZER: &str = "foregroundDeletion";
/// The finalizer of orphaning: the object stays until its dependents no longer name it.
pub(crate) const ORPHAN_FINALIZER: &str = "orphan";
/// The finalizer of a PersistentVolumeClaim that pods may use.
pub(crate) const CLAIM_FINALIZER: &str = "kubernetes.io/pvc-protection";
/// The finalizer of a PersistentVolume that a claim may be bound to.
pub(crate) const VOLUME_FINALIZER: &str = "kubernetes.io/pv-protection";

/// Names an object among those of its kind. The namespace of cluster-wide objects is empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ObjectKey {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

/// The part of `metadata` that controllers read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Meta {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Arc<str>,
    /// The version, where nothing but metadata is kept: it tells that something else of the object has changed.
    pub(crate) version: Option<Arc<str>>,
    pub(crate) created: Timestamp,
    /// The last time at which anybody wrote the object, as far as `managedFields` tell.
    pub(crate) written: Timestamp,
    pub(crate) deleting: bool,
    pub(crate) foreground_finalizer: bool,
    pub(crate) orphan_finalizer: bool,
    /// That of claims or that of volumes.
    pub(crate) storage_finalizer: bool,
    pub(crate) owners: Box<[OwnerReference]>,
}

impl ObjectKey {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: Arc::from(namespace), name: Arc::from(name) }
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.namespace {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{namespace}/{}", self.name),
        }
    }
}

impl Meta {
    /// The owner that decides about the object.
    pub(crate) fn controller(&self) -> Option<&OwnerReference> {
        self.owners.iter().find(|owner| owner.controller == Some(true))
    }

    pub(crate) fn is_controlled_by(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner.uid == uid)
    }

    pub(crate) fn from_api(meta: &ObjectMeta) -> Self {
        let created = meta.creation_timestamp.as_ref().map_or(Timestamp::MIN, |time| time.0);
        let writes = meta.managed_fields.iter().flatten().filter_map(|entry| entry.time.as_ref().map(|time| time.0));
        let has = |finalizer: &str| meta.finalizers.iter().flatten().any(|listed| listed == finalizer);
        Self {
            key: ObjectKey::new(
                meta.namespace.as_deref().unwrap_or_default(),
                meta.name.as_deref().unwrap_or_default(),
            ),
            uid: Arc::from(meta.uid.as_deref().unwrap_or_default()),
            version: meta.resource_version.as_deref().map(Arc::from),
            created,
            written: writes.fold(created, Timestamp::max),
            deleting: meta.deletion_timestamp.is_some(),
            foreground_finalizer: has(FOREGROUND_FINALIZER),
            orphan_finalizer: has(ORPHAN_FINALIZER),
            storage_finalizer: has(CLAIM_FINALIZER) || has(VOLUME_FINALIZER),
            owners: meta.owner_references.clone().unwrap_or_default().into(),
        }
    }
}
